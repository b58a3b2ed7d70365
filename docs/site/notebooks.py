"""`python -m docs.site.notebooks [NAME ...]`: run the notebooks and write them as pages, with what they print and draw.

The sources are `examples/notebooks/NAME.py`, in jupytext's percent format; the pages `docs/notebooks/NAME.md` and their
pictures are kept in the repository, so that the site is built without training anything.
"""

import sys
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from docs.site.pages import ROOT

SOURCES = ROOT / "examples/notebooks"
PAGES = ROOT / "docs/notebooks"
WORK = ROOT / "build/notebooks"
"""Where the notebooks run: their data sets and runs are kept there."""
AS_IT_RAN = "as it ran."


def read(name: str) -> NotebookNode:
    """The notebook of a source."""
    return jupytext.read(SOURCES / f"{name}.py")


def names() -> list[str]:
    """The names of all notebooks."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def offer_notebooks(out: Path) -> None:
    """Write each notebook as NAME.ipynb beside its page in `out`, without output, and link to it from there."""
    for name in names():
        jupytext.write(read(name), out / f"{name}.ipynb")
        page = out / f"{name}.md"
        link = f"as it ran; [download it for Jupyter]({name}.ipynb)."
        page.write_text(page.read_text("utf-8").replace(AS_IT_RAN, link, 1), "utf-8")


def write_page(name: str) -> None:
    """Run a notebook and write its page and pictures.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    notebook = read(name)
    WORK.mkdir(parents=True, exist_ok=True)
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(WORK)}}).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":  # progress bars and warnings are not the reader's; nor are objects' addresses
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr" and not _repr(output)]
    text, resources = MarkdownExporter().from_notebook_node(notebook)
    title, _, rest = text.strip().partition("\n")
    for file, content in resources["outputs"].items():
        rest = rest.replace(f"]({file})", f"]({name}_{file})")
        (PAGES / f"{name}_{file}").write_bytes(content)
    note = f"*This page is the notebook [{name}.py](../../examples/notebooks/{name}.py), {AS_IT_RAN}*"
    (PAGES / f"{name}.md").write_text(f"{title}\n\n{note}\n{rest}\n", "utf-8")


def _repr(output: NotebookNode) -> bool:
    return output.output_type == "execute_result" and "image/png" not in output.data


if __name__ == "__main__":
    for chosen in sys.argv[1:] or names():
        write_page(chosen)
        print(f"wrote {PAGES / chosen}.md")
