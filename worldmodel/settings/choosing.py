"""Settings that training can choose by itself, and the values that it tries."""

from typing import Literal

Choosable = Literal["lag", "input_size", "sigreg", "latent_dim"]
"""lag: steps between the frames of a pair. input_size: pixels that the encoder sees. sigreg: the weight of SIGReg.
latent_dim: dimension of the latent."""

VALUES: dict[Choosable, list[dict[str, int | float]]] = {
    "lag": [{"method.lag": 2}, {"method.lag": 15}, {"method.lag": 5}],
    "input_size": [{"encoder.input_size": 16}, {"encoder.input_size": 64}, {"encoder.input_size": 32}],
    "sigreg": [
        {"method.sigreg_start": 0.002, "method.sigreg_end": 0.0005},
        {"method.sigreg_start": 0.08, "method.sigreg_end": 0.02},
        {"method.sigreg_start": 0.02, "method.sigreg_end": 0.005},
    ],
    "latent_dim": [{"encoder.latent_dim": 32}, {"encoder.latent_dim": 16}, {"encoder.latent_dim": 8}],
}
"""What is chosen -> the values that are tried, in this order, each as option -> value."""


def options_of(what: str) -> set[str]:
    """The options that one choice sets; none where there is no such choice."""
    return {option for choice, values in VALUES.items() if choice == what for of in values for option in of}
