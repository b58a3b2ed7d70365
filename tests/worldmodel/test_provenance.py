"""A world that was edited is not taken for the one that a data set was recorded in."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.data.collecting import collect
from worldmodel.data.index import Index, RecordingRecord, WorldArguments, WorldDigest, read_index, write_index
from worldmodel.data.provenance import Provenance, check_same_world, model_digest, provenance
from worldmodel.evaluation.trust import warn_if_edited
from worldmodel.runs import Run, read_summary
from worldmodel.settings import CollectConfig, EnvConfig, TrainConfig
from worldmodel.system.errors import StoreError

MJCF = """<mujoco><worldbody><light pos="0 -1 2"/><camera name="c" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/>
<body name="b"><joint name="h" type="hinge" axis="0 1 0"/><geom type="capsule" size=".05" fromto="0 0 0 0 0 -.5"/>
</body></worldbody><actuator><motor joint="h" ctrlrange="-1 1"/></actuator></mujoco>"""
WORLD = """from pathlib import Path
from worldmodel import envs
def factory():
    return envs.MjcfScene(Path(__file__).parent / "pole.xml", name="pole", control_dt_s=0.02)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pole.xml").write_text(MJCF)
    (tmp_path / "world.py").write_text(WORLD)
    return tmp_path


def arguments(folder: Path) -> WorldArguments:
    return WorldArguments(f"{folder / 'world.py'}:factory", image_size=16)


def now(folder: Path) -> Provenance:
    return provenance(arguments(folder), envs.make(arguments(folder).name, image_size=16))


def edit(path: Path, old: str, new: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))

    return apply


def index_of(found: Provenance) -> Index:
    return Index("pole", 1, 1, RecordingRecord(drift_rho=None), found.record, found.digest)


def test_the_same_world_made_again_is_the_same(folder: Path):
    first = now(folder)
    check_same_world(folder, index_of(first), arguments(folder), now(folder))
    assert now(folder) == first


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (edit(Path("pole.xml"), "0 0 -.5", "0 0 -.6"), "its compiled model"),
        (edit(Path("pole.xml"), "<light", '<light diffuse="1 0 0"'), "its compiled model"),
        (edit(Path("pole.xml"), "<worldbody>", '<option gravity="0 0 -9.8"/><worldbody>'), "its compiled model"),
        (edit(Path("pole.xml"), "<worldbody>", '<visual><headlight ambient="0 0 0"/></visual><worldbody>'), "model"),
        (edit(Path("world.py"), "def", "# a reward, say\ndef"), "its Python file"),
        (edit(Path("world.py"), "0.02", "0.04"), "its control_dt_s, its Python file"),
    ],
    ids=["length", "light", "gravity", "headlight", "source", "control step"],
)
def test_an_edited_world_is_refused_and_what_changed_is_named(folder: Path, change: Callable, told: str):
    index = index_of(now(folder))
    change(folder)
    with pytest.raises(StoreError, match=f"recorded in another world than .*{told}.* changed.*; record anew") as caught:
        check_same_world(folder, index, arguments(folder), now(folder))
    assert "\n" not in str(caught.value)


def test_comments_in_an_mjcf_file_are_not_the_world(folder: Path):
    index = index_of(now(folder))
    edit(Path("pole.xml"), "<worldbody>", "<!-- an arm --><worldbody>")(folder)
    check_same_world(folder, index, arguments(folder), now(folder))


def test_models_of_another_version_of_the_simulator_and_data_without_a_digest_are_accepted(folder: Path):
    index = index_of(now(folder))
    edit(Path("pole.xml"), "0 0 -.5", "0 0 -.6")(folder)
    assert index.digest is not None
    older = replace(index, digest=replace(index.digest, simulator="3.3.0"))
    for accepted in (older, replace(index, digest=None)):
        check_same_world(folder, accepted, arguments(folder), now(folder))


def test_digests_do_not_hang_on_the_last_bits_of_a_machine():
    first, second = (envs.make("puck").scene.model for _ in range(2))
    digest = model_digest(first)
    second.body_mass[:] = np.nextafter(second.body_mass, np.inf)
    second.body_quat[np.abs(second.body_quat) < 1e-16] = 1e-17
    assert model_digest(second) == digest
    second.body_mass[-1] *= 1 + 1e-6
    assert model_digest(second) != digest


def test_a_run_tells_an_edited_world_wherever_its_data_set_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    env = EnvConfig(arguments(folder).name, "pole", image_size=16)
    collection = CollectConfig(env, {"name": "ou"}, episodes=10, episode_steps=3, data="data")
    summary = read_summary(Path(__file__).parent.parent / "fixtures/run-v0.1/summary.json")

    def said(digest: WorldDigest | None) -> str:
        train = replace(summary.train, data=replace(summary.train.data, world=digest))
        run = SimpleNamespace(path=Path("runs/pole"), config=TrainConfig(collection), train=train)
        warn_if_edited(run, envs.make(env.world, image_size=16))  # type: ignore[arg-type]
        return capsys.readouterr().out

    monkeypatch.chdir(folder)
    before = now(folder).digest
    assert said(before) == ""
    assert "not checked: whether pole was edited since runs/pole was trained; neither the run nor" in said(None)
    edit(Path("pole.xml"), "0 0 -.5", "0 0 -.6")(folder)
    told = "warning: runs/pole was trained in another world than pole is now \\(its compiled model changed\\); what it"
    assert re.match(told, said(before))
    assert "; MuJoCo 3.3.0 compiled it then, and" in said(replace(before, simulator="3.3.0"))
    collection.directory.mkdir(parents=True)  # a run of an earlier version asks its data set
    write_index(collection.directory, replace(index_of(now(folder)), digest=before))
    assert re.match(told, said(None))


def test_nothing_is_said_of_a_world_that_ships_with_the_toolkit_where_an_old_run_holds_no_digest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    run = Run("zoo/reacher")
    assert run.train.data.world is None
    warn_if_edited(run, envs.make(**run.config.env.make_arguments()))
    assert "not checked" not in capsys.readouterr().out


def test_a_finished_data_set_is_not_used_for_a_world_that_was_edited_since(folder: Path):
    env = EnvConfig(arguments(folder).name, "pole", image_size=16)
    config = CollectConfig(env, {"name": "ou"}, episodes=2, episode_steps=3, data=str(folder / "data"), workers=1)
    collect(config)
    assert isinstance(read_index(config.directory).digest, WorldDigest)
    collect(config)
    (folder / "world.py").rename(folder / "elsewhere.py")  # where the file is not, nobody edited it
    collect(config)
    (folder / "elsewhere.py").rename(folder / "world.py")
    edit(Path("pole.xml"), "0 0 -.5", "0 0 -.6")(folder)
    for episodes in (2, 5):
        with pytest.raises(StoreError, match=r"recorded in another world than .*its compiled model changed"):
            collect(replace(config, episodes=episodes))
    write_index(config.directory, replace(read_index(config.directory), digest=None))
    assert collect(config).episodes == 2
