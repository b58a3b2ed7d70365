"""The public API: what `import worldmodel` offers, and that it stays small and quick."""

import subprocess
import sys
import types

import pytest

import worldmodel as wm

PUBLIC = """
ChoiceResult CollectConfig CollectResult CompareConfig CompareResult ControlConfig ControlResult DataSet DesignConfig
DesignResult IdentifyConfig IdentifyResult ImagineConfig ImagineResult PositionsConfig PositionsResult ProbeConfig
ProbeResult ReportConfig RobustConfig RobustResult Run SurpriseConfig SurpriseResult TrainConfig TrainResult UserError
ViewConfig ViewResult WorldModel WorldsConfig WorldsResult choose collect compare control design envs identify imagine
planners positions probe recipe report robust surprise train view worlds zoo
"""


def test_the_public_names_are_these():
    assert sorted(wm.__all__) == sorted(PUBLIC.split())


@pytest.mark.parametrize("name", PUBLIC.split())
def test_every_public_name_exists_and_says_what_it_is(name: str):
    value = getattr(wm, name)
    assert value.__doc__
    assert isinstance(value, types.ModuleType) == (name in ("envs", "planners"))


def test_a_name_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(AttributeError, match=r"it has .*train"):
        _ = wm.fly


def test_importing_the_package_imports_no_heavy_library():
    heavy = "{'torch', 'mujoco', 'hydra', 'matplotlib', 'h5py', 'gymnasium', 'scipy', 'sklearn'}"
    for code in ("import worldmodel", "import worldmodel as wm; wm.recipe('push_t')"):
        done = subprocess.run(
            [sys.executable, "-c", f"{code}; import sys; print(sorted(set(sys.modules) & {heavy}))"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == "[]"


def test_help_imports_neither_torch_nor_mujoco():
    code = (
        "import sys, io, contextlib\nfrom worldmodel.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): assert main({!r}) == 0\n"
        "print(sorted(set(sys.modules) & {{'torch', 'mujoco', 'matplotlib', 'h5py', 'scipy'}}))"
    )
    for arguments in (["--help"], ["train", "env=push_t", "--help"], ["control", "--help"], ["design", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(arguments)], check=True, capture_output=True, text=True
        )
        assert done.stdout.strip() == "[]", arguments
