"""See `benchmarks.reproduce`."""

import sys
from pathlib import Path

from benchmarks import command
from benchmarks.reproduce import reproduce
from benchmarks.settings import ReproduceConfig


def _told(out: Path) -> str:
    return f"results: {out}/results.json, figure: {out}/figure.png"


if __name__ == "__main__":
    sys.exit(command.run(ReproduceConfig, lambda config: _told(reproduce(config))))
