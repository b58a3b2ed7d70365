"""The layers of docs/ARCHITECTURE.md, read from the source: what each may import, and what no code here may do."""

import ast
import importlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEAF_IMPORTS = {
    "envs": {"worldmodel.envs", "numpy", "gymnasium", "mujoco", "dm_control", "dm_env"},
    "planners": {"worldmodel.planners", "torch"},
}
# one module each, imported only where it is asked for
OPTIONAL_IMPORTS = {"envs/warp.py": {"warp", "mujoco_warp"}, "envs/excitation/ogbench_cubes.py": {"ogbench"}}
UNPICKLERS = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}

WITHOUT_HEAVY_LIBRARIES = {"settings": {"torch", "mujoco", "dm_control", "hydra", "omegaconf", "h5py"}}
"""Rooms that must be quick to import, and what they therefore do without."""

MAX_FUNCTION_LINES, MAX_CLASS_LINES, MAX_MODULE_LINES = 60, 300, 400

PLAIN_VALUES = {
    "envs/__init__.py", "envs/world.py",  # Gymnasium's own signatures, and what is written into a data set's index
    "worldmodel/cli/help.py", "worldmodel/cli/overrides.py",
    "worldmodel/learning/checkpoints.py",  # state dictionaries, as torch gives and takes them
    "worldmodel/data/index.py",  # an index as JSON holds it
    "worldmodel/comparing/candidates.py",  # dotted options of a method, as its tuning sets them
    "worldmodel/runs/version1.py",  # files of version 0.1
    "worldmodel/settings/arguments.py", "worldmodel/settings/base.py", "worldmodel/settings/collection.py",
    "worldmodel/settings/control.py", "worldmodel/settings/convert.py", "worldmodel/settings/names.py",
    "worldmodel/settings/recipes.py", "worldmodel/settings/stored.py", "worldmodel/settings/training.py",
    "worldmodel/settings/yaml_files.py",
    "worldmodel/system/distributed.py",  # torch's optimiser states
    "worldmodel/system/digest.py", "worldmodel/system/files.py",
}  # fmt: skip
"""Where plain values from YAML, JSON or the command line become typed, or typed ones become plain values; and where
parameters of policies and planners are mappings, since another package defines them."""


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported_packages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, package) of each absolute import, wherever it stands: a top-level name, or a room like worldmodel.data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, _room(alias.name)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = (
                [f"worldmodel.{alias.name}" for alias in node.names] if node.module == "worldmodel" else [node.module]
            )
            yield from ((node.lineno, _room(name)) for name in names)


def _room(module: str) -> str:
    return ".".join(module.split(".")[: 2 if module.startswith("worldmodel.") else 1])


def unsafe_constructs(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of each call that runs code found in data."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called in ("eval", "exec", "builtins.eval", "builtins.exec"):
            yield node.lineno, f"{called}()"
        if called == "torch.load" and keywords.get("weights_only") != "True":
            yield node.lineno, "torch.load without weights_only=True"
        elif keywords.get("weights_only", "True") != "True":
            yield node.lineno, f"weights_only={keywords['weights_only']}"
        if keywords.get("allow_pickle", "False") != "False":
            yield node.lineno, f"allow_pickle={keywords['allow_pickle']}"


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.mark.parametrize("leaf", LEAF_IMPORTS)
def test_leaf_imports_only_what_its_layer_allows(leaf):
    files = python_files(leaf)
    assert files, f"no Python in {leaf}/"
    allowed = LEAF_IMPORTS[leaf] | sys.stdlib_module_names
    strangers = [
        f"{path.relative_to(ROOT)}:{line} imports {package}"
        for path in files
        for line, package in imported_packages(parse(path))
        if package not in allowed | OPTIONAL_IMPORTS.get(str(path.relative_to(ROOT)), set())
    ]
    assert not strangers, f"{leaf}/ may import {sorted(LEAF_IMPORTS[leaf])} and the standard library:\n" + "\n".join(
        strangers
    )


OPEN_ROOMS = {path.parent.name for path in (ROOT / "worldmodel").glob("*/__init__.py")} - {"cli", "reporting"}


def foreign_imports(path: Path) -> Iterator[str]:
    """What a file outside the package imports of it, other than names that a room offers."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.startswith("worldmodel.")]
            yield from (f"{node.lineno} imports {module}; write from {module} import NAME" for module in modules)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "worldmodel":
            assert node.module
            if not (ROOT / node.module.replace(".", "/") / "__init__.py").exists():
                yield f"{node.lineno} imports from {node.module}, a module inside a room"
                continue
            offered = OPEN_ROOMS if node.module == "worldmodel" else set(importlib.import_module(node.module).__all__)
            missing = [alias.name for alias in node.names if alias.name not in offered]
            yield from (f"{node.lineno} imports {name}, which {node.module} does not offer" for name in missing)


def test_benchmarks_import_only_what_the_rooms_offer():
    files = python_files("benchmarks")
    findings = [f"{path.relative_to(ROOT)}:{finding}" for path in files for finding in foreign_imports(path)]
    assert not findings, "\n".join(findings)


def test_benchmarks_know_no_command_line_framework():
    strangers = [
        f"{path.relative_to(ROOT)}:{line} imports {package}"
        for path in python_files("benchmarks")
        for line, package in imported_packages(parse(path))
        if package in ("hydra", "omegaconf", "worldmodel.cli")
    ]
    assert not strangers, "\n".join(strangers)


@pytest.mark.parametrize("room", sorted(OPEN_ROOMS))
def test_rooms_offer_what_they_say(room: str):
    package = importlib.import_module(f"worldmodel.{room}")
    assert sorted(package.__all__) == sorted(set(package.__all__))
    assert [name for name in package.__all__ if not hasattr(package, name) or name.startswith("_")] == []


def room_files(room: str) -> list[Path]:
    return python_files(room if room in LEAF_IMPORTS else f"worldmodel/{room}")


def test_hydra_is_known_to_the_command_line_only():
    strangers = {
        path.relative_to(ROOT).parts[:2]
        for path in python_files("worldmodel", "envs", "planners", "examples")
        for _, package in imported_packages(parse(path))
        if package in ("hydra", "omegaconf")
    }
    assert strangers == {("worldmodel", "cli")}


@pytest.mark.parametrize("room", WITHOUT_HEAVY_LIBRARIES)
def test_light_rooms_do_without_heavy_libraries(room):
    found = {package for path in room_files(room) for _, package in imported_packages(parse(path))}
    assert not found & WITHOUT_HEAVY_LIBRARIES[room]


# ---------------------------------------------------------------------------------------------------------------------
# names, sizes and signatures


@pytest.mark.parametrize("folders", [("worldmodel", "envs", "planners"), ("benchmarks",)])
def test_no_two_modules_have_the_same_name(folders: tuple[str, ...]):
    paths = defaultdict(list)
    for path in python_files(*folders):
        if path.stem not in ("__init__", "__main__"):
            paths[path.stem].append(str(path.relative_to(ROOT)))
    shared = {name: found for name, found in paths.items() if len(found) > 1}
    assert not shared


@pytest.mark.parametrize("folders", [("worldmodel", "envs", "planners"), ("benchmarks",)])
def test_no_two_classes_have_the_same_name(folders: tuple[str, ...]):
    paths = defaultdict(list)
    for path in python_files(*folders):
        for node in parse(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                paths[node.name].append(str(path.relative_to(ROOT)))
    shared = {name: found for name, found in paths.items() if len(found) > 1}
    assert not shared


def test_no_function_class_or_module_is_too_long():
    too_long = {
        str(path.relative_to(ROOT)): what
        for path in python_files("worldmodel", "envs", "planners", "benchmarks", "examples", "docs")
        if (what := list(long_parts(path)))
    }
    assert not too_long


def long_parts(path: Path) -> Iterator[str]:
    """What in a file has more lines than it should."""
    text = path.read_text(encoding="utf-8")
    if (num := len(text.splitlines())) > MAX_MODULE_LINES:
        yield f"module of {num} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            num = (node.end_lineno or 0) - node.lineno + 1
            if num > (MAX_CLASS_LINES if isinstance(node, ast.ClassDef) else MAX_FUNCTION_LINES):
                yield f"{node.name} of {num} lines"


def test_rooms_exchange_typed_values():
    untyped = {
        str(path.relative_to(ROOT)): names
        for path in python_files("worldmodel", "envs", "planners")
        if (names := list(untyped_functions(parse(path))))
    }
    assert not set(untyped) - PLAIN_VALUES, untyped
    assert PLAIN_VALUES <= set(untyped), "files that exchange only typed values by now"


def untyped_functions(node: ast.AST) -> Iterator[str]:
    """Public functions and methods with `dict[str, Any]` or `Mapping[str, Any]` in their signature."""
    for item in getattr(node, "body", []):
        if isinstance(item, ast.ClassDef) and not item.name.startswith("_"):
            yield from untyped_functions(item)
        elif isinstance(item, ast.FunctionDef) and re.match(r"[a-z]|__init__|__call__", item.name):
            arguments = item.args.posonlyargs + item.args.args + item.args.kwonlyargs
            signature = [argument.annotation for argument in arguments] + [item.returns]
            if any(hint and re.search(r"(dict|Mapping)\[str, Any\]", ast.unparse(hint)) for hint in signature):
                yield item.name


PARAMETERS = {("design_result.py", "ChosenPolicy.parameters"), ("compare_result.py", "Setting")}
"""What results hold as a name with parameters: another package says which a policy or a method has."""


def test_results_hold_typed_values():
    files = [path for path in python_files("worldmodel") if re.search(r"(_result|results|summary)\.py$", path.name)]
    untyped = {
        (path.name, f"{owner.name}.{ast.unparse(item.target)}")
        for path in files
        for owner in parse(path).body
        if isinstance(owner, ast.ClassDef)
        for item in owner.body
        if isinstance(item, ast.AnnAssign) and "Any" in ast.unparse(item.annotation)
    } | {
        (path.name, ast.unparse(item.targets[0]))
        for path in files
        for item in parse(path).body
        if isinstance(item, ast.Assign) and "Any" in ast.unparse(item.value)
    }
    assert untyped == PARAMETERS


# ---------------------------------------------------------------------------------------------------------------------
# what no code here may do


def test_configs_hold_only_yaml():
    files = [path for path in (ROOT / "configs").rglob("*") if path.is_file()]
    assert files, "no files in configs/"
    assert [str(path.relative_to(ROOT)) for path in files if path.suffix != ".yaml"] == []


def test_no_code_runs_code_found_in_data():
    findings = [
        f"{path.relative_to(ROOT)}:{line} {what}"
        for path in python_files("worldmodel", "envs", "planners", "benchmarks", "examples", "tests")
        for line, what in unsafe_constructs(parse(path))
    ]
    # Tests may write a hostile pickle, to show that it is refused.
    findings += [
        f"{path.relative_to(ROOT)}:{line} imports {package}"
        for path in python_files("worldmodel", "envs", "planners", "benchmarks", "examples")
        for line, package in imported_packages(parse(path))
        if package in UNPICKLERS
    ]
    assert not findings, "\n".join(findings)


@pytest.mark.parametrize(
    ("code", "num_findings"),
    [
        ("torch.load(path)", 1),
        ("torch.load(path, weights_only=False)", 1),
        ("torch.load(path, weights_only=True)", 0),
        ("fabric.load(path, weights_only=False)", 1),
        ("numpy.load(path, allow_pickle=True)", 1),
        ("numpy.load(path, allow_pickle=False)", 0),
        ("eval(text)", 1),
        ("model.eval()", 0),
    ],
)
def test_unsafe_constructs_are_recognised(code, num_findings):
    assert len(list(unsafe_constructs(ast.parse(code)))) == num_findings


def test_no_text_teaches_unsafe_loading():
    texts = [
        path for folder in ("configs", "docs", "examples") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    texts += ROOT.glob("*.md")
    suffixes = {".md", ".yaml", ".yml", ".ipynb", ".txt"}
    teaching = [
        str(path.relative_to(ROOT))
        for path in texts
        if path.suffix in suffixes and "weights_only=" + "False" in path.read_text(encoding="utf-8")
    ]
    assert teaching == []
