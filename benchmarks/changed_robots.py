"""Robots that change in the middle of a task: `python -m benchmarks.changed_robots run="runs/reacher-s?"`.

Masses, motors and delays of a world, each from the first step or the fifth: goals reached by the robot as it is,
changed, and changed with adaptation. Files that exist are kept.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import worldmodel as wm
from benchmarks import command
from worldmodel.measures import with_interval
from worldmodel.runs import ChangeResult, find_runs
from worldmodel.settings import ChangeConfig, Count, Settings
from worldmodel.system import UserError

Named = dict[str, ChangeConfig]


def _delays(most: int) -> Named:
    return {f"delay{steps}": ChangeConfig(delay=steps) for steps in range(1, most + 1)}


def _motor(name: str, **ratios: float) -> Named:
    return {what: ChangeConfig({f"actuator.{name}.gear": ratio}) for what, ratio in ratios.items()}


CHANGES: dict[str, Named] = {
    "reacher": {
        "payload": ChangeConfig({"body.finger.mass": 10.0}, at=5),
        "hand4": ChangeConfig({"body.hand.mass": 4.0}),
        "links3": ChangeConfig({"body.*.mass": 3.0}),
        "links3mid": ChangeConfig({"body.*.mass": 3.0}, at=5),
        **_motor("shoulder", weak=0.5, dead=0.0),
        **_delays(3),
    },
    "puck": {
        "mass2": ChangeConfig({"body.puck.mass": 2.0}),
        "mass4": ChangeConfig({"body.puck.mass": 4.0}),
        "mass4mid": ChangeConfig({"body.puck.mass": 4.0}, at=5),
        **_motor("x", weak=0.5, dead=0.0),
        **_delays(3),
    },
    "pendulum": {
        "mass2": ChangeConfig({"body.pole.mass": 2.0}),
        "mass4": ChangeConfig({"body.pole.mass": 4.0}),
        **_motor("torque", weak=0.5),
        **_delays(3),
    },
    "point_mass": {
        "mass2": ChangeConfig({"body.pointmass.mass": 2.0}),
        "mass4": ChangeConfig({"body.pointmass.mass": 4.0}),
        **_motor("t1", weak=0.5, dead=0.0),
        **_delays(3),
    },
}
"""World -> name of a change -> the change."""


@dataclass(frozen=True)
class ChangedBench(Settings):
    """Goals reached by robots that change, without and with adaptation."""

    run: str = "runs/reacher-s?"
    """Finished runs of one world, each of a seed of its own, or one run."""
    tasks: Count = 100
    """Tasks of each change, the same for all."""
    protocol: Literal["lewm", "strict"] = "strict"
    """When a goal counts as reached, as in `control`."""
    split: Literal["validation", "test"] = "test"
    """Which tasks, as in `control`: validation to choose settings, test to report."""
    oracle: bool = False
    """Also plan with the true simulator of the changed robot, 30 tasks: cheap where a control step is few steps of
    physics, as on reacher and pendulum."""
    folder: str = "docs/results"
    """Folder of the results, change-WORLD-NAME.json each; changes that have one are not measured again."""


def measure(config: ChangedBench) -> list[str]:
    """Write one file for each change of the world; returns a line of figures for each.

    Raises:
        UserError: a world without a list of changes.
    """
    world = find_runs(config.run)[0].config.collection.env.label
    if world not in CHANGES:
        raise UserError(f"no changes are listed for {world}; there are some for {', '.join(CHANGES)}")
    told = []
    for name, change in CHANGES[world].items():
        out = Path(config.folder) / f"change-{world}-{name}.json"
        if out.exists():
            told.append(f"{out}: done before")
            continue
        found = wm.control(
            wm.ControlConfig(
                run=config.run,
                change=change,
                protocol=config.protocol,
                tasks=config.tasks,
                split=config.split,
                oracle=config.oracle,
                oracle_tasks=30,
                videos=0,
                out=str(out),
            )
        )
        assert found.change is not None
        told.append(f"{out}: {_told(found.change)}")
        print(told[-1], flush=True)
    return told


def _told(of: ChangeResult) -> str:
    reached = ", ".join(
        f"{name} {success.rate:.1%}"
        for name, success in (("as it is", of.unchanged), ("changed", of.fixed), ("adapting", of.adapting))
    )
    won_back = "" if of.won_back is None else f", won back {with_interval(of.won_back, of.won_back_interval, '.2f')}"
    return f"{of.change.in_words}: {reached}{won_back}"


def main() -> int:
    return command.run(ChangedBench, lambda config: f"{len(measure(config))} changes")


if __name__ == "__main__":
    sys.exit(main())
