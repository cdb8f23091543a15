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
"""Seconds that Python, TensorFlow and the network may take to start, on a busy machine."""


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
        Seconds for each case, and for the cells above it.
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
            started, failure = _run_child(job, waiting, cases, timeout, isolated, recording)
            if failure is None:
                break
            if not started:
                recording.failures |= dict.fromkeys(waiting, failure)
                break
            recording.failures[started[-1]] = failure
            waiting = [name for name in waiting if name not in started]
    return recording


def _run_child(
    job: Path,
    functions: Sequence[str],
    cases: Mapping[str, Sequence[Case]],
    timeout: float,
    isolated: bool,
    recording: Recording,
) -> tuple[list[str], str | None]:
    """Run one child; return the functions that it started, and how it ended if not as it should."""
    started: list[str] = []
    missing = {(name, number) for name in functions for number in range(len(cases[name]))}
    process, pipe = sandbox.start(job, functions, isolated)
    try:
        receiver, received, deadline = Receiver(), 0, time.monotonic() + _START + timeout
        while missing:
            if not select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
                return started, f"took longer than {timeout:g} seconds"
            data = os.read(pipe, 2**20)
            received += len(data)
            if not data:
                return started, _describe_end(process)
            if received > _MAX_BYTES:
                return started, "returned more than can be taken"
            for message, observation in receiver.feed(data):
                deadline = time.monotonic() + timeout
                if message.get("started") in functions:
                    started.append(message["started"])
                key = (message.get("function"), message.get("case"))
                if observation is not None and key in missing:
                    missing.remove(key)
                    recording.seen[key] = observation
    except ValueError:
        return started, "sent what is no result"
    finally:
        os.close(pipe)
        sandbox.stop(process)
    return started, None


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
