"""What `identify` finds: constants with intervals, and how well simulators predict the recording."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from worldmodel.runs.results import Interval

FOLDER, CALIBRATION = "identify", "calibration.npz"
"""Folder of the files that identify leaves in a run, and the file there that it reads again."""
MAX_CALIBRATION_BYTES = 256 * 2**20
"""Largest calibration that is read."""

Known = Literal["well", "in part", "not"]
"""well: the posterior variance is at most .2 of the prior's, as where `design` calls a constant identifiable. not: at
least .5, so that the prior says more than the recording."""


@dataclass(frozen=True)
class ConstantEstimate:
    """A constant of the simulator, read from recordings."""

    name: str
    """Name of the factor."""
    recording: str | None
    """The recording that it belongs to; None: common to all recordings."""
    unit: str
    """Unit of its value; "1" for none."""
    value: float
    """The estimate: the mode of the posterior."""
    interval: Interval | None
    """95 % interval of the posterior; None where the fit is not to be trusted."""
    prior_interval: Interval
    """95 % interval of the prior."""
    nominal: float
    """The value of the simulator before calibration."""
    known: Known
    """How far the recordings narrow the prior."""
    learned: float | None = None
    """The value read from the run's learned context of the recording; None where it has none, or several recordings
    share the constant."""
    learned_interval: Interval | None = None
    """95 % interval of the constant by that reading alone."""
    true: float | None = None
    """The true value, where the recording's file has it; no estimate uses it."""


@dataclass(frozen=True)
class CombinationEstimate:
    """A product of powers of constants that recordings determine better than its factors, such as force over mass."""

    text: str
    """Such as `force_gain^1 mass^-1`."""
    value: float
    """The estimate, in the units of its constants."""
    interval: Interval | None
    """95 % interval; None where the fit is not to be trusted."""


@dataclass(frozen=True)
class NuisanceEstimate:
    """A property of the camera or the actuators of a recording that was fitted too."""

    name: str
    """camera_gain, offset_JOINT, delay or actuator_gain."""
    recording: str
    """The recording that it belongs to."""
    unit: str
    """Unit of its value; "1" for a share."""
    value: float
    """The estimate, relative to the simulator: 0 where they agree."""
    interval: Interval | None
    """95 % interval; None where the fit is not to be trusted."""


@dataclass(frozen=True)
class FitQuality:
    """How well the simulator explains the recordings."""

    misfit: float
    """Mean squared residual over that expected from the readout's errors: about 1 in recordings of the simulator."""
    misfit_limit: float
    """A fit with a larger misfit is not trusted; few simulated recordings of known constants exceed it."""
    unfamiliar: float
    """Median squared distance of the recording's frames from the span of the simulator's pictures, over what 95 % of
    these stay below: about .5 where they look alike."""
    iterations: int
    """Steps of the optimiser."""
    converged: bool
    """Whether the optimiser converged."""
    readout_rmse: dict[str, float] = field(default_factory=dict)
    """Number read from a frame -> root mean squared error in simulated recordings, in metres; of cosines and sines
    without a unit."""


@dataclass(frozen=True)
class HeldOutCheck:
    """Errors of simulators that predict the end of the recordings, of which the fit has seen only the beginning.

    calibrated: with constants estimated from the beginning alone. written: with those in the model file, which are
    estimated from the whole recordings, and so have seen the end. Both are moved towards the prior's mean where
    recordings tell little. nominal: with the values before calibration, from the state in which `calibrated` begins.
    true: with the true constants, where they are known. learned: the run's own latent dynamics.
    """

    fitted_steps: int
    """Control steps of the first recording that the fit has seen."""
    steps: list[int]
    """Control steps after them."""
    rms: dict[str, dict[str, list[float]]]
    """Joint -> simulator -> root mean squared error over recordings at each of `steps`, in metres or radians."""
    compared_with: Literal["true positions", "readings"]
    """The reference: positions in the recording's file, or those read from its frames, with the readout's error."""


@dataclass(frozen=True)
class NextExcitation:
    """What to record next, with the same number of steps."""

    policy: str
    """Options of `worldmodel collect` that choose the excitation: `policy=coasting policy.std=1.2`."""
    file: str
    """The policy as a YAML file, relative to the run."""
    shrinks_to: dict[str, float]
    """Constant -> width of its interval after that recording, as a share of the width now."""
    repeated: dict[str, float]
    """Constant -> that share after another recording under the run's own policy instead."""


@dataclass(frozen=True)
class RoundResult:
    """A further recording, simulated under the excitation that was designed at the estimate before it."""

    policy: str
    """Options of `worldmodel collect` that choose the excitation."""
    expected: dict[str, float]
    """Constant -> width of its interval as a share of the width before this round, as the design predicted."""
    shrunk_to: dict[str, float]
    """Constant -> that share as the round measured it."""
    since_first: dict[str, float]
    """Constant -> width of its interval as a share of the width after the first recording alone."""
    intervals: dict[str, Interval | None]
    """Constant -> 95 % interval by all recordings so far; None where the fit is not to be trusted."""
    alarms: list[str]
    """Why the estimate is not to be trusted; empty where nothing speaks against it."""


@dataclass(frozen=True)
class RecordingUsed:
    """A recording behind an estimate."""

    name: str
    """Its name, as it was given to the command."""
    steps: int
    """Control steps."""


@dataclass(frozen=True)
class IdentifyResult:
    """The constants of recordings, with intervals, and a simulator that has them."""

    kind: ClassVar[str] = "identify"
    world: str
    """Name of the simulated world."""
    recordings: list[RecordingUsed]
    """The recordings behind the estimate."""
    constants: list[ConstantEstimate]
    """The estimated constants."""
    correlations: list[list[float]]
    """Correlations of the errors of these estimates, a row each."""
    combinations: list[CombinationEstimate]
    """Products of constants that the recording determines where it does not determine each constant."""
    nuisances: list[NuisanceEstimate]
    """Properties of camera and actuators that were fitted too."""
    fit: FitQuality
    """How well the simulator explains the recordings."""
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
    """Readings of each recording as npz files, for other tools such as `mujoco.sysid`; relative to the run."""
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
            KeyError: it was not estimated.
        """
        for estimate in self.constants:
            if estimate.name == name and recording in (None, estimate.recording):
                return estimate
        raise KeyError(f"{name} is not among the constants {', '.join(item.name for item in self.constants)}")
