"""What the pages promise: commands and code run, links lead somewhere, figures are the measured ones."""

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import worldmodel
from benchmarks import pictures
from benchmarks.results import readme
from worldmodel.cli.settings_of import settings_of
from worldmodel.cli.verbs import VERBS
from worldmodel.identifying.recordings import open_recording

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
}
WRITTEN_BY_COMMANDS = ("docs/RESULTS.md", "docs/LOG.md")  # whose commands are those that were given then
HAND_WRITTEN = {name: text for name, text in PAGES.items() if name not in WRITTEN_BY_COMMANDS}


def blocks(language: str, text: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def command_lines() -> list[tuple[str, str]]:
    """(page, line) of every command in the pages."""
    return [
        (page, line)
        for page, text in HAND_WRITTEN.items()
        for line in "\n".join(blocks("bash", text)).replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]


# ---------------------------------------------------------------------------------------------------------------------
# commands and code


def test_the_readme_s_python_runs_as_a_script(tmp_path: Path):
    """As written, in a script without a main guard, but on a tiny data set."""
    (block,) = blocks("python", README)
    (tmp_path / "script.py").write_text(f"import tiny\ntiny.shrink()\n{block}")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^latent: \d+% of the goal images reached", done.stdout, re.M), done.stdout
    assert re.search(r"^oracle: ", done.stdout, re.M) and re.search(r"^mass: R2 -?\d\.\d\d$", done.stdout, re.M)
    page = re.search(r"open in a browser: (\S+)", done.stdout)
    assert page and (tmp_path / page[1]).stat().st_size > 10_000


def test_the_readme_s_python_is_short():
    (block,) = blocks("python", README)
    assert len(ast.parse(block).body) <= 12


@pytest.mark.parametrize(("page", "line"), command_lines(), ids=[line[:60] for _, line in command_lines()])
def test_every_command_is_accepted(page: str, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    for block in blocks("yaml", PAGES[page]):  # which begins with the file's name
        (tmp_path / block.split()[1]).write_text(block)
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
    elif words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]) is not None
    elif words[0] in ("pip", "python3", "source"):
        pass  # how to install, which tests/test_packaging.py does
    elif words == ["worldmodel", "--help"]:
        pass
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), words[1]
    elif "worldmodel" in words or "worldmodel.cli" in words:  # behind srun or torchrun, too
        start = next(index for index, word in enumerate(words) if word.startswith("worldmodel"))
        check_options(words[start + 1], words[start + 2 :])
    else:
        pytest.fail(f"{page}: nobody knows how to check {words[0]}")


def check_options(verb: str, words: list[str]) -> None:
    """UserError where the options of a `worldmodel` command do not make settings; of a sweep, its first values."""
    options = [word for word in words if word != "-m" and not word.startswith(("hydra", "--"))]
    if "-m" in words:
        options = [option if "[" in option else option.split(",")[0] for option in options]
    if verb in ("data", "runs"):  # whose first word may stand alone
        options[0] = f"what={options[0]}"
    settings_of(VERBS[verb].settings, options)


# ---------------------------------------------------------------------------------------------------------------------
# links and names


@pytest.mark.parametrize("page", HAND_WRITTEN)
def test_links_lead_to_files(page: str):
    for target in re.findall(r"\]\(((?!http|#)[^)#]+)", HAND_WRITTEN[page]):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_architecture_names_files_that_exist():
    page = PAGES["docs/ARCHITECTURE.md"]
    for name in re.findall(r"`((?:[\w]+/)*[\w]+(?:/|\.py|\.json))`", page):
        if name.startswith(("runs/", "data/", "videos/")) or "/" not in name:
            continue  # made when the toolkit is used
        assert (ROOT / name).exists() or (ROOT / "worldmodel" / name).exists(), name
    (tree,) = blocks("text", page)
    for line in tree.splitlines():
        name = line.split()[0]
        folder = ROOT / "worldmodel" if line.startswith("  ") else ROOT
        assert (folder / name).is_dir(), name


def test_the_recipes_and_their_sizes_are_those_of_the_configs():
    from worldmodel.settings.recipes import preset_names, sizes

    page = PAGES["docs/COMMANDS.md"]
    table = page[page.index("| recipe |") :]
    listed: dict[str, list[str]] = {}
    for names, found in re.findall(r"^\| (`[^|]*) \| ([^|]*) \|[^|]*\|$", table, re.M):
        listed |= {name: re.findall(r"`(\w+)`", found) for name in re.findall(r"`([\w-]+)`", names)}
    for name in preset_names("env"):
        if name != "recorded":
            assert sorted(listed[name]) == sorted(sizes(name)), name


def test_the_glossary_gives_a_source_for_every_term():
    entries = re.split(r"\n\n(?=\*\*)", PAGES["docs/GLOSSARY.md"])[1:]
    assert len(entries) > 60
    for entry in entries:
        assert "*Source:*" in entry, entry


def test_the_readme_uses_no_term_that_it_does_not_explain():
    for term in ("SIGReg", "OU ", "strict", "staged", "atlas", "regret", "held for"):
        assert term not in README, term
    assert README.index("LeWM is LeWorldModel") < README.index("| LeWM")


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == worldmodel.__version__ and citation["license"] == "Apache-2.0"
    assert f"## [{worldmodel.__version__}]" in PAGES["CHANGELOG.md"]


# ---------------------------------------------------------------------------------------------------------------------
# figures and the picture


def test_the_readme_s_table_is_that_of_the_measured_figures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    table = README.split(readme.BEGIN)[1].split(readme.END)[0].strip()
    assert table == readme.table(), "run: python -m benchmarks.results"
    rows = table.splitlines()[2:]
    assert 5 <= len(rows) <= 8
    assert len(re.findall(r"\*\*miss\*\*", table)) == 3, "a miss is marked as one"


def test_the_picture_belongs_to_the_figures_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The picture and the model are those of which the figures are, and what is cheap to compute comes out the same."""
    monkeypatch.chdir(tmp_path)  # where the packaged run is copied to
    figures = json.loads(pictures.PICTURE.with_suffix(".json").read_text())
    again = f"run: {figures['command']}"
    assert pictures.digests().items() <= figures.items(), again
    assert pictures.PICTURE.stat().st_size < 2 * 2**20
    driver = pictures.Driver(figures["seed"])
    start, first, *_ = pictures.goal_tour(driver, figures["seed"])
    driver.start(start)
    distance = driver.distance(driver.embed_goal(first))
    assert distance == pytest.approx(figures["goals"][0]["distance_at_start"], rel=1e-2), again
    times = [goal["reached_after_s"] for goal in figures["goals"]]
    caption = re.search(r"reaches four goal images in ([\d.]+), ([\d.]+), ([\d.]+) and\s+([\d.]+) s", README)
    assert caption and [f"{time:.1f}" for time in times] == list(caption.groups())


# ---------------------------------------------------------------------------------------------------------------------
# examples


def example(name: str, folder: Path) -> str:
    """What an example prints, run as a user runs it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "examples" / name]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_example_world_runs(tmp_path: Path):
    example("own_world.py", tmp_path)
    assert (tmp_path / "own_world.gif").stat().st_size > 10_000


def test_the_example_video_and_its_table_are_a_recording(tmp_path: Path):
    assert "150 steps of 0.04 s" in example("pendulum_video.py", tmp_path)
    found = open_recording(str(tmp_path / "clip.mp4"), worldmodel.envs.make("varied_pendulum"), 32)
    assert found.frames.shape == (151, 32, 32, 3) and found.actions.shape == (150, 1)


@pytest.mark.parametrize(
    ("name", "success"),
    [
        ("own_cost.py", r"joint errors \[ ?-?0\.0?\d? *-?0\.0?\d?\] rad, strongest shoulder torque 0\.[45]"),
        ("own_world_control.py", "rad: reached"),
        ("foreign_model.py", "height (0.99|1.00)"),
    ],
)
def test_the_planning_examples_reach_their_goals(name: str, success: str, tmp_path: Path):
    said = example(name, tmp_path)
    assert re.search(success, said), said
