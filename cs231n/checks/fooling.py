"""The task of fooling images, and what is done wrong in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from cs231n.checks import scores as other_scores
from cs231n.checks.inputs import draw_images
from cs231n.checks.task import Case, Mistake, Outcome, Task, Workings
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import label_score
from cs231n.net_visualization import BLACK, WHITE, make_fooling_image
from cs231n.quiet_tensorflow import tf

Direction = Callable[[np.ndarray], np.ndarray]
Stop = Callable[[int, int | None], bool]

_SIZE = (47, 39)
_MIN_STEPS, _MAX_STEPS = 3, 7
_FOLLOWED = 12
"""Steps after which a solution that has not stopped is followed no further."""
_RANKS = (2, 4, 7, 10, 15, 20)
# Ten times what float32's rounding makes of a path on which no ReLU or max pool is near its kink.
_NUDGE, _STEADY = 3e-6, 1e-4


def make_cases(workings: Workings, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield an image and a target that is reached in a few steps, on a path that rounding does not alter.

    Where the path passes near a kink of the network, two right solutions that round differently part
    there; such images are passed over.
    """
    rng = np.random.default_rng(seed)
    while True:
        X = draw_images(rng, 1, *size)
        nudged = (X + _NUDGE * rng.normal(size=X.shape)).astype(np.float32)
        ranking = np.argsort(-workings.model.compute_scores(X, sess=workings.sess)[0])
        for target in (int(ranking[rank]) for rank in _RANKS):
            path = list(itertools.islice(_ascend(workings, X, target), _MAX_STEPS + 2))
            if not _MIN_STEPS < len(path) < _MAX_STEPS + 2:
                continue
            other = list(itertools.islice(_ascend(workings, nudged, target), _MAX_STEPS + 2))
            if len(other) == len(path) and _is_near(other[-1] - nudged, path[-1] - X):
                yield Case("", (X, target))
                return


def compute_reference(workings: Workings, case: Case) -> np.ndarray:
    """Return the kit's fooling image."""
    return make_fooling_image(*case.arguments, workings.model, sess=workings.sess)


def count_runs(workings: Workings, case: Case) -> int:
    """Return how many images have to be shown to the network: the first one, and one after each step."""
    return len(list(_ascend(workings, *case.arguments)))


def solve(
    workings: Workings,
    case: Case,
    *,
    score: Callable[[SqueezeNet], tf.Tensor] = label_score,
    raised: Callable[[int, np.ndarray], int] = lambda target, scores: target,
    direction: Direction = lambda gradient: gradient / np.linalg.norm(gradient),
    keep: Callable[[np.ndarray], np.ndarray] = lambda X: X,
    stop: Stop = lambda steps, success: success is not None,
    finish: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda X, original: X,
) -> Outcome:
    """Return the fooling image, computed part by part.

    Parameters
    ----------
    workings : Workings
    case : Case
    score : function of the model
        What is raised.
    raised : function (target, scores) -> label
        Whose score.
    direction : function of the gradient
        The step.
    keep : function of the image
        What is done to it after each step.
    stop : function (steps, success) -> bool
        Whether to stop after so many steps, given after how many the network said the target first.
    finish : function (image, original) -> ndarray
        What is returned.
    """
    original, target = case.arguments
    path = _ascend(workings, original, target, score, raised, direction, keep, stop)
    fed = list(itertools.islice(path, _FOLLOWED + 1))
    distinct = [fed[0]] + [b for a, b in itertools.pairwise(fed) if not np.array_equal(a, b)]
    goes_on = next(path, None) is not None
    return Outcome(None if goes_on else finish(fed[-1], original), tuple(distinct))


def _ascend(
    workings: Workings,
    X: np.ndarray,
    target: int,
    score: Callable[[SqueezeNet], tf.Tensor] = label_score,
    raised: Callable[[int, np.ndarray], int] = lambda target, scores: target,
    direction: Direction = lambda gradient: gradient / np.linalg.norm(gradient),
    keep: Callable[[np.ndarray], np.ndarray] = lambda X: X,
    stop: Stop = lambda steps, success: success is not None,
) -> Iterator[np.ndarray]:
    """Yield the images that are shown to the network, the last one being that with which it stops."""
    success = None
    for steps in itertools.count():
        yield X
        scores = workings.differentiate(label_score, X, [target])[1][0]
        if success is None and scores.argmax() == target:
            success = steps
        if stop(steps, success):
            return
        gradient = workings.differentiate(score, X, [raised(target, scores)])[0]
        X = keep(X + direction(gradient))


def _is_near(one: np.ndarray, other: np.ndarray) -> bool:
    return np.linalg.norm(one - other) < _STEADY * np.linalg.norm(other)


def _unit(gradient: np.ndarray) -> np.ndarray:
    return gradient / np.linalg.norm(gradient)


def _after(number: int) -> Stop:
    """Return the rule to stop after so many steps, or at success if that comes first."""
    return lambda steps, success: steps == number or success is not None


def _late(number: int) -> Stop:
    """Return the rule to stop so many steps after success."""
    return lambda steps, success: success is not None and steps == success + number


MISTAKES = (
    Mistake(
        "raw gradient",
        "You added the gradient as it is. How long a step is then depends on how steep the score is there; "
        "what makes every step equally long?",
        ({"direction": lambda g: g},),
    ),
    Mistake(
        "divided by the squared norm",
        "You divided the gradient by the square of its norm, so the steeper the score, the shorter the step. "
        "How long is g / ||g||^2?",
        ({"direction": lambda g: g / (g**2).sum()},),
    ),
    Mistake(
        "another normalisation",
        "You divided the gradient by something else than its Euclidean norm over all pixels and channels. "
        "How long are your steps?",
        (
            {"direction": lambda g: g / np.abs(g).max()},
            {"direction": lambda g: g / np.abs(g).sum()},
            {"direction": lambda g: g / g.std()},
            {"direction": lambda g: (g - g.mean()) / g.std()},
            {"direction": lambda g: g / np.sqrt((g**2).mean())},
            {"direction": lambda g: g / np.linalg.norm(g, axis=-1, keepdims=True)},
            {"direction": np.sign},
        ),
    ),
    Mistake(
        "another step length",
        "Your steps go the right way but have another length than the learning rate, which is 1.",
        tuple(
            {"direction": lambda g, rate=rate: rate * _unit(g)} for rate in (0.01, 0.1, 0.5, 2, 10, 25, 100)
        ),
    ),
    Mistake(
        "sign flipped",
        "Your steps lower the target's score. In which direction does a function's gradient point?",
        (
            {"direction": lambda g: -_unit(g)},
            {"direction": lambda g: -g / (np.linalg.norm(g) + 1e-8)},
            {"direction": lambda g: -g},
        ),
    ),
    Mistake(
        "descends the loss",
        "You went down the loss (or up the target's probability, which is the same direction). That also "
        "lowers the other classes' scores; raise the target's own score.",
        ({"score": other_scores.log_probability},),
    ),
    Mistake(
        "raises all classes",
        "You differentiated the scores of all classes together. Which single score is to rise?",
        ({"score": other_scores.sum_of_scores},),
    ),
    Mistake(
        "wrong class raised",
        "You raised the score of another class than the target. Which label does the score belong to that "
        "you differentiate?",
        (
            {"raised": lambda target, scores: int(scores.argmax())},
            {"raised": lambda target, scores: 0},
            {"raised": lambda target, scores: target - 1},
            {"raised": lambda target, scores: (target + 1) % len(scores)},
        ),
    ),
    Mistake(
        "clips",
        "You clipped the image to valid pixels. This task does not ask for it, and it takes away a part of "
        "the step where the image is black or white.",
        (
            {"keep": lambda X: np.clip(X, BLACK, WHITE)},
            {"finish": lambda X, original: np.clip(X, BLACK, WHITE)},
        ),
    ),
    Mistake(
        "image unchanged",
        "You returned the image as it came. Do your steps reach the array that you return?",
        ({"stop": _after(0)},),
    ),
    Mistake(
        "stops early",
        "You stopped before the network said the target. What has to be compared with the target, and when?",
        tuple({"stop": _after(number)} for number in range(1, _MAX_STEPS)),
    ),
    Mistake(
        "goes on after success",
        "You made more steps after the network had said the target. When do you look at what it says: at the "
        "image before the step, or after it?",
        (
            *({"stop": _late(number)} for number in range(1, 4)),
            {"stop": lambda steps, success: False},
        ),
    ),
    Mistake(
        "returns the difference",
        "You returned the change and not the changed image.",
        (
            {"finish": lambda X, original: X - original},
            {"finish": lambda X, original: original - X},
        ),
    ),
    Mistake(
        "batch axis lost",
        "Your image has lost its first axis. What goes in as (1, H, W, 3) is to come out as that.",
        ({"finish": lambda X, original: X[0]},),
    ),
)

TASK = Task(
    title="Fooling images",
    function="make_fooling_image",
    points=10,
    make_cases=make_cases,
    compute_reference=compute_reference,
    solve=solve,
    mistakes=MISTAKES,
    cheap_parts=frozenset({"keep", "stop", "finish"}),
    tolerance=1e-3,
    count_runs=count_runs,
    subtract_input=True,
)
"""`make_fooling_image(X, target_y, model)`."""
