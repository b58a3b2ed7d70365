"""The one training loop, and exact resumption of it."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.learning.checkpoints import (
    CHECKPOINT,
    StageSettings,
    of_this_model,
    other_settings,
    read_checkpoint,
    stages_kept,
    write_checkpoint,
)
from worldmodel.learning.muon import Muon
from worldmodel.runs.run_directory import MetricsLog, RunDirectory
from worldmodel.runs.trackers import Tracker
from worldmodel.settings import OptimConfig, PredictorOptim
from worldmodel.system.distributed import Processes, load_optimizer, unshard, whole
from worldmodel.system.errors import TrainingError
from worldmodel.system.interrupts import StopRequest, deferred
from worldmodel.system.printable import say
from worldmodel.system.progress import progress

NUM_LOG_POINTS = 200
"""About how many lines a stage writes into the log."""
COLLAPSED_STD = 0.01
"""Mean standard deviation of latents below which they have collapsed."""
GRAD_CLIP = 1.0
"""Largest norm of a gradient."""
CHECKPOINT_EVERY_S = 30.0
"""Seconds between checkpoints: the most training time that a kill can cost."""

Observe = Callable[[int], Mapping[str, float] | None]
"""Number of a step -> further figures for its line in the log."""


def make_optimizer(optim: OptimConfig, module: nn.Module) -> torch.optim.Optimizer:
    """An optimiser of all weights of a module."""
    weights = list(module.parameters())
    if isinstance(optim, PredictorOptim) and optim.optimizer == "muon":
        return Muon(weights, optim.lr, optim.weight_decay)
    fused = all(weight.dtype == torch.float32 for weight in weights)
    return torch.optim.AdamW(weights, optim.lr, weight_decay=optim.weight_decay, fused=fused)


def clip_whole(module: nn.Module, most: float) -> None:
    """Bound the norm of the gradient of all weights together by `most`."""
    nn.utils.clip_grad_norm_(module.parameters(), most)


@dataclass(frozen=True)
class Stage:
    """One thing to train."""

    name: str
    """Its name in logs and checkpoints."""
    module: nn.Module
    """Everything that the optimiser moves; parts of it may be dropped afterwards."""
    loss: Callable[[float, torch.Generator], dict[str, Tensor]]
    """Maps progress in [0, 1] and a generator, the only source of random numbers, to named scalars with "loss" among
    them. If they hold "latents" (n, D), the loop watches for their collapse."""
    optim: OptimConfig
    """The optimiser."""
    on_collapse: str = "stop"
    """"stop" raises TrainingError when the latents have collapsed, "report" logs it and continues."""
    clip: Callable[[nn.Module, float], object] = clip_whole
    """Clips the module's gradient to a norm."""
    grad_clip: float = GRAD_CLIP
    """The norm that gradients are clipped to."""
    kept_as: str = ""
    """Name under which a checkpoint keeps what of `module` is no part of the model, such as a loss's own networks, for
    a later stage that continues this one and gives the same name; empty where nothing is kept."""


@dataclass(frozen=True)
class _Training:
    """A stage while it is trained."""

    stage: Stage
    objective: nn.Module
    """The loss as a forward pass."""
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    first_step: int
    """The step at which this process continues; 0 unless an earlier one was interrupted."""


class Trainer:
    """Runs stages one after another, and resumes them exactly after a kill.

    `trainer.pt` holds the step, weights, optimiser and generator state. All random numbers of a stage come from one CPU
    generator, so that a run that was interrupted and started again ends in the same weights as one that was not.
    SIGTERM and Ctrl-C take effect between two steps, after a checkpoint. Of several processes, the first one writes.
    """

    def __init__(
        self,
        run: RunDirectory,
        model: nn.Module,
        settings: StageSettings,
        seed: int,
        checkpoint_every_s: float = CHECKPOINT_EVERY_S,
        processes: Processes | None = None,
        num_log_points: int = NUM_LOG_POINTS,
        parts: Mapping[str, str] | None = None,
    ) -> None:
        """Load what an earlier process left in `run`.

        Args:
            run: holds checkpoint and log.
            model: trained by the stages, and kept whole in every checkpoint.
            settings: what the weights of each stage depend on, stages in their order.
            seed: seed of every stage's random numbers.
            checkpoint_every_s: seconds between checkpoints.
            processes: those that train together; None for this one alone.
            num_log_points: about how many lines a stage writes into the log.
            parts: stage -> prefix of the weights in `model` that it trains. Of a checkpoint of other settings, the
                stages before the first that differs are kept; without parts it is refused.

        Raises:
            CheckpointError: the checkpoint is damaged, of another version, or its first stage had other settings.
        """
        self._run, self._model = run, model
        self._settings, self._seed = {stage: dict(values) for stage, values in settings.items()}, seed
        self._checkpoint_every_s, self._num_log_points = checkpoint_every_s, num_log_points
        self._processes = processes or Processes(torch.device("cpu"))
        self.tracker: Tracker | None = None
        """Gets every line of the log too."""
        self._saved = read_checkpoint(run.path / CHECKPOINT)
        self.stages_done: list[str] = []
        self._kept: dict[str, dict[str, Tensor]] = {}
        if self._saved:
            with of_this_model(run.path):
                self._take_up(self._saved, run.path, parts or {})
        self._processes.wait()  # the first must not write what others still read

    def _take_up(self, saved: dict[str, Any], run: Path, parts: Mapping[str, str]) -> None:
        """Load the weights of stages whose settings are the same; forget the others."""
        kept, changed, differences = stages_kept(saved, self._settings)
        beside = saved.get("kept", {})  # which earlier versions did not write
        if changed is None:
            self.stages_done, self._kept = kept, dict(beside)
            # a stage that this version has and the one that trained the run had not is still to be done
            new = tuple(prefix for stage, prefix in parts.items() if stage not in self.stages_done)
            fresh = {name: value for name, value in self._model.state_dict().items() if name.startswith(new)}
            self._model.load_state_dict({**fresh, **saved["model"]})
            return
        if not kept or not parts:
            raise other_settings(run, differences)
        if self._processes.is_first and changed in saved["settings"]:
            say(f"{run}: keeps {', '.join(kept)}; trains {changed} again ({differences})")
        prefixes = tuple(parts[stage] for stage in kept)
        weights = {name: value for name, value in saved["model"].items() if name.startswith(prefixes)}
        self._model.load_state_dict(weights, strict=False)
        self.stages_done, self._saved = kept, None
        self._kept = {stage: of for stage, of in beside.items() if stage in kept}

    def fit(self, stage: Stage, observe: Observe | None = None) -> float:
        """Train one stage to its end and return its seconds, those of earlier processes included.

        A stage that an earlier process finished is skipped.

        Args:
            stage: what to train; it is in evaluation mode afterwards.
            observe: called after every step that is logged, and must leave the module in training mode.

        Raises:
            TrainingError: the loss is not finite, or the latents have collapsed.
        """
        if stage.name in self.stages_done:
            stage.module.eval()
            return self._run.seconds_of(stage.name)
        training = self._begin(stage)
        with deferred() as request:
            self._run_steps(training, request, observe)
            unshard(stage.module)
            stage.module.eval()
            self.stages_done.append(stage.name)
            if stage.kept_as:
                self._kept[stage.kept_as] = self._beside_the_model(stage.module)
            self._save(training, stage.optim.steps)
        return self._run.seconds_of(stage.name)

    def _begin(self, stage: Stage) -> _Training:
        """The stage as it was saved, or from its start."""
        # a stream of its own for each stage, so that changing one leaves the others as they were
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + stream_of(stage.name))
        saved = self._saved if self._saved and self._saved["stage"] == stage.name else None
        if saved:
            with of_this_model(self._run.path):
                stage.module.load_state_dict(saved["module"])
                generator.set_state(saved["generator"])
        elif stage.kept_as in self._kept:
            with of_this_model(self._run.path):
                stage.module.load_state_dict(self._kept[stage.kept_as], strict=False)
        first_step = int(saved["step"]) if saved else 0
        objective = self._processes.set_up(LossModule(stage))
        optimizer = make_optimizer(stage.optim, stage.module)
        if saved and first_step:
            with of_this_model(self._run.path):
                load_optimizer(optimizer, saved["optimizer"])
        return _Training(stage, objective, optimizer, generator, first_step)

    def _beside_the_model(self, module: nn.Module) -> dict[str, Tensor]:
        """Weights of a stage's module that the model does not have."""
        model = {id(value) for value in self._model.state_dict(keep_vars=True).values()}
        own = {name: value for name, value in module.state_dict(keep_vars=True).items() if id(value) not in model}
        return {name: value.detach().cpu().clone() for name, value in own.items()}

    def _run_steps(self, training: _Training, request: StopRequest, observe: Observe | None) -> None:
        stage, first = training.stage, training.first_step
        log = None
        if self._processes.is_first:
            log = MetricsLog(self._run, self.stages_done, stage.name, first, self.tracker)
        steps, saved_at = stage.optim.steps, time.monotonic()
        bar = progress(
            range(first, steps), initial=first, total=steps, desc=stage.name, unit="step", disable=log is None
        )
        stage.module.train()
        try:
            for step in bar:
                values = _train_step(
                    self._processes, stage, training.objective, training.optimizer, training.generator, step
                )
                if step % max(1, steps // self._num_log_points) == 0 or step == steps - 1:
                    line = _watch(stage, step, values)
                    observed = (observe(step) if observe else None) or {}
                    if log:
                        log.write(step, {**line, "lr": training.optimizer.param_groups[0]["lr"], **observed})
                    bar.set_postfix(loss=f"{line['loss']:.4g}", refresh=False)
                due = time.monotonic() - saved_at > self._checkpoint_every_s
                # one process notices first; all of them save, and stop, after the same step
                signal, save = self._processes.agree([request.signal, due])
                if signal or save:
                    self._save(training, step + 1)
                    saved_at = time.monotonic()
                # a signal that arrives while it saves takes effect after the next step
                StopRequest(signal).raise_if_made()
        finally:
            bar.close()

    def _save(self, training: _Training, step: int) -> None:
        """Write the checkpoint from which another process can continue at `step`."""
        content = {
            "settings": self._settings,
            "stages_done": self.stages_done,
            "stage": training.stage.name,
            "step": step,
            "model": whole(self._model.state_dict()),
            "module": whole(training.stage.module.state_dict()),
            "optimizer": whole(training.optimizer.state_dict()),
            "generator": training.generator.get_state(),
            "kept": self._kept,
        }
        if self._processes.is_first:
            write_checkpoint(self._run.path / CHECKPOINT, content)


def stream_of(stage: str) -> int:
    """A number for each stage, added to the seed.

    The sum of a name's characters tells all stages apart but those of many rounds, encoder-11 from encoder-20; from the
    eleventh on they have a digest, so that the others keep the random numbers that they always had.
    """
    _, _, number = stage.rpartition("-")
    if number.isdecimal() and int(number) > 10:
        return int.from_bytes(hashlib.sha256(stage.encode()).digest()[:4])
    return sum(stage.encode())


def fit_quietly(stage: Stage, seed: int) -> None:
    """Train one stage in memory, without log or checkpoint: for controls that take seconds."""
    optimizer = make_optimizer(stage.optim, stage.module)
    generator, alone = torch.Generator().manual_seed(seed), Processes(torch.device("cpu"))
    stage.module.train()
    for step in range(stage.optim.steps):
        _train_step(alone, stage, stage.loss, optimizer, generator, step)
    stage.module.eval()


def _train_step(
    processes: Processes,
    stage: Stage,
    objective: Callable[[float, torch.Generator], dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    step: int,
) -> dict[str, Tensor]:
    progress = step / stage.optim.steps
    for group in optimizer.param_groups:
        group["lr"] = stage.optim.lr * one_cycle(progress)
    values = objective(progress, generator)
    optimizer.zero_grad(set_to_none=True)
    processes.backward(values["loss"])
    stage.clip(stage.module, stage.grad_clip)
    optimizer.step()
    return values


class LossModule(nn.Module):
    """A stage's loss as the forward pass of a module, to which averaging gradients over processes attaches."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.module, self._loss = stage.module, stage.loss

    def forward(self, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Named scalars at a progress in [0, 1]."""
        return self._loss(progress, generator)


def one_cycle(progress: float) -> float:
    """Share of the highest learning rate at a progress in [0, 1]: a linear warm-up, then a cosine to a thousandth."""
    warmup = 0.05
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    return max(0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))), 1e-3)


def _watch(stage: Stage, step: int, values: dict[str, Tensor]) -> dict[str, Any]:
    """A line of the log; TrainingError on a loss that is not finite, or on collapsed latents of on_collapse="stop"."""
    line: dict[str, Any] = {name: float(value.detach()) for name, value in values.items() if name != "latents"}
    if not math.isfinite(line["loss"]):
        parts = ", ".join(f"{name}={value:.3g}" for name, value in line.items())
        raise TrainingError(
            f"stage {stage.name}: the loss is not finite at step {step} ({parts}); lower the learning rate "
            f"(now {stage.optim.lr:g}) or look for bad values in the data"
        )
    if "latents" in values:
        found = spread(values["latents"].detach())
        line |= asdict(found) | {"collapsed": float(found.latent_std < COLLAPSED_STD)}
        if line["collapsed"] and step > stage.optim.steps // 4 and stage.on_collapse == "stop":
            raise TrainingError(
                f"stage {stage.name}: the latents have collapsed at step {step} (mean std {found.latent_std:.2g}, "
                f"effective rank {found.effective_rank:.2f}); raise the SIGReg weight (method.sigreg_start, "
                "method.sigreg_end) where the method has one, lower the learning rate, or watch it happen with "
                "method.on_collapse=report"
            )
    return line


@dataclass(frozen=True)
class LatentSpread:
    """How latents spread over their space, which shows a collapse."""

    latent_std: float
    """Standard deviation, averaged over dimensions."""
    latent_variance: list[float]
    """Variance of each dimension, (D,)."""
    effective_rank: float
    """exp(entropy of the covariance's eigenvalues), between 1 and D."""


def spread(latents: Tensor) -> LatentSpread:
    """The spread of latents (n, D)."""
    centred = latents.float() - latents.float().mean(0)
    eigenvalues = torch.linalg.eigvalsh(centred.T @ centred / max(1, len(latents) - 1)).clamp_min(1e-12)
    share = eigenvalues / eigenvalues.sum()
    return LatentSpread(
        latent_std=float(centred.std(0).mean()),
        latent_variance=[float(f"{value:.4g}") for value in centred.var(0)],
        effective_rank=float(torch.exp(-(share * share.log()).sum())),
    )
