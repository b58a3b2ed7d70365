"""See `benchmarks.speed`."""

import sys

from benchmarks import command
from benchmarks.settings import BenchConfig
from benchmarks.speed import bench, bench_lines

if __name__ == "__main__":
    sys.exit(command.run(BenchConfig, lambda config: bench_lines(config.what, bench(config))))
