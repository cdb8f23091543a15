"""Write the notebooks from their sources: `make notebooks`.

    python notebooks/build.py             write and execute all notebooks
    python notebooks/build.py NAME ...    only these
    python notebooks/build.py --check     write nothing; list the notebooks that are out of date

A source is one file, `notebooks/src/NAME.py`, and the only one to edit. It is a script in jupytext's percent
format: `# %%` begins a cell of code, `# %% [markdown]` a cell of text, whose lines begin with `# `. Magics
are written as comments (`# %matplotlib inline`) and arrive as magics. Before the first cell of code comes
`notebooks/first_cell.py`, which finds the kit and its weights; a source does not repeat it.

What a student is to write stands between two markers, of any indentation, as nbgrader writes them; the task's
name follows the first. Lines that begin with `#:` are the student's hints:

    def compute_saliency_maps(X, y, model):
        saliency = None
        ### BEGIN SOLUTION Task 1: saliency maps
        #: Hint: ...
        saliency = sess.run(...)
        ### END SOLUTION
        return saliency

The student's notebook gets

        # TODO Task 1: saliency maps
        # Hint: ...
        raise NotImplementedError("Task 1: saliency maps")

and the solution what is between the markers, without the hints. One task may have several such regions; give
each a name of its own. In a cell of text the markers are `# ### BEGIN SOLUTION` and `# ### END SOLUTION`, and
the student gets *Your answer:* in place of what is between them. Of a cell's metadata only tags are kept:
`# %% tags=["raises-exception"]` for a cell that is meant to fail.

A source with such regions becomes two notebooks: `notebooks/NAME.ipynb`, the student's, without outputs, and
`notebooks/solutions/NAME.ipynb`, executed. A source without any becomes `notebooks/NAME.ipynb`, executed.
"""

from __future__ import annotations

import base64
import copy
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import jupytext
import nbformat
import typer
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from cs231n.paths import whole_file

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
FOLDER = Path(__file__).resolve().parent
CELL_TIMEOUT = 600
"""Seconds that a cell may run."""

_REGION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION[ \t]*(?P<task>[^\n]*)\n"
    r"(?P<body>.*?)"
    r"^[ \t]*### END SOLUTION[ \t]*(?:\n|\Z)",
    flags=re.MULTILINE | re.DOTALL,
)
_HINT = re.compile(r"[ \t]*#: ?(?P<text>[^\n]*)\n?")
_LARGE_PICTURE = 50_000  # characters
_WIDGET = "application/vnd.jupyter.widget-view+json"


class Target(NamedTuple):
    """A notebook to be written, still without outputs."""

    path: Path
    notebook: NotebookNode
    is_executed: bool


def find_sources(folder: Path = FOLDER) -> list[Path]:
    """Return the sources, sorted by name."""
    return sorted((folder / "src").glob("*.py"))


def make_targets(source: Path) -> list[Target]:
    """Return the notebooks that a source becomes.

    Raises
    ------
    ValueError
        If a region of a solution has no name, no end or no beginning.
    """
    folder, name = source.parent.parent, f"{source.stem}.ipynb"
    notebook = read_source(source)
    if not any(_REGION.search(cell.source) for cell in notebook.cells):
        return [Target(folder / name, notebook, is_executed=True)]
    return [
        Target(folder / name, without_solutions(notebook), is_executed=False),
        Target(folder / "solutions" / name, without_markers(notebook), is_executed=True),
    ]


def read_source(source: Path) -> NotebookNode:
    """Return a source as a notebook, first cell included, markers and all."""
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    code = next((i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), 0)
    first = (FOLDER / "first_cell.py").read_text(encoding="utf-8").rstrip()
    notebook.cells.insert(code, nbformat.v4.new_code_cell(first))
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i:02d}"  # random ones would change with every build
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in cell.metadata.keys() & {"tags"}})
        _check_markers(cell.source, f"{source.name}, cell {i}", is_code=cell.cell_type == "code")
    notebook.metadata = NotebookNode(
        kernelspec=NotebookNode(name="python3", display_name="Python 3", language="python"),
        language_info=NotebookNode(name="python"),
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """Return the student's notebook: hints and an error that names the task in place of each solution."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        replace = _task if cell.cell_type == "code" else "*Your answer:*\n"
        cell.source = _REGION.sub(replace, cell.source).rstrip("\n")
    return notebook


def without_markers(notebook: NotebookNode) -> NotebookNode:
    """Return the solved notebook: what is between the markers, without them and the hints."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        cell.source = _REGION.sub(lambda region: _HINT.sub("", region["body"]), cell.source).rstrip("\n")
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a new kernel whose working folder is `folder`, and put in the outputs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises. The outputs up to there are in.
    """
    client = NotebookClient(
        notebook, timeout=CELL_TIMEOUT, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    try:
        client.execute()
    finally:
        _tidy(notebook)


def find_differences(target: Target) -> Iterator[str]:
    """Yield what is out of date in a target's file; outputs may differ, but must be there or must not."""
    if not target.path.is_file():
        yield "the file is missing"
        return
    committed = nbformat.read(target.path, as_version=4)
    if committed.metadata != target.notebook.metadata:
        yield "its metadata differ"
    if len(committed.cells) != len(target.notebook.cells):
        yield f"it has {len(committed.cells)} cells instead of {len(target.notebook.cells)}"
    for i, (old, new) in enumerate(zip(committed.cells, target.notebook.cells, strict=False)):
        if any(old[key] != new[key] for key in ("cell_type", "id", "metadata", "source")):
            yield f"cell {i} differs from the source"
        elif old.cell_type == "code" and target.is_executed != (old.execution_count is not None):
            yield f"cell {i} is not executed" if target.is_executed else f"cell {i} has been executed"
        elif any(output.output_type == "error" for output in old.get("outputs", [])):
            yield f"cell {i} ended in an error"


def build(target: Target) -> None:
    """Execute a target if it is to be executed, and write its file, whole or not at all."""
    if target.is_executed:
        with (
            tempfile.TemporaryDirectory() as folder
        ):  # what a notebook writes does not land among the sources
            execute(target.notebook, Path(folder))
    with whole_file(target.path) as temporary:
        nbformat.write(target.notebook, temporary)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="Which notebooks. Default: all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; list what is out of date.")] = False,
) -> None:
    """Write the notebooks from their sources, and execute them."""
    sources = {source.stem: source for source in find_sources()}
    unknown = sorted(set(names or []) - set(sources))
    if unknown:
        sys.exit(f"There is no source {unknown[0]}; there are: {', '.join(sources)}.")
    out_of_date = False
    for name in names or sources:
        for target in make_targets(sources[name]):
            path = os.path.relpath(target.path)
            if check:
                differences = list(find_differences(target))
                out_of_date = out_of_date or bool(differences)
                print(
                    "\n".join(f"{path}: {difference}" for difference in differences) or f"{path}: up to date"
                )
            else:
                build(target)
                print(f"Wrote {path}")
    if out_of_date:
        sys.exit("Run `make notebooks`.")


def _task(region: re.Match[str]) -> str:
    """Return what the student gets in place of a solution."""
    indent = region["indent"]
    hints = [hint["text"] for hint in _HINT.finditer(region["body"])]
    lines = [f"# TODO {region['task']}", *(f"# {hint}".rstrip() for hint in hints)]
    lines.append(f'raise NotImplementedError("{region["task"]}")')
    return "".join(f"{indent}{line}\n" for line in lines)


def _check_markers(text: str, where: str, is_code: bool) -> None:
    """Raise ValueError with a sentence if a marker has no partner, or a region of code no name."""
    if re.search(r"#\s*(BEGIN|END) SOLUTION", _REGION.sub("", text)):
        raise ValueError(f"{where}: a BEGIN SOLUTION or END SOLUTION stands without its partner.")
    for region in _REGION.finditer(text):
        if is_code and not re.fullmatch(r'[^"\\]+', region["task"]):
            raise ValueError(f"{where}: BEGIN SOLUTION needs the task's name behind it, without quotes.")


def _tidy(notebook: NotebookNode) -> None:
    """Make outputs fit for being kept: without progress bars and the kernel's metadata, pictures small."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _WIDGET not in output.get("data", {})]
            for output in cell.outputs:
                _shrink_picture(output.get("data", {}))
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = NotebookNode(name="python")


def _shrink_picture(data: dict[str, str]) -> None:
    """Store a large PNG as JPEG: photographs and noise take a fifth of the space."""
    if len(data.get("image/png", "")) > _LARGE_PICTURE:
        file = io.BytesIO()
        picture = Image.open(io.BytesIO(base64.b64decode(data.pop("image/png")))).convert("RGB")
        picture.save(file, format="JPEG", quality=85)
        data["image/jpeg"] = base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    app()
