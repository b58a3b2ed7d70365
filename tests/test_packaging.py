"""The wheel carries all that a user needs, works away from its source, and declares and pins what it imports."""

import ast
import fnmatch
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import worldmodel

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("worldmodel", "envs", "planners")  # folders whose Python is installed, as one package
LINKED = ("envs", "planners", "configs")  # folders that worldmodel/ links to
VERBS = ("collect", "train", "control", "probe", "report", "demo")
# Import names whose distribution is called otherwise, for extras that the test environment does not install.
DISTRIBUTION_OF = {"lightning_fabric": "lightning-fabric", "mujoco_warp": "mujoco-warp", "warp": "mujoco-warp"}
# Rivals that comparisons import inside a function, where the user has them; nothing here needs or installs them.
PEERS = {"stable_worldmodel", "stable_pretraining"}

# Modules of an extra, themselves imported inside a function only.
MODULES_OF_EXTRAS = {"envs/warp.py", "worldmodel/envs/warp.py", "worldmodel/viewing/server.py"}

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REQUIRED = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
EXTRAS = {
    name: [Requirement(text) for text in texts] for name, texts in PYPROJECT["project"]["optional-dependencies"].items()
}
PINS = {
    canonicalize_name(requirement.name): requirement.specifier
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
    for requirement in [Requirement(line)]
}


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def pinned_version(distribution: str) -> str:
    (specifier,) = PINS[canonicalize_name(distribution)]
    return specifier.version


def run(command: list[str], **options) -> str:
    """Standard output of a command; a failure shows all that it said."""
    done = subprocess.run(
        command, **{"cwd": ROOT, **options}, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the source archive, and the wheel that is built from it: what holds of the wheel holds of both."""
    folder = tmp_path_factory.mktemp("built")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)])
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds the wheel's contents, its dependencies being those of this interpreter."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    run([*pip, str(wheel)])
    return folder


@pytest.fixture
def run_installed(installed, tmp_path):
    """Run Python where only the installed wheel can be imported: in an empty folder, and not in the script's (-P)."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "120"}
    return lambda *arguments: run([sys.executable, "-P", *map(str, arguments)], cwd=tmp_path, env=environment)


def test_wheel_carries_every_file_of_its_packages_and_nothing_else(wheel):
    in_source = {
        str(prefix / path.relative_to(ROOT))
        for folder, prefix in (("worldmodel", Path()), *((name, Path("worldmodel")) for name in LINKED))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__" and not path.is_symlink()
    }
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert in_wheel == in_source


def test_source_archive_holds_what_git_knows_and_no_links(built):
    """Links would not survive Windows; caches and runs are nobody's business."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    assert all(member.isfile() for member in members)
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    known = set(run(listed).splitlines())
    added = {member.name.split("/", 1)[1] for member in members} - known
    assert added == {"PKG-INFO"}


@pytest.mark.parametrize(
    "pattern",
    ["worldmodel/configs/env/*.yaml", "worldmodel/configs/planner/*.yaml", "worldmodel/envs/scenes/*/*.xml"],
)
def test_wheel_carries_data_files(wheel, pattern):
    assert fnmatch.filter(zipfile.ZipFile(wheel).namelist(), pattern)


def test_worldmodel_is_the_only_name_that_a_wheel_installs(wheel, run_installed, installed):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert tops == {"worldmodel"}
    for module in ("worldmodel", "worldmodel.envs", "worldmodel.planners"):
        imported_from = run_installed("-c", f"import {module}; print({module}.__file__)").strip()
        assert Path(imported_from).is_relative_to(installed)


def test_folders_of_these_names_in_a_users_project_hide_nothing(run_installed, tmp_path):
    for name in LINKED:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the user's own')")
    code = "import sys; sys.path.insert(0, ''); from worldmodel import envs, planners; print(len(envs.names()))"
    assert int(run_installed("-c", code)) > 20


def test_a_clone_without_links_works(tmp_path):
    """As on Windows without the right to make links: git leaves a small text file in place of each."""
    copy = tmp_path / "clone"
    for folder in (*SOURCES, "configs"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LINKED:
        link = copy / "worldmodel" / name
        link.unlink()
        link.write_text(f"../{name}")
    code = "from worldmodel import envs, planners; from worldmodel.settings.recipes import preset_names; "
    code += "print(envs.__file__, len(preset_names('env')))"
    text = run([sys.executable, "-c", code], cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)})
    where, num_worlds = text.split()
    assert Path(where).is_relative_to(copy / "envs")
    assert int(num_worlds) > 20


def test_console_script_lists_the_verbs(run_installed, installed):
    text = run_installed(installed / "bin" / "worldmodel", "--help")
    assert [verb for verb in VERBS if not re.search(rf"\b{verb}\b", text)] == []


def test_installed_verb_finds_its_configuration(run_installed, installed):
    text = run_installed(installed / "bin" / "worldmodel", "train", "--help")
    environments = sorted(path.stem for path in (installed / "worldmodel" / "configs" / "env").glob("*.yaml"))
    assert environments, "configs/env is empty"
    assert any(re.search(rf"\b{re.escape(name)}\b", text) for name in environments), text


def test_the_package_and_its_wheel_have_one_version(wheel):
    assert wheel.name.startswith(f"worldmodel-{worldmodel.__version__}-")
    assert PYPROJECT["project"]["version"] == worldmodel.__version__


def test_mujoco_stays_below_4():
    (mujoco,) = [requirement for requirement in REQUIRED if requirement.name == "mujoco"]
    assert "4.0.0" not in mujoco.specifier
    assert Version(pinned_version("mujoco")) < Version("4")


def test_direct_dependencies_are_pinned_within_their_ranges():
    build_requires = [Requirement(text) for text in PYPROJECT["build-system"]["requires"]]
    for requirement in [*REQUIRED, *EXTRAS["dev"], *build_requires]:
        assert canonicalize_name(requirement.name) in PINS, f"constraints.txt lacks a pin of {requirement.name}"
        assert pinned_version(requirement.name) in requirement.specifier, requirement


def test_pins_are_exact_and_name_no_build():
    for name, specifiers in PINS.items():
        assert re.fullmatch(r"==[^+*]+", str(specifiers)), f"{name}{specifiers}"


def test_tested_interpreter_is_allowed():
    assert "3.11" in SpecifierSet(PYPROJECT["project"]["requires-python"])


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(top-level package, whether it is imported inside a function) of each absolute import in a file."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0], lazy
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    return visit(ast.parse(path.read_text(encoding="utf-8")), lazy=False)


def test_every_imported_package_is_declared():
    distributions = importlib.metadata.packages_distributions()
    required = names(REQUIRED)
    lazily_allowed = required.union(*(names(extra) for name, extra in EXTRAS.items() if name != "dev"))
    undeclared = set()
    for path in (path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py"))):
        for name, in_function in imports(path):
            lazy = in_function or str(path.relative_to(ROOT)) in MODULES_OF_EXTRAS
            if name in sys.stdlib_module_names or name == "worldmodel" or (lazy and name in PEERS):
                continue
            candidates = distributions.get(name, [DISTRIBUTION_OF.get(name, name)])
            if not {canonicalize_name(candidate) for candidate in candidates} & (lazily_allowed if lazy else required):
                undeclared.add(f"{path.relative_to(ROOT)}: {name}")
    assert not undeclared, (
        "declare these in pyproject.toml, or, for an extra, import them inside a function:\n"
        + "\n".join(sorted(undeclared))
    )


def test_hashes_are_of_the_pinned_versions():
    text = (ROOT / "hashes.txt").read_text(encoding="utf-8")
    hashed = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.M))
    assert len(hashed) > 100 and "torch" not in hashed
    assert {name: version for name, version in hashed.items() if name in PINS and pinned_version(name) != version} == {}


@pytest.mark.parametrize("target", ["hashes", "licences", "sbom", "audit"])
def test_what_a_target_of_the_supply_needs_can_be_made(target: str, tmp_path: Path):
    told = run(["make", "-n", target, f"VENV={tmp_path}/venv", f"PYTHON={sys.executable}"], cwd=ROOT)
    assert f"{tmp_path}/venv/supply" in told
