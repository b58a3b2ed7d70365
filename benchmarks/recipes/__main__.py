"""`python -m benchmarks.recipes what=criteria out=docs/results/recipes-criteria.json`."""

import sys
from pathlib import Path
from typing import Any

from benchmarks import command
from benchmarks.provenance import with_provenance
from benchmarks.recipes import comparison, criteria
from benchmarks.recipes.options import RecipesBench
from worldmodel.system import write_json


def main() -> int:
    def work(config: RecipesBench) -> str:
        def keep(found: dict[str, Any]) -> None:
            if config.out:
                of_all = {"seeds": list(config.seeds), "tasks": config.tasks, "episodes": config.episodes}
                write_json(Path(config.out), with_provenance({**found, **of_all}))
            print(f"{len(found['cells'])} of {len(config.all_worlds) * len(config.seeds)} worlds and seeds", flush=True)

        of = criteria if config.what == "criteria" else comparison
        return of.lines(of.measure(config, keep))

    return command.run(RecipesBench, work)


if __name__ == "__main__":
    sys.exit(main())
