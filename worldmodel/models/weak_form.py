"""Equations of motion in weak form: the terms of a regression for physical constants, from noisy positions.

An equation of motion z'' = f(z, z', a) is averaged over the 2n control steps around a frame, with triangular weights.
The average of z'' is then the second difference z(t+n) - 2 z(t) + z(t-n), divided by n^2 dt^2: no derivative of noisy
latents is taken, and their noise counts n^2 times less. All functions here work in steps, not seconds (dt = 1).

Letters: T control steps, T+1 frames, D latents, A numbers of an action, n = stride. Every result is centred on frames
n … T-n, so that it has T+1-2n rows. Actions are held from one frame to the next.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class WindowMotion(NamedTuple):
    """A window's motion, averaged over 2n steps around each of its frames n … T-n."""

    velocity: Tensor
    """Latent change a step (…, T+1-2n, D)."""
    direction: Tensor
    """Unit vector of the velocity (…, T+1-2n, D), shorter where the velocity is lost in noise."""
    action: Tensor
    """Action (…, T+1-2n, A)."""
    change: Tensor
    """Second difference (…, T+1-2n, D): n^2 times the mean acceleration."""


def weak_form(latents: Tensor, actions: Tensor, stride: int, speed: Tensor | float = 1.0) -> WindowMotion:
    """Velocity, its direction, action and second difference of latents (…, T+1, D) under actions (…, T, A).

    If z obeys z'' = a, the second difference is the mean of a with triangular weights over the 2n steps, times n^2;
    actions and directions are averaged with the same weights. A direction is damped below a tenth of `speed` (latent
    units per step), where it would be that of the noise.
    """
    num = actions.shape[-2] + 1 - 2 * stride
    early, now, late = (latents[..., i : i + num, :] for i in (0, stride, 2 * stride))
    heading = (latents[..., 2:, :] - latents[..., :-2, :]) / 2
    heading = heading / (heading.norm(dim=-1, keepdim=True) + 0.1 * speed)
    return WindowMotion(
        velocity=(late - early) / (2 * stride),
        direction=running_mean(heading, at_frames(stride)),
        action=running_mean(actions, between_frames(stride)),
        change=late - 2 * now + early,
    )


def placed_terms(
    latents: Tensor, actions: Tensor, stride: int, speed: Tensor | float = 1.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Further terms of forces that depend on the position, for latents (…, T+1, D) and actions (…, T, A).

    The position z (…, D), its products z_i z_j with i <= j (…, D (D + 1) / 2), its products with the action (…, D A)
    and |v|^2 z (…, D), with v in units of `speed`. Between two frames the position is their mean.
    """
    rows, columns = torch.triu_indices(latents.shape[-1], latents.shape[-1])
    middle = (latents[..., 1:, :] + latents[..., :-1, :]) / 2
    lever = (middle[..., :, None] * actions[..., None, :]).flatten(-2)
    inertia = ((latents[..., 1:, :] - latents[..., :-1, :]) / speed).square().sum(-1, keepdim=True) * middle
    terms = [middle, middle[..., rows] * middle[..., columns], lever, inertia]
    averaged = running_mean(torch.cat(terms, -1), between_frames(stride))
    position, products, lever, inertia = averaged.split([x.shape[-1] for x in terms], -1)
    return position, products, lever, inertia


def power_balance(latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Work done, force by force (…, T+1-2n, D A + 2), and the change of kinetic energy (…, T+1-2n, 1) that it makes.

    latents (…, T+1, D), actions (…, T, A). With v the latent change of a step, |v|^2 / 2 changes by the work of thrust
    a_k v_i, of dry friction |v| and of viscous friction |v|^2. The change is the energy summed over the n steps after a
    frame, less that over the n steps before it; the work is averaged with the triangular weights that follow from this.
    """
    v = latents.diff(dim=-2)
    squared = v.square().sum(-1, keepdim=True)
    work = torch.cat([(v[..., :, None] * actions[..., None, :]).flatten(-2), squared.sqrt(), squared], -1)
    return running_mean(work, between_frames(stride)), _change(squared / 2, stride)


class TorqueBalance(NamedTuple):
    """Terms of a hinge's torque balance, around each of the frames n … T-n."""

    acceleration: Tensor
    """n^2 times the angular acceleration (…, T+1-2n, D (D - 1) / 2)."""
    turn: Tensor
    """Angle turned a step (…, T+1-2n, D (D - 1) / 2)."""
    position: Tensor
    """Direction in which the hinge points (…, T+1-2n, D)."""
    action: Tensor
    """Torque (…, T+1-2n, A)."""


def torque_balance(latents: Tensor, actions: Tensor, stride: int) -> TorqueBalance:
    """The terms that balance the torque a (…, T, A) of a hinge that is seen as a direction z (…, T+1, D).

    In a step the hinge turns by z_i v_j - z_j v_i, i < j. Inertia, damping and weight times acceleration, turn and
    position are the torque. It is known without noise and is therefore the regression's response; the coefficients are
    then proportional to the constants themselves.
    """
    rows, columns = torch.triu_indices(latents.shape[-1], latents.shape[-1], 1)
    v, middle = latents.diff(dim=-2), (latents[..., 1:, :] + latents[..., :-1, :]) / 2
    turn = middle[..., rows] * v[..., columns] - middle[..., columns] * v[..., rows]
    weights = between_frames(stride)
    return TorqueBalance(
        acceleration=_change(turn, stride),
        turn=running_mean(turn, weights),
        position=running_mean(middle, weights),
        action=running_mean(actions, weights),
    )


class HingeBalance(NamedTuple):
    """Terms of the balances of a hinge and of the body that carries it, around each of the frames n … T-n."""

    carried: Tensor
    """Acceleration of the carrier times the hinge's direction, n^2 times (…, T+1-2n, 2 (D - 2))."""
    direction: Tensor
    """Direction of the hinge (…, T+1-2n, 2)."""
    turn: Tensor
    """Angle that the hinge turns a step (…, T+1-2n, 1)."""
    change: Tensor
    """Second difference of all latents, n^2 times their acceleration (…, T+1-2n, D)."""
    velocity: Tensor
    """Change of all latents a step (…, T+1-2n, D)."""
    acceleration: Tensor
    """n^2 times the angular acceleration of the hinge (…, T+1-2n, 1), which the first three explain."""
    action: Tensor
    """Force on the carrier (…, T+1-2n, A), which change and velocity explain."""


def hinge_balance(latents: Tensor, actions: Tensor, stride: int) -> HingeBalance:
    """Both balances of a pushed body with a hinge on it, such as a cart and its pole.

    latents (…, T+1, D): the last two are the direction of the hinge, the others the position of its carrier. actions
    (…, T, A).
    """
    v, direction = latents.diff(dim=-2), latents[..., -2:]
    carried = v[..., :-2].diff(dim=-2)[..., :, None] * direction[..., 1:-1, None, :]
    acceleration, turn, middle, action = torque_balance(direction, actions, stride)
    return HingeBalance(
        carried=stride**2 * running_mean(carried.flatten(-2), at_frames(stride)),
        direction=middle,
        turn=turn,
        change=_change(v, stride),
        velocity=running_mean(v, between_frames(stride)),
        acceleration=acceleration,
        action=action,
    )


def fit_circle(latents: Tensor) -> Tensor:
    """Centre and linear map (3, 2) that bring latents (m, 2) on an ellipse to the unit circle: (z - centre) @ map.

    The ellipse z^T Q z + l z = 1 is fitted by least squares, in units in which the latents' second moments are those of
    the unit circle. Latents that lie on no ellipse are only centred and scaled to these moments.
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


def at_frames(stride: int) -> list[float]:
    """Triangular weights over the 2n - 1 frames around one, for what is known at frames."""
    return [stride - abs(i) for i in range(1 - stride, stride)]


def between_frames(stride: int) -> list[float]:
    """Triangular weights over the 2n steps around a frame, for what holds between two frames."""
    return [stride - abs(i + 0.5) for i in range(-stride, stride)]


def running_mean(x: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted mean of every len(weights) consecutive rows: (…, m, ·) -> (…, m + 1 - len(weights), ·)."""
    num = x.shape[-2] + 1 - len(weights)
    kernel = torch.tensor(weights, dtype=x.dtype, device=x.device) / sum(weights)
    return torch.stack([w * x[..., i : i + num, :] for i, w in enumerate(kernel)]).sum(0)


def _change(x: Tensor, stride: int) -> Tensor:
    """The sum of x (…, T, ·), known between frames, over the n steps after a frame less that over the n before it."""
    summed = stride * running_mean(x, [1.0] * stride)
    return summed[..., stride:, :] - summed[..., :-stride, :]
