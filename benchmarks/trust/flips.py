"""Single flipped bits: each file of a run and of a data set is refused, or read as it was written."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.trust.subjects import Subjects
from worldmodel.data import DataSet
from worldmodel.learning import read_checkpoint
from worldmodel.models import WorldModel
from worldmodel.runs import read_summary
from worldmodel.settings import read_run_config
from worldmodel.system import UserError


@dataclass
class Flipped:
    """Outcomes of the flips in one file."""

    refused: int = 0
    """Flips that were refused in one line."""
    the_same: int = 0
    """Flips that changed nothing that is read, such as in white space or in a zip archive's date."""
    different: list[int] = field(default_factory=list)
    """Numbers of the bits whose flip changed what is read, without a message."""
    crashed: list[str] = field(default_factory=list)
    """Flips that raised any other exception."""


def flips(subjects: Subjects, scratch: Path, num: int, seed: int) -> dict[str, Flipped]:
    """Flip `num` random bits, one at a time, in every kind of file."""
    rng = np.random.default_rng(seed)
    return {
        name: _flip(file, read, scratch / name, min(num, 8 * file.stat().st_size), rng)
        for name, (file, read) in _files(subjects).items()
    }


def _files(subjects: Subjects) -> dict[str, tuple[Path, Callable[[Path], Any]]]:
    """Name -> the file, and how the folder that holds it is read."""
    data, run = subjects.data, subjects.run
    return {
        "shard": (data / "shard-00000.h5", _data),
        "index": (data / "dataset.json", lambda folder: DataSet(folder).index),
        "configuration": (run / "config.yaml", read_run_config),
        "model description": (run / "model.json", _model),
        "weights": (run / "model.safetensors", _model),
        "trainer state": (run / "trainer.pt", lambda folder: read_checkpoint(folder / "trainer.pt")),
        "results": (run / "summary.json", lambda folder: read_summary(folder / "summary.json")),
    }


def _data(folder: Path) -> Any:
    data = DataSet(folder)
    return [data.index, data.length, data.states, data.actions, data.rewards, data.factors, data.map_frames(np.copy)]


def _model(folder: Path) -> Any:
    model = WorldModel.load(folder)
    return [model.config, model.state_dict()]


def _flip(file: Path, read: Callable[[Path], Any], scratch: Path, num: int, rng: np.random.Generator) -> Flipped:
    shutil.copytree(file.parent, scratch)
    before, content, found = read(scratch), file.read_bytes(), Flipped()
    for bit in tqdm(rng.choice(8 * len(content), num, replace=False).tolist(), desc=file.name, leave=False):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (scratch / file.name).write_bytes(damaged)
        try:
            if same(read(scratch), before):
                found.the_same += 1
            else:
                found.different.append(bit)
        except UserError:
            found.refused += 1
        except Exception as error:
            found.crashed.append(f"bit {bit}: {type(error).__name__}: {error}"[:200])
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two nests of containers, arrays and values are equal to the bit."""
    if isinstance(one, torch.Tensor | np.ndarray):
        return type(one) is type(other) and one.shape == other.shape and _bytes(one) == _bytes(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def _bytes(values: torch.Tensor | np.ndarray) -> bytes:
    return np.ascontiguousarray(values.numpy() if isinstance(values, torch.Tensor) else values).tobytes()
