"""Every reader of files that somebody else may have written: the file, how it is changed, and the reading function."""

import functools
import io
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pyarrow
from pyarrow import parquet

from benchmarks.trust.fuzzing.archives import as_arrays, as_checkpoint, as_safetensors
from benchmarks.trust.fuzzing.columnar import as_hdf5, as_parquet
from benchmarks.trust.fuzzing.media import as_mp4, as_picture
from benchmarks.trust.fuzzing.texts import Mutation, as_csv, as_json, as_json_lines, as_mjcf, as_yaml, raw
from benchmarks.trust.fuzzing.valid import CAMERA, FPS, STAGES, read_all
from worldmodel.data import DataSet, convert, open_foreign
from worldmodel.envs import make
from worldmodel.identifying import open_recording, other_model
from worldmodel.learning import Trainer, verify_run
from worldmodel.models import WorldModel
from worldmodel.reporting import report
from worldmodel.runs import ControlResult, RunDirectory, read_record, read_summary
from worldmodel.settings import ReportConfig, read_run_config
from worldmodel.viewing import read_command


@dataclass(frozen=True)
class FuzzedReader:
    """A kind of file and its reader."""

    file: str
    """Which of the valid files is changed."""
    mutation: Mutation
    """One change of its format."""
    read: Callable[[Path], object]
    """Reads it, where it lies in the folder of valid files."""

    def changed(self, rng: Random, content: bytes) -> bytes:
        """Valid content with some changes of its format, and sometimes one of its bytes."""
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            with suppress(Exception):  # the second time, the format may be gone
                content = self.mutation(rng, content)
        return raw(rng, content) if rng.random() < 0.1 else content


def _foreign(folder: Path) -> None:
    with closing(open_foreign(folder)) as foreign:
        for number in range(foreign.num_episodes):
            if not foreign.columns(number).problem():
                foreign.frames(number, 8)


def _resumed(folder: Path) -> None:
    Trainer(RunDirectory(folder / "run"), WorldModel.load(folder / "run"), STAGES, 0)


def _converted(folder: Path) -> None:
    convert(folder / "foreign.h5", folder / "converted", image_size=8)


def _clip(name: str) -> Callable[[Path], object]:
    world: Any = SimpleNamespace(name="clip", control_dt_s=1 / FPS, scene=SimpleNamespace(action_dim=2))
    return lambda folder: open_recording(str(folder / "clip" / name), world, 8)


@functools.cache
def _scene() -> Any:
    return make("puck").scene


@functools.lru_cache(maxsize=2)  # the valid content, and that after a first change
def _table(content: bytes) -> pyarrow.Table:
    return parquet.read_table(io.BytesIO(content))


def _pictures_in_table(rng: Random, content: bytes) -> bytes:
    """A table whose pictures are changed, one by one."""
    table, file = _table(content), io.BytesIO()
    pictures = table[CAMERA].to_pylist()
    index = rng.randrange(len(pictures))
    pictures[index] = {"bytes": as_picture(rng, pictures[index]["bytes"]), "path": ""}
    column = table.column_names.index(CAMERA)
    parquet.write_table(table.set_column(column, CAMERA, pyarrow.array(pictures)), file)
    return file.getvalue()


_ROWS, _EPISODES = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"

READERS: dict[str, FuzzedReader] = {
    "settings of a run": FuzzedReader("run/config.yaml", as_yaml, lambda folder: read_run_config(folder / "run")),
    "model description": FuzzedReader("run/model.json", as_json, lambda folder: WorldModel.load(folder / "run")),
    "weights": FuzzedReader("run/model.safetensors", as_safetensors, lambda folder: WorldModel.load(folder / "run")),
    "checkpoint": FuzzedReader("run/trainer.pt", as_checkpoint, _resumed),
    "summary": FuzzedReader("run/summary.json", as_json, lambda folder: read_summary(folder / "run/summary.json")),
    "result": FuzzedReader("run/control.json", as_json, lambda of: read_record(of / "run/control.json", ControlResult)),
    "log": FuzzedReader("run/metrics.jsonl", as_json_lines, lambda folder: RunDirectory(folder / "run").read_metrics()),
    "page of a summary": FuzzedReader("run/summary.json", as_json, lambda of: report(ReportConfig(str(of / "run")))),
    "page of a figure": FuzzedReader("run/figures/x.png", as_picture, lambda of: report(ReportConfig(str(of / "run")))),
    "runs verify": FuzzedReader("run/model.json", as_json, lambda folder: verify_run(folder / "run")),
    "index": FuzzedReader("data/dataset.json", as_json, lambda folder: read_all(DataSet(folder / "data"))),
    "shard": FuzzedReader("data/shard-00000.h5", as_hdf5, lambda folder: read_all(DataSet(folder / "data"))),
    "stable-worldmodel": FuzzedReader("foreign.h5", as_hdf5, lambda folder: _foreign(folder / "foreign.h5")),
    "stable-worldmodel, converted": FuzzedReader("foreign.h5", as_hdf5, _converted),
    "Minari": FuzzedReader("minari/data/main_data.hdf5", as_hdf5, lambda folder: _foreign(folder / "minari")),
    "LeRobot description": FuzzedReader("images/meta/info.json", as_json, lambda folder: _foreign(folder / "images")),
    "LeRobot episodes": FuzzedReader(f"images/{_EPISODES}", as_parquet, lambda folder: _foreign(folder / "images")),
    "LeRobot rows": FuzzedReader(f"images/{_ROWS}", as_parquet, lambda folder: _foreign(folder / "images")),
    "LeRobot pictures": FuzzedReader(f"images/{_ROWS}", _pictures_in_table, lambda folder: _foreign(folder / "images")),
    "LeRobot film": FuzzedReader(
        f"film/videos/{CAMERA}/chunk-000/file-000.mp4", as_mp4, lambda folder: _foreign(folder / "film")
    ),
    "actions, arrays": FuzzedReader("clip/arrays.npz", as_arrays, _clip("arrays.mp4")),
    "actions, text": FuzzedReader("clip/text.csv", as_csv, _clip("text.mp4")),
    "film": FuzzedReader("clip/text.mp4", as_mp4, _clip("text.mp4")),
    "model file": FuzzedReader(
        "scene.xml", as_mjcf, lambda folder: other_model(_scene(), str(folder / "scene.xml"), [])
    ),
    "command of a page": FuzzedReader(
        "command.json", as_json, lambda of: read_command((of / "command.json").read_bytes())
    ),
}
