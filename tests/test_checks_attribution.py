"""Checks of the attribution notebook: every known mistake is recognised as that, and right solutions pass."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cosine

from cs231n import attribution
from cs231n.checks import attribution as tasks
from cs231n.checks import check_guided_rule, check_rank_correlation, check_smoothgrad
from cs231n.checks.task import Workings, distance
from cs231n.plotting import ColorScale
from cs231n.quiet_tensorflow import tf
from tests import oracle
from tests.test_checks import SEED, assert_mistakes_differ, judge_at

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others


def g(X, y, model):
    """Return the gradient, as learners call it."""
    return attribution.gradient(X, y, model)


# --- Learners: written from the mistakes' descriptions, sharing no code with the checks ---


def image_range(X):
    """Return each image's own range, shape (N, 1, 1, 1)."""
    return (X.reshape(len(X), -1).max(1) - X.reshape(len(X), -1).min(1)).reshape(-1, 1, 1, 1)


def smooth_loop(X, y, epsilon, model, level=0.15):
    """Right: sum, then divide."""
    total = 0
    for e in epsilon:
        total = total + g((X + level * image_range(X) * e).astype(np.float32), y, model)
    return total / len(epsilon)


def smooth_per_image(X, y, epsilon, model, level=0.15):
    """Right: image by image, all draws at once."""
    maps = []
    for x, label in zip(X, y, strict=True):
        copies = x + level * (x.max() - x.min()) * epsilon
        maps.append(g(copies, np.full(len(copies), label), model).mean(axis=0))
    return np.array(maps)


def smooth_with(sigma=None, finish=None, start=None, noise=None):
    """Return a SmoothGrad with something wrong in it."""

    def smoothgrad(X, y, epsilon, model, level=0.15):
        s = level * (image_range(X) if sigma is None else sigma(X))
        draws = s * epsilon[:, None] if noise is None else noise(s * epsilon[:, None])
        origin = X if start is None else start(X)
        gradients = np.array([g((origin + one).astype(np.float32), y, model) for one in draws])
        return gradients.mean(0) if finish is None else finish(gradients)

    return smoothgrad


WRONG_SMOOTHGRAD = [
    ("level taken for sigma", smooth_with(sigma=lambda X: 1)),
    ("level forgotten", lambda X, y, epsilon, model, level: smooth_loop(X, y, epsilon, model, level=1)),
    ("level of one's own", lambda X, y, epsilon, model, level: smooth_loop(X, y, epsilon, model)),
    ("one range for all images", smooth_with(sigma=lambda X: X.max() - X.min())),
    ("sigma along the channels", smooth_with(sigma=lambda X: X.max((1, 2, 3)) - X.min((1, 2, 3)))),
    ("another measure than the range", smooth_with(sigma=lambda X: X.std((1, 2, 3), keepdims=True))),
    ("sum of the gradients", smooth_with(finish=lambda gs: gs.sum(0))),
    ("another divisor", smooth_with(finish=lambda gs: gs.sum(0) / 25)),
    ("another divisor", smooth_with(finish=lambda gs: gs.sum(0) / gs.shape[1])),
    ("absolute value before the mean", smooth_with(finish=lambda gs: abs(gs).mean(0))),
    ("absolute value of the mean", smooth_with(finish=lambda gs: abs(gs.mean(0)))),
    ("squared gradients", smooth_with(finish=lambda gs: (gs * gs).mean(0))),
    ("gradient at the mean image", smooth_with(noise=lambda n: n.mean(0, keepdims=True))),
    ("no noise", smooth_with(noise=lambda n: 0 * n)),
    ("noise in place of the image", smooth_with(start=np.zeros_like)),
    ("one sample only", smooth_with(finish=lambda gs: gs[-1])),
    ("noise that piles up", smooth_with(noise=lambda n: np.cumsum(n, 0))),
]


def integrated_loop(X, y, baseline, model, steps=50):
    """Right: as the formula says."""
    total = np.zeros_like(X)
    for k in range(steps):
        t = (k + 1) / steps
        total += g((1 - t) * baseline + t * X, y, model)
    return (X - baseline) * total / steps


def integrated_with(ts=None, at=None, scale=None, finish=None):
    """Return integrated gradients with something wrong in them."""

    def integrated_gradients(X, y, baseline, model, steps=50):
        places = [(k + 1) / steps for k in range(steps)] if ts is None else ts(steps)
        at_ = at or (lambda X, b, t: b + t * (X - b))
        gs = np.array([g(at_(X, baseline, t).astype(np.float32), y, model) for t in places])
        result = (X - baseline if scale is None else scale(X, baseline)) * gs.sum(0) / steps
        return result if finish is None else finish(result, steps)

    return integrated_gradients


def gradients_from_end_to_end(X, y, baseline, model, steps):
    """Return the gradients at n + 1 points, both ends included."""
    points = [baseline + t * (X - baseline) for t in np.linspace(0, 1, steps + 1)]
    return np.array([g(point.astype(np.float32), y, model) for point in points])


def integrated_mean_of_all(X, y, baseline, model, steps=50):
    """As good: the mean of n + 1 gradients."""
    return (X - baseline) * gradients_from_end_to_end(X, y, baseline, model, steps).mean(0)


def integrated_trapezoids(X, y, baseline, model, steps=50):
    """As good: the trapezoidal rule."""
    gs = gradients_from_end_to_end(X, y, baseline, model, steps)
    return (X - baseline) * np.trapezoid(gs, dx=1 / steps, axis=0)


WRONG_INTEGRATED = [
    ("no factor", integrated_with(scale=lambda X, b: 1)),
    ("times the image", integrated_with(scale=lambda X, b: X)),
    ("the way backwards", integrated_with(scale=lambda X, b: b - X)),
    ("sum in place of the mean", integrated_with(finish=lambda a, n: a * n)),
    ("the baseline ignored", integrated_with(at=lambda X, b, t: t * X)),
    ("the baseline ignored", integrated_with(at=lambda X, b, t: t * (X - b))),
    ("beyond the image", integrated_with(at=lambda X, b, t: b + t * X)),
    ("steps not divided", integrated_with(ts=lambda n: [k + 1 for k in range(n)])),
    ("steps of one's own", lambda X, y, b, model, steps: integrated_loop(X, y, b, model)),
    ("gradient at the image only", integrated_with(at=lambda X, b, t: X)),
    ("gradient at the baseline only", integrated_with(at=lambda X, b, t: b)),
    ("absolute values", integrated_with(finish=lambda a, n: abs(a))),
    ("one step too many or too few", integrated_with(ts=lambda n: [k / n for k in range(n + 1)])),
]
ACCEPTED_INTEGRATED = [
    ("steps from 0 on", integrated_with(ts=lambda n: [k / n for k in range(n)])),
    ("midpoints", integrated_with(ts=lambda n: [(2 * k + 1) / (2 * n) for k in range(n)])),
    ("evenly spaced with both ends", integrated_with(ts=lambda n: [k / (n - 1) for k in range(n)])),
    ("evenly spaced with both ends", integrated_mean_of_all),
    ("trapezoids", integrated_trapezoids),
]


def completeness_in_rows(attributions, X, y, baseline, model):
    """Right: image by image."""
    errors = []
    for a, x, b, label in zip(attributions, X, baseline, y, strict=True):
        gain = model.compute_scores(x[None])[0, label] - model.compute_scores(b[None])[0, label]
        errors.append(abs(1 - a.sum() / gain) * 100)
    return errors


def completeness_with(total=None, score=None, compare=None, finish=None):
    """Return the completeness error with something wrong in it."""

    def completeness_error(attributions, X, y, baseline, model):
        sums = attributions.sum((1, 2, 3)) if total is None else total(attributions)
        F = (lambda images: model.compute_scores(images)[range(len(y)), y]) if score is None else score
        gain = F(X) - F(baseline) if score is None else score(model, X, y, baseline)
        share = (sums - gain) / gain if compare is None else compare(sums, gain)
        return 100 * abs(share) if finish is None else finish(share)

    return completeness_error


def gain_of_best(model, X, y, baseline):
    """Take the highest score of each image."""
    return model.compute_scores(X).max(1) - model.compute_scores(baseline).max(1)


def score_alone(model, X, y, baseline):
    """Forget the baseline."""
    return model.compute_scores(X)[np.arange(len(y)), y]


WRONG_COMPLETENESS = [
    ("no percentage", completeness_with(finish=abs)),
    ("signed", completeness_with(finish=lambda share: share * 100)),
    ("not relative", completeness_with(compare=lambda s, gain: s - gain, finish=abs)),
    ("not relative", completeness_with(compare=lambda s, gain: s - gain)),
    ("relative to something else", completeness_with(compare=lambda s, gain: (s - gain) / s)),
    ("the quotient itself", completeness_with(compare=lambda s, gain: s / gain)),
    ("baseline's score forgotten", completeness_with(score=score_alone)),
    ("score of another class", completeness_with(score=gain_of_best)),
    ("mean of the attributions", completeness_with(total=lambda a: a.mean((1, 2, 3)))),
    ("one sum for all images", completeness_with(total=lambda a: a.sum())),
    ("sum of the magnitudes", completeness_with(total=lambda a: abs(a).sum((1, 2, 3)))),
    ("one number for all images", completeness_with(finish=lambda share: float(100 * max(abs(share))))),
]


def by_where(op, grad):
    """Right: tf.where with both conditions."""
    return tf.where(tf.logical_and(op.outputs[0] > 0, grad > 0), grad, tf.zeros_like(grad))


def by_input(op, grad):
    """Right: the ReLU's input in place of its output."""
    return tf.nn.relu(grad) * tf.cast(op.inputs[0] > 0, tf.float32)


def by_relu_grad(op, grad):
    """Right: TensorFlow's own derivative of what is left of the gradient."""
    return tf.raw_ops.ReluGrad(gradients=tf.maximum(grad, 0), features=op.outputs[0])


WRONG_GUIDED = [
    ("the plain gradient", lambda op, g: tf.where(op.outputs[0] > 0, g, tf.zeros_like(g))),
    ("the deconvnet", lambda op, g: tf.maximum(g, 0.0)),
    ("everything passes", lambda op, g: g + 0.0),
    ("wrong way round", lambda op, g: tf.minimum(g, 0.0) * tf.sign(op.outputs[0])),
    ("wrong way round", lambda op, g: tf.nn.relu(g) * (1 - tf.sign(op.outputs[0]))),
    ("one condition is enough", lambda op, g: tf.where((op.outputs[0] > 0) | (g > 0), g, 0 * g)),
    ("absolute value", lambda op, g: tf.abs(g) * tf.sign(op.outputs[0])),
    ("times the activation", lambda op, g: tf.nn.relu(g) * op.outputs[0]),
    ("the activation in place of the gradient", lambda op, g: op.outputs[0]),
    ("truth values not cast", lambda op, g: g * (op.outputs[0] > 0) * (g > 0)),
    ("ones in place of the gradient", lambda op, g: tf.sign(op.outputs[0]) * tf.sign(tf.nn.relu(g))),
    ("all zero", lambda op, g: 0 * g),
    ("raises an error", lambda op, g: op.outputs[1]),
]


def counted_ranks(one):
    """Return each pixel's rank, counted: the smaller ones, and half of the equal ones."""
    values = one.ravel()
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


def rank_correlation_by_hand(a, b):
    """Right: ranks counted, correlation written out."""
    (p, q) = (ranks - ranks.mean() for ranks in (counted_ranks(a), counted_ranks(b)))
    return (p * q).sum() / np.sqrt((p * p).sum() * (q * q).sum())


def rank_in_place(a, b):
    """Wrong: the caller's map holds ranks afterwards."""
    a[:] = counted_ranks(a).reshape(a.shape)
    return np.corrcoef(a.ravel(), counted_ranks(b))[0, 1]


RIGHT_RANK = [
    rank_correlation_by_hand,
    lambda a, b: stats.spearmanr(a.ravel(), b.ravel())[0],
    lambda a, b: stats.pearsonr(counted_ranks(a), counted_ranks(b))[0],
    lambda a, b: float(np.cov(*(stats.zscore(counted_ranks(m)) for m in (a, b)), bias=True)[0, 1]),
]
WRONG_RANK = [
    ("the values' correlation", lambda a, b: np.corrcoef(a.flat, b.flat)[1, 0]),
    ("ranks of one map only", lambda a, b: np.corrcoef(counted_ranks(a), b.ravel())[0, 1]),
    ("ranks of one map only", lambda a, b: np.corrcoef(a.ravel(), counted_ranks(b))[0, 1]),
    (
        "order in place of ranks",
        lambda a, b: np.corrcoef(*(m.ravel().argsort(kind="stable") for m in (a, b)))[0, 1],
    ),
    (
        "ranks within rows or columns",
        lambda a, b: np.corrcoef(*(stats.rankdata(m, axis=-1).flat for m in (a, b)))[0, 1],
    ),
    ("ranks of the magnitudes", lambda a, b: rank_correlation_by_hand(abs(a), abs(b))),
    ("sign lost or flipped", lambda a, b: abs(rank_correlation_by_hand(a, b))),
    ("sign lost or flipped", lambda a, b: rank_correlation_by_hand(a, b) ** 2),
    ("sign lost or flipped", lambda a, b: rank_correlation_by_hand(-a, b)),
    ("sign lost or flipped", lambda a, b: 1 - rank_correlation_by_hand(a, b)),
    ("the whole matrix", lambda a, b: np.corrcoef(counted_ranks(a), counted_ranks(b))),
    ("a map with itself", lambda a, b: np.corrcoef(counted_ranks(a), counted_ranks(b))[0, 0]),
    ("not normalised", lambda a, b: np.cov(counted_ranks(a), counted_ranks(b))[0, 1]),
    ("mean not subtracted", lambda a, b: 1 - cosine(counted_ranks(a), counted_ranks(b))),
    ("Kendall's", lambda a, b: stats.kendalltau(a, b).statistic),
    ("changes its argument", rank_in_place),
    ("returns nothing", lambda a, b: None),
    ("raises an error", lambda a, b: a @ b),
    ("unknown mistake", lambda a, b: rank_correlation_by_hand(a, b) / 2),
    ("wrong shape", lambda a, b: [rank_correlation_by_hand(a, b)]),
]
ACCEPTED_RANK = [
    ("ties", lambda a, b: np.corrcoef(*(m.ravel().argsort(kind="stable").argsort() for m in (a, b)))[0, 1]),
    ("ties", lambda a, b: 1 - 6 * sum((counted_ranks(a) - counted_ranks(b)) ** 2) / (a.size**3 - a.size)),
]

RIGHT = [
    (tasks.SMOOTHGRAD, smooth_loop),
    (tasks.SMOOTHGRAD, smooth_per_image),
    (tasks.SMOOTHGRAD, smooth_with()),
    (tasks.INTEGRATED_GRADIENTS, integrated_loop),
    (tasks.INTEGRATED_GRADIENTS, integrated_with()),
    (tasks.COMPLETENESS, completeness_in_rows),
    (tasks.COMPLETENESS, completeness_with()),
]
WRONG = [
    *((tasks.SMOOTHGRAD, *one) for one in WRONG_SMOOTHGRAD),
    *((tasks.INTEGRATED_GRADIENTS, *one) for one in WRONG_INTEGRATED),
    *((tasks.COMPLETENESS, *one) for one in WRONG_COMPLETENESS),
]
ACCEPTED = [
    (tasks.SMOOTHGRAD, "noise subtracted", smooth_with(noise=lambda n: -n)),
    *((tasks.INTEGRATED_GRADIENTS, *one) for one in ACCEPTED_INTEGRATED),
]


@pytest.fixture(scope="module", params=["default weights", "random weights"])
def workings(request, model, weights):
    """Return the workings of the network with the default weights, then with random ones."""
    with model.graph.as_default():
        model.load(weights if request.param == "default weights" else oracle.random_weights(seed=1))
        yield Workings(model)
        model.load(weights)


@pytest.mark.parametrize(("task", "function"), RIGHT)
def test_right_solutions_pass(workings, task, function):
    """However it is written."""
    verdict = judge_at(None, task, function, workings)
    assert verdict.passed, verdict.explanation
    assert verdict.mistakes == ()


@pytest.mark.parametrize(("task", "name", "function"), WRONG)
def test_each_mistake_is_named(workings, task, name, function):
    """A wrong solution fails, and is told what was done."""
    verdict = judge_at(None, task, function, workings)
    assert not verdict.passed
    assert ", ".join(verdict.mistakes) == name


@pytest.mark.parametrize(("task", "name", "function"), ACCEPTED)
def test_what_is_as_good_passes_with_a_remark(workings, task, name, function):
    """Another sum than the formula's is no mistake."""
    verdict = judge_at(None, task, function, workings)
    assert verdict.passed
    assert verdict.mistakes == (name,)


@pytest.mark.parametrize("rule", [by_where, by_input, by_relu_grad])
def test_right_rules_pass(rule):
    """However it is written."""
    assert check_guided_rule(rule).passed


@pytest.mark.parametrize(("name", "rule"), WRONG_GUIDED)
def test_each_mistake_in_a_rule_is_named(name, rule):
    """A wrong rule fails, and is told what was done; it needs no network."""
    verdict = check_guided_rule(rule).verdict
    assert not verdict.passed
    assert ", ".join(verdict.mistakes) == name


@pytest.mark.parametrize("function", RIGHT_RANK)
def test_right_rank_correlations_pass(function):
    """However it is written."""
    report = check_rank_correlation(function)
    assert report.passed, report
    assert report.verdict.mistakes == ()


@pytest.mark.parametrize(("name", "function"), WRONG_RANK)
def test_each_mistake_in_a_rank_correlation_is_named(name, function):
    """A wrong one fails, and is told what was done; it needs no network."""
    verdict = check_rank_correlation(function).verdict
    assert not verdict.passed
    assert ", ".join(verdict.mistakes) == name


@pytest.mark.parametrize(("name", "function"), ACCEPTED_RANK)
def test_ties_are_accepted_with_a_remark(name, function):
    """What differs for equal pixels alone is no mistake."""
    verdict = check_rank_correlation(function).verdict
    assert verdict.passed
    assert verdict.mistakes == (name,)


def test_every_known_mistake_is_tried():
    """There is a learner for each."""
    tried = {(task.title, name) for task, name, _ in [*WRONG, *ACCEPTED]}
    tried |= {(tasks.GUIDED_BACKPROP.title, name) for name, _ in WRONG_GUIDED}
    tried |= {(tasks.RANK_CORRELATION.title, name) for name, _ in [*WRONG_RANK, *ACCEPTED_RANK]}
    assert {(task.title, mistake.name) for task in tasks.TASKS for mistake in task.mistakes} <= tried


@pytest.mark.parametrize("task", tasks.TASKS, ids=lambda task: task.function)
def test_known_mistakes_can_be_told_apart(workings, task):
    """Each mistake is far from the right answer and from each other one."""
    assert_mistakes_differ(task, next(task.make_cases(workings, SEED)), workings)


@pytest.mark.parametrize("task", tasks.TASKS, ids=lambda task: task.function)
def test_unchanged_parts_give_the_reference(workings, task):
    """The chain of parts that mistakes are put into is the kit's own function when none is."""
    case = next(task.make_cases(workings, SEED))
    reference = task.compute_reference(workings, case)
    # Twenty times what float32's rounding makes of it.
    assert distance(task, case, task.solve(workings, case).result, reference) < 1e-5


def test_attributions_are_shown_with_their_sign(workings):
    """The picture of a failed check has three rows of maps on the signed scale, not of images."""
    wrong = dict(WRONG_SMOOTHGRAD)["no noise"]
    report = check_smoothgrad(wrong, workings.model, workings.sess)
    picture = report.draw()
    reference = [np.asarray(axes.images[0].get_array()) for axes in picture.axes[3:6]]
    np.testing.assert_array_equal(
        reference, ColorScale(signed=True).rgb(report.verdict.expected.sum(axis=-1))
    )
