"""Contenders in processes of their own, so that none shares threads, memory or settings with another."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
import traceback
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import psutil

PAUSE = 0.1
"""Seconds between two contenders, in which the threads of the last one stop to wait for more work."""


class Call(NamedTuple):
    """What one call took."""

    seconds: float
    memory: int
    """Of the process after the call, in bytes (resident set)."""


class Worker:
    """A process that makes an object and calls its methods on request.

    Parameters
    ----------
    kind : class
    *arguments
        What the object is made from.
    """

    def __init__(self, kind: type, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end, kind, arguments), daemon=True)
        self._process.start()
        end.close()

    def result(self, method: str, *arguments: Any) -> Any:
        """Return what a method of the object returns."""
        return self._ask(False, method, arguments, 1)

    def time(self, method: str, *arguments: Any, calls: int = 1) -> list[Call]:
        """Return what each of some calls in a row took; the transport of arguments is not counted."""
        return self._ask(True, method, arguments, calls)

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()

    def _ask(self, *request: Any) -> Any:
        self._connection.send(request)
        answer = self._connection.recv()
        if isinstance(answer, _Failure):
            raise RuntimeError(f"{self._process.name}:\n{answer.text}")
        return answer


@contextlib.contextmanager
def workers(kinds: Mapping[str, type], *arguments: Any) -> Iterator[dict[str, Worker]]:
    """Give a new worker for each class, by its name; they end with the block."""
    started = {name: Worker(kind, *arguments) for name, kind in kinds.items()}
    try:
        yield started
    finally:
        for worker in started.values():
            worker.close()


def alternate(
    contenders: Mapping[str, Worker], method: str, *arguments: Any, rounds: int, calls: int
) -> dict[str, list[float]]:
    """Time a method of all contenders in turn, round after round.

    Parameters
    ----------
    contenders : mapping of name to Worker
    method : str
    *arguments
        The same for all.
    rounds : int
        Each round starts with another contender.
    calls : int
        Per contender and round. The first call of a round is left out if others follow it: it finds the
        caches full of the other contenders' data.

    Returns
    -------
    dict of name to list of seconds
    """
    names = list(contenders)
    seconds = {name: [] for name in names}
    for worker in contenders.values():
        worker.time(method, *arguments)
    for start in range(rounds):
        for name in names[start % len(names) :] + names[: start % len(names)]:
            time.sleep(PAUSE)
            taken = contenders[name].time(method, *arguments, calls=calls)
            seconds[name] += [call.seconds for call in (taken[1:] or taken)]
    return seconds


class _Failure(NamedTuple):
    text: str


def _serve(connection: Connection, kind: type, arguments: tuple) -> None:
    served = None
    process = psutil.Process()
    with contextlib.suppress(EOFError):
        while True:
            timed, method, method_arguments, calls = connection.recv()
            try:
                served = kind(*arguments) if served is None else served
                function = getattr(served, method)
                if timed:
                    answer = [_time(function, method_arguments, process) for _ in range(calls)]
                else:
                    answer = function(*method_arguments)
            except Exception:
                answer = _Failure(traceback.format_exc())
            connection.send(answer)


def _time(function: Any, arguments: tuple, process: psutil.Process) -> Call:
    start = time.perf_counter()
    function(*arguments)
    return Call(time.perf_counter() - start, process.memory_info().rss)
