"""LeRobot v3: parquet tables of rows, and images in them, or videos that several episodes share."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.interchange.foreign import ForeignColumns, as_actions, choose_camera, numbered, stacked
from worldmodel.data.interchange.images import decode, fitted
from worldmodel.data.interchange.video_frames import VideoReader
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import check_inside, check_regular, read_json

_DATA = "data/chunk-{chunk:03d}/file-{file:03d}.parquet"
_VIDEO = "videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4"
_ALWAYS_READ_BYTES, _ROWS_AT_ONCE = 128 * 2**20, 64
# How far a row may be from its time: in frames, and as a share of the rate.
_MOST_FRAMES_OFF, _MOST_RATE_OFF = 0.5, 0.02
_LONGEST_NAME = 100
_COPY_AGAIN = "copy the data set again, whole, or leave out what is damaged"
_STATE, _REWARD, _TIME = "observation.state", "next.reward", "timestamp"


@dataclass(frozen=True)
class _Episode:
    """Where an episode is."""

    number: int
    """`episode_index` of its rows."""

    num_frames: int
    """Rows that its table holds of it."""

    table: Path
    """The file that holds them."""

    video: Path | None
    """The file that holds its frames; None where they are images in the table."""

    video_start_s: float
    """When it begins there."""


class LeRobotFolder:
    """A folder of LeRobot v3; see `ForeignData`. A row's frame is the one that its camera shows at the row's time."""

    kind = "lerobot"

    def __init__(self, path: Path, camera: str) -> None:
        info = _read_info(path)
        features = info["features"]
        self._path, self._fps = path, float(info["fps"])
        self.control_dt_s = 1 / self._fps
        pictures = [name for name, feature in features.items() if feature.get("dtype") in ("video", "image")]
        self.cameras = tuple(name for name in pictures if not _is_depth(features[name]))
        if camera in pictures and camera not in self.cameras:
            raise UserError(f"{path}: {camera} is a depth map, no camera; choose one of {', '.join(self.cameras)}")
        self.camera = choose_camera(self.cameras, camera, path)
        is_video = features[self.camera]["dtype"] == "video"
        self._columns = ["action", *(name for name in (_STATE, _REWARD, _TIME) if name in features)]
        self._image = [] if is_video else [self.camera]
        self._episodes = _read_episodes(path, self.camera if is_video else "")
        self.num_episodes = len(self._episodes)
        promised = info.get("total_episodes")
        self.num_promised = promised if isinstance(promised, int) else self.num_episodes
        self.state_names = numbered(["state"], [_num_values(features.get(_STATE, {}), path)])
        self._num_actions = _num_values(features["action"], path)
        self._table: tuple[Path, Any] | None = None
        self._video = VideoReader()

    def columns(self, episode: int) -> ForeignColumns:
        found = self._episodes[episode]
        table, rows = self._rows(found)
        read = {name: _numbers(table, name, rows, found.table) for name in self._columns}
        if len(rows) and read["action"].shape[1] != self._num_actions:
            raise StoreError(
                f"{found.table}: action has {read['action'].shape[1]} numbers a row, meta/info.json says "
                f"{self._num_actions}; {_COPY_AGAIN}"
            )
        states = [read[_STATE]] if self.state_names else []
        rewards = read.get(_REWARD, np.zeros(len(rows)))[:-1]
        return ForeignColumns(
            as_actions(read["action"][:-1].astype(np.float32), found.table),
            stacked(states, len(rows)),
            rewards.reshape(-1).astype(np.float32),
            self._gap(table, rows, found),
        )

    def frames(self, episode: int, size: int = 0) -> np.ndarray:
        found = self._episodes[episode]
        table, rows = self._rows(found)
        if found.video is None:
            images = (_bytes(table[self.camera][int(row)], found.table) for row in rows)
            return fitted((decode(image, found.table)[None] for image in images), size, found.table)
        seconds = np.arange(len(rows)) / self._fps
        if _TIME in self._columns:
            seconds = _numbers(table, _TIME, rows, found.table).reshape(-1)
        frames = self._video.frames(check_inside(found.video, self._path), found.video_start_s + seconds)
        return fitted((frame[None] for frame in frames), size, found.video)

    def close(self) -> None:
        self._video.close()

    def _gap(self, table: Any, rows: np.ndarray, found: _Episode) -> str:
        """Where rows are missing or double, or not as far apart as the rate says; empty where they are regular."""
        if len(rows) != found.num_frames:  # the recording was aborted, or copied in part
            return f"its table has {len(rows)} rows, its index promises {found.num_frames}"
        numbers = _numbers(table, "frame_index", rows, found.table).reshape(-1)
        if (odd := np.flatnonzero(np.diff(numbers) != 1)).size:
            return f"its frame_index goes from {numbers[odd[0]]:g} to {numbers[odd[0] + 1]:g}"
        if _TIME not in self._columns or len(rows) == 0:
            return ""
        seconds = _numbers(table, _TIME, rows, found.table).reshape(-1)
        expected = np.arange(len(rows))
        off = np.abs((seconds - seconds[0]) * self._fps - expected) > _MOST_FRAMES_OFF + _MOST_RATE_OFF * expected
        if not off.any():
            return ""
        row = int(np.argmax(off))
        return (
            f"its row {row} is {seconds[row] - seconds[0]:.4g} s after its first, at {self._fps:g} frames a second "
            f"{row / self._fps:.4g} s are expected"
        )

    def _rows(self, found: _Episode) -> tuple[Any, np.ndarray]:
        """The table of an episode, and its rows there, in the order of its frames."""
        if self._table is None or self._table[0] != found.table:
            wanted = [*self._columns, *self._image, "episode_index", "frame_index"]
            self._table = found.table, _read_parquet(check_inside(found.table, self._path), wanted)
        table = self._table[1]
        rows = np.flatnonzero(_column(table, "episode_index", found.table) == found.number)
        return table, rows[np.argsort(_column(table, "frame_index", found.table)[rows])]


def _read_info(path: Path) -> dict[str, Any]:
    file = path / "meta" / "info.json"
    try:
        info = read_json(check_inside(file, path))
        if not str(info.get("codebase_version", "")).startswith("v3"):
            raise ValueError(
                f"LeRobot v3 is read, this is {info.get('codebase_version')!r}: LeRobot's own script "
                "convert_dataset_v21_to_v30 makes v3 of v2.1"
            )
        features = info["features"]
        if not isinstance(features, dict) or not all(isinstance(feature, dict) for feature in features.values()):
            raise ValueError("features must be an object of objects")
        if not 0 < float(info["fps"]) < 10_000 or "action" not in features:
            raise ValueError("fps and features.action are needed")
        for name in features:  # they become folder names
            if "/" in name or name.startswith(".") or not name.isprintable() or len(name) > _LONGEST_NAME:
                raise ValueError(f"feature name {name!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} cannot be used ({error}); give a whole folder of LeRobot v3") from error
    return info


def _num_values(feature: dict[str, Any], path: Path) -> int:
    """Numbers in a row of a feature."""
    shape = feature.get("shape", [0])
    if not isinstance(shape, list) or len(shape) > 8 or not all(type(size) is int and size >= 0 for size in shape):
        raise StoreError(f"{path}: a feature's shape is a list of at most 8 whole numbers, got {str(shape)[:100]}")
    return math.prod(shape)


def _is_depth(feature: dict[str, Any]) -> bool:
    """Whether a feature says of itself that its pictures are distances: under one of the names of its versions."""
    said = [feature, *(feature[key] for key in ("info", "video_info") if isinstance(feature.get(key), dict))]
    return any(place.get(key) is True for place in said for key in ("is_depth_map", "video.is_depth_map"))


def _read_episodes(path: Path, video_key: str) -> list[_Episode]:
    keys = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    place = f"videos/{video_key}"
    if video_key:
        keys += [f"{place}/chunk_index", f"{place}/file_index", f"{place}/from_timestamp"]
    folder, found = path / "meta" / "episodes", []
    chunks = sorted(check_inside(folder, path).glob("chunk-*"))
    for file in (file for chunk in chunks for file in sorted(check_inside(chunk, path).glob("file-*.parquet"))):
        table = _read_parquet(check_inside(file, path), keys)
        try:
            found += [_episode(row, path, video_key) for row in table.to_pylist()]
        except Exception as error:  # pyarrow raises whatever the file provokes
            raise StoreError(f"{file} does not say where every episode is ({error}); {_COPY_AGAIN}") from error
    if not found:
        raise StoreError(f"{folder} lists no episodes; record some, or copy the data set again")
    return sorted(found, key=lambda episode: episode.number)


def _episode(row: dict[str, Any], path: Path, video_key: str) -> _Episode:
    """What a row of the index says."""
    chunk, number = int(row["data/chunk_index"]), int(row["data/file_index"])
    place, video, start_s = f"videos/{video_key}", None, 0.0
    if video_key:
        names = {"chunk": int(row[f"{place}/chunk_index"]), "file": int(row[f"{place}/file_index"])}
        video, start_s = path / _VIDEO.format(key=video_key, **names), float(row[f"{place}/from_timestamp"])
    table = path / _DATA.format(chunk=chunk, file=number)
    return _Episode(int(row["episode_index"]), int(row["length"]), table, video, start_s)


def _read_parquet(path: Path, columns: list[str]) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            "LeRobot data sets need pyarrow; install it with: pip install 'worldmodel[interchange]'"
        ) from error
    try:
        most = 50 * check_regular(path) + _ALWAYS_READ_BYTES
        parts, num_bytes = [], 0
        with parquet.ParquetFile(path, memory_map=True) as file:
            there = file.schema_arrow.names
            if absent := [name for name in columns if there.count(name) != 1]:
                raise ValueError(f"it has no column {', '.join(absent)}, or several of that name")
            for part in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                parts.append(part)
                num_bytes += part.nbytes
                if num_bytes > most:  # a dictionary's entry can be repeated any number of times
                    raise ValueError("it unpacks to far more than it has")
            return pyarrow.Table.from_batches(parts, schema=None if parts else file.schema_arrow)
    except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:
        raise StoreError(f"{path} cannot be read ({' '.join(str(error).split())[:120]}); {_COPY_AGAIN}") from error


def _numbers(table: Any, name: str, rows: np.ndarray, path: Path) -> np.ndarray:
    """A column at some rows, float64 (n, x)."""
    if len(rows) == 0:
        return np.zeros((0, 1))
    try:
        return np.array(table[name].take(rows).to_pylist(), np.float64).reshape(len(rows), -1)
    except Exception as error:  # pyarrow raises whatever the file provokes
        raise StoreError(f"{path}: {name} does not hold as many numbers in every row ({error})") from error


def _column(table: Any, name: str, path: Path) -> np.ndarray:
    """A column of a number in every row, float64 (n,)."""
    try:
        return np.asarray(table[name].to_numpy(), np.float64)
    except Exception as error:  # pyarrow raises whatever the file provokes
        raise StoreError(f"{path}: {name} does not hold a number in every row ({error})") from error


def _bytes(image: Any, path: Path) -> bytes:
    """The file that a row's image is."""
    try:
        content = image.as_py().get("bytes")
    except Exception as error:  # pyarrow raises whatever the file provokes
        raise StoreError(f"{path} holds no images where its description names them ({error})") from error
    if not content or not isinstance(content, bytes):
        raise StoreError(f"{path} names images in other files; only such inside it are read")
    return content
