"""Differences between the files that two commands left."""

import json
from pathlib import Path

import torch

from benchmarks.trust.flips import same
from worldmodel.runs import Run


def same_files(reference: Path, victim: Path) -> list[str]:
    """Names of files that differ, are missing or are left over."""
    names = {path.relative_to(of) for of in (reference, victim) for path in of.rglob("*")}
    return sorted(str(name) for name in names if _bytes(reference / name) != _bytes(victim / name))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def same_training(reference: Path, victim: Path) -> list[str]:
    """Differences between two runs: weights, optimiser and generator states, logged losses, evaluation, leftovers."""
    differing = [] if _bytes(reference / "model.safetensors") == _bytes(victim / "model.safetensors") else ["weights"]
    saved = [torch.load(path / "trainer.pt", weights_only=True) for path in (reference, victim)]
    differing += [f"trainer.pt {key}" for key in saved[0] if not same(saved[0][key], saved[1][key])]
    logs = [
        [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in text.splitlines()]
        for text in ((path / "metrics.jsonl").read_text() for path in (reference, victim))
    ]
    differing += ["metrics.jsonl"] if logs[0] != logs[1] else []
    one, other = (Run(path).train for path in (reference, victim))
    differing += ["identifiability"] if one.identifiability != other.identifiability else []
    differing += ["prediction"] if one.prediction != other.prediction else []
    return differing + [f"left over: {path.name}" for path in victim.rglob(".*.tmp")]
