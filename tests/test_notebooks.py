"""The notebooks are what their sources say, and run from a clean kernel, wherever they lie."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from notebooks import build

ROOT = Path(__file__).resolve().parent.parent
SOURCES = build.find_sources()
TARGETS = [target for source in SOURCES for target in build.make_targets(source)]
EXECUTED = [target for target in TARGETS if target.is_executed]
STUDENTS = [target for target in TARGETS if not target.is_executed]


def name(target):
    """Return a target's name for the report of the tests."""
    return str(target.path.relative_to(build.FOLDER).with_suffix(""))


@pytest.mark.parametrize("target", TARGETS, ids=name)
def test_notebook_is_up_to_date(target):
    """Every cell is as in the source; pictures are in the executed notebooks and in no other."""
    assert list(build.find_differences(target)) == [], "run `make notebooks`"


@pytest.mark.parametrize("target", TARGETS, ids=name)
def test_notebook_is_small_and_tells_nothing_of_its_machine(target):
    """A notebook can be read on the web (under 1.5 MB), and names no folder of whoever built it."""
    text = target.path.read_text(encoding="utf-8")
    assert len(text) < 1.5e6
    assert str(ROOT) not in text
    assert str(Path.home()) not in text


@pytest.mark.parametrize("target", EXECUTED, ids=name)
def test_executed_notebook_shows_no_warnings(target):
    """Nothing was written to standard error: a beginner can't tell a warning from a failure."""
    notebook = nbformat.read(target.path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("target", EXECUTED, ids=name)
def test_solutions_pass_their_own_checks(target):
    """Each cell that checks a function shows that it is right."""
    notebook = nbformat.read(target.path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and re.match(r"check_\w+\(", cell.source):
            (output,) = cell.outputs
            assert output.data["text/plain"].startswith("✓"), output.data["text/plain"]


def test_no_notebook_is_without_a_source():
    """Whatever notebook lies in the folder, a source makes it."""
    found = {*build.FOLDER.glob("*.ipynb"), *build.FOLDER.glob("solutions/*.ipynb")}
    assert found == {target.path for target in TARGETS}


@pytest.mark.slow
@pytest.mark.parametrize("target", EXECUTED, ids=name)
def test_notebook_runs_from_a_clean_kernel(target, tmp_path):
    """All cells run in order, in a folder that has nothing to do with the kit's."""
    build.execute(nbformat.read(target.path, as_version=4), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", STUDENTS, ids=name)
def test_students_notebook_ends_at_a_task(target, tmp_path):
    """Without an answer nothing else fails than a task that is called, and that is named.

    A check before it does not fail: it says that its task is still to be done.
    """
    notebook = nbformat.read(target.path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tasks = [
        task for cell in code for task in re.findall(r'raise NotImplementedError\("(.*)"\)', cell.source)
    ]
    with pytest.raises(CellExecutionError) as caught:
        build.execute(notebook, tmp_path)
    assert caught.value.ename == "NotImplementedError"
    assert caught.value.evalue in tasks


SOURCE = '''\
# %% [markdown]
# # Doubling
# What is twice two?
#
# ### BEGIN SOLUTION
# Four.
# ### END SOLUTION

# %% tags=["raises-exception"]
def double(x):
    """Return twice x."""
    result = None
    ### BEGIN SOLUTION Task 1: double
    #: Hint: a sum does it.
    result = x + x
    ### END SOLUTION
    return result


# %%
# %matplotlib inline
print(double(2))
'''


@pytest.fixture
def source(tmp_path):
    """Return a small source in a folder like notebooks/."""
    path = tmp_path / "src" / "Doubling.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


def test_source_becomes_two_notebooks(source):
    """The student gets a TODO, the hint and an error; the solution has none of them, nor markers."""
    student, solution = build.make_targets(source)
    assert student.path == source.parent.parent / "Doubling.ipynb"
    assert solution.path == source.parent.parent / "solutions" / "Doubling.ipynb"
    head = 'def double(x):\n    """Return twice x."""\n    result = None\n'
    assert student.notebook.cells[2].source == (
        f"{head}    # TODO Task 1: double\n    # Hint: a sum does it.\n"
        '    raise NotImplementedError("Task 1: double")\n    return result'
    )
    assert solution.notebook.cells[2].source == f"{head}    result = x + x\n    return result"
    assert student.notebook.cells[0].source == "# Doubling\nWhat is twice two?\n\n*Your answer:*"
    assert solution.notebook.cells[0].source == "# Doubling\nWhat is twice two?\n\nFour."
    for target in (student, solution):
        assert target.notebook.cells[1].source == (build.FOLDER / "first_cell.py").read_text().rstrip()
        assert target.notebook.cells[2].metadata == {"tags": ["raises-exception"]}
        assert target.notebook.cells[3].source == "%matplotlib inline\nprint(double(2))"


def test_source_without_tasks_becomes_one_executed_notebook(source):
    """Where nothing is left to the student, there is one notebook, with its outputs."""
    source.write_text("# %%\nprint(2 + 2)\n")
    [target] = build.make_targets(source)
    assert target.path == source.parent.parent / "Doubling.ipynb"
    assert target.is_executed


def test_what_is_out_of_date_is_named(source):
    """A missing file, an edited cell, a cell too few, an output where none belongs: each is found."""
    student, _ = build.make_targets(source)
    assert list(build.find_differences(student)) == ["the file is missing"]
    build.build(student)
    assert list(build.find_differences(student)) == []
    notebook = nbformat.read(student.path, as_version=4)
    notebook.cells[2].source += " "
    notebook.cells[3].execution_count = 1
    nbformat.write(notebook, student.path)
    assert list(build.find_differences(student)) == [
        "cell 2 differs from the source",
        "cell 3 has been executed",
    ]
    del notebook.cells[2:]
    nbformat.write(notebook, student.path)
    assert list(build.find_differences(student)) == ["it has 2 cells instead of 4"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("### END SOLUTION\n    return", "return", r"stands without its partner"),
        ("### BEGIN SOLUTION Task 1: double", "", r"stands without its partner"),
        ("SOLUTION Task 1: double", "SOLUTION", r"needs the task's name"),
    ],
)
def test_broken_marker_is_refused(source, old, new, sentence):
    """A solution must not reach the student because a marker was mistyped."""
    source.write_text(SOURCE.replace(old, new))
    with pytest.raises(ValueError, match=rf"Doubling.py, cell 2: .*{sentence}"):
        build.make_targets(source)


def run_first_cell(folder, before="", options=()):
    """Run the first cell in `folder` in a new Python; return the process, which prints where the kit is."""
    cell = (build.FOLDER / "first_cell.py").read_text()
    without_tensorflow = (  # it takes seconds to import
        "import sys, types\n"
        "for name in ('tensorflow', 'tensorflow.compat', 'tensorflow.compat.v1'):\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
    )
    code = f"{without_tensorflow}{before}\n{cell}\nimport cs231n; print(cs231n.__file__)"
    return subprocess.run(
        [sys.executable, *options, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def kit_copy(tmp_path):
    """Return a folder with a copy of the package in it."""
    shutil.copytree(
        ROOT / "cs231n", tmp_path / "kit" / "cs231n", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "kit"


def test_first_cell_finds_the_kit_around_it(kit_copy):
    """Inside a copy of the kit, however deep, that copy is used, not one that is installed."""
    deep = kit_copy / "homework" / "week 9"
    deep.mkdir(parents=True)
    assert run_first_cell(deep).stdout.strip() == str(kit_copy / "cs231n" / "__init__.py")


def test_first_cell_installs_the_kit_on_colab(kit_copy):
    """On Colab the kit lies below the working folder; it is installed there, with what it needs."""
    colab = """
import subprocess
sys.modules["google.colab"] = types.ModuleType("google.colab")
run = subprocess.run
def print_once(command, check):
    subprocess.run = run
    print(*command[1:])
subprocess.run = print_once
"""
    installed, found = run_first_cell(kit_copy.parent, before=colab).stdout.splitlines()
    assert installed == f"-m pip install --quiet --editable {kit_copy}"
    assert found == str(kit_copy / "cs231n" / "__init__.py")


def test_first_cell_without_the_kit_says_what_to_do(tmp_path):
    """Where there is no kit, neither around nor installed, a sentence says so."""
    # -I -S: Python without its installed packages
    process = run_first_cell(tmp_path, options=["-I", "-S"])
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: There is no module cs231n; put this notebook into the kit's folder, "
        "or run `make notebook`."
    )
