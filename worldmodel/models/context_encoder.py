"""The context encoder: a window of latents and actions to the physical constants at work in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldmodel.models.encoders import mlp
from worldmodel.settings import ContextConfig
from worldmodel.system.errors import UserError

_FAINT = 1e-3  # norm of standardised coefficients below which their logarithm tells nothing


class ContextEncoder(nn.Module):
    """Window of latents (B, W+1, D) and actions (B, W, A) -> context (B, C).

    A rigid body obeys an equation that is linear in its (transformed) constants given velocity v, direction v/|v|,
    action a and acceleration. In its weak form, that equation is averaged over 2n steps with triangular weights, and
    the averaged acceleration becomes the second difference z(t+n) - 2 z(t) + z(t-n): no derivative of the noisy latents
    is taken, and their noise counts n^2 times less. First and second moments of (v, v/|v|, a, second difference) over
    the window are the statistics that a regression for the constants needs, whatever rotation the latents are in; an
    MLP maps those of all strides n to the context. Moments are means over steps, so that any window of an episode comes
    from two cumulative sums. Beside them the MLP is given what least squares makes of them, window by window.

    Where forces depend on the place z ("placed"), regressors are also z, its products with itself and with the action,
    and |v|^2 z: gravity, lever arms and centripetal terms of a body whose angle is seen as cosine and sine.

    Of "turning" bodies the action is regressed on what a torque does (`torque_balance`), of "hinged" ones on what a
    force does, and the hinge on what moves it (`hinge_balance`), of "sliding" ones the change of kinetic energy on the
    work done (`power_balance`). The MLP sees what these regressions find and nothing else: few features, in which two
    motions have nothing in common but their constants. Directions that a frame encoder has learned lie on an ellipse
    somewhere; those of a hinge are brought back to the unit circle first.
    """

    scale: Tensor
    pairs: Tensor
    circle: Tensor

    def __init__(self, config: ContextConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.config = config
        self.latent_dim, self.action_dim = latent_dim, action_dim
        self.balanced = config.forces in ("turning", "hinged", "sliding")
        self.equations = equations_of_motion(config.forces, latent_dim, action_dim)
        width = self.num_inputs + self.num_outputs
        self.register_buffer("scale", torch.ones(len(config.strides), 3))  # of v, a, change
        if self.seen_round:
            self.register_buffer("circle", torch.cat([torch.zeros(1, 2), torch.eye(2)]))
        self.register_buffer("pairs", torch.triu_indices(width, width), persistent=False)
        num_moments = 0 if self.balanced else len(config.strides) * (width + width * (width + 1) // 2)
        num_coefficients = sum(sum(of.blocks) * of.num_outputs + len(of.blocks) for of in self.equations)
        num_features = num_moments + len(config.strides) * num_coefficients
        self.standardize = nn.BatchNorm1d(num_features, affine=False)
        self.head = mlp(num_features, [config.hidden, config.hidden], config.num_values)

    @property
    def num_inputs(self) -> int:
        """Regressors of the equations of motion; 2 D + A where forces are free: velocity, direction, action."""
        return sum(sum(of.blocks) for of in self.equations)

    @property
    def num_outputs(self) -> int:
        """What those equations explain; D where forces are free: the second difference."""
        return sum(of.num_outputs for of in self.equations)

    @property
    def seen_round(self) -> bool:
        """Whether latents are one direction."""
        return self.config.forces == "turning" and self.latent_dim == 2

    @property
    def margin(self) -> int:
        """Steps at either end of a window on which no feature is centred: the longest stride."""
        return self.config.strides[-1]

    @property
    def min_steps(self) -> int:
        """Control steps of the shortest window in which features are centred on two frames."""
        return 2 * self.margin + 1

    def fit_scale(self, latents: Tensor, actions: Tensor) -> None:
        """Take the scales of velocity, action and second difference from episodes (E, T+1, D), (E, T, A)."""
        if self.seen_round:
            self.circle.copy_(fit_circle(latents.flatten(0, -2)))
        latents = self._rounded(latents)
        for scale, stride in zip(self.scale, self.config.strides, strict=True):
            match self.config.forces:
                case "turning":
                    change, velocity, _, action = torque_balance(latents, actions, stride)
                case "hinged":
                    *_, change, velocity, _, action = hinge_balance(latents, actions, stride)
                case "sliding":
                    velocity, action, change = latents.diff(dim=-2), actions, power_balance(latents, actions, stride)[1]
                case _:
                    velocity, _, action, change = weak_form(latents, actions, stride)
            scale.copy_(torch.stack([x.std().clamp_min(1e-6) for x in (velocity, action, change)]))

    def step_features(self, latents: Tensor, actions: Tensor) -> Tensor:
        """(…, T+1, D), (…, T, A) -> features (…, T+1-2m, F) centred on frames m … T-m, m being the margin."""
        parts, latents = [], self._rounded(latents)
        for scale, stride in zip(self.scale, self.config.strides, strict=True):
            terms = torch.cat(self._terms(latents, actions, stride, *scale), -1)
            trim = self.margin - stride
            u = terms[..., trim : terms.shape[-2] - trim, :]
            parts += [u, u[..., self.pairs[0]] * u[..., self.pairs[1]]]
        return torch.cat(parts, -1)

    def _rounded(self, latents: Tensor) -> Tensor:
        """Latents (…, D) on the unit circle, where they are one direction; else as they are."""
        return (latents - self.circle[0]) @ self.circle[1:] if self.seen_round else latents

    def _terms(
        self, latents: Tensor, actions: Tensor, stride: int, speed: Tensor, strength: Tensor, change_scale: Tensor
    ) -> list[Tensor]:
        """Regressors and, last, the outputs of the equation of motion, about 1 in size: each (…, T+1-2n, ·)."""
        match self.config.forces:
            case "turning":
                change, turn, place, action = torque_balance(latents, actions, stride)
                return [change / change_scale, turn / speed, place, action / strength]
            case "hinged":
                terms = hinge_balance(latents, actions, stride)
                scales = (change_scale, 1.0, speed, change_scale, speed, change_scale, strength)
                return [term / scale for term, scale in zip(terms, scales, strict=True)]
            case "sliding":
                work, change = power_balance(latents / speed, actions / strength, stride)
                return [work, change * speed**2 / change_scale]
        velocity, direction, action, change = weak_form(latents, actions, stride, speed)
        terms = [velocity / speed, direction, action / strength]
        if self.config.forces == "placed":
            terms += placed_terms(latents, actions / strength, stride, speed)
        return [*terms, change / change_scale]

    def from_moments(self, moments: Tensor) -> Tensor:
        """Mean step features of windows (…, F) -> context (…, C)."""
        return self.from_features(self.features(moments.flatten(0, -2))).view(*moments.shape[:-1], -1)

    def features(self, moments: Tensor) -> Tensor:
        """Moments of windows (n, F) and what least squares makes of them (n, F'): nothing here is learned."""
        found = [*map(self._regress, self.grams(moments))]
        return torch.cat(found if self.balanced else [moments, *found], -1)

    def from_features(self, features: Tensor) -> Tensor:
        """(n, F') -> context (n, C)."""
        return self.head(self.standardize(features))

    def grams(self, moments: Tensor) -> list[Tensor]:
        """Moments of windows (n, F) -> for each stride the mean of u u^T, (n, I + O, I + O); u is the I regressors
        (v, v/|v|, a, …) and then the O outputs: the second difference, or the change of energy."""
        width = self.num_inputs + self.num_outputs
        grams = []
        for part in moments.chunk(len(self.config.strides), -1):
            gram = moments.new_zeros(len(moments), width, width)
            gram[:, self.pairs[0], self.pairs[1]] = part[:, width:]
            grams.append(gram + gram.triu(1).transpose(1, 2))
        return grams

    def _regress(self, gram: Tensor) -> Tensor:
        """Least-squares coefficients of every equation's outputs on its regressors, and the logarithm of each block's
        norm: (n, I + O, I + O) -> (n, coefficients and blocks).

        A log-normal constant enters the logarithms linearly: a's block holds force over mass, v/|v|'s friction.
        """
        found, first_input, first_output = [], 0, self.num_inputs
        for of in self.equations:
            inputs = slice(first_input, first_input + sum(of.blocks))
            outputs = slice(first_output, first_output + of.num_outputs)
            first_input, first_output = inputs.stop, outputs.stop
            ridge = self.config.ridge * torch.eye(sum(of.blocks), device=gram.device)
            coefficients = torch.linalg.solve(gram[:, inputs, inputs] + ridge, gram[:, inputs, outputs])
            blocks = coefficients.split(of.blocks, 1)
            norms = torch.stack([block.square().sum((1, 2)).add(_FAINT**2).log() for block in blocks], -1)
            found += [coefficients.flatten(1), norms]
        return torch.cat(found, -1)

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        return self.from_moments(self.step_features(latents, actions).mean(-2))


@dataclass(frozen=True)
class Equation:
    """Outputs that are linear in regressors; `blocks`: sizes of regressors that belong together."""

    blocks: list[int]
    num_outputs: int


def equations_of_motion(forces: str, latent_dim: int, action_dim: int) -> list[Equation]:
    """What is regressed on what; regressors and outputs follow each other in the order of the equations.

    Raises UserError where "hinged" latents have no room for a place and a direction.
    """
    num_products, num_turns = latent_dim * (latent_dim + 1) // 2, latent_dim * (latent_dim - 1) // 2
    match forces:
        case "turning":  # the action on angular acceleration, angular velocity, place
            return [Equation([num_turns, num_turns, latent_dim], action_dim)]
        case (
            "hinged"
        ):  # the hinge on its carrier's acceleration, direction, turning; the action on second difference, v
            if latent_dim < 3:
                raise UserError(
                    f"context.forces=hinged takes 3 latents or more, a place and a direction, got {latent_dim}"
                )
            return [Equation([2 * (latent_dim - 2), 2, 1], 1), Equation([latent_dim, latent_dim], action_dim)]
        case "sliding":  # the energy on thrust, |v|, |v|^2
            return [Equation([latent_dim * action_dim, 1, 1], 1)]
        case "placed":  # the second difference on velocity, direction, action, and what the place adds
            placed = [latent_dim, num_products, latent_dim * action_dim, latent_dim]
            return [Equation([latent_dim, latent_dim, action_dim, *placed], latent_dim)]
    return [Equation([latent_dim, latent_dim, action_dim], latent_dim)]


def weak_form(
    latents: Tensor, actions: Tensor, stride: int, speed: Tensor | float = 1.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Velocity, its direction, action and second difference over 2n steps, each (…, T+1-2n, ·) centred on n … T-n.

    latents (…, T+1, D), actions (…, T, A), n = stride. If z obeys z'' = a, the second difference is the mean of a with
    triangular weights over the 2n steps, times n^2 dt^2; action and direction are averaged with the same weights. A
    direction fades below a tenth of `speed` (latent units per step), where noise alone would give one.
    """
    num = actions.shape[-2] + 1 - 2 * stride
    early, now, late = (latents[..., i : i + num, :] for i in (0, stride, 2 * stride))
    heading = (latents[..., 2:, :] - latents[..., :-2, :]) / 2
    heading = heading / (heading.norm(dim=-1, keepdim=True) + 0.1 * speed)
    return (
        (late - early) / (2 * stride),
        _weighted(heading, [stride - abs(i) for i in range(1 - stride, stride)]),
        _weighted(actions, [stride - abs(i + 0.5) for i in range(-stride, stride)]),
        late - 2 * now + early,
    )


def placed_terms(
    latents: Tensor, actions: Tensor, stride: int, speed: Tensor | float = 1.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What forces that depend on the place add to `weak_form`, centred as there, averaged with the same weights.

    The place z (…, D), its products z_i z_j (i <= j), its products with the action (…, D A) and |v|^2 z (…, D), v in
    units of `speed`. Between two frames, while an action is held, the place is their mean.
    """
    rows, columns = torch.triu_indices(latents.shape[-1], latents.shape[-1])
    middle = (latents[..., 1:, :] + latents[..., :-1, :]) / 2
    lever = (middle[..., :, None] * actions[..., None, :]).flatten(-2)
    inertia = ((latents[..., 1:, :] - latents[..., :-1, :]) / speed).square().sum(-1, keepdim=True) * middle
    terms = [middle, middle[..., rows] * middle[..., columns], lever, inertia]
    weights = [stride - abs(i + 0.5) for i in range(-stride, stride)]
    place, products, lever, inertia = _weighted(torch.cat(terms, -1), weights).split([x.shape[-1] for x in terms], -1)
    return place, products, lever, inertia


def fit_circle(latents: Tensor) -> Tensor:
    """Centre and map (3, 2) of the ellipse that latents (n, 2) lie on: (z - centre) @ map is on the unit circle.

    The ellipse z^T Q z + l z = 1 by least squares, z in units that make the circle of its moments the unit one. Latents
    that lie on none keep those moments' circle.
    """
    mean = latents.mean(0)
    size = (latents - mean).square().sum(-1).mean().sqrt().clamp_min(1e-6)
    x, y = ((latents - mean) / size).double().unbind(-1)
    q = torch.linalg.lstsq(torch.stack([x * x, 2 * x * y, y * y, x, y], 1), torch.ones_like(x)[:, None]).solution[:, 0]
    form = torch.stack([q[:2], q[1:3]])
    values, axes = torch.linalg.eigh(form)
    if not (values > 1e-3).all():
        return torch.cat([mean[None], torch.eye(2, device=mean.device) / size])
    centre = -torch.linalg.solve(form, q[3:]) / 2
    lengths = (values / (1 + centre @ form @ centre)).sqrt()
    return torch.cat([mean + size * centre[None].float(), (axes * lengths @ axes.T).float() / size])


def power_balance(latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Work done over 2n steps, force by force (…, T+1-2n, D A + 2), and the change of kinetic energy that it makes
    (…, T+1-2n, 1); centred on n … T-n, n = stride.

    latents (…, T+1, D), actions (…, T, A). With v a step's difference of z, |v|^2 / 2 changes by the work of forces
    a_k v_i, of dry friction |v| and of viscous friction |v|^2. Weak form: the energy summed over n steps after the
    centre, less that over the n before it; work averaged with the triangular weights that this makes of it.
    """
    v = latents.diff(dim=-2)
    squared = v.square().sum(-1, keepdim=True)
    work = torch.cat([(v[..., :, None] * actions[..., None, :]).flatten(-2), squared.sqrt(), squared], -1)
    return _weighted(work, _held(stride)), _change(squared / 2, stride)


def torque_balance(latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Angular acceleration (…, D (D - 1) / 2), angular velocity (the same), place (…, D) and the action (…, A) that
    they balance: each (…, T+1-2n, ·), centred on n … T-n, n = stride.

    latents (…, T+1, D), actions (…, T, A). A hinge is seen as a direction z and turns by z_i v_j - z_j v_i, i < j, a
    step. Inertia, damping and weight times these are the torque, which is known without noise: the response of the
    regression, whose coefficients are then proportional to the constants themselves. Weak form, as in `weak_form`.
    """
    rows, columns = torch.triu_indices(latents.shape[-1], latents.shape[-1], 1)
    v, middle = latents.diff(dim=-2), (latents[..., 1:, :] + latents[..., :-1, :]) / 2
    turn = middle[..., rows] * v[..., columns] - middle[..., columns] * v[..., rows]
    return (
        _change(turn, stride),
        _weighted(turn, _held(stride)),
        _weighted(middle, _held(stride)),
        _weighted(actions, _held(stride)),
    )


def hinge_balance(latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, ...]:
    """What moves a hinge and the body that carries it, each (…, T+1-2n, ·) centred on n … T-n, n = stride.

    latents (…, T+1, D), the last two a direction, actions (…, T, A). Of the hinge: the acceleration of what carries it
    times its direction (2 (D - 2)), direction (2), turning (1). Of the whole: second difference (D) and velocity (D).
    Then what these explain: angular acceleration (1) and action (A). Weak form, as in `torque_balance`.
    """
    change_of = [stride - abs(i) for i in range(1 - stride, stride)]
    v, direction = latents.diff(dim=-2), latents[..., -2:]
    carried = v[..., :-2].diff(dim=-2)[..., :, None] * direction[..., 1:-1, None, :]
    turned, turn, middle, action = torque_balance(direction, actions, stride)
    return (
        stride**2 * _weighted(carried.flatten(-2), change_of),
        middle,
        turn,
        _change(v, stride),
        _weighted(v, _held(stride)),
        turned,
        action,
    )


def _held(stride: int) -> list[float]:
    """Triangular weights over the 2n steps of a stride, for what holds between two frames."""
    return [stride - abs(i + 0.5) for i in range(-stride, stride)]


def _change(x: Tensor, stride: int) -> Tensor:
    """Of x (…, T, ·) between frames, the sum over n steps after a frame less that over the n before it."""
    summed = stride * _weighted(x, [1.0] * stride)
    return summed[..., stride:, :] - summed[..., :-stride, :]


def _weighted(x: Tensor, weights: Sequence[float]) -> Tensor:
    """Running mean of x (…, n, ·) with these weights: (…, n + 1 - len(weights), ·)."""
    num = x.shape[-2] + 1 - len(weights)
    kernel = torch.tensor(weights, dtype=x.dtype, device=x.device) / sum(weights)
    return torch.stack([w * x[..., i : i + num, :] for i, w in enumerate(kernel)]).sum(0)
