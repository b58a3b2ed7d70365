"""Ways to far goals: the graph over recorded latents, where its paths are known, and `control subgoals=true`."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from worldmodel.cli.main import main
from worldmodel.data.store import EpisodeIndex
from worldmodel.evaluation.control.landmarks import landmark_graph
from worldmodel.runs import Run

ARM = 10  # steps along each arm of the U
NUM = 2 * ARM + 3  # places in it


def u_shape() -> torch.Tensor:
    """Places (NUM, 2) a step apart, from the tip of the left arm down, across, and up to the tip of the right one."""
    left = [(0.0, float(y)) for y in range(ARM, -1, -1)]
    return torch.tensor([*left, (1.0, 0.0), *((2 - x, y) for x, y in reversed(left))])


def episodes(*lengths: int) -> EpisodeIndex:
    return EpisodeIndex(np.cumsum([0, *lengths[:-1]]), np.array(lengths))


def at(places: torch.Tensor) -> torch.Tensor:
    """Robots that have rested at places (n, 2) for K = 3 observations."""
    return places[:, None].expand(-1, 3, -1)


def test_the_way_round_a_u_takes_its_steps_and_not_the_straight_line():
    places = u_shape()
    walked = torch.cat([places, places.flip(0)])  # there, and in another episode back
    graph = landmark_graph(walked, episodes(NUM, NUM), reach=4)
    which = torch.cdist(graph.moments[:, 0], places).argmin(1)
    assert sorted(which.tolist()) == list(range(NUM))
    assert torch.equal(graph.steps, (which[:, None] - which[None]).abs().float())
    # tips are two apart as the crow flies, and the way between them goes down the arm first
    starts, goals = places[[0, 5, 19, 22]], places[[22, 22, 22, 0]]
    assert torch.equal(graph.subgoals(at(starts), goals), places[[4, 9, 22, 18]])


def test_no_way_is_found_that_was_not_recorded():
    """One-way traffic: back from the end there is none, so the goal itself is the target; nor between episodes."""
    places = u_shape()
    graph = landmark_graph(places, episodes(NUM), reach=4)
    assert torch.equal(graph.subgoals(at(places[[22]]), places[[0]]), places[[0]])
    assert torch.equal(graph.subgoals(at(places[[0]]), places[[22]]), places[[4]])
    cut = landmark_graph(places, episodes(ARM, NUM - ARM), reach=4)
    assert torch.equal(cut.subgoals(at(places[[0]]), places[[22]]), places[[22]])


def test_plans_go_straight_from_where_nothing_was_recorded():
    """As under a look that the encoder does not know: the nearest landmark would be any, and its way a detour."""
    places = u_shape()
    graph = landmark_graph(torch.cat([places, places.flip(0)]), episodes(NUM, NUM), reach=4, num_landmarks=12)
    far = places + torch.tensor([100.0, 0.0])
    goals = places[-1:].expand(NUM, -1)
    assert torch.equal(graph.subgoals(at(far), goals), goals)
    assert torch.equal(graph.subgoals(at(places), far), far), "nor to such a goal"


def test_moments_of_one_place_differ_by_velocity():
    """On a line walked right only from the left half and left only from the right half, its middle is passed twice."""
    line = torch.arange(9.0)[:, None]
    walked = torch.cat([line, line.flip(0)])
    graph = landmark_graph(walked, episodes(9, 9), reach=1, lag=2)
    middle, before = graph.moments[:, 0, 0] == 4, graph.moments[:, 1, 0]
    assert sorted(before[middle].tolist()) == [2, 6]
    moving_right = torch.stack([line[2:3], line[3:4], line[4:5]], 1)
    moving_left = torch.stack([line[6:7], line[5:6], line[4:5]], 1)
    goal = line[8:9]
    assert graph.subgoals(moving_right, goal).item() == 5
    assert graph.subgoals(moving_left, goal).item() == 8, "no motion to the left was seen to turn: the goal itself"


def test_few_landmarks_keep_the_way():
    """Walks with noise, a landmark for every second place: every subgoal is nearer to the goal along the U."""
    places, generator = u_shape(), torch.Generator().manual_seed(0)
    noisy = [places + 0.1 * torch.randn(places.shape, generator=generator) for _ in range(20)]
    walked = torch.cat([way.flip(0) if k % 2 else way for k, way in enumerate(noisy)])
    graph = landmark_graph(walked, episodes(*[NUM] * 20), reach=6, num_landmarks=12)
    subgoals = graph.subgoals(at(places), places[-1:].expand(NUM, -1))
    ahead = torch.cdist(subgoals, places).argmin(1) - torch.arange(NUM)
    assert (ahead[:-1] > 0).all() and ahead[:-14].max() <= 7, "the last two stages are planned as one"


# ---------------------------------------------------------------------------------------------------------------------
# control


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """A folder with a tiny run of the maze."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("home"))
        assert main(["train", "env=maze", "decoder=false", *tiny.OPTIONS["train"]]) == 0
        yield Path.cwd()


def test_control_plans_in_stages_and_the_result_says_so(home: Path):
    options = ["run=runs/maze", "subgoals=true", "oracle=false", *tiny.OPTIONS["control"]]
    assert main(["control", *options]) == 0
    found = Run("runs/maze").control
    assert found and found.plan.subgoals


def test_without_the_recording_plans_go_straight_to_the_goal_which_is_said(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    (home / "data/maze").rename(home / "data/elsewhere")
    assert main(["control", "run=runs/maze", "subgoals=true", "oracle=false", *tiny.OPTIONS["control"]]) == 0
    (home / "data/elsewhere").rename(home / "data/maze")
    found = Run("runs/maze").control
    assert (
        "the recording that shows the ways (subgoals=true) is missing: no data set at data/maze"
        in capsys.readouterr().out
    )
    assert found and not found.plan.subgoals
