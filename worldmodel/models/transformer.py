"""A transformer over (latent, action block) tokens: the latent a block of actions later, one block after another.

Letters beyond `planners/interfaces.py`: n sequences, G blocks of b actions, W the window in tokens.
"""

import copy
import math
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.models.cuda_graphs import bfloat16_on_gpu
from worldmodel.models.predictor import check_inputs
from worldmodel.settings import PredictorConfig
from worldmodel.system.errors import UserError

# rows of a rollout computed at once: on a GPU what keeps it busy, some GB of activations; on a CPU what stays in its
# caches, and in blocks of memory that the allocator does not give back to the system each time
_ROWS_AT_ONCE = {"cuda": 32_768, "cpu": 160}

_FEW_TOKENS = 8  # up to which attention on a GPU is written out

Cache = list[Tensor]  # by layer: keys and values of the tokens so far, (n, T, 2 * heads * head_dim)


class TransformerPredictor(nn.Module):
    """z_{t+b}, z_{t+2b}, … from z_t, earlier latents b steps apart, and blocks of b actions; constants where known.

    The network of arXiv:2603.19312: causal attention over a window of tokens, conditioned on its action block by
    adaptive layer norms. It knows latents at the ends of blocks; those between lie on the straight line between them.
    """

    def __init__(self, config: PredictorConfig, latent_dim: int, action_dim: int, context_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        self.latent_dim, self.action_dim, self.context_dim = latent_dim, action_dim, context_dim
        self.state_dim = latent_dim * len(config.history) + action_dim * (config.num_context_frames - 1)
        width, own = config.width, config.transformer_or_default
        self.block, self.window, self.residual = own.block, own.window, own.residual
        self.into = nn.Identity() if latent_dim == width else nn.Linear(latent_dim, width)
        self.embed_actions = nn.Sequential(
            nn.Linear(self.block * action_dim + context_dim, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )
        self.position = nn.Parameter(0.02 * torch.randn(self.window, width))
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(nn.Linear(width, config.hidden), nn.GELU(), nn.Linear(config.hidden, latent_dim))

    def planning_state(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, K, D) oldest first and the actions (B, K-1, A) between them -> (B, D'), z_t in front."""
        seen = [latents[:, -1 - lag] for lag in self.config.history]
        return torch.cat([*seen, actions.flatten(1)], -1)

    def forward(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `rollout`, with products in bfloat16 on CUDA: for training."""
        with bfloat16_on_gpu(state.device):
            return self.rollout(state, actions, context)

    def next(self, latents: Tensor, blocks: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent (n, T, D) after each of T <= W tokens: latents (n, T, D), their action blocks (n, T, b * A)."""
        with bfloat16_on_gpu(latents.device):
            return self._follow(latents, self._modulations(blocks, context), None)

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D'), (B, N, H, A), (B, C) -> latents (B, N, H, D) after each action; H is a multiple of b.

        Raises UserError where the actions are not of this world, or do not fill their last block.
        """
        self._check(actions, context)
        batch, num, horizon = actions.shape[:3]
        latents, past = self._unpack(state)
        blocks = torch.cat(
            [past[:, None].expand(-1, num, -1, -1), actions.reshape(batch, num, horizon // self.block, -1)], 2
        ).flatten(0, 1)
        start = latents.repeat_interleave(num, 0)
        given = None if context is None or not self.context_dim else context.repeat_interleave(num, 0)
        # all at once where gradients are wanted: they need every activation anyway
        rows = len(start) if torch.is_grad_enabled() else _ROWS_AT_ONCE[start.device.type]
        contexts = repeat(None) if given is None else given.split(rows)
        split = zip(start.split(rows), blocks.split(rows), contexts, strict=False)
        parts = [self._unroll(*part) for part in split]
        ends = parts[0] if len(parts) == 1 else torch.cat(parts)
        return _between(start[:, -1], ends, self.block).unflatten(0, (batch, num))

    def for_planning(self, dtype: torch.dtype | None) -> "TransformerPredictor":
        """A copy of these weights for rollouts without gradients, computed in `dtype` (None: as they are); latents from
        one block to the next stay float32."""
        return copy.deepcopy(self).eval().requires_grad_(False).to(dtype)

    def _unpack(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Planning states (B, D') -> their latents (B, k, D), oldest first, and the blocks between (B, k-1, b * A)."""
        num = len(self.config.history)
        latents, actions = state.split([num * self.latent_dim, self.state_dim - num * self.latent_dim], -1)
        blocks = actions.reshape(len(state), num - 1, self.block * self.action_dim)
        return latents.unflatten(-1, (num, self.latent_dim)).flip(1), blocks

    def _check(self, actions: Tensor, context: Tensor | None) -> None:
        check_inputs(self, actions, context)
        if actions.shape[2] % self.block:
            raise UserError(
                f"this model predicts whole blocks of {self.block} actions, got a horizon of "
                f"{actions.shape[2]}; set planner.horizon to a multiple of {self.block}"
            )

    def _unroll(self, latents: Tensor, blocks: Tensor, context: Tensor | None) -> Tensor:
        """Latents (n, G, D) after the last G blocks, from latents (n, k, D) with blocks (n, k-1+G, b * A).

        Nothing is computed twice or in vain: every block is embedded once, and keys and values are kept while the
        window grows; when it slides, every token has another position.
        """
        num_seen = latents.shape[1]
        modulations = self._modulations(blocks, context)
        cache: Cache = []
        for end in range(num_seen, blocks.shape[1] + 1):
            start = end - 1
            if end > self.window or end == num_seen:
                start, cache = max(0, end - self.window), []
            part = [modulation[:, start:end] for modulation in modulations]
            latents = torch.cat([latents, self._follow(latents[:, start:], part, cache)], 1)
        return latents[:, num_seen:]

    def _modulations(self, blocks: Tensor, context: Tensor | None) -> list[Tensor]:
        """What every layer makes of action blocks (n, T, b * A): shifts, scales and gates (n, T, 6 * width)."""
        if context is not None and self.context_dim:
            blocks = torch.cat([blocks, context[:, None].expand(-1, blocks.shape[1], -1)], -1)
        condition = F.silu(self.embed_actions(blocks.to(self.position.dtype)))
        return [layer.modulate(condition) for layer in self._typed_layers()]

    def _follow(self, latents: Tensor, modulations: list[Tensor], cache: Cache | None) -> Tensor:
        """Next latents (n, T, D) of latents (n, T, D) under modulations of the same tokens.

        With a cache the tokens come after those it holds and are added to it; only the latent after the last of them is
        then computed: (n, 1, D).
        """
        first = cache[0].shape[1] if cache else 0
        x = self.into(latents.to(self.position.dtype)) + self.position[first : first + latents.shape[1]]
        for index, (layer, modulation) in enumerate(zip(self._typed_layers(), modulations, strict=True)):
            # nobody asks what follows the tokens before the last
            x = layer(x, modulation, cache, index, cache is not None and index == self.config.depth - 1)
        return latents[:, -x.shape[1] :] * self.residual + self.head(self.norm(x)).to(latents.dtype)

    def _typed_layers(self) -> "list[_Layer]":
        return [layer for layer in self.layers if isinstance(layer, _Layer)]


class _Layer(nn.Module):
    """Attention and a hidden layer, each behind a layer norm that the action block shifts and scales, and gated by it.

    Gates are zero at first: the network begins as the identity (adaLN-zero, arXiv:2212.09748).
    """

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        width, own = config.width, config.transformer_or_default
        self.heads, self.inner = own.heads, own.heads * own.head_dim
        self.modulate = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        self.attention_norm, self.hidden_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * self.inner, bias=False)
        self.out = nn.Linear(self.inner, width)
        self.up, self.down = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)

    def forward(self, x: Tensor, modulation: Tensor, cache: Cache | None, index: int, last_only: bool) -> Tensor:
        """Tokens (n, T, width) -> the same, or only the last of them; see `TransformerPredictor._follow`."""
        y = self.attention_norm(_modulated(x, *modulation.chunk(6, -1)[:2]))
        kv = F.linear(y, self.qkv.weight[self.inner :])
        if cache is not None:
            if index == len(cache):
                cache.append(kv)
            else:
                kv = cache[index] = torch.cat([cache[index], kv], 1)
        k, v = (self._split(part) for part in kv.chunk(2, -1))
        if last_only:
            x, y, modulation = x[:, -1:], y[:, -1:], modulation[:, -1:]
        gate1, shift2, scale2, gate2 = modulation.chunk(6, -1)[2:]
        if k.shape[2] == 1:  # a token alone attends to itself
            attended = v
        else:
            q = self._split(_linear(y, self.qkv.weight[: self.inner]))
            attended = _attended(q, k, v)
        x = torch.addcmul(x, gate1, _linear(attended.transpose(1, 2).flatten(2), self.out.weight, self.out.bias))
        hidden = F.gelu(self.up(self.hidden_norm(_modulated(x, shift2, scale2))))
        return torch.addcmul(x, gate2, self.down(hidden))

    def _split(self, x: Tensor) -> Tensor:
        """(n, T, heads * head_dim) -> (n, heads, T, head_dim)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention (n, heads, T, D) of the last T of the tokens that keys and values (n, heads, S, D) are of: all,
    or one."""
    if k.is_cuda and k.shape[2] <= _FEW_TOKENS:
        return few_tokens_attended(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] > 1)


def few_tokens_attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same, written out: a GPU's attention kernels compute tiles of 64 or 128 tokens, however few there are."""
    scores = (q[..., :, None, :] * k[..., None, :, :]).sum(-1) / math.sqrt(q.shape[-1])
    if q.shape[2] > 1:
        later = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return (scores.softmax(-1).to(v.dtype)[..., None] * v[..., None, :, :]).sum(-2)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` of parts of tokens (n, T, D): as one product, where strides would make it n small ones on a CPU."""
    return F.linear(x.flatten(0, 1), weight, bias).unflatten(0, x.shape[:2])


def _between(start: Tensor, ends: Tensor, block: int) -> Tensor:
    """Latents (n, G * b, D) after every action: straight lines from start (n, D) through ends of blocks (n, G, D)."""
    starts = torch.cat([start[:, None], ends[:, :-1]], 1)
    share = torch.arange(1, block + 1, device=ends.device, dtype=ends.dtype)[:, None] / block
    return torch.lerp(starts[:, :, None], ends[:, :, None], share).flatten(1, 2)
