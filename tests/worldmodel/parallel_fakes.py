"""What a process of a parallel training does in tests; a module of its own, so that child processes can import it."""

from pathlib import Path

import torch
from torch import Tensor
from worldmodel_fakes import KINEMATIC, fake_episode, write_fake_data

from benchmarks.exactness import OPTIM, stages
from worldmodel.learning.loop import Stage, Trainer
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.system.distributed import Processes

NUM_EPISODES, NUM_STEPS = 12, 20


def write_data(folder: Path) -> None:
    write_fake_data(folder, [fake_episode(index, NUM_STEPS) for index in range(NUM_EPISODES)], KINEMATIC)


def train(processes: Processes, data: Path, folder: Path, num_steps: int = OPTIM.steps) -> dict[str, Tensor]:
    """Train a stage for `num_steps` steps, as a command does that is then cut off; it has a moving average."""
    stage = stages(data)["jepa"]
    whole_loss = stage.loss

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        if round(progress * OPTIM.steps) == num_steps:
            raise KeyboardInterrupt
        return whole_loss(progress, generator)

    cut = Stage(stage.name, stage.module, loss, stage.optim)
    trainer = Trainer(
        RunDirectory(folder), stage.module, {stage.name: {}}, 3, checkpoint_every_s=0.0, processes=processes
    )
    try:
        trainer.fit(cut)
    except KeyboardInterrupt:
        return {}
    return stage.module.state_dict()
