"""The world of a run: there may be none, it may have been edited, and a Python file is run only if it is trusted."""

from pathlib import Path

from worldmodel import envs
from worldmodel.data.index import WorldDigest, read_index
from worldmodel.data.provenance import edited_parts, provenance
from worldmodel.data.recording import recording_of
from worldmodel.envs import MujocoWorld, gym_ids
from worldmodel.runs import Run
from worldmodel.settings import RECORDED, EnvConfig, recipe
from worldmodel.settings.recipes import preset_names
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.printable import say


def distrusted(world: str) -> str:
    """Why a world of this name is not made without the user's consent, such as code in a file; empty if harmless."""
    if not gym_ids.is_gym(world):
        return "is code in a file" if ".py:" in world else ""
    module = gym_ids.package_of(world)
    if module is not None and module not in gym_ids.PACKAGES:
        return f"imports the module {module}"
    if not gym_ids.has_text_options(world) or world in {recipe(name).env.world for name in preset_names("env")}:
        return ""  # what a recipe of this package names is no stranger's
    return "has options that may name a file"


def check_trusted(env: EnvConfig, trust_world: bool) -> None:
    """UserError where making the world would run a file of whoever wrote the run, and the user has not agreed."""
    if not trust_world and (why := distrusted(env.world)):
        raise UserError(f"the run's world {why} ({env.world}); if you trust it, add trust_world=true")


def check_inside_project(data: str, config_data: str | None) -> None:
    """UserError where a run names a folder outside the current one, in which a verb would write.

    config_data: the folder that the user named, which may be anywhere.
    """
    if config_data is None and (Path(data).is_absolute() or ".." in Path(data).parts):
        raise UserError(
            f"the run's settings name {data}, where episodes would be recorded; add data={data} if you agree"
        )


def trusted_world(env: EnvConfig, trust_world: bool) -> MujocoWorld:
    """The world of a run.

    Raises:
        UserError: the run's world is a Python file that is not trusted, or the run has none.
    """
    if env.world == RECORDED:
        raise UserError(
            "this run was trained on recordings from elsewhere, so there is no world to drive it in; probe and report "
            "need none, and worldmodel.planners.MPC plans with Run(…).model() in a loop of your own"
        )
    check_trusted(env, trust_world)
    return envs.make(**env.make_arguments())


def warn_if_edited(run: Run, world: MujocoWorld) -> None:
    """Say so where the world of a run, just made and not yet reset, is no longer the one in which its episodes were
    recorded, or where that cannot be told of a world that is not the toolkit's own.

    The run itself says in which world it learned, so that this works wherever it lies. A run of an earlier version does
    not, and its data set is asked.
    """
    collection = run.config.collection
    name = collection.env.label
    recorded = run.train.data.world or _digest_in(collection.directory)
    now = provenance(recording_of(collection).arguments(), world).digest
    if recorded and (edited := edited_parts(recorded, now)):
        say(
            f"warning: {run.path} was trained in another world than {name} is now ({', '.join(edited)} changed); "
            "what it learned may not hold in it"
        )
    elif distrusted(collection.env.world) and (recorded is None or recorded.simulator != now.simulator):
        why = (
            f"MuJoCo {recorded.simulator} compiled it then, and {now.simulator} does now"
            if recorded
            else f"neither the run nor a data set at {collection.directory} holds a digest of it"
        )
        say(f"not checked: whether {name} was edited since {run.path} was trained; {why}")


def _digest_in(directory: Path) -> WorldDigest | None:
    """The digest of the world of a data set; None where there is none, or nothing that can be read."""
    try:
        return read_index(directory).digest
    except StoreError:
        return None
