"""One world, ready for experiments: encoders are trained and measured cell by cell, and finished cells are kept."""

import dataclasses
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from worldmodel.comparing.candidates import CANDIDATES
from worldmodel.comparing.compare_result import Baselines, RandomEncoder, RawPixels
from worldmodel.comparing.encoder_cells import EncoderCell, EncoderReading, TrainedEncoder
from worldmodel.comparing.recovery import NUM_MEASURED, TrainingCurve, read_encoder
from worldmodel.comparing.scale import Scale
from worldmodel.comparing.shifts import Shift, draw_shifts, inside_episodes
from worldmodel.data.pairs import PairSampler
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.truth import Variables, latent_variables, physical_constants
from worldmodel.evaluation.probing.constant_probes import pixel_split
from worldmodel.learning.loop import Trainer
from worldmodel.learning.methods import encoder_objective, encoder_stage, positive_pairs
from worldmodel.learning.sources import motions, open_sources, spread_rows
from worldmodel.learning.train import architecture, collect_all
from worldmodel.measures.regression import Examples, Split, linear_r2
from worldmodel.measures.statistics import mean_known, varies
from worldmodel.models.encoders import Encoder, set_cpu_threads
from worldmodel.runs import CellKey, CellStore, cell_key, scratch_run
from worldmodel.settings import MethodConfig, TrainConfig
from worldmodel.system.devices import pick_device
from worldmodel.system.errors import UserError
from worldmodel.system.printable import say

NUM_LOGGED = 40
"""Log points of a training."""


class Laboratory:
    """Trains encoders on one world's data and measures them on its validation and test episodes."""

    def __init__(self, config: TrainConfig, scale: Scale, folder: Path, lewm_block: int = 5) -> None:
        """Collects data sets that are missing or incomplete.

        Args:
            config: the world, and the settings that all encoders share.
            scale: sizes of networks, trainings and evaluations.
            folder: where finished cells are kept.
            lewm_block: control steps to the latent that lewm predicts.

        Raises:
            UserError: held-out episodes show no variable in motion, so that no method can be scored.
        """
        self.scale, self.folder, self._lewm_block = scale, folder, lewm_block
        self.config = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, hidden=scale.hidden))
        self.device = pick_device(config.device)
        set_cpu_threads(config.encoder, config.threads)
        collect_all(self.config)
        self.episodes, self.poses = open_sources(self.config, self.device)
        self.architecture = architecture(self.config, self.episodes.data, self.poses.data)
        self._pairs: dict[tuple[float, bool, int], tuple[PairSampler, float]] = {}
        self._cells = CellStore(folder / "cells", TrainedEncoder)
        self._check_scorable()

    def _check_scorable(self) -> None:
        """UserError, before anything is trained, where held-out episodes show no variable in motion."""
        for split in ("validation", "test"):
            rows = spread_rows(self.poses.data.split(split), NUM_MEASURED).numpy()
            if not varies(self.variables.values[rows]).any():
                raise UserError(
                    f"no variable of {self.label} varies in the {split} episodes, so that no method can be scored; "
                    "collect more episodes, or choose a livelier policy"
                )

    @property
    def label(self) -> str:
        """Name of the world with its settings."""
        return self.config.env.label

    @property
    def has_dynamics(self) -> bool:
        """Whether the world has actions to plan with."""
        return self.architecture.predictor is not None

    @cached_property
    def constants(self) -> list[str]:
        """Physical constants that vary in a world with actions, and so can be read from its motion."""
        return physical_constants(self.episodes.data).names if self.architecture.context else []

    @cached_property
    def variables(self) -> Variables:
        """The true variables that latents are measured against, in standard deviations."""
        variables = latent_variables(self.poses.data)
        if self.poses.data.index.world.kinematic:
            return variables
        standard = variables.standardized(self.poses.train.rows())
        return Variables(variables.names, ["sd"] * len(variables.names), standard)

    @cached_property
    def shifts(self) -> list[Shift]:
        """Test sets out of the training distribution."""
        return draw_shifts(self.config, self.poses, self.variables, self.device)

    def method(self, cell: EncoderCell) -> MethodConfig:
        """The settings of a cell: equally many pairs in all for every batch size, learning rate by its square root."""
        method = CANDIDATES[cell.candidate].configure(self.config.method, cell.setting)
        if method.name == "lewm":
            method = dataclasses.replace(method, options={"block": self._lewm_block})
        ratio = cell.batch_size / self.scale.batch_size
        optim = dataclasses.replace(
            method.optim,
            steps=max(1, round(self.scale.steps / ratio)),
            batch_size=cell.batch_size,
            lr=method.optim.lr * ratio**0.5,
        )
        return dataclasses.replace(method, optim=optim)

    # -----------------------------------------------------------------------------------------------------------------
    # cells

    def result(self, cell: EncoderCell) -> TrainedEncoder:
        """Figures of a cell: from its file, or by training it. A kill loses at most the cell that is being trained."""
        return self._cells.result(self.key(cell), lambda: self._train(cell))

    def key(self, cell: EncoderCell) -> CellKey:
        """Data, network, method and seed: all that the figures of a cell depend on."""
        training = TrainConfig(
            self.config.collection,
            self.config.atlas,
            self.config.encoder,
            self.method(cell),
            seed=cell.seed,
            device=self.config.device,
        )
        rows = [source.data.num_rows for source in (self.episodes, self.poses)]
        return cell_key(cell.label, training=training, share=cell.share, inside=cell.inside, rows=rows)

    def new_encoder(self, seed: int) -> Encoder:
        """An encoder at its initial weights, its inputs in standard units of the training frames."""
        torch.manual_seed(seed)
        encoder = Encoder(self.architecture.encoder).to(self.device)
        encoder.fit_normalization(self.poses.frames.gather(spread_rows(self.poses.train, 4096)))
        return encoder

    def training_episodes(self, cell: EncoderCell) -> EpisodeIndex:
        """The motions that a cell is trained on: a random share of them, the same for every candidate at one seed."""
        episodes = motions(self.poses.train)
        if cell.inside:
            episodes = inside_episodes(self.poses.data, episodes)
        if cell.share < 1:
            num = max(2, round(cell.share * len(episodes)))
            chosen = np.sort(np.random.default_rng(cell.seed).permutation(len(episodes))[:num])
            episodes = episodes.only(chosen)
        return episodes

    def train(self, cell: EncoderCell) -> Encoder:
        """The encoder of a cell, trained."""
        return self._fit(cell)[0]

    def _train(self, cell: EncoderCell) -> TrainedEncoder:
        encoder, curve = self._fit(cell)
        cpu_s, episodes = round(curve.cpu_s(), 2), self.training_episodes(cell)
        reading = self.read(encoder, episodes)
        return TrainedEncoder(self.method(cell).optim.steps, cpu_s, int(episodes.length.sum()), curve.points, reading)

    def _fit(self, cell: EncoderCell) -> tuple[Encoder, TrainingCurve]:
        say(f"{self.label}: {cell.label}")
        method, episodes = self.method(cell), self.training_episodes(cell)
        encoder = self.new_encoder(cell.seed)
        pairs = None if method.name == "lewm" else self._prepared_pairs(cell, method, episodes)
        objective = encoder_objective(method, encoder, self.poses.data, episodes, cell.seed, pairs)
        stage = encoder_stage(objective, encoder, self.poses.frames, method.optim, method.on_collapse)
        curve = TrainingCurve(encoder, stage.module, self.poses, self.variables, episodes, method.optim.steps)
        with scratch_run(self.folder / "work") as run:  # several commands may train at once
            trainer = Trainer(
                run, encoder, {stage.name: {}}, cell.seed, checkpoint_every_s=1e9, num_log_points=NUM_LOGGED
            )
            trainer.fit(stage, curve.observe)
        return encoder, curve

    def _prepared_pairs(
        self, cell: EncoderCell, method: MethodConfig, episodes: EpisodeIndex
    ) -> tuple[PairSampler, float]:
        """Looking up OU pairs takes as long as many training steps; all candidates share them."""
        key = (cell.share, cell.inside, cell.seed)
        if key not in self._pairs:
            self._pairs[key] = positive_pairs(method, self.poses.data, episodes, cell.seed)
        return self._pairs[key]

    def read(self, encoder: Encoder, episodes: EpisodeIndex) -> EncoderReading:
        """Measures of an encoder's latents; linear maps are fitted on the training `episodes`."""
        return read_encoder(encoder, self.poses, self.variables, self.shifts, episodes)


def baselines(lab: Laboratory, with_constants: bool) -> Baselines:
    """Figures without training: of an encoder at its initial weights, and of the pixels themselves (by ridge)."""
    encoder = lab.new_encoder(1_000_003).train()
    with torch.no_grad():  # BatchNorm's statistics, which training would have set
        for rows in spread_rows(lab.poses.train, 4096).split(512):
            encoder(lab.poses.frames.gather(rows))
    untrained = lab.read(encoder, lab.poses.train)
    parts: list[Examples] = []
    for episodes in (lab.poses.train, lab.poses.data.split("validation"), lab.poses.test):
        rows = spread_rows(episodes, NUM_MEASURED)
        pixels = lab.poses.frames.gather(rows).flatten(1).double().cpu().numpy() / 255
        parts.append(Examples(pixels, lab.variables.values[rows.numpy()], np.arange(len(rows))))
    pixels_r2 = linear_r2(Split(*parts))
    recovered = untrained.test
    constants: dict[str, float | None] = {}
    if with_constants and lab.constants:
        split = pixel_split(lab.episodes.data, lab.episodes.frames, lab.config.context_or_default.window)
        constants = dict(zip(lab.constants, linear_r2(split), strict=True))
    return Baselines(
        RandomEncoder(recovered.r2_h_to_z, recovered.r2_z_to_h, untrained.spread.latent_std),
        RawPixels(mean_known(pixels_r2), dict(zip(lab.variables.names, pixels_r2, strict=True)), constants),
    )
