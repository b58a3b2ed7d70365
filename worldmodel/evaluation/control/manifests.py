"""The tasks of the audited board: the same hundred for every method, kept in board/.

A file has one line for each task, the numbers of its start and then those of its goal, below a line of their names.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from worldmodel.envs import MujocoWorld, make
from worldmodel.evaluation.control.goal_rules import AUDITED
from worldmodel.evaluation.control.tasks import Tasks, draw_tasks, make_protocol
from worldmodel.settings import ControlConfig, PlanConfig, recipe
from worldmodel.system.errors import UserError
from worldmodel.system.files import open_regular, write_atomically

NUM_TASKS, SEED = 100, 42


def write_manifests() -> Iterator[Path]:
    """Write every file that is missing; each as soon as its tasks are drawn under the policy of the world's recipe."""
    for protocol, rules in AUDITED.items():
        config = ControlConfig(protocol=protocol, tasks=NUM_TASKS, seed=SEED)  # type: ignore[arg-type]
        for name in rules:
            path = manifest_path(protocol, name)
            if path.exists():
                continue
            with make(name) as world:
                rule = make_protocol(config, name)
                write_manifest(path, world, draw_tasks(world, recipe(name), rule, config, PlanConfig()))
            yield path


def manifest_path(protocol: str, world: str) -> Path:
    """The file with the tasks of a protocol in a world."""
    return Path(__file__).parent / "board" / f"{protocol}-{world}.csv"


def write_manifest(path: Path, world: MujocoWorld, tasks: Tasks) -> None:
    """Keep the starts and goals of tasks, in single precision, as episodes are recorded."""
    names = [f"{end} {name}" for end in ("start", "goal") for name in world.state_names]
    pairs = np.hstack([tasks.start, tasks.goal])
    write_atomically(
        path, lambda file: np.savetxt(file, pairs, "%.9g", delimiter=",", header=",".join(names), comments="")
    )


def manifest_tasks(protocol: str, world: MujocoWorld, num: int) -> Tasks:
    """The first `num` tasks of a protocol in a world, whose factors have their nominal values.

    Raises:
        UserError: the protocol has fewer.
    """
    with open_regular(manifest_path(protocol, world.name)) as file:
        pairs = np.loadtxt(file, delimiter=",", skiprows=1)[:num]
    if num > len(pairs):
        raise UserError(f"protocol={protocol} has {len(pairs)} tasks in {world.name}, not {num}; set tasks=")
    start, goal = np.hsplit(pairs, 2)
    nominal = {name: factor.nominal for name, factor in world.factors.items()}
    return Tasks(start, goal, [nominal] * num)
