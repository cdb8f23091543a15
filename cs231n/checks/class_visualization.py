"""The task of class visualisation, and what is done wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cs231n.checks import scores as other_scores
from cs231n.checks.task import Case, Mistake, Outcome, Task, Workings, distance
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import label_score
from cs231n.image_utils import blur_image, preprocess_image
from cs231n.net_visualization import BLACK, WHITE, create_class_visualization
from cs231n.quiet_tensorflow import tf

Penalty = Callable[[Workings, np.ndarray, int], np.ndarray]

_NUM_ITERATIONS = 2
# No more than that: once much of an image is black or white, rounding decides which way the next step goes.
_STEP, _SHRINKAGE = 0.03, 0.05
"""How far an iteration's ascent and its regulariser move the image, relative to its norm."""
# Five times float32's rounding of the brightest pixels, and a thirtieth of what right solutions may differ.
_NUM_NUDGES, _NUDGE, _STEADY = 2, 1e-6, 3e-5
_RANK = 3
"""Place of the class among the start image's scores: one that has a gradient, and is not the first choice."""


def make_cases(workings: Workings, seed: int) -> Iterator[Case]:
    """Yield a class and the arguments of a few iterations from a seeded start.

    No argument is at its default, which a learner may have written in its place; and the steps are so
    long that each part of the solution shows, whatever the size of the network's gradients. A start from
    which the path passes near a kink of the network, where right solutions that round differently part,
    is passed over.
    """
    rng = np.random.default_rng(seed)
    while True:
        case = _make_case(workings, int(rng.integers(2**31)))
        if _is_steady(workings, case, rng):
            yield case
            return


def _make_case(workings: Workings, seed: int) -> Case:
    """Return a case with the start that NumPy's global generator gives for a seed."""
    X = _draw_start(_seeded(seed))
    scores = workings.model.compute_scores(X, sess=workings.sess)[0]
    target = int(np.argsort(-scores)[_RANK])
    gradient = workings.differentiate(label_score, X, [target])[0]
    learning_rate = float(_STEP * np.linalg.norm(X) / np.linalg.norm(gradient))
    keywords = {
        "l2_reg": _SHRINKAGE / (2 * learning_rate),
        "learning_rate": learning_rate,
        "num_iterations": _NUM_ITERATIONS,
        "blur_every": 2,
        "max_jitter": 8,
        "show_every": 100,
    }
    return Case("", (target,), keywords, seed)


def _is_steady(workings: Workings, case: Case, rng: np.random.Generator) -> bool:
    """Tell whether other roundings of the steps lead to the same image."""
    expected = solve(workings, case).result
    for _ in range(_NUM_NUDGES):
        nudge = rng.normal(scale=_NUDGE, size=expected.shape)
        for sign in (1, -1):
            other = solve(workings, case, step=lambda g, rate, change=sign * nudge: rate * g + change).result
            if distance(TASK, case, other, expected) > _STEADY:
                return False
    return True


def compute_reference(workings: Workings, case: Case) -> np.ndarray:
    """Return the kit's image."""
    return create_class_visualization(
        *case.arguments, workings.model, seed=case.seed, sess=workings.sess, **case.keywords
    )


def solve(
    workings: Workings,
    case: Case,
    *,
    score: Callable[[SqueezeNet], tf.Tensor] = label_score,
    penalty: Penalty = lambda workings, X, target: 2 * X,
    step: Callable[[np.ndarray, float], np.ndarray] = lambda gradient, rate: rate * gradient,
    undo: Callable[[int], int] = lambda offset: -offset,
) -> Outcome:
    """Return the image, computed part by part.

    Parameters
    ----------
    workings : Workings
    case : Case
    score : function of the model
        What is raised.
    penalty : function (workings, X, target) -> ndarray
        The gradient of what is lowered, to be multiplied by `l2_reg`.
    step : function (gradient, learning_rate) -> ndarray
        What is added to the image.
    undo : function (offset) -> offset
        By how much the image is moved back.
    """
    (target,) = case.arguments
    l2_reg, rate = case.keywords["l2_reg"], case.keywords["learning_rate"]
    max_jitter, blur_every = case.keywords["max_jitter"], case.keywords["blur_every"]
    rng = _seeded(case.seed)
    X = _draw_start(rng)
    for t in range(_NUM_ITERATIONS):
        down, right = rng.randint(-max_jitter, max_jitter + 1, 2)
        X = np.roll(X, (down, right), axis=(1, 2))
        gradient = workings.differentiate(score, X, [target])[0]
        X = X + step(gradient - l2_reg * penalty(workings, X, target), rate)
        X = np.clip(np.roll(X, (undo(down), undo(right)), axis=(1, 2)), BLACK, WHITE)
        if t % blur_every == 0:
            X = blur_image(X, sigma=0.5)
    return Outcome(X)


def _seeded(seed: int) -> np.random.RandomState:
    """Return the generator that the notebook's lines draw from when NumPy is seeded."""
    return np.random.RandomState(seed)


def _draw_start(rng: np.random.RandomState) -> np.ndarray:
    """Return the noise that the notebook's lines start from, shape (1, 224, 224, 3)."""
    return preprocess_image(255 * rng.rand(224, 224, 3))[None]


def _penalise_scores(workings: Workings, X: np.ndarray, target: int) -> np.ndarray:
    return workings.differentiate(other_scores.sum_of_squared_scores, X, [target])[0]


MISTAKES = (
    Mistake(
        "half the regulariser",
        "Your regulariser is half as strong as the formula's, for tf.nn.l2_loss halves the sum of squares; "
        "that is accepted.",
        ({"penalty": lambda workings, X, target: X},),
        accepted=True,
    ),
    Mistake(
        "sign of the regulariser",
        "Your regulariser makes the image larger instead of smaller. What is subtracted in the formula, and "
        "which sign does its gradient have?",
        (
            {"penalty": lambda workings, X, target: -2 * X},
            {"penalty": lambda workings, X, target: -X},
        ),
    ),
    Mistake(
        "no regulariser",
        "Your image grows as if there were no regulariser, or hardly any. Does l2_reg reach what you "
        "differentiate, and is the norm squared?",
        ({"penalty": lambda workings, X, target: np.zeros_like(X)},),
    ),
    Mistake(
        "regularises the scores",
        "You penalised large scores. Which quantity is it whose squared norm is to stay small?",
        (
            {"penalty": _penalise_scores},
            {"penalty": lambda *arguments: _penalise_scores(*arguments) / 2},
        ),
    ),
    Mistake(
        "no learning rate",
        "You added the gradient without the learning rate. How far is a step to go?",
        ({"step": lambda gradient, rate: gradient},),
    ),
    Mistake(
        "descends",
        "Your steps lower the objective. In which direction does a function's gradient point, and is yours "
        "to rise or to fall?",
        ({"step": lambda gradient, rate: -rate * gradient},),
    ),
    Mistake(
        "normalised gradient",
        "You normalised the gradient, as for the fooling image. Here a step is the learning rate times the "
        "gradient itself.",
        (
            {"step": lambda gradient, rate: rate * gradient / np.linalg.norm(gradient)},
            {"step": lambda gradient, rate: gradient / np.linalg.norm(gradient)},
            {"step": lambda gradient, rate: rate * gradient / np.abs(gradient).max()},
            {"step": lambda gradient, rate: rate * gradient / gradient.std()},
        ),
    ),
    Mistake(
        "image unchanged",
        "Your steps do not change the image: what comes back is the noise, moved and blurred. Does what you "
        "compute reach X?",
        ({"step": lambda gradient, rate: np.zeros_like(gradient)},),
    ),
    Mistake(
        "raises the probability",
        "You raised the softmax probability or its logarithm. That also rises when the other classes' scores "
        "fall; raise the score itself.",
        ({"score": other_scores.log_probability}, {"score": other_scores.probability}),
    ),
    Mistake(
        "raises all classes",
        "You differentiated the scores of all classes together. Which single score is to rise?",
        ({"score": other_scores.sum_of_scores},),
    ),
    Mistake(
        "jitter not undone",
        "The image stays where the jitter moved it. What has to happen to it after the step, and how far?",
        ({"undo": lambda offset: 0}, {"undo": lambda offset: offset}),
    ),
)

TASK = Task(
    title="Class visualisation",
    function="create_class_visualization",
    points=10,
    make_cases=make_cases,
    compute_reference=compute_reference,
    solve=solve,
    mistakes=MISTAKES,
    cheap_parts=frozenset({"penalty", "step"}),
    tolerance=1e-3,
    count_runs=lambda workings, case: _NUM_ITERATIONS,
)
"""`create_class_visualization(target_y, model, **kwargs)`."""
