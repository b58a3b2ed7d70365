"""`worldmodel train`: one training, or one and `rounds` of collecting and training on."""

from dataclasses import replace

from worldmodel import learning
from worldmodel.data.index import INDEX_NAME, read_index
from worldmodel.improving.driven_episodes import collect_round
from worldmodel.runs import TrainResult
from worldmodel.settings import TrainConfig
from worldmodel.system.errors import UserError


def train(config: TrainConfig) -> TrainResult:
    """Train a world model as `config` says; its run directory is `TrainResult.run`.

    As often as `config.rounds` says, the model then drives its world, what it saw is added to the data in `RUN/rounds`,
    and training goes on. A call that was interrupted can be made again, with more rounds too: it continues.

    With devices above 1 the command, or the script that calls this, runs once in each process.

    Raises:
        UserError: the settings do not fit the world, or the run has gone through more rounds.
    """
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


def _rounds_collected(config: TrainConfig) -> int:
    """Rounds whose episodes are all on the disk."""
    number = 0
    while (config.round_directory(number + 1) / INDEX_NAME).exists():
        if read_index(config.round_directory(number + 1)).num_episodes == 0:
            break
        number += 1
    return number
