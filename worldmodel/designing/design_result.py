"""The result of `design`: for every constant the R2 that no reader of a window exceeds, by excitation."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from worldmodel.envs.excitation import Policy, make_policy
from worldmodel.runs.results import Interval

LARGEST_NONLINEARITY = 0.2
"""Change of the sensitivities, between the largest step and the chosen one, above which bounds are local only."""
SHARE_OUTSIDE = 0.02
"""Largest share of frames that may lie outside the range that the frame encoder has seen."""


@dataclass(frozen=True)
class ChosenPolicy:
    """An excitation: a policy by its name, and parameters that differ from the policy's defaults."""

    name: str
    """Name of the policy, as in `envs.excitation.POLICIES`."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Parameter -> value."""

    def make(self) -> Policy:
        """The policy itself.

        Raises:
            ValueError: an unknown name or parameter, or a parameter out of range.
        """
        return make_policy(self.name, **self.parameters)

    @property
    def options(self) -> str:
        """Options of the command line that choose this excitation: `policy=coasting policy.std=1.2`."""
        return " ".join([f"policy={self.name}", *(f"policy.{key}={value}" for key, value in self.parameters.items())])


@dataclass(frozen=True)
class ConstantPrior:
    """A physical constant and what is known of it before anything is seen."""

    name: str
    """Its name."""
    unit: str
    """Unit of its value; "1" for none."""
    nominal: float
    """Value at the mode of the prior."""
    bounds: tuple[float, float]
    """Least and greatest value."""
    transform: str
    """Coordinate in which the prior is Gaussian: log or linear."""
    prior_scale: float
    """Standard deviation of that coordinate."""
    kind: str
    """physical."""
    description: str
    """A description, one line."""


@dataclass(frozen=True)
class FiniteDifferences:
    """How the simulator is differentiated, and how accurately. Changes are relative; 3/4 of windows change less."""

    step: float
    """Step either way, in standardised coordinates of the constants."""
    segment_steps: int
    """Control steps of the segments into which a window is cut, each with an unknown initial state of its own."""
    error: float
    """Change of the sensitivities from the next larger step to this one."""
    nonlinearity: float
    """Change of the sensitivities from a tenth of a prior's standard deviation to this step."""


@dataclass(frozen=True)
class CombinationBound:
    """A product of powers of constants that a window determines where it does not determine each of them."""

    text: str
    """Such as `force_gain^1 mass^-1`."""
    exponents: dict[str, float]
    """Constant -> exponent."""
    r2_bound: float
    """R2 of its logarithm that no reader of a window exceeds."""


@dataclass(frozen=True)
class WindowBound:
    """Bounds for another length of the window and another noise."""

    noise_ratio: float
    """The noise as a multiple of the stated one."""
    window_steps: int
    """Control steps of the window."""
    r2_bound: dict[str, float]
    """Constant -> R2 that no reader exceeds."""


@dataclass(frozen=True)
class ExcitationBounds:
    """Bounds on what a reader of the motion under one excitation can tell about each constant."""

    policy: ChosenPolicy
    """The excitation."""
    num_windows: int
    """Number of windows."""
    share_outside: float
    """Share of frames that are beyond what the frame encoder's atlas holds."""
    r2_bound: dict[str, float]
    """Constant -> R2 that no reader of one window exceeds, linearised at the truth."""
    r2_bound_interval: dict[str, Interval | None]
    """Its 95 % interval, by the bootstrap over trajectories; None from one trajectory."""
    r2_bound_van_trees: dict[str, float]
    """The looser bound of van Trees, which holds for any reader of nonlinear observations."""
    r2_bound_episode: dict[str, float]
    """`r2_bound` for all windows of an episode together."""
    identifiable: list[str]
    """Constants whose bound reaches the threshold of the settings."""
    combinations: list[CombinationBound]
    """Products of powers that a window determines, the simplest first."""
    information: list[float]
    """Information of the typical window along each direction in the space of constants, falling; the prior's is 1."""
    directions: list[dict[str, float]]
    """These directions: constant -> component, of unit length in standardised coordinates."""
    posterior_correlation: list[list[float]]
    """Posterior correlations of the constants after a window."""
    r2_bound_by_noise_and_steps: list[WindowBound]
    """Bounds for multiples of the noise and shorter windows."""


@dataclass(frozen=True)
class Gain:
    """The designed excitation less the given one, on trajectories that the search has not seen."""

    logdet_nats_per_episode: float
    """Difference of log det(I + information of an episode): the same constants, starts and seeds of the policy."""
    logdet_nats_interval: Interval | None
    """Its 95 % interval; None from one trajectory."""
    worst_r2_bound: float
    """Difference of the lowest bound of any constant."""


@dataclass(frozen=True)
class DesignResult:
    """Which constants an excitation makes identifiable, and an excitation that does better."""

    kind: ClassVar[str] = "design"
    env: str
    """Name of the world with its settings."""
    world: str
    """Name of the world."""
    constants: list[ConstantPrior]
    """The constants in question."""
    observed: dict[str, float]
    """Position that is observed -> standard deviation of its noise per frame, in metres or radians."""
    control_dt_s: float
    """Seconds of a control step."""
    window_steps: int
    """Control steps of a window."""
    episode_steps: int
    """Control steps of an episode."""
    num_trajectories: int
    """Episodes behind each figure."""
    identifiable_r2: float
    """Bound from which a constant is called identifiable."""
    seed: int
    """Seed of trajectories and search."""
    finite_difference: FiniteDifferences
    """How the simulator was differentiated."""
    given: ExcitationBounds
    """Bounds under the environment's own excitation."""
    designed: ExcitationBounds | None = None
    """Bounds under a better excitation; None where none was sought or found."""
    gain: Gain | None = None
    """Gain of the better excitation."""

    @property
    def excitations(self) -> dict[str, ExcitationBounds]:
        """The given excitation, and the designed one where there is one."""
        return {"given": self.given} | ({"designed": self.designed} if self.designed else {})
