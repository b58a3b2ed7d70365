"""The index of a data set, `dataset.json`: which world was recorded, in what way, and how many episodes are whole.

The file is JSON, so that any tool reads it; here it is read into the frozen dataclasses below, and content that does
not fit them is refused in one line. Fields without a default are always written; the others only where they say
something. Unknown keys are ignored, so that versions of this package read each other's indices.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from worldmodel.envs.looks.redrawn import LOOKS
from worldmodel.envs.rollout import middle_frame
from worldmodel.system.digest import with_checksum, without_checksum
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import read_json, write_atomically, write_json
from worldmodel.system.printable import command

SCHEMA_VERSION = 1
INDEX_NAME = "dataset.json"

Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", max_length=1000)]
"""Text without control characters: names are printed to terminals and become file names."""

Positive = Annotated[float, Meta(gt=0)]
Seconds = Annotated[float, Meta(ge=1e-6, le=1e6)]
Correlation = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class FactorRecord:
    """A physical constant or visual property of a world; see `envs.physics.Factor`.

    Its standardised coordinate t has a standard normal prior: transform(value) = transform(nominal) + prior_scale * t.
    """

    name: Name
    """Name of the factor; column k of `DataSet.factors` is factor k."""

    unit: Name
    """Unit of its values; "1" where they have none."""

    nominal: float
    """The value where nothing else is drawn or asked for."""

    bounds: tuple[float, float]
    """Lowest and highest value."""

    transform: Literal["log", "linear"]
    """In which scale the prior is Gaussian."""

    prior_scale: Positive
    """Standard deviation of the prior in that scale."""

    kind: Literal["physical", "visual"]
    """Whether it changes the motion or the picture."""

    description: str = ""
    """One line for a reader."""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not low <= self.nominal <= high or (self.transform == "log" and self.nominal <= 0):
            raise UserError(f"factor {self.name!r} has nominal={self.nominal:g}, bounds={low:g} to {high:g}")

    def coordinate(self, values: np.ndarray) -> np.ndarray:
        """Standardised coordinates of values in the factor's unit."""
        transform = np.log if self.transform == "log" else (lambda x: x)
        return (transform(values) - transform(self.nominal)) / self.prior_scale

    def value(self, coordinates: np.ndarray) -> np.ndarray:
        """Values in the factor's unit at standardised coordinates."""
        shift = self.prior_scale * coordinates
        return self.nominal * np.exp(shift) if self.transform == "log" else self.nominal + shift


@dataclass(frozen=True, slots=True)
class KinematicRecord:
    """An exact Ornstein-Uhlenbeck process that moves state variables in place of forces."""

    latents: dict[Name, Positive]
    """State variable -> its standard deviation, in the state's unit."""

    rho: Correlation
    """Autocorrelation of every latent from one frame to the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldRecord:
    """The world that the frames show, as it was when they were recorded."""

    name: Name
    """Name of the scene; "recorded" where the data come from elsewhere and there is no simulator."""

    image_size: Annotated[int, Meta(ge=1)]
    """Side of a frame, pixels."""

    supersample: int | None = None
    """How many times larger than `image_size` a frame was rendered before it was averaged."""

    quality: Name | None = None
    """Quality of rendering, "fast" or "suite"."""

    camera: Name | int | None = None
    """Name or number of the camera."""

    action_repeat: Annotated[int, Meta(ge=1)] = 1
    """Control steps of the scene for which an action was held: they are one step of the data set."""

    control_dt_s: Seconds
    """Seconds from one frame to the next."""

    time_limit_s: float | None = None
    """Seconds after which an episode of the world ends by itself."""

    state_names: tuple[Name, ...]
    """Columns of `DataSet.states`; velocities end in "_vel"."""

    angle_names: tuple[Name, ...]
    """State variables that are angles, compared on the circle; radians."""

    goal_tolerance: dict[Name, float] = field(default_factory=dict)
    """State variable -> how near counts as reached, in the state's unit."""

    factors: tuple[FactorRecord, ...]
    """Everything that can be set or drawn, in the order of the columns of `DataSet.factors`."""

    randomize: tuple[Name, ...]
    """Factors that were drawn for every episode."""

    factor_rho: dict[Name, Correlation]
    """Drawn factor -> autocorrelation from one frame to the next (1: it stays)."""

    factor_shell: dict[Name, tuple[float, float]] = field(default_factory=dict)
    """Drawn factor -> how far from nominal it was drawn, in prior standard deviations, [low, high]."""

    factor_spread: dict[Name, Positive] = field(default_factory=dict)
    """Drawn factor -> how many times as wide as its prior it was drawn."""

    kinematic: KinematicRecord | None
    """What moves the scene where forces do not."""

    action_bounds: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Lowest and highest action, each (A,), that were scaled to [-1, 1]; None where actions were taken as they are."""

    def __post_init__(self) -> None:
        for what, names in (("state_names", self.state_names), ("factors", self.factor_names)):
            if twice := next((name for name, count in Counter(names).items() if count > 1), None):
                raise UserError(f"{twice!r} is there twice in {what}")
        for what, names, kind, known in (
            ("angle_names", self.angle_names, "state variable", self.state_names),
            ("kinematic.latents", self.latent_names, "state variable", self.state_names),
            ("goal_tolerance", self.goal_tolerance, "state variable", self.state_names),
            ("randomize", self.randomize, "factor", (*self.factor_names, LOOKS)),
            ("factor_rho", self.factor_rho, "factor that was drawn", self.randomize),
            ("factor_shell", self.factor_shell, "factor that was drawn", self.randomize),
            ("factor_spread", self.factor_spread, "factor that was drawn", self.randomize),
        ):
            if unknown := sorted(set(names) - set(known)):
                raise UserError(f"{unknown[0]!r} in {what} is no {kind}")
        low, high = self.action_bounds or ((), ())
        if len(low) != len(high) or any(not lowest <= highest for lowest, highest in zip(low, high, strict=True)):
            raise UserError("action_bounds are no lowest and highest action, number by number")

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of the columns of `DataSet.factors`."""
        return tuple(factor.name for factor in self.factors)

    @property
    def latent_names(self) -> tuple[str, ...]:
        """State variables that a kinematic world moves; none elsewhere."""
        return tuple(self.kinematic.latents) if self.kinematic else ()

    def factor(self, name: str) -> FactorRecord:
        """The factor of this name."""
        return self.factors[self.factor_names.index(name)]

    def drawn(self, kind: Literal["physical", "visual"]) -> tuple[FactorRecord, ...]:
        """Factors of a kind that were drawn for every episode."""
        return tuple(factor for factor in self.factors if factor.kind == kind and factor.name in self.randomize)

    def still(self, kind: Literal["physical", "visual"]) -> tuple[FactorRecord, ...]:
        """Factors of a kind that kept their nominal value."""
        return tuple(factor for factor in self.factors if factor.kind == kind and factor.name not in self.randomize)


@dataclass(frozen=True, slots=True)
class WorldArguments:
    """Keyword arguments of `envs.make`, as they were given; see `MujocoWorld`."""

    name: Name
    kinematic: KinematicRecord | None = None
    factors: dict[Name, dict[str, Any]] = field(default_factory=dict)
    image_size: int = 64
    camera: Name | int | None = None
    supersample: int = 1
    action_repeat: Annotated[int, Meta(ge=1)] | Literal["auto"] = 1
    quality: Name = "fast"
    randomize: tuple[Name, ...] = ()
    factor_rho: dict[Name, float] = field(default_factory=dict)
    factor_shell: dict[Name, tuple[float, float]] = field(default_factory=dict)
    factor_spread: dict[Name, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingRecord:
    """How the episodes were made: recorded here, taken from elsewhere (`source`), or copied from other data sets
    (`merged`)."""

    name: Name | None = None
    """Name under which the data set was recorded."""

    world: WorldArguments | None = None
    """Arguments of the recorded world."""

    policy: dict[str, Any] | None = None
    """Name of the excitation policy, and its parameters, whatever it has; `make_policy` checks them."""

    episode_steps: Annotated[int, Meta(ge=1)] | None = None
    """Control steps of an episode, unless the world ends it earlier."""

    seed: int | None = None
    """Seed of all episodes."""

    drift_rho: Correlation | None
    """Correlation of the drawn physical constants before and after the middle of an episode; None: they stay."""

    restart_midway: bool = False
    """Whether the second half of an episode starts anew, from another state."""

    engine: Literal["classic", "warp"] = "classic"
    """Simulator and renderer: MuJoCo and OpenGL, or MuJoCo Warp."""

    worlds: int | None = None
    """With "warp": how many episodes were simulated at once."""

    source: Name | None = None
    """Where the episodes were taken from; None where they were recorded here."""

    source_digest: Name | None = None
    """SHA-256 of the columns that were taken from there; for data from another toolkit without the frames."""

    merged: tuple[Name, ...] = ()
    """The data sets that were joined."""

    @property
    def middle(self) -> int | None:
        """Frame from which constants are redrawn, or the world starts anew; None where neither happens, or where
        episodes of different lengths were joined."""
        is_cut = self.restart_midway or self.drift_rho is not None
        return middle_frame(self.episode_steps) if is_cut and self.episode_steps else None


@dataclass(frozen=True, slots=True)
class WorldDigest:
    """Digests of the recorded world, which differ from those of a world that was edited since; see `provenance`."""

    simulator: Name
    """Version of MuJoCo that compiled the model."""

    model: Name
    """SHA-256 of the compiled model."""

    source: Name | None = None
    """SHA-256 of the Python file of a world of one's own."""


@dataclass(frozen=True, slots=True)
class Index:
    """What `dataset.json` says of a data set."""

    name: Name
    """Name of the data set."""

    num_episodes: Annotated[int, Meta(ge=0)]
    """Episodes that are whole; 0 while the first recording is under way."""

    episodes_per_shard: Annotated[int, Meta(ge=1)]
    """Episodes of every shard but the last."""

    settings: RecordingRecord
    """How the episodes were made."""

    world: WorldRecord
    """The world that the frames show."""

    digest: WorldDigest | None = None
    """Digests of the world; None without a simulator, or where a version without digests began the data set."""

    @property
    def num_shards(self) -> int:
        """Shards that the episodes fill."""
        return -(-self.num_episodes // self.episodes_per_shard)


def read_index(directory: Path) -> Index:
    """The index of a data set; StoreError when it is missing, foreign or of another schema."""
    path = directory / INDEX_NAME
    if not os.path.lexists(path):
        names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
        make = "worldmodel collect env=NAME"
        if names and not any(name.startswith("shard-") for name in names):  # of another layout
            make = command("data convert", path=directory, out="data/NAME")
        raise StoreError(f"no data set at {directory} (no {INDEX_NAME}); make one with: {make}")
    try:
        content = read_json(path)
        if content.get("schema") != SCHEMA_VERSION:
            raise ValueError(f"it has schema {content.get('schema')!r}, this version reads {SCHEMA_VERSION}")
        return msgspec.convert(without_checksum(content)[0], Index)
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StoreError(
            f"{path} is not a data set index ({reason}); restore it, or delete {directory} and collect again"
        ) from error


def write_index(directory: Path, index: Index, writer: Callable[..., None] = write_atomically) -> None:
    """Write `dataset.json`, by `write_atomically` or `write_new`."""
    content = {"schema": SCHEMA_VERSION, **plain(index)}
    content |= {"settings": plain(index.settings), "world": plain(index.world)}
    write_json(directory / INDEX_NAME, with_checksum(content), writer)


def plain(record: RecordingRecord | WorldRecord | Index) -> dict[str, Any]:
    """A record as plain values, without fields that hold their default."""
    content = msgspec.to_builtins(record)
    return {item.name: content[item.name] for item in fields(record) if getattr(record, item.name) != item.default}


def differences(held: Any, asked: Any) -> list[tuple[str, Any, Any]]:
    """(dotted key, value of `held`, value of `asked`) of everything in which two records differ."""
    first, second = _flat(msgspec.to_builtins(held)), _flat(msgspec.to_builtins(asked))
    keys = {**first, **second}
    return [(key, first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)]


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
