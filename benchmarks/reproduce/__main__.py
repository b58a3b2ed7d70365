"""See `benchmarks.reproduce`."""

import sys

from benchmarks import command
from benchmarks.reproduce import reproduce
from benchmarks.settings import ReproduceConfig


def _work(request: ReproduceConfig) -> str:
    folder = reproduce(request)
    return f"results: {folder}/results.json, figure: {folder}/figure.png"


if __name__ == "__main__":
    sys.exit(command.run(ReproduceConfig, _work))
