"""The settings that a run keeps: `config.yaml` in its folder, written by this version or by the one before."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from worldmodel.settings.base import flatten
from worldmodel.settings.convert import plain, structure
from worldmodel.settings.recipes import over_defaults, recipe_values
from worldmodel.settings.training import TrainConfig
from worldmodel.settings.yaml_files import read_yaml
from worldmodel.system.digest import CHECKSUM, with_checksum, without_checksum
from worldmodel.system.errors import CheckpointError, UserError
from worldmodel.system.files import write_text
from worldmodel.system.printable import printable

FILE_NAME = "config.yaml"
SCHEMA = 2


def write_run_config(directory: Path, config: TrainConfig) -> None:
    """Keep the settings of a run; of a world's Python file its full path, to be found from anywhere."""
    values = plain(config)
    for collection in filter(None, (values["collection"], values["atlas"])):
        file, is_file, factory = collection["env"]["world"].rpartition(".py:")
        if is_file:
            collection["env"]["world"] = f"{Path(f'{file}.py').resolve()}:{factory}"
    content = with_checksum({"schema": SCHEMA, **values})
    content = {CHECKSUM: content[CHECKSUM], **content}  # first, or settings that are cut off would be whole ones
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_text(directory / FILE_NAME, text)


def read_run_config(directory: Path) -> TrainConfig:
    """The settings with which a run was trained; executes nothing that the file holds.

    Raises:
        CheckpointError: the file is missing, foreign, or of a version that cannot be read.
    """
    path = directory / FILE_NAME
    if not os.path.lexists(path):
        raise CheckpointError(f"{directory} is not a run (no config.yaml); train one with: worldmodel train env=NAME")
    try:
        values, _ = _checked(path)
        schema = values.pop("schema", 1)
        if schema not in (1, SCHEMA):
            raise ValueError(f"schema {schema!r}; this version reads 1 and {SCHEMA}")
        if schema == 1:
            values = upgraded(values)
        return structure(over_defaults(TrainConfig, without_gone(values)), TrainConfig)
    except CheckpointError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, OSError) as error:  # version 1 has another shape
        raise CheckpointError(f"{path} holds settings of another version ({error}); train again") from error


def has_checksum(directory: Path) -> bool:
    """Whether the settings of a run carry a checksum: those that older versions wrote do not."""
    return _checked(directory / FILE_NAME)[1]


def _checked(path: Path) -> tuple[dict[str, Any], bool]:
    """The values in a file, and whether they carry a checksum."""
    values = read_yaml(path)
    if not values:
        raise CheckpointError(f"{path} is empty; restore it, or train again")
    try:
        return without_checksum(values)
    except ValueError as error:
        raise CheckpointError(
            f"{path} is damaged: {error}; train again, or, if it was changed on purpose, delete its line {CHECKSUM}"
        ) from error


GONE: dict[str, object] = {
    "nodes": 1,
    "plan.shrinking": False,
    "method.optim.optimizer": "adamw",
    "context_training.sigreg_weight": 0.005,
    "context_training.prediction_weight": 0.0,
    "context_training.num_slices": 16,
    "context_training.optim.optimizer": "adamw",
    "decoder_training.batch_size": 64,
    "decoder_training.lr": 4e-3,
    "decoder_training.weight_decay": 1e-4,
    "decoder_training.optimizer": "adamw",
    "distillation.optim.batch_size": 64,
    "distillation.optim.lr": 2e-3,
    "distillation.optim.weight_decay": 1e-4,
    "distillation.optim.optimizer": "adamw",
}
"""Option that went -> the constant that it has become."""


def without_gone(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """A copy of nested settings without the options in `GONE`; a warning names those that were not at their constant.

    The run can be used as it is; trained again, it is trained with the constants. path: where the settings belong.
    """
    kept: dict[str, Any] = {}
    for key, value in values.items():
        full = path + key
        if full in GONE:
            if value != GONE[full]:
                told = f"{full}={value} is left out: it is {GONE[full]} in every run now"
                warnings.warn(printable(told), stacklevel=2)
        else:
            kept[key] = without_gone(value, f"{full}.") if isinstance(value, Mapping) else value
    return kept


def differing(runs: Sequence[TrainConfig]) -> dict[str, list[str]]:
    """Dotted path of every option in which runs differ -> what each of them has; a dash where it has none."""
    settings = [dict(flatten(config)) for config in runs]
    names = sorted({name for of in settings for name in of} - {"name"})
    values = {name: [str(of.get(name, "–")) for of in settings] for name in names}
    return {name: of for name, of in values.items() if len(set(of)) > 1}


def upgraded(old: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of version 0.1, one flat group of collection and training, as this version nests them.

    Raises:
        UserError: an option that this version no longer has was not at its default.
    """
    values = dict(old)
    env = {**values.pop("env", {})}
    encoder_env, encoder_episodes = env.pop("encoder_env", ""), values.pop("encoder_episodes", 0)
    _must_be(env, "env", quality="fast", factor_shell={})
    env["name"] = env.get("name") or None
    collection = {key: values.pop(key) for key in _COLLECTION if key in values}
    collection |= {"env": env, "workers": collection.get("workers") or None}
    engine, worlds = values.pop("engine", "classic"), values.pop("worlds", 128)
    collection["warp_worlds"] = worlds if engine == "warp" else None
    result: dict[str, Any] = {"collection": collection}
    if encoder_env:
        shared = {key: collection[key] for key in ("data", "workers", "warp_worlds") if key in collection}
        atlas = recipe_values(encoder_env)["collection"]
        result["atlas"] = atlas | shared | ({"episodes": encoder_episodes} if encoder_episodes else {})
    for key in ("heads", "heads_training", "checkpoint_every_s"):  # constants now; model.json describes the heads
        values.pop(key, None)
    result["encoder"] = upgraded_encoder(values.pop("encoder", {}))
    result["predictor"] = upgraded_predictor(values.pop("predictor", {}))
    result["method"] = _upgraded_method(values.pop("method", {}))
    result["context"] = _with_none(values.pop("context", {}), "dim")
    training = {**values.pop("context_training", {})}
    result["context_training"] = training | {"optim": _upgraded_optim(training.get("optim", {}))}
    result["predictor_training"] = _upgraded_optim(values.pop("predictor_training", {}))
    return result | _with_none(_with_none(values, "threads"), "name")


_COLLECTION = (
    "policy",
    "episodes",
    "episode_steps",
    "drift_rho",
    "restart_midway",
    "data",
    "workers",
    "data_seed",
)


def upgraded_encoder(old: Mapping[str, Any]) -> dict[str, Any]:
    """An encoder's settings of version 0.1."""
    values = _with_none(old, "latent_dim")
    vit = {new: values.pop(f"vit_{new}") for new in ("name", "patch", "pool") if f"vit_{new}" in values}
    return values | ({"vit": _with_none(vit, "patch")} if values.get("kind") == "vit" else {})


def upgraded_predictor(old: Mapping[str, Any]) -> dict[str, Any]:
    """A predictor's settings of version 0.1."""
    values = dict(old)
    _must_be(values, "predictor", conditioned=True)
    names = ("block", "window", "heads", "head_dim", "residual")
    own = {key: values.pop(key) for key in names if key in values}
    return values | ({"transformer": own} if values.get("kind") == "transformer" else {})


def _upgraded_method(old: Mapping[str, Any]) -> dict[str, Any]:
    values = _with_none(_with_none(old, "rho"), "lag_end")
    lewm = {key: values.pop(key) for key in ("block", "num_history") if key in values}
    own = {key: values.pop(key, {}) for key in ("jepa", "infonce", "vicreg", "whitening", "reconstruction")}
    name = values.get("name", "lejepa")
    options = {"lewm": lewm, "autoencoder": own["reconstruction"], "vae": own["reconstruction"]} | own
    return values | {"options": options.get(name, {}), "optim": _upgraded_optim(values.get("optim", {}))}


def _upgraded_optim(old: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(old)
    _must_be(values, "optim", grad_clip=1.0)
    return values


def _with_none(old: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Where 0 or nothing meant "choose for me", None."""
    return {**old, key: old.get(key) or None}


def _must_be(values: dict[str, Any], group: str, **constants: Any) -> None:
    """Drop options that have become constants; UserError where one held something else."""
    for key, constant in constants.items():
        if values.pop(key, constant) != constant:
            raise UserError(f"{group}.{key} is no longer an option and was not {constant!r}")
