"""The repository's Markdown files as pages of the site, with the files that they link to."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
TOP_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Markdown files outside `docs/` -> their place in the site."""
ASSETS = {".png", ".gif", ".json"}
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".cff": "yaml", ".xml": "xml"}
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")


def write_pages(out: Path) -> None:
    """Write every Markdown file of the repository, and what these link to, into the folder `out`.

    Raises:
        FileNotFoundError: a link leads to no file.
    """
    linked: set[PurePosixPath] = set()
    for path in markdown_files():
        place = place_of(path)
        text = _LINK.sub(lambda match, page=path: _moved(match, page, linked), (ROOT / path).read_text("utf-8"))
        _write(out / place, text)
    for path in ROOT.joinpath("docs").rglob("*"):
        if path.suffix in ASSETS:
            place = out / path.relative_to(ROOT / "docs")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    for path in sorted(linked):
        _write_source(path, out)


def markdown_files() -> list[PurePosixPath]:
    """Paths of all pages, relative to the repository."""
    found = [path.relative_to(ROOT) for path in sorted((ROOT / "docs").rglob("*.md"))]
    return [PurePosixPath(path) for path in [*TOP_PAGES, *map(Path.as_posix, found)]]


def place_of(path: PurePosixPath) -> PurePosixPath:
    """Where in the site a file of the repository stands; sources stand under `source/`."""
    if str(path) in TOP_PAGES:
        return PurePosixPath(TOP_PAGES[str(path)])
    if path.parts[0] == "docs" and path.suffix in {".md", *ASSETS}:
        return path.relative_to("docs")
    folder = (ROOT / path).is_dir()
    return PurePosixPath("source") / (path / "index.md" if folder else path.with_name(f"{path.name}.md"))


def _moved(match: re.Match[str], page: PurePosixPath, linked: set[PurePosixPath]) -> str:
    """A Markdown link as the site needs it; `linked` takes the source files that it leads to."""
    target = match[2]
    if re.match(r"[a-z]+:", target):
        return match[0]
    path = PurePosixPath(os.path.normpath(page.parent / target))
    if not (ROOT / path).exists():
        raise FileNotFoundError(f"{page} links to {target}, which does not exist")
    place = place_of(path)
    if place.parts[0] == "source":
        linked.add(path)
    return f"{match[1]}{os.path.relpath(place, place_of(page).parent)}{match[3] or ''}{match[4]}"


def _write_source(path: PurePosixPath, out: Path) -> None:
    """A page that shows a file, or that lists a folder and shows each of its text files."""
    if not (ROOT / path).is_dir():
        _write(out / place_of(path), f"# {path}\n\n{_fenced(path)}")
        return
    files = list(_text_files(path))
    parts = [f"## {file.name}\n\n{_fenced(file)}" for file in files]
    _write(out / place_of(path), f"# {path}\n\n" + "\n".join(parts))


def _text_files(folder: PurePosixPath) -> Iterator[PurePosixPath]:
    yield from (folder / file.name for file in sorted((ROOT / folder).iterdir()) if file.suffix in _LANGUAGES)


def _fenced(path: PurePosixPath) -> str:
    return f"````{_LANGUAGES.get(path.suffix, 'text')}\n{(ROOT / path).read_text('utf-8').rstrip()}\n````\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
