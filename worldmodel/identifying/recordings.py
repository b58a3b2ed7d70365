"""Recordings to be explained: an episode of a data set, or a video with a table of its actions.

Letters: T+1 frames, S image side, A numbers of an action, X state.
"""

from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from worldmodel.data import DataSet
from worldmodel.data.interchange.images import fit_frames, fitted
from worldmodel.data.interchange.video_frames import VideoReader
from worldmodel.envs import MujocoWorld
from worldmodel.runs.array_files import read_arrays
from worldmodel.system.errors import UserError
from worldmodel.system.files import check_regular, read_text

SHORTEST = 12
"""Control steps of the shortest recording."""
_MOST_SECONDS_OFF = 0.02
"""Share by which a video may be longer or shorter than its table."""
MAX_TABLE_BYTES = 64 * 2**20
"""Largest table of the actions beside a video."""


@dataclass(frozen=True)
class RecordedMotion:
    """Frames and the actions between them; what was true where the file has it."""

    name: str
    """The name that the user gave."""
    frames: np.ndarray
    """uint8 (T+1, S, S, 3)."""
    actions: np.ndarray
    """float32 (T, A) in [-1, 1]."""
    states: np.ndarray | None = None
    """True states (T+1, X)."""
    factors: dict[str, float] | None = None
    """True values of the factors."""


def open_recording(name: str, world: MujocoWorld, image_size: int) -> RecordedMotion:
    """A recording of a world, its frames cut to `image_size`.

    Raises:
        UserError: it is missing, or does not fit the world: other actions, another rate, too short.
        StoreError: a data set or a video is damaged.
    """
    path, colon, episode = name.rpartition(":")
    if colon and (Path(path) / "dataset.json").exists():
        return _episode(name, Path(path), episode, world, image_size)
    if (Path(name) / "dataset.json").exists():
        num = DataSet(Path(name)).num_episodes
        raise UserError(f"{name} holds {num} episodes; choose one: recording={name}:0, or a list of them")
    return _video(Path(name), world, image_size)


def _episode(name: str, directory: Path, episode: str, world: MujocoWorld, image_size: int) -> RecordedMotion:
    """An episode of a data set; its first half where constants drift, or the world starts afresh, in its middle."""
    data = DataSet(directory)
    if not episode.isdecimal() or int(episode) >= data.num_episodes:
        raise UserError(f"{directory} has episodes 0 to {data.num_episodes - 1}, got {episode!r}; write {directory}:0")
    if not np.isclose(data.index.world.control_dt_s, world.control_dt_s):
        raise UserError(
            f"{directory} has a frame every {data.index.world.control_dt_s:g} s, the run's world one every "
            f"{world.control_dt_s:g} s; give a recording of the run's rate"
        )
    whole = data.chosen(np.array([int(episode)]))
    motion = whole if whole.middle is None else whole.halves()[0]
    offset, length = int(motion.offset[0]), int(motion.length[0])
    rows, actions = slice(offset, offset + length), data.actions[offset : offset + length - 1]
    _check_fits(name, actions, world)
    same_world = data.state_names == list(world.state_names)
    # constants are read in the middle: at its first frame an episode may still have others
    factors = dict(zip(data.factor_names, data.factors[offset + length // 2].astype(float).tolist(), strict=True))
    return RecordedMotion(
        name,
        fit_frames(data.frames(rows), image_size),
        actions,
        data.states[rows].astype(np.float64) if same_world else None,
        factors if same_world else None,
    )


def _video(path: Path, world: MujocoWorld, image_size: int) -> RecordedMotion:
    """A video whose first frame shows the start, and the table of actions beside it: a row a control step."""
    if not path.exists():
        raise UserError(f"there is no recording {path}; give an episode as data/NAME:NUMBER, or a video as clip.mp4")
    actions, reader = _actions(path, world), VideoReader()
    try:
        _check_duration(path, reader.times(path), len(actions), world.control_dt_s)
        _check_fits(str(path), actions, world)  # before frames are decoded, which takes longer
        frames = reader.frames(path, world.control_dt_s * np.arange(len(actions) + 1))
        return RecordedMotion(str(path), fitted((frame[None] for frame in frames), image_size, path), actions)
    finally:
        reader.close()


def _check_duration(path: Path, times: np.ndarray, num_actions: int, dt_s: float) -> None:
    """UserError where the video is much longer or shorter than its table says; times: of its frames and its end."""
    seconds, expected = times[-1], (num_actions + 1) * dt_s
    if abs(seconds - expected) > max(_MOST_SECONDS_OFF * expected, 1.5 * dt_s):
        raise UserError(
            f"{path} lasts {seconds:.2f} s ({len(times) - 1} frames), but {num_actions} actions every {dt_s:g} s take "
            f"{expected:.2f} s: frames were dropped, or the rate is another; give as many actions as the video is long"
        )


def _actions(path: Path, world: MujocoWorld) -> np.ndarray:
    """float32 (T, A): the array `actions` of an npz, or a CSV with one column an action under a line of names."""
    for table in (path.with_suffix(".npz"), path.with_suffix(".csv")):
        if table.exists():
            check_regular(table, MAX_TABLE_BYTES)
            try:
                if table.suffix == ".npz":
                    return _real(read_arrays(table, MAX_TABLE_BYTES, "actions")["actions"])
                return _rows_under_names(table)
            except Exception as error:  # numpy raises whatever the file provokes
                raise UserError(
                    f"{table} holds no table of actions ({' '.join(str(error).split())}); write a column for each of "
                    f"{world.scene.action_dim} actions and a row a control step"
                ) from error
    raise UserError(f"{path} needs a table of its actions beside it: {path.with_suffix('.csv').name} or .npz")


def _rows_under_names(table: Path) -> np.ndarray:
    """float32 (T, A) of a CSV; ValueError where its first line is a row already, which would be taken for names."""
    names, _, rows = read_text(table, MAX_TABLE_BYTES).partition("\n")
    if all(_is_number(name) for name in names.split(",")):
        raise ValueError("its first line is numbers; the first line names the columns")
    if not rows.strip():
        raise ValueError("it has no rows")
    return np.loadtxt(StringIO(rows), np.float32, delimiter=",", ndmin=2)


def _real(actions: np.ndarray) -> np.ndarray:
    """As float32; ValueError where an array holds anything but real numbers."""
    if actions.dtype.kind not in "fiu":
        raise ValueError(f"it holds {actions.dtype}")
    return actions.astype(np.float32)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_fits(name: str, actions: np.ndarray, world: MujocoWorld) -> None:
    if actions.ndim != 2 or actions.shape[1] != world.scene.action_dim:
        raise UserError(
            f"{name} has actions of shape {actions.shape}, {world.name} takes {world.scene.action_dim} numbers a step; "
            "give a row a control step, and a column a number"
        )
    if not np.isfinite(actions).all() or np.abs(actions).max(initial=0.0) > 1 + 1e-6:
        raise UserError(f"the actions of {name} must be numbers in [-1, 1], as shares of each actuator's range")
    if len(actions) < SHORTEST:
        raise UserError(f"{name} has {len(actions)} control steps, at least {SHORTEST} are needed to tell constants")
