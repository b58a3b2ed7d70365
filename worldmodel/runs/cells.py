"""Cells of a study: one condition with one seed, measured once and kept, so that an interrupted study continues."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from worldmodel.settings import changed
from worldmodel.system.digest import with_checksum, without_checksum
from worldmodel.system.errors import UserError
from worldmodel.system.files import inner_folder, read_json, write_json

FiguresT = TypeVar("FiguresT")


@dataclass(frozen=True)
class CellKey:
    """Identity of a cell: everything that its figures depend on."""

    label: str
    """Name of the cell, with which its file's name begins."""
    identity: Mapping[str, Any]
    """Everything that the figures depend on, in plain values."""

    @property
    def name(self) -> str:
        """The label and a digest of the identity."""
        text = json.dumps(self.identity, sort_keys=True)
        return f"{self.label}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def cell_key(label: str, **parts: Any) -> CellKey:
    """The key of a cell that depends on these parts: settings, or plain values.

    Of settings only those options count that weights depend on and that differ from their defaults, so that an option
    added later, and a change of a folder or of the number of processes, leave finished cells valid.
    """
    identity = {name: changed(part) if dataclasses.is_dataclass(part) else part for name, part in parts.items()}
    return CellKey(label, identity)


class CellStore(Generic[FiguresT]):
    """Finished cells of one kind in a folder, a JSON file each."""

    def __init__(self, folder: Path, figures: type[FiguresT]) -> None:
        """figures: type of a cell's figures: a dataclass, or a dictionary of numbers."""
        self._folder, self._figures = folder, figures

    def path(self, key: CellKey) -> Path:
        """Where a cell is kept."""
        return self._folder / f"{key.name}.json"

    def result(self, key: CellKey, measure: Callable[[], FiguresT]) -> FiguresT:
        """The figures of a cell: from its file, or else measured and kept, so that a kill loses one cell at most.

        Raises:
            UserError: the file is damaged, or not a cell of this kind; or the folder is a link.
        """
        inner_folder(self._folder)  # before minutes are spent
        return self.read(key) if self.path(key).exists() else self.keep(key, measure())

    def read(self, key: CellKey) -> FiguresT:
        """The figures of a finished cell."""
        path = self.path(key)
        try:
            content, _ = without_checksum(read_json(path))
            return msgspec.convert(content["figures"], self._figures, str_keys=True)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is not a finished cell of this study ({error}); delete it and run again"
            ) from error

    def keep(self, key: CellKey, figures: FiguresT) -> FiguresT:
        """Write the figures of a cell, and return them."""
        content = {"identity": dict(key.identity), "figures": msgspec.to_builtins(figures)}
        write_json(self.path(key), with_checksum(content))
        return figures
