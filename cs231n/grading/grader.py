"""Grade notebooks: run them apart, judge what they did, and write the marks down."""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs231n.checks import ASSIGNMENTS
from cs231n.checks.task import Case, Task, Verdict, Workings, judge
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.grading import sandbox
from cs231n.grading.runner import Recording, record
from cs231n.observation import Observation
from cs231n.paths import whole_file

MAX_NOTEBOOK = 256 * 2**20
"""Bytes of a notebook file; pictures make large ones."""


@dataclass(frozen=True)
class Grade:
    """The marks of one notebook.

    Attributes
    ----------
    path : Path
    verdicts : tuple of Verdict
        One for each of the assignment's tasks.
    """

    path: Path
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether all tasks are right."""
        return all(verdict.passed for verdict in self.verdicts)


def read_cells(path: Path) -> list[str]:
    """Return a notebook's cells of code.

    Raises
    ------
    ValueError
        If the file is no notebook, or too large.
    OSError
        If it can't be read.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path} is no file; expected one that Jupyter wrote (.ipynb).")
    if path.stat().st_size > MAX_NOTEBOOK:
        raise ValueError(f"{path} is larger than {MAX_NOTEBOOK >> 20} MB; clear its outputs.")
    try:
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        # Before format 4, cells stood in worksheets.
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        sources = [cell.get("source", cell.get("input", "")) for cell in cells if cell["cell_type"] == "code"]
        return ["".join(source) for source in sources]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"{path} is no notebook; expected a file that Jupyter wrote (.ipynb).") from error


def find_assignment(cells: Iterable[str]) -> str:
    """Return the name of the assignment most of whose functions a notebook defines; if none, the first."""
    code = "\n".join(cells)

    def share(name: str) -> float:
        tasks = ASSIGNMENTS[name]
        return sum(bool(re.search(rf"\bdef {task.function}\b", code)) for task in tasks) / len(tasks)

    return max(ASSIGNMENTS, key=share)


def grade(
    paths: Sequence[Path],
    timeout: float = 60,
    jobs: int = 1,
    isolated: bool | None = None,
    assignment: str | None = None,
) -> Iterator[Grade]:
    """Yield the grade of each notebook, in their order.

    All are given the same inputs, drawn anew for each call of this function.

    Parameters
    ----------
    paths : sequence of Path
    timeout : float
        Seconds for each call of a function, and for the cells that it needs.
    jobs : int
        How many notebooks to run at once.
    isolated : bool, optional
        Whether to use bubblewrap. Default: if it is there.
    assignment : str, optional
        One of `ASSIGNMENTS`, whose tasks are graded. Default: for each notebook what `find_assignment` says.

    Raises
    ------
    ValueError
        If there is no such assignment.
    """
    if assignment is not None and assignment not in ASSIGNMENTS:
        raise ValueError(f"There is no assignment {assignment!r}; there are: {', '.join(ASSIGNMENTS)}.")
    isolated = sandbox.has_bubblewrap() if isolated is None else isolated
    notebooks = [_read(path) for path in paths]
    names = [assignment or find_assignment([] if isinstance(cells, str) else cells) for cells in notebooks]
    with SqueezeNet.pretrained() as model:
        workings = Workings(model)
        seed = secrets.randbelow(2**31)
        cases = {
            task.function: list(task.make_cases(workings, seed))
            for name in dict.fromkeys(names)
            for task in ASSIGNMENTS[name]
        }

        def run(cells: list[str] | str, name: str) -> Recording | str:
            if isinstance(cells, str):
                return cells
            functions = [task.function for task in ASSIGNMENTS[name]]
            return record(cells, {function: cases[function] for function in functions}, timeout, isolated)

        with ThreadPoolExecutor(jobs) as pool:
            outcomes = pool.map(run, notebooks, names)
            for path, name, outcome in zip(paths, names, outcomes, strict=True):
                tasks = ASSIGNMENTS[name]
                if isinstance(outcome, str):
                    verdicts = [Verdict(task, False, ("no notebook",), outcome) for task in tasks]
                else:
                    verdicts = [_judge(task, cases[task.function], outcome, workings) for task in tasks]
                yield Grade(path, tuple(verdicts))


def _read(path: Path) -> list[str] | str:
    """Return a notebook's cells of code, or a sentence if it can't be read."""
    try:
        return read_cells(path)
    except OSError as error:
        return f"{path} can't be read: {error.strerror}."
    except ValueError as error:
        return str(error)


def rows(grades: Iterable[Grade]) -> list[dict[str, Any]]:
    """Return a row of the marks' table for each notebook and task."""
    return [
        {
            "notebook": str(grade.path),
            "task": verdict.task.title,
            "points": _points(verdict),
            "of": verdict.task.points,
            "found": verdict.headline,
            "explanation": verdict.explanation,
            "remarks": " ".join(verdict.remarks),
        }
        for grade in grades
        for verdict in grade.verdicts
    ]


def write_csv(grades: Iterable[Grade], path: Path) -> None:
    """Write the marks as a table in UTF-8 that spreadsheets read."""
    table = rows(grades)
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(table[0]))
    writer.writeheader()
    writer.writerows({key: _as_text(value) for key, value in row.items()} for row in table)
    with whole_file(path) as temporary:
        temporary.write_text(file.getvalue(), encoding="utf-8-sig", newline="")


def write_gradescope(grade: Grade, path: Path) -> None:
    """Write one notebook's marks as Gradescope's `results.json`."""
    tests = [
        {
            "name": verdict.task.title,
            "score": _points(verdict),
            "max_score": verdict.task.points,
            "status": "passed" if verdict.passed else "failed",
            "output": "\n".join(filter(None, [verdict.headline, verdict.explanation, *verdict.remarks])),
        }
        for verdict in grade.verdicts
    ]
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"tests": tests}, indent=2), encoding="utf-8")


def _judge(task: Task, cases: Sequence[Case], recording: Recording, workings: Workings) -> Verdict:
    """Return the verdict on what a notebook's function did in the child process."""
    failure = recording.failures.get(task.function)
    if failure is not None:
        return Verdict(task, False, ("did not finish",), f"Your code {failure}.")
    numbers = {id(case): number for number, case in enumerate(cases)}

    def seen(case: Case) -> Observation:
        return recording.seen[task.function, numbers[id(case)]]

    return judge(task, cases, seen, workings)


def _points(verdict: Verdict) -> int:
    return verdict.task.points if verdict.passed else 0


def _as_text(value: Any) -> Any:
    """Return a table's value so that a spreadsheet does not take a text for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
