"""The documentation site: it builds without a warning, and what its pages tell a reader to do works."""

import re
import runpy
import shlex
import shutil
from itertools import chain
from pathlib import Path, PurePosixPath

import pytest
import tiny

from benchmarks.concept_pictures import FOLDER, PICTURES
from docs.site import notebooks, pages, reference
from worldmodel.cli.main import main
from worldmodel.cli.verbs import VERBS
from worldmodel.runs import Run
from worldmodel.settings.convert import option_paths

ROOT = Path(__file__).parents[1]
HOW_TO = sorted((ROOT / "docs/how-to").glob("*.md"))


def blocks(language: str, page: Path) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.S)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """A folder in which the pages' commands are given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("home"))
        yield Path.cwd()


def test_getting_started_works_command_by_command(home: Path, capsys: pytest.CaptureFixture[str]):
    page = ROOT / "docs/getting-started.md"
    lines = [line for line in "".join(blocks("bash", page)).splitlines() if line.startswith("worldmodel")]
    verbs = [shlex.split(line)[1] for line in lines]
    assert verbs == ["--help", "control", "collect", "data", "train", "control", "imagine", "probe", "report"]
    for line, verb in zip(lines, verbs, strict=True):
        assert main([*shlex.split(line)[1:], *tiny.OPTIONS.get(verb, [])]) == 0, line
    assert Run("runs/reacher").probe and (home / "runs/reacher/report.html").exists()
    code = "\n".join(blocks("python", page))
    (home / "page.py").write_text(code)
    runpy.run_path("page.py")
    assert re.search(r"^oracle: \d+%$", capsys.readouterr().out, re.M)


@pytest.mark.parametrize("page", HOW_TO, ids=[page.stem for page in HOW_TO])
def test_the_code_of_the_how_to_pages_runs(page: Path, home: Path):
    (home / "page.py").write_text("\n".join(blocks("python", page)))
    runpy.run_path("page.py")


@pytest.mark.parametrize("name", notebooks.names())
def test_the_notebooks_run(name: str, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    tiny.shrink(monkeypatch.setattr)
    shutil.rmtree("runs/reacher", ignore_errors=True)
    shutil.rmtree("data", ignore_errors=True)
    found = runpy.run_path(str(notebooks.SOURCES / f"{name}.py"))
    assert found


@pytest.mark.parametrize("name", notebooks.names())
def test_the_pages_of_the_notebooks_are_theirs(name: str):
    page = (notebooks.PAGES / f"{name}.md").read_text("utf-8")
    for cell in notebooks.read(name).cells:
        assert cell.source.partition("\n")[2] in page, f"run: python -m docs.site.notebooks {name}"


def test_every_option_of_every_command_is_in_the_reference():
    for name, verb in VERBS.items():
        page = reference.command_page(name, verb)
        sections = {path.rpartition(".")[0] for path, *_ in option_paths(verb.settings)}
        for path, *_ in option_paths(verb.settings):
            assert path in sections or f"| `{path}` |" in page, path


def test_every_picture_is_drawn_by_a_command_small_and_shown():
    text = (ROOT / "docs/concepts.md").read_text("utf-8")
    assert sorted(path.stem for path in FOLDER.glob("concept_*.png")) == sorted(f"concept_{name}" for name in PICTURES)
    for name in PICTURES:
        assert (FOLDER / f"concept_{name}.png").stat().st_size < 150_000
        assert f"images/concept_{name}.png" in text


def test_the_messages_of_the_symptom_table_are_those_of_the_code():
    source = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text("utf-8"))
        for path in [*chain.from_iterable((ROOT / room).rglob("*.py") for room in ("worldmodel", "envs", "planners")),
                     ROOT / "Makefile"]
    )  # fmt: skip
    page = (ROOT / "docs/how-to/troubleshooting.md").read_text("utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.M)
    assert len(messages) > 15
    assert [message for message in messages if message not in source] == []


def test_every_link_of_a_page_leads_to_a_page_of_the_site(tmp_path: Path):
    """`make docs` checks the same, and anchors, on the site itself; this is quick."""
    pages.write_pages(tmp_path)
    for page in tmp_path.rglob("*.md"):
        if "source" in page.relative_to(tmp_path).parts[:1]:
            continue
        for target in re.findall(r"\]\(((?!http|#|mailto)[^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_page_is_in_the_nav():
    nav = (ROOT / "docs/site/mkdocs.yml").read_text("utf-8")
    assert [str(place) for page in pages.markdown_files() if f": {(place := pages.place_of(page))}\n" not in nav] == []


def test_the_readme_s_links_lead_to_pages():
    assert pages.place_of(PurePosixPath("README.md")) == PurePosixPath("index.md")
    assert pages.place_of(PurePosixPath("docs/IDEA.md")) == PurePosixPath("IDEA.md")
    assert pages.place_of(PurePosixPath("configs/env")) == PurePosixPath("source/configs/env/index.md")
