"""What commands say at their end: the figures of the results, one under the other."""

from dataclasses import replace

from report_fakes import BARE, CONTROL, PROBE, REWARDED, SURPRISE, TRAIN

from worldmodel.cli.terminal import control_lines, probe_lines, surprise_lines, train_lines
from worldmodel.reporting.verdicts import next_commands, surprise_verdict, train_verdict
from worldmodel.runs import (
    ContextCorrelations,
    ControllerResult,
    EventResult,
    PredictionErrors,
    ProbedVariable,
    ProbeResult,
    SequentialCount,
    Success,
)
from worldmodel.settings import recipe


def test_train_says_how_good_the_model_is_and_when_it_is_no_better_than_nothing():
    assert train_lines(TRAIN).splitlines() == [
        "  latents                                        16, by mlp 16x16 with method=lejepa",
        "  true state from latents, linear R2, held out   0.991",
        "  prediction error after 15 steps / persistence  0.060",
        "  frames decoded from latents, PSNR              31.5 dB, nearest training frame – dB",
    ]
    poor = replace(TRAIN, prediction=PredictionErrors(5, {1: 0.9, 5: 1.004}))
    (well, kept, warning) = train_verdict(poor)
    assert "hold the true state well" in well and "decoded frames show 97% of the state" in kept
    assert "5 steps ahead the predictor is no better" in warning
    assert "errs 0.06 times as much" in train_verdict(TRAIN)[-1]
    assert TRAIN.decoding
    blurred = replace(TRAIN.decoding, decoded=replace(TRAIN.decoding.decoded, state_r2={"x": -5.0}))
    assert "show nothing of the state" in train_verdict(replace(TRAIN, decoding=blurred))[1]
    assert len(train_lines(BARE.train).splitlines()) == 1


def test_control_says_what_each_run_reached_and_who_stood_beside_it():
    worse = ControllerResult(100, 1, Success(0.5, (0.352, 0.648), [0.5], None))
    both = ControllerResult(100, 2, Success(0.735, (0.67, 0.79), [0.97, 0.5], 14.0))
    of_runs = {"runs/a": CONTROL, "runs/b": replace(CONTROL, controllers={**CONTROL.controllers, "latent": worse})}
    together = replace(CONTROL, controllers={**CONTROL.controllers, "latent": both})
    assert control_lines(together, of_runs).splitlines() == [
        "protocol lewm, 100 tasks of 50 steps: goals reached, 25 steps ahead",
        "  latent MPC, runs/a            97.0% [92.0%, 99.0%]",
        "  latent MPC, runs/b            50.0% [35.2%, 64.8%]",
        "  all runs together             73.5% [67.0%, 79.0%]",
        "  random actions                10.0% [5.0%, 18.0%]",
        "  same planner, true simulator  100.0% [93.0%, 100.0%]",
        "  CPU time of one decision      1.12 ms",
    ]


def test_control_says_the_return_where_the_world_rewards():
    first, *rows = control_lines(REWARDED, {"runs/a": REWARDED}).splitlines()
    assert first == "protocol reward, 2 tasks of 1000 steps: return, planned by a picture of the state that earns it"
    assert [row.split("  ")[-1].strip() for row in rows] == ["812 [700, 901]", "950", "1.12 ms"]


def counted(num_constants: int | None, reason: str | None = None) -> ContextCorrelations:
    return ContextCorrelations([0.9], 0.9, SequentialCount(num_constants, [0.9], [None], [0.1], reason))


def test_probe_says_every_variable_and_how_many_constants_it_found():
    lines = probe_lines(replace(PROBE, correlations=counted(2)))
    for name, found in PROBE.variables.items():
        row = next(line for line in lines.splitlines() if line.split()[0] == name)
        assert f"{found.r2_linear:.3f}" in row and f"{found.r2_mlp:.3f}" in row
    assert lines.splitlines()[-1].split()[-1] == "2"
    assert "constants" not in probe_lines(PROBE)


def test_what_cannot_be_told_is_said():
    still, rare = (
        ProbedVariable("state", "", None, None, None, None),
        ProbedVariable("state", "", 0.5, None, 0.625, None),
    )
    found = ProbeResult({"block": still, "hand": rare}, correlations=counted(None, "5 episodes are too few"))
    assert probe_lines(found).splitlines()[1:] == [
        "  block                           –, MLP –",
        "  hand                            0.500, MLP 0.625",
        "  constants found without labels  cannot be determined: 5 episodes are too few",
    ]
    events = {"teleport": EventResult(None, None, None, None, None, None, None)}
    said = surprise_lines(replace(SURPRISE, events=events)).splitlines()
    assert said[1] == "  teleport  AUROC –, p = –"


def test_surprise_says_what_was_noticed():
    assert surprise_lines(SURPRISE).splitlines() == [
        "12 pairs of trajectories with and without an event",
        "  teleport  AUROC 1.000, p = 7.2e-35",
        "  mass      AUROC 0.497, p = 6.9e-01",
    ]
    assert surprise_verdict(SURPRISE) == "noticed: teleport; not noticed: mass"


def test_of_a_predictor_no_better_than_standing_still_control_is_not_the_first_thing_to_do():
    for ratio, first in ((0.2, "control"), (0.99, "imagine")):
        trained = replace(TRAIN, prediction=PredictionErrors(15, {15: ratio}))
        assert next_commands(trained, recipe("reacher"))[0].split()[1] == first
