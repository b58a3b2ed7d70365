"""`python -m benchmarks.rewards out=docs/results/rewards-dm_control.json`: tasks of the suite by their reward.

A training in rounds from pixels, its control steps counted as the suite counts them, then whole episodes of a thousand
steps; beside random actions, and a planner that knows the simulator and the reward.
"""

import resource
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import worldmodel as wm
from benchmarks import command
from benchmarks.provenance import with_provenance
from benchmarks.reward_oracle import oracle_return
from worldmodel import envs
from worldmodel.runs import CellStore, Returns, TrainingRound, TrainResult, cell_key
from worldmodel.settings import Count, NonNegativeInt, Settings, TrainConfig, configure
from worldmodel.system import UserError, write_json

PUBLISHED = {
    "cartpole-swingup": {"TD-MPC": 770, "DrQ": 759},
    "reacher-easy": {"TD-MPC": 628, "DrQ": 601},
    "ball_in_cup-catch": {"TD-MPC": 933, "DrQ": 913},
    "finger-spin": {"TD-MPC": 943, "DrQ": 901},
    "walker-walk": {"TD-MPC": 577, "DrQ": 612},
    "cheetah-run": {"TD-MPC": 222, "DrQ": 344},
}
"""Task -> return from pixels after 100,000 control steps, as arXiv:2203.04955 is quoted by others; its own table could
not be read here, and one quotation has 938 for DrQ's finger."""
_ROUND_SHARE, _FEWEST = 0.2, 10
"""Episodes of a round over those of the recording, and the fewest; see `worldmodel train rounds=`."""


@dataclass(frozen=True)
class RewardsBench(Settings):
    """Returns of dm_control's tasks after a given number of control steps, all rounds included, from pixels.

    Finished cells and begun trainings are kept, so that a command that was interrupted, or is given more tasks or
    seeds, continues.
    """

    tasks: tuple[str, ...] = ()
    """Tasks of the suite; empty takes the six for which figures are published."""
    seeds: tuple[NonNegativeInt, ...] = (0,)
    """Seeds of training and of its recording."""
    control_steps: Count = 100_000
    """Control steps of the suite in all recordings together; a held action counts for as many as it is held."""
    rounds: NonNegativeInt = 8
    """Rounds of driving and training on."""
    episodes: Count = 10
    """Whole episodes by which a training is judged."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further options of the training, to try others: {method.lag: 2}."""
    name: str = ""
    """Added to the names of runs, for a trial with other options."""
    oracle_episodes: NonNegativeInt = 1
    """Episodes of the planner that knows simulator and reward; a minute or more each."""
    folder: str = "runs/rewards"
    """Folder of recordings, runs and finished cells."""
    out: str | None = None
    """Also write the figures there, as JSON, after every cell."""

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """The tasks that are measured."""
        return self.tasks or tuple(PUBLISHED)


@dataclass(frozen=True)
class RewardsCell:
    """One training, and what it earns in an episode of a thousand control steps."""

    control_steps: int
    """Of the suite, recorded in all."""
    action_repeat: int
    """Of them in each step of the run."""
    returns: Returns
    """By the model's controller."""
    random: float
    """By random actions."""
    by_round: list[float]
    """Mean reward of a control step in the recording and in each round, times a thousand."""
    reward_r2: float | None
    """R2 of held-out rewards from frames that are seen."""
    reward_r2_ahead: float | None
    """The same at the end of the predictor's horizon, imagined."""
    ms_per_decision: float
    """CPU-milliseconds of a plan."""
    train_cpu_h: float | None
    """CPU-hours of recording and training; None for a training that was continued."""
    control_cpu_h: float
    """CPU-hours of the episodes, random actions included."""
    chosen: dict[str, float]
    """Settings that training chose."""


def training(bench: RewardsBench, task: str, seed: int) -> TrainConfig:
    """The settings of a training whose recordings hold no more than `control_steps` in all."""
    name = f"{task}-{bench.name}s{seed}"
    chosen = {
        "env": task,
        "size": "rounds",
        "rounds": bench.rounds,
        "decoder": False,
        "device": "cpu",
        "seed": seed,
        "data_seed": seed,
        "workers": 1,
        "data": f"{bench.folder}/data",
        "runs": f"{bench.folder}/runs",
        "env.name": name,
        "name": name,
        **bench.options,
    }
    config = configure(TrainConfig, chosen)
    fit = bench.control_steps // (_action_repeat(config) * config.collection.episode_steps)
    first = max((num for num in range(_FEWEST, fit) if _episodes(num, bench.rounds) <= fit), default=None)
    if first is None:
        raise UserError(
            f"{bench.control_steps} control steps are {fit} episodes of {task}, too few for rounds={bench.rounds}; "
            "give fewer rounds or more control_steps"
        )
    return configure(TrainConfig, {**chosen, "episodes": first})


def _action_repeat(config: TrainConfig) -> int:
    with closing(envs.make(**config.env.make_arguments())) as world:
        return world.action_repeat


def _episodes(first: int, rounds: int) -> int:
    """Episodes in all, where the recording has `first`."""
    return first + rounds * max(_FEWEST, round(_ROUND_SHARE * first))


def cell(bench: RewardsBench, task: str, seed: int) -> RewardsCell:
    """The figures of one training, read from its file where it is finished."""
    config = training(bench, task, seed)
    key = cell_key(config.run_name, training=config, rounds=bench.rounds, episodes=bench.episodes)
    return CellStore(Path(bench.folder) / "cells", RewardsCell).result(key, lambda: _measured(config, bench.episodes))


def _measured(config: TrainConfig, episodes: int) -> RewardsCell:
    """Train, and drive whole episodes."""
    anew, begun = not config.run_directory.exists(), _cpu_s()
    trained = wm.train(config)
    trained_at, run = _cpu_s(), trained.run
    driven = wm.control(
        wm.ControlConfig(run=run, protocol="reward", tasks=episodes, oracle=False, videos=1, device="cpu")
    )
    random, latent, repeat = driven.controllers["random"].returns, driven.latent.returns, _action_repeat(config)
    assert random and latent and trained.reward
    return RewardsCell(
        control_steps=repeat * (trained.data.frames - trained.data.episodes),
        action_repeat=repeat,
        returns=latent,
        random=random.mean,
        by_round=[_per_thousand(of, repeat) for of in trained.rounds],
        reward_r2=trained.reward.r2,
        reward_r2_ahead=trained.reward.r2_ahead,
        ms_per_decision=driven.cpu_ms_per_decision,
        train_cpu_h=(trained_at - begun) / 3600 if anew else None,
        control_cpu_h=(_cpu_s() - trained_at) / 3600,
        chosen=_chosen(trained),
    )


def _per_thousand(of: TrainingRound, repeat: int) -> float:
    return 1000 * of.mean_return * of.episodes / (repeat * of.steps)


def _chosen(trained: TrainResult) -> dict[str, float]:
    return {option: float(value) for option, value in trained.choice.chosen.items()} if trained.choice else {}


def _cpu_s() -> float:
    """CPU-seconds of this process, and of the recording processes that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure(bench: RewardsBench) -> dict[str, Any]:
    """Every task with every seed, the first seed of all tasks first; written to `out` after each."""
    cells: dict[str, dict[str, RewardsCell]] = {task: {} for task in bench.all_tasks}
    oracles: dict[str, float] = {}
    found: dict[str, Any] = {}
    for seed in bench.seeds:
        for task in bench.all_tasks:
            cells[task][f"s{seed}"] = of = cell(bench, task, seed)
            if bench.oracle_episodes and task not in oracles:
                oracles[task] = _oracle(bench, task)
            print(
                f"{task} s{seed}: {of.returns.mean:.0f} (random {of.random:.0f}, published {PUBLISHED.get(task)})",
                flush=True,
            )
            found = found_so_far(bench, cells, oracles)
            if bench.out:
                write_json(Path(bench.out), with_provenance(found))
    return found


def _oracle(bench: RewardsBench, task: str) -> float:
    """What the planner earns that knows simulator and reward, kept like the cells."""
    repeat, num = _action_repeat(training(bench, task, 0)), bench.oracle_episodes
    key = cell_key(f"{task}-oracle", action_repeat=repeat, episodes=num)
    store = CellStore(Path(bench.folder) / "cells", dict[str, float])
    return store.result(key, lambda: {"return": oracle_return(task, repeat, num)})["return"]


def found_so_far(
    bench: RewardsBench, cells: dict[str, dict[str, RewardsCell]], oracles: dict[str, float]
) -> dict[str, Any]:
    """Everything that is known so far, ready for JSON."""
    tasks = {
        task: {
            "return": sum(of.returns.mean for of in by_seed.values()) / len(by_seed),
            "random": sum(of.random for of in by_seed.values()) / len(by_seed),
            "oracle": oracles.get(task),
            "published": PUBLISHED.get(task, {}),
            "seeds": {seed: asdict(of) for seed, of in by_seed.items()},
        }
        for task, by_seed in cells.items()
        if by_seed
    }
    return {
        "control_steps": bench.control_steps,
        "rounds": bench.rounds,
        "episodes": bench.episodes,
        "options": bench.options,
        "tasks": tasks,
    }


def _lines(found: dict[str, Any]) -> str:
    """A line for each task."""
    return "\n".join(
        f"{task}: {of['return']:.0f} of 1,000, random {of['random']:.0f}, published {of['published']}"
        for task, of in found["tasks"].items()
    )


if __name__ == "__main__":
    sys.exit(command.run(RewardsBench, lambda bench: _lines(measure(bench))))
