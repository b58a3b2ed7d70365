"""Opens a data set of another toolkit, which is recognised by its files."""

from pathlib import Path

from worldmodel.data.index import INDEX_NAME
from worldmodel.data.interchange.foreign import ForeignData
from worldmodel.data.interchange.lerobot import LeRobotFolder
from worldmodel.data.interchange.minari import MinariFile, minari_file
from worldmodel.data.interchange.stable_worldmodel import StableWorldModelFile
from worldmodel.system.errors import StoreError


def open_foreign(path: Path, camera: str = "") -> ForeignData:
    """The data set at `path`, whichever toolkit wrote it.

    camera: which of several image columns; empty takes the one called "pixels", or the first.

    Raises StoreError for a layout that is not known, UserError for a camera that is not there.
    """
    path = path.resolve()  # what a user names may be a link; what a stranger's folder holds may not
    if (path / "meta" / "info.json").exists():
        return LeRobotFolder(path, camera)
    if (main := minari_file(path)) is not None:
        return MinariFile(main, camera)
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        return StableWorldModelFile(path, camera)
    raise StoreError(
        f"{path} is no data set that can be read: a LeRobot v3 folder (meta/info.json), a Minari folder "
        f"(data/main_data.hdf5), or an HDF5 file of stable-worldmodel; one of ours holds {INDEX_NAME}. Arrays of your "
        "own become one in Python, by worldmodel.data.arrays.write_arrays"
    )
