"""`python -m benchmarks.reproduce table=NAME`: published tables measured again, and those that go beyond the paper."""

from dataclasses import replace
from pathlib import Path

from benchmarks.reproduce.definitions import wanted
from benchmarks.reproduce.figure import draw
from benchmarks.reproduce.printing import header_lines
from benchmarks.reproduce.running import run_table
from benchmarks.reproduce.tables import TABLES
from benchmarks.settings import ReproduceConfig
from worldmodel.models import set_cpu_threads
from worldmodel.settings import EncoderConfig
from worldmodel.system import UserError, pick_device


def reproduce(request: ReproduceConfig) -> Path:
    """Measure a table, print it as it grows, and return the folder with `results.json` and `figure.png`.

    Raises:
        UserError: there is no such table, or no row fits the patterns.
    """
    if request.table not in TABLES:
        listed = "; ".join(f"{name} ({table.title})" for name, table in TABLES.items())
        raise UserError(f"unknown table {request.table!r}; choose table=NAME from: {listed}")
    table = TABLES[request.table]
    wanted(table, request)  # patterns that fit no row are refused before anything is printed
    on_gpu = pick_device(request.device).type == "cuda"
    request = replace(request, together=request.together and on_gpu)  # on a CPU side by side is no faster
    set_cpu_threads(EncoderConfig())
    print(header_lines(table, request), flush=True)
    found = run_table(table, request)
    draw(table, found.rows, request.folder / "figure.png")
    return request.folder
