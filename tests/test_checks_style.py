"""Checks of the style-transfer notebook: every known mistake is recognised as that, right solutions pass."""

import numpy as np
import pytest

from cs231n.checks import check_content_loss, check_gram_matrix, check_style_loss, check_tv_loss, style
from cs231n.checks.task import distance
from cs231n.quiet_tensorflow import tf
from tests.test_checks import assert_mistakes_differ, judge_at, make_cases

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others

SIZES = [(9, 7), (12, 10)]

# --- Learners: written from the mistakes' descriptions, sharing no code with the checks ---


def content_with(entry=tf.square, total=tf.reduce_sum, last=lambda loss, w: w * loss):
    """Return a content loss with other lines in some places."""
    return lambda w, F, P: last(total(entry(F - P)), w)


RIGHT_CONTENT = [
    content_with(),
    lambda content_weight, F, P: content_weight * tf.reduce_sum(tf.math.squared_difference(P, F)),
    lambda content_weight, F, P: 2 * content_weight * tf.nn.l2_loss(F - P),
    lambda content_weight, F, P: content_weight * tf.norm(F - P) ** 2,
    lambda content_weight, F, P: tf.reduce_sum(
        (F[0] - P[0]) * (F[0] - P[0]) * tf.constant(content_weight, tf.float32)
    ),
]
WRONG_CONTENT = [
    ("half the sum", lambda w, F, P: w * tf.nn.l2_loss(F - P)),
    ("half the sum, weight missing", lambda w, F, P: tf.nn.l2_loss(F - P)),
    ("mean", content_with(total=tf.reduce_mean)),
    ("mean", lambda w, F, P: w * tf.nn.l2_loss(F - P) / tf.cast(tf.size(F), tf.float32)),
    ("mean", lambda w, F, P: w * tf.reduce_sum((F - P) ** 2) / tf.cast(tf.shape(F)[-1], tf.float32)),
    ("absolute differences", content_with(entry=tf.abs)),
    ("not squared", content_with(entry=lambda d: d)),
    ("square of the sum", lambda w, F, P: w * tf.square(tf.reduce_sum(F) - tf.reduce_sum(P))),
    ("square root", lambda w, F, P: w * tf.norm(F - P)),
    ("square root", content_with(last=lambda loss, w: tf.sqrt(w * loss))),
    ("weight missing", content_with(last=lambda loss, w: loss)),
    ("weight squared", lambda w, F, P: tf.reduce_sum((w * F - w * P) ** 2)),
    ("no difference", lambda w, F, P: w * tf.reduce_sum(F**2)),
    ("no difference", lambda w, F, P: w * tf.reduce_sum((F + P) ** 2)),
    ("mean, absolute differences", content_with(tf.abs, tf.reduce_mean)),
    ("not a scalar", content_with(total=lambda e: e)),
    ("not a scalar", content_with(total=lambda e: tf.reduce_sum(e, axis=[1, 2, 3]))),
    ("returns numbers", lambda w, F, P: w * np.sum((F - P) ** 2)),
    ("returns numbers", lambda w, F, P: w * tf.reduce_sum((F - P) ** 2).eval()),
    ("returns numbers", lambda w, F, P: 0),
    ("returns nothing", lambda w, F, P: None),
    ("wrong type", lambda w, F, P: "loss"),
    ("all zero", lambda w, F, P: w * tf.reduce_sum((F - F) ** 2)),
    ("raises an error", lambda w, F, P: w * tf.reduce_sum(F @ P.nowhere)),
    ("unknown mistake", content_with(entry=tf.sin)),
]


def gram_with(
    rows=lambda F, H, W, C: tf.reshape(F, [H * W, C]),
    product=lambda M: tf.matmul(tf.transpose(M), M),
    number=lambda H, W, C: H * W * C,
    last=lambda G: G,
    asked=lambda normalize: normalize,
):
    """Return a Gram matrix with other lines in some places."""

    def gram_matrix(features, normalize=True):
        _, H, W, C = tf.unstack(tf.shape(features))
        G = product(rows(features, H, W, C))
        if asked(normalize):
            G = G / tf.cast(number(H, W, C), tf.float32)
        return last(G)

    return gram_matrix


def gram_by_einsum(features, normalize=True):
    """Sum over positions without reshaping."""
    G = tf.einsum("nhwi,nhwj->ij", features, features)
    return G / tf.cast(tf.size(features), tf.float32) if normalize else G


def gram_channels_first(features, normalize=True):
    """Bring the channels to the front, then reshape to C rows."""
    C = features.shape[-1]
    rows = tf.reshape(tf.transpose(features, [0, 3, 1, 2]), [int(C), -1])
    G = tf.matmul(rows, rows, transpose_b=True)
    return tf.divide(G, tf.cast(tf.reduce_prod(tf.shape(features)), G.dtype)) if normalize else G


def gram_by_products(features, normalize=True):
    """Multiply channels with broadcasting."""
    G = tf.reduce_sum(features[0, :, :, :, None] * features[0, :, :, None, :], axis=[0, 1])
    shape = tf.cast(tf.shape(features), tf.float32)
    return G / shape[1] / shape[2] / shape[3] if normalize else G


RIGHT_GRAM = [gram_with(), gram_by_einsum, gram_channels_first, gram_by_products]
WRONG_GRAM = [
    ("not normalised", gram_with(number=lambda H, W, C: 1)),
    ("normalised wrongly", gram_with(number=lambda H, W, C: 2 * H * W * C)),
    ("normalised wrongly", gram_with(number=lambda H, W, C: H * W)),
    ("normalised wrongly", gram_with(number=lambda H, W, C: C)),
    ("normalize ignored", gram_with(asked=lambda normalize: True)),
    ("normalize ignored", gram_with(asked=lambda normalize: not normalize)),
    (
        "transposed reshape",
        gram_with(
            rows=lambda F, H, W, C: tf.reshape(F, [C, H * W]),
            product=lambda M: tf.matmul(M, M, transpose_b=True),
        ),
    ),
    (
        "transposed reshape",
        gram_with(rows=lambda F, H, W, C: tf.reshape(tf.transpose(F, [0, 3, 1, 2]), [H * W, C])),
    ),
    ("positions in place of channels", gram_with(product=lambda M: tf.matmul(M, M, transpose_b=True))),
    ("mean subtracted", gram_with(product=lambda M: tf.matmul(*[M - tf.reduce_mean(M, 0)] * 2, True))),
    ("batch axis kept", gram_with(last=lambda G: G[None])),
    ("added up or averaged", gram_with(last=lambda G: tf.reduce_mean(G, axis=0))),
    ("added up or averaged", gram_with(last=tf.reduce_sum)),
    ("diagonal only", gram_with(product=lambda M: tf.linalg.diag(tf.reduce_sum(M * M, axis=0)))),
    (
        "normalised wrongly, transposed reshape",
        gram_with(rows=lambda F, H, W, C: tf.transpose(tf.reshape(F, [C, -1])), number=lambda H, W, C: H * W),
    ),
    ("wrong shape", gram_with(last=lambda G: G[:2])),
    ("unknown mistake", gram_with(last=lambda G: G + 1)),
]


def style_with(
    gram=gram_by_einsum,
    chosen=zip,
    layer_loss=lambda G, A: tf.reduce_sum((G - A) ** 2),
    weigh=lambda loss, w: w * loss,
    total=sum,
):
    """Return a style loss with other lines in some places."""

    def style_loss(feats, style_layers, style_targets, style_weights):
        losses = [
            weigh(layer_loss(gram(feats[layer]), target), weight)
            for layer, target, weight in chosen(style_layers, style_targets, style_weights)
        ]
        return total(losses)

    return style_loss


def style_by_index(feats, style_layers, style_targets, style_weights):
    """Count the layers."""
    loss = tf.constant(0.0)
    for i in range(len(style_layers)):
        G = gram_with()(feats[style_layers[i]])
        loss += style_weights[i] * tf.reduce_sum(tf.squared_difference(G, style_targets[i]))
    return loss


RIGHT_STYLE = [
    style_with(),
    style_by_index,
    style_with(total=tf.add_n, layer_loss=lambda G, A: tf.norm(A - G) ** 2),
    style_with(layer_loss=lambda G, A: 2 * tf.nn.l2_loss(G - A), total=lambda losses: tf.reduce_sum(losses)),
]
WRONG_STYLE = [
    ("half the sum", style_with(layer_loss=lambda G, A: tf.nn.l2_loss(G - A))),
    ("mean", style_with(layer_loss=lambda G, A: tf.reduce_mean((G - A) ** 2))),
    ("absolute differences", style_with(layer_loss=lambda G, A: tf.reduce_sum(tf.abs(G - A)))),
    ("not squared", style_with(layer_loss=lambda G, A: tf.reduce_sum(G - A))),
    ("square of the sum", style_with(layer_loss=lambda G, A: tf.reduce_sum(G - A) ** 2)),
    ("square root", style_with(layer_loss=lambda G, A: tf.norm(G - A))),
    ("weight missing", style_with(weigh=lambda loss, w: loss)),
    ("weight squared", style_with(weigh=lambda loss, w: w * w * loss)),
    ("wrong Gram matrix", style_with(gram=gram_with(number=lambda H, W, C: 1))),
    ("wrong Gram matrix", style_with(gram=gram_with(number=lambda H, W, C: H * W))),
    ("wrong Gram matrix", style_with(gram=gram_with(number=lambda H, W, C: 2 * H * W * C))),
    (
        "wrong Gram matrix",
        style_with(gram=gram_with(rows=lambda F, H, W, C: tf.transpose(tf.reshape(F, [C, -1])))),
    ),
    ("weights on the wrong layers", style_with(chosen=lambda n, A, w: zip(n, A, w[::-1], strict=True))),
    ("weights on the wrong layers", style_with(chosen=lambda n, A, w: zip(n, A, [w[0]] * 3, strict=True))),
    ("wrong layers", style_with(chosen=lambda n, A, w: zip(range(3), A, w, strict=True))),
    ("targets of the wrong layers", style_with(chosen=lambda n, A, w: zip(n, A[::-1], w, strict=True))),
    ("one layer only", style_with(total=lambda losses: losses[0])),
    ("one layer only", style_with(total=lambda losses: losses[-1])),
    ("mean over the layers", style_with(total=tf.reduce_mean)),
    ("no difference", style_with(layer_loss=lambda G, A: tf.reduce_sum(G**2))),
    ("not a scalar", style_with(total=tf.stack)),
    ("not a scalar", style_with(total=lambda losses: losses)),
    (
        "half the sum, weights on the wrong layers",
        style_with(
            layer_loss=lambda G, A: tf.nn.l2_loss(G - A),
            chosen=lambda n, A, w: zip(n, A, w[::-1], strict=True),
        ),
    ),
    ("returns numbers", style_with(total=lambda losses: 0.0)),
    ("unknown mistake", style_with(total=lambda losses: sum(losses) + 1)),
]


def down(img):
    """Return the differences between rows."""
    return img[:, 1:] - img[:, :-1]


def across(img):
    """Return the differences between columns."""
    return img[:, :, 1:] - img[:, :, :-1]


def tv_with(
    differences=lambda img: (down(img), across(img)),
    entry=tf.square,
    total=tf.reduce_sum,
    last=lambda a, b, w: w * (a + b),
):
    """Return a total variation with other lines in some places."""

    def tv_loss(img, tv_weight):
        a, b = differences(img)
        return last(total(entry(a)), total(entry(b)), tv_weight)

    return tv_loss


def tv_by_shape(img, tv_weight):
    """Take the size from tf.shape."""
    H, W = tf.shape(img)[1], tf.shape(img)[2]
    rows = tf.reduce_sum(tf.square(img[:, : H - 1, :, :] - img[:, 1:H, :, :]))
    columns = tf.reduce_sum(tf.square(img[:, :, : W - 1, :] - img[:, :, 1:W, :]))
    return tv_weight * rows + tv_weight * columns


def tv_by_convolution(img, tv_weight):
    """Convolve each channel with (-1, 1), down and across."""
    kernel = tf.constant([[-1.0], [1.0]])[..., None, None] * tf.ones([1, 1, 3, 1])
    loss = 0
    for one in (kernel, tf.transpose(kernel, [1, 0, 2, 3])):
        loss += 2 * tf.nn.l2_loss(tf.nn.depthwise_conv2d(img, one, [1, 1, 1, 1], "VALID"))
    return loss * tv_weight


def tv_by_loops(img, tv_weight):
    """Loop over rows and columns."""
    loss = 0
    for i in range(int(img.shape[1]) - 1):
        loss += tf.reduce_sum((img[:, i + 1] - img[:, i]) ** 2)
    for j in range(int(img.shape[2]) - 1):
        loss += tf.reduce_sum((img[:, :, j + 1] - img[:, :, j]) ** 2)
    return tv_weight * loss


def rolled(img):
    """Return differences to the image moved round by one."""
    return img - tf.roll(img, 1, axis=1), img - tf.roll(img, 1, axis=2)


RIGHT_TV = [tv_with(), tv_by_shape, tv_by_convolution, tv_with(differences=lambda x: (-across(x), -down(x)))]
WRONG_TV = [
    ("half the sum", tv_with(total=lambda e: tf.reduce_sum(e) / 2)),
    ("half the sum", tv_with(entry=lambda d: d, total=tf.nn.l2_loss)),
    ("mean", tv_with(total=tf.reduce_mean)),
    ("absolute differences", tv_with(entry=tf.abs)),
    ("not squared", tv_with(entry=lambda d: d)),
    ("square of the sum", tv_with(entry=lambda d: d, total=lambda e: tf.reduce_sum(e) ** 2)),
    ("square root", tv_with(last=lambda a, b, w: w * tf.sqrt(a + b))),
    ("weight missing", tv_with(last=lambda a, b, w: a + b)),
    ("weight squared", lambda img, w: tv_with()(w * img, 1)),
    ("tf.image.total_variation", lambda img, w: w * tf.image.total_variation(img)),
    ("absolute differences", lambda img, w: w * tf.reduce_sum(tf.image.total_variation(img))),
    ("one axis only", lambda img, w: w * tf.reduce_sum(down(img) ** 2)),
    ("one axis only", lambda img, w: w * tf.reduce_sum(across(img) ** 2)),
    ("wraps around", tv_with(differences=rolled)),
    (
        "edges padded",
        tv_with(
            differences=lambda img: (
                down(tf.pad(img, [[0, 0], [0, 1], [0, 0], [0, 0]])),
                across(tf.pad(img, [[0, 0], [0, 0], [0, 1], [0, 0]])),
            )
        ),
    ),
    (
        "differences between channels",
        tv_with(differences=lambda img: (across(img), img[..., 1:] - img[..., :-1])),
    ),
    ("diagonal neighbours", lambda img, w: w * tf.reduce_sum((img[:, 1:, 1:] - img[:, :-1, :-1]) ** 2)),
    ("border left out", tv_with(differences=lambda img: (down(img)[:, :, :-1], across(img)[:, :-1]))),
    (
        "two pixels apart",
        tv_with(differences=lambda img: (img[:, 2:] - img[:, :-2], img[:, :, 2:] - img[:, :, :-2])),
    ),
    ("neighbours counted twice", tv_with(last=lambda a, b, w: 2 * w * (a + b))),
    ("weight on one term only", tv_with(last=lambda a, b, w: w * a + b)),
    ("weight on one term only", tv_with(last=lambda a, b, w: a + w * b)),
    ("weight missing, one axis only", lambda img, w: tf.reduce_sum(down(img) ** 2)),
    ("not a scalar", tv_with(total=lambda e: tf.reduce_sum(e, axis=[1, 2, 3]))),
    ("returns numbers", lambda img, w: w * np.sum(down(img) ** 2)),
    ("unknown mistake", tv_with(last=lambda a, b, w: w * (a - b))),
]

LEARNERS = [
    (style.CONTENT_LOSS, RIGHT_CONTENT, WRONG_CONTENT),
    (style.GRAM_MATRIX, RIGHT_GRAM, WRONG_GRAM),
    (style.STYLE_LOSS, RIGHT_STYLE, WRONG_STYLE),
    (style.TV_LOSS, RIGHT_TV, WRONG_TV),
]
at_both_sizes = pytest.mark.parametrize(
    "size", [SIZES[0], pytest.param(SIZES[1], marks=pytest.mark.slow)], ids=str
)
for_each_task = pytest.mark.parametrize("task", style.TASKS, ids=lambda task: task.function)


@at_both_sizes
@pytest.mark.parametrize(
    ("task", "function"), [(task, function) for task, right, _ in LEARNERS for function in right]
)
def test_right_solutions_are_called_right(task, function, size):
    """However it is written, a right solution passes, and there is nothing to remark upon."""
    verdict = judge_at(size, task, function, None)
    assert verdict.passed, verdict.explanation
    assert verdict.mistakes == verdict.remarks == ()


@at_both_sizes
@pytest.mark.parametrize(
    ("task", "name", "function"), [(task, *learner) for task, _, wrong in LEARNERS for learner in wrong]
)
def test_each_mistake_is_named(task, name, function, size):
    """A wrong solution fails, and is told what was done."""
    verdict = judge_at(size, task, function, None)
    assert not verdict.passed
    assert ", ".join(verdict.mistakes) == name
    assert verdict.explanation


def test_every_known_mistake_is_tried():
    """There is a learner for each."""
    for task, _, wrong in LEARNERS:
        assert {mistake.name for mistake in task.mistakes} <= {name for name, _ in wrong}


@at_both_sizes
@for_each_task
def test_known_mistakes_can_be_told_apart(task, size):
    """Each mistake is far from the right answer and from each other one."""
    assert_mistakes_differ(task, next(make_cases(task, size, None)), None)


@at_both_sizes
@for_each_task
def test_unchanged_parts_give_the_reference(task, size):
    """The chain of parts that mistakes are put into is the kit's own function when none is."""
    case = next(make_cases(task, size, None))
    # Ten times what float32's rounding makes of it.
    assert distance(task, case, task.solve(None, case).result, task.compute_reference(None, case)) < 1e-6


def test_loops_pass_with_remarks():
    """Loops over the pixels give the right number, and are told what they cost and what they can't do."""
    verdict = check_tv_loss(tv_by_loops).verdict
    assert verdict.passed
    loops, unsized = verdict.remarks
    (added,) = (int(word) for word in loops.split() if word.isdigit())
    # One turn more of either loop, with two slices, their bounds, a difference, a square and two sums.
    assert added >= 2 * 7
    assert "loops over pixels" in loops
    assert "raises TypeError" in unsized
    assert "tv_by_loops" in unsized


def test_unfinished_functions_are_called_that():
    """What the notebook leaves to the learner is no mistake but still to be written."""

    def unfinished(*arguments):
        raise NotImplementedError("Task 1")

    for check in (check_content_loss, check_gram_matrix, check_style_loss, check_tv_loss):
        report = check(unfinished)
        assert report.verdict.mistakes == ("not done yet",)
        assert report.draw() is None


def test_unknown_mistake_gets_numbers():
    """Three times the right loss: the factor is 3, the correlation 1."""
    explanation = check_content_loss(lambda w, F, P: 3 * w * tf.reduce_sum((F - P) ** 2)).verdict.explanation
    assert "The correlation is 1.000." in explanation
    assert "yours is 3 times the expected" in explanation


def test_checking_leaves_the_learners_graph_alone(graph):
    """The tensors are built in graphs of their own."""
    assert check_gram_matrix(gram_by_einsum).passed
    assert graph.get_operations() == []


def test_wrong_gram_matrices_are_shown():
    """A matrix has a picture, a single number has none."""
    assert check_gram_matrix(dict(WRONG_GRAM)["not normalised"]).draw() is not None
    assert check_content_loss(dict(WRONG_CONTENT)["mean"]).draw() is None
