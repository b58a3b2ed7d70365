"""Unfolding: an embedding in which straight-line distance is the time that the shortest way takes."""

from torch import Tensor


def unfolding(here: Tensor, later: Tensor, steps: int, weight: float) -> Tensor:
    """Embedded states (n, E) and what they became `steps` control steps later -> scalar.

    Unrelated states are driven apart, up to what the data forbids: nothing is farther from here than `steps` from what
    it became in as many steps, and a violation costs `weight` times its squared share. What remains is the geodesic
    distance, in control steps: joints that cannot turn through a stop, and ways around a wall, become long.
    Quasimetric reinforcement learning (arXiv:2304.01203) in a Euclidean space; maximum variance unfolding (Weinberger
    and Saul, 2004) with neighbours in time. The logarithm makes the trade-off the same whatever the distances are, and
    lets no two states fall together.
    """
    excess = ((here - later).norm(dim=-1) / steps - 1).clamp_min(0)
    apart = (here - here.roll(1, 0)).norm(dim=-1)
    return weight * excess.square().mean() - (apart + 1e-3).log().mean()
