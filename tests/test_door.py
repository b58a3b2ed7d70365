"""Nobody opens a file beside the door: which modules may call what opens one, read from the source.

`system/files.py` is the door. Formats whose libraries open files themselves have one module each, which asks the door
first. The command line's own files (pipes, /proc, package data) are no stranger's.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

OPENERS = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "fdopen", "mmap", "memmap", "touch",
    "File", "safe_open", "save_file", "load_file", "imread", "imwrite", "imiter", "imopen", "improps", "get_reader",
    "read_frames", "write_frames", "ParquetFile", "read_table", "read_parquet", "from_xml_path", "from_binary_path",
    "loadtxt", "genfromtxt", "fromfile", "savetxt", "savez", "load", "loads", "safe_load", "save", "savefig",
    "ZipFile", "TarFile", "connect", "spec_from_file_location", "SummaryWriter", "urlopen",
}  # fmt: skip
"""Last names of functions that open files, in the libraries that are installed, or parse what others wrote."""
OPENERS_OF = {"shutil": {"copy", "copy2", "copyfile", "copytree", "move"}, "yaml": {"parse"}}
"""Module -> names that mean something else elsewhere."""
LIBRARIES = {"Path", "os", "io", "shutil", "json", "yaml", "np", "torch", "h5py", "imageio", "Image", "mujoco.MjModel"}
"""Whose functions count when they are mentioned, too, and not only when they are called."""
OWN = {"WorldModel.load", "RunDirectory.open", "model.save", "suite.load"}
"""Methods of this package that have such a name."""

ALLOWED = {
    "worldmodel/system/files.py": {"open", "fdopen", "read_text", "loads", "write_text"},  # the door
    "worldmodel/data/hdf5_files.py": {"File"},
    "worldmodel/models/weights.py": {"safe_open", "save_file"},
    "worldmodel/learning/checkpoints.py": {"ZipFile", "load", "open", "save"},  # "open" is of a temporary file
    "worldmodel/settings/yaml_files.py": {"parse", "load"},  # of text that the door has read
    "worldmodel/data/interchange/images.py": {"open"},  # of bytes in memory
    "worldmodel/data/interchange/lerobot.py": {"ParquetFile"},
    "worldmodel/data/interchange/video_frames.py": {"read_frames"},
    "worldmodel/identifying/recordings.py": {"loadtxt"},  # of a table beside the user's own film
    "worldmodel/identifying/other_model.py": {"from_xml_path", "read_text"},  # the user's own model; /proc
    "worldmodel/runs/array_files.py": {"load", "open", "savez"},  # of a checked file, and temporary ones
    "worldmodel/evaluation/control/manifests.py": {"loadtxt", "savetxt"},  # of an open file of the package
    "worldmodel/viewing/picture_files.py": {"imwrite"},  # to memory
    "worldmodel/viewing/replay_page.py": {"read_text"},  # of the package
    "worldmodel/viewing/start.py": {"open"},  # a browser
    "worldmodel/settings/viewing.py": {"open"},  # an option
    "worldmodel/data/mapped.py": {"mmap"},  # of an open file
    "worldmodel/figures/videos.py": {"imwrite", "write_bytes"},  # to memory, and from there into a temporary file
    "worldmodel/figures/style.py": {"savefig"},
    "worldmodel/reporting/page.py": {"read_text"},  # the package's own template
    "worldmodel/runs/trackers.py": {"SummaryWriter", "imwrite"},  # own files; to memory
    "worldmodel/runs/zoo/__init__.py": {"copyfile"},  # of the package's own files
    "worldmodel/runs/zoo/__main__.py": {"copy", "write_text"},
    "worldmodel/system/resident.py": {"read_text", "write_text"},  # /proc
    "worldmodel/system/distributed.py": {"open"},  # /dev/null
    "worldmodel/cli/main.py": {"open"},  # /dev/null
    "worldmodel/data/recording.py": {"loads"},  # of what it has just made
    "envs/gym_ids.py": {"loads"},  # of what the world itself is called
    "envs/scene.py": {"from_xml_path"},  # of a world of the user's own
    "envs/world_files.py": {"spec_from_file_location"},  # with trust_world=true, or as the user's own world
}
"""Module -> what it may call, and why."""


def opening_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, last name) of every call, and every mention as a value, of a function that opens files."""
    types = {id(inner) for hint in _annotations(tree) for inner in ast.walk(hint)}
    foreign = {"open"} | {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("worldmodel")
        for alias in node.names
    }
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if id(node) in types:
            continue
        if isinstance(node, ast.Attribute) and ast.unparse(node) not in OWN:
            if id(node) not in called and ast.unparse(node.value) not in LIBRARIES:
                continue  # an option of that name
            if node.attr in OPENERS or node.attr in OPENERS_OF.get(ast.unparse(node.value), ()):
                yield node.lineno, node.attr
        elif isinstance(node, ast.Name) and node.id in OPENERS & foreign:
            yield node.lineno, node.id


def _annotations(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if hint is not None:
                yield hint


def findings(path: Path) -> list[tuple[int, str]]:
    name = str(path.relative_to(ROOT))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(line, called) for line, called in opening_calls(tree) if called not in ALLOWED.get(name, set())]


def test_no_file_is_opened_beside_the_door():
    files = [path for folder in ("worldmodel", "envs", "planners") for path in sorted((ROOT / folder).rglob("*.py"))]
    beside = [
        f"{path.relative_to(ROOT)}:{line} {what}" for path in dict.fromkeys(files) for line, what in findings(path)
    ]
    assert not beside, "files are opened through worldmodel/system/files.py:\n" + "\n".join(beside)


def test_whoever_may_open_files_does():
    for name, allowed in ALLOWED.items():
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        assert allowed <= {called for _, called in opening_calls(tree)}, name


@pytest.mark.parametrize(
    "code",
    [
        "open(path)",
        "path.open('rb')",
        "Path(path).read_text()",
        "h5py.File(path, 'r')",
        "imageio.imread(path)",
        "from safetensors import safe_open\nsafe_open(path, 'pt')",
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "yaml.safe_load(path)",
        "json.load(file)",
        "read = Path.read_bytes",
        "os.open(path, 0)",
        "shutil.copytree(path, other)",
        "from safetensors.torch import load_file\nload_file(path)",
    ],
)
def test_openers_are_recognised(code: str):
    assert len(list(opening_calls(ast.parse(code)))) == 1


def test_what_others_may_have_written_is_printed_by_one_function():
    allowed = {"worldmodel/system/printable.py", "worldmodel/cli/main.py", "worldmodel/runs/zoo/__main__.py"}
    printing = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "worldmodel").rglob("*.py"))
        if str(path.relative_to(ROOT)) not in allowed
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if any(isinstance(part, ast.JoinedStr | ast.Attribute | ast.Name) for part in node.args)
    }
    assert not printing, f"use worldmodel.system.printable.say: {', '.join(sorted(printing))}"


UNGUARDED = {
    "worldmodel/learning/imagining.py": {"filmstrip"},  # of `draw_futures`, which is called inside a `drawing`
    "worldmodel/designing/survey.py": {"contact_sheet"},  # what the user asked for
}
"""Module -> figures that it draws outside a `drawing`, and why."""


def test_a_figure_that_cannot_be_drawn_costs_no_result():
    """Each is drawn inside `with figures.drawing(…)`, which turns what goes wrong into a note."""
    bare = []
    for path in sorted((ROOT / "worldmodel").rglob("*.py")):
        name, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        tree = ast.parse(text if "import figures\n" in text else "")
        guarded = {
            id(inner)
            for block in ast.walk(tree)
            if isinstance(block, ast.With) and any("drawing(" in ast.unparse(item) for item in block.items)
            for inner in ast.walk(block)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("figures.") and id(node) not in guarded:
                called = ast.unparse(node.func).removeprefix("figures.")
                if called != "drawing" and called not in UNGUARDED.get(name, ()):
                    bare.append(f"{name}:{node.lineno} {called}")
    assert not bare, "draw these inside `with figures.drawing(…)`:\n" + "\n".join(bare)
