"""`python -m docs.site`: write the pages and build the site; with `serve`, show it on localhost as well."""

import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.notebooks import offer_notebooks
from docs.site.pages import ROOT, write_pages
from docs.site.reference import write_reference

BUILD = ROOT / "build"
PAGES = BUILD / "pages"
SETTINGS = Path(__file__).with_name("mkdocs.yml")


def main() -> int:
    """Write `build/pages` and let Zensical make `build/site` of them; 1 where it has a warning."""
    shutil.rmtree(PAGES, ignore_errors=True)
    write_pages(PAGES)
    offer_notebooks(PAGES / "notebooks")
    shutil.copyfile(SETTINGS.with_name("site.css"), PAGES / "site.css")
    (BUILD / "mkdocs.yml").write_text(with_reference(write_reference(PAGES / "reference")), encoding="utf-8")
    command = ["serve"] if "serve" in sys.argv[1:] else ["build", "--clean", "--strict"]
    zensical = Path(sys.executable).with_name("zensical")
    return subprocess.run([zensical, *command, "-f", BUILD / "mkdocs.yml"], cwd=ROOT).returncode


def with_reference(pages: dict[str, list[str]]) -> str:
    """The site's settings, with these pages of the reference in its nav."""
    text = SETTINGS.read_text("utf-8")
    for folder, marker in (("commands", "# one page a command"), ("python", "# one page a part of the package")):
        assert marker in text
        entries = [f"- {name}: reference/{folder}/{name}.md" for name in pages[folder]]
        text = text.replace(marker, "\n          ".join(entries))
    return text


if __name__ == "__main__":
    sys.exit(main())
