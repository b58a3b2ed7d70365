"""What `identify` finds: constants with intervals, and how well simulators predict the recording."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from worldmodel.runs.results import Interval

Known = Literal["well", "in part", "not"]
"""well: the posterior variance is at most .2 of the prior's, as where `design` calls a constant identifiable. not: at
least .5, so that the prior says more than the recording."""


@dataclass(frozen=True)
class ConstantEstimate:
    """A constant of the simulator, read from recordings."""

    name: str
    """Name of the factor."""
    recording: str | None
    """Whose constant it is; None: common to all recordings."""
    unit: str
    """Unit of its value; "1" for none."""
    value: float
    """The estimate: the mode of the posterior."""
    interval: Interval | None
    """Where it is with a chance of 95 %; None where the fit is not to be trusted."""
    prior_interval: Interval
    """The same before anything was seen."""
    nominal: float
    """The value of the simulator as it was."""
    known: Known
    """How much of what was unknown the recordings tell."""
    learned: float | None = None
    """What the run's learned context reads of the recording in one pass; None where it has none, or several recordings
    share the constant."""
    learned_interval: Interval | None = None
    """Where the constant is with a chance of 95 % by that reading alone."""
    true: float | None = None
    """The value at work, where the recording's file has it; no estimate uses it."""


@dataclass(frozen=True)
class CombinationEstimate:
    """A product of powers of constants that recordings tell where they do not tell each of them, such as force over
    mass."""

    text: str
    """Such as `force_gain^1 mass^-1`."""
    value: float
    """The estimate, in the units of its constants."""
    interval: Interval | None
    """Where it is with a chance of 95 %; None where the fit is not to be trusted."""


@dataclass(frozen=True)
class NuisanceEstimate:
    """Something about the camera or the actuators of a recording that was left free."""

    name: str
    """camera_gain, offset_JOINT, delay or actuator_gain."""
    recording: str
    """Whose it is."""
    unit: str
    """Unit of its value; "1" for a share."""
    value: float
    """The estimate; 0 is what the simulator has."""
    interval: Interval | None
    """Where it is with a chance of 95 %; None where the fit is not to be trusted."""


@dataclass(frozen=True)
class FitQuality:
    """How well the simulator explains the recordings."""

    misfit: float
    """Mean squared residual, in units of what the readout's errors explain: about 1 in recordings of the simulator."""
    misfit_limit: float
    """Above it a fit is not trusted: few simulated recordings of known constants are."""
    unfamiliar: float
    """What pictures of the simulator do not explain of the recording's, over what they leave of their own: about 1."""
    iterations: int
    """Steps of the optimiser."""
    converged: bool
    """Whether it came to rest."""
    readout_rmse: dict[str, float] = field(default_factory=dict)
    """Number that is read of a frame -> root mean squared error, in simulated recordings: metres; 1 for cosines."""


@dataclass(frozen=True)
class HeldOutCheck:
    """Errors of simulators that predict the end of the recordings, of which the fit has seen only the beginning.

    calibrated: with the estimated constants. nominal: with those that it had, from the same state. true: with those at
    work, where they are known. learned: the run's own latent dynamics.
    """

    fitted_steps: int
    """Control steps of the first recording that the fit has seen."""
    steps: list[int]
    """Control steps after them."""
    rms: dict[str, dict[str, list[float]]]
    """Joint -> simulator -> root mean squared error over recordings at each of `steps`, in metres or radians."""
    compared_with: Literal["true positions", "readings"]
    """Where the joints were: as the recording's file says, or as was read of its frames, with the readout's error."""


@dataclass(frozen=True)
class NextExcitation:
    """What to record next, with the same number of steps."""

    policy: str
    """Options of `worldmodel collect` that choose the excitation: `policy=coasting policy.std=1.2`."""
    file: str
    """The same as YAML; relative to the run."""
    shrinks_to: dict[str, float]
    """Constant -> width of its interval after that recording, as a share of the width now."""
    repeated: dict[str, float]
    """The same after another recording under the run's own policy."""


@dataclass(frozen=True)
class RoundResult:
    """A further recording, simulated under the excitation that the estimate before it asked for."""

    policy: str
    """Options of `worldmodel collect` that choose the excitation."""
    expected: dict[str, float]
    """Constant -> width of its interval as a share of the width before this round, as the design foresaw."""
    shrunk_to: dict[str, float]
    """The same, as it came."""
    since_first: dict[str, float]
    """Width of its interval as a share of the width after the first recording alone."""
    intervals: dict[str, Interval | None]
    """Where the constant is with a chance of 95 % by all recordings so far; None where the fit is not to be trusted."""
    alarms: list[str]
    """Why the estimate is not to be trusted; empty where nothing speaks against it."""


@dataclass(frozen=True)
class RecordingUsed:
    """A recording behind an estimate."""

    name: str
    """As it was given."""
    steps: int
    """Control steps."""


@dataclass(frozen=True)
class IdentifyResult:
    """The constants of recordings, with intervals, and a simulator that has them."""

    kind: ClassVar[str] = "identify"
    world: str
    """Name of the simulated world."""
    recordings: list[RecordingUsed]
    """What was looked at."""
    constants: list[ConstantEstimate]
    """What was sought."""
    correlations: list[list[float]]
    """Correlations of the errors of these estimates."""
    combinations: list[CombinationEstimate]
    """Products of constants that the recording determines where it does not determine each constant."""
    nuisances: list[NuisanceEstimate]
    """What else was free."""
    fit: FitQuality
    """How well it fits."""
    alarms: list[str]
    """Why the estimate is not to be trusted; empty where nothing speaks against it."""
    check: HeldOutCheck | None
    """The simulators' predictions; None where the recording was too short, or no check was asked for."""
    next: NextExcitation | None
    """What to record next; None where no search was asked for, or the fit is not to be trusted."""
    mjcf: list[str]
    """The calibrated model files, one, or one for each recording where constants differ; relative to the run."""
    mjcf_problem: str | None
    """Why there is no such file."""
    factors: str
    """The constants as YAML; relative to the run."""
    readings: list[str]
    """What was read of each recording, as npz for other tools such as `mujoco.sysid`; relative to the run."""
    calibration_recordings: int
    """Simulated recordings of known constants behind the error model and the width of the intervals."""
    seed: int
    """Seed of everything that was drawn."""
    cpu_seconds: float
    """CPU time of one fit of all recordings together, without reading frames and calibrating."""
    rounds: list[RoundResult] = field(default_factory=list)
    """Further recordings that were simulated, each designed at the estimate before it; empty where none was asked
    for."""

    def constant(self, name: str, recording: str | None = None) -> ConstantEstimate:
        """The estimate of a constant, that of one recording where it differs between them.

        Raises:
            KeyError: it was not sought.
        """
        for estimate in self.constants:
            if estimate.name == name and recording in (None, estimate.recording):
                return estimate
        raise KeyError(f"{name} is not among the constants {', '.join(item.name for item in self.constants)}")
