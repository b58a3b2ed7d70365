"""The methods that are compared, and the settings each is tuned over: equally many for every method."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worldmodel.settings import MethodConfig
from worldmodel.settings.method import LEWM_SIGREG
from worldmodel.system.errors import UserError

SLOW, FAST = 1e-3, 3e-3
"""Learning rates."""


@dataclass(frozen=True)
class Candidate:
    """A method under comparison."""

    name: str
    """Name of the candidate in options and results."""
    family: str
    """Family of methods to which the article's table counts it."""
    preset: Mapping[str, Any]
    """Dotted options of `MethodConfig` and their values."""
    knob: Sequence[Mapping[str, Any]]
    """Three values of the method's own hyperparameter."""

    @property
    def settings(self) -> list[dict[str, Any]]:
        """The tuning budget, four settings: each value at the fast learning rate, the middle one also at the slow."""
        return [*({"optim.lr": FAST, **knob} for knob in self.knob), {"optim.lr": SLOW, **self.knob[1]}]

    def configure(self, method: MethodConfig, setting: int) -> MethodConfig:
        """`method` (an environment's) as this candidate with its setting number `setting`."""
        return override(method, {**self.preset, "on_collapse": "report", **self.settings[setting]})


def _values(key: str, *values: Any) -> list[dict[str, Any]]:
    return [{key: value} for value in values]


def _vicreg(*weights: tuple[float, float, float]) -> list[dict[str, Any]]:
    return [{"options.invariance": i, "options.variance": v, "options.covariance": c} for i, v, c in weights]


CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        Candidate("lejepa", "LeJEPA", {"name": "lejepa"}, _values("sigreg_scale", 0.3, 1.0, 3.0)),
        Candidate("lewm", "LeJEPA", {"name": "lewm", **LEWM_SIGREG}, _values("sigreg_scale", 0.3, 1.0, 3.0)),
        Candidate(
            "jepa_ema", "standard JEPA", {"name": "jepa", "options.target": "ema"},
            _values("options.momentum", 0.9, 0.99, 0.996),
        ),
        Candidate(
            "jepa_stop_gradient", "standard JEPA", {"name": "jepa", "options.target": "stop_gradient"},
            _values("options.hidden", 32, 256, 512),
        ),
        Candidate(
            "jepa_none", "standard JEPA", {"name": "jepa", "options.target": "none"},
            _values("options.hidden", 32, 256, 512),
        ),
        Candidate(
            "infonce", "contrastive", {"name": "infonce", "options.similarity": "gaussian"},
            _values("options.temperature", 0.3, 1.0, 3.0),
        ),
        Candidate(
            "infonce_cosine", "contrastive", {"name": "infonce", "options.similarity": "cosine"},
            _values("options.temperature", 0.05, 0.1, 0.5),
        ),
        Candidate("vicreg", "VICReg", {"name": "vicreg"}, _vicreg((5, 25, 25), (25, 25, 25), (25, 25, 1))),
        Candidate("whitening", "whitening", {"name": "whitening"}, _values("options.penalty", 0.01, 0.1, 1.0)),
        Candidate("autoencoder", "autoencoder", {"name": "autoencoder"}, _values("options.depth", 1, 2, 3)),
        Candidate("vae", "autoencoder", {"name": "vae"}, _values("options.kl_weight", 0.001, 0.01, 0.1)),
        Candidate("supervised", "supervised", {"name": "supervised"}, _values("optim.weight_decay", 1e-5, 1e-3, 1e-1)),
    )
}  # fmt: skip


def check_names(names: Sequence[str]) -> None:
    """Refuse names that no candidate has, before anything is collected."""
    if unknown := [name for name in names if name not in CANDIDATES]:
        raise UserError(f"unknown method {unknown[0]!r} in methods; choose from {', '.join(CANDIDATES)}")


def choose(names: Sequence[str], has_actions: bool) -> list[Candidate]:
    """The candidates of these names, or all that the world allows (lewm predicts from actions)."""
    check_names(names)
    if "lewm" in names and not has_actions:
        raise UserError("lewm predicts from actions, and this world has none; leave it out of methods")
    return [
        candidate
        for name, candidate in CANDIDATES.items()
        if (name in names if names else has_actions or name != "lewm")
    ]


def override(method: MethodConfig, values: Mapping[str, Any]) -> MethodConfig:
    """`method` with dotted keys replaced; "sigreg_scale" multiplies both ends of lambda's schedule."""
    for key, value in values.items():
        if key == "sigreg_scale":
            start, end = method.sigreg_start * value, method.sigreg_end * value
            method = dataclasses.replace(method, sigreg_start=start, sigreg_end=end)
        elif "." in key:
            part, name = key.split(".")
            below = getattr(method, part)
            changed = {**below, name: value} if isinstance(below, dict) else dataclasses.replace(below, **{name: value})
            method = dataclasses.replace(method, **{part: changed})
        else:
            method = dataclasses.replace(method, **{key: value})
    return method
