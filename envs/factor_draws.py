"""The factors of a world: which are drawn, from which distribution, how they drift, and their current values."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from worldmodel.envs.factors import Factor, FactorError

LARGEST_SPREAD = 10.0  # of a prior: most draws of a wider one would be out of bounds
_KINDS = ("physical", "visual", "all")

OptionT = TypeVar("OptionT")


class FactorDraws:
    """The factors of one world with their values.

    Options name factors, a group of them, or all of a kind by the words "physical", "visual" and "all"; a factor's own
    name wins over its group, and that over its kind. What is drawn and drifts is the standardised coordinate t of a
    factor, see `Factor`.

    Args:
        owner: the world's name, for errors.
        factors: all that it declares.
        randomize: factors that are drawn from their priors at each start; the others stay nominal.
        rho: factor -> correlation with itself one control step later, in [0, 1]: t becomes rho t + sqrt(1 - rho^2) eps.
            1, the default, keeps a factor for the episode; 0 redraws it for every frame.
        shell: factor -> (low, high): at a start |t| is drawn uniformly between these, instead of from the prior, for
            tests out of range.
        spread: factor -> how many times as wide as its prior it is drawn, and drifts, for training beyond the prior.
            Coordinates stay those of the prior.

    Raises:
        FactorError: an option is out of range, or names an unknown factor or one that is not randomised.
    """

    def __init__(
        self,
        owner: str,
        factors: Sequence[Factor],
        randomize: Sequence[str],
        rho: Mapping[str, float],
        shell: Mapping[str, Sequence[float]],
        spread: Mapping[str, float],
    ) -> None:
        self._owner = owner
        self.factors = {factor.name: factor for factor in factors}
        self.randomize = self._select(randomize, "randomize")
        _check_rho(rho)
        _check_shell(shell)
        _check_spread(spread)
        self.rho = {name: float(value) for name, value in self._by_name(rho, "factor_rho").items()}
        self.shell = {
            name: (float(low), float(high)) for name, (low, high) in self._by_name(shell, "factor_shell").items()
        }
        self.spread = {name: float(value) for name, value in self._by_name(spread, "factor_spread").items()}
        self._coordinates = dict.fromkeys(self.factors, 0.0)
        self._values = {name: factor.nominal for name, factor in self.factors.items()}

    @property
    def values(self) -> dict[str, float]:
        """The value of every factor, in its unit."""
        return dict(self._values)

    @property
    def coordinates(self) -> dict[str, float]:
        """The standardised coordinate of every factor."""
        return dict(self._coordinates)

    def names(self, kind: str) -> list[str]:
        """The randomised factors of a kind."""
        return [name for name in self.randomize if self.factors[name].kind == kind]

    def check(self, values: Mapping[str, float]) -> dict[str, float]:
        """The values as floats.

        Raises:
            FactorError: an unknown name, or a value out of bounds.
        """
        return {name: self._named(name).check(value) for name, value in values.items()}

    def assign(self, values: Mapping[str, float]) -> None:
        """Set factors to values that were checked."""
        for name, value in values.items():
            self._values[name] = value
            self._coordinates[name] = self.factors[name].standardize(value)

    def assign_nominal(self) -> None:
        """Set all factors to their nominal values."""
        self.assign({name: factor.nominal for name, factor in self.factors.items()})

    def draw(self, rng: np.random.Generator) -> None:
        """Draw the randomised factors, in the order of declaration; the others become nominal."""
        for name, factor in self.factors.items():
            self.assign({name: self._drawn(factor, rng) if name in self.randomize else factor.nominal})

    def drift(self, rng: np.random.Generator) -> bool:
        """Redraw the randomised factors as `rho` says, as every control step does. Returns whether any drifts."""
        drifting = sorted({*self.rho.values()} - {1.0})
        for rho in drifting:
            self.redraw([name for name in self.randomize if self.rho.get(name) == rho], rho, rng)
        return bool(drifting)

    def redraw(self, names: Sequence[str], rho: float, rng: np.random.Generator) -> None:
        """Redraw factors with correlation rho to what they are: t becomes rho t + sqrt(1 - rho^2) spread eps."""
        for name in names:
            noise = self.spread.get(name, 1.0) * rng.standard_normal()
            t = rho * self._coordinates[name] + np.sqrt(1 - rho**2) * noise
            self._coordinates[name] = float(t)
            self._values[name] = self.factors[name].value(t)

    def restore(self, coordinates: Mapping[str, float], values: Mapping[str, float]) -> None:
        """Go back to what `coordinates` and `values` were."""
        self._coordinates, self._values = dict(coordinates), dict(values)

    def _drawn(self, factor: Factor, rng: np.random.Generator) -> float:
        shell = self.shell.get(factor.name)
        if shell is not None:
            return factor.sample_shell(rng, *shell)
        return factor.sample(rng, self.spread.get(factor.name, 1.0))

    def _named(self, name: str) -> Factor:
        if name not in self.factors:
            raise FactorError(f"unknown factor {name!r}; {self._owner} has {', '.join(self.factors) or 'none'}")
        return self.factors[name]

    def _select(self, words: Sequence[str], option: str) -> tuple[str, ...]:
        """Factor names for names and kinds, in the order of declaration."""
        if isinstance(words, str):
            raise FactorError(f"{option} must be a list of names, got the string {words!r}; write [{words!r}]")
        for word in words:
            if word not in {*self.factors, *_KINDS, *(factor.group for factor in self.factors.values())}:
                raise FactorError(
                    f"unknown factor {word!r} in {option}; {self._owner} has "
                    f"{', '.join(self.factors) or 'none'}, and the words {', '.join(_KINDS)}"
                )
        return tuple(
            name for name, factor in self.factors.items() if {name, factor.group, factor.kind, "all"} & {*words}
        )

    def _by_name(self, by_word: Mapping[str, OptionT], option: str) -> dict[str, OptionT]:
        """Options given for names, groups and kinds, by name of each randomised factor; names win over the others."""
        resolved: dict[str, OptionT] = {}
        for word in sorted(by_word, key=lambda word: (word not in _KINDS, word in self.factors)):
            names = [name for name in self._select([word], option) if name in self.randomize]
            if not names:
                raise FactorError(f"{option} names {word!r}, which is not randomised; add it to randomize")
            resolved |= dict.fromkeys(names, by_word[word])
        return resolved


def _check_rho(factor_rho: Mapping[str, float]) -> None:
    for word, rho in factor_rho.items():
        if not 0 <= rho <= 1:
            raise FactorError(f"factor_rho of {word} must be in [0, 1], got {rho}")


def _check_shell(factor_shell: Mapping[str, Sequence[float]]) -> None:
    for word, shell in factor_shell.items():
        if len(shell) != 2 or not 0 <= shell[0] <= shell[1]:
            raise FactorError(f"factor_shell of {word} must be [low, high] with 0 <= low <= high, got {shell}")


def _check_spread(factor_spread: Mapping[str, float]) -> None:
    for word, spread in factor_spread.items():
        if not 0 < spread <= LARGEST_SPREAD:
            raise FactorError(f"factor_spread of {word} must be in (0, {LARGEST_SPREAD:g}], got {spread}")
