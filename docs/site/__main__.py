"""`python -m docs.site`: write the pages and build the site; with `serve`, show it on localhost as well."""

import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.notebooks import offer_notebooks
from docs.site.pages import ROOT, write_pages
from docs.site.reference import write_reference

PAGES = ROOT / "build/pages"


def main() -> int:
    """Write `build/pages` and let Zensical make `build/site` of them; 1 where it has a warning."""
    shutil.rmtree(PAGES, ignore_errors=True)
    write_pages(PAGES)
    offer_notebooks(PAGES / "notebooks")
    shutil.copyfile(ROOT / "docs/site/site.css", PAGES / "site.css")
    write_reference(PAGES / "reference")
    command = ["serve"] if "serve" in sys.argv[1:] else ["build", "--clean", "--strict"]
    return subprocess.run(
        [Path(sys.executable).with_name("zensical"), *command, "-f", ROOT / "mkdocs.yml"], cwd=ROOT
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
