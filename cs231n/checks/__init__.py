"""Checks that tell learners what is wrong: `check_saliency_maps(compute_saliency_maps)`."""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable, Iterator
from typing import Any

from cs231n.checks import class_visualization, fooling, saliency
from cs231n.checks.report import Report
from cs231n.checks.task import Task, Verdict, Workings, judge
from cs231n.observation import observe
from cs231n.quiet_tensorflow import tf

TASKS: tuple[Task, ...] = (saliency.TASK, fooling.TASK, class_visualization.TASK)
"""All tasks, in the order of the notebook."""

_SEED = 231


def check_saliency_maps(
    function: Callable[..., Any], model: Any = None, sess: tf.Session | None = None
) -> Report:
    """Say whether a learner's `compute_saliency_maps` is right, and if not, what was done.

    Parameters
    ----------
    function : callable (X, y, model) -> maps
    model : SqueezeNet, optional
        Default: the global `model` that the function itself sees.
    sess : tf.Session, optional
        Default: the global `sess` that the function itself sees, else the model's session.

    Returns
    -------
    Report
        Shown by the notebook if it is a cell's last value; `print` shows the text.

    Raises
    ------
    ValueError
        If `function` is none, or there is no model or no session.
    """
    return check(saliency.TASK, function, model, sess)


def check_fooling_image(
    function: Callable[..., Any], model: Any = None, sess: tf.Session | None = None
) -> Report:
    """Say whether a learner's `make_fooling_image` is right, and if not, what was done.

    Parameters, result and errors are those of `check_saliency_maps`; the function is called with
    (X, target_y, model).
    """
    return check(fooling.TASK, function, model, sess)


def check_class_visualization(
    function: Callable[..., Any], model: Any = None, sess: tf.Session | None = None
) -> Report:
    """Say whether a learner's `create_class_visualization` is right, and if not, what was done.

    Parameters, result and errors are those of `check_saliency_maps`; the function is called with
    (target_y, model, l2_reg=..., learning_rate=..., ...), after NumPy's global generator was seeded.
    """
    return check(class_visualization.TASK, function, model, sess)


def check(
    task: Task, function: Callable[..., Any], model: Any = None, sess: tf.Session | None = None
) -> Report:
    """Return the report on a learner's function; the parameters are those of `check_saliency_maps`."""
    if not callable(function):
        raise ValueError(
            f"The check takes the function itself and got {type(function).__name__}: pass {task.function}, "
            "without calling it."
        )
    names = getattr(inspect.unwrap(function), "__globals__", {})
    model = names.get("model") if model is None else model
    if model is None:
        raise ValueError("There is no global `model`; run the cell that loads it, or pass model=.")
    workings = Workings(model, names.get("sess") if sess is None else sess)
    cases = task.make_cases(workings, _SEED)
    with _silence():
        verdict: Verdict = judge(
            task,
            cases,
            lambda case: observe(function, case.arguments, case.keywords, model, case.seed),
            workings,
        )
    return Report(verdict)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hold back what a function prints and shows while it is checked."""
    from matplotlib import pyplot

    before = set(pyplot.get_fignums())
    try:
        with _captured():
            yield
    finally:
        for number in set(pyplot.get_fignums()) - before:
            pyplot.close(number)


def _captured() -> contextlib.AbstractContextManager:
    """Return a context in which nothing is printed or displayed."""
    try:
        from IPython import get_ipython
        from IPython.utils.capture import capture_output
    except ImportError:
        return contextlib.redirect_stdout(io.StringIO())
    return capture_output() if get_ipython() else contextlib.redirect_stdout(io.StringIO())
