"""Grading: the marks an instructor would give, whatever the notebook does, and nothing else happens."""

import csv
import dataclasses
import io
import json
import os
import pickle
import shutil
import socket
import subprocess
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from cs231n.checks import ASSIGNMENTS
from cs231n.checks.task import Case
from cs231n.grading import archive, cells, grader, runner, sandbox
from cs231n.grading.transport import Receiver, read_job, send, write_job
from cs231n.observation import ON_TENSORS, Observation, observe
from tests import notebooks_to_grade as notebooks
from tests.test_cli import ROOT, run

TASKS = ASSIGNMENTS["NetworkVisualization"]

needs_bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="needs bubblewrap, which continuous integration installs"
)


def write_notebook(path, sources):
    """Write a notebook with these cells of code."""
    code = [{"cell_type": "code", "source": source, "outputs": [], "metadata": {}} for source in sources]
    text = {"cell_type": "markdown", "source": "# Not code", "metadata": {}}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [text, *code]}))
    return path


def grade(sources, tmp_path, **options):
    """Return what was found in one notebook, by the task's function, and the explanations."""
    path = write_notebook(tmp_path / "one.ipynb", sources)
    (graded,) = grader.grade([path], **options)
    found = {verdict.task.function: verdict.headline for verdict in graded.verdicts}
    return found, {verdict.task.function: verdict.explanation for verdict in graded.verdicts}


# --- A folder of notebooks, as an instructor has it ---


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    """Return the table of a folder that is graded from the command line: rows by notebook and task."""
    folder = tmp_path_factory.mktemp("class")
    names = ["right", "right_2017", "without_model", "wrong", "broken", "borrowed"]
    paths = [write_notebook(folder / f"{name}.ipynb", getattr(notebooks, name.upper())) for name in names]
    for name, source in [("stub", "."), ("solution", "solutions")]:
        assignment = ROOT / "notebooks" / source / "NetworkVisualization-TensorFlow.ipynb"
        paths.append(Path(shutil.copy(assignment, folder / f"{name}.ipynb")))
    paths.append(folder / "text.ipynb")
    paths[-1].write_text("Dear teacher, my notebook was lost.")
    done = run("grade", *paths, "--jobs", 2, "--csv", "marks.csv", cwd=folder)
    assert done.returncode == 1, done.stderr
    with open(folder / "marks.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(paths) * len(TASKS)
    return {(Path(row["notebook"]).stem, row["task"]): row for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("task", [task.title for task in TASKS])
@pytest.mark.parametrize("name", ["right", "right_2017", "without_model", "solution"])
def test_right_notebooks_get_all_points(marks, name, task):
    """A right notebook gets all points: of today, of 2017, with nothing around its functions, the kit's."""
    row = marks[name, task]
    assert (row["points"], row["found"]) == ("10", "right"), row


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("wrong", ["no absolute value", "raw gradient", "sign of the regulariser"]),
        ("broken", ["missing", "not done yet", "raises an error"]),
        ("borrowed", ["missing", "raises an error", "raises an error"]),
        ("stub", ["not done yet"] * 3),
        ("text", ["no notebook"] * 3),
    ],
)
def test_other_notebooks_are_told_why(marks, name, found):
    """Each task that is not right gets no point, and the reason."""
    for task, expected in zip(TASKS, found, strict=True):
        row = marks[name, task.title]
        assert row["found"] == expected, row
        assert row["points"] == "0"
        assert row["explanation"]


@pytest.mark.slow
def test_explanations_name_the_cell(marks):
    """What fails is told with the cell and the line where it stands."""
    assert "Cell 2 is not Python" in marks["broken", "Saliency maps"]["explanation"]
    missing_name = marks["broken", "Class visualisation"]["explanation"]
    assert "Cell 4 failed with NameError: name 'undefined_name' is not defined" in missing_name
    assert missing_name.endswith("line 1: rate = undefined_name).")
    assert "No module named 'cs231n.net_visualization'" in marks["borrowed", "Saliency maps"]["explanation"]


@pytest.mark.slow
def test_a_right_notebook_ends_with_code_0(tmp_path):
    """If all is right, the exit code is 0; Gradescope's file says the points of each task.

    Where there is no bubblewrap, it is graded all the same, and said plainly.
    """
    write_notebook(tmp_path / "right.ipynb", notebooks.RIGHT)
    without_bubblewrap = {"PATH": str(tmp_path)}
    done = run("grade", "right.ipynb", "--gradescope", "results.json", cwd=tmp_path, **without_bubblewrap)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning: without bubblewrap" in done.stderr
    tests = json.loads((tmp_path / "results.json").read_text())["tests"]
    assert [test["name"] for test in tests] == [task.title for task in TASKS]
    assert all(test["score"] == test["max_score"] and test["status"] == "passed" for test in tests)


@pytest.mark.slow
def test_companion_notebooks_are_graded_by_their_functions(tmp_path):
    """The other notebooks' functions are recognised: all right but one in each, which is told why."""
    changes = {
        "BeyondSaliency": ("attributions *= X - baseline", "attributions *= X"),
        "StyleTransfer-TensorFlow": ("tf.cast(H * W * C", "tf.cast(H * W"),
    }
    for name, (right, wrong) in changes.items():
        solution = (ROOT / "notebooks" / "solutions" / f"{name}.ipynb").read_text(encoding="utf-8")
        assert right in solution
        (tmp_path / f"{name}.ipynb").write_text(solution.replace(right, wrong), encoding="utf-8")
    beyond, style = grader.grade([tmp_path / f"{name}.ipynb" for name in changes], jobs=2)
    found = [(verdict.task.function, verdict.headline) for verdict in (*beyond.verdicts, *style.verdicts)]
    assert found == [
        ("smoothgrad", "right"),
        ("integrated_gradients", "times the image"),
        ("completeness_error", "right"),
        ("guided_rule", "right"),
        ("rank_correlation", "right"),
        ("content_loss", "right"),
        ("gram_matrix", "normalised wrongly"),
        ("style_loss", "wrong Gram matrix"),
        ("tv_loss", "right"),
    ]


def test_assignment_is_the_one_with_most_functions():
    """Functions of another assignment, as helpers, do not decide; nor does a notebook without any."""
    saliency = "def compute_saliency_maps(X, y, model): pass"
    losses = "def content_loss(w, F, P): pass\ndef tv_loss(img, w): pass"
    assert grader.find_assignment([losses, saliency]) == "StyleTransfer"
    assert grader.find_assignment([saliency, "print(content_loss, tv_loss)"]) == "NetworkVisualization"
    assert grader.find_assignment(["print(1)"]) == "NetworkVisualization"


def test_unknown_assignment_is_refused():
    """A name that is none gets a sentence with those that are."""
    with pytest.raises(ValueError, match=r"no assignment 'A3'; there are: NetworkVisualization, Beyond"):
        list(grader.grade([], assignment="A3"))


def test_gradescope_takes_one_notebook(tmp_path):
    """Gradescope grades one submission at a time; two are refused before anything runs."""
    done = run("grade", "a.ipynb", "b.ipynb", "--gradescope", "results.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "--gradescope takes one notebook, not 2" in done.stderr


# --- Hostile notebooks ---


@needs_bubblewrap
@pytest.mark.slow
def test_intruders_see_and_change_nothing(tmp_path):
    """In the sandbox no answer can be read, no file written, no connection made and no process killed.

    An object that would run code in the grader is not touched by it, and what is printed is not read.
    """
    marker = ROOT / "cs231n" / "__init__.py"
    before = marker.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        known = f"REPOSITORY, PORT, GRADER = {str(ROOT)!r}, {server.getsockname()[1]}, {os.getpid()}"
        found, explanations = grade([known, *notebooks.INTRUDER], tmp_path, isolated=True)
    assert "succeeded: ." in explanations["compute_saliency_maps"]
    assert found["make_fooling_image"] == "wrong type"
    assert "returned a Trap" in explanations["make_fooling_image"]
    assert "SystemExit: 0" in explanations["create_class_visualization"]
    assert marker.read_bytes() == before


@needs_bubblewrap
@pytest.mark.slow
def test_endless_notebooks_cost_themselves_only(tmp_path):
    """An endless print, a memory hog and a fork bomb each lose their task, in bounded time."""
    found, explanations = grade(notebooks.ENDLESS, tmp_path, timeout=5, isolated=True)
    assert explanations["compute_saliency_maps"] == "Your code took longer than 5 seconds."
    assert "MemoryError" in explanations["make_fooling_image"]
    assert found["create_class_visualization"] == "did not finish"


@pytest.mark.slow
@pytest.mark.parametrize("isolated", [False, pytest.param(True, marks=needs_bubblewrap)])
def test_cheats_get_no_points(tmp_path, isolated):
    """Patched comparisons, forged messages and a crash change no mark, with a sandbox or without."""
    found, explanations = grade(notebooks.CHEAT, tmp_path, isolated=isolated)
    assert found["compute_saliency_maps"] == "all zero"
    assert explanations["make_fooling_image"] == "Your code sent what is no result."
    assert explanations["create_class_visualization"] == "Your code ended the process by SIGSEGV."


# --- The parts ---


def names_of(statements):
    """Return the statements' first lines."""
    return [cells.ast.unparse(statement.node).splitlines()[0] for statement in statements]


def test_only_what_functions_need_is_run():
    """Helpers, constants and imports are found through one another; the rest is left out."""
    statements, problems = cells.parse_cells(
        [
            "import os, tensorflow as tf\nimport json\nlimit = 3\nlimit += 1\nother = undefined()",
            "%matplotlib inline\n!wget somewhere\nfiles = !ls\ndef helper(x):\n    return tf.abs(x) % limit",
            "%%bash\nrm -rf /",
            "%%time\ndef task(x):\n    return helper(x)\ntask(3)\nprint(task(4))",
            "def broken(",
            "tf.reset_default_graph()",
        ]
    )
    assert problems == ["Cell 5 is not Python: '(' was never closed (cell 5, line 1)."]
    assert names_of(cells.select(statements, {"task"})) == [
        "import os, tensorflow.compat.v1 as tf",
        "limit = 3",
        "limit += 1",
        "def helper(x):",
        "def task(x):",
        "tf.reset_default_graph()",
    ]


def test_names_inside_of_functions_need_nothing():
    """A trial that assigns to a name which a function uses for itself, too, is left out."""
    statements, _ = cells.parse_cells(
        [
            "scale = 2\ndef task(X):\n    for t in range(3):\n        X = X * t * scale\n    return X",
            "X = task(3)",
            "for t in range(10**9):\n    show(t)",
        ]
    )
    assert names_of(cells.select(statements, {"task"})) == ["scale = 2", "def task(X):"]


def test_what_fills_a_needed_list_is_needed():
    """A list, dictionary or set is found with the calls that fill it, in loops, too."""
    sources = [
        "found, other = [], []\nfound.append(1)\nother.append(2)\nfor i in range(2):\n    found.extend([i])"
    ]
    statements, _ = cells.parse_cells([*sources, "def task():\n    return found"])
    namespace = {}
    cells.run(cells.select(statements, {"task"}), namespace)
    assert namespace["task"]() == [1, 0, 1]
    assert namespace["other"] == []


def test_a_statement_that_cannot_be_compiled_costs_itself_only():
    """`global` after an argument of that name parses, and is no Python all the same; its neighbours are."""
    statements, problems = cells.parse_cells(["def bad(x):\n    global x\ndef good():\n    return 3"])
    assert names_of(statements) == ["def good():"]
    assert problems == ["Cell 1 is not Python: name 'x' is parameter and global (cell 1, line 2)."]


def test_a_failing_statement_does_not_stop_the_others():
    """What fails is told, and what stands below it still runs."""
    statements, _ = cells.parse_cells(["a = 1\nb = missing\nc = a + 1"])
    namespace = {}
    problems = cells.run(statements, namespace)
    assert namespace["c"] == 2
    assert problems == [
        "Cell 1 failed with NameError: name 'missing' is not defined (in <module>, line 2: b = missing)."
    ]


def test_jobs_cross_unchanged(tmp_path):
    """Cells and arguments arrive as they were sent: arrays as arrays, numbers as numbers, lists as lists."""
    images = np.random.default_rng(0).normal(size=(2, 3, 4, 3)).astype(np.float32)
    case = Case("", (images, 7, [0.5, (images[0], True)]), {"rate": 0.1}, seed=5, way=ON_TENSORS)
    write_job(tmp_path, ["a = 1"], {"f": [case]})
    sources, calls = read_job(tmp_path)
    assert sources == ["a = 1"]
    (call,) = calls["f"]
    np.testing.assert_array_equal(call["arguments"][0], images)
    assert call["arguments"][1] == 7
    assert isinstance(call["arguments"][1], int)
    half, (first, flag) = call["arguments"][2]
    np.testing.assert_array_equal(first, images[0])
    assert (half, flag) == (0.5, True)
    assert (call["keywords"], call["seed"], call["way"]) == ({"rate": 0.1}, 5, ON_TENSORS)


def sent(tmp_path, *messages):
    """Return the bytes of messages, each a header and an observation."""
    with open(tmp_path / "pipe", "wb") as stream:
        for header, observation in messages:
            send(stream, header, observation)
    return (tmp_path / "pipe").read_bytes()


def test_observations_cross_unchanged_in_any_pieces(tmp_path):
    """Whatever pieces a pipe delivers, the messages come out whole and in order."""
    seen = Observation(np.eye(3), "ndarray", "", False, True, False, 412, 3, (np.ones((1, 2)),), 9, "why")
    data = sent(tmp_path, (STARTED, None), (SEEN, seen))
    receiver = Receiver()
    messages = [message for i in range(0, len(data), 7) for message in receiver.feed(data[i : i + 7])]
    assert [header["case"] for header, _ in messages] == [None, 0]
    received = messages[1][1]
    np.testing.assert_array_equal(received.result, seen.result)
    np.testing.assert_array_equal(received.fed[0], seen.fed[0])
    arrays = {"result", "fed"}
    for name in {field.name for field in dataclasses.fields(seen)} - arrays:
        assert getattr(received, name) == getattr(seen, name), name


def test_patched_numpy_hides_no_change(monkeypatch, random_model):
    """Whether an argument was changed is found by NumPy as it was before the learner's code ran."""
    model, _ = random_model

    def change(X, model):
        monkeypatch.setattr(np, "array_equal", lambda *arrays: True)
        X += 1
        return X

    assert observe(change, [np.zeros(3)], {}, model, seed=0).changed


def test_an_odd_exception_is_told(random_model):
    """An exception that can't be turned into text is told by its name, a long one is cut."""

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    def fail(error, model):
        raise error

    model, _ = random_model
    assert observe(fail, [Odd()], {}, model, seed=0).error.startswith("Odd (in fail, line")
    assert len(observe(fail, [ValueError("x" * 10**6)], {}, model, seed=0).error) < 1000


def test_text_from_the_child_is_one_harmless_line(tmp_path):
    """Escape sequences and line breaks of an error message do not reach the instructor's terminal."""
    data = sent(tmp_path, ({"function": "f"}, Observation(error="a\x1b[2J\nright 10/10\r" + "x" * 10**4)))
    ((_, seen),) = Receiver().feed(data)
    assert seen.error.isprintable()
    assert len(seen.error) <= 1000


class Exploit:
    """An object whose unpickling would write a file."""

    def __reduce__(self):
        """Say what to call."""
        return Path.touch, (Path("exploited"),)


def npy(array):
    """Return a `.npy` file's bytes, a pickle in it where the array holds objects."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def message(*arrays, **fields):
    """Return the bytes of a message with whatever is asked for in it."""
    observation = {
        "kind": "ndarray",
        "error": "",
        "operations": 0,
        "runs": 1,
        "num_fed": 0,
        "unsized_error": "",
        "has_result": True,
    }
    sizes = [len(array) for array in arrays]
    header = json.dumps({"sizes": sizes, "observation": observation | fields}).encode()
    return len(header).to_bytes(4, "big") + header + b"".join(arrays)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 100,
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x04null",
        len(b"[" * 60000).to_bytes(4, "big") + b"[" * 60000,
        message(pickle.dumps(Exploit())),
        message(npy(np.array([Exploit()], dtype=object))),
        message(npy(np.zeros(3)).replace(b"(3,)", b"(9,)")),
        message(npy(np.zeros(3)).replace(b"(3,), }", b"(3**99,)")),
        message(npy(np.array(["text"]))),
        message(npy(np.zeros(3))[:50]),
        message(npy(np.zeros(3)), runs=-1),
        message(npy(np.zeros(3)), runs=1e300),
        message(npy(np.zeros(3)), runs=True),
        message(npy(np.zeros(3)), error=["text"]),
        b'\x00\x00\x00\x18{"sizes":[9999999999999]}',
        b'\x00\x00\x00\x0e{"sizes":[-1]}',
    ],
)
def test_what_is_no_message_is_refused(data, tmp_path, monkeypatch):
    """Garbage, pickles, lying sizes and wrong types are a ValueError, and nothing of them is run."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"."):
        list(Receiver().feed(data))
    assert list(tmp_path.iterdir()) == []


STARTED, SEEN = {"function": "f", "case": None}, {"function": "f", "case": 0}
NEXT = {"function": "g", "case": None}


@pytest.mark.parametrize(
    ("messages", "seen", "failed"),
    [
        ([STARTED, SEEN, NEXT], {("f", 0)}, {"g"}),
        ([STARTED, NEXT], set(), {"f"}),
        ([NEXT, STARTED], set(), {"f", "g"}),
        ([STARTED, SEEN, SEEN], {("f", 0)}, {"g"}),
        ([STARTED, SEEN | {"case": 1}], set(), {"f"}),
        ([STARTED, SEEN | {"function": []}], set(), {"f"}),
        ([STARTED, SEEN | {"case": {}}], set(), {"f"}),
        ([STARTED, {"hello": 1}], set(), {"f"}),
        ([], set(), {"f", "g"}),
    ],
)
def test_only_the_message_that_comes_next_is_taken(messages, seen, failed, tmp_path, monkeypatch):
    """Whatever comes through the pipe, in whatever order, each function is either seen or failed."""
    data = sent(tmp_path, *((m, Observation() if m.get("case") is not None else None) for m in messages))

    def start(job, functions, isolated):
        receiving, sending = os.pipe()
        # The child that runs what is left ends at once.
        os.write(sending, data if functions == ["f", "g"] else b"")
        os.close(sending)
        return subprocess.Popen(["true"], start_new_session=True), receiving

    monkeypatch.setattr(sandbox, "start", start)
    case = Case("", (1,))
    recording = runner.record([], {"f": [case], "g": [case]}, timeout=5, isolated=False)
    assert set(recording.seen) == seen
    assert failed <= set(recording.failures)
    assert {name for name, _ in recording.seen} | set(recording.failures) == {"f", "g"}


@needs_bubblewrap
def test_sandbox_hides_the_repository_wherever_it_is(tmp_path, monkeypatch):
    """In a repository below a folder that has to be seen, only the environment is left, if it is there."""
    monkeypatch.setattr(sandbox, "_SYSTEM", (*sandbox._SYSTEM, str(ROOT.parent)))
    command = [*sandbox._bubblewrap(tmp_path), "ls", "-A", str(ROOT)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(listed) <= {".venv"}


@needs_bubblewrap
def test_sandbox_is_writable_in_one_small_folder_only(tmp_path):
    """Even its owner can write to /tmp alone: what else is written would take the machine's memory."""
    script = "for d in / /dev /dev/shm /job /usr /tmp; do touch $d/x 2>/dev/null && echo $d; done; true"
    command = [*sandbox._bubblewrap(tmp_path), "sh", "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["/tmp"]


def test_child_gets_no_answers(tmp_path):
    """The solutions, the checks and the gradient in one call are not in the child's copy of the kit."""
    sandbox.copy_kit(tmp_path)
    copied = {str(path.relative_to(tmp_path / "kit")) for path in tmp_path.rglob("*.py")}
    assert "cs231n/classifiers/squeezenet.py" in copied
    hidden = (
        "net_visualization",
        "gradients",
        "attribution",
        "checks/",
        "vis/",
        "cli",
        "grader",
        "style_transfer",
    )
    assert not [name for name in copied for word in hidden if word in name]


# --- What a student hands in ---


def test_archive_holds_the_files_and_their_hashes(tmp_path):
    """The manifest lists each file's SHA-256 and size; the same files make the same archive."""
    write_notebook(tmp_path / "b.ipynb", ["b = 1"])
    write_notebook(tmp_path / "a.ipynb", ["a = 1"])
    paths = [tmp_path / "b.ipynb", tmp_path / "a.ipynb"]
    archive.write_submission(paths, tmp_path / "one.zip")
    archive.write_submission(paths[::-1], tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        assert file.namelist() == ["a.ipynb", "b.ipynb", "manifest.json"]
        listed = json.loads(file.read("manifest.json"))["files"]
        for path in paths:
            data = file.read(path.name)
            assert data == path.read_bytes()
            assert listed[path.name] == {"sha256": sha256(data).hexdigest(), "bytes": len(data)}


def test_archive_refuses_two_files_of_one_name(tmp_path):
    """There are no folders in the archive, so one of two files of the same name would be lost."""
    (tmp_path / "folder").mkdir()
    paths = [write_notebook(folder / "a.ipynb", []) for folder in (tmp_path, tmp_path / "folder")]
    with pytest.raises(ValueError, match="same name"):
        archive.write_submission(paths, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.slow
def test_submission_is_packed_though_not_all_is_right(tmp_path):
    """What is not right is told, and the exit code says so; the archive is written all the same."""
    write_notebook(tmp_path / "mine.ipynb", notebooks.BROKEN)
    done = run("submission", "mine.ipynb", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "not done yet" in done.stdout
    with zipfile.ZipFile(tmp_path / "submission.zip") as file:
        assert file.namelist() == ["mine.ipynb", "manifest.json"]
