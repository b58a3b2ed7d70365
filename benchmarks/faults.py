"""Kill collection and training at random instants, and see what is lost (`python -m benchmarks.speed what=faults`).

Each run is started, killed (SIGKILL; its workers end with it) after a random time, started again, and so on until it
ends by itself; what it leaves is then compared with what a run left that nothing disturbed: data sets to the byte; of a
training the weights to the byte, and optimiser, generator and logged losses number by number.
"""

import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from worldmodel.data import Recording, record, recording_of
from worldmodel.learning import train
from worldmodel.runs import Run
from worldmodel.settings import (
    CollectConfig,
    EncoderConfig,
    EnvConfig,
    MethodConfig,
    OptimConfig,
    PredictorConfig,
    TrainConfig,
)
from worldmodel.system import UserError

# times a run may be killed in a row before it is left alone, lest it never ends
MOST_KILLS = 12


@dataclass
class _Tally:
    """What happened to one kind of run."""

    kills: int = 0
    """Kills so far."""
    runs: int = 0
    """Runs that were killed, up to MOST_KILLS times each, and then ended well."""
    undisturbed_s: float = 0.0
    """Seconds of a run that nothing disturbs."""
    differing: list[str] = field(default_factory=list)
    """What came out differently than from the undisturbed run."""


def faults(num_kills: int, seed: int) -> dict[str, Any]:
    """Half of the kills fall on collections, half on trainings; figures of what was lost."""
    rng = np.random.default_rng(seed)
    figures: dict[str, Any] = {"kills": 0, "lost": 0}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bar = tqdm(total=num_kills, desc="kills", unit="kill")
        for name, (run, compare) in _KINDS.items():
            tally = _torment(root / name, run, compare, num_kills // 2, rng, bar)
            figures[f"{name}_kills"], figures[f"{name}_runs"] = tally.kills, tally.runs
            figures[f"{name}_undisturbed_s"] = tally.undisturbed_s
            figures[f"{name}_differing"] = tally.differing
            figures["kills"] += tally.kills
            figures["lost"] += len(tally.differing)
        bar.close()
    return figures


def _torment(
    root: Path,
    run: Callable[[Path], None],
    compare: Callable[[Path, Path], list[str]],
    num_kills: int,
    rng: np.random.Generator,
    bar: Any,
) -> _Tally:
    reference, again, tally = root / "undisturbed", root / "again", _Tally()
    for directory in (reference, again):  # the second time, what both need has been made
        start = time.monotonic()
        if not _run_for(run, directory, None):
            raise UserError(f"a {root.name} run that nothing disturbed failed; try it alone")
        tally.undisturbed_s = time.monotonic() - start
    tally.differing += [f"undisturbed: {what}" for what in compare(reference, again)]
    while tally.kills < num_kills:
        victim, kills = root / f"killed-{tally.runs}", 0
        while True:
            most = min(MOST_KILLS, num_kills - tally.kills)
            patience = rng.uniform(0.02, 1.0) * tally.undisturbed_s if kills < most else None
            if _run_for(run, victim, patience):
                break
            kills += 1
        tally.kills += kills
        tally.runs += 1
        bar.update(kills)
        tally.differing += [f"{victim.name}: {what}" for what in compare(reference, victim)]
        shutil.rmtree(victim)
    return tally


def _run_for(run: Callable[[Path], None], directory: Path, seconds: float | None) -> bool:
    """Run in a process of its own, killed after `seconds`; whether it ended by itself, and well.

    Workers of a collection end with it, in the middle of whatever they do, and may overlap with those of the next.
    """
    context = multiprocessing.get_context("forkserver")
    # imports once, not at every start; workers of a collection start from there, too
    context.set_forkserver_preload(["benchmarks.faults", "torch.utils.tensorboard.writer"])
    process = context.Process(target=_quietly, args=(run, directory))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
    process.join()
    return process.exitcode == 0


def _quietly(run: Callable[[Path], None], directory: Path) -> None:
    torch.set_num_threads(1)
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    run(directory)


# ---------------------------------------------------------------------------------------------------------------------
# what is run and compared

_EPISODES, _STEPS = 24, 11


def _collecting(directory: Path) -> CollectConfig:
    env = EnvConfig(world="reacher", image_size=32)
    policy = {"name": "uniform", "hold_steps": 2}
    return CollectConfig(env, policy, episodes=_EPISODES, episode_steps=_STEPS, data=str(directory), workers=1)


class _ShortShards(Recording):
    """Shards of four episodes, so that kills fall on all parts of the work; a class, to reach the worker processes."""

    @property
    def episodes_per_shard(self) -> int:
        return 4


def _collect(directory: Path) -> None:
    config = _collecting(directory)
    record(directory, _ShortShards(**vars(recording_of(config))), config.episodes, config.workers)


def _same_data(reference: Path, victim: Path) -> list[str]:
    """Names of files that differ, are missing or are left over."""
    names = {path.name for path in [*reference.iterdir(), *victim.iterdir()]}
    return sorted(name for name in names if _bytes(reference / name) != _bytes(victim / name))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _train(directory: Path) -> None:
    """A whole training, encoder and predictor, on a data set that is collected first."""
    config = TrainConfig(
        _collecting(directory.parent / "data"),
        encoder=EncoderConfig(hidden=32),
        method=MethodConfig(lag=3, sigreg_start=0.02, sigreg_end=0.02, optim=OptimConfig(steps=30, batch_size=64)),
        predictor=PredictorConfig(hidden=32, horizon=4, history=[0, 1]),
        predictor_training=OptimConfig(steps=30, batch_size=64, lr=2e-3),
        decoder_training=OptimConfig(steps=10, batch_size=16, lr=2e-3),
        runs=str(directory.parent),
        name=directory.name,
        device="cpu",
    )
    train(config, checkpoint_every_s=0.02)


def _same_training(reference: Path, victim: Path) -> list[str]:
    """What differs between two runs: weights, optimiser and generator states, logged losses, evaluation."""
    differing = [] if _bytes(reference / "model.safetensors") == _bytes(victim / "model.safetensors") else ["weights"]
    saved = [torch.load(path / "trainer.pt", weights_only=True) for path in (reference, victim)]
    differing += [f"trainer.pt {key}" for key in saved[0] if not _same(saved[0][key], saved[1][key])]
    logs = [
        [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in text.splitlines()]
        for text in ((path / "metrics.jsonl").read_text() for path in (reference, victim))
    ]
    differing += ["metrics.jsonl"] if logs[0] != logs[1] else []
    one, other = (Run(path).train for path in (reference, victim))
    differing += ["identifiability"] if one.identifiability != other.identifiability else []
    differing += ["prediction"] if one.prediction != other.prediction else []
    return differing + [f"left over: {path.name}" for path in victim.glob(".*.tmp")]


def _same(one: Any, other: Any) -> bool:
    """Whether two nests of containers, tensors and numbers are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


_KINDS = {"collect": (_collect, _same_data), "train": (_train, _same_training)}
