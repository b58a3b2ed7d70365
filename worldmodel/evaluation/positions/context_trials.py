"""Context encoders trained on positions: one for each method, setting and seed, and what linear and MLP probes read."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from worldmodel.evaluation.positions.simulated import SimulatedEpisodes, make_world, simulate
from worldmodel.evaluation.probing.constant_probes import context_examples
from worldmodel.evaluation.probing.count import count_constants
from worldmodel.evaluation.probing.shifted_episodes import read_held
from worldmodel.learning.constants import Contexts, Windows, context_stage, fit_context_scale
from worldmodel.learning.loop import fit_quietly
from worldmodel.measures.identifiability import scores
from worldmodel.measures.regression import Examples, Split, linear_r2, mlp_probe
from worldmodel.measures.statistics import mean_known
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.runs import CellKey, CellStore, cell_key
from worldmodel.settings import ContextMethod, ContextTraining, PositionsConfig, TrainConfig
from worldmodel.system.files import inner_folder


class OptimSetting(NamedTuple):
    """Settings of the optimiser, over which every method is tuned."""

    lr: float
    """Learning rate."""
    weight_decay: float
    """Weight decay."""

    def __str__(self) -> str:
        return f"lr {self.lr:g}, weight decay {self.weight_decay:g}"

    def of(self, training: ContextTraining, method: ContextMethod) -> ContextTraining:
        """`training` by `method` with these settings."""
        optim = dataclasses.replace(training.optim, lr=self.lr, weight_decay=self.weight_decay)
        return dataclasses.replace(training, method=method, optim=optim)


@dataclass(frozen=True)
class ContextTrial:
    """One training of a context encoder."""

    method: ContextMethod
    """How it learns."""
    setting: OptimSetting
    """Settings of its optimiser."""
    seed: int
    """Seed of its training and of its MLP probe."""

    @property
    def label(self) -> str:
        """Name of its cell."""
        return f"{self.method}-lr{self.setting.lr:g}-decay{self.setting.weight_decay:g}-seed{self.seed}"


@dataclass(frozen=True)
class ValidationFigures:
    """The figures that a trial is chosen by."""

    r2: float | None
    """Mean R2 of linear probes on validation episodes."""


@dataclass(frozen=True)
class ReportedFigures:
    """The reported figures of a trial: each list has one entry per constant."""

    r2_linear: list[float | None]
    """R2 of a linear probe on test episodes."""
    r2_mlp: list[float | None]
    """R2 of a small MLP."""
    r2_out_of_range: list[float | None] | None
    """R2 of the linear probe 2 to 3 prior standard deviations out; None where no such episodes were asked for."""
    r2_out_of_range_averaged: list[float | None] | None
    """That R2 from the mean over all windows of an episode."""
    num_constants: int | None
    """How many constants the contexts hold, found without labels."""
    correlations: list[float | None]
    """Correlations between windows along the directions that were found."""


class ContextStudy:
    """Trains and probes context encoders on simulated positions; finished trials are kept."""

    def __init__(self, config: PositionsConfig, device: torch.device) -> None:
        """UserError when no physical constant varies."""
        self._config, self._device = config, device
        self._world = make_world(config)
        folder = inner_folder(config.run_directory / "cells")
        self._validated = CellStore(folder / "validation", ValidationFigures)
        self._tested = CellStore(folder / "test", ReportedFigures)

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of the P constants."""
        return self._world.randomize

    def validated(self, trial: ContextTrial) -> ValidationFigures:
        """How well the constants are read on validation episodes."""

        def measure() -> ValidationFigures:
            return ValidationFigures(mean_known(linear_r2(self._read(self._trained(trial), "validation"))))

        return self._validated.result(self._key(trial), measure)

    def tested(self, trial: ContextTrial) -> ReportedFigures:
        """Its figures on test episodes."""
        return self._tested.result(self._key(trial), lambda: self._test(self._trained(trial), trial.seed))

    def _key(self, trial: ContextTrial) -> CellKey:
        """Episodes, network, training and probes: all that the figures of a trial depend on."""
        config, training = self._config, self._config.training
        relevant = TrainConfig(
            training.collection,
            context=training.context,
            context_training=self._training_of(trial),
            seed=training.seed,
            device=training.device,
        )
        episodes = {"noise_m": config.noise_m, "noise_rad": config.noise_rad, "out_of_range": config.shift_episodes}
        return cell_key(trial.label, training=relevant, seed=trial.seed, windows=config.windows, episodes=episodes)

    # -----------------------------------------------------------------------------------------------------------------
    # episodes, simulated when the first trial needs them

    @cached_property
    def _simulated(self) -> tuple[SimulatedEpisodes, SimulatedEpisodes | None]:
        return simulate(self._config, self._world, self._device)

    @property
    def _data(self) -> SimulatedEpisodes:
        return self._simulated[0]

    @cached_property
    def _windows(self) -> Windows:
        """The same for every encoder: their input scales are those of the training episodes."""
        return Windows(self._fresh_encoder, self._data.table)

    @cached_property
    def _fresh_encoder(self) -> ContextEncoder:
        """Untrained, its input scales fitted."""
        table, episodes = self._data.table, self._data.split("train")[0]
        asked = self._config.training.context_or_default
        shape = dataclasses.replace(asked, dim=asked.dim or len(self.constants))
        encoder = ContextEncoder(shape, table.latents.shape[1], table.actions.shape[1]).to(self._device)
        fit_context_scale(encoder, table, episodes)
        return encoder

    # -----------------------------------------------------------------------------------------------------------------
    # training and probing

    def _training_of(self, trial: ContextTrial) -> ContextTraining:
        return trial.setting.of(self._config.training.context_training_or_default, trial.method)

    def _trained(self, trial: ContextTrial) -> ContextEncoder:
        """A context encoder, trained on the training episodes."""
        fresh = self._fresh_encoder
        episodes, constants = self._data.split("train")
        torch.manual_seed(trial.seed)
        encoder = ContextEncoder(fresh.config, fresh.latent_dim, fresh.action_dim).to(self._device)
        encoder.scale.copy_(fresh.scale)
        truth = torch.from_numpy(constants).float().to(self._device)
        stage = context_stage(encoder, self._windows, episodes, self._training_of(trial), truth)
        fit_quietly(stage, trial.seed)
        return encoder.eval()

    def _test(self, encoder: ContextEncoder, seed: int) -> ReportedFigures:
        split = self._read(encoder, "test")
        linear, mlp = linear_r2(split), mlp_probe(split, 2, np.random.default_rng(seed), seed).r2
        far, single, averaged = self._simulated[1], None, None
        if far is not None:
            read = read_held(encoder, far.table, far.episodes.offset, far.episodes.length, split.train)
            truth = far.constants[:, 0]
            single, averaged = scores(truth, read.single), scores(truth, read.averaged)
        unseen = Contexts(encoder, self._windows, self._data.unseen, len(self._data.table.latents))
        halves = unseen.of_halves(1, torch.Generator().manual_seed(seed))[:, :, 0].cpu().numpy()
        count = count_constants(halves[:, 0], halves[:, 1], seed)
        return ReportedFigures(linear, mlp, single, averaged, count.num_constants, count.values)

    def _read(self, encoder: ContextEncoder, held_out: str) -> Split:
        """Contexts against constants; `held_out` names the split that is scored."""

        def part(name: str) -> Examples:
            episodes, constants = self._data.split(name)
            contexts = Contexts(encoder, self._windows, episodes, len(self._data.table.latents))
            return context_examples(contexts, constants, self._config.windows, self._config.training.seed)

        return Split(part("train"), part("validation"), part(held_out))
