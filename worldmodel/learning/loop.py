"""The one training loop, and exact resumption of it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.learning.muon import Muon
from worldmodel.runs.run_directory import MetricsLog, RunDirectory
from worldmodel.system import interrupts
from worldmodel.system.digest import CHECKSUM, digest
from worldmodel.system.distributed import Processes, load_optimizer, unshard, whole
from worldmodel.system.errors import CheckpointError, TrainingError, UserError
from worldmodel.system.files import write_atomically
from worldmodel.system.progress import progress

CHECKPOINT_SCHEMA_VERSION = 1
NUM_LOG_POINTS = 200
COLLAPSED_STD = 0.01


@dataclass
class OptimConfig:
    """A linear warm-up over the first 5 % of the steps and a cosine to zero.

    optimizer: "adamw", or "muon" (matrices by Muon, the rest by AdamW, at the same rate): fewer steps on the CPU.
    """

    steps: int = 2000
    batch_size: int = 256
    lr: float = 3e-3
    weight_decay: float = 1e-4
    grad_clip: float = 1.0
    optimizer: str = "adamw"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps must be >= 1, got {self.steps}")
        if self.batch_size < 2:
            raise UserError(f"batch_size must be >= 2 (BatchNorm and SIGReg need a batch), got {self.batch_size}")
        if not self.lr > 0:
            raise UserError(f"lr must be > 0, got {self.lr}")
        if self.optimizer not in ("adamw", "muon"):
            raise UserError(f"optimizer is adamw or muon, got {self.optimizer!r}")

    def optimizer_of(self, module: nn.Module) -> torch.optim.Optimizer:
        """An optimiser of all of a module's weights."""
        weights = list(module.parameters())
        if self.optimizer == "muon":
            return Muon(weights, self.lr, self.weight_decay)
        fused = all(weight.dtype == torch.float32 for weight in weights)
        return torch.optim.AdamW(weights, self.lr, weight_decay=self.weight_decay, fused=fused)


def clip_whole(module: nn.Module, most: float) -> None:
    """Bound the norm of the gradient of all of a module's weights together."""
    nn.utils.clip_grad_norm_(module.parameters(), most)


@dataclass(frozen=True)
class Stage:
    """One thing to train: a module, and its loss as a function of training progress in [0, 1].

    `loss` returns named scalars, "loss" among them; with "latents" (n, D) beside them the loop watches for collapse.
    `module` is everything the optimiser moves; it may hold parts that are dropped afterwards. on_collapse: "stop"
    raises TrainingError, "report" goes on and logs "collapsed" beside the diagnosis. clip: bounds the module's gradient
    by a norm.
    """

    name: str
    module: nn.Module
    loss: Callable[[float, torch.Generator], dict[str, Tensor]]
    optim: OptimConfig
    on_collapse: str = "stop"
    clip: Callable[[nn.Module, float], object] = clip_whole


class Trainer:
    """Runs stages one after another, and resumes them to the bit after a kill.

    `trainer.pt` holds the step, weights, optimiser and generator state. All randomness of training comes from one CPU
    generator, so a run that was cut off and started again ends in the same weights as one that was not. SIGTERM and
    Ctrl-C take effect between two steps, and lose none. Of several processes the first one writes.
    """

    def __init__(
        self,
        run: RunDirectory,
        model: nn.Module,
        fingerprint: str,
        seed: int,
        checkpoint_every_s: float = 30.0,
        processes: Processes | None = None,
        num_log_points: int = NUM_LOG_POINTS,
    ) -> None:
        self._run, self._model = run, model
        self._fingerprint, self._seed = fingerprint, seed
        self._checkpoint_every_s, self._num_log_points = checkpoint_every_s, num_log_points
        self._processes = processes or Processes(torch.device("cpu"))
        self._saved = _load(run.path / "trainer.pt", fingerprint)
        self.stages_done: list[str] = []
        if self._saved:
            self.stages_done = list(self._saved["stages_done"])
            # a run that gets goal heads only now has no weights of them yet
            model.load_state_dict(self._saved["model"], strict=self._saved["fingerprint"] == fingerprint)
        self._processes.wait()  # the first must not write what others still read

    def fit(self, stage: Stage, observe: Callable[[int], None] | None = None) -> float:
        """Train one stage to its end and return its seconds, those of earlier processes included.

        A stage that an earlier process finished is skipped.
        `observe` is called with every step that is logged, after it was taken; it leaves the module in training mode.
        """
        if stage.name in self.stages_done:
            stage.module.eval()
            return self._run.seconds_of(stage.name)
        # each stage has its own stream, so that changing one leaves the others as they were
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + sum(stage.name.encode()))
        first = self._restore_module(stage, generator)
        objective = self._processes.set_up(LossModule(stage))
        optimizer = stage.optim.optimizer_of(stage.module)
        if first:
            assert self._saved
            load_optimizer(optimizer, self._saved["optimizer"])
        with interrupts.deferred() as request:
            self._run_steps(stage, objective, optimizer, generator, first, observe, request)
            unshard(stage.module)
            stage.module.eval()
            self.stages_done.append(stage.name)
            self._save(stage, optimizer, generator, stage.optim.steps)
        return self._run.seconds_of(stage.name)

    def _run_steps(
        self,
        stage: Stage,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        first: int,
        observe: Callable[[int], None] | None,
        request: interrupts.StopRequest,
    ) -> None:
        log = MetricsLog(self._run, self.stages_done, stage.name, first) if self._processes.is_first else None
        steps, saved_at = stage.optim.steps, time.monotonic()
        bar = progress(
            range(first, steps), initial=first, total=steps, desc=stage.name, unit="step", disable=log is None
        )
        stage.module.train()
        try:
            for step in bar:
                values = _train_step(self._processes, stage, objective, optimizer, generator, step)
                if step % max(1, steps // self._num_log_points) == 0 or step == steps - 1:
                    line = _watch(stage, step, values)
                    if log:
                        log.write(step, {**line, "lr": optimizer.param_groups[0]["lr"]})
                    bar.set_postfix(loss=f"{line['loss']:.4g}", refresh=False)
                    if observe:
                        observe(step)
                due = time.monotonic() - saved_at > self._checkpoint_every_s
                # one process notices first, all stop and save after the same step
                wanted = self._processes.agree(2 * request.signal + due)
                if wanted:
                    self._save(stage, optimizer, generator, step + 1)
                    saved_at = time.monotonic()
                # what arrives meanwhile, as a Ctrl-C while it saves, is kept for the next step
                interrupts.StopRequest(wanted // 2).raise_if_made()
        finally:
            bar.close()
            if log:
                log.close()

    def _restore_module(self, stage: Stage, generator: torch.Generator) -> int:
        """Take weights and generator up where they were saved; returns the step to go on with."""
        if not self._saved or self._saved["stage"] != stage.name:
            return 0
        stage.module.load_state_dict(self._saved["module"])
        generator.set_state(self._saved["generator"])
        return int(self._saved["step"])

    def _save(self, stage: Stage, optimizer: torch.optim.Optimizer, generator: torch.Generator, step: int) -> None:
        content = {
            "schema": CHECKPOINT_SCHEMA_VERSION,
            "fingerprint": self._fingerprint,
            "stages_done": self.stages_done,
            "stage": stage.name,
            "step": step,
            "model": whole(self._model.state_dict()),
            "module": whole(stage.module.state_dict()),
            "optimizer": whole(optimizer.state_dict()),
            "generator": generator.get_state(),
        }
        if self._processes.is_first:
            content[CHECKSUM] = digest(content)
            write_atomically(self._run.path / "trainer.pt", lambda path: torch.save(content, path))


def fit_quietly(stage: Stage, seed: int) -> None:
    """Train one stage in memory, without log or checkpoint: for controls that take seconds."""
    optimizer = stage.optim.optimizer_of(stage.module)
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
    stage.clip(stage.module, stage.optim.grad_clip)
    optimizer.step()
    return values


class LossModule(nn.Module):
    """A stage's loss as the forward pass of a module, which is what averaging gradients hangs on."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.module, self._loss = stage.module, stage.loss

    def forward(self, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        return self._loss(progress, generator)


def one_cycle(progress: float, warmup: float = 0.05) -> float:
    """Share of the highest learning rate at a progress in [0, 1]: a linear warm-up, then a cosine to almost nothing."""
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    return max(0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))), 1e-3)


def _watch(stage: Stage, step: int, values: dict[str, Tensor]) -> dict[str, Any]:
    """Scalars for the log; TrainingError on a non-finite loss, and on collapsed latents if the stage wants to stop."""
    line: dict[str, Any] = {name: float(value.detach()) for name, value in values.items() if name != "latents"}
    if not math.isfinite(line["loss"]):
        parts = ", ".join(f"{name}={value:.3g}" for name, value in line.items())
        raise TrainingError(
            f"stage {stage.name}: the loss is not finite at step {step} ({parts}); lower the learning rate "
            f"(now {stage.optim.lr:g}) or look for bad values in the data"
        )
    if "latents" in values:
        found = spread(values["latents"].detach())
        line |= found | {"collapsed": float(found["latent_std"] < COLLAPSED_STD)}
        if line["collapsed"] and step > stage.optim.steps // 4 and stage.on_collapse == "stop":
            raise TrainingError(
                f"stage {stage.name}: the latents have collapsed at step {step} (mean std {line['latent_std']:.2g}, "
                f"effective rank {line['effective_rank']:.2f}); raise the SIGReg weight (method.sigreg_start, "
                "method.sigreg_end) where the method has one, lower the learning rate, or watch it happen with "
                "method.on_collapse=report"
            )
    return line


def spread(latents: Tensor) -> dict[str, Any]:
    """Collapse diagnosis of latents (n, D).

    latent_std: mean over dimensions. latent_variance: list (D,). effective_rank: exp(entropy of the covariance's
    eigenvalues), between 1 and D.
    """
    centred = latents.float() - latents.float().mean(0)
    eigenvalues = torch.linalg.eigvalsh(centred.T @ centred / max(1, len(latents) - 1)).clamp_min(1e-12)
    share = eigenvalues / eigenvalues.sum()
    return {
        "latent_std": float(centred.std(0).mean()),
        "latent_variance": [float(f"{value:.4g}") for value in centred.var(0)],
        "effective_rank": float(torch.exp(-(share * share.log()).sum())),
    }


def _load(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """The checkpoint to resume from, or None; one of other settings is refused, not overwritten."""
    if not path.exists():
        return None
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        schema, other = saved["schema"], saved["fingerprint"]
    except Exception as error:  # torch.load raises whatever the file provokes
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__}); delete {path.parent}") from error
    if schema != CHECKPOINT_SCHEMA_VERSION:
        raise CheckpointError(f"{path} has schema {schema}, this version reads {CHECKPOINT_SCHEMA_VERSION}")
    if other not in (fingerprint, fingerprint.partition("+")[0]):
        raise CheckpointError(
            f"{path.parent} holds a run with other settings; choose another name=…, or delete {path.parent}"
        )
    written = saved.pop(CHECKSUM, None)
    if written not in (None, digest(saved)):
        raise CheckpointError(f"{path} is damaged: its checksum differs from the one written with it; delete it")
    return saved
