"""The tasks of the notebook on attribution methods, and what is done wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import kendalltau, rankdata

from cs231n import attribution, evaluation
from cs231n.checks.inputs import choose_labels, draw_images
from cs231n.checks.task import Case, Mistake, Outcome, Task, Workings
from cs231n.gradients import guided, label_score
from cs231n.observation import AS_RELU_RULE, ON_ARRAYS_ALONE, stack
from cs231n.quiet_tensorflow import tf

_SIZE = (47, 39)
_NUM_IMAGES = 3
_DRAWS = 4
_LEVEL = 0.2
_STEPS = 4


def _draw(
    workings: Workings, rng: np.random.Generator, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return images of different contrast, and labels."""
    X = draw_images(rng, _NUM_IMAGES, *size) * np.array([0.6, 1, 1.4], np.float32)[:, None, None, None]
    return X, choose_labels(workings.model.compute_scores(X, sess=workings.sess))


def _draw_with_baseline(
    workings: Workings, rng: np.random.Generator, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, labels and baselines that are not zero."""
    X, y = _draw(workings, rng, size)
    return X, y, np.broadcast_to(0.3 * draw_images(rng, 1, *size), X.shape).copy()


def _gradient(workings: Workings, case: Case, X: np.ndarray) -> np.ndarray:
    """Return the gradient of the labels' scores at other images, float64."""
    X = np.broadcast_to(X, case.arguments[0].shape).astype(np.float32)
    return workings.differentiate(label_score, X, case.arguments[1])[0].astype(np.float64)


# --- SmoothGrad ---


def make_smoothgrad_cases(workings: Workings, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield images, labels and the noise to use."""
    rng = np.random.default_rng(seed)
    X, y = _draw(workings, rng, size)
    epsilon = rng.standard_normal((_DRAWS, *X.shape[1:]), dtype=np.float32)
    yield Case("", (X, y, epsilon), {"level": _LEVEL})


def solve_smoothgrad(
    workings: Workings,
    case: Case,
    *,
    sigma: Callable[[np.ndarray], np.ndarray | float] = lambda X: np.ptp(X, axis=(1, 2, 3), keepdims=True),
    points: Callable[..., list[np.ndarray]] = lambda X, noise: [X + one for one in noise],
    reduce: Callable[[np.ndarray], np.ndarray] = lambda gradients: gradients.mean(axis=0),
) -> Outcome:
    """Return SmoothGrad, part by part.

    Parameters
    ----------
    workings : Workings
    case : Case
    sigma : function of the images
        What the noise level is a fraction of.
    points : function (X, noise) -> list of images
        Where the gradient is taken; the noise is (K, N, H, W, 3).
    reduce : function (K, N, H, W, 3) -> (N, H, W, 3)
        What becomes of the gradients.
    """
    X, _, epsilon = case.arguments
    noise = case.keywords["level"] * sigma(X) * epsilon[:, None]
    return Outcome(reduce(np.stack([_gradient(workings, case, point) for point in points(X, noise)])))


def compute_smoothgrad_reference(workings: Workings, case: Case) -> np.ndarray:
    """Return the right output; the kit's own function draws its noise itself."""
    return solve_smoothgrad(workings, case).result


SMOOTHGRAD_MISTAKES = (
    Mistake(
        "level taken for sigma",
        "You used the noise level itself as σ. It is a fraction: of what?",
        ({"sigma": lambda X: 1.0},),
    ),
    Mistake(
        "level forgotten",
        "You took the whole range as σ. Which fraction of it is asked for?",
        ({"sigma": lambda X: np.ptp(X, axis=(1, 2, 3), keepdims=True) / _LEVEL},),
    ),
    Mistake(
        "level of one's own",
        "You took a noise level of your own. It is an argument: level=0.15 is only its default.",
        ({"sigma": lambda X: 0.15 / _LEVEL * np.ptp(X, axis=(1, 2, 3), keepdims=True)},),
    ),
    Mistake(
        "one range for all images",
        "You took one range for the whole batch, so that an image's map depends on its company. How wide "
        "is the range of each image by itself?",
        ({"sigma": np.ptp}, {"sigma": lambda X: np.ptp(X[:1])}),
    ),
    Mistake(
        "sigma along the channels",
        "You have one σ per image, but it is multiplied along the last axis, the channels, of which there "
        "happen to be as many. What does keepdims=True change?",
        ({"sigma": lambda X: np.ptp(X, axis=(1, 2, 3))},),
    ),
    Mistake(
        "another measure than the range",
        "You scaled the noise by another measure of the image than its range, the largest value less the "
        "smallest.",
        (
            {"sigma": lambda X: X.std(axis=(1, 2, 3), keepdims=True)},
            {"sigma": lambda X: X.max(axis=(1, 2, 3), keepdims=True)},
            {"sigma": lambda X: np.abs(X).max(axis=(1, 2, 3), keepdims=True)},
            {"sigma": lambda X: np.ptp(X, axis=(1, 2), keepdims=True)},
        ),
    ),
    Mistake(
        "sum of the gradients",
        "You added the gradients up. With twice as many samples your map would be twice as strong.",
        ({"reduce": lambda gradients: gradients.sum(axis=0)},),
    ),
    Mistake(
        "another divisor",
        "You added the gradients up and divided by another number than that of the draws. How many are there "
        "in epsilon?",
        (
            {"reduce": lambda gradients: gradients.sum(axis=0) / _NUM_IMAGES},
            {"reduce": lambda gradients: gradients.sum(axis=0) / 25},
            {"reduce": lambda gradients: gradients.sum(axis=0) / 50},
        ),
    ),
    Mistake(
        "absolute value before the mean",
        "You took the absolute value of each gradient before averaging. Then nothing can cancel, and it "
        "was to make chance cancel that we average.",
        ({"reduce": lambda gradients: np.abs(gradients).mean(axis=0)},),
    ),
    Mistake(
        "absolute value of the mean",
        "You dropped the sign at the end. The function is to return the signed mean; saliency_map does "
        "the rest.",
        ({"reduce": lambda gradients: np.abs(gradients.mean(axis=0))},),
    ),
    Mistake(
        "squared gradients",
        "You averaged the squares of the gradients. That is a method of its own, but not this one.",
        ({"reduce": lambda gradients: (gradients**2).mean(axis=0)},),
    ),
    Mistake(
        "gradient at the mean image",
        "You averaged the noisy images and took one gradient, where the noise has all but gone. The mean "
        "of the gradients is not the gradient at the mean.",
        ({"points": lambda X, noise: [X + noise.mean(axis=0)]},),
    ),
    Mistake(
        "no noise",
        "Your result is the plain gradient. Where does the noise come in?",
        ({"points": lambda X, noise: [X]},),
    ),
    Mistake(
        "noise in place of the image",
        "You took the gradient at the noise itself. The noise is to be added to something.",
        ({"points": lambda X, noise: list(noise)},),
    ),
    Mistake(
        "one sample only",
        "Only one of the draws is in your result. What becomes of the others?",
        (
            {"points": lambda X, noise: [X + noise[0]]},
            {"points": lambda X, noise: [X + noise[-1]]},
        ),
    ),
    Mistake(
        "noise that piles up",
        "Each of your copies holds the noise of those before it as well. Start from the image itself "
        "every time.",
        ({"points": lambda X, noise: list(X + noise.cumsum(axis=0))},),
    ),
    Mistake(
        "noise subtracted",
        "You subtracted the noise. Its distribution is symmetric, so that is just as good; the formula "
        "adds it.",
        ({"points": lambda X, noise: [X - one for one in noise]},),
        accepted=True,
    ),
)

SMOOTHGRAD = Task(
    title="SmoothGrad",
    function="smoothgrad",
    points=10,
    make_cases=make_smoothgrad_cases,
    compute_reference=compute_smoothgrad_reference,
    solve=solve_smoothgrad,
    mistakes=SMOOTHGRAD_MISTAKES,
    cheap_parts=frozenset({"reduce"}),
    tolerance=1e-3,
    # The session runs once for each draw, in batches that threads may share.
    count_runs=lambda workings, case: _DRAWS * _NUM_IMAGES,
    signed=True,
)
"""`smoothgrad(X, y, epsilon, model, level)`."""


# --- Integrated gradients ---


def make_integrated_cases(workings: Workings, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield images, labels and baselines that are not zero."""
    rng = np.random.default_rng(seed)
    X, y, baseline = _draw_with_baseline(workings, rng, size)
    yield Case("", (X, y, baseline), {"steps": _STEPS})


def compute_integrated_reference(workings: Workings, case: Case) -> np.ndarray:
    """Return the kit's attributions by the Riemann sum."""
    X, y, baseline = case.arguments
    return attribution.integrated_gradients(
        X, y, workings.model, baseline=baseline, quadrature="riemann", sess=workings.sess, **case.keywords
    )


def solve_integrated(
    workings: Workings,
    case: Case,
    *,
    places: Callable[[int], np.ndarray] = lambda n: np.arange(1, n + 1) / n,
    point: Callable[..., np.ndarray] = lambda X, b, t: b + t * (X - b),
    reduce: Callable[..., np.ndarray] = lambda gradients, n: gradients.sum(axis=0) / n,
    factor: Callable[..., np.ndarray | float] = lambda X, b: X - b,
    finish: Callable[[np.ndarray], np.ndarray] = lambda attributions: attributions,
) -> Outcome:
    """Return integrated gradients, part by part.

    Parameters
    ----------
    workings : Workings
    case : Case
    places : function (n) -> sequence of t
        Where on the way, from 0 to 1.
    point : function (X, b, t) -> images
        The images on the way.
    reduce : function (gradients, n) -> (N, H, W, 3)
        What becomes of the gradients, (K, N, H, W, 3).
    factor : function (X, b)
        What stands before the integral.
    finish : function of the attributions
        What is done to them last.
    """
    X, _, b = case.arguments
    n = case.keywords["steps"]
    gradients = np.stack([_gradient(workings, case, point(X, b, t)) for t in places(n)])
    return Outcome(finish(factor(X, b) * reduce(gradients, n)))


INTEGRATED_MISTAKES = (
    Mistake(
        "no factor",
        "You averaged the gradients and stopped there. What stands before the sum in the formula, and "
        "what unit has the result without it?",
        ({"factor": lambda X, b: 1.0},),
    ),
    Mistake(
        "times the image",
        "You multiplied by the image. The way starts at the baseline: how far is it from there?",
        ({"factor": lambda X, b: X},),
    ),
    Mistake(
        "the way backwards",
        "You multiplied by the baseline less the image. Then what raises the score counts as lowering it.",
        ({"factor": lambda X, b: b - X},),
    ),
    Mistake(
        "sum in place of the mean",
        "You added up the gradients without dividing by the number of steps. Do the attributions still "
        "add up to the difference of the scores?",
        ({"reduce": lambda gradients, n: gradients.sum(axis=0)},),
    ),
    Mistake(
        "the baseline ignored",
        "Your way starts at zero, whatever the baseline is.",
        (
            {"point": lambda X, b, t: t * X},
            {"point": lambda X, b, t: t * X, "factor": lambda X, b: X},
            {"point": lambda X, b, t: t * (X - b)},
        ),
    ),
    Mistake(
        "beyond the image",
        "You added the image's share to the whole baseline without taking the baseline's share away. "
        "Where are you for t = 1?",
        ({"point": lambda X, b, t: b + t * X},),
    ),
    Mistake(
        "steps not divided",
        "Your t is 1 in the first step and grows from there. Where is the way to end?",
        ({"places": lambda n: np.arange(1.0, n + 1)},),
    ),
    Mistake(
        "steps of one's own",
        "You took a number of steps of your own. It is an argument: steps=50 is only its default.",
        (
            {
                "places": lambda n: np.arange(1, 51) / 50,
                "reduce": lambda gradients, n: gradients.mean(axis=0),
            },
        ),
    ),
    Mistake(
        "gradient at the image only",
        "You took the gradient at the image itself, in every step or once. It is the whole way that counts.",
        ({"point": lambda X, b, t: X},),
    ),
    Mistake(
        "gradient at the baseline only",
        "You took the gradient at the baseline in every step. Which image belongs to step k?",
        ({"point": lambda X, b, t: b},),
    ),
    Mistake(
        "absolute values",
        "You took absolute values, of the gradients or of the result. What lowers the score must count as "
        "negative, or the sum is not the difference of the scores.",
        (
            {"reduce": lambda gradients, n: np.abs(gradients).sum(axis=0) / n},
            {"finish": np.abs},
        ),
    ),
    Mistake(
        "one step too many or too few",
        "The number of your steps and what you divide by do not fit together.",
        (
            {"places": lambda n: np.arange(n + 1) / n},
            {"places": lambda n: np.arange(1, n) / n},
        ),
    ),
    Mistake(
        "steps from 0 on",
        "Your steps begin at the baseline and end one before the image. That is as good a sum as the "
        "formula's; the paper's goes from 1 to n.",
        ({"places": lambda n: np.arange(n) / n},),
        accepted=True,
    ),
    Mistake(
        "midpoints",
        "You took the middle of each step. That is closer to the integral than the formula's sum.",
        ({"places": lambda n: (np.arange(n) + 0.5) / n},),
        accepted=True,
    ),
    Mistake(
        "evenly spaced with both ends",
        "Your points go from the baseline to the image, both included. That is as good a sum as the "
        "formula's; the paper's goes from 1/n to 1.",
        (
            {"places": lambda n: np.linspace(0, 1, n)},
            {
                "places": lambda n: np.linspace(0, 1, n + 1),
                "reduce": lambda gradients, n: gradients.mean(axis=0),
            },
        ),
        accepted=True,
    ),
    Mistake(
        "trapezoids",
        "You averaged the gradients at both ends of each step. That is closer to the integral than the "
        "formula's sum.",
        (
            {
                "places": lambda n: np.linspace(0, 1, n + 1),
                "reduce": lambda gradients, n: (gradients[:-1] + gradients[1:]).mean(axis=0) / 2,
            },
        ),
        accepted=True,
    ),
)

INTEGRATED_GRADIENTS = Task(
    title="Integrated gradients",
    function="integrated_gradients",
    points=10,
    make_cases=make_integrated_cases,
    compute_reference=compute_integrated_reference,
    solve=solve_integrated,
    mistakes=INTEGRATED_MISTAKES,
    cheap_parts=frozenset({"reduce", "factor", "finish"}),
    tolerance=1e-3,
    count_runs=lambda workings, case: (_STEPS + 1) * _NUM_IMAGES,
    signed=True,
)
"""`integrated_gradients(X, y, baseline, model, steps)`."""


# --- Completeness ---


def make_completeness_cases(workings: Workings, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield attributions whose sums miss the difference of the scores by a few to many percent."""
    rng = np.random.default_rng(seed)
    X, y, baseline = _draw_with_baseline(workings, rng, size)
    case = Case("", (np.zeros_like(X), X, y, baseline))
    missing = np.array([0.31, -0.17, 0.07])[:, None, None, None]
    shares = rng.normal(size=X.shape)
    shares += (1 + missing - shares.sum(axis=(1, 2, 3), keepdims=True)) / shares[0].size
    gain = _gain(*_scores(workings, case))[:, None, None, None]
    yield Case("", ((gain * shares).astype(np.float32), X, y, baseline))


def solve_completeness(
    workings: Workings,
    case: Case,
    *,
    total: Callable[[np.ndarray], np.ndarray] = lambda a: a.sum(axis=(1, 2, 3)),
    gain: Callable[..., np.ndarray] = lambda at_image, at_baseline, y: _gain(at_image, at_baseline, y),
    relate: Callable[..., np.ndarray] = lambda total, gain: (total - gain) / gain,
    finish: Callable[[np.ndarray], np.ndarray] = lambda share: 100 * np.abs(share),
) -> Outcome:
    """Return the completeness errors, part by part.

    Parameters
    ----------
    workings : Workings
    case : Case
    total : function (N, H, W, 3) -> (N,)
        What the attributions come to.
    gain : function (scores of the images, scores of the baselines, y) -> (N,)
        What they should come to.
    relate : function (total, gain)
        How the two are compared.
    finish : function of that
        The number that is returned.
    """
    attributions = case.arguments[0].astype(np.float64)
    return Outcome(finish(relate(total(attributions), gain(*_scores(workings, case)))))


def compute_completeness_reference(workings: Workings, case: Case) -> np.ndarray:
    """Return the right output; the kit's own functions know the error of their own attributions only."""
    return solve_completeness(workings, case).result


def _scores(workings: Workings, case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scores of the images, those of the baselines, float64, and the labels."""
    _, X, y, baseline = case.arguments
    at_image, at_baseline = (workings.differentiate(label_score, one, y)[1] for one in (X, baseline))
    return at_image.astype(np.float64), at_baseline.astype(np.float64), y


def _of_label(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    return scores[np.arange(len(y)), y]


def _gain(at_image: np.ndarray, at_baseline: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the difference of the labels' scores, (N,)."""
    return _of_label(at_image, y) - _of_label(at_baseline, y)


COMPLETENESS_MISTAKES = (
    Mistake(
        "no percentage",
        "Your errors are shares of 1. How many percent are they?",
        ({"finish": np.abs},),
    ),
    Mistake(
        "signed",
        "Some of your errors are negative. By how much is a sum off that is too small?",
        ({"finish": lambda share: 100 * share}, {"finish": lambda share: -100 * share}),
    ),
    Mistake(
        "not relative",
        "You returned how far the sums are off, in units of the score. What is it in percent of what they "
        "should be?",
        (
            {"relate": lambda total, gain: total - gain},
            {"relate": lambda total, gain: total - gain, "finish": np.abs},
            {"relate": lambda total, gain: total - gain, "finish": lambda missing: missing},
            {"relate": lambda total, gain: gain - total, "finish": lambda missing: missing},
        ),
    ),
    Mistake(
        "relative to something else",
        "You divided by another number than F(x) - F(b), of which the error is to be a share.",
        (
            {"relate": lambda total, gain: (total - gain) / total},
            {"relate": lambda total, gain: (total - gain) / np.abs(gain).max()},
        ),
    ),
    Mistake(
        "the quotient itself",
        "You divided the sums by the differences of the scores. For attributions that are complete this is "
        "100 percent; what is the error then?",
        (
            {"relate": lambda total, gain: total / gain},
            {"relate": lambda total, gain: total / gain, "finish": lambda quotient: quotient},
        ),
    ),
    Mistake(
        "baseline's score forgotten",
        "You compared the sums with F(x). The baseline has a score, too.",
        ({"gain": lambda at_image, at_baseline, y: _of_label(at_image, y)},),
    ),
    Mistake(
        "score of another class",
        "You took the scores of another class than the label: whose attributions are they?",
        (
            {"gain": lambda at_image, at_baseline, y: at_image.max(axis=1) - at_baseline.max(axis=1)},
            {"gain": lambda at_image, at_baseline, y: _gain(at_image, at_baseline, at_image.argmax(axis=1))},
            {"gain": lambda at_image, at_baseline, y: (at_image - at_baseline).sum(axis=1)},
        ),
    ),
    Mistake(
        "mean of the attributions",
        "You averaged the attributions. What of them is to be F(x) - F(b)?",
        ({"total": lambda a: a.mean(axis=(1, 2, 3))},),
    ),
    Mistake(
        "one sum for all images",
        "You added up the attributions of all images together. Each image has a sum of its own.",
        ({"total": lambda a: np.full(len(a), a.sum())},),
    ),
    Mistake(
        "sum of the magnitudes",
        "You added up the attributions without their signs. What lowers the score counts as negative.",
        ({"total": lambda a: np.abs(a).sum(axis=(1, 2, 3))},),
    ),
    Mistake(
        "one number for all images",
        "You returned one number. Each image is to have an error of its own.",
        (
            {"finish": lambda share: 100 * np.abs(share).max()},
            {"finish": lambda share: 100 * np.abs(share).mean()},
        ),
    ),
)

COMPLETENESS = Task(
    title="Completeness",
    function="completeness_error",
    points=5,
    make_cases=make_completeness_cases,
    compute_reference=compute_completeness_reference,
    solve=solve_completeness,
    mistakes=COMPLETENESS_MISTAKES,
    tolerance=1e-3,
    # The scores of the images and of the baselines, in batches that threads may share.
    count_runs=lambda workings, case: 2 * _NUM_IMAGES,
)
"""`completeness_error(attributions, X, y, baseline, model)`."""


# --- Guided backpropagation ---


def make_guided_cases(workings: Workings | None, seed: int, size: tuple[int, int] = (5, 4)) -> Iterator[Case]:
    """Yield what comes into a ReLU, and the gradient that arrives at its output."""
    rng = np.random.default_rng(seed)
    z, gradient = rng.normal(size=(2, 2, *size, 3)).astype(np.float32)
    yield Case("", ((z, gradient),), way=AS_RELU_RULE)


def solve_guided(
    workings: Workings | None,
    case: Case,
    *,
    passes: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda z, g: (z > 0) & (g > 0),
    value: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda z, g: g,
) -> Outcome:
    """Return what a rule lets through.

    Parameters
    ----------
    workings : None
    case : Case
    passes : function (z, gradient) -> bool array
        Where something passes.
    value : function (z, gradient) -> array
        What passes there.
    """
    return Outcome(stack([value(z, g) * passes(z, g) for z, g in case.arguments]))


def compute_guided_reference(workings: Workings | None, case: Case) -> np.ndarray:
    """Return what the kit's rule lets through."""
    with tf.Graph().as_default(), tf.Session() as sess:
        return stack([sess.run(guided(tf.nn.relu(z).op, tf.constant(g))) for z, g in case.arguments])


GUIDED_MISTAKES = (
    Mistake(
        "the plain gradient",
        "Your rule is the ReLU's own derivative. What else does guided backpropagation drop?",
        ({"passes": lambda z, g: z > 0},),
    ),
    Mistake(
        "the deconvnet",
        "You dropped the negative gradients, but let them pass where the ReLU was not active. That is the "
        "deconvnet.",
        ({"passes": lambda z, g: g > 0},),
    ),
    Mistake(
        "everything passes",
        "You let the gradient through as it came, as if there were no ReLU.",
        ({"passes": lambda z, g: g == g},),
    ),
    Mistake(
        "wrong way round",
        "One of your two comparisons with zero points the wrong way. Which gradients are to pass, and where?",
        (
            {"passes": lambda z, g: (z > 0) & (g < 0)},
            {"passes": lambda z, g: (z <= 0) & (g > 0)},
            {"passes": lambda z, g: (z <= 0) & (g < 0)},
        ),
    ),
    Mistake(
        "one condition is enough",
        "Your gradient passes where one of the two conditions holds. Both have to.",
        ({"passes": lambda z, g: (z > 0) | (g > 0)},),
    ),
    Mistake(
        "absolute value",
        "You took the gradient's magnitude. Negative gradients are to be dropped, not turned round.",
        ({"passes": lambda z, g: z > 0, "value": lambda z, g: np.abs(g)},),
    ),
    Mistake(
        "times the activation",
        "You multiplied by the ReLU's output. It only matters whether that is positive, not how large it is.",
        (
            {"value": lambda z, g: g * z},
            {"value": lambda z, g: g * z, "passes": lambda z, g: z > 0},
        ),
    ),
    Mistake(
        "the activation in place of the gradient",
        "You let the activation through. It is the gradient that goes backwards.",
        (
            {"value": lambda z, g: z},
            {"value": lambda z, g: z, "passes": lambda z, g: z > 0},
        ),
    ),
    Mistake(
        "truth values not cast",
        "You multiplied the gradient by truth values, and TensorFlow made a truth value of it, too. tf.cast "
        "makes numbers of them.",
        # TensorFlow rounds towards zero before it asks for the truth: 0.9 is false.
        ({"value": lambda z, g: np.abs(g) >= 1},),
    ),
    Mistake(
        "ones in place of the gradient",
        "You returned where the gradient passes, and not the gradient.",
        ({"value": lambda z, g: np.ones_like(g)},),
    ),
)

GUIDED_BACKPROP = Task(
    title="Guided backpropagation",
    function="guided_rule",
    points=10,
    make_cases=make_guided_cases,
    compute_reference=compute_guided_reference,
    solve=solve_guided,
    mistakes=GUIDED_MISTAKES,
    tolerance=1e-5,
    needs_model=False,
)
"""`guided_rule(op, gradient)`."""


# --- Rank correlation ---

_Rank = Callable[[np.ndarray], np.ndarray]
_Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray | float]


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    return np.corrcoef(a, b)[0, 1]


def make_rank_cases(workings: Workings | None, seed: int, size: tuple[int, int] = (13, 11)) -> Iterator[Case]:
    """Yield two maps that fall and rise against each other, with equal pixels and a few large ones."""
    rng = np.random.default_rng(seed)
    a, other = rng.normal(size=(2, *size))
    b = -0.6 * a + 0.8 * other
    a, b = (np.sign(one) * np.abs(one) ** 3 for one in (a, b))
    a[np.abs(a) < 0.02] = b[np.abs(b) < 0.05] = 0
    yield Case("", (a, b + 0.3), way=ON_ARRAYS_ALONE)


def solve_rank_correlation(
    workings: Workings | None,
    case: Case,
    *,
    rank_a: _Rank = rankdata,
    rank_b: _Rank = rankdata,
    correlate: _Statistic = _pearson,
    finish: Callable[[float], float] = lambda correlation: correlation,
) -> Outcome:
    """Return the rank correlation of two maps, part by part.

    Parameters
    ----------
    workings : None
    case : Case
    rank_a, rank_b : function (H, W) -> array
        What is taken in the place of the first and the second map.
    correlate : function of both
        The number, or numbers, that they come to.
    finish : function of that
        The number that is returned.
    """
    a, b = case.arguments
    return Outcome(np.asarray(finish(correlate(rank_a(a).ravel(), rank_b(b).ravel()))))


def compute_rank_reference(workings: Workings | None, case: Case) -> np.ndarray:
    """Return the kit's rank correlation, shape ()."""
    a, b = case.arguments
    return evaluation.rank_correlation(a[None], b[None])[0]


def _of_both(rank: _Rank) -> dict[str, _Rank]:
    """Return the change that takes something else in the place of either map."""
    return {"rank_a": rank, "rank_b": rank}


def _spearman_without_ties(a: np.ndarray, b: np.ndarray) -> float:
    return 1 - 6 * ((a - b) ** 2).sum() / (a.size * (a.size**2 - 1))


RANK_MISTAKES = (
    Mistake(
        "the values' correlation",
        "You correlated the maps' values. A few large ones decide that; which numbers take their place?",
        (_of_both(lambda one: one),),
    ),
    Mistake(
        "ranks of one map only",
        "Only one of the two maps was replaced by its ranks.",
        ({"rank_a": lambda one: one}, {"rank_b": lambda one: one}),
    ),
    Mistake(
        "order in place of ranks",
        "You correlated the results of argsort: where the smallest pixel is, where the next one is, and so "
        "on. A pixel's rank is its own place in that order.",
        (_of_both(lambda one: np.argsort(one, axis=None, kind="stable")),),
    ),
    Mistake(
        "ranks within rows or columns",
        "You ranked each row, or each column, by itself. A pixel's rank is its place among all of the map's.",
        (
            _of_both(lambda one: rankdata(one, axis=0)),
            _of_both(lambda one: rankdata(one, axis=1)),
            _of_both(lambda one: one.argsort(axis=0).argsort(axis=0)),
            _of_both(lambda one: one.argsort().argsort()),
        ),
    ),
    Mistake(
        "ranks of the magnitudes",
        "You ranked the pixels' magnitudes. A strongly negative pixel has a low rank, not a high one.",
        (_of_both(lambda one: rankdata(np.abs(one))),),
    ),
    Mistake(
        "sign lost or flipped",
        "Yours is positive for two maps of which one falls where the other rises. Was the sign dropped, does "
        "one of your rankings begin with the largest pixel, or did you take 1 less the correlation?",
        ({"finish": np.abs}, {"finish": np.square}, {"finish": lambda r: 1 - r}),
    ),
    Mistake(
        "the whole matrix",
        "np.corrcoef returns each map's correlation with itself, too. Which entry is that of one map with "
        "the other?",
        ({"correlate": np.corrcoef},),
    ),
    Mistake(
        "a map with itself",
        "Your correlation is 1, as that of a map with itself. Which two are to be compared?",
        ({"correlate": lambda a, b: 1.0},),
    ),
    Mistake(
        "not normalised",
        "You computed how the ranks vary together, without relating it to how much each of them varies by "
        "itself.",
        (
            {"correlate": lambda a, b: np.cov(a, b)[0, 1]},
            {"correlate": lambda a, b: np.cov(a, b, bias=True)[0, 1]},
            {"correlate": lambda a, b: np.dot(a - a.mean(), b - b.mean())},
            {"correlate": np.dot},
        ),
    ),
    Mistake(
        "mean not subtracted",
        "You divided the ranks' product by their norms. What has to be subtracted from the ranks before?",
        ({"correlate": lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)},),
    ),
    Mistake(
        "Kendall's",
        "You computed Kendall's rank correlation, which counts pairs of pixels. It is Spearman's that is "
        "asked for.",
        ({"correlate": lambda a, b: kendalltau(a, b).statistic},),
    ),
    Mistake(
        "ties",
        "Equal pixels got different ranks, or a formula that assumes that there are none. Most maps have "
        "few, so that is accepted; with rankdata they share one rank.",
        (
            _of_both(lambda one: rankdata(one, method="ordinal")),
            _of_both(lambda one: rankdata(one, method="min")),
            _of_both(lambda one: rankdata(one, method="max")),
            _of_both(lambda one: rankdata(one, method="dense")),
            {"correlate": _spearman_without_ties},
            _of_both(lambda one: rankdata(one, method="ordinal")) | {"correlate": _spearman_without_ties},
        ),
        accepted=True,
    ),
)

RANK_CORRELATION = Task(
    title="Rank correlation",
    function="rank_correlation",
    points=5,
    make_cases=make_rank_cases,
    compute_reference=compute_rank_reference,
    solve=solve_rank_correlation,
    mistakes=RANK_MISTAKES,
    tolerance=1e-5,
    needs_model=False,
)
"""`rank_correlation(a, b)`."""

TASKS = (SMOOTHGRAD, INTEGRATED_GRADIENTS, COMPLETENESS, GUIDED_BACKPROP, RANK_CORRELATION)
"""In the order of the notebook."""
