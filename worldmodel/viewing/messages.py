"""The messages between a page and a session, as JSON: typed commands one way, moments and notices the other.

Anything else, an unknown field too, is refused while it is decoded, so that a page can neither name a file nor send
code. Pictures are encoded files (`picture_files.py`), base64 in JSON.
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
    """Limit the rate of control steps."""

    steps_per_s: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    """Control steps a second, at most."""


class PickGoal(Command, frozen=True, tag="pick_goal"):
    """Take the state of a goal picture as the goal."""

    number: int | None = None
    """Its index in `Opening.goals`; None draws one at random."""


class PoseGoal(Command, frozen=True, tag="pose_goal"):
    """Change the goal: position name -> value, in metres and radians. The other positions stay."""

    positions: dict[str, float]


class DragGoal(Command, frozen=True, tag="drag_goal"):
    """Change the goal by pulling a point of one of its geoms towards a point of the world."""

    geom: int
    """Its number, as in `Solid.geom`."""
    grip: tuple[float, float, float]
    """The point that is held, in the geom's frame, metres."""
    point: tuple[float, float, float]
    """Where that point should go, in the world's frame, metres."""


class KeepGoing(Command, frozen=True, tag="keep_going"):
    """Whether a goal that was reached, or took too long, is followed by another."""

    on: bool


class SetFactor(Command, frozen=True, tag="set_factor"):
    """Change a physical constant or a visual property, in its unit."""

    name: str
    value: float


class ChooseDriver(Command, frozen=True, tag="driver"):
    """Choose what decides the actions."""

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
"""Largest size of a command, in bytes."""


def read_command(text: str | bytes) -> AnyCommand:
    """Decode a command; UserError where the message is none."""
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
    """Position of its centre, metres, (3,)."""
    rotation: list[float]
    """Rotation matrix, row by row, (9,)."""
    colour: list[float]
    """Red, green, blue, opacity, in [0, 1]."""
    geom: int
    """Number of the geom in the MuJoCo model; -1 for anything else, such as a site."""


class Mesh(Struct, frozen=True):
    """Triangles of a mesh."""

    vertices: list[float]
    """Coordinates in metres, three for each vertex."""
    faces: list[int]
    """Three vertex numbers for each triangle."""


class Path(Struct, frozen=True):
    """The path of a body's centre of mass."""

    kind: Literal["plan", "simulated", "candidate"]
    """plan: the chosen plan, as the model imagines it; simulated: the same actions in the simulator; candidate: a plan
    that was not chosen, as the model imagines it."""
    points: list[float]
    """Coordinates in metres, three for each control step."""
    goodness: float = 1.0
    """1 for the candidate of lowest cost, 0 for that of highest cost among those shown."""


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
    """Where the view's figures come from; what it cannot show, and why."""
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
    """The value read; None without a model."""
    error: float | None
    """Root mean square error of the readout on held-out episodes; None without a model."""


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
    """Whether the constant did not change within the steps that the estimate uses."""


class Imagined(Struct, frozen=True):
    """Pictures of an imagined future, and its error."""

    steps: list[int]
    """Control steps ahead of each tile."""
    decoded: bytes | None
    """Tiles side by side, as the model imagines them, JPEG; None without a decoder."""
    actual: bytes | None
    """Tiles of the simulated or recorded future, JPEG."""
    error: float | None
    """At the last tile: distance of the imagined from the real latent, divided by that of the real from the present
    one; None where nothing moves."""
    error_mm: float | None
    """At the last step: mean distance of moving bodies between the imagined and the simulated future, millimetres."""


class Moment(Struct, frozen=True, tag_field="kind", tag="moment"):
    """Everything about one moment; complete, so that any moment may be left out on a slow connection."""

    step: int
    """Control steps since the session began."""
    episode: int
    frame_number: int
    """Number of the frame in its episode, from 0."""
    playing: bool
    frame: bytes
    """What the camera sees, PNG."""
    reconstruction: bytes | None
    """The latent of that frame, decoded, JPEG; None without a decoder."""
    goal: bytes | None
    """The goal's picture, PNG."""
    latent: list[float]
    distance: float | None
    """Euclidean distance between the latents of frame and goal."""
    reached: bool
    goals_reached: int
    """Goals held for five steps."""
    goals_given_up: int
    """Goals that were not reached in time."""
    decision_ms: float | None
    costs: list[float]
    """Costs of the candidates of the last iteration, lowest first."""
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
