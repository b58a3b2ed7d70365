"""Unfolding: an embedding in which Euclidean distance is the time that the shortest way takes."""

from torch import Tensor


def unfolding(here: Tensor, later: Tensor, steps: int, weight: float) -> Tensor:
    """Embedded states (n, E) and the same `steps` control steps later (n, E) -> scalar.

    Unrelated states are driven apart, as far as the data allow: a state is at most `steps` away from what it became in
    as many steps, and a violation costs `weight` times its squared share. What remains is the geodesic distance in
    control steps, so that the way round a wall, or back from a joint's stop, becomes long. This is quasimetric
    reinforcement learning (arXiv:2304.01203) in a Euclidean space, or maximum variance unfolding (Weinberger and Saul,
    2004) with neighbours in time. The logarithm makes the trade-off independent of scale and keeps states distinct.
    """
    excess = ((here - later).norm(dim=-1) / steps - 1).clamp_min(0)
    apart = (here - here.roll(1, 0)).norm(dim=-1)
    return weight * excess.square().mean() - (apart + 1e-3).log().mean()
