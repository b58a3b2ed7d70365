"""Building blocks that several networks share."""

from collections.abc import Sequence

from torch import nn


def mlp(num_inputs: int, hidden: Sequence[int], num_outputs: int, batch_norm: bool = False) -> nn.Sequential:
    """A plain MLP, (…, num_inputs) -> (…, num_outputs), with GELU after each of the `hidden` layers.

    batch_norm: BatchNorm before every GELU; inputs are then (n, num_inputs).
    """
    layers: list[nn.Module] = []
    width = num_inputs
    for units in hidden:
        layers += [nn.Linear(width, units), *([nn.BatchNorm1d(units)] if batch_norm else []), nn.GELU()]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, num_outputs))
