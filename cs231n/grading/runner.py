"""Run a notebook's functions in child processes and collect what they did."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cs231n.checks.task import Case
from cs231n.grading import sandbox
from cs231n.grading.transport import Receiver, write_job
from cs231n.observation import Observation

_MAX_BYTES = 512 * 2**20
_START = 60
"""Seconds that Python and TensorFlow may take to start, on a busy machine."""
_TICK = 0.5
"""Seconds between two looks at how much memory a child uses."""


@dataclass
class Recording:
    """What a notebook's functions did.

    Attributes
    ----------
    seen : dict of (function, number of the case) to Observation
    failures : dict of function to str
        Why the process ended while the function ran, for those with which it did.
    """

    seen: dict[tuple[str, int], Observation] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def record(
    cells: Sequence[str], cases: Mapping[str, Sequence[Case]], timeout: float, isolated: bool
) -> Recording:
    """Run a notebook's functions and return what they did.

    A function with which the child process ends or is ended loses its own result only: a new child runs
    those after it.

    Parameters
    ----------
    cells : sequence of str
        The notebook's code.
    cases : mapping of a function's name to its cases
    timeout : float
        Seconds for each case, and for the cells that a function needs.
    isolated : bool
        Whether to use bubblewrap.
    """
    recording = Recording()
    with tempfile.TemporaryDirectory(prefix="cs231n-grading-") as folder:
        job = Path(folder) / "job"
        job.mkdir()
        sandbox.copy_kit(job)
        write_job(job, cells, cases)
        waiting = list(cases)
        while waiting:
            running, failure = _run_child(job, waiting, cases, timeout, isolated, recording)
            if failure is None:
                break
            if running is None:
                recording.failures |= dict.fromkeys(waiting, failure)
                break
            recording.failures[running] = failure
            waiting = waiting[waiting.index(running) + 1 :]
    return recording


def _run_child(
    job: Path,
    functions: Sequence[str],
    cases: Mapping[str, Sequence[Case]],
    timeout: float,
    isolated: bool,
    recording: Recording,
) -> tuple[str | None, str | None]:
    """Run one child; return the function that it was at when it ended, and how it ended if not as it should.

    The messages must come in the order in which the functions are run, so what the learner's code adds to
    them ends the function that it was added in.
    """
    expected = [(name, number) for name in functions for number in (None, *range(len(cases[name])))]
    process, pipe = sandbox.start(job, functions, isolated)
    place = 0

    def end(failure: str | None) -> tuple[str | None, str | None]:
        return (expected[place][0] if 0 < place < len(expected) else None), failure

    try:
        receiver, received = Receiver(), 0
        now = time.monotonic()
        deadline, next_look = now + _START, now + _TICK
        while place < len(expected):
            ready = select.select([pipe], [], [], _TICK)[0]
            now = time.monotonic()
            if now > deadline:
                return end(f"took longer than {timeout:g} seconds")
            if now > next_look:
                if sandbox.measure_memory(process) > sandbox.MEMORY:
                    return end(f"used more than {sandbox.MEMORY >> 30} GB of memory")
                next_look = now + _TICK
            if not ready:
                continue
            data = os.read(pipe, 2**20)
            received += len(data)
            if not data:
                return end(_describe_end(process))
            if received > _MAX_BYTES:
                return end("returned more than can be taken")
            for message, observation in receiver.feed(data):
                _take(message, observation, expected[place], recording)
                place += 1
                # Only what was waited for gives more time.
                deadline = time.monotonic() + timeout
                if place == len(expected):
                    break
    except ValueError:
        return end("sent what is no result")
    finally:
        os.close(pipe)
        sandbox.stop(process)
    return end(None)


def _take(
    message: Mapping[str, object],
    observation: Observation | None,
    expected: tuple[str, int | None],
    recording: Recording,
) -> None:
    """Note the message that is expected next; any other is a ValueError."""
    name, number = expected
    if (message.get("function"), message.get("case")) != expected or (observation is None) != (
        number is None
    ):
        raise ValueError("This is not the message that comes next.")
    if observation is not None:
        recording.seen[name, number] = observation


def _describe_end(process: subprocess.Popen) -> str:
    """Return how a child ended that closed its pipe before it was done."""
    try:
        code = process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return "closed the connection to the grader"
    if code > 128:  # a shell's way to name a signal, and bubblewrap's
        code = 128 - code
    if code < 0:
        try:
            return f"ended the process by {signal.Signals(-code).name}"
        except ValueError:
            pass
    return f"ended the process with exit code {code}"
