"""Looks of a kind that was left out of training: `python -m benchmarks.left_out_looks run="runs/reacher-s?"`.

For each finished run a robust encoder is trained without one kind of look, and the robot is driven under looks of that
kind. Encoder, predictor and decoder stay those of the run.
"""

import dataclasses
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import worldmodel as wm
from benchmarks import command
from benchmarks.provenance import with_provenance
from worldmodel.runs import LookResult, Run, find_runs
from worldmodel.settings import Count, SeenLook, Settings
from worldmodel.system import write_json

LEFT_OUT: dict[str, tuple[tuple[SeenLook, ...], dict[str, list[float]]]] = {
    "backgrounds": (("background",), {"texture": [0.15, 0.6], "video": [0.5]}),
    "occluders": (("patch", "bar"), {"patch": [10]}),
    "distractors": (("distractor",), {"distractor": [5]}),
    "cameras": (("camera",), {"camera_tilt": [2], "camera_shift": [2.7]}),
    "robot colours": (("robot_colour",), {"robot_colour": [1.0]}),
}
"""What is left out -> kinds of look that training does not show, and the looks that the robot then meets."""


@dataclass(frozen=True)
class LeftOutBench(Settings):
    """Goals reached under kinds of look that the robust encoder never saw."""

    run: str = "runs/reacher-s?"
    """Finished runs of one world, each of a seed of its own, or one run."""
    scratch: str = "runs/left_out"
    """Folder of the trainings; finished ones are not repeated."""
    tasks: Count = 40
    """Tasks of each look, the same for all."""
    out: str | None = None
    """Also write the figures there, as JSON."""


def measure(config: LeftOutBench) -> dict[str, Any]:
    """Success under each look, by what was left out."""
    runs = find_runs(config.run)
    without = {what: _without(config, runs, what, *of) for what, of in LEFT_OUT.items()}
    found = {"what": "left_out_looks", "world": runs[0].config.collection.env.label, "num_seeds": len(runs)}
    return with_provenance({**found, "without": without})


def _without(
    config: LeftOutBench, runs: list[Run], what: str, kinds: tuple[SeenLook, ...], looks: dict[str, list[float]]
) -> list[dict[str, Any]]:
    """Train a robust encoder for every run without some kinds, and drive all of them under looks of these kinds."""
    folder = Path(config.scratch) / what.replace(" ", "_")
    for run in runs:
        if not (folder / run.path.name).exists():
            shutil.copytree(run.path, folder / run.path.name)
        shown = [kind for kind in get_args(SeenLook) if kind not in kinds]
        distilled = dataclasses.replace(run.config.distillation_or_default, kinds=shown)
        wm.train(
            dataclasses.replace(run.config, robust=True, distillation=distilled, name=run.path.name, runs=str(folder))
        )
    judged = wm.robust(wm.RobustConfig(run=str(folder / "*"), looks=looks, tasks=config.tasks, frames=100))
    return [_figures(of) for of in next(iter(judged.encoders.values())) if of.strength is not None]


def _figures(of: LookResult) -> dict[str, Any]:
    assert of.success is not None
    return {"look": of.look, "strength": of.strength, "success": of.success.rate, "interval": of.success.interval}


def main() -> int:
    def work(config: LeftOutBench) -> str:
        found = measure(config)
        if config.out:
            write_json(Path(config.out), found)
        return "\n".join(
            f"without {what}: {of['look']} {of['strength']:g}: {of['success']:.1%}"
            for what, looks in found["without"].items()
            for of in looks
        )

    return command.run(LeftOutBench, work)


if __name__ == "__main__":
    sys.exit(main())
