"""`python -m benchmarks.reproduce table=NAME`: published tables measured again, and those that go beyond the paper."""

from pathlib import Path

from benchmarks.reproduce.core import Request, header_text, run_table, wanted
from benchmarks.reproduce.figure import draw
from benchmarks.reproduce.tables import TABLES
from benchmarks.settings import ReproduceConfig
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.settings import EncoderConfig
from worldmodel.system.devices import pick_device
from worldmodel.system.errors import UserError


def reproduce(config: ReproduceConfig) -> Path:
    """Measure a table, print it as it grows, and return the folder with `results.json` and `figure.png`."""
    if config.table not in TABLES:
        listed = "; ".join(f"{name} ({table.title})" for name, table in TABLES.items())
        raise UserError(f"unknown table {config.table!r}; choose table=NAME from: {listed}")
    table = TABLES[config.table]
    request = Request(
        scale=config.scale,
        seeds=tuple(config.seeds),
        rhos=tuple(config.rhos),
        world=config.world,
        data=Path(config.data),
        workers=config.workers,
        device=config.device,
        polish=config.polish,
        rows=tuple(config.rows),
        together=config.together and pick_device(config.device).type == "cuda",
    )
    wanted(table, request)
    out = Path(config.out or f"runs/reproduce/{table.name}-{config.scale}")
    set_cpu_threads(EncoderConfig())
    print(header_text(table, request), flush=True)
    rows, content = run_table(table, request, out)
    draw(table, rows, content, out / "figure.png")
    return out
