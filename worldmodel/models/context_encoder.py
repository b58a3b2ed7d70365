"""The context encoder: a window of latents and actions to the physical constants at work in it."""

import torch
from torch import Tensor, nn

from worldmodel.models.force_laws import FORCE_LAWS, Units, fit_units
from worldmodel.models.layers import mlp
from worldmodel.models.weak_form import fit_circle
from worldmodel.settings import ContextConfig

_FAINT = 1e-3  # norm of standardised coefficients below which their logarithm is noise


class ContextEncoder(nn.Module):
    """Window of latents (B, W+1, D) and actions (B, W, A) -> context (B, C), float32.

    A rigid body obeys an equation of motion that is linear in its (transformed) constants; `force_laws.py` has five of
    them, in weak form. First and second moments of its terms over the window are the statistics that a regression for
    the constants needs, whatever rotation the latents are in. Moments are means over steps, so that those of any window
    of an episode are a difference of two cumulative sums. Least squares turns them into coefficients, window by window,
    and an MLP maps coefficients (and, under some laws, moments) of all strides to the context. A law that hands on
    coefficients alone leaves few features, in which two motions have nothing in common but their constants.

    Letters: W control steps of a window, T of any sequence, D latents, A numbers of an action, C of a context, I
    regressors, O outputs, F features of a step, F' of a window, m the `margin`.
    """

    scale: Tensor
    """Units of every stride, (strides, 3): speed, action, change."""
    pairs: Tensor
    """Rows and columns of the products of terms, int64 (2, pairs)."""
    circle: Tensor
    """Centre and map to the unit circle (3, 2), where latents are one direction."""

    def __init__(self, config: ContextConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.config = config
        self.latent_dim, self.action_dim = latent_dim, action_dim
        self.law = FORCE_LAWS[config.forces](latent_dim, action_dim)
        width, num_strides = self.num_inputs + self.num_outputs, len(config.strides)
        self.register_buffer("scale", torch.ones(num_strides, 3))
        if self.law.latents_are_one_direction:
            self.register_buffer("circle", torch.cat([torch.zeros(1, 2), torch.eye(2)]))
        self.register_buffer("pairs", torch.triu_indices(width, width), persistent=False)
        num_moments = width + width * (width + 1) // 2 if self.law.moments_are_features else 0
        num_coefficients = sum(part.num_inputs * part.num_outputs + len(part.blocks) for part in self.law.equations)
        num_features = num_strides * (num_moments + num_coefficients)
        self.standardize = nn.BatchNorm1d(num_features, affine=False)
        self.head = mlp(num_features, [config.hidden, config.hidden], config.num_values)

    @property
    def num_inputs(self) -> int:
        """I, the regressors of all equations of motion."""
        return sum(equation.num_inputs for equation in self.law.equations)

    @property
    def num_outputs(self) -> int:
        """O, the outputs of all equations of motion."""
        return sum(equation.num_outputs for equation in self.law.equations)

    @property
    def margin(self) -> int:
        """Steps at either end of a window on which no feature is centred: the longest stride."""
        return self.config.strides[-1]

    @property
    def min_steps(self) -> int:
        """Control steps of the shortest window in which features are centred on two frames."""
        return 2 * self.margin + 1

    def fit_scale(self, latents: Tensor, actions: Tensor) -> None:
        """Take the units of speed, action and change from training episodes (E, T+1, D), (E, T, A)."""
        if self.law.latents_are_one_direction:
            self.circle.copy_(fit_circle(latents.flatten(0, -2)))
        latents = self._on_circle(latents)
        for scale, stride in zip(self.scale, self.config.strides, strict=True):
            scale.copy_(fit_units(self.law, latents, actions, stride))

    def step_features(self, latents: Tensor, actions: Tensor) -> Tensor:
        """(…, T+1, D), (…, T, A) -> terms and their products (…, T+1-2m, F), centred on frames m … T-m."""
        parts, latents = [], self._on_circle(latents)
        for scale, stride in zip(self.scale, self.config.strides, strict=True):
            terms = torch.cat(self.law.terms(latents, actions, stride, Units(*scale)), -1)
            trim = self.margin - stride
            u = terms[..., trim : terms.shape[-2] - trim, :]
            parts += [u, u[..., self.pairs[0]] * u[..., self.pairs[1]]]
        return torch.cat(parts, -1)

    def _on_circle(self, latents: Tensor) -> Tensor:
        """Latents (…, D) on the unit circle, where they are one direction; else as they are."""
        return (latents - self.circle[0]) @ self.circle[1:] if self.law.latents_are_one_direction else latents

    def from_moments(self, moments: Tensor) -> Tensor:
        """Mean step features of windows (…, F) -> context (…, C)."""
        return self.from_features(self.features(moments.flatten(0, -2))).view(*moments.shape[:-1], -1)

    def features(self, moments: Tensor) -> Tensor:
        """Moments of windows (n, F) -> inputs of the MLP (n, F'); nothing here is learned."""
        coefficients = [*map(self._regress, self.grams(moments))]
        return torch.cat([moments, *coefficients] if self.law.moments_are_features else coefficients, -1)

    def from_features(self, features: Tensor) -> Tensor:
        """(n, F') -> context (n, C)."""
        return self.head(self.standardize(features))

    def grams(self, moments: Tensor) -> list[Tensor]:
        """Moments of windows (n, F) -> for each stride the mean of u u^T, (n, I + O, I + O); u is the I regressors and
        then the O outputs."""
        width = self.num_inputs + self.num_outputs
        grams = []
        for part in moments.chunk(len(self.config.strides), -1):
            gram = moments.new_zeros(len(moments), width, width)
            gram[:, self.pairs[0], self.pairs[1]] = part[:, width:]
            grams.append(gram + gram.triu(1).transpose(1, 2))
        return grams

    def _regress(self, gram: Tensor) -> Tensor:
        """(n, I + O, I + O) -> ridge regression's coefficients of every equation, and the logarithm of each block's
        norm: (n, coefficients and blocks).

        A log-normal constant enters the logarithms linearly: a's block holds force over mass, v/|v|'s friction.
        """
        found, first_input, first_output = [], 0, self.num_inputs
        for equation in self.law.equations:
            inputs = slice(first_input, first_input + equation.num_inputs)
            outputs = slice(first_output, first_output + equation.num_outputs)
            first_input, first_output = inputs.stop, outputs.stop
            ridge = self.config.ridge * torch.eye(equation.num_inputs, device=gram.device)
            coefficients = torch.linalg.solve(gram[:, inputs, inputs] + ridge, gram[:, inputs, outputs])
            blocks = coefficients.split(equation.blocks, 1)
            norms = torch.stack([block.square().sum((1, 2)).add(_FAINT**2).log() for block in blocks], -1)
            found += [coefficients.flatten(1), norms]
        return torch.cat(found, -1)

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, W+1, D) and the actions (B, W, A) between them -> context (B, C)."""
        return self.from_moments(self.step_features(latents, actions).mean(-2))
