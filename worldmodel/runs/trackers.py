"""Experiment trackers: where the scalars, pictures, videos and settings of a run are shown beside those of other runs.

`metrics.jsonl` and `summary.json` always hold what a run found; a tracker shows it to people. By default it is
TensorBoard, with files in the run's folder. `track=trackio` and `track=wandb` take Trackio or Weights & Biases, which
are packages of their own. Stages know only `Tracker`.
"""

import importlib
import importlib.util
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import imageio.v3 as imageio
import numpy as np

from worldmodel.data.interchange.images import decode
from worldmodel.data.interchange.video_frames import VideoReader
from worldmodel.settings import TrackerName
from worldmodel.system.errors import UserError
from worldmodel.system.files import check_regular, inner_folder, read_regular, read_text, require_space, write_text
from worldmodel.system.printable import say

PROJECT = "worldmodel"
"""The project that runs belong to, in trackers that have projects."""
GIF_SIDE, MAX_FRAMES = 160, 3000
"""Longer side in pixels to which TensorBoard's videos are reduced, which are kept as GIF, and their most frames."""
MAX_MEDIA_BYTES = 64 * 2**20
"""Largest picture or video that is shown."""


class Tracker(Protocol):
    """Interface of an experiment tracker. Names are paths, such as `encoder/loss`."""

    def settings(self, values: Mapping[str, object]) -> None:
        """Settings of the run: dotted path -> plain value."""
        ...

    def begin(self, stage: str, step: int) -> None:
        """A stage begins, or is taken up again, at this step. What was logged of this and later steps is void."""
        ...

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a stage after a step."""
        ...

    def image(self, name: str, path: Path, step: int = 0) -> None:
        """A PNG, as it is after a step of the stage that the name begins with."""
        ...

    def video(self, name: str, path: Path) -> None:
        """An MP4."""
        ...

    def close(self) -> None:
        """Write out everything; the tracker is not used again."""
        ...


def check_tracker(name: TrackerName) -> None:
    """UserError where the package of a tracker is not installed."""
    if name != "tensorboard" and importlib.util.find_spec(name) is None:
        raise UserError(f"track={name} needs {name}; install it with: pip install 'worldmodel[{name}]'")


def open_tracker(name: TrackerName, run: Path) -> Tracker:
    """The tracker of the run in the folder `run`; where the run was tracked before, its entry is continued.

    Raises:
        UserError: its package is not installed.
    """
    check_tracker(name)
    return TensorBoard(run) if name == "tensorboard" else Hosted(importlib.import_module(name), run)


def track_result(
    name: TrackerName, run: Path, stage: str, values: Mapping[str, float], media: Sequence[Path] = ()
) -> None:
    """Log a command's figures: numbers, and pictures (PNG) and videos (MP4) under the names of their files."""
    tracker = open_tracker(name, run)
    tracker.scalars(stage, 0, values)
    show_media(tracker, stage, media)
    tracker.close()


def show_media(tracker: Tracker, place: str, media: Sequence[Path]) -> None:
    """Show pictures (PNG) and videos (MP4) as `place/NAME`; a note names what cannot be shown, such as a link."""
    for path in media:
        show = tracker.video if path.suffix == ".mp4" else tracker.image
        try:
            check_regular(path, MAX_MEDIA_BYTES)  # others may have put it into the run
            show(f"{place}/{path.stem}", path)
        except UserError as error:
            say(f"note: {path.name} is not shown by the tracker: {error}")


class TensorBoard:
    """Event files in the run's folder `tensorboard/`, one folder a stage: `tensorboard --logdir runs`."""

    def __init__(self, run: Path) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._folder, self._new = run / "tensorboard", SummaryWriter
        self._writers: dict[str, SummaryWriter] = {}

    def settings(self, values: Mapping[str, object]) -> None:
        rows = "".join(f"| {key} | {value} |\n" for key, value in values.items())
        self._writer("settings").add_text("settings", f"| option | value |\n|---|---|\n{rows}")

    def begin(self, stage: str, step: int) -> None:
        self._writers[stage] = self._new(str(self._place(stage)), purge_step=step)

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        require_space(self._place(stage))  # before torch's writing thread notices
        for name, value in values.items():
            self._writer(stage).add_scalar(f"{stage}/{name}", value, step)

    def image(self, name: str, path: Path, step: int = 0) -> None:
        picture = decode(read_regular(path, MAX_MEDIA_BYTES), path)
        self._writer(name.partition("/")[0]).add_image(name, picture, step, dataformats="HWC")

    def video(self, name: str, path: Path) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        frames = _reduced(path)
        gif = imageio.imwrite("<bytes>", frames, extension=".gif", duration=50, loop=0)
        picture = Summary.Image(height=frames.shape[1], width=frames.shape[2], colorspace=3, encoded_image_string=gif)
        writer = self._writer(name.partition("/")[0]).file_writer
        assert writer is not None
        writer.add_summary(Summary(value=[Summary.Value(tag=name, image=picture)]))

    def close(self) -> None:
        with _quiet_threads():
            for writer in self._writers.values():
                writer.close()

    def _writer(self, stage: str) -> Any:
        if stage not in self._writers:
            self._writers[stage] = self._new(str(self._place(stage)))
        return self._writers[stage]

    def _place(self, stage: str) -> Path:
        return inner_folder(inner_folder(self._folder) / stage)


def _reduced(film: Path) -> np.ndarray:
    """The frames of an MP4, uint8 (T, h, w, 3), every second, third, … pixel of each; UserError where it has none."""
    reader, frames = VideoReader(), []
    try:
        for frame in reader.first(film, MAX_FRAMES):
            shrink = max(1, -(-max(frame.shape[:2]) // GIF_SIDE))
            frames.append(frame[::shrink, ::shrink].copy())
    finally:
        reader.close()
    if not frames:
        raise UserError(f"{film} holds no frames")
    return np.stack(frames)


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Where the disk is full, torch's writing threads end without tracebacks: `metrics.jsonl` has what they lose."""
    before, threading.excepthook = threading.excepthook, lambda _: None
    try:
        yield
    except OSError:
        pass
    finally:
        threading.excepthook = before


class Hosted:
    """Trackio or Weights & Biases, which share the functions used here.

    Every stage counts its steps from 0, and these services count one step for all. So the step of a stage is logged as
    a number of its own, `encoder/step`.
    """

    def __init__(self, module: Any, run: Path) -> None:
        self._module = module
        place = {"id": _identity(run), "dir": str(run)} if module.__name__ == "wandb" else {}
        self._entry = module.init(project=PROJECT, name=run.name, resume="allow", **place)

    def settings(self, values: Mapping[str, object]) -> None:
        self._entry.config.update(dict(values))

    def begin(self, stage: str, step: int) -> None:
        """Nothing to do: these services keep what was logged."""

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        self._entry.log({f"{stage}/step": step} | {f"{stage}/{name}": value for name, value in values.items()})

    def image(self, name: str, path: Path, step: int = 0) -> None:
        self._entry.log({f"{name.partition('/')[0]}/step": step, name: self._module.Image(str(path))})

    def video(self, name: str, path: Path) -> None:
        self._entry.log({name: self._module.Video(str(path), format="mp4")})

    def close(self) -> None:
        self._entry.finish()


def _identity(run: Path) -> str:
    """A name for the run's entry that no other run has; kept in the run's folder, so that a continued run keeps it."""
    path = run / "tracking_id"
    if not path.exists():
        write_text(path, uuid.uuid4().hex[:12])
    return read_text(path, 100)
