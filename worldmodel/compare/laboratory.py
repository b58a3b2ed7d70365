"""One world, ready for experiments: encoders are trained and measured cell by cell, and finished cells are kept."""

import dataclasses
import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from worldmodel.compare.candidates import CANDIDATES
from worldmodel.compare.scale import Scale
from worldmodel.compare.shifts import Shift, draw_shifts, inside_episodes, nuisances
from worldmodel.data.pairs import PairSampler
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.truth import Variables, latent_variables
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.loop import Trainer, spread
from worldmodel.learning.methods import encoder_objective, encoder_stage, positive_pairs
from worldmodel.learning.sources import Source, open_sources, spread_rows
from worldmodel.learning.train import architecture, collect_all
from worldmodel.measures.identifiability import affine_apply, affine_fit, measure, scores
from worldmodel.measures.statistics import mean_told, varies
from worldmodel.models.encoders import Encoder, set_cpu_threads
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import MethodConfig, TrainConfig
from worldmodel.settings.base import changed
from worldmodel.system.devices import pick_device
from worldmodel.system.errors import UserError
from worldmodel.system.files import write_json

NUM_MEASURED = 2000
NUM_LOGGED = 40
NUM_CURVE_POINTS = 12
NUM_DISTANCES = 20_000
# settings that a cell does not depend on, or chooses itself
_CHOSEN_BY_CELLS = ("seed", "predictor", "predictor_training", "context", "context_training", "goal_heads")


@dataclass(frozen=True)
class Cell:
    """One training. setting: number of the candidate's tuning setting. batch_size: pairs a step. share: of the training
    episodes. inside: train only on episodes that stay inside the range that the shifts leave (see `shifts`)."""

    candidate: str
    setting: int
    seed: int
    batch_size: int
    share: float = 1.0
    inside: bool = False

    @property
    def name(self) -> str:
        kept = f"-share{self.share:.4f}" if self.share < 1 else ""
        return f"{self.candidate}-{self.setting}-seed{self.seed}-batch{self.batch_size}{kept}{'-inside' * self.inside}"


class Laboratory:
    """Trains encoders on one world's data and measures them on its validation and test episodes."""

    def __init__(self, config: TrainConfig, scale: Scale, folder: Path, lewm_block: int = 5) -> None:
        """lewm_block: control steps to the latent that lewm predicts."""
        self.scale, self.folder, self._lewm_block = scale, folder, lewm_block
        self.config = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, hidden=scale.hidden))
        self.device = pick_device(config.device)
        set_cpu_threads(config.encoder, config.threads)
        collect_all(self.config)
        self.episodes, self.poses = open_sources(self.config, self.device)
        self.architecture = architecture(self.config, self.episodes.data, self.poses.data)
        self._pairs: dict[tuple[float, bool, int], tuple[PairSampler, float]] = {}
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
        return self.config.env.label

    @property
    def has_dynamics(self) -> bool:
        return self.architecture.predictor is not None

    @cached_property
    def variables(self) -> Variables:
        """What latents are measured against, in standard units."""
        variables = latent_variables(self.poses.data)
        if self.poses.data.index.world.kinematic:
            return variables
        standard = variables.standardized(self.poses.train.rows())
        return Variables(variables.names, ["sd"] * len(variables.names), standard)

    @cached_property
    def shifts(self) -> list[Shift]:
        """Test sets out of the training distribution."""
        return draw_shifts(self.config, self.poses, self.variables, self.device)

    def method(self, cell: Cell) -> MethodConfig:
        """The settings of a cell: as many pairs in all whatever the batch, learning rate by the root of the batch."""
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

    # Cells

    def result(self, cell: Cell) -> dict[str, Any]:
        """Figures of a cell: from its file, or by training it. A cut loses at most the cell it falls into."""
        path = self.folder / "cells" / self.fingerprint / f"{cell.name}.json"
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
        print(f"{self.label}: {cell.name}", flush=True)
        figures = self._train(cell)
        write_json(path, figures)
        return figures

    @cached_property
    def fingerprint(self) -> str:
        """Of everything that a cell depends on besides itself."""
        settings = {**changed(self.config), "steps": self.scale.steps, "episodes": self.episodes.data.num_rows}
        kept = {key: value for key, value in settings.items() if key.split(".")[0] not in _CHOSEN_BY_CELLS}
        return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:12]

    def new_encoder(self, seed: int) -> Encoder:
        torch.manual_seed(seed)
        encoder = Encoder(self.architecture.encoder).to(self.device)
        encoder.fit_normalization(self.poses.frames.gather(spread_rows(self.poses.train, 4096)))
        return encoder

    def training_episodes(self, cell: Cell) -> EpisodeIndex:
        """The training episodes of a cell: a random share, the same for every candidate at one seed."""
        episodes = self.poses.train
        if cell.inside:
            episodes = inside_episodes(self.poses.data, episodes)
        if cell.share < 1:
            num = max(2, round(cell.share * len(episodes)))
            chosen = np.sort(np.random.default_rng(cell.seed).permutation(len(episodes))[:num])
            episodes = EpisodeIndex(episodes.offset[chosen], episodes.length[chosen])
        return episodes

    def _train(self, cell: Cell) -> dict[str, Any]:
        method, episodes = self.method(cell), self.training_episodes(cell)
        encoder = self.new_encoder(cell.seed)
        pairs = None if method.name == "lewm" else self._prepared_pairs(cell, method, episodes)
        objective = encoder_objective(method, encoder, self.poses.data, episodes, cell.seed, pairs)
        stage = encoder_stage(objective, encoder, self.poses.frames, method.optim, method.on_collapse)
        work = self.folder / "work" / cell.name
        shutil.rmtree(work, ignore_errors=True)
        curve = _Curve(self, encoder, stage.module, method.optim.steps, spread_rows(episodes, NUM_MEASURED))
        trainer = Trainer(
            RunDirectory(work), encoder, {stage.name: {}}, cell.seed, checkpoint_every_s=1e9, num_log_points=NUM_LOGGED
        )
        trainer.fit(stage, curve.observe)
        shutil.rmtree(work)
        return {
            **dataclasses.asdict(cell),
            "steps": method.optim.steps,
            "cpu_s": round(curve.cpu_s(), 2),
            "num_frames": int(episodes.length.sum()),
            "curve": curve.points,
            **self.measured(encoder, episodes),
        }

    def _prepared_pairs(self, cell: Cell, method: MethodConfig, episodes: EpisodeIndex) -> tuple[PairSampler, float]:
        """Looking up OU pairs takes as long as many training steps; all candidates share them."""
        key = (cell.share, cell.inside, cell.seed)
        if key not in self._pairs:
            self._pairs[key] = positive_pairs(method, self.poses.data, episodes, cell.seed)
        return self._pairs[key]

    # Measures

    def latents(self, encoder: Encoder, source: Source, rows: torch.Tensor) -> np.ndarray:
        return encode_rows(encoder, source.frames, rows).double().cpu().numpy()

    def measured(self, encoder: Encoder, episodes: EpisodeIndex) -> dict[str, Any]:
        """Recovery on validation and test episodes, rank correlation, diagnosis, and the shifted test sets."""
        fit_rows = spread_rows(episodes, NUM_MEASURED)
        z, names = self.variables.values, self.variables.names
        fit = z[fit_rows.numpy()], self.latents(encoder, self.poses, fit_rows)
        figures: dict[str, Any] = {}
        for split in ("validation", "test"):
            rows = spread_rows(self.poses.data.split(split), NUM_MEASURED)
            held_out = z[rows.numpy()], self.latents(encoder, self.poses, rows)
            found = measure(fit, held_out, names)
            figures[split] = {
                "r2_h_to_z": found.r2_h_to_z,
                "r2_z_to_h": found.r2_z_to_h,
                "per_variable": found.per_variable,
                "orthogonality_error": found.orthogonality_error,
                "rank_correlation": rank_correlation(*held_out),
            }
            if split == "test":
                figures["nuisances"] = self._leaks(fit[1], held_out[1], fit_rows, rows)
        weights = affine_fit(fit[1], fit[0])
        figures["diagnosis"] = dataclasses.asdict(spread(torch.from_numpy(fit[1])))
        figures["shifts"] = {
            shift.name: shift.score(affine_apply(weights, self.latents(encoder, shift.source, shift.rows)), names)
            for shift in self.shifts
        }
        return figures

    def _leaks(
        self, h_fit: np.ndarray, h: np.ndarray, fit_rows: torch.Tensor, rows: torch.Tensor
    ) -> dict[str, float | None]:
        """Linear R2 of visual factors that are not to be recovered."""
        unwanted = nuisances(self.poses.data)
        t_fit, t = unwanted.values[fit_rows.numpy()], unwanted.values[rows.numpy()]
        return dict(zip(unwanted.names, scores(t, affine_apply(affine_fit(h_fit, t_fit), h)), strict=True))


class _Curve:
    """R2 on validation frames while an encoder trains, against steps and CPU seconds (its own not counted)."""

    def __init__(
        self, lab: Laboratory, encoder: Encoder, module: nn.Module, num_steps: int, fit_rows: torch.Tensor
    ) -> None:
        self._lab, self._encoder, self._module = lab, encoder, module
        self._fit_rows = fit_rows[:: max(1, len(fit_rows) // 1500)]
        self._rows = spread_rows(lab.poses.data.split("validation"), 1500)
        self._due = sorted({round(num_steps * share) for share in np.geomspace(0.02, 1, NUM_CURVE_POINTS)})
        self._begun, self._own_s = time.process_time(), 0.0
        self.points: list[list[float]] = []

    def cpu_s(self) -> float:
        return time.process_time() - self._begun - self._own_s

    def observe(self, step: int) -> None:
        if not self._due or step + 1 < self._due[0]:
            return
        spent, start = self.cpu_s(), time.process_time()
        while self._due and step + 1 >= self._due[0]:
            self._due.pop(0)
        z = self._lab.variables.values
        fit, held_out = (
            self._lab.latents(self._encoder, self._lab.poses, rows) for rows in (self._fit_rows, self._rows)
        )
        weights = affine_fit(fit, z[self._fit_rows.numpy()])
        value = mean_told(scores(z[self._rows.numpy()], affine_apply(weights, held_out))) or 0.0
        self.points.append([step + 1, round(spent, 3), round(value, 4)])
        self._module.train()
        self._own_s += time.process_time() - start


def rank_correlation(z: np.ndarray, h: np.ndarray) -> float | None:
    """Spearman correlation of distances between latents h (n, D) with distances between true variables z (n, Z).

    0 for latents that do not vary, None where the variables do not, or the latents are not finite.
    """
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, len(z), (2, NUM_DISTANCES))
    true, latent = (np.linalg.norm(x[i] - x[j], axis=1) for x in (z, h))
    if not (varies(true) and np.isfinite(latent).all()):
        return None
    if not varies(latent):
        return 0.0
    return float(spearmanr(true, latent).statistic)  # type: ignore[attr-defined]


def random_and_pixels(lab: Laboratory) -> dict[str, dict[str, Any]]:
    """Baselines without training: an encoder at its initial weights, and the pixels themselves (by ridge)."""
    from worldmodel.measures.regression import Examples, Split, linear_r2

    encoder = lab.new_encoder(1_000_003).train()
    with torch.no_grad():  # BatchNorm's statistics, which training would have set
        for rows in spread_rows(lab.poses.train, 4096).split(512):
            encoder(lab.poses.frames.gather(rows))
    untrained = lab.measured(encoder, lab.poses.train)
    parts: list[Examples] = []
    for episodes in (lab.poses.train, lab.poses.data.split("validation"), lab.poses.test):
        rows = spread_rows(episodes, 2000)
        pixels = lab.poses.frames.gather(rows).flatten(1).double().cpu().numpy() / 255
        parts.append(Examples(pixels, lab.variables.values[rows.numpy()], np.arange(len(rows))))
    pixels_r2 = linear_r2(Split(*parts))
    return {
        "random_encoder": {
            "r2_h_to_z": untrained["test"]["r2_h_to_z"],
            "r2_z_to_h": untrained["test"]["r2_z_to_h"],
            "latent_std": untrained["diagnosis"]["latent_std"],
        },
        "raw_pixels": {
            "r2_h_to_z": mean_told(pixels_r2),
            "per_variable": dict(zip(lab.variables.names, pixels_r2, strict=True)),
        },
    }
