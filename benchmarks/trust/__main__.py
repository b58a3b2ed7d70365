"""See `benchmarks.trust`."""

import sys

from benchmarks import command
from benchmarks.settings import TrustConfig
from benchmarks.trust import figure_lines, measure

if __name__ == "__main__":
    sys.exit(command.run(TrustConfig, lambda config: figure_lines(measure(config))))
