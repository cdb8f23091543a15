"""Call a learner's function and record what it does.

Both the checks in the notebook and the grader's child process use this. It knows no answers.
"""

from __future__ import annotations

import contextlib
import linecache
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from cs231n.quiet_tensorflow import tf

_MAX_TEXT = 300
_MAX_FED = 4
_KIT = str(Path(__file__).parent)
# TensorFlow tells the reason after the place in the graph and before the place in the program.
_REASON = re.compile(r"^Graph execution error:.*?^Node: [^\n]*\n(?P<reason>[^\n]*)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Observation:
    """What a learner's function did when it was called twice with the same arguments.

    Attributes
    ----------
    result : ndarray or None
        What the first call returned, if it was numbers.
    kind : str
        The type of what it returned: "ndarray", "Tensor", "NoneType", ...; "missing" if there is no function.
    error : str
        The exception's name, its message and the line it came from, or why there is no function; empty if
        all went well.
    is_stub : bool
        Whether the learner's own lines raised NotImplementedError, as those do that wait to be written.
    changed : bool
        Whether the arrays that were passed in were other ones afterwards.
    repeatable : bool
        Whether the second call returned the same.
    operations : int
        How many operations the second call added to the graph.
    runs : int
        How often the second call ran a session.
    fed : tuple of ndarray
        The first images that the second call showed to the network, without repetitions.
    num_fed : int
        How many it showed in all.
    """

    result: np.ndarray | None = None
    kind: str = "NoneType"
    error: str = ""
    is_stub: bool = False
    changed: bool = False
    repeatable: bool = True
    operations: int = 0
    runs: int = 0
    fed: tuple[np.ndarray, ...] = ()
    num_fed: int = 0


def observe(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    model: Any,
    seed: int,
) -> Observation:
    """Call ``function(*arguments, model, **keywords)`` twice and return what it did.

    Exceptions are caught, `sys.exit` too; Ctrl-C is not.

    Parameters
    ----------
    function : callable
    arguments : sequence of arrays and numbers
        Each call gets copies.
    keywords : mapping
    model : SqueezeNet
    seed : int
        What NumPy's global generator is seeded with before each call. It is put back afterwards.
    """
    state = np.random.get_state()  # noqa: NPY002  the notebook's functions draw from it
    try:
        first, changed = _call(function, arguments, keywords, model, seed)
        operations = len(model.graph.get_operations())
        with _watched_sessions(model.image) as watched:
            second, _ = _call(function, arguments, keywords, model, seed)
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        is_stub = isinstance(error, NotImplementedError) and not _is_library(last.filename)
        return Observation(error=describe_error(error), is_stub=is_stub)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    result = as_numbers(first)
    return Observation(
        result,
        kind=_kind(first),
        changed=changed,
        repeatable=_agree(result, as_numbers(second)),
        operations=len(model.graph.get_operations()) - operations,
        runs=watched.runs,
        fed=tuple(watched.fed),
        num_fed=watched.num_fed,
    )


def as_numbers(value: Any) -> np.ndarray | None:
    """Return an array, or a list that NumPy can make one of, as an array of numbers; None for all else."""
    if not isinstance(value, np.ndarray | list | tuple | np.number):
        return None
    try:
        array = np.asarray(value)
    except Exception:  # what a list holds may raise whatever it likes
        return None
    return array if array.dtype.kind in "fiub" else None


def describe_error(error: BaseException) -> str:
    """Return an exception's name, what its message says in one line, and the learner's line it came from."""
    reason = _REASON.search(str(error))
    lines = [reason["reason"]] if reason else str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
    if len(text) > _MAX_TEXT:
        text = f"{text[: _MAX_TEXT - 1]}…"
    stack = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in stack if not _is_library(frame.filename)]
    if not frames:
        return text
    code = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    return f"{text} (in {frames[-1].name}, line {frames[-1].lineno}{f': {code}' if code else ''})"


def _call(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    model: Any,
    seed: int,
) -> tuple[Any, bool]:
    """Return the function's result for copies of the arguments, and whether it changed these."""
    copies = [np.copy(value) if isinstance(value, np.ndarray) else value for value in arguments]
    np.random.seed(seed)  # noqa: NPY002
    with model.graph.as_default():
        result = function(*copies, model, **keywords)
    changed = not all(map(np.array_equal, copies, arguments))
    # A result that is one of the arguments must not change with it.
    return (result.copy() if isinstance(result, np.ndarray) else result), changed


class _Watched:
    """What went through the sessions: how many runs, and which images one after the other."""

    def __init__(self, placeholder: tf.Tensor) -> None:
        self.placeholder = placeholder
        self.runs = self.num_fed = 0
        self.fed: list[np.ndarray] = []
        self._last: np.ndarray | None = None

    def note(self, feed: Any) -> None:
        """Note a run and its image; the last one again, for scores and gradient apart, counts as one."""
        self.runs += 1
        image = as_numbers(feed.get(self.placeholder)) if isinstance(feed, Mapping) else None
        if image is None or np.array_equal(image, self._last):
            return
        self._last = image.copy()
        self.num_fed += 1
        if len(self.fed) < _MAX_FED:
            self.fed.append(self._last)


@contextlib.contextmanager
def _watched_sessions(placeholder: tf.Tensor) -> Iterator[_Watched]:
    """Watch what is run in any session."""
    watched = _Watched(placeholder)

    def watching(run: Callable[..., Any]) -> Callable[..., Any]:
        def watched_run(
            self: Any, fetches: Any, feed_dict: Any = None, *arguments: Any, **keywords: Any
        ) -> Any:
            watched.note(feed_dict)
            return run(self, fetches, feed_dict, *arguments, **keywords)

        return watched_run

    with contextlib.ExitStack() as stack:
        for kind in (tf.Session, tf.InteractiveSession):
            stack.enter_context(mock.patch.object(kind, "run", watching(kind.run)))
        yield watched


def _kind(value: Any) -> str:
    """Return the name of a value's type; "Tensor" for all of TensorFlow's, and for a list that holds one."""
    values = value if isinstance(value, list | tuple) else [value]
    return "Tensor" if any(map(tf.is_tensor, values)) else type(value).__name__


def _agree(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Tell whether two results are the same up to rounding; NaN is the same as NaN."""
    if first is None or second is None or first.shape != second.shape:
        return first is None and second is None
    scale = np.max(np.abs(first), initial=0, where=np.isfinite(first))
    return np.allclose(first, second, rtol=0, atol=1e-3 * scale, equal_nan=True)


def _is_library(filename: str) -> bool:
    """Tell whether a file of a traceback is not the learner's: the kit's, an installed or a standard one."""
    return "site-packages" in filename or filename.startswith((_KIT, f"{sys.base_prefix}/lib", "<frozen"))
