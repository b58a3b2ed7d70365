"""Cost of hostile runs, data sets and recordings until they are refused: seconds and memory, each in its own process.

Every file here is small to send and large to read: it promises more than it holds, or never ends.
"""

import json
import multiprocessing
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from benchmarks.trust.subjects import Subjects
from worldmodel import envs
from worldmodel.data import DataSet, convert
from worldmodel.identifying import other_model
from worldmodel.learning import read_checkpoint, verify_run
from worldmodel.models import WorldModel
from worldmodel.reporting import report
from worldmodel.settings import ReportConfig, read_run_config
from worldmodel.system import UserError, forget_peak, peak_resident_bytes

PATIENCE_S = 60.0
"""After so many seconds a reader counts as hanging."""
_SPARSE_BYTES = 10**12


@dataclass(frozen=True)
class Cost:
    """Cost of one hostile file."""

    seconds: float
    """Wall seconds until it was refused, or left out of a page."""
    megabytes: float
    """Growth of the process's largest memory, 10^6 bytes; a process that it starts has its own limit."""
    told: str
    """What the user reads; empty where it was not refused."""


def hostile(subjects: Subjects, scratch: Path) -> dict[str, Any]:
    """The cost of every hostile file, and the largest."""
    costs = {}
    for name, (make, read) in _CASES.items():
        folder = scratch / name.replace(" ", "-")
        shutil.copytree(subjects.run, folder / "run")
        shutil.copytree(subjects.data, folder / "data")
        make(folder)
        costs[name] = _cost(read, folder)
        shutil.rmtree(folder)
    return {
        "cases": len(costs),
        "not_refused": [name for name, cost in costs.items() if not cost.told],
        "largest_s": max(cost.seconds for cost in costs.values()),
        "largest_mb": max(cost.megabytes for cost in costs.values()),
        "costs": {name: asdict(cost) for name, cost in costs.items()},
    }


def _cost(read: Callable[[Path], object], folder: Path) -> Cost:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.trust.hostile"])  # what an honest file costs too is not counted
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(read, folder, sender))
    start = time.monotonic()
    process.start()
    if not receiver.poll(PATIENCE_S):
        process.kill()
        return Cost(time.monotonic() - start, 0.0, "")
    try:
        return receiver.recv()
    except EOFError:  # killed, such as for its memory
        return Cost(time.monotonic() - start, float("inf"), "")
    finally:
        process.join()


def _measure(read: Callable[[Path], object], folder: Path, sender: Any) -> None:
    os.chdir(folder)
    forget_peak()  # the kernel's own account begins with that of the parent
    before, start, told = peak_resident_bytes(), time.monotonic(), ""
    try:
        told = str(read(folder) or "")
    except UserError as error:
        told = str(error)
    seconds, megabytes = time.monotonic() - start, (peak_resident_bytes() - before) / 1e6
    sender.send(Cost(round(seconds, 3), round(megabytes, 1), told.replace(str(folder), "…")))


# ---------------------------------------------------------------------------------------------------------------------
# readers


def _model(folder: Path) -> None:
    WorldModel.load(folder / "run")


def _checkpoint(folder: Path) -> None:
    read_checkpoint(folder / "run" / "trainer.pt")


def _config(folder: Path) -> None:
    read_run_config(folder / "run")


def _verified(folder: Path) -> str:
    return "; ".join(verify_run(folder / "run").damaged)


def _data(folder: Path) -> None:
    data = DataSet(folder / "data")
    _ = data.states, data.factors


def _page(folder: Path) -> str:
    page = report(ReportConfig("run")).read_text(encoding="utf-8")
    return "left out of the page" if "is left out" in page else ""


def _other_model(folder: Path) -> None:
    other_model(envs.make("puck").scene, str(folder / "scene.xml"), [])


def _converted(folder: Path) -> None:
    convert(folder / "foreign.h5", folder / "converted", image_size=16)


# ---------------------------------------------------------------------------------------------------------------------
# hostile files


def _changed(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Another value in a JSON file, without its checksum, as a stranger would write it."""

    def make(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        content.pop("sha256", None)
        change(content)
        (folder / name).write_text(json.dumps(content))

    return make


def _written(name: str, content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    return make


def _holes(name: str) -> Callable[[Path], None]:
    """A terabyte of holes behind what is there."""
    return lambda folder: os.truncate(folder / name, _SPARSE_BYTES)


def _pipe(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return make


def _wide(folder: Path) -> None:
    """A hidden layer whose masks alone take gigabytes, beside the weights of a small model."""
    _changed("run/model.json", lambda model: model["model"]["predictor"].update(hidden=30_000))(folder)


def _model_file(model: str, mesh: str = "mesh.obj") -> Callable[[Path], None]:
    """A model file, and a named pipe beside it."""

    def make(folder: Path) -> None:
        (folder / "scene.xml").write_text(f"<mujoco>{model}</mujoco>")
        os.mkfifo(folder / mesh)

    return make


def _deflated(folder: Path) -> None:
    """A checkpoint of compressed zeros."""
    with zipfile.ZipFile(folder / "run/trainer.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**9)


def _repeated(folder: Path) -> None:
    """A tensor of one number, repeated a hundred billion times by a stride of zero."""
    torch.save({"schema": 2, "model": torch.zeros(1).expand(10**11)}, folder / "run/trainer.pt")


def _laughs(folder: Path) -> None:
    """Lists that hold one another: two to the fiftieth of values."""
    nested: list[Any] = [0]
    for _ in range(50):
        nested = [nested, nested]
    torch.save({"schema": 2, "model": nested}, folder / "run/trainer.pt")


def _endless(folder: Path) -> None:
    """A column of terabytes that were never written."""
    with h5py.File(folder / "data/shard-00000.h5", "a") as file:
        shape = file["state"].shape[1]
        del file["state"]
        file.create_dataset("state", (2**36, shape), "f4", chunks=(1024, shape))


def _packed(folder: Path) -> None:
    """A recording of black frames, compressed a thousandfold."""
    with h5py.File(folder / "foreign.h5", "w") as file:
        options = {"compression": "gzip", "compression_opts": 1, "chunks": (64, 512, 512, 3)}
        pixels = file.create_dataset("pixels", (8192, 512, 512, 3), "u1", **options)
        for start in range(0, 128, 64):
            pixels[start : start + 64] = 0
        file["action"], file["ep_len"], file["ep_offset"] = np.zeros((8192, 2), "f4"), [8192], [0]


def _png(width: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"\0" * 40


def _figure_of_holes(folder: Path) -> None:
    _written("run/figures/x.png", _png(64))(folder)
    _holes("run/figures/x.png")(folder)


def _many_shards(index: dict[str, Any]) -> None:
    index.update(num_episodes=10**9, episodes_per_shard=1)


def _wide_layers(model: dict[str, Any]) -> None:
    model["model"]["encoder"].update(hidden=50_000)


_ALIASES = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 8)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
_BODIES = '<worldbody><replicate count="100000000"><body><geom size="1"/></body></replicate></worldbody>'
_NESTED = '{"x": ' + "[" * 10**6 + "]" * 10**6 + "}"

_CASES: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "layers of 50,000 units": (_changed("run/model.json", _wide_layers), _model),
    "a predictor of 30,000 units": (_wide, _model),
    "10 million actions": (_changed("run/model.json", lambda m: m["model"].update(action_dim=10**7)), _model),
    "a billion layers": (_changed("run/model.json", lambda m: m["model"]["encoder"].update(depth=10**9)), _model),
    "weights of holes": (_holes("run/model.safetensors"), _model),
    "a header of a terabyte": (_written("run/model.safetensors", (10**12).to_bytes(8, "little") + b"{}"), _model),
    "a description nested a million times": (_written("run/model.json", _NESTED.encode()), _model),
    "a checkpoint of holes": (_holes("run/trainer.pt"), _checkpoint),
    "a compressed checkpoint": (_deflated, _checkpoint),
    "a tensor without an end": (_repeated, _checkpoint),
    "containers that hold one another": (_laughs, _checkpoint),
    "a pipe as checkpoint": (_pipe("run/trainer.pt"), _checkpoint),
    "settings that unfold": (_written("run/config.yaml", _ALIASES.encode()), _config),
    "settings of holes": (_holes("run/config.yaml"), _config),
    "a pipe as settings": (_pipe("run/config.yaml"), _config),
    "a log of holes": (_holes("run/metrics.jsonl"), _verified),
    "results nested a million times": (_written("run/summary.json", _NESTED.encode()), _verified),
    "results of 200 MB": (_written("run/summary.json", b'{"a": "' + b"x" * (200 * 10**6) + b'"}'), _verified),
    "a figure of a billion pixels": (_written("run/figures/x.png", _png(2**15)), _page),
    "a figure of holes": (_figure_of_holes, _page),
    "a pipe as figure": (_pipe("run/figures/x.png"), _page),
    "an index of a billion shards": (_changed("data/dataset.json", _many_shards), _data),
    "a column that was never written": (_endless, _data),
    "a shard of holes": (_holes("data/shard-00000.h5"), _data),
    "a pipe as shard": (_pipe("data/shard-00000.h5"), _data),
    "a recording of black": (_packed, _converted),
    "a pipe as recording": (_pipe("foreign.h5"), _converted),
    "a pipe as mesh": (_model_file('<asset><mesh file="mesh.obj"/></asset>'), _other_model),
    "a model file that includes a pipe": (_model_file('<include file="mesh.obj"/>'), _other_model),
    "a hundred million bodies": (_model_file(_BODIES), _other_model),
}  # fmt: skip
"""Name -> what makes the file in a folder with a run and a data set, and what reads it there."""
