"""Cost of checksums at the start of a training: CPU time before its first step, with them and without."""

import dataclasses
import hashlib
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from tqdm import trange

from worldmodel.data import collect
from worldmodel.learning import Trainer, train
from worldmodel.settings import TrainConfig, recipe


class _Started(Exception):
    """The first step of the training would follow."""


class _Known:
    """A checksum that was computed before, in place of one that is computed."""

    def __init__(self, value: str) -> None:
        self.hexdigest, self.update = lambda: value, lambda _: None


class _Remembering:
    """Computes checksums, and notes them in the order in which they were asked for."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __call__(self, content: Any = b"") -> Any:
        self.made.append(_SHA256(content))
        return self.made[-1]

    def known(self) -> Callable[..., _Known]:
        """A function that gives the same checksums in the same order, without computing them."""
        values = iter([made.hexdigest() for made in self.made])
        return lambda *_: _Known(next(values))


_SHA256 = hashlib.sha256


def verification(world: str, repeats: int, scratch: Path) -> dict[str, Any]:
    """CPU-seconds of the start of a world's default training, medians. Its data set is recorded first where it is
    missing, and stays."""
    torch.set_num_threads(1)
    recorded = recipe(world)
    collect(recorded.collection)
    config = dataclasses.replace(recorded, runs=str(scratch), device="cpu")
    remembering = _Remembering()
    _start_s(config, remembering)  # loads what is loaded once, too
    computed: list[float] = []
    known: list[float] = []
    for _ in trange(repeats, desc="starts", unit="pair"):  # in turn, since other work on the machine comes and goes
        computed.append(_start_s(config, _SHA256))
        known.append(_start_s(config, remembering.known()))
    cost = statistics.median(computed) - statistics.median(known)
    shards = recorded.collection.directory.glob("shard-*.h5")
    return {
        "megabytes": round(sum(shard.stat().st_size for shard in shards) / 1e6, 1),
        "start_cpu_s": round(statistics.median(computed), 3),
        "start_without_checksums_cpu_s": round(statistics.median(known), 3),
        "cost_cpu_s": round(cost, 3),
        "each_start_cpu_s": [[round(value, 3) for value in pair] for pair in zip(computed, known, strict=True)],
    }


def _start_s(config: TrainConfig, sha256: Callable[..., Any]) -> float:
    """CPU-seconds until the first step."""
    shutil.rmtree(config.runs, ignore_errors=True)
    start = time.process_time()
    with mock.patch.object(hashlib, "sha256", sha256), mock.patch.object(Trainer, "fit", side_effect=_Started):
        try:
            train(config)
        except _Started:
            return time.process_time() - start
    raise AssertionError("this training has no first step")
