"""Other toolkits' data sets: stable-worldmodel's HDF5 in and out, LeRobot v3 and Minari in.

Readers yield episodes for `arrays.write_arrays`. They take files that anybody may have written: no path and no format
string out of them is followed, and what one episode may hold is bounded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch.nn import functional

from worldmodel.data.index import INDEX_NAME
from worldmodel.data.store import DataSet
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import read_json, write_atomically

Arrays = dict[str, np.ndarray]
MAX_EPISODE_BYTES = 8 * 10**9
# no lossless filter of HDF5 packs tighter; a column that promises more is a bomb
MAX_COMPRESSION = 2000
LEROBOT_DATA = "data/chunk-{chunk:03d}/file-{file:03d}.parquet"
LEROBOT_VIDEO = "videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4"


@dataclass(frozen=True)
class Foreign:
    """A data set of another toolkit: what `write_arrays` asks for. `episodes` starts anew at every call."""

    kind: str
    episodes: Callable[[], Iterator[Arrays]]
    state_names: list[str]
    control_dt_s: float = 0.1

    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest action of all episodes, (A,), (A,); [-1, 1] where they lie inside it."""
        lows, highs = [], []
        for episode in self.actions():
            lows.append(episode.min(0, initial=np.inf))
            highs.append(episode.max(0, initial=-np.inf))
        low, high = np.min(lows, 0), np.max(highs, 0)
        if (low >= -1).all() and (high <= 1).all():
            return -np.ones_like(low), np.ones_like(high)
        return low, high

    actions: Callable[[], Iterator[np.ndarray]] = lambda: iter(())


def open_foreign(path: Path, camera: str = "", image_size: int = 0) -> Foreign:
    """The data set at `path`, whichever toolkit wrote it, its frames cut square and reduced to `image_size` (0: kept).

    camera: which of several image columns; empty takes the first. Raises StoreError for a layout that is not known.
    """
    if (path / "meta" / "info.json").is_file():
        source = _lerobot(path, camera)
    elif (main := next((file for file in _minari_files(path) if file.is_file()), None)) is not None:
        source = _minari(main, camera)
    elif path.is_file() and path.suffix in (".h5", ".hdf5"):
        source = _stable_worldmodel(path, camera)
    else:
        raise StoreError(
            f"{path} is no data set that can be read: a LeRobot v3 folder (meta/info.json), a Minari folder "
            f"(data/main_data.hdf5), or an HDF5 file of stable-worldmodel; one of ours holds {INDEX_NAME}"
        )

    def episodes() -> Iterator[Arrays]:
        for arrays in source.episodes():
            yield {**arrays, "frames": fit_frames(arrays["frames"], image_size)}

    return Foreign(source.kind, episodes, source.state_names, source.control_dt_s, source.actions)


def fit_frames(frames: np.ndarray, size: int) -> np.ndarray:
    """uint8 (n, H, W, 3) cut to the middle square, area-averaged to (n, size, size, 3); size 0 keeps the square's."""
    height, width = frames.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    frames = frames[:, top : top + side, left : left + side]
    if size in (0, side):
        return np.ascontiguousarray(frames)
    parts = [
        functional.adaptive_avg_pool2d(part.movedim(-1, -3).float(), size).round().to(torch.uint8).movedim(-3, -1)
        for part in torch.from_numpy(np.ascontiguousarray(frames)).split(256)
    ]
    return np.ascontiguousarray(torch.cat(parts).numpy())


# ---------------------------------------------------------------------------------------------------------------------
# HDF5: stable-worldmodel and Minari


def _dataset(group: Any, name: str, path: Path) -> h5py.Dataset:
    """A column of a foreign HDF5 file that lies in the file itself and is no bomb."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or not isinstance(group[name], h5py.Dataset):
        raise StoreError(f"{path}: {name} is missing, or not in the file itself")
    column = group[name]
    if column.external or column.is_virtual:
        raise StoreError(f"{path}: {name} is stored in other files, which are not read")
    if column.nbytes > MAX_COMPRESSION * max(1, column.id.get_storage_size()):
        raise StoreError(f"{path}: {name} promises {column.nbytes} bytes, far more than are stored")
    return column


def _rows(column: h5py.Dataset, start: int, stop: int, path: Path) -> np.ndarray:
    """A stretch of rows; StoreError where it lies outside, or is too large for one episode."""
    if not 0 <= start <= stop <= len(column):
        raise StoreError(f"{path}: an episode from row {start} to {stop} does not lie in {column.name}")
    if (stop - start) * (column.nbytes // max(1, len(column))) > MAX_EPISODE_BYTES:
        raise StoreError(f"{path}: an episode of {stop - start} rows is larger than {MAX_EPISODE_BYTES} bytes")
    return column[start:stop]


def _is_image(column: Any) -> bool:
    return isinstance(column, h5py.Dataset) and column.dtype == np.uint8 and column.ndim == 4 and column.shape[3] == 3


def _is_vector(column: Any) -> bool:
    return isinstance(column, h5py.Dataset) and column.dtype.kind == "f" and column.ndim == 2


def _choose_camera(names: list[str], camera: str, path: Path) -> str:
    if not names:
        raise StoreError(f"{path} holds no images (uint8, three channels); this toolkit learns from pixels")
    if camera and camera not in names:
        raise UserError(f"{path} has no camera {camera!r}; choose one of {', '.join(names)}")
    return camera or names[0]


def _stable_worldmodel(path: Path, camera: str) -> Foreign:
    """Flat columns with `ep_len` and `ep_offset`; the action of a row is taken after its frame."""
    with _opened(path) as file:
        camera = _choose_camera([name for name in sorted(file) if _is_image(file[name])], camera, path)
        lengths = _dataset(file, "ep_len", path)[:].astype(np.int64)
        offsets = _dataset(file, "ep_offset", path)[:].astype(np.int64)
        vectors = [name for name in ("state", "proprio", "observation") if name in file and _is_vector(file[name])]
        names = [f"{name}_{i}" for name in vectors for i in range(file[name].shape[1])]
    spans = list(zip(offsets.tolist(), (offsets + lengths).tolist(), strict=True))

    def actions() -> Iterator[np.ndarray]:
        with _opened(path) as file:
            column = _dataset(file, "action", path)
            for start, stop in spans:
                yield _rows(column, start, max(start, stop - 1), path)

    def episodes() -> Iterator[Arrays]:
        with _opened(path) as file:
            columns = {name: _dataset(file, name, path) for name in [camera, "action", *vectors]}
            reward = _dataset(file, "reward", path) if "reward" in file else None
            for start, stop in spans:
                arrays = {
                    "frames": _rows(columns[camera], start, stop, path),
                    "actions": _rows(columns["action"], start, stop - 1, path),
                    "states": np.concatenate([_rows(columns[v], start, stop, path) for v in vectors], 1)
                    if vectors
                    else np.zeros((stop - start, 0)),
                }
                if reward is not None:
                    arrays["rewards"] = _rows(reward, start, stop - 1, path).reshape(-1)
                yield arrays

    return Foreign("stable-worldmodel", episodes, names, actions=actions)


def _minari_files(path: Path) -> list[Path]:
    return [path / "data" / "main_data.hdf5", path / "main_data.hdf5"]


def _minari(path: Path, camera: str) -> Foreign:
    """One group an episode; `observations` is an array, or a group of arrays, of T+1 entries, `actions` of T."""
    with _opened(path) as file:
        groups = sorted(
            (str(name) for name in file if str(name).startswith("episode_")), key=lambda name: int(name[8:] or 0)
        )
        if not groups:
            raise StoreError(f"{path} holds no episodes")
        first = _minari_columns(file[groups[0]])
        camera = _choose_camera([name for name, column in first.items() if _is_image(column)], camera, path)
        vectors = [name for name, column in first.items() if _is_vector(column)]
        names = [f"{name.removeprefix('observations/')}_{i}" for name in vectors for i in range(first[name].shape[1])]

    def actions() -> Iterator[np.ndarray]:
        with _opened(path) as file:
            for group in groups:
                column = _dataset(file[group], "actions", path)
                yield _rows(column, 0, len(column), path)

    def episodes() -> Iterator[Arrays]:
        with _opened(path) as file:
            for group in groups:
                columns = {name: _dataset(file[group], name, path) for name in [camera, "actions", *vectors]}
                read = {name: _rows(column, 0, len(column), path) for name, column in columns.items()}
                arrays = {"frames": read[camera], "actions": read["actions"]}
                parts = [read[name] for name in vectors]
                arrays["states"] = np.concatenate(parts, 1) if parts else np.zeros((len(read[camera]), 0))
                if f"{group}/rewards" in file:
                    arrays["rewards"] = _dataset(file[group], "rewards", path)[:].reshape(-1)
                yield arrays

    return Foreign("minari", episodes, names, actions=actions)


def _minari_columns(episode: Any) -> dict[str, h5py.Dataset]:
    observations = episode.get("observations")
    if isinstance(observations, h5py.Dataset):
        return {"observations": observations}
    if isinstance(observations, h5py.Group):
        return {f"observations/{name}": observations[name] for name in sorted(observations)}  # type: ignore[return-value]
    return {}


class _opened:
    """An HDF5 file for reading; what HDF5 says of damaged bytes becomes one line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> h5py.File:
        try:
            self._file = h5py.File(self._path, "r")
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read ({' '.join(str(error).split())[:120]})") from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, OSError | KeyError | RuntimeError | ValueError | TypeError | MemoryError | AttributeError):
            if not isinstance(error, UserError):
                reason = " ".join(str(error).split())[:120]
                raise StoreError(f"{self._path} is damaged, or of another layout ({reason})") from error


# ---------------------------------------------------------------------------------------------------------------------
# LeRobot v3: parquet tables, and videos that several episodes share


def _lerobot(path: Path, camera: str) -> Foreign:
    info = _lerobot_info(path)
    features, fps = info["features"], float(info["fps"])
    cameras = [name for name, feature in features.items() if feature.get("dtype") in ("video", "image")]
    camera = _choose_camera(cameras, camera, path)
    is_video = features[camera]["dtype"] == "video"
    state = "observation.state" if "observation.state" in features else ""
    num_states = int(features[state]["shape"][0]) if state else 0
    table = _lerobot_episodes(path, camera if is_video else "")
    columns = ["action", *([state] if state else []), *([] if is_video else [camera])]

    def actions() -> Iterator[np.ndarray]:
        for row in table:
            yield _lerobot_rows(path, row, ["action"])["action"][:-1]

    def episodes() -> Iterator[Arrays]:
        videos = _Videos(path, camera, fps)
        for row in table:
            read = _lerobot_rows(path, row, columns)
            frames = videos.frames(row) if is_video else read[camera]
            arrays = {"frames": frames, "actions": read["action"][:-1]}
            arrays["states"] = read[state] if state else np.zeros((len(frames), 0))
            yield arrays

    return Foreign("lerobot", episodes, [f"state_{i}" for i in range(num_states)], 1 / fps, actions)


def _lerobot_info(path: Path) -> dict[str, Any]:
    try:
        info = read_json(path / "meta" / "info.json")
        if not str(info.get("codebase_version", "")).startswith("v3"):
            raise ValueError(f"LeRobot v3 is read, this is {info.get('codebase_version')!r}")
        features = info["features"]
        if not isinstance(features, dict) or not all(isinstance(feature, dict) for feature in features.values()):
            raise ValueError("features must be an object of objects")
        if not 0 < float(info["fps"]) < 10_000 or "action" not in features:
            raise ValueError("fps and features.action are needed")
        for name in features:  # they become folder names
            if "/" in name or name.startswith("."):
                raise ValueError(f"feature name {name!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path / 'meta' / 'info.json'} cannot be used ({error})") from error
    return info


def _lerobot_episodes(path: Path, camera: str) -> list[dict[str, Any]]:
    """Where each episode's rows and video frames are: chunk and file numbers, lengths, seconds."""
    keys = {"length": "length", "chunk": "data/chunk_index", "file": "data/file_index", "index": "episode_index"}
    if camera:
        keys |= {
            "video_chunk": f"videos/{camera}/chunk_index",
            "video_file": f"videos/{camera}/file_index",
            "from_s": f"videos/{camera}/from_timestamp",
        }
    rows: list[dict[str, Any]] = []
    for file in sorted((path / "meta" / "episodes").glob("chunk-*/file-*.parquet")):
        table = _parquet(file, list(keys.values()))
        rows += [{short: row[long] for short, long in keys.items()} for row in table.to_pylist()]
    if not rows or not all(isinstance(row["length"], int) and row["length"] >= 2 for row in rows):
        raise StoreError(f"{path / 'meta' / 'episodes'} lists no episodes, or such of fewer than two frames")
    return sorted(rows, key=lambda row: row["index"])


def _parquet(path: Path, columns: list[str]) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            "LeRobot data sets need pyarrow; install it with: pip install 'worldmodel[interchange]'"
        ) from error
    try:
        return parquet.read_table(path, columns=columns, memory_map=True)
    except (OSError, ValueError, KeyError, MemoryError, pyarrow.ArrowException) as error:
        raise StoreError(f"{path} cannot be read ({' '.join(str(error).split())[:120]})") from error


def _lerobot_rows(path: Path, row: dict[str, Any], columns: list[str]) -> Arrays:
    """Columns of one episode, in the order of its frames."""
    file = path / LEROBOT_DATA.format(chunk=int(row["chunk"]), file=int(row["file"]))
    table = _parquet(file, [*columns, "episode_index", "frame_index"])
    chosen = np.flatnonzero(table["episode_index"].to_numpy() == row["index"])
    if len(chosen) != row["length"]:
        raise StoreError(f"{file} has {len(chosen)} rows of episode {row['index']}, its index promises {row['length']}")
    chosen = chosen[np.argsort(table["frame_index"].to_numpy()[chosen])]
    found: Arrays = {}
    for name in columns:
        values = table[name].take(chosen).to_pylist()
        if isinstance(values[0], dict):  # an image: encoded bytes, or a path, which is not followed
            found[name] = np.stack([_decoded(value.get("bytes"), file) for value in values])
        else:
            found[name] = np.array(values, np.float32).reshape(len(values), -1)
    return found


def _decoded(encoded: bytes | None, file: Path) -> np.ndarray:
    import imageio.v3 as imageio

    if not encoded:
        raise StoreError(f"{file} names images in other files; only such inside it are read")
    return np.asarray(imageio.imread(encoded))[..., :3]


class _Videos:
    """Frames of episodes from videos, each of which is decoded once, from front to back."""

    def __init__(self, path: Path, camera: str, fps: float) -> None:
        self._path, self._camera, self._fps = path, camera, fps
        self._file: Path | None = None
        self._decoder: Any = None
        self._next = 0
        self._size = (0, 0)

    def frames(self, row: dict[str, Any]) -> np.ndarray:
        """uint8 (length, H, W, 3) of an episode."""
        names = {"chunk": int(row["video_chunk"]), "file": int(row["video_file"])}
        file = self._path / LEROBOT_VIDEO.format(key=self._camera, **names)
        first = round(float(row["from_s"]) * self._fps)
        if file != self._file or first < self._next:
            self._start(file)
        width, height = self._size
        if row["length"] * width * height * 3 > MAX_EPISODE_BYTES:
            raise StoreError(f"{file}: an episode of {row['length']} frames is larger than {MAX_EPISODE_BYTES} bytes")
        while self._next < first:
            self._frame(file)
        return np.stack([self._frame(file) for _ in range(row["length"])])

    def _start(self, file: Path) -> None:
        import imageio_ffmpeg

        if not file.is_file():
            raise StoreError(f"{file} is missing")
        if self._decoder:
            self._decoder.close()
        try:
            self._decoder = imageio_ffmpeg.read_frames(str(file))
            self._size = next(self._decoder)["size"]
        except (OSError, RuntimeError, KeyError, StopIteration) as error:
            raise StoreError(f"{file} is not a video that ffmpeg reads") from error
        self._file, self._next = file, 0

    def _frame(self, file: Path) -> np.ndarray:
        width, height = self._size
        try:
            raw = next(self._decoder)
        except (StopIteration, RuntimeError, OSError) as error:
            raise StoreError(f"{file} ends after {self._next} frames, more are promised") from error
        self._next += 1
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3)


# ---------------------------------------------------------------------------------------------------------------------
# out


def write_stable_worldmodel(data: DataSet, path: Path) -> None:
    """All shards as one file in stable-worldmodel's layout; each shard can be opened by its reader as it is, too."""

    def fill(temporary: Path) -> None:
        with h5py.File(temporary, "w", libver="latest") as file:
            shape = data.frames(slice(0, 1)).shape[1:]
            file.create_dataset("pixels", (data.num_rows, *shape), np.uint8, chunks=(1, *shape))
            start = 0
            for frames in data.chunks(4096):
                file["pixels"][start : start + len(frames)] = frames  # type: ignore[index]
                start += len(frames)
            columns = {"action": data.actions, "state": data.states, "reward": data.rewards, "factors": data.factors}
            for name, values in columns.items():
                if values.shape[-1]:
                    file[name] = values
            file["ep_len"], file["ep_offset"] = data.length.astype(np.int32), data.offset.astype(np.int64)

    write_atomically(path, fill)
