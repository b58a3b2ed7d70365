"""CPU time to R2 = .95 x ceiling on reacher pixels: ours, against the published training recipe on the same machine."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks.reproduce.definitions import Cell, Condition, Table, or_nan
from benchmarks.reproduce.pixels import PixelRun, Pixels, Reader, fit_readout, identify, train_encoder
from benchmarks.reproduce.reacher_ou import angle_ceiling, atlas_pairs, open_atlas
from benchmarks.settings import ReproduceConfig
from worldmodel.data import OUPairs, load_frames
from worldmodel.learning import alignment, sigreg
from worldmodel.models import Encoder
from worldmodel.settings import EncoderConfig

SCALE_RAD, RHO = 1.0, 0.95
SHARE = 0.95
STEPS_LADDER = (1, 50, 100, 200, 400, 800)
# the reference: 100 epochs of 100,000 pairs in batches of 256, 64 x 64 frames, a CNN of 1.1 M weights, 256 slices
REFERENCE_STEPS = 100 * (100_000 // 256)
REFERENCE_BATCH, REFERENCE_SLICES, REFERENCE_SIZE = 256, 256, 64


def _conditions(request: ReproduceConfig) -> list[Condition]:
    timed = {"timed_steps": request.pick(6, 200)}
    return [Condition("ours", {"recipe": "ours"}), Condition("published-recipe", {"recipe": "reference", **timed})]


def _measure(cell: Cell) -> dict[str, float]:
    return _ours(cell) if cell.settings["recipe"] == "ours" else _reference(cell)


def _ours(cell: Cell) -> dict[str, float]:
    """The shortest schedule of the ladder whose validation R2 reaches the mark; its training time, and its test R2."""
    pixels = open_atlas(SCALE_RAD, cell.request)
    start = time.process_time()
    kept = {split: atlas_pairs(pixels, SCALE_RAD, RHO, cell.seed, split) for split in ("train", "validation")}
    pairs_s = time.process_time() - start
    mark = SHARE * angle_ceiling(pixels, SCALE_RAD)
    ladder_s = 0.0
    for steps in STEPS_LADDER:
        start = time.process_time()
        read = _learn(steps, pixels, kept, cell)
        seconds = time.process_time() - start
        ladder_s += seconds
        if or_nan(identify(read, pixels, "validation").r2_h_to_z) >= mark or steps == STEPS_LADDER[-1]:
            r2 = or_nan(identify(read, pixels, "test").r2_h_to_z)
            return {
                "cpu_s_to_mark": pairs_s + seconds,
                "cpu_s_with_search": pairs_s + ladder_s,
                "steps": float(steps),
                "r2_h_to_z": r2,
                "share_of_ceiling": SHARE * r2 / mark,
            }
    raise AssertionError(STEPS_LADDER)


def _learn(steps: int, pixels: Pixels, pairs: Mapping[str, OUPairs], cell: Cell) -> Reader:
    """An encoder after so many steps, read through the canonical readout."""
    run = Cell(cell.settings, cell.seed, Path(f"{cell.folder}-{steps}"), cell.request)
    encoder = train_encoder(PixelRun(steps=steps), pixels, pairs["train"], RHO, run)
    readout = fit_readout(encoder, pixels, pairs.__getitem__, 2, cell.seed) if cell.request.polish else None
    return Reader(encoder, readout)


def _reference(cell: Cell) -> dict[str, float]:
    """Seconds a step of the published recipe, measured; seconds of its whole schedule, extrapolated from them."""
    pixels = open_atlas(SCALE_RAD, cell.request)
    torch.manual_seed(cell.seed)
    encoder = Encoder(EncoderConfig(kind="cnn", input_size=REFERENCE_SIZE, latent_dim=2))
    # 2,000 poses are enough to time steps with
    frames = load_frames(pixels.data, REFERENCE_SIZE, torch.device("cpu"))
    rows = torch.from_numpy(pixels.rows("train", 2000))
    encoder.fit_normalization(frames.gather(rows))
    optimizer = torch.optim.AdamW(encoder.parameters(), 3e-3, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(cell.seed)
    seconds = []
    encoder.train()
    for _ in range(cell.settings["timed_steps"] + 1):
        start = time.process_time()
        batch = rows[torch.randint(len(rows), (2, REFERENCE_BATCH), generator=generator)]
        views = torch.stack([encoder(frames.gather(view)) for view in batch])
        weight = 0.01
        loss = (1 - weight) * alignment(views) + weight * sigreg(views.flatten(0, 1), REFERENCE_SLICES, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.process_time() - start)
    per_step = statistics.median(seconds[1:])
    return {"cpu_s_a_step": per_step, "steps": float(REFERENCE_STEPS), "cpu_s_to_mark": per_step * REFERENCE_STEPS}


TABLE = Table(
    name="time_to_r2",
    title=f"CPU seconds of training to R2(h->z) = {SHARE} x ceiling, reacher pixels, s = {SCALE_RAD:g}, rho = {RHO:g}",
    measures={
        "cpu_s_to_mark": "CPU s to the mark",
        "steps": "steps",
        "cpu_s_with_search": "CPU s, search included",
        "share_of_ceiling": "share of ceiling, test",
        "cpu_s_a_step": "CPU s a step",
    },
    conditions=_conditions,
    measure=_measure,
    num_drawn=1,
    note="published recipe: seconds a step measured, times its 39,000 steps: EXTRAPOLATED, and an upper bound: it may "
    "pass the mark before its schedule ends. Its SIGReg here is our faster one. Ours is read through the canonical "
    "readout; its first rung is one step: a random network and the readout. Rendering is in neither",
)
