"""The layers of docs/ARCHITECTURE.md, read from the source: what each may import, and what no code here may do."""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEAF_IMPORTS = {
    "envs": {"worldmodel.envs", "numpy", "gymnasium", "mujoco", "dm_control", "dm_env"},
    "planners": {"worldmodel.planners", "torch"},
}
# one module each, imported only where it is asked for
OPTIONAL_IMPORTS = {"envs/warp.py": {"warp", "mujoco_warp"}}
UNPICKLERS = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}


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


def parse(path: Path) -> ast.AST:
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


ROOMS = {path.parent.name for path in (ROOT / "worldmodel").glob("*/__init__.py")} - {"cli", "report"}


def foreign_imports(path: Path) -> Iterator[str]:
    """What a file outside the package imports of it, other than names that a room offers."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.startswith("worldmodel.")]
            yield from (f"{node.lineno} imports {module}; write from {module} import NAME" for module in modules)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "worldmodel":
            assert node.module
            if node.module.count(".") > 1:
                yield f"{node.lineno} imports from {node.module}, which is no room"
                continue
            offered = ROOMS if node.module == "worldmodel" else set(importlib.import_module(node.module).__all__)
            missing = [alias.name for alias in node.names if alias.name not in offered]
            yield from (f"{node.lineno} imports {name}, which {node.module} does not offer" for name in missing)


def test_benchmarks_import_only_what_the_rooms_offer():
    findings = [
        f"{path.relative_to(ROOT)}:{finding}"
        for path in python_files("benchmarks")
        for finding in foreign_imports(path)
    ]
    assert not findings, "\n".join(findings)


def test_benchmarks_know_no_command_line_framework():
    strangers = [
        f"{path.relative_to(ROOT)}:{line} imports {package}"
        for path in python_files("benchmarks")
        for line, package in imported_packages(parse(path))
        if package in ("hydra", "omegaconf", "worldmodel.cli")
    ]
    assert not strangers, "\n".join(strangers)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_rooms_offer_what_they_say(room: str):
    package = importlib.import_module(f"worldmodel.{room}")
    assert sorted(package.__all__) == sorted(set(package.__all__))
    assert [name for name in package.__all__ if not hasattr(package, name) or name.startswith("_")] == []


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
