"""`trainer.pt`, the checkpoint that training continues from. It may come from a stranger; nothing in it is executed.

torch's file is a zip archive of tensors and of a pickle that names them. It can unpack to more than its own size: by
compressed entries, tensors that repeat one number, containers that hold one another many times over. We write none of
these, and refuse them.
"""

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from worldmodel.system.digest import CHECKSUM, digest
from worldmodel.system.errors import CheckpointError
from worldmodel.system.files import open_regular, write_atomically

CHECKPOINT = "trainer.pt"
SCHEMA_VERSION = 2
_FIELDS = {
    "settings": dict, "stages_done": list, "stage": str, "step": int,
    "model": dict, "module": dict, "optimizer": dict, "generator": torch.Tensor,
    "kept": dict,  # which earlier versions did not write
}  # fmt: skip
MOST_ENTRIES = 1_000_000
"""Most values that a checkpoint may hold; one of ten thousand tensors holds a tenth of that."""

StageSettings = Mapping[str, Mapping[str, Any]]
"""Stage -> option -> value, for options that are not at their defaults."""


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers of tensors, with a checksum of them all."""
    whole = {"schema": SCHEMA_VERSION, **content}
    whole[CHECKSUM] = digest(whole)
    write_atomically(path, lambda temporary: _save(whole, temporary))


def _save(content: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:  # of a file that it opens itself, torch does not say that the disk is full
        torch.save(content, file)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, or None where there is none; one that cannot be read is refused, not overwritten.

    Raises:
        CheckpointError: the file is damaged, foreign, or of another version.
    """
    return checked_checkpoint(path)[0]


def checked_checkpoint(path: Path) -> tuple[dict[str, Any] | None, bool]:
    """As `read_checkpoint`, and whether the file carries a checksum."""
    try:
        with open_regular(path) as file:
            _check_archive(file, path.stat().st_size)
            file.seek(0)
            with warnings.catch_warnings(action="ignore"):  # torch warns of unusual pickles in several lines each
                saved = torch.load(file, weights_only=True, map_location="cpu")
        _check_content(saved, path.stat().st_size)
        schema, written = int(saved["schema"]), saved.pop(CHECKSUM, None)
        is_damaged = written is not None and bool(written != digest(saved))
    except FileNotFoundError:
        return None, False
    except Exception as error:  # torch.load raises whatever the file provokes
        reason = " ".join(str(error).split())[:120] if isinstance(error, ValueError) else type(error).__name__
        raise CheckpointError(f"{path} cannot be read ({reason}); delete {path.parent}") from error
    if schema != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} has schema {schema}, this version goes on from {SCHEMA_VERSION}; the run can still be "
            f"used as it is; to train it again choose another name=…, or delete {path.parent}"
        )
    for name, kind in _FIELDS.items():
        if not isinstance(saved.get(name, {} if name == "kept" else None), kind):
            raise CheckpointError(f"{path} does not say its {name}; delete {path.parent}")
    if is_damaged:
        raise CheckpointError(f"{path} is damaged: its checksum differs from the one written with it; delete it")
    return saved, written is not None


def _check_archive(file: Any, num_bytes: int) -> None:
    """ValueError unless the file is an archive that unpacks to no more bytes than it has."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its parts are compressed, as none that is written here")
    if sum(entry.file_size for entry in entries) > num_bytes:
        raise ValueError("it promises more bytes than it has")


def _check_content(content: Any, num_bytes: int) -> None:
    """ValueError where tensors or containers hold more than a file of `num_bytes` bytes can."""
    level, num = [content], 0
    while level:
        num += len(level)
        if num > MOST_ENTRIES:
            raise ValueError("its containers hold one another")
        for value in level:
            if isinstance(value, torch.Tensor):
                _check_tensor(value, num_bytes)
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list | tuple)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]


def _check_tensor(tensor: torch.Tensor, num_bytes: int) -> None:
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise ValueError("a tensor of a kind that is not written here")
    if tensor.numel() * tensor.element_size() > num_bytes:
        raise ValueError("a tensor promises more bytes than the file has")


@contextmanager
def of_this_model(run: Path) -> Iterator[None]:
    """CheckpointError where a checkpoint does not fit what is trained."""
    try:
        yield
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{run / CHECKPOINT} is of another model; choose another name=…, or delete {run}"
        ) from error


def stages_kept(saved: Mapping[str, Any], settings: StageSettings) -> tuple[list[str], str | None, str]:
    """Of a checkpoint: the finished stages that stay, the first stage with other settings or None, and what differs."""
    trained, done = saved["settings"], list(saved["stages_done"])
    changed = next((stage for stage, values in settings.items() if trained.get(stage, {}) != values), None)
    if changed is None:
        return done, None, ""
    order = list(settings)
    kept = [stage for stage in done if stage in order[: order.index(changed)]]
    return kept, changed, _differences(trained.get(changed, {}), settings[changed])


def check_settings(run: Path, settings: StageSettings) -> None:
    """Refuse, before anything is recorded, to train with these settings in a run that began with others.

    Raises:
        CheckpointError: no finished stage of the run could be kept, or its checkpoint cannot be read.
    """
    saved = read_checkpoint(run / CHECKPOINT)
    kept, changed, differences = stages_kept(saved, settings) if saved else ([], None, "")
    if changed is not None and not kept:
        raise other_settings(run, differences)


def other_settings(run: Path, differences: str) -> CheckpointError:
    """The refusal to train a run with settings that differ so."""
    return CheckpointError(
        f"{run} holds a run with other settings ({differences}); choose another name=…, or delete {run}"
    )


def _differences(saved: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """`encoder.hidden was 256, is 512`; an option that is not named is at its default."""
    missing = object()
    found = [
        f"{name} was {'its default' if before is missing else before}, is {'its default' if now is missing else now}"
        for name in sorted({*saved, *settings})
        if (before := saved.get(name, missing)) != (now := settings.get(name, missing))
    ]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more
