"""`worldmodel train`: one training, or one and `rounds` of collecting and training on."""

from dataclasses import replace
from pathlib import Path

from worldmodel import envs, learning
from worldmodel.choosing import choose, left_open
from worldmodel.data.index import INDEX_NAME, read_index
from worldmodel.evaluation.control.planning import planner_of
from worldmodel.improving.driven_episodes import collect_round
from worldmodel.runs import ChoiceResult, RunDirectory, TrainResult
from worldmodel.settings import TrainConfig
from worldmodel.system.errors import UserError


def train(config: TrainConfig) -> TrainResult:
    """Train a world model as `config` says; its run directory is `TrainResult.run`.

    What the settings leave open (`config.choose`) is chosen first, by short trainings. As often as `config.rounds`
    says, the model then drives its world, what it saw is added to the data in `RUN/rounds`, and training goes on. A
    call that was interrupted can be made again, with more rounds too: it continues.

    With devices above 1 the command, or the script that calls this, runs once in each process.

    Raises:
        UserError: the settings do not fit the world, or the run has gone through more rounds.
        ValueError: the planner does not fit together.
    """
    planner_of(config.plan)  # refused now, and not by `control` or a round that comes after hours of training
    if _rounds_collected(config) < config.rounds:
        _check_constants_stay(config)
    config = replace(config, choose=left_open(config))
    choice = choose(config) if config.choose else None
    found = _train_in_rounds(choice.applied_to(config) if choice else config)
    return _with_choice(found, choice) if choice else found


def _with_choice(found: TrainResult, choice: ChoiceResult) -> TrainResult:
    """The result with what was chosen before, also in the run's summary."""
    run = RunDirectory(Path(found.run))
    with run.locked():
        found = replace(found, choice=choice, seconds={"choice": round(choice.seconds, 2), **found.seconds})
        run.record(found)
    return found


def _train_in_rounds(config: TrainConfig) -> TrainResult:
    """One training, or one and all rounds."""
    collected = _rounds_collected(config)
    if collected > config.rounds:
        raise UserError(
            f"{config.run_directory} has gone through {collected} rounds; give rounds={collected}, or another name=…"
        )
    for number in range(collected, config.rounds):
        # the decoder and the robust encoder learn from the finished model, once, after the last round
        learning.train(replace(config, rounds=number, decoder=False, robust=False))
        collect_round(config, number + 1)
    return learning.train(config)


def _check_constants_stay(config: TrainConfig) -> None:
    """UserError, before anything is trained, where episodes differ in constants, by which rounds do not drive."""
    world = envs.make(**config.env.make_arguments())
    drawn = [name for name in world.randomize if world.factors[name].kind == "physical"]
    world.close()
    if drawn:
        raise UserError(
            f"rounds={config.rounds} need constants that stay, and {config.env.label} draws {', '.join(drawn)}; leave "
            "out rounds=, or set env.randomize=[]"
        )


def _rounds_collected(config: TrainConfig) -> int:
    """Rounds whose episodes are all on the disk."""
    number = 0
    while (config.round_directory(number + 1) / INDEX_NAME).exists():
        if read_index(config.round_directory(number + 1)).num_episodes == 0:
            break
        number += 1
    return number
