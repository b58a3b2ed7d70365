"""Control and reading of the state under looks: known answers, and the real verb on a run of the package."""

import shutil
from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.cli.terminal import robust_lines
from worldmodel.envs.looks import KINDS, Appearance, make
from worldmodel.evaluation.control import control
from worldmodel.evaluation.control.tasks import draw_tasks, goal_frames, make_protocol, photographs_of_tasks
from worldmodel.evaluation.robustness import robust
from worldmodel.evaluation.robustness.films import read_films
from worldmodel.evaluation.robustness.grid import check_can_look, shifts_of
from worldmodel.evaluation.trust import trusted_world
from worldmodel.figures import style
from worldmodel.figures.look_figures import looks_success
from worldmodel.measures.statistics import share_kept
from worldmodel.reporting.verdicts import robust_verdict
from worldmodel.runs import RobustResult, Run, read_record
from worldmodel.runs.robust_result import ENCODER_LABELS
from worldmodel.runs.zoo import find_run
from worldmodel.settings import RECORDED, ControlConfig, EnvConfig, RobustConfig, recipe
from worldmodel.settings.robust import usual_looks
from worldmodel.system.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("runs") / "reacher"
    shutil.copytree(find_run("zoo/reacher"), path)
    return str(path)


@pytest.fixture(scope="module")
def found(run: str) -> RobustResult:
    looks = {"patch": [4, 40], "blur": [1.0]}
    config = RobustConfig(run=run, looks=looks, levels=["easy"], tasks=3, instances=2, frames=20, budget_steps=4)
    return robust(config)


def test_the_world_as_it_is_gives_what_control_gives(run: str):
    config = {"tasks": 3, "budget_steps": 12}
    driven = control(ControlConfig(run=run, oracle=False, videos=0, **config))  # type: ignore[arg-type]
    out = str(Path(run).parent / "robust.json")
    found = robust(RobustConfig(run=run, looks={"camera_roll": [180.0]}, instances=1, frames=40, out=out, **config))  # type: ignore[arg-type]
    clean, turned = found.encoders["encoder"]
    assert clean.success == driven.latent.success and clean.success.rate > 0 and clean.kept == 1
    assert clean.r2 and clean.r2 > 0.9 and turned.r2 is not None and turned.r2 < 0.5
    assert read_record(Path(out), RobustResult).result == found == Run(run).robust


def test_each_look_of_the_grid_is_there_once(found: RobustResult, run: str):
    names = [of.label for of in found.encoders["encoder"]]
    axes = ("backgrounds", "cameras", "colours", "all")
    suite = [f"suite {axis}, easy, {motion}" for motion in ("static", "dynamic") for axis in axes]
    assert names == ["clean", "patch 4", "patch 40", "blur 1", *suite]
    assert {path.name for path in (Path(run) / "figures").glob("*.png")} >= {"looks.png", "robust.png"}
    said = robust_lines(found)
    assert all(name in said for name in names) and robust_verdict(found)
    heads, first = said.splitlines()[1:3]
    assert heads.split("  ")[1] == "encoder alone" and heads.index("share of clean") == first.index("1.00")
    assert all(of.num_tasks + of.num_hidden == 3 for of in found.encoders["encoder"])


def test_constants_are_read_under_looks_too(tmp_path: Path):
    run = tmp_path / "puck"
    shutil.copytree(find_run("zoo/puck"), run)
    config = RobustConfig(
        run=str(run), looks={"texture": [1.0]}, tasks=2, instances=2, frames=20, windows=16, budget_steps=1
    )
    found = robust(config)
    clean, hidden = (of.constants for of in found.encoders["encoder"])
    assert found.windows == 16 and clean.keys() == hidden.keys() == {"mass", "friction"}
    assert clean["mass"] is not None and hidden["mass"] is not None and hidden["mass"] < 0.5 < clean["mass"]
    assert {"of mass", "of friction"} <= set(robust_lines(found).splitlines()[1].strip().split("  "))


def test_the_legend_of_the_figure_covers_no_label(monkeypatch):
    figures = []
    monkeypatch.setattr(style, "save_png", lambda figure, path: figures.append(figure))
    looks_success(Path(), {name: {"clean": (0.5, 0.4, 0.6)} for name in ENCODER_LABELS.values()})
    (axes,) = figures[0].axes
    figures[0].canvas.draw()
    legend = axes.get_legend().get_window_extent()
    assert not legend.overlaps(axes.xaxis.label.get_window_extent()) and not legend.overlaps(axes.bbox.padded(-1))


def test_the_page_has_a_section_about_looks(found: RobustResult, run: str):
    from worldmodel.reporting import report
    from worldmodel.settings import ReportConfig

    page = report(ReportConfig(run=run)).read_text(encoding="utf-8")
    assert "Where the world looks different" in page and "suite cameras, easy, dynamic" in page
    assert "Distracting Control Suite, encoder" in page and "colours, static" in page


def test_the_verdict_says_what_fails_and_what_to_try(found: RobustResult):
    clean, *others = found.encoders["encoder"]
    clean = replace(clean, success=None)  # of a run that fails anyway there is more to say

    def verdict(*kept: float | None) -> str:
        looks = [replace(of, kept=share, suite=None) for of, share in zip(others, kept, strict=False)]
        return robust_verdict(replace(found, encoders={"encoder": [clean, *looks]}))

    assert verdict(1.0, 0.95) == "holds: nine tenths of the clean success or more under all of 2 looks"
    assert verdict(1.0, 0.5).startswith("holds under 1 of 2 looks; loses more than a tenth under patch 40; give")
    weak = replace(others[0], kept=0.5)
    both = replace(found, encoders={"both": [clean, weak], "encoder": [clean, weak]})
    assert "robust=true" not in robust_verdict(both), "it has a robust encoder already"
    assert verdict(None, None).startswith("nothing to keep") and verdict().startswith("only the world as it is")


def test_of_a_run_that_fails_anyway_the_verdict_says_so_first(found: RobustResult):
    clean, look = (replace(of, suite=None, kept=1.0) for of in found.encoders["encoder"][:2])
    assert clean.success
    for rate, warned in ((0.25, True), (0.6, False)):
        seldom = replace(clean, success=replace(clean.success, rate=rate))
        said = robust_verdict(replace(found, encoders={"encoder": [seldom, look]}))
        assert said.startswith("WARNING: the run reaches 25% of the goals") == warned
        assert said.endswith(f"nine tenths of the clean success or more under {look.label}")


def test_the_verdict_says_what_is_kept_at_each_level(found: RobustResult):
    clean, *others = found.encoders["encoder"]
    clean = replace(clean, success=None)  # of a run that fails anyway there is more to say
    looks = [clean, *(replace(of, kept=0.5) for of in others if of.suite)]
    lines = robust_verdict(replace(found, encoders={"both": looks, "encoder": looks})).split("\n")
    axes = "all 0.50 easy; backgrounds 0.50 easy; cameras 0.50 easy; colours 0.50 easy"
    said = [f"Distracting Control Suite, {of}, share of clean success kept: {axes}" for of in ("static", "dynamic")]
    assert lines == said


def test_a_look_that_hides_what_moves_is_counted_apart(run: str):
    looks = {"suite_background": [1.0], "patch": [48.0]}
    config = RobustConfig(run=run, looks=looks, tasks=6, instances=6, frames=6, budget_steps=1)
    _, film, patch = robust(config).encoders["encoder"]
    assert film.num_hidden == 0 and patch.num_hidden > 0


def test_worlds_that_cannot_look_different_are_refused():
    world = envs.make("reacher", image_size=16)
    check_can_look(world)
    scene = world.scene
    scene.__class__ = type("Drawn", (type(scene),), {"picture": lambda self, size: np.zeros((size, size, 3), np.uint8)})
    with pytest.raises(UserError, match="draws its own frames"):
        check_can_look(world)
    with pytest.raises(ValueError, match="draws its own frames; leave looks out"):
        envs.MujocoWorld(scene, randomize=["looks"])
    world.close()


def test_a_world_without_a_goal_tolerance_is_judged_as_by_control(run: str, monkeypatch):
    from worldmodel.evaluation.robustness import under_looks

    def without_tolerance(*arguments):
        world = trusted_world(*arguments)
        world.scene.goal_tolerance = {}
        return world

    monkeypatch.setattr(under_looks, "trusted_world", without_tolerance)
    config = RobustConfig(run=run, looks={}, tasks=2, instances=1, frames=20, budget_steps=2)
    assert robust(config).protocol.goal_tolerance.keys() == {"shoulder", "wrist"}
    given = replace(config, goal_tolerance={"wrist": 9.0})
    found = robust(given)
    assert found.protocol.goal_tolerance == {"wrist": 9.0}
    clean = found.encoders["encoder"][0].success
    assert clean is not None and clean.rate == 1
    with pytest.raises(UserError, match="goal_tolerance names wrst"):
        robust(replace(config, goal_tolerance={"wrst": 1.0}))


def test_goals_are_as_far_ahead_as_those_of_control(run: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Run, "config", replace(Run(run).config, goal_s=0.3))
    driven = control(ControlConfig(run=run, tasks=2, oracle=False, videos=0))
    found = robust(RobustConfig(run=run, looks={}, tasks=2, instances=1, frames=20))
    assert found.protocol == driven.protocol and (driven.protocol.goal_steps, driven.protocol.budget_steps) == (15, 30)


def test_goals_of_other_libraries_worlds_are_photographed_under_the_look():
    config, trained = ControlConfig(tasks=2, goal_steps=5), recipe("gym:Reacher-v5")
    trained = replace(trained, collection=replace(trained.collection, episode_steps=12))
    with envs.make("gym:Reacher-v5", image_size=32) as world:
        tasks = draw_tasks(world, trained, make_protocol(config, world.name), config, trained.plan)
        assert np.array_equal(photographs_of_tasks(world, tasks, tasks.goal), goal_frames(world, tasks))
        world.appearance = Appearance([make("camera_tilt", 5.0)], 1)
        assert not np.array_equal(photographs_of_tasks(world, tasks, tasks.goal), goal_frames(world, tasks))


def test_recordings_cannot_be_shown_under_other_looks():
    with pytest.raises(UserError, match=r"env.randomize=\[looks\].*recordings are as they are"):
        EnvConfig(world=RECORDED, name="dial", randomize=["looks"])


def test_the_share_kept_is_a_ratio_of_paired_rates():
    before, after = np.array([True] * 8 + [False] * 2), np.array([True] * 4 + [False] * 6)
    share, interval = share_kept(after, before)
    assert share == 0.5 and interval is not None and interval[0] < 0.5 < interval[1]
    assert share_kept(before, before) == (1.0, [1.0, 1.0])
    assert share_kept(after, np.zeros(10, bool)) == (None, None)


def test_wrong_grids_are_refused_before_anything_runs(tmp_path: Path):
    for config, message in (
        (RobustConfig(looks={"fog": [1.0]}), "unknown look 'fog'"),
        (RobustConfig(looks={"texture": [2.0]}), "from 0 to 1; got 2"),
        (RobustConfig(looks={"pictures": [0.5]}), "needs pictures"),
        (RobustConfig(pictures=str(tmp_path)), "holds neither pictures"),
    ):
        with pytest.raises(UserError, match=message):
            shifts_of(config, 64, "reacher")
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(UserError, match="no PNG, JPEG or WebP"):
        read_films(tmp_path, 64, 4)
    with pytest.raises(UserError, match="motions is empty"):
        RobustConfig(levels=["easy"], motions=[])
    with pytest.raises(UserError, match="instances must be"):
        RobustConfig(tasks=3, instances=4)


def test_a_folder_of_pictures_and_films_is_read_at_the_size_of_frames(tmp_path: Path):
    for name, side in (("b.png", 40), ("a.jpg", 20), ("c/2.png", 12), ("c/1.png", 10), ("c/notes.txt", 0)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if side:
            imageio.imwrite(tmp_path / name, np.full((side, 2 * side, 3), side, np.uint8))
        else:
            (tmp_path / name).write_text("a film's notes")
    shown = np.repeat(np.array([50, 200], np.uint8), 3)[:, None, None, None].repeat(32, 1).repeat(32, 2).repeat(3, 3)
    imageio.imwrite(tmp_path / "d.mp4", shown, fps=10)
    films = read_films(tmp_path, 16, 60)
    assert [film.shape for film in films] == [(num, 16, 16, 3) for num in (1, 1, 2, 6)]
    assert [film.mean((1, 2, 3)).tolist() for film in films[:3]] == [[20], [40], [10, 12]]
    assert np.allclose(films[3].mean((1, 2, 3)), shown.mean((1, 2, 3)), atol=8)
    assert len(read_films(tmp_path, 16, 2)) == 2
    config = RobustConfig(looks={"pictures": [0.5]}, levels=["hard"], motions=["static"], pictures=str(tmp_path))
    assert len(shifts_of(config, 16, "reacher")) == 1 + 1 + 4


def test_the_page_of_looks_lists_every_kind_with_its_unit():
    text = (ROOT / "docs/LOOKS.md").read_text(encoding="utf-8")
    assert usual_looks().keys() <= KINDS.keys()
    for kind, look in KINDS.items():
        assert f"| `{kind}` | {look.unit} | {look.highest:g} |" in text, kind
