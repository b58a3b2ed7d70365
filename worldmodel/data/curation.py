"""`worldmodel data`: what a data set holds, whether it is whole, several as one, and from or to other toolkits."""

from collections.abc import Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

from worldmodel.data.arrays import write_arrays
from worldmodel.data.index import INDEX_NAME, Index, RecordingRecord, differences, plain, read_index, write_index
from worldmodel.data.interchange import open_foreign, write_stable_worldmodel
from worldmodel.data.shards import shard_path, verify_shard, write_shard
from worldmodel.data.store import DataSet
from worldmodel.envs.rollout import Episode
from worldmodel.settings import DataConfig
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import write_new
from worldmodel.system.progress import progress


def manage(config: DataConfig) -> str:
    """Do what `config.what` says; returns what there is to say about it."""
    if not config.path:
        raise UserError(f"which data set? worldmodel data {config.what} path=data/NAME")
    return {"info": _info, "verify": _verify, "merge": _merge, "convert": _convert}[config.what](config)


def _info(config: DataConfig) -> str:
    data = DataSet(Path(config.path))
    num_bytes = sum(path.stat().st_size for path in data.shards)
    varying = data.index.world.randomize
    rows = {
        "data set": f"{data.index.name} in {data.directory}",
        "episodes": f"{data.num_episodes:,} of {data.length.min()} to {data.length.max()} frames",
        "frames": f"{data.num_rows:,} of {' x '.join(map(str, data.frames(slice(0, 1)).shape[1:]))}",
        "shards": f"{len(data.shards)}, {num_bytes / 1e9:.3g} GB",
        "state": ", ".join(data.state_names) or "none",
        "actions": str(data.actions.shape[1]),
        "factors": ", ".join(name + (" (drawn)" if name in varying else "") for name in data.factor_names) or "none",
        "settings": ", ".join(f"{key}={value}" for key, value in plain(data.index.settings).items() if key != "world"),
    }
    width = max(map(len, rows))
    return "\n".join(f"  {key:<{width}}  {value}" for key, value in rows.items())


def _verify(config: DataConfig) -> str:
    """Every byte of every shard against the checksums written with it; all that is damaged is named."""
    directory = Path(config.path)
    index = read_index(directory)
    num_shards = index.num_shards
    if num_shards > len(list(directory.glob("shard-*.h5"))) + 1_000:
        raise StoreError(f"{directory / INDEX_NAME} promises {num_shards} shards, most of them are missing")
    damaged = []
    for shard in progress(range(num_shards), desc="verify", unit="shard"):
        try:
            verify_shard(shard_path(directory, shard))
        except StoreError as error:
            damaged.append(str(error).split(";")[0])
    if damaged:
        raise StoreError(
            f"{len(damaged)} of {num_shards} shards: {'; '.join(damaged)}. Delete them and run the same collect command"
        )
    data = DataSet(directory)  # shapes, and the index against them
    return f"{directory} is whole: {num_shards} shards, {data.num_episodes} episodes, {data.num_rows} frames"


def _merge(config: DataConfig) -> str:
    """The episodes of several data sets of one world, one data set after another."""
    sources = [DataSet(Path(path)) for path in (config.path, *config.others)]
    out = _free(config.out)
    first = sources[0]
    for other in sources[1:]:
        if differing := [key for key, _, _ in differences(first.index.world, other.index.world)]:
            raise StoreError(
                f"{other.directory} and {first.directory} are of different worlds (world.{', world.'.join(differing)})"
            )
    per_shard = first.index.episodes_per_shard
    num_episodes = sum(source.num_episodes for source in sources)
    episodes = (episode for source in sources for episode in source.episodes())
    for shard in progress(range(-(-num_episodes // per_shard)), desc="merge", unit="shard"):
        write_shard(shard_path(out, shard), _all(islice(episodes, per_shard)))
    index = Index(out.name, num_episodes, per_shard, _common(sources), first.index.world)
    write_index(out, index, write_new)
    return _done(out, num_episodes)


def _all(episodes: Iterator[Episode]) -> Iterator[Episode]:
    yield from episodes


def _common(sources: list[DataSet]) -> RecordingRecord:
    """Settings that all sources share; the others have their defaults, and drift_rho is None."""
    first, *others = (source.index.settings for source in sources)
    shared: dict[str, Any] = {"drift_rho": None}
    for name in (item.name for item in fields(RecordingRecord)):
        if all(getattr(other, name) == getattr(first, name) for other in others):
            shared[name] = getattr(first, name)
    return RecordingRecord(**{**shared, "merged": tuple(str(source.directory) for source in sources)})


def _convert(config: DataConfig) -> str:
    """From another toolkit's layout to ours, or from ours to stable-worldmodel's."""
    source, out = Path(config.path), _free(config.out)
    if (source / INDEX_NAME).exists():
        if out.suffix not in (".h5", ".hdf5"):
            raise UserError(f"a data set of ours is converted to stable-worldmodel's one file: out=NAME.h5, got {out}")
        write_stable_worldmodel(DataSet(source), out)
        return f"file: {out}, in stable-worldmodel's layout"
    foreign = open_foreign(source, config.camera, config.image_size)
    num = write_arrays(
        out,
        out.name,
        progress(foreign.episodes(), desc="convert", unit="episode"),
        state_names=foreign.state_names,
        action_bounds=foreign.action_bounds(),
        control_dt_s=foreign.control_dt_s,
        source=f"{foreign.kind}: {source.name}",
    )
    return _done(out, num)


def _done(out: Path, num_episodes: int) -> str:
    command = f"worldmodel train env=recorded env.name={out.name} data={out.parent}"
    return f"data set: {out} ({num_episodes} episodes)\nnext: {command}"


def _free(out: str) -> Path:
    if not out:
        raise UserError("where to? add out=data/NAME")
    if Path(out).exists() and (Path(out).is_file() or any(Path(out).iterdir())):
        raise UserError(f"{out} exists; choose another place, or delete it")
    return Path(out)
