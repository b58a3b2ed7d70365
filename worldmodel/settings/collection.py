"""Settings of a recording: the world, the policy that moves it, and the number of episodes."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from worldmodel.settings.base import Count, Fraction, NonNegativeInt, Positive, Settings, no_effect_on_weights
from worldmodel.settings.convert import plain, structure
from worldmodel.settings.names import check_name
from worldmodel.system.errors import UserError

RECORDED = "recorded"
"""The world of data sets that came from elsewhere: frames and actions, and no simulator."""
MOST_STEPS = 100_000
"""Control steps of the longest episode: a run's settings may be a stranger's, and verbs simulate such episodes."""
EpisodeSteps = Annotated[int, msgspec.Meta(ge=1, le=MOST_STEPS)]


@dataclass(frozen=True)
class KinematicConfig(Settings):
    """Poses that follow an exact Ornstein-Uhlenbeck (OU) process instead of physics."""

    latents: dict[str, float] = field(default_factory=dict)
    """State variables that move, each with its standard deviation in the state's own unit."""
    rho: Fraction = 0.95
    """Correlation of a pose with that of the next control step; 1 holds one pose for the whole episode."""


@dataclass(frozen=True)
class NamedFactorConfig(Settings):
    """A factor of a world by the name that MJCF gives it; `worldmodel worlds env=NAME` lists the paths."""

    of: str = ""
    """KIND.NAME.PROPERTY, such as body.object0.mass, light.top.diffuse or camera.front.pos; body.*.mass is a ratio for
    all masses."""
    prior: Positive | None = None
    """Standard deviation of the prior: of the logarithm, or in the property's own unit; null takes the property's."""
    transform: Literal["log", "linear"] | None = None
    """What the prior is Gaussian in; null: the logarithm of what is positive."""
    bounds: list[float] | None = None
    """Lowest and highest value; null: 3.2 standard deviations on either side."""
    nominal: float | None = None
    """Value where the factor is not randomised; null: the model's own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.of:
            raise UserError("a factor needs a path of=KIND.NAME.PROPERTY, such as of: body.puck.mass")
        if self.bounds is not None and len(self.bounds) != 2:
            raise UserError(f"bounds of {self.of} must be [lowest, highest], got {self.bounds}")


@dataclass(frozen=True)
class EnvConfig(Settings):
    """A world, and how it is rendered and randomised."""

    world: str = "reacher"
    """Name of the world, gym:ID for any environment of Gymnasium, or path/to/file.py:factory for your own: a function
    that returns a scene or an environment."""
    name: str | None = None
    """Name of its data set and run; null takes the world's name."""
    kinematic: KinematicConfig | None = None
    """Poses from an exact OU process instead of physics; null simulates physics."""
    image_size: Count = 64
    """Side of a recorded frame, in pixels."""
    camera: str | int | None = None
    """Name or number of the camera; null takes the world's own."""
    supersample: Count = 1
    """Frames are rendered this many times larger and box-averaged."""
    action_repeat: Count | Literal["auto"] = 1
    """Control steps of the world for which an action is held; they count as one, whose reward is their sum. auto: as
    few as last a twentieth of a second."""
    factors: dict[str, Any] = field(default_factory=dict)
    """Factors by MJCF name, besides the world's own: {heavy: {of: body.puck.mass, prior: 0.3, bounds: [0.2, 5]}}."""
    randomize: list[str] = field(default_factory=list)
    """Factors drawn per episode: names of factors, or physical, visual, all. looks: every frame has another
    appearance, see docs/LOOKS.md; `all` does not include looks."""
    factor_rho: dict[str, Fraction] = field(default_factory=dict)
    """Correlation of a randomised factor from one control step to the next, by name or kind: 1 keeps it for the whole
    episode, 0 redraws it at every step."""
    factor_spread: dict[str, float] = field(default_factory=dict)
    """How many times as wide as its prior a factor is drawn, by name or kind, e.g. {physical: 1.6}."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name is not None:
            check_name("env.name", self.name)
        if self.world == RECORDED and self.randomize:
            raise UserError(
                f"env.randomize=[{', '.join(self.randomize)}] needs a world, and recordings are as they are: leave it "
                "out (robust=true trains for other looks all the same)"
            )
        for name, factor in self.factors.items():
            check_name("a factor's name", name)
            _named_factor(name, factor)

    @property
    def label(self) -> str:
        """Name of the data set and the run."""
        return self.name or re.sub(r"\W+", "-", self.world.removeprefix("gym:").rsplit("/", 1)[-1])

    def make_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `worldmodel.envs.make`."""
        return {
            "name": self.world,
            "kinematic": dataclasses.asdict(self.kinematic) if self.kinematic else None,
            "factors": {name: plain(_named_factor(name, factor)) for name, factor in self.factors.items()},
            "image_size": self.image_size,
            "camera": self.camera,
            "supersample": self.supersample,
            "action_repeat": self.action_repeat,
            "quality": "fast",
            "randomize": list(self.randomize),
            "factor_rho": dict(self.factor_rho),
            "factor_shell": {},
            "factor_spread": dict(self.factor_spread),
        }


def _named_factor(name: str, values: Any) -> NamedFactorConfig:
    """The settings of a factor from plain values; a path alone will do."""
    values = {"of": values} if isinstance(values, str) else values
    if not isinstance(values, Mapping):
        raise UserError(
            f"env.factors.{name} is a path or a mapping with a path: {{of: body.puck.mass}}, got {values!r}"
        )
    return structure(values, NamedFactorConfig, f"env.factors.{name}.")


@dataclass(frozen=True)
class CollectConfig(Settings):
    """A data set of pixel rollouts: data/NAME with HDF5 shards and an index, dataset.json."""

    env: EnvConfig = field(default_factory=EnvConfig)
    """The world."""
    policy: dict[str, Any] = field(default_factory=lambda: {"name": "uniform"})
    """Policy that moves the world, with its settings: noise, or play, which moves objects to short goals. policy=NAME
    takes another one: uniform, ou, colored_noise, coasting, ou_tracking, designed_gaussian, play, or mixture.
    policy.SETTING=VALUE changes a setting, such as policy.std; an unknown name is answered with a list of all."""
    episodes: Count = 200
    """Episodes to record."""
    episode_steps: EpisodeSteps = 200
    """Control steps of an episode, which is held in memory as a whole."""
    drift_rho: Fraction | None = None
    """Redraws the physical constants in the middle of an episode, with this correlation to those before: 0 draws them
    independently; null: they stay."""
    restart_midway: bool = False
    """In the middle of an episode, motion, light and colours begin anew, so that its halves share only the physical
    constants."""
    data: str = no_effect_on_weights("data")
    """Folder of data sets."""
    workers: Count | None = no_effect_on_weights(None)
    """Processes that record; null takes every core (one with warp_worlds)."""
    data_seed: NonNegativeInt = 0
    """Seed of the data set."""
    warp_worlds: Count | None = None
    """Episodes that MuJoCo Warp simulates and renders at once, best on a GPU; null records with MuJoCo and OpenGL, one
    episode after another in each process."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restart_midway and self.warp_worlds is not None:
            raise UserError("MuJoCo Warp cannot record restart_midway=true; leave out warp_worlds or restart_midway")

    @property
    def directory(self) -> Path:
        """Where the data set is."""
        return Path(self.data) / self.env.label

    @property
    def num_episodes(self) -> int | None:
        """Episodes to use; None: all that the data set holds."""
        return None if self.env.world == RECORDED else self.episodes
