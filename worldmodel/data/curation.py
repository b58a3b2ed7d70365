"""Data sets described and verified, and the verb `data`, which also merges and converts them."""

import json
from dataclasses import dataclass
from pathlib import Path

from worldmodel.data.converting import ConvertResult, LeftOut, convert
from worldmodel.data.index import INDEX_NAME, RecordingRecord, plain, read_index
from worldmodel.data.merging import MergeResult, merge
from worldmodel.data.shards import shard_path, verify_shard
from worldmodel.data.store import DataSet
from worldmodel.settings import RECORDED, DataConfig
from worldmodel.system.digest import carries_checksum
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.printable import command
from worldmodel.system.progress import progress

__all__ = [
    "ConvertResult",
    "DataSetDescription",
    "LeftOut",
    "MergeResult",
    "VerifyResult",
    "convert",
    "describe",
    "manage",
    "merge",
    "verify",
]


@dataclass(frozen=True)
class DataSetDescription:
    """What a data set holds."""

    name: str
    """Its name."""

    directory: Path
    """Where it is."""

    episodes: int
    """Episodes that are whole."""

    shortest: int
    """Frames of its shortest episode."""

    longest: int
    """Frames of its longest episode."""

    frames: int
    """Frames of all episodes."""

    frame_shape: tuple[int, ...]
    """Shape of one frame, (S, S, 3)."""

    shards: int
    """Files that hold them."""

    num_bytes: int
    """Size of these files."""

    state_names: tuple[str, ...]
    """State variables."""

    num_actions: int
    """Numbers of an action."""

    factors: tuple[str, ...]
    """Physical constants and visual factors that are recorded."""

    drawn: tuple[str, ...]
    """Those of them that vary."""

    settings: RecordingRecord
    """How the episodes were made."""


def describe(path: Path) -> DataSetDescription:
    """What the data set at `path` holds; StoreError where it cannot be opened."""
    data = DataSet(path)
    world = data.index.world
    return DataSetDescription(
        name=data.index.name,
        directory=data.directory,
        episodes=data.num_episodes,
        shortest=int(data.length.min()),
        longest=int(data.length.max()),
        frames=data.num_rows,
        frame_shape=data.frames(slice(0, 1)).shape[1:],
        shards=len(data.shards),
        num_bytes=sum(shard.stat().st_size for shard in data.shards),
        state_names=world.state_names,
        num_actions=data.actions.shape[1],
        factors=world.factor_names,
        drawn=world.randomize,
        settings=data.index.settings,
    )


@dataclass(frozen=True)
class VerifyResult:
    """Whether a data set is what was written."""

    directory: Path
    """Where it is."""

    shards: int
    """Shards that its index promises."""

    episodes: int
    """Episodes that its index promises."""

    frames: int
    """Frames that were read."""

    damaged: tuple[str, ...]
    """One line for everything that is missing or not what was written; none where the data set is whole."""

    warnings: tuple[str, ...]
    """One line for everything that carries no checksum, so that it could have changed unseen."""

    @property
    def is_whole(self) -> bool:
        return not self.damaged


def verify(path: Path) -> VerifyResult:
    """Compare every byte of every shard, and the index, with the checksums that were written with them.

    Raises StoreError where the index is missing or damaged: without it, nothing else has a meaning.
    """
    index = read_index(path)
    if index.num_episodes == 0:
        raise StoreError(f"{path} holds no episode yet: give the command that began it again")
    if index.num_shards > len(list(path.glob("shard-*.h5"))) + 1_000:
        raise StoreError(f"{path / INDEX_NAME} promises {index.num_shards} shards, most of them are missing")
    frames, damaged, warnings = 0, [], []
    if not carries_checksum(path / INDEX_NAME):
        warnings.append(f"{path / INDEX_NAME} carries no checksum, as those of older versions")
    for shard in progress(range(index.num_shards), desc="verify", unit="shard"):
        try:
            found = verify_shard(shard_path(path, shard))
        except StoreError as error:
            damaged.append(str(error).split(";")[0])
            continue
        frames += found.frames
        if found.unchecked:
            warnings.append(f"{shard_path(path, shard)} carries no checksum of {', '.join(found.unchecked)}")
    if not damaged:
        try:
            data = DataSet(path)  # shapes, and the index against them
            _ = data.states, data.actions, data.rewards, data.factors  # which must be finite
        except StoreError as error:
            damaged.append(str(error))
    return VerifyResult(path, index.num_shards, index.num_episodes, frames, tuple(damaged), tuple(warnings))


# ---------------------------------------------------------------------------------------------------------------------
# for the command line


def manage(config: DataConfig) -> str:
    """Do what `config.what` names, and return the lines to print.

    Raises:
        UserError: an option is missing.
        StoreError: a data set cannot be opened, or `verify` found damage.
    """
    if not config.path:
        raise UserError(f"which data set? worldmodel data {config.what} path=data/NAME")
    path = Path(config.path)
    if config.what == "info":
        return _described(describe(path))
    if config.what == "verify":
        return _verified(verify(path))
    if not config.out:
        raise UserError("where to? add out=data/NAME")
    if config.what == "merge":
        merged = merge([path, *map(Path, config.others)], Path(config.out))
        return _done(merged.directory, merged.episodes)
    return _converted(convert(path, Path(config.out), config.camera or "", config.image_size))


def _described(found: DataSetDescription) -> str:
    settings = {key: value for key, value in plain(found.settings).items() if key != "world"}
    factors = (name + (" (drawn)" if name in found.drawn else "") for name in found.factors)
    rows = {
        "data set": f"{found.name} in {found.directory}",
        "episodes": f"{found.episodes:,} of {found.shortest} to {found.longest} frames",
        "frames": f"{found.frames:,} of {' x '.join(map(str, found.frame_shape))}",
        "shards": f"{found.shards}, {found.num_bytes / 1e9:.3g} GB",
        "state": ", ".join(found.state_names) or "none",
        "actions": str(found.num_actions),
        "factors": ", ".join(factors) or "none",
        "settings": ", ".join(
            f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()
        ),
    }
    width = max(map(len, rows))
    return "\n".join(f"  {key:<{width}}  {value}" for key, value in rows.items())


def _verified(found: VerifyResult) -> str:
    if not found.is_whole:
        raise StoreError(
            f"{len(found.damaged)} of {found.shards} shards: {'; '.join(found.damaged)}. "
            "Delete them and give the command that made the data set again"
        )
    warnings = "".join(f"warning: {warning}\n" for warning in found.warnings)
    whole = f"{found.directory} is whole: {found.shards} shards, {found.episodes} episodes, {found.frames} frames"
    return warnings + whole


def _converted(found: ConvertResult) -> str:
    if not found.camera:
        return f"file: {found.path}, in {found.layout}'s layout"
    lines = [f"frames: of camera {found.camera}"]
    if found.other_cameras:
        lines[0] += f" (camera=… chooses another: {', '.join(found.other_cameras)})"
    if found.left_out:
        named = ", ".join(f"{one.episode} ({one.reason})" for one in found.left_out[:5])
        more = f" and {len(found.left_out) - 5} more" if len(found.left_out) > 5 else ""
        total = found.episodes + len(found.left_out)
        lines.append(f"left out: {len(found.left_out)} of {total} episodes: {named}{more}")
    if found.missing:
        lines.append(f"missing: {found.missing} episodes that the source promises are not in it; was it copied whole?")
    return "\n".join([*lines, _done(found.path, found.episodes)])


def _done(out: Path, num_episodes: int) -> str:
    training = command("train", **{"env": RECORDED, "env.name": out.name, "data": out.parent})
    return f"data set: {out} ({num_episodes} episodes)\nnext: {training}"
