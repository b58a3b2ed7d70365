"""Files that anybody may have written: nothing in them is executed, no other file is opened, and damage is named.

Parsers are fuzzed from valid files. Whatever comes in, either the content comes out or one line for the user.
"""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worldmodel_fakes import EPISODES_PER_SHARD, fake_episode, write_fake_data

from worldmodel.data.index import INDEX_NAME
from worldmodel.data.interchange import open_foreign
from worldmodel.data.shards import shard_path, verify_shard
from worldmodel.data.store import DataSet
from worldmodel.evaluation.trust import check_trusted
from worldmodel.learning.checkpoints import read_checkpoint
from worldmodel.learning.loop import Stage, Trainer
from worldmodel.learning.verifying import verify_run
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.runs import SurpriseResult, check_out
from worldmodel.runs.array_files import write_arrays
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.runs.zoo import find_run
from worldmodel.settings import (
    EncoderConfig,
    EnvConfig,
    OptimConfig,
    PredictorConfig,
    TrainConfig,
    read_run_config,
    write_run_config,
)
from worldmodel.system.digest import digest
from worldmodel.system.errors import UserError
from worldmodel.system.printable import file_name

FUZZED = settings(
    max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
# where a file is changed, and to which bytes
CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)

SETTINGS = {"encoder": {"method.lag": 5}}  # what the weights of the one stage depend on


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._mark),)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_fake_data(folder, [fake_episode(index) for index in range(EPISODES_PER_SHARD)])
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and the state of its trainer."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    encoder = EncoderConfig(input_size=4, latent_dim=3, hidden=5, depth=1)
    model = WorldModel(ModelConfig(encoder, 2, PredictorConfig(history=[0, 1], horizon=2, hidden=4)))
    model.save(folder)
    Trainer(RunDirectory(folder), model, SETTINGS, 0).fit(_stage(model))
    (folder / "config.yaml").write_text("env: {world: reacher}\nepisodes: 7\n")
    return folder


def _stage(model: WorldModel) -> Stage:
    weight = next(model.encoder.parameters())
    return Stage("only", model.encoder, lambda *_: {"loss": weight.square().sum()}, OptimConfig(steps=1))


def open_model(folder: Path) -> None:
    WorldModel.load(folder)


def resume(folder: Path) -> None:
    Trainer(RunDirectory(folder), WorldModel.load(folder), SETTINGS, 0)


def in_folder(tmp_path: Path, source: Path, name: str, content: bytes) -> Path:
    """A copy of a folder with other content in one file."""
    for path in source.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes(content)
    return tmp_path


def changed(content: bytes, changes: list[tuple[float, bytes]]) -> bytes:
    result = bytearray(content)
    for place, replacement in changes:
        start = int(place * len(result))
        result[start : start + len(replacement)] = replacement
    return bytes(result)


def one_line(work: Callable[..., Any], *arguments: Any) -> str:
    """What a user is told; empty where nothing is wrong. Any other exception is a failure of the test."""
    try:
        work(*arguments)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        return str(error)
    return ""


# ---------------------------------------------------------------------------------------------------------------------
# nothing is executed, nothing escapes


@pytest.mark.parametrize("name", ["trainer.pt", "model.safetensors"])
@pytest.mark.parametrize("inside_zip", [False, True])
def test_a_pickle_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, run: Path, name: str, inside_zip: bool):
    mark = tmp_path / "mark"
    content = pickle.dumps({"schema": 1, "model": Bomb(mark)})
    folder = in_folder(tmp_path, run, name, content)
    if inside_zip:  # as torch.save writes its files
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("archive/data.pkl", content)
            archive.writestr("archive/version", "3")
    assert name in one_line(resume, folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "env: !!python/object/apply:os.mkdir [MARK]",
        "env: {world: !!python/name:os.system ''}",
        "_target_: os.mkdir\npath: MARK",
        "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nepisodes: [*c, *c]",
        "episodes: ${oc.env:HOME}",
        "episodes: ${episodes}",
        "episodes: " + "[" * 3000,
        "\0",
        "x" * 2**21,
    ],
)
def test_a_config_runs_nothing_and_unfolds_nothing(tmp_path: Path, text: str):
    mark = tmp_path / "mark"
    (tmp_path / "config.yaml").write_text(text.replace("MARK", str(mark)))
    assert "config.yaml" in one_line(read_run_config, tmp_path)
    assert not mark.exists()


def external(file: h5py.File, secret: Path) -> None:
    file.create_dataset("state", (7, 3), "f4", external=[(str(secret), 0, 84)])


def linked(file: h5py.File, secret: Path) -> None:
    file["state"] = h5py.ExternalLink(str(secret), "/state")


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((7, 3), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "state", (7, 3))
    file.create_virtual_dataset("state", layout)


def endless(file: h5py.File, secret: Path) -> None:
    file.create_dataset("state", (2**40, 3), "f4", chunks=(1024, 3))


def of_objects(file: h5py.File, secret: Path) -> None:
    file["state"] = np.array(["text"] * 7, h5py.string_dtype())


@pytest.mark.parametrize("trick", [external, linked, virtual, endless, of_objects])
def test_a_shard_opens_no_other_file_and_promises_no_more_than_it_holds(
    tmp_path: Path, data: Path, trick: Callable[[h5py.File, Path], None]
):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["state"] = np.ones((7, 3), "f4")
    folder = tmp_path / "data"
    folder.mkdir()
    shard = shard_path(in_folder(folder, data, "other", b""), 0)
    with h5py.File(shard, "a") as file:
        del file["state"]
        trick(file, secret)
    assert "shard-00000.h5" in one_line(DataSet, folder)
    assert "shard-00000.h5" in one_line(verify_shard, shard)


def test_a_foreign_file_s_links_out_of_it_are_not_followed(tmp_path: Path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["pixels"], file["action"] = np.ones((7, 8, 8, 3), np.uint8), np.ones((7, 2), "f4")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["ep_len"], file["ep_offset"] = [7], [0]
        for name in ("pixels", "action"):
            file[name] = h5py.ExternalLink(str(tmp_path / "secret.h5"), name)
    assert "holds no images" in one_line(open_foreign, tmp_path / "foreign.h5")
    with h5py.File(tmp_path / "foreign.h5", "a") as file:
        del file["pixels"]
        file["pixels"] = np.zeros((7, 8, 8, 3), np.uint8)
    assert "action is missing, or not in the file itself" in one_line(open_foreign(tmp_path / "foreign.h5").columns, 0)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_foreign_folder_s_files_are_files(tmp_path: Path, kind: str):
    main = tmp_path / "minari" / "data" / "main_data.hdf5"
    main.parent.mkdir(parents=True)
    (tmp_path / "secret.h5").touch()
    main.symlink_to(tmp_path / "secret.h5") if kind == "link" else os.mkfifo(main)
    assert "minari" in one_line(open_foreign, tmp_path / "minari")


@pytest.mark.parametrize("name", ["../up", "/absolute", "a/b", ".hidden", "..", "", "a\0b", "a\nb", "x" * 300])
def test_a_name_is_one_folder_s(name: str):
    if name:  # an empty one is replaced by the environment's
        assert "name" in one_line(lambda: TrainConfig(name=name))
    assert "in the zoo" in one_line(find_run, f"zoo/{name}")


def test_a_lerobot_description_names_no_other_folder(tmp_path: Path):
    (tmp_path / "meta").mkdir()
    feature = {"dtype": "image", "shape": [8, 8, 3]}
    info = {"codebase_version": "v3.0", "fps": 10, "features": {"../../secret": feature, "action": {}}}
    (tmp_path / "meta" / "info.json").write_text(json.dumps(info))
    assert "secret" in one_line(open_foreign, tmp_path)


# ---------------------------------------------------------------------------------------------------------------------
# checksums


@pytest.mark.parametrize("name", ["trainer.pt", "model.safetensors"])
def test_a_flipped_bit_in_a_checkpoint_is_found_and_named(tmp_path: Path, run: Path, name: str):
    content = bytearray((run / name).read_bytes())
    predictor = WorldModel.load(run).predictor  # training left it as it was
    assert predictor is not None
    weights = max(predictor.state_dict().values(), key=torch.numel)
    place = content.index(weights.numpy().tobytes())
    content[place + 3 * (weights.numel() // 2)] ^= 1
    told = one_line(resume, in_folder(tmp_path, run, name, bytes(content)))
    assert name in told and "checksum" in told


# ---------------------------------------------------------------------------------------------------------------------
# fuzzing


@FUZZED
@given(changes=CHANGES)
@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "trainer.pt", "config.yaml"])
def test_a_run_with_changed_bytes_opens_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, run: Path, name: str, changes: list[tuple[float, bytes]]
):
    content = changed((run / name).read_bytes(), changes)
    folder = in_folder(tmp_path_factory.mktemp("fuzzed"), run, name, content)
    for work in (resume, read_run_config):
        told = one_line(work, folder)
        assert not told or name in told or "model.safetensors" in told  # weights that another model.json does not fit


@FUZZED
@given(changes=CHANGES)
def test_a_shard_with_changed_bytes_opens_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, data: Path, changes: list[tuple[float, bytes]]
):
    shard = shard_path(data, 0)
    folder = in_folder(tmp_path_factory.mktemp("fuzzed"), data, shard.name, changed(shard.read_bytes(), changes))

    def read_all() -> None:
        found = DataSet(folder)
        for column in (found.states, found.actions, found.rewards, found.factors, found.map_frames(np.copy)):
            assert len(column) == found.num_rows

    told = one_line(read_all)
    assert not told or shard.name in told
    told = one_line(verify_shard, shard_path(folder, 0))
    assert not told or shard.name in told


@FUZZED
@given(key=st.sampled_from(["name", "num_episodes", "episodes_per_shard", "settings", "world", "schema"]), value=JSON)
def test_an_index_with_other_values_opens_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, data: Path, key: str, value: Any
):
    whole = json.loads((data / INDEX_NAME).read_text())
    del whole["sha256"]  # it would refuse every change
    content = {**whole, key: value}
    inside = {**whole, "world": {**whole["world"], "state_names": value, "factors": value}}
    for index in (content, inside):
        folder = in_folder(tmp_path_factory.mktemp("fuzzed"), data, "dataset.json", json.dumps(index).encode())
        told = one_line(lambda folder=folder: DataSet(folder).states)
        assert not told or str(folder) in told


@FUZZED
@given(
    path=st.lists(
        st.sampled_from(
            ["model", "encoder", "predictor", "hidden", "kind", "latent_dim", "history", "schema", "action_dim"]
        ),
        min_size=1,
        max_size=3,
    ),
    value=JSON,
)
def test_a_model_description_with_other_values_opens_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, run: Path, path: list[str], value: Any
):
    content = json.loads((run / "model.json").read_text())
    place = content
    for key in path[:-1]:
        if not isinstance(place.get(key), dict):
            break
        place = place[key]
    place[path[-1]] = value
    folder = in_folder(tmp_path_factory.mktemp("fuzzed"), run, "model.json", json.dumps(content).encode())
    told = one_line(open_model, folder)
    assert not told or "model." in told


@FUZZED
@given(changes=CHANGES)
def test_foreign_files_with_changed_bytes_open_or_are_named(
    tmp_path_factory: pytest.TempPathFactory, data: Path, changes: list[tuple[float, bytes]]
):
    """A shard of ours is also a file in stable-worldmodel's layout."""
    path = tmp_path_factory.mktemp("fuzzed") / "foreign.h5"
    path.write_bytes(changed(shard_path(data, 0).read_bytes(), changes))

    def read_all() -> None:
        foreign = open_foreign(path)
        for number in range(foreign.num_episodes):
            columns = foreign.columns(number)
            if not columns.problem():
                assert len(foreign.frames(number)) == len(columns.actions) + 1

    told = one_line(read_all)
    assert not told or "foreign.h5" in told


# ---------------------------------------------------------------------------------------------------------------------
# damage and malice in small


def everything(folder: Path) -> list[Any]:
    data = DataSet(folder)
    return [torch.from_numpy(values) for values in (data.length, data.states, data.actions, data.map_frames(np.copy))]


READERS: dict[str, Callable[[Path], Any]] = {
    "shard-00000.h5": everything,
    "dataset.json": lambda folder: DataSet(folder).index,
    "config.yaml": read_run_config,
    "model.json": lambda folder: WorldModel.load(folder).config,
    "model.safetensors": lambda folder: list(WorldModel.load(folder).state_dict().values()),
    "trainer.pt": lambda folder: read_checkpoint(folder / "trainer.pt"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_flipped_bit_is_refused_or_means_nothing(tmp_path: Path, data: Path, run: Path, name: str):
    source = data if (data / name).exists() else run
    if name == "config.yaml":
        source = tmp_path / "settings"
        source.mkdir()
        write_run_config(source, TrainConfig())
    content, rng = (source / name).read_bytes(), np.random.default_rng(0)
    folder = tmp_path / "flipped"
    folder.mkdir()
    before = digest(READERS[name](in_folder(folder, source, name, content)))
    for bit in rng.choice(8 * len(content), 40, replace=False).tolist():
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(damaged)
        try:
            assert digest(READERS[name](folder)) == before, f"bit {bit} changes what is read"
        except UserError as error:
            assert "\n" not in str(error)


def deflated(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**7)


def stretched(path: Path) -> None:
    torch.save({"schema": 2, "model": torch.zeros(1).expand(10**11)}, path)


def laughing(path: Path) -> None:
    nested: list[Any] = [0]
    for _ in range(50):
        nested = [nested, nested]
    torch.save({"schema": 2, "model": nested}, path)


def of_holes(path: Path) -> None:
    path.touch()
    os.truncate(path, 10**12)


@pytest.mark.parametrize("trick", [deflated, stretched, laughing, of_holes, os.mkfifo])
def test_a_checkpoint_takes_no_more_than_its_file(tmp_path: Path, trick: Callable[[Path], None]):
    trick(tmp_path / "trainer.pt")
    assert "trainer.pt" in one_line(read_checkpoint, tmp_path / "trainer.pt")


@pytest.mark.parametrize("part", ["meta", "data"])
def test_a_recording_s_folders_are_folders(tmp_path: Path, part: str):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "main_data.hdf5").touch()
    (tmp_path / "elsewhere" / "info.json").write_text("{}")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / part).symlink_to(tmp_path / "elsewhere")
    assert "leads out of" in one_line(open_foreign, tmp_path / "foreign")


def test_an_episode_of_another_file_is_no_episode(tmp_path: Path):
    main = tmp_path / "minari" / "data" / "main_data.hdf5"
    main.parent.mkdir(parents=True)
    with h5py.File(main, "w") as file:
        file["episode_0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")
    assert "holds no episodes" in one_line(open_foreign, tmp_path / "minari")


@pytest.mark.parametrize("name", ["figures", "videos", ".lock"])
def test_a_run_s_links_are_not_written_through(tmp_path: Path, name: str):
    mine = tmp_path / "mine"
    mine.touch() if name == ".lock" else mine.mkdir()
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    (run.path / name).symlink_to(mine)
    told = one_line(lambda: run.locked().__enter__() if name == ".lock" else getattr(run, name))
    assert name in told and "link" in told


def test_a_name_of_a_stranger_is_part_of_no_path():
    assert file_name("../../etc/x y\u202e") == ".._.._etc_x_y_"


def test_out_replaces_only_what_is_of_its_kind(tmp_path: Path):
    thesis = tmp_path / "thesis.json"
    thesis.write_text('{"thesis": 1}')
    assert "overwrite=true" in one_line(check_out, str(thesis), SurpriseResult, False)
    assert not one_line(check_out, str(thesis), SurpriseResult, True)
    assert not one_line(check_out, str(tmp_path / "new.json"), SurpriseResult, False)


def test_a_run_is_verified_to_the_last_file(tmp_path: Path, run: Path):
    folder = in_folder(
        tmp_path, run, "model.json", (run / "model.json").read_bytes().replace(b'"depth": 1', b'"depth": 2')
    )
    found = verify_run(folder)
    assert not found.is_whole and any("model.json is damaged" in line for line in found.damaged)
    assert any("summary.json" in line for line in found.damaged)  # this run was not finished
    assert f"{folder}/config.yaml carries no checksum" in " ".join(found.warnings)


def test_a_calibration_is_verified_as_a_file_of_its_run(tmp_path: Path, run: Path):
    folder = in_folder(tmp_path, run, "summary.json", b"{}")
    path = folder / "identify" / "calibration.npz"
    write_arrays(path, {"floor": np.arange(100.0)})
    assert "identify/calibration.npz" in verify_run(folder).files
    path.write_bytes(path.read_bytes().replace(np.array(50.0).tobytes(), np.array(51.0).tobytes()))
    assert any(line.startswith(f"{path} is damaged") for line in verify_run(folder).damaged)


@pytest.mark.parametrize(
    ("world", "needs"),
    [
        ("gym:Hopper-v5", False),
        ("gym:Hopper-v5?frame_skip=4", False),
        ("gym:Hopper-v5?xml_file=/etc/passwd", True),
        ('gym:Hopper-v5?options={"xml_file": "/etc/passwd"}', True),
        ("gym:antigravity/Fly-v0", True),
    ],
)
def test_a_run_s_environment_opens_files_and_imports_modules_only_if_trusted(world: str, needs: bool):
    env = EnvConfig(world=world)
    assert ("trust_world=true" in one_line(check_trusted, env, False)) == needs
    assert not one_line(check_trusted, env, True)


ONLY_SHAPES = """
import sys
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.models.without_memory import without_memory
from worldmodel.settings import ContextConfig, DecoderConfig, EncoderConfig, HeadsConfig, PredictorConfig
for kind in ("mlp", "recurrent", "transformer"):
    encoder, predictor = EncoderConfig(latent_dim=4), PredictorConfig(kind=kind, history=[0, 5, 10])
    config = ModelConfig(encoder, 2, predictor, ContextConfig(dim=2), HeadsConfig(), DecoderConfig(), encoder)
    with without_memory():
        assert all(tensor.is_meta for tensor in WorldModel(config).state_dict().values())
assert "torch._dynamo" not in sys.modules
"""


def test_the_shapes_of_a_model_cost_neither_memory_nor_torch_s_compiler():
    subprocess.run([sys.executable, "-c", ONLY_SHAPES], check=True)
