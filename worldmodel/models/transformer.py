"""A transformer over tokens of a latent and an action block: it predicts the latent after each block, one by one.

Letters beyond `planners/interfaces.py`: n sequences, G blocks of b actions, W the window in tokens, T <= W tokens.
"""

import copy
import math
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.models.cuda_graphs import bfloat16_on_gpu
from worldmodel.models.layers import for_inference
from worldmodel.models.predictor import check_inputs
from worldmodel.settings import PredictorConfig
from worldmodel.system.errors import UserError

_ROWS_AT_ONCE = {"cuda": 32_768, "cpu": 160}
"""Sequences of a rollout that are computed at once. A GPU is kept busy by as many as fill some GB with activations; on
a CPU they should stay in its caches, and in memory that the allocator does not return to the system after each call."""

_FEW_TOKENS = 8
"""Tokens up to which explicit attention is faster on a GPU."""

Cache = list[Tensor]
"""Keys and values of the tokens so far, layer by layer: (n, T, 2 * heads * head_dim) each."""


class TransformerPredictor(nn.Module):
    """Latents z_{t+b}, z_{t+2b}, … from z_t, earlier latents b steps apart, blocks of b actions, and a context.

    The network of arXiv:2603.19312: causal attention over a window of tokens, each conditioned on its action block by
    adaptive layer norms. It predicts the latents at the ends of blocks; those within a block are interpolated.
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
        """Latents (B, K, D), oldest first, and the actions (B, K-1, A) between them -> (B, D'), z_t in front."""
        seen = [latents[:, -1 - lag] for lag in self.config.history]
        return torch.cat([*seen, actions.flatten(1)], -1)

    def forward(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `rollout`, with matrix products in bfloat16 on CUDA: for training."""
        with bfloat16_on_gpu(state.device):
            return self.rollout(state, actions, context)

    def next(self, latents: Tensor, blocks: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent after each token's action block: latents (n, T, D), blocks (n, T, b A), (n, C) -> (n, T, D)."""
        with bfloat16_on_gpu(latents.device):
            return self._follow(latents, self._modulations(blocks, context), None)

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent after each of H = G b actions: (B, D'), (B, N, H, A), (B, C) -> (B, N, H, D).

        Raises:
            UserError: the actions are of another world or do not fill their last block, or the context is missing.
        """
        self._check(actions, context)
        batch, num, horizon = actions.shape[:3]
        latents, past = self._unpack(state)
        blocks = torch.cat(
            [past[:, None].expand(-1, num, -1, -1), actions.reshape(batch, num, horizon // self.block, -1)], 2
        ).flatten(0, 1)
        start = latents.repeat_interleave(num, 0)
        given = None if context is None or not self.context_dim else context.repeat_interleave(num, 0)
        # with gradients every activation is kept anyway, so all sequences are computed at once
        rows = len(start) if torch.is_grad_enabled() else _ROWS_AT_ONCE[start.device.type]
        contexts = repeat(None) if given is None else given.split(rows)
        split = zip(start.split(rows), blocks.split(rows), contexts, strict=False)
        parts = [self._unroll(*part) for part in split]
        ends = parts[0] if len(parts) == 1 else torch.cat(parts)
        return _between(start[:, -1], ends, self.block).unflatten(0, (batch, num))

    def for_planning(self, dtype: torch.dtype | None) -> "TransformerPredictor":
        """A copy for rollouts without gradients, computed in `dtype`; None keeps that of the weights.

        Latents handed from one block to the next stay float32.
        """
        folded = copy.deepcopy(self).eval().requires_grad_(False).to(dtype)
        for_inference(folded)
        return folded

    def _unpack(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Planning states (B, D') -> their k latents (B, k, D), oldest first, and the blocks between (B, k-1, b A)."""
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
        """Latents (n, G, D) after the last G blocks, from latents (n, k, D) and blocks (n, k-1+G, b A).

        Every block is embedded once. Keys and values are cached while the window grows; once it slides, every token has
        another position and the cache starts anew.
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
        """Shifts, scales and gates of every layer (n, T, 6 width) for action blocks (n, T, b A) and contexts (n, C)."""
        if context is not None and self.context_dim:
            blocks = torch.cat([blocks, context[:, None].expand(-1, blocks.shape[1], -1)], -1)
        condition = F.silu(self.embed_actions(blocks.to(self.position.dtype)))
        return [layer.modulate(condition) for layer in self._typed_layers()]

    def _follow(self, latents: Tensor, modulations: list[Tensor], cache: Cache | None) -> Tensor:
        """The latent after each token: latents (n, T, D) and their modulations -> (n, T, D).

        With a cache the tokens follow those that it holds and are added to it, and only the latent after the last token
        is computed: (n, 1, D).
        """
        first = cache[0].shape[1] if cache else 0
        x = self.into(latents.to(self.position.dtype)) + self.position[first : first + latents.shape[1]]
        for index, (layer, modulation) in enumerate(zip(self._typed_layers(), modulations, strict=True)):
            # in the last layer only the last token's output is read
            x = layer(x, modulation, cache, index, cache is not None and index == self.config.depth - 1)
        return latents[:, -x.shape[1] :] * self.residual + self.head(self.norm(x)).to(latents.dtype)

    def _typed_layers(self) -> "list[_Layer]":
        return [layer for layer in self.layers if isinstance(layer, _Layer)]


class _Layer(nn.Module):
    """Attention and an MLP, each after a layer norm; the action block shifts and scales both norms and gates both
    outputs. Gates start at zero, so that the layer starts as the identity (adaLN-zero, arXiv:2212.09748)."""

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
        """Tokens (n, T, width) -> (n, T, width), or with `last_only` (n, 1, width).

        Args:
            modulation: shifts, scales and gates (n, T, 6 width).
            cache: keys and values of earlier tokens, to which these are added; None without.
            index: which layer this is, and so which entry of the cache is its own.
        """
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
        if k.shape[2] == 1:  # a single token attends to itself alone
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
    """Causal attention of queries (n, heads, T, d), those of the last T tokens, to keys and values (n, heads, S, d):
    -> (n, heads, T, d). T is S or 1."""
    if k.is_cuda and k.shape[2] <= _FEW_TOKENS:
        return few_tokens_attended(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] > 1)


def few_tokens_attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Explicit attention, faster on a GPU for at most 8 tokens: its kernels always compute tiles of 64 or 128."""
    scores = (q[..., :, None, :] * k[..., None, :, :]).sum(-1) / math.sqrt(q.shape[-1])
    if q.shape[2] > 1:
        later = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return (scores.softmax(-1).to(v.dtype)[..., None] * v[..., None, :, :]).sum(-2)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` of tokens (n, T, D) as one matrix product; on a CPU, strided tokens would make it n small ones."""
    return F.linear(x.flatten(0, 1), weight, bias).unflatten(0, x.shape[:2])


def _between(start: Tensor, ends: Tensor, block: int) -> Tensor:
    """Latents after every action (n, G b, D): linear interpolation from start (n, D) through the ends of blocks
    (n, G, D)."""
    starts = torch.cat([start[:, None], ends[:, :-1]], 1)
    share = torch.arange(1, block + 1, device=ends.device, dtype=ends.dtype)[:, None] / block
    return torch.lerp(starts[:, :, None], ends[:, :, None], share).flatten(1, 2)
