"""The equations of motion that a context encoder can fit to a window: one class a law, chosen by `context.forces`.

A law is linear in its (transformed) constants. It names regressors and outputs, and computes these terms from latents
and actions; it holds no weights. The regression itself is the encoder's.

Letters as in `weak_form.py`: T control steps, D latents, A numbers of an action, n = stride.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from worldmodel.models.weak_form import hinge_balance, placed_terms, power_balance, torque_balance, weak_form
from worldmodel.system.errors import UserError


@dataclass(frozen=True)
class Equation:
    """Outputs that are linear in regressors."""

    blocks: list[int]
    """Numbers of regressors that belong together; the norm of each block's coefficients is a feature of its own."""
    num_outputs: int
    """Numbers that the regressors explain."""

    @property
    def num_inputs(self) -> int:
        """All regressors."""
        return sum(self.blocks)


class Units(NamedTuple):
    """Standard deviations over training episodes, scalars of one stride, in which a law's terms are about 1 in size."""

    speed: Tensor
    action: Tensor
    change: Tensor


class ForceLaw(ABC):
    """Equations of motion for latents of D numbers under actions of A."""

    equations: tuple[Equation, ...]
    """Sizes of each equation. Terms are the regressors of all equations, in this order, and then their outputs."""
    moments_are_features: bool
    """Whether the encoder's MLP also sees the mean products of terms, beside the coefficients found from them."""
    latents_are_one_direction: bool = False
    """Whether the latents are a direction, which is brought to the unit circle before anything else."""

    @abstractmethod
    def unscaled(self, latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        """Speed, action and change (any shapes), whose standard deviations become the law's `Units`."""

    @abstractmethod
    def terms(self, latents: Tensor, actions: Tensor, stride: int, units: Units) -> list[Tensor]:
        """Regressors and then outputs, in `units`: each (…, T+1-2n, ·), centred on frames n … T-n.

        latents (…, T+1, D), actions (…, T, A).
        """


class FreeBody(ForceLaw):
    """Forces do not depend on the position: the second difference is linear in velocity, its direction and action.

    Gain over mass, viscous and dry friction, whatever rotation the latents are in.
    """

    moments_are_features = True

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        self.equations = (Equation([latent_dim, latent_dim, action_dim], latent_dim),)

    def unscaled(self, latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        motion = weak_form(latents, actions, stride)
        return motion.velocity, motion.action, motion.change

    def terms(self, latents: Tensor, actions: Tensor, stride: int, units: Units) -> list[Tensor]:
        motion = weak_form(latents, actions, stride, units.speed)
        return [
            motion.velocity / units.speed,
            motion.direction,
            motion.action / units.action,
            motion.change / units.change,
        ]


class PlacedBody(FreeBody):
    """Forces depend on the position too: gravity, lever arms and centripetal terms of a body whose angle is seen as
    cosine and sine. Position, its products with itself and with the action, and |v|^2 z are further regressors."""

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        num_products = latent_dim * (latent_dim + 1) // 2
        placed = [latent_dim, num_products, latent_dim * action_dim, latent_dim]
        self.equations = (Equation([latent_dim, latent_dim, action_dim, *placed], latent_dim),)

    def terms(self, latents: Tensor, actions: Tensor, stride: int, units: Units) -> list[Tensor]:
        *motion, change = super().terms(latents, actions, stride, units)
        return [*motion, *placed_terms(latents, actions / units.action, stride, units.speed), change]


class TurningBody(ForceLaw):
    """Torque balance of one hinge that is seen as a direction (a pendulum): the action is explained by angular
    acceleration, angular velocity and position. A learned direction lies on an ellipse somewhere; two latents are
    brought back to the unit circle first."""

    moments_are_features = False

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        num_turns = latent_dim * (latent_dim - 1) // 2
        self.equations = (Equation([num_turns, num_turns, latent_dim], action_dim),)
        self.latents_are_one_direction = latent_dim == 2

    def unscaled(self, latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        balance = torque_balance(latents, actions, stride)
        return balance.turn, balance.action, balance.acceleration

    def terms(self, latents: Tensor, actions: Tensor, stride: int, units: Units) -> list[Tensor]:
        balance = torque_balance(latents, actions, stride)
        return [
            balance.acceleration / units.change,
            balance.turn / units.speed,
            balance.position,
            balance.action / units.action,
        ]


class HingedBody(ForceLaw):
    """A pushed body with a hinge on it (a cart-pole), in two equations: the hinge's angular acceleration is explained
    by its carrier's acceleration, its direction and its turning; the action by second difference and velocity.

    Raises:
        UserError: fewer than 3 latents have no room for a position and a direction.
    """

    moments_are_features = False

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        if latent_dim < 3:
            raise UserError(
                f"context.forces=hinged takes 3 latents or more, a position and a direction, got {latent_dim}"
            )
        hinge = Equation([2 * (latent_dim - 2), 2, 1], 1)
        carrier = Equation([latent_dim, latent_dim], action_dim)
        self.equations = (hinge, carrier)

    def unscaled(self, latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        balance = hinge_balance(latents, actions, stride)
        return balance.velocity, balance.action, balance.change

    def terms(self, latents: Tensor, actions: Tensor, stride: int, units: Units) -> list[Tensor]:
        balance = hinge_balance(latents, actions, stride)
        return [
            balance.carried / units.change,
            balance.direction,
            balance.turn / units.speed,
            balance.change / units.change,
            balance.velocity / units.speed,
            balance.acceleration / units.change,
            balance.action / units.action,
        ]


class SlidingBody(ForceLaw):
    """Power balance of a body pushed over ground with dry and viscous friction (a puck): the change of kinetic energy
    is explained by the work of thrust and of both frictions."""

    moments_are_features = False

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        self.equations = (Equation([latent_dim * action_dim, 1, 1], 1),)

    def unscaled(self, latents: Tensor, actions: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        _, change = power_balance(latents, actions, stride)
        return latents.diff(dim=-2), actions, change

    def terms(self, latents: Tensor, actions: Tensor, stride: int, units: Units) -> list[Tensor]:
        work, change = power_balance(latents / units.speed, actions / units.action, stride)
        return [work, change * units.speed**2 / units.change]


FORCE_LAWS: dict[str, Callable[[int, int], ForceLaw]] = {
    "free": FreeBody,
    "placed": PlacedBody,
    "turning": TurningBody,
    "hinged": HingedBody,
    "sliding": SlidingBody,
}
"""Name in `context.forces` -> the law, made from the numbers of a latent and of an action."""


def fit_units(law: ForceLaw, latents: Tensor, actions: Tensor, stride: int) -> Tensor:
    """The law's units (3,) at one stride, from episodes (E, T+1, D), (E, T, A): speed, action, change."""
    return torch.stack([x.std().clamp_min(1e-6) for x in law.unscaled(latents, actions, stride)])
