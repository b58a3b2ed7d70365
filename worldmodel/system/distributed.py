"""Training in several processes, exactly as in one.

Every process draws the same batch from an equal generator, makes the latents of its share of the rows, and gathers the
others' (`in_parallel`). Each then has the latents z = (z_1, …, z_W) of the whole batch and computes the whole loss L(z)
on them, so that a loss may use statistics of the batch (SIGReg's characteristic functions, negatives, covariances)
without knowing of processes. The gather's backward sums what all processes ask of z_r, which is W dL/dz_r; the mean of
gradients over processes, which DDP and FSDP take, is then

    1/W sum_r (dz_r/dtheta) W dL/dz_r  =  dL/dtheta,

the gradient of one process with the whole batch. What is computed on gathered latents (a predictor head, a decoder) has
the same gradient in every process, and the mean leaves it. BatchNorm inside `in_parallel` takes the moments of the
whole batch.

Lightning Fabric and torch.distributed start processes, let them find each other, and average gradients.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from worldmodel.system.errors import UserError

PATIENCE = timedelta(hours=2)
"""How long processes wait for each other; one evaluates while the others wait."""


# ---------------------------------------------------------------------------------------------------------------------
# shares of a batch


def in_parallel(network: nn.Module, function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """`function` of the batches (n, …) -> (n, …), each process computing a share of the rows and getting all results.

    In one process the function is called on the whole batches.

    Args:
        network: what the function computes with; its BatchNorm layers take the moments of the whole batch.
        function: treats rows one by one, except in BatchNorm, and draws no random numbers.
        batches: the same in every process.

    Raises:
        UserError: there are fewer than two rows for each process.
    """
    if is_alone():
        return function(*batches)
    num, num_processes = len(batches[0]), dist.get_world_size()
    if num < 2 * num_processes:
        raise UserError(
            f"a batch of {num} rows is too small for {num_processes} processes (two rows each); raise batch_size"
        )
    sizes = [len(share) for share in torch.empty(num).tensor_split(num_processes)]
    with _of_shares(network):
        result = function(*(batch.tensor_split(num_processes)[dist.get_rank()] for batch in batches))
    return _gather(result, sizes)


def is_alone() -> bool:
    """Whether no other process trains with this one."""
    return not dist.is_initialized() or dist.get_world_size() == 1


@contextmanager
def _of_shares(network: nn.Module) -> Iterator[None]:
    """The network sees this process's share of a batch meanwhile, which its BatchNorm layers must know."""
    norms = [layer for layer in network.modules() if isinstance(layer, SharedBatchNorm)]
    for norm in norms:
        norm.sees_share = True
    try:
        yield
    finally:
        for norm in norms:
            norm.sees_share = False


def _gather(share: Tensor, sizes: list[int]) -> Tensor:
    """Shares (n_r, …) of all processes in one tensor (sum of n_r, …), differentiable. sizes: n_r of every process."""
    whole = _Gather.apply(share, sizes)
    assert isinstance(whole, Tensor)
    return whole


class _Gather(torch.autograd.Function):
    """Gathers the shares of all processes; in the backward pass, their gradients for a share are added up."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, sizes: list[int]) -> Tensor:  # type: ignore[override]
        ctx.sizes = sizes
        padded = share.new_zeros(max(sizes), *share.shape[1:])  # collectives need equal shapes
        padded[: len(share)] = share
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        total = upstream.contiguous().clone()
        dist.all_reduce(total)
        return total.split(ctx.sizes)[dist.get_rank()], None


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over the shares of all processes, on any device; torch's own SyncBatchNorm needs a GPU."""

    sees_share: bool = False
    """Whether the input is this process's share of a batch; set by `in_parallel`."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """(n, features, …) -> the same shape, normalised as if one process had seen the whole batch."""
        if not (self.training and self.sees_share):
            return super().forward(x)
        axes = [0, *range(2, x.dim())]
        variance, mean = torch.var_mean(x.float(), axes, correction=0)
        count = torch.full_like(mean, x.numel() // x.shape[1])
        shares = _gather(torch.stack([mean, variance, count])[None], [1] * dist.get_world_size())
        means, variances, counts = shares.unbind(1)
        total = counts.sum(0)
        mean = (counts * means).sum(0) / total
        variance = (counts * (variances + (means - mean).square())).sum(0) / total
        self._update(mean.detach(), variance.detach() * total / (total - 1))
        shape = [1, -1] + [1] * (x.dim() - 2)
        scale = (variance + self.eps).rsqrt() * (1 if self.weight is None else self.weight)
        shift = 0 if self.bias is None else self.bias.view(shape)
        return ((x - mean.view(shape)) * scale.view(shape) + shift).to(x.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(variance, rate)


def share_batch_norm(module: nn.Module) -> None:
    """Let every BatchNorm inside `module` take the moments of the whole batch; names, weights and statistics stay."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            child.__class__ = SharedBatchNorm


# ---------------------------------------------------------------------------------------------------------------------
# the processes


@dataclass(frozen=True)
class Processes:
    """The processes that train together, seen from one of them."""

    device: torch.device
    """Where this process computes."""
    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """How many there are."""
    fabric: Any = None
    """Lightning Fabric; None where there is only one process."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes, evaluates and reports."""
        return self.rank == 0

    def set_up(self, module: nn.Module) -> nn.Module:
        """`module`, whose forward pass computes the loss, ready for gradients to be averaged over processes."""
        if not self.fabric:
            return module
        share_batch_norm(module)
        return self.fabric.setup_module(module)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a scalar loss."""
        if self.fabric:
            self.fabric.backward(loss)
        else:
            loss.backward()

    def agree(self, values: Sequence[int]) -> list[int]:
        """For each of the values, the largest that a process has."""
        if not self.fabric:
            return list(values)
        shared = torch.tensor(values, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return shared.tolist()

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.fabric:
            self.fabric.barrier()

    def leave(self) -> None:
        """Dissolve the group; this process is alone afterwards."""
        if self.fabric and dist.is_initialized():
            dist.destroy_process_group()


def launch(devices: int, strategy: str, device: torch.device) -> Processes:
    """Start the other processes of this machine, or join those that torchrun or srun started, and wait for all.

    The whole command runs in each of them.

    Args:
        devices: processes on each machine, each with a GPU of its own where `device` is a GPU.
        strategy: "ddp", or "fsdp" to shard optimiser states and gradients too.
        device: the kind of device.

    Raises:
        UserError: Lightning Fabric is not installed, or there are fewer GPUs.
    """
    devices, nodes = places(devices, os.environ)
    if devices * nodes == 1 and _TORCHRUN not in os.environ:
        return Processes(device)
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise UserError(
            f"devices={devices} were asked for, torch sees {torch.cuda.device_count()} GPUs; use fewer, or device=cpu"
        )
    fabric = _fabric(devices, nodes, strategy, device)
    fabric.launch()
    if fabric.global_rank:
        sys.stdout = open(os.devnull, "w")  # only the first process prints
    return Processes(fabric.device, fabric.global_rank, fabric.world_size, fabric)


_TORCHRUN = "TORCHELASTIC_RUN_ID"


def places(devices: int, environ: Mapping[str, str]) -> tuple[int, int]:
    """Processes on each machine, and machines.

    torchrun gives both. srun is the launcher where it started as many tasks as `devices` on each of its machines.
    """
    if _TORCHRUN in environ:
        here = int(environ["LOCAL_WORLD_SIZE"])
        return here, int(environ["WORLD_SIZE"]) // here
    nodes, tasks = (int(environ.get(f"SLURM_STEP_NUM_{what}", 1)) for what in ("NODES", "TASKS"))
    return devices, nodes if tasks == devices * nodes else 1


def _fabric(devices: int, nodes: int, strategy: str, device: torch.device) -> Any:
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
        from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
    except ImportError as error:
        raise UserError(
            "training in several processes needs Lightning Fabric; install it with: pip install "
            "'worldmodel[distributed]'"
        ) from error
    if strategy == "ddp":
        chosen: Any = DDPStrategy(timeout=PATIENCE)
    else:
        chosen = ModelParallelStrategy(
            _shard, data_parallel_size=devices * nodes, tensor_parallel_size=1, timeout=PATIENCE
        )
    accelerator = "cuda" if device.type == "cuda" else "cpu"
    return Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, strategy=chosen)


def _shard(module: nn.Module, mesh: Any) -> nn.Module:
    """FSDP of the module as a whole: optimiser states and gradients are sharded, weights are whole during a step."""
    from torch.distributed.fsdp import fully_shard

    # weights that no optimiser moves stay whole: a moving average is written to in the forward pass
    frozen = {weight for weight in module.parameters() if not weight.requires_grad}
    fully_shard(module, mesh=mesh["data_parallel"], ignored_params=frozen)
    return module


# ---------------------------------------------------------------------------------------------------------------------
# sharded weights and optimiser states, whole again


def whole(state: Any) -> Any:
    """`state`, any nest of containers, with its sharded tensors gathered; every process must call this."""
    from torch.distributed.tensor import DTensor

    return tree_map(lambda value: value.full_tensor() if isinstance(value, DTensor) else value, state)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load optimiser states that `whole` returned into an optimiser of whole or of sharded weights."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    weights = [weight for group in optimizer.param_groups for weight in group["params"]]

    def placed(weight: Tensor, value: Any) -> Any:
        if isinstance(weight, DTensor) and isinstance(value, Tensor) and value.shape == weight.shape:
            return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
        return value

    moments = {
        index: {name: placed(weights[index], value) for name, value in values.items()}
        for index, values in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": moments})


def unshard(module: nn.Module) -> None:
    """Give a module with sharded weights its whole weights back; every process must call this."""
    from torch.distributed.tensor import DTensor

    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if isinstance(weight, DTensor):
                setattr(part, name, nn.Parameter(weight.full_tensor().detach(), weight.requires_grad))
