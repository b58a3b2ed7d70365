"""What the page and a session say to each other: typed commands one way, moments and notices the other, as JSON.

Nothing else passes. A command that is not one of these, or holds more than it should, is refused before it is read; a
page can neither name a file nor hand over code. Pictures are encoded files (`picture_files.py`), base64 in JSON.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Struct

from worldmodel.system.errors import UserError

# ---------------------------------------------------------------------------------------------------------------------
# from the page


class Command(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """Something that a person asks for on the page."""


class Play(Command, frozen=True, tag="play"):
    """Go on, or pause."""

    on: bool


class StepOnce(Command, frozen=True, tag="step"):
    """Pause, and make one control step."""


class Reset(Command, frozen=True, tag="reset"):
    """Start another episode."""


class Pace(Command, frozen=True, tag="pace"):
    """Go at most so many control steps a second."""

    steps_per_s: Annotated[float, msgspec.Meta(gt=0, le=1000)]


class PickGoal(Command, frozen=True, tag="pick_goal"):
    """Take the state of a goal picture for the goal: the number of one in `Opening.goals`; None: any."""

    number: int | None = None


class PoseGoal(Command, frozen=True, tag="pose_goal"):
    """Change the goal: position name -> value, in metres and radians. The other positions stay."""

    positions: dict[str, float]


class DragGoal(Command, frozen=True, tag="drag_goal"):
    """Pull at a geom of the goal, so that the place where it is held comes near to a point."""

    geom: int
    """Its number, as in `Solid.geom`."""
    grip: tuple[float, float, float]
    """Where it is held, in its own frame, metres."""
    point: tuple[float, float, float]
    """Where that place is wanted, metres."""


class KeepGoing(Command, frozen=True, tag="keep_going"):
    """Whether a goal that was reached, or took too long, is followed by another."""

    on: bool


class SetFactor(Command, frozen=True, tag="set_factor"):
    """Change a physical constant or a visual property, in its unit."""

    name: str
    value: float


class ChooseDriver(Command, frozen=True, tag="driver"):
    """Who decides actions."""

    driver: Literal["model", "random", "nobody"]


class ChoosePlanner(Command, frozen=True, tag="planner"):
    """Plan with another planner or budget."""

    name: str
    horizon: int
    num_samples: int | None = None
    num_iterations: int | None = None


class Seek(Command, frozen=True, tag="seek"):
    """Go to a frame of a recorded episode."""

    episode: int
    frame: int = 0


AnyCommand = (
    Play
    | StepOnce
    | Reset
    | Pace
    | PickGoal
    | PoseGoal
    | DragGoal
    | KeepGoing
    | SetFactor
    | ChooseDriver
    | ChoosePlanner
    | Seek
)
_DECODER = msgspec.json.Decoder(AnyCommand)
LONGEST_COMMAND = 4_000
"""Bytes of a command at most."""


def read_command(text: str | bytes) -> AnyCommand:
    """The command in a message; UserError where it is none."""
    if len(text) > LONGEST_COMMAND:
        raise UserError(f"a command has at most {LONGEST_COMMAND} bytes, got {len(text)}")
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"not a command of this page: {error}") from error


# ---------------------------------------------------------------------------------------------------------------------
# to the page


class Solid(Struct, frozen=True, array_like=True):
    """A body's geometry as it is drawn in 3-D."""

    shape: str
    """plane, sphere, capsule, ellipsoid, cylinder, box, or mesh:K for mesh K of `Opening.meshes`."""
    size: list[float]
    """MuJoCo's three sizes, in metres."""
    position: list[float]
    """Of its centre, metres, (3,)."""
    rotation: list[float]
    """Row by row, (9,)."""
    colour: list[float]
    """Red, green, blue, opacity, in [0, 1]."""
    geom: int
    """Number of the geom in the MuJoCo model; -1 for anything else, such as a site."""


class Mesh(Struct, frozen=True):
    """Triangles of a mesh."""

    vertices: list[float]
    """Metres, three a vertex."""
    faces: list[int]
    """Three vertex numbers a triangle."""


class Path(Struct, frozen=True):
    """Where a body goes."""

    kind: Literal["plan", "simulated", "candidate"]
    """plan: as the model imagines the chosen plan; simulated: as the simulator says of the same actions; candidate: as
    the model imagines one that was not chosen."""
    points: list[float]
    """Metres, three a control step."""
    goodness: float = 1.0
    """1 for the cheapest candidate, 0 for the dearest that is shown."""


class FactorControl(Struct, frozen=True):
    """A slider for a factor of the world."""

    name: str
    kind: Literal["physical", "visual"]
    unit: str
    low: float
    high: float
    nominal: float
    logarithmic: bool
    description: str


class PositionControl(Struct, frozen=True):
    """A slider for one position of the goal."""

    name: str
    low: float
    high: float
    unit: Literal["m", "rad"]


class PlannerShown(Struct, frozen=True):
    """The planner and its budget; None where a planner has no such option."""

    name: str
    horizon: int
    num_samples: int | None
    num_iterations: int | None


class Viewpoint(Struct, frozen=True):
    """Where the 3-D view looks from at first, metres."""

    centre: list[float]
    eye: list[float]


class Opening(Struct, frozen=True, tag_field="kind", tag="opening"):
    """What stays the same throughout a session."""

    title: str
    mode: Literal["live", "recording"]
    world: str
    notes: list[str]
    """What the view cannot show, and why; where its figures come from."""
    control_dt_s: float
    frame_size: int
    viewpoint: Viewpoint | None
    """None where there is no simulator to draw in 3-D."""
    meshes: list[Mesh]
    factors: list[FactorControl]
    positions: list[PositionControl]
    goals: list[bytes]
    """Pictures of goals to choose from, PNG."""
    planners: list[str]
    drivers: list[str]
    episode_lengths: list[int]
    """Frames of each recorded episode."""


class StateShown(Struct, frozen=True):
    """A state variable read from the latent, beside the truth."""

    name: str
    unit: str
    truth: float
    read: float | None
    error: float | None
    """Standard deviation of what the readout errs by on held-out episodes."""


class ConstantShown(Struct, frozen=True):
    """A physical constant estimated from the motion so far, beside the truth."""

    name: str
    unit: str
    truth: float
    estimate: float | None
    """None before enough was seen."""
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None
    settled: bool
    """Whether the constant stood still for as long as the estimate looks back."""


class Imagined(Struct, frozen=True):
    """Pictures of a future, and how far it is off."""

    steps: list[int]
    """Control steps ahead of each tile."""
    decoded: bytes | None
    """Tiles side by side, as the model imagines them, JPEG; None without a decoder."""
    actual: bytes | None
    """Tiles as they really come to be: simulated or recorded, JPEG."""
    error: float | None
    """At the last tile: how far the imagined latent is from the real one, as a share of how far that is from now."""
    error_mm: float | None
    """At the last step: mean distance of moving bodies between the imagined and the simulated future, millimetres."""


class Moment(Struct, frozen=True, tag_field="kind", tag="moment"):
    """Everything about one moment; complete, so that any moment may be left out on a slow connection."""

    step: int
    """Control steps since the session began."""
    episode: int
    frame_number: int
    """Of the frame in its episode."""
    playing: bool
    frame: bytes
    """What the camera sees, PNG."""
    reconstruction: bytes | None
    """What the decoder makes of the latent of that frame, JPEG."""
    goal: bytes | None
    """The goal's picture, PNG."""
    latent: list[float]
    distance: float | None
    """Between the latents of frame and goal."""
    reached: bool
    goals_reached: int
    """Goals held for five steps."""
    goals_given_up: int
    """Goals that were not reached in time."""
    decision_ms: float | None
    costs: list[float]
    """Of the candidates of the last iteration, lowest first."""
    plan_cost: float | None
    driver: str
    planner: PlannerShown | None
    action: list[float]
    imagined: Imagined | None
    solids: list[Solid]
    goal_solids: list[Solid]
    imagined_solids: list[Solid]
    """The body at the end of the imagined plan."""
    paths: list[Path]
    states: list[StateShown]
    constants: list[ConstantShown]
    factors: dict[str, float]
    goal_positions: dict[str, float]


class Notice(Struct, frozen=True, tag_field="kind", tag="notice"):
    """A line for the person at the page."""

    text: str
    error: bool = False


def encoded(message: Opening | Moment | Notice) -> bytes:
    """A message as JSON."""
    return msgspec.json.encode(message)
