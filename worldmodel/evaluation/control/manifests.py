"""The tasks of the audited board: the same hundred for every method, kept in board/.

A file has one line for each task, the numbers of its start and then those of its goal, below a line of their names. The
cube's have besides the actions that led from one to the other, since no oracle can plan there.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from worldmodel.envs import MujocoWorld, make
from worldmodel.evaluation.control.goal_rules import AUDITED, board_name
from worldmodel.evaluation.control.tasks import Tasks, begun, draw_tasks, make_protocol
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
            recorded = recipe(name)
            with make(recorded.env.world) as world:
                rule = make_protocol(config, world.name)
                write_manifest(path, world, draw_tasks(world, recorded, rule, config, PlanConfig()))
            yield path


def manifest_path(protocol: str, world: str) -> Path:
    """The file with the tasks of a protocol in a world."""
    return Path(__file__).parent / "board" / f"{protocol}-{board_name(world)}.csv"


def write_manifest(path: Path, world: MujocoWorld, tasks: Tasks) -> None:
    """Keep the starts and goals of tasks, in single precision, as episodes are recorded; and the way, as said above."""
    names = [f"{end} {name}" for end in ("start", "goal") for name in world.state_names]
    numbers, forms = [tasks.start, tasks.goal], ["%.9g"] * len(names)
    if tasks.moments is not None and tasks.way is not None:
        num, steps, action_dim = tasks.way.shape
        names += [f"action {step} {index}" for step in range(steps) for index in range(action_dim)]
        numbers.append(tasks.way.reshape(num, -1))
        forms += ["%.4g"] * (steps * action_dim)
    header = ",".join(names)
    write_atomically(
        path, lambda file: np.savetxt(file, np.hstack(numbers), forms, delimiter=",", header=header, comments="")
    )


def manifest_tasks(protocol: str, world: MujocoWorld, num: int) -> Tasks:
    """The first `num` tasks of a protocol in a world, whose factors have their nominal values.

    Raises:
        UserError: the protocol has fewer.
    """
    with open_regular(manifest_path(protocol, world.name)) as file:
        rows = np.loadtxt(file, delimiter=",", skiprows=1)[:num]
    if num > len(rows):
        raise UserError(f"protocol={protocol} has {len(rows)} tasks in {world.name}, not {num}; set tasks=")
    size = len(world.state_names)
    start, goal, way = np.hsplit(rows, (size, 2 * size))
    nominal = {name: factor.nominal for name, factor in world.factors.items()}
    tasks = Tasks(start, goal, [nominal] * num)
    if world.scene.state_is_whole:
        return tasks
    return begun(world, replace(tasks, way=way.reshape(num, -1, world.scene.action_dim)))
