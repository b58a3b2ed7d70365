"""Physical constants by every method, all the way from frames: contexts learned on the latents of its own encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from worldmodel.comparing.candidates import Candidate
from worldmodel.comparing.compare_result import ConstantsRead
from worldmodel.comparing.encoder_cells import EncoderCell
from worldmodel.comparing.laboratory import Laboratory
from worldmodel.comparing.measurements import TUNING_SEED
from worldmodel.data.table import LatentTable
from worldmodel.data.truth import half_constants
from worldmodel.evaluation.positions.context_trials import ContextTrial, OptimSetting
from worldmodel.evaluation.positions.tuning import GRID
from worldmodel.evaluation.probing.constant_probes import context_split
from worldmodel.learning.constants import Windows, learn_contexts
from worldmodel.learning.sources import encoded_table
from worldmodel.measures.regression import linear_r2
from worldmodel.measures.statistics import best_known, mean_known, over_seeds
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.runs import CellKey, CellStore, cell_key
from worldmodel.settings import ContextMethod
from worldmodel.system.printable import say

CONTEXTS: Mapping[str, tuple[ContextMethod, ...]] = {
    "lejepa": ("lejepa", "prediction"),
    "infonce": ("infonce",),
    "vicreg": ("vicreg",),
    "supervised": ("supervised",),
}
"""Candidate -> methods by which contexts are learned on its latents: its own. `prediction` is no encoder's method in
every world, and is learned on LeJEPA's latents."""


@dataclass(frozen=True)
class ContextFigures:
    """The figures kept of a trial: a linear probe's R2 of every constant, from contexts of one window."""

    validation: list[float | None]
    """R2 on validation episodes, one for each constant."""
    test: list[float | None]
    """R2 on test episodes, one for each constant."""


class ConstantsStudy:
    """Learns contexts on one world's episodes and reads its constants from them; finished trials are kept."""

    def __init__(self, lab: Laboratory) -> None:
        self._lab = lab
        self._cells = CellStore(lab.folder / "cells", ContextFigures)
        self._latest: tuple[EncoderCell, LatentTable] | None = None

    def read(self, candidate: Candidate, setting: int, seeds: Sequence[int]) -> dict[ContextMethod, ConstantsRead]:
        """Constants from the candidate's latents, its encoder trained with its setting number `setting`.

        Each method of learning contexts is tuned over four settings of its optimiser, with `TUNING_SEED`.
        """
        return {method: self._read(candidate, setting, seeds, method) for method in CONTEXTS[candidate.name]}

    def _read(self, candidate: Candidate, setting: int, seeds: Sequence[int], method: ContextMethod) -> ConstantsRead:
        def figures(seed: int, optim: OptimSetting) -> ContextFigures:
            cell = EncoderCell(candidate.name, setting, seed, self._lab.scale.batch_size)
            trial = ContextTrial(method, optim, seed)
            return self._cells.result(self._key(cell, trial), lambda: self._measure(cell, trial))

        tried = {optim: mean_known(figures(TUNING_SEED, optim).validation) for optim in GRID}
        chosen = best_known(tried)
        tests = [figures(seed, chosen).test for seed in seeds]
        return ConstantsRead(
            setting=str(chosen),
            tried={str(optim): score for optim, score in tried.items()},
            r2={name: over_seeds([test[k] for test in tests]) for k, name in enumerate(self._lab.constants)},
        )

    def _key(self, cell: EncoderCell, trial: ContextTrial) -> CellKey:
        """Latents, network, training and seed: all that the figures of a trial depend on."""
        config = self._lab.config
        return cell_key(
            f"contexts-{trial.label}-of-{cell.label}",
            latents=dict(self._lab.key(cell).identity),
            context=config.context_or_default,
            training=trial.setting.of(config.context_training_or_default, trial.method),
            seed=trial.seed,
        )

    def _measure(self, cell: EncoderCell, trial: ContextTrial) -> ContextFigures:
        lab, seed = self._lab, trial.seed
        say(f"{lab.label}: contexts by {trial.label} of {cell.label}")
        table, data, shape = self._table(cell), lab.episodes.data, lab.architecture.context
        assert shape is not None, "a world with constants"
        torch.manual_seed(seed)
        encoder = ContextEncoder(shape, table.latents.shape[1], table.actions.shape[1]).to(lab.device)
        episodes = data.split("train")
        training = trial.setting.of(lab.config.context_training_or_default, trial.method)
        learn_contexts(encoder, table, episodes, half_constants(data, episodes), training, seed)
        split = context_split(encoder, Windows(encoder, table), data, 1, seed)
        return ContextFigures(linear_r2(replace(split, test=split.validation)), linear_r2(split))

    def _table(self, cell: EncoderCell) -> LatentTable:
        """Latents of all episodes; the encoder is trained anew, since cells keep figures and no weights."""
        if self._latest is None or self._latest[0] != cell:
            episodes = self._lab.episodes
            self._latest = cell, encoded_table(self._lab.train(cell), episodes.data, episodes.frames)
        return self._latest[1]
