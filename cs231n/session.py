"""TensorFlow sessions: which one to run in, and what to say when there is none."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from cs231n.progress import progress_bar
from cs231n.quiet_tensorflow import tf

DEFAULT_BATCH_SIZE = 8
"""Images per run of a session: more gain nothing in speed and cost memory."""

_CALLERS = min(8, os.cpu_count() or 1)
_num_callers: ContextVar[int] = ContextVar("num_callers", default=_CALLERS)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def num_callers() -> int:
    """Return how many threads call a session at once: one for each processor, at most eight."""
    return _num_callers.get()


@contextlib.contextmanager
def callers(num: int) -> Iterator[None]:
    """Let so many threads call a session at once, in a `with` statement; it holds for this thread alone."""
    token = _num_callers.set(num)
    try:
        yield
    finally:
        _num_callers.reset(token)


def require_graph_mode(what: str) -> None:
    """Raise ValueError with a sentence if operations would now run eagerly and not go into a graph."""
    if tf.executing_eagerly():
        raise ValueError(
            f"{what} is built into a static graph, but TensorFlow is in eager mode; call "
            "tf.disable_v2_behavior() right after `import tensorflow.compat.v1 as tf`."
        )


def choose_session(graph: tf.Graph, *candidates: tf.Session | None) -> tf.Session:
    """Return the first session given, else the default session, after checking that it fits `graph`.

    Parameters
    ----------
    graph : tf.Graph
        The graph whose tensors are to be run.
    *candidates : tf.Session or None
        Sessions in order of preference; None means: not given.

    Raises
    ------
    ValueError
        If there is no session, or the one chosen runs another graph.
    """
    given = [sess for sess in candidates if sess is not None]
    sess = given[0] if given else tf.get_default_session()
    if sess is None:
        raise ValueError("No session to run in; pass sess=, or call inside `with sess.as_default():`.")
    if sess.graph is not graph:
        raise ValueError(
            "The session runs another graph than the one the model was built in; make the session and the "
            "model in the same graph, both after tf.reset_default_graph()."
        )
    return sess


def run(sess: tf.Session, fetches: Any, feed: Mapping[tf.Tensor, np.ndarray]) -> Any:
    """Run `fetches` in `sess`; TensorFlow's usual complaints become sentences.

    Raises
    ------
    ValueError
        If a variable has no value yet, the graph cannot compute what is fed, or the session is closed.
    MemoryError
        If the images of one run do not fit into memory.
    """
    try:
        return sess.run(fetches, feed_dict=feed)
    except tf.errors.FailedPreconditionError as error:
        raise ValueError(
            f"The network has no weights in this session ({_reason(error)}); load them, for a SqueezeNet "
            "with SqueezeNet(save_path=..., sess=sess), or run tf.global_variables_initializer() for random "
            "ones."
        ) from error
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(
            f"The network cannot compute this ({_reason(error)}); check what is fed: images, labels and any "
            "other placeholder."
        ) from error
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(
            "The images of one run need more memory than there is; lower batch_size."
        ) from error
    except RuntimeError as error:
        if "closed" not in str(error).lower():
            raise
        raise ValueError("The session is closed; make a new one and load the model into it.") from error


def _reason(error: tf.errors.OpError) -> str:
    """Return the part of TensorFlow's message that says what went wrong, without where and how."""
    around = ("Graph execution error", "Detected at node", "Node:", " ", "\t")
    lines = [line for line in error.message.splitlines() if line and not line.startswith(around)]
    return lines[0].split(". ")[0] if lines else type(error).__name__


def run_in_batches(
    sess: tf.Session, fetches: Sequence[tf.Tensor], feeds: Mapping[tf.Tensor, np.ndarray], batch_size: int
) -> list[np.ndarray]:
    """Run `fetches` on a few images at a time and return each one's results, joined along the first axis.

    Several threads call the session at once, each with images of its own: that takes three quarters of the
    time of one caller whose operations are spread over the same processors.

    Parameters
    ----------
    sess : tf.Session
    fetches : sequence of tensors, shape (N, ...)
    feeds : mapping of placeholders to arrays, shape (N, ...)
        All of the same length N, which is at least 1; they are cut alike.
    batch_size : int
        The most images per run; fewer, if some threads would have none.

    Raises
    ------
    ValueError
        As `run`.
    """
    n = len(next(iter(feeds.values())))
    size = min(batch_size, -(-n // num_callers()))

    def run_part(start: int) -> list[np.ndarray]:
        part = slice(start, start + size)
        return run(sess, list(fetches), {key: array[part] for key, array in feeds.items()})

    starts = range(0, n, size)
    if len(starts) == 1:
        return run_part(0)
    batches = []
    with progress_bar(n, "image") as bar, ThreadPoolExecutor(min(num_callers(), len(starts))) as pool:
        try:
            for batch in pool.map(run_part, starts):
                batches.append(batch)
                bar.update(len(batch[0]))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [np.concatenate(results) for results in zip(*batches, strict=True)]


def in_batches(items: Iterable[_Item], batch_size: int) -> Iterator[list[_Item]]:
    """Yield lists of `batch_size` items, the last one shorter if need be; none is made before it is due."""
    items = iter(items)
    while batch := list(itertools.islice(items, batch_size)):
        yield batch


def run_ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[tuple[_Item, _Result]]:
    """Yield each item with what `function` returns for it, in order; the next few are worked on meanwhile.

    This is for more input than fits in memory: `function` runs a batch in the session, in threads as in
    `run_in_batches`, while the caller makes the next batch and deals with the last results.
    """
    num = num_callers()
    with ThreadPoolExecutor(num) as pool:
        waiting = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) > num:
                    item, result = waiting.popleft()
                    yield item, result.result()
            for item, result in waiting:
                yield item, result.result()
        finally:
            pool.shutdown(cancel_futures=True)


def assign(sess: tf.Session, variables: Sequence[tf.Variable], values: Sequence[np.ndarray]) -> None:
    """Give `variables` new values in `sess` without adding an operation to the graph.

    Each variable's own initialiser is run, with its initial value fed.
    """
    with sess.graph.as_default():  # the initial values can be asked for in graph mode only
        feed = {variable.initial_value: value for variable, value in zip(variables, values, strict=True)}
    sess.run([variable.initializer for variable in variables], feed_dict=feed)
