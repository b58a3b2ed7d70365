"""`-m`: one run for every combination of comma-separated values, through Hydra's launchers."""

import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from worldmodel.cli.error_lines import one_line
from worldmodel.cli.overrides import parse
from worldmodel.system.errors import UserError
from worldmodel.system.files import append_line, read_text
from worldmodel.system.printable import say
from worldmodel.system.progress import end_open_bars

_MOST_BYTES = 2**24
"""Most bytes of the lines that failed jobs leave."""


def sweep(
    verb: str,
    arguments: Sequence[str],
    run: Callable[[list[str], str], None],
    check: Callable[[list[str]], object],
) -> None:
    """Call `run(arguments of a job, suffix of its run's name)` for every combination, after `check` has seen all.

    Hydra composes nothing here: it splits the arguments and gives each job its own. After an error the other jobs run
    on.

    Raises:
        UserError: jobs failed; the error of each was printed, and again, one line each, at the end.
    """
    own = [argument for argument in arguments if not argument.startswith("hydra")]
    overrides = parse(own)
    swept = {override.key_or_group for override in overrides if override.is_sweep_override()}
    for combination in itertools.product(*map(_each, overrides)):  # a bad value is named before the first job
        check(list(combination))
    if any(re.match(r"devices=(?!1$)", argument) for argument in own):
        raise UserError("a sweep trains with one process a job; give devices= to one run at a time")

    with TemporaryDirectory() as folder:  # launchers run jobs in processes of their own
        failed = Path(folder) / "failed.txt"

        @hydra.main(version_base="1.3", config_path=None, config_name=None)
        def job(config: DictConfig) -> None:
            chosen = [argument.lstrip("+") for argument in HydraConfig.get().overrides.task]
            own = [item for item in chosen if item.split("=", 1)[0] in swept]
            try:
                run(chosen, "-".join(map(short_name, own)))
            except Exception as error:
                end_open_bars()
                line = f"{' '.join(own)}: {one_line(error)}"
                say(f"error: {line}", to_stderr=True)
                append_line(failed, line)
                raise

        try:
            _launch(verb, arguments, job)
        except Exception as error:
            lines = read_text(failed, _MOST_BYTES).splitlines() if failed.exists() else []
            if not lines:  # Hydra's own
                raise
            raise _summary(lines) from error


def _summary(lines: Sequence[str]) -> UserError:
    """Print the lines of all failed jobs, and return the error that ends the sweep."""
    say("\njobs that failed:", to_stderr=True)
    for line in lines:
        say(f"  {line}", to_stderr=True)
    return UserError(f"{len(lines)} jobs of the sweep failed; mend what their lines name, and give the command again")


def _launch(verb: str, arguments: Sequence[str], job: Callable[[], object]) -> None:
    """Let Hydra run a job for every combination; raises what the first that failed has raised."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints a traceback and exits by itself
    plain = [argument if argument.startswith("hydra") else f"++{argument.lstrip('+')}" for argument in arguments]
    before, sys.argv = sys.argv, [f"worldmodel-{verb}", "--multirun", "hydra.job.chdir=false", *plain]
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(" ".join(str(error).split())) from error
    finally:
        sys.argv = before


def _each(override: Override) -> list[str]:
    """The arguments that one argument stands for."""
    if not override.is_sweep_override():
        return [override.input_line or ""]
    return [f"{override.key_or_group}={value}" for value in override.sweep_string_iterator()]


def short_name(argument: str) -> str:
    """`seed=0` to `s0`, `method.lag=5` to `lag5`: what a swept value adds to a run's name."""
    key, _, value = argument.partition("=")
    label = "s" if key == "seed" else key.rsplit(".", 1)[-1]
    return re.sub(r"[^\w.+]+", "_", f"{label}{value}").strip("_")
