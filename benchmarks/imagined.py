"""Quality of decoded and imagined frames of default runs: `python -m benchmarks.imagined run="runs/reacher-s?"`.

For comparison, a decoder of an untrained encoder shows how much of a picture's quality is the decoder's own; its
training is timed, since every decoder of this world costs the same.
"""

import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import worldmodel as wm
from benchmarks import command
from benchmarks.provenance import with_provenance
from worldmodel.measures import over_seeds
from worldmodel.runs import DecodingResult, Run, StateErrors, find_runs
from worldmodel.settings import Settings
from worldmodel.system import write_json


@dataclass(frozen=True)
class ImaginedBench(Settings):
    """Pictures and imagination of runs that differ in their seed."""

    run: str = "runs/reacher-s?"
    """Runs of one world, each of a seed of its own, or one run."""
    untrained: bool = True
    """Also train a decoder of an untrained encoder, which is timed."""
    out: str | None = None
    """Also write the figures there, as JSON."""


def measure(config: ImaginedBench) -> dict[str, Any]:
    """Every figure: of each seed, of all seeds together, and of a decoder of an untrained encoder."""
    runs = find_runs(config.run)
    wm.imagine(wm.ImagineConfig(run=config.run, tasks=0))
    found = [Run(run.path).summary for run in runs]
    imagined = [of.imagine for of in found if of.imagine]
    decoded = [of.train.decoding for of in found if of.train.decoding]
    ratios = {name: over_seeds([of.errors[name].times_read for of in imagined]) for name in imagined[0].errors}
    result: dict[str, Any] = {
        "what": "imagined",
        "world": imagined[0].world,
        "num_seeds": len(runs),
        "steps_ahead": imagined[0].steps[-1],
        "pictures": [_pictures(of) for of in decoded],
        "share_kept": dataclasses.asdict(over_seeds([of.share_kept for of in decoded])),
        "errors": [{name: _errors(of) for name, of in one.errors.items()} for one in imagined],
        "times_read": {name: dataclasses.asdict(of) for name, of in ratios.items()},
        "disagreement": {
            name: {"mean_forecast": of.mean_forecast[-1], "spread": of.spread[-1], "foretells": of.foretells}
            for name, of in imagined[0].disagreement.items()
        },
    }
    if config.untrained:
        result["untrained_encoder"] = _untrained(runs[0])
    return with_provenance(result)


def _pictures(of: DecodingResult) -> dict[str, Any]:
    """Quality of decoded frames beside the nearest training frame, and the state that is read from both."""
    return {
        "psnr_db": of.decoded.psnr_db,
        "nearest_psnr_db": of.nearest.psnr_db,
        "ssim": of.decoded.ssim,
        "nearest_ssim": of.nearest.ssim,
        "state_r2": of.decoded.state_r2,
        "camera_r2": of.camera_r2,
        "share_kept": of.share_kept,
    }


def _errors(of: StateErrors) -> dict[str, Any]:
    """At the last step."""
    last = {name: getattr(of, name)[-1] for name in ("imagined", "imagined_interval", "persistence", "read")}
    interval = {"within": of.within[-1], "coverage": of.coverage[-1]} if of.within else {}
    return {"unit": of.unit, **last, "times_read": of.times_read, **interval}


def _untrained(run: Run) -> dict[str, Any]:
    """A decoder of an encoder after one step that moves nothing, and CPU seconds of the command that adds it."""
    still = dataclasses.replace(run.config.method.optim, steps=1, lr=1e-9)
    trained = dataclasses.replace(
        run.config, name=f"{run.path.name}-untrained", runs=str(run.path.parent), decoder=False
    )
    without = dataclasses.replace(
        trained,
        method=dataclasses.replace(trained.method, optim=still),
        predictor_training=dataclasses.replace(trained.predictor_training, steps=1),
    )
    wm.train(without)
    begun = time.process_time()
    found = wm.train(dataclasses.replace(without, decoder=True)).decoding
    seconds = time.process_time() - begun
    assert found
    return {**_pictures(found), "cpu_s_of_the_command_that_adds_the_decoder": seconds}


def main() -> int:
    def work(config: ImaginedBench) -> str:
        found = measure(config)
        if config.out:
            write_json(Path(config.out), found)
        lines = [
            f"{world['psnr_db']:.1f} dB, nearest {world['nearest_psnr_db']:.1f}; state kept {world['share_kept']:.3f}"
            for world in found["pictures"]
        ]
        return "\n".join(lines)

    return command.run(ImaginedBench, work)


if __name__ == "__main__":
    sys.exit(main())
