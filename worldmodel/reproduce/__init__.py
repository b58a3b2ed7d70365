"""`worldmodel reproduce table=NAME`: published tables measured again, and those that go beyond the paper."""

from pathlib import Path

from worldmodel.errors import UserError
from worldmodel.models.encoders import EncoderConfig
from worldmodel.reproduce.core import Request, header_text, run_table, wanted
from worldmodel.reproduce.figure import draw
from worldmodel.reproduce.tables import TABLES
from worldmodel.settings import ReproduceConfig
from worldmodel.train import pick_device, set_cpu_threads


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
