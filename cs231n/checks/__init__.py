"""Checks that tell learners what is wrong: `check_saliency_maps(compute_saliency_maps)`."""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable, Iterator
from typing import Any

from cs231n.checks import attribution, class_visualization, fooling, saliency, style
from cs231n.checks.report import Report
from cs231n.checks.task import Task, Verdict, Workings, judge
from cs231n.observation import observe
from cs231n.quiet_tensorflow import tf

ASSIGNMENTS: dict[str, tuple[Task, ...]] = {
    "NetworkVisualization": (saliency.TASK, fooling.TASK, class_visualization.TASK),
    "BeyondSaliency": attribution.TASKS,
    "StyleTransfer": style.TASKS,
}
"""Each notebook's tasks, in their order."""

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


def check_smoothgrad(
    function: Callable[..., Any], model: Any = None, sess: tf.Session | None = None
) -> Report:
    """Say whether a learner's `smoothgrad` is right, and if not, what was done.

    Parameters, result and errors are those of `check_saliency_maps`; the function is called with
    (X, y, epsilon, model, level=...).
    """
    return check(attribution.SMOOTHGRAD, function, model, sess)


def check_integrated_gradients(
    function: Callable[..., Any], model: Any = None, sess: tf.Session | None = None
) -> Report:
    """Say whether a learner's `integrated_gradients` is right, and if not, what was done.

    Parameters, result and errors are those of `check_saliency_maps`; the function is called with
    (X, y, baseline, model, steps=...).
    """
    return check(attribution.INTEGRATED_GRADIENTS, function, model, sess)


def check_completeness_error(
    function: Callable[..., Any], model: Any = None, sess: tf.Session | None = None
) -> Report:
    """Say whether a learner's `completeness_error` is right, and if not, what was done.

    Parameters, result and errors are those of `check_saliency_maps`; the function is called with
    (attributions, X, y, baseline, model).
    """
    return check(attribution.COMPLETENESS, function, model, sess)


def check_guided_rule(function: Callable[..., Any]) -> Report:
    """Say whether a learner's `guided_rule` is right, and if not, what was done.

    Parameters
    ----------
    function : callable (op, gradient) -> tensor

    Returns
    -------
    Report
        As of `check_saliency_maps`.

    Raises
    ------
    ValueError
        If `function` is none.
    """
    return check(attribution.GUIDED_BACKPROP, function)


def check_rank_correlation(function: Callable[..., Any]) -> Report:
    """Say whether a learner's `rank_correlation` is right, and if not, what was done.

    Parameter, result and errors are those of `check_guided_rule`; the function is called with two maps,
    (a, b).
    """
    return check(attribution.RANK_CORRELATION, function)


def check_content_loss(function: Callable[..., Any]) -> Report:
    """Say whether a learner's `content_loss` is right, and if not, what was done.

    Parameter, result and errors are those of `check_guided_rule`; the function is called with
    (content_weight, content_current, content_original).
    """
    return check(style.CONTENT_LOSS, function)


def check_gram_matrix(function: Callable[..., Any]) -> Report:
    """Say whether a learner's `gram_matrix` is right, and if not, what was done.

    Parameter, result and errors are those of `check_guided_rule`; the function is called with
    (features), and with `normalize`.
    """
    return check(style.GRAM_MATRIX, function)


def check_style_loss(function: Callable[..., Any]) -> Report:
    """Say whether a learner's `style_loss` is right, and if not, what was done.

    Parameter, result and errors are those of `check_guided_rule`; the function is called with
    (feats, style_layers, style_targets, style_weights).
    """
    return check(style.STYLE_LOSS, function)


def check_tv_loss(function: Callable[..., Any]) -> Report:
    """Say whether a learner's `tv_loss` is right, and if not, what was done.

    Parameter, result and errors are those of `check_guided_rule`; the function is called with
    (img, tv_weight).
    """
    return check(style.TV_LOSS, function)


def check(
    task: Task, function: Callable[..., Any], model: Any = None, sess: tf.Session | None = None
) -> Report:
    """Return the report on a learner's function; the parameters are those of `check_saliency_maps`."""
    if not callable(function):
        raise ValueError(
            f"The check takes the function itself and got {type(function).__name__}: pass {task.function}, "
            "without calling it."
        )
    workings = _find_workings(function, model, sess) if task.needs_model else None
    cases = task.make_cases(workings, _SEED)
    model = workings.model if workings else None
    with _silence():
        verdict: Verdict = judge(
            task,
            cases,
            lambda case: observe(function, case.arguments, case.keywords, model, case.seed, case.way),
            workings,
        )
    return Report(verdict)


def _find_workings(function: Callable[..., Any], model: Any, sess: tf.Session | None) -> Workings:
    """Return the workings of a model and session, by default those that the function itself sees."""
    names = getattr(inspect.unwrap(function), "__globals__", {})
    model = names.get("model") if model is None else model
    if model is None:
        raise ValueError("There is no global `model`; run the cell that loads it, or pass model=.")
    return Workings(model, names.get("sess") if sess is None else sess)


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
