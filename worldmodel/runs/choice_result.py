"""Settings that training chose by itself, and the short trainings by which it chose them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from worldmodel.settings import Choosable, TrainConfig, options_of, with_options

CHOICE = "choice.json"
"""Where a run keeps its choice, while it is made and from then on."""
OptionValue = int | float | None
"""Value of an option that can be chosen; None where the data decide."""


@dataclass(frozen=True)
class ShortTraining:
    """A short training of one candidate, judged on episodes that it did not learn from."""

    what: Choosable | None
    """Which setting differs from the best candidate before it; None for the settings as they were."""
    options: dict[str, int | float]
    """The options that differ, and their values."""
    steps_off: float | None
    """Control steps that its predictions are off in time, mean over episodes; None where it learned nothing finite."""
    by_episode: list[float]
    """`steps_off` of each episode."""
    ratio_to_persistence: float | None
    """Error of these predictions over that of persistence (the forecast that nothing changes)."""
    share: float
    """Its cost over that of the training to come, in multiplications of encoder and predictor."""
    seconds: float
    """Wall seconds that it took."""
    better_by: float | None = None
    """Steps by which it is less off than the best candidate before it, mean over episodes; None for the first."""
    standard_error: float | None = None
    """Standard error of that mean."""
    taken: bool = False
    """Whether it took the place of the best candidate before it."""


@dataclass(frozen=True)
class ChoiceResult:
    """Which settings training chose by itself, setting after setting, and by what evidence.

    A candidate takes the place of the best one before it where it is better by more than the standard error.
    """

    kind: ClassVar[str] = "choice"
    settings: str
    """Digest of the settings that it was made for."""
    what: list[Choosable]
    """The settings to choose, in this order."""
    before: dict[str, OptionValue]
    """Option -> its value in the settings as they were."""
    episodes: int = 0
    """Episodes from which the short trainings learned."""
    judged_episodes: int = 0
    """Episodes by which they were judged."""
    steps_ahead: int = 0
    """Control steps ahead of the predictions that are judged."""
    trainings: list[ShortTraining] = field(default_factory=list)
    """The short trainings, in their order."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Candidate -> why it was not tried."""
    complete: bool = False
    """Whether everything has been chosen; an interrupted choice continues."""

    @property
    def chosen(self) -> dict[str, int | float]:
        """Option -> its value, of the options that were changed."""
        return {option: value for of in self.trainings if of.taken for option, value in of.options.items()}

    @property
    def share(self) -> float:
        """Cost of all short trainings over that of the training to come."""
        return sum(of.share for of in self.trainings)

    @property
    def seconds(self) -> float:
        """Wall seconds of all short trainings."""
        return sum(of.seconds for of in self.trainings)

    def applied_to(self, config: TrainConfig) -> TrainConfig:
        """The settings with the chosen values of the options that they leave open, and nothing left to choose."""
        left_open = {option for what in config.choose for option in options_of(what)}
        options = {option: value for option, value in self.chosen.items() if option in left_open}
        return with_options(config, {**options, "choose": []})

    def sentences(self) -> list[str]:
        """One line for every setting that was to be chosen: what was taken, of which values, and why."""
        return [self._sentence(what) for what in self.what]

    def _sentence(self, what: Choosable) -> str:
        tried = [of for of in self.trainings if of.what == what]
        if not tried:
            reason = next((why for label, why in self.left_out.items() if label.startswith(what)), "not tried")
            return f"{what} as it was: {reason}"
        before = shown({option: self.before[option] for option in tried[0].options})
        values = ", ".join([before, *(shown(of.options) for of in tried)])
        for of in tried:
            if of.taken and of.steps_off is not None and of.better_by is not None:
                off = f"{of.steps_off:.1f} steps off instead of {of.steps_off + of.better_by:.1f}"
                return f"chose {what} {shown(of.options)} (of {values}): {off}"
        return f"kept {what} {before} (of {values}): no other is better by more than the standard error"


def shown(options: Mapping[str, int | float | None]) -> str:
    """The values of a candidate, as a reader sees them: `2`, `0.02 → 0.005`."""
    return " → ".join("default" if value is None else f"{value:g}" for value in options.values())
