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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from cs231n.quiet_tensorflow import tf

ON_ARRAYS, ON_ARRAYS_ALONE = "on arrays", "on arrays alone"
ON_TENSORS, AS_RELU_RULE = "on tensors", "as ReLU rule"
"""Ways to call a function: see `observe`."""

_MAX_TEXT = 300
_MAX_FED = 4
_SYMBOLIC = "Cannot convert a symbolic"
"""What TensorFlow says when NumPy is given a tensor of a graph."""
_KIT = str(Path(__file__).parent)
# As they are now: a learner may put others into NumPy.
_array_equal, _allclose = np.array_equal, np.allclose
# TensorFlow tells the reason after the place in the graph and before the place in the program.
_REASON = re.compile(r"^Graph execution error:.*?^Node: [^\n]*\n(?P<reason>[^\n]*)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Observation:
    """What a learner's function did when it was called.

    Attributes
    ----------
    result : ndarray or None
        What the first call returned, if it was numbers; of functions on tensors, what all calls' tensors
        came to, as `stack` puts it together.
    kind : str
        The type of what it returned: "ndarray", "Tensor", "NoneType", ...; "numbers" if it was to return a
        tensor and computed by NumPy or ran the session; "missing" if there is no function.
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
        How many operations the second call added to the graph; of functions on tensors, how many more it
        added than the first.
    runs : int
        How often the second call ran a session.
    fed : tuple of ndarray
        The first images that the second call showed to the network, without repetitions.
    num_fed : int
        How many it showed in all.
    unsized_error : str
        Of functions on tensors, what they raise where height and width are not known; empty if nothing.
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
    unsized_error: str = ""


def observe(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    model: Any,
    seed: int,
    way: str = ON_ARRAYS,
) -> Observation:
    """Call a function and return what it did.

    Exceptions are caught, `sys.exit` too; Ctrl-C is not.

    Parameters
    ----------
    function : callable
    arguments : sequence
        Arrays and numbers, of which each call gets copies. For functions on tensors: of each call its
        arguments, arrays, numbers and lists of these.
    keywords : mapping
    model : SqueezeNet
    seed : int
        What NumPy's global generator is seeded with before each call. It is put back afterwards.
    way : str
        `ON_ARRAYS`: ``function(*arguments, model, **keywords)``, twice. `ON_ARRAYS_ALONE`: likewise without
        the model. `ON_TENSORS`: once for each of `arguments`, with tensors in the place of arrays, in a graph
        of its own; the tensors that it returns are run. `AS_RELU_RULE`: likewise, ``function(op, gradient)``
        with a ReLU of the first array. Keywords and seed are for functions on arrays, the model is for
        `ON_ARRAYS`.
    """
    if way == ON_TENSORS:
        return _observe_on_tensors(function, arguments)
    if way == AS_RELU_RULE:
        return _observe_on_tensors(lambda z, gradient: function(tf.nn.relu(z).op, gradient), arguments)
    state = np.random.get_state()  # noqa: NPY002  the notebook's functions draw from it
    try:
        if way == ON_ARRAYS_ALONE:
            return _observe_alone(lambda *copies: function(*copies, **keywords), arguments, seed)
        return _observe_with_model(
            lambda *copies: function(*copies, model, **keywords), arguments, model, seed
        )
    except (Exception, SystemExit) as error:
        return _failed(error)
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _observe_alone(function: Callable[..., Any], arguments: Sequence[Any], seed: int) -> Observation:
    """Return what a function of arrays did that needs no model."""
    return _seen_twice(*(_call(function, arguments, seed) for _ in range(2)))


def _observe_with_model(
    function: Callable[..., Any], arguments: Sequence[Any], model: Any, seed: int
) -> Observation:
    """Return what a function did that has a model's graph as the default one, and what it did to that."""
    with model.graph.as_default():
        first = _call(function, arguments, seed)
        operations = len(model.graph.get_operations())
        with _watched_sessions(model.image) as watched:
            second = _call(function, arguments, seed)
    return replace(
        _seen_twice(first, second),
        operations=len(model.graph.get_operations()) - operations,
        runs=watched.runs,
        fed=tuple(watched.fed),
        num_fed=watched.num_fed,
    )


def _seen_twice(first: tuple[Any, bool], second: tuple[Any, bool]) -> Observation:
    """Return what two calls of a function of arrays come to, each as `_call` returned it."""
    (returned, changed), (again, _) = first, second
    result = as_numbers(returned)
    return Observation(
        result, kind=_kind(returned), changed=changed, repeatable=_agree(result, as_numbers(again))
    )


def stack(results: Sequence[npt.ArrayLike]) -> np.ndarray:
    """Return several calls' results as one array: stacked, or one after the other if their shapes differ."""
    arrays = [np.asarray(result) for result in results]
    if len({array.shape for array in arrays}) == 1:
        return np.stack(arrays)
    return np.concatenate([array.ravel() for array in arrays])


def as_numbers(value: Any) -> np.ndarray | None:
    """Return an array, or a list that NumPy can make one of, as an array of numbers; None for all else."""
    if not isinstance(value, np.ndarray | list | tuple | np.number | int | float) or isinstance(value, bool):
        return None
    try:
        array = np.asarray(value)
    except Exception:  # what a list holds may raise whatever it likes
        return None
    return array if array.dtype.kind in "fiub" else None


def describe_error(error: BaseException) -> str:
    """Return an exception's name, what its message says in one line, and the learner's line it came from."""
    try:
        message = str(error)
    except Exception:  # a learner's own kind of exception
        message = ""
    reason = _REASON.search(message)
    lines = [reason["reason"]] if reason else message.strip().splitlines()
    text = _shorten(f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": "))
    stack = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in stack if not _is_library(frame.filename)]
    if not frames:
        return text
    code = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    return f"{text} (in {frames[-1].name}, line {frames[-1].lineno}{f': {_shorten(code)}' if code else ''})"


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


class _RanSessionError(Exception):
    """Raised when a function runs a session that is only to build a tensor."""


def _observe_on_tensors(function: Callable[..., Any], calls: Sequence[Sequence[Any]]) -> Observation:
    """Return what a function did that was called with tensors of known size and of unknown size."""
    results, added = [], []
    try:
        for arguments in calls:
            returned, feed, operations = _build(function, arguments)
            if _kind(returned) != "Tensor":
                is_number = as_numbers(returned) is not None
                return Observation(kind="numbers" if is_number else _kind(returned))
            results.append(_run(returned, feed))
            added.append(operations)
    except (Exception, SystemExit) as error:
        is_number = isinstance(error, _RanSessionError) or _SYMBOLIC in str(error)
        return Observation(kind="numbers") if is_number else _failed(error)
    try:
        _build(function, calls[0], sized=False)
        unsized_error = ""
    except (Exception, SystemExit) as error:
        unsized_error = describe_error(error)
    more = max(0, added[1] - added[0]) if len(added) > 1 else 0
    return Observation(
        as_numbers(stack(results)), kind="Tensor", operations=more, unsized_error=unsized_error
    )


def _build(
    function: Callable[..., Any], arguments: Sequence[Any], sized: bool = True
) -> tuple[Any, dict[tf.Tensor, np.ndarray], int]:
    """Return what a function made of placeholders, what to feed these, and how many operations it added.

    If not `sized`, height and width of images are not known.
    """
    feed: dict[tf.Tensor, np.ndarray] = {}

    def make_tensor(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        shape = value.shape
        if value.ndim == 4 and not sized:
            shape = (shape[0], None, None, shape[3])
        tensor = tf.placeholder(value.dtype, shape)
        feed[tensor] = value
        return tensor

    graph = tf.Graph()
    with graph.as_default(), tf.Session(), contextlib.ExitStack() as stack:
        for kind in (tf.Session, tf.InteractiveSession):
            stack.enter_context(mock.patch.object(kind, "run", _refuse_to_run))
        tensors = tf.nest.map_structure(make_tensor, list(arguments))
        before = len(graph.get_operations())
        returned = function(*tensors)
        return returned, feed, len(graph.get_operations()) - before


def _refuse_to_run(*arguments: Any, **keywords: Any) -> None:
    raise _RanSessionError


def _run(returned: Any, feed: Mapping[tf.Tensor, np.ndarray]) -> np.ndarray:
    """Return what a tensor comes to; several of one shape are stacked."""
    graph = next(iter(feed)).graph
    with graph.as_default(), tf.Session() as sess:
        return sess.run(tf.convert_to_tensor(returned), feed)


def _failed(error: BaseException) -> Observation:
    """Return what was seen of a function that raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    is_stub = isinstance(error, NotImplementedError) and not _is_library(last.filename)
    return Observation(error=describe_error(error), is_stub=is_stub)


def _call(function: Callable[..., Any], arguments: Sequence[Any], seed: int) -> tuple[Any, bool]:
    """Return the function's result for copies of the arguments, and whether it changed these."""
    copies = [np.copy(value) if isinstance(value, np.ndarray) else value for value in arguments]
    np.random.seed(seed)  # noqa: NPY002
    result = function(*copies)
    changed = not all(map(_array_equal, copies, arguments))
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
        if image is None or _array_equal(image, self._last):
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
    return "Tensor" if any(map(tf.is_tensor, values)) else _shorten(type(value).__name__)


def _agree(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Tell whether two results are the same up to rounding; NaN is the same as NaN."""
    if first is None or second is None or first.shape != second.shape:
        return first is None and second is None
    scale = np.max(np.abs(first), initial=0, where=np.isfinite(first))
    return _allclose(first, second, rtol=0, atol=1e-3 * scale, equal_nan=True)


def _is_library(filename: str) -> bool:
    """Tell whether a file of a traceback is not the learner's: the kit's, an installed or a standard one."""
    return "site-packages" in filename or filename.startswith((_KIT, f"{sys.base_prefix}/lib", "<frozen"))
