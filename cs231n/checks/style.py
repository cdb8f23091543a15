"""The tasks of the style-transfer notebook, and what is done wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from cs231n import style_transfer
from cs231n.checks.task import Case, Mistake, Outcome, Task, Workings
from cs231n.observation import ON_TENSORS, stack
from cs231n.quiet_tensorflow import tf

# The functions return one number each. Equal numbers for all of these inputs are no coincidence.
_WEIGHTS = (0.37, 2.3, 0.71)
_CHANNELS = 6
_NUM_FEATURES = 6
_STYLE_LAYERS = (1, 2, 4)
_SIZE = (9, 7)

Weigh = Callable[[float, np.ndarray, int], np.ndarray]
Entry = Callable[[np.ndarray], np.ndarray]


def _make_case(calls: Sequence[tuple[Any, ...]]) -> Case:
    return Case("", tuple(calls), way=ON_TENSORS)


def _draw_features(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return random features as a ReLU leaves them, shape (1, height, width, C)."""
    return np.maximum(rng.normal(0.3, 1, (1, height, width, _CHANNELS)), 0).astype(np.float32)


def _run_kit(function: Callable[..., tf.Tensor], case: Case) -> np.ndarray:
    """Return what the kit's own function comes to for each of a case's calls."""
    with tf.Graph().as_default(), tf.Session() as sess:
        return stack(sess.run([function(*arguments) for arguments in case.arguments]))


def _as_float64(value: Any) -> Any:
    """Return arrays, and those in a list, in float64; all else as it is."""
    if isinstance(value, list | tuple):
        return [_as_float64(one) for one in value]
    return value.astype(np.float64) if isinstance(value, np.ndarray) else value


def _weigh(weight: float, total: np.ndarray, size: int) -> np.ndarray:
    return weight * total


# What is done wrong in all three losses. Their common parts are: `entry`, what becomes of each difference;
# `reduce`, how they are added up; `weigh`, how the weight is applied to the total.
LOSS_MISTAKES = (
    Mistake(
        "half the sum",
        "Your loss is half of the formula's: tf.nn.l2_loss, and the paper, halve the sum of squares.",
        ({"reduce": lambda e: e.sum() / 2},),
    ),
    Mistake(
        "mean",
        "You divided the sum of squares by the number of entries, or by a part of it. The formula has a sum.",
        (
            {"reduce": np.mean},
            {"weigh": lambda w, total, size: w * total / size},
            {"reduce": lambda e: e.sum() / e.shape[-1]},
            {"reduce": lambda e: e.sum() * e.shape[-1] / e.size},
            {"reduce": lambda e: e.mean() / 2},
            {"reduce": lambda e: e.mean() / 4},
        ),
    ),
    Mistake(
        "absolute differences",
        "You added up absolute differences. What does the formula do with each of them?",
        ({"entry": np.abs},),
    ),
    Mistake(
        "not squared",
        "You added up the differences as they are, so that they cancel. What does the formula do with each "
        "of them?",
        ({"entry": lambda d: d},),
    ),
    Mistake(
        "square of the sum",
        "You squared the sum of the differences. Which comes first, squaring or adding up?",
        ({"entry": lambda d: d, "reduce": lambda e: e.sum() ** 2},),
    ),
    Mistake(
        "square root",
        "You took the square root of the sum, which makes it a norm. The formula has none.",
        (
            {"weigh": lambda w, total, size: w * np.sqrt(total)},
            {"weigh": lambda w, total, size: np.sqrt(w * total)},
        ),
    ),
    Mistake(
        "weight missing",
        "Your loss is the same whatever its weight is. Where does it stand in the formula?",
        ({"weigh": lambda w, total, size: total},),
    ),
    Mistake(
        "weight squared",
        "You squared the weight along with the differences. What is inside of the square?",
        ({"weigh": lambda w, total, size: w**2 * total},),
    ),
)


# --- Content loss ---


def make_content_cases(workings: Workings | None, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield weights, and features of two images, in several sizes."""
    rng = np.random.default_rng(seed)
    height, width = size
    calls = [
        (weight, _draw_features(rng, height + i, width + i), _draw_features(rng, height + i, width + i))
        for i, weight in enumerate(_WEIGHTS)
    ]
    yield _make_case(calls)


def solve_content(
    workings: Workings | None,
    case: Case,
    *,
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda F, P: F - P,
    entry: Entry = np.square,
    reduce: Callable[[np.ndarray], np.ndarray] = np.sum,
    weigh: Weigh = _weigh,
) -> Outcome:
    """Return the content losses, part by part; `compare` is what the two images' features are made into."""
    losses = []
    for weight, current, original in map(_as_float64, case.arguments):
        entries = entry(compare(current, original))
        losses.append(weigh(weight, reduce(entries), entries.size))
    return Outcome(stack(losses))


CONTENT_LOSS = Task(
    title="Content loss",
    function="content_loss",
    points=5,
    make_cases=make_content_cases,
    compute_reference=lambda workings, case: _run_kit(style_transfer.content_loss, case),
    solve=solve_content,
    mistakes=(
        *LOSS_MISTAKES,
        Mistake(
            "no difference",
            "Your loss is not about how the two images differ. When is it to be zero?",
            (
                {"compare": lambda F, P: F},
                {"compare": lambda F, P: P},
                {"compare": lambda F, P: F + P},
                {"compare": lambda F, P: F * P, "entry": lambda product: product},
            ),
        ),
    ),
    tolerance=1e-4,
    needs_model=False,
)
"""`content_loss(content_weight, content_current, content_original)`."""


# --- Gram matrix ---


def _rows(features: np.ndarray) -> np.ndarray:
    """Return features as a matrix with a row for each position."""
    return features.reshape(-1, features.shape[-1])


def _jumbled_rows(features: np.ndarray) -> np.ndarray:
    """Return features as a matrix of that shape, made by a reshape to its transposed."""
    return features.reshape(features.shape[-1], -1).T


def _gram(features: np.ndarray, rows: Callable[[np.ndarray], np.ndarray] = _rows) -> np.ndarray:
    return rows(features).T @ rows(features)


def make_gram_cases(workings: Workings | None, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield features in several sizes, to be normalised by default, if asked to, and not."""
    rng = np.random.default_rng(seed)
    features = [_draw_features(rng, size[0] + i, size[1] + i) for i in range(3)]
    # So small that its matrix is not larger than the normalised ones.
    small = features[2] / np.sqrt(features[2].size, dtype=np.float32)
    yield _make_case([(features[0],), (features[1], True), (small, False)])


def solve_gram(
    workings: Workings | None,
    case: Case,
    *,
    rows: Callable[[np.ndarray], np.ndarray] = _rows,
    multiply: Callable[[np.ndarray], np.ndarray] = lambda matrix: matrix.T @ matrix,
    divisor: Callable[[int, int, int], float] = lambda H, W, C: H * W * C,
    is_divided: Callable[[bool], bool] = lambda normalize: normalize,
    finish: Callable[[np.ndarray], np.ndarray] = lambda gram: gram,
) -> Outcome:
    """Return the Gram matrices, part by part.

    Parameters
    ----------
    workings : None
    case : Case
    rows : function (1, H, W, C) -> (H * W, C)
        The features as a matrix.
    multiply : function (H * W, C) -> (C, C)
        What the matrix is made into.
    divisor : function (H, W, C) -> number
        What it is divided by.
    is_divided : function of `normalize`
        Whether it is.
    finish : function of the Gram matrix
        What is done to it last.
    """
    grams = []
    for features, *flags in map(_as_float64, case.arguments):
        gram = multiply(rows(features))
        is_normalized = is_divided(flags[0] if flags else True)
        grams.append(finish(gram / divisor(*features.shape[1:]) if is_normalized else gram))
    return Outcome(stack(grams))


GRAM_MATRIX = Task(
    title="Gram matrix",
    function="gram_matrix",
    points=10,
    make_cases=make_gram_cases,
    compute_reference=lambda workings, case: _run_kit(style_transfer.gram_matrix, case),
    solve=solve_gram,
    mistakes=(
        Mistake(
            "not normalised",
            "Your matrix grows with the image. What is it to be divided by?",
            ({"is_divided": lambda normalize: False},),
        ),
        Mistake(
            "normalised wrongly",
            "You divided the matrix by another number than H * W * C.",
            (
                {"divisor": lambda H, W, C: 2 * H * W * C},
                {"divisor": lambda H, W, C: H * W},
                {"divisor": lambda H, W, C: 2 * H * W},
                {"divisor": lambda H, W, C: C},
                {"divisor": lambda H, W, C: C**2},
                {"divisor": lambda H, W, C: H * W * C**2},
                {"divisor": lambda H, W, C: H},
                {"divisor": lambda H, W, C: W},
                {"divisor": lambda H, W, C: H * C},
                {"divisor": lambda H, W, C: W * C},
                {"divisor": lambda H, W, C: H + W + C},
                {"divisor": lambda H, W, C: np.sqrt(H * W * C)},
                {"divisor": lambda H, W, C: (H * W * C) ** 2},
                {"divisor": lambda H, W, C: 4 * (H * W * C) ** 2},
            ),
        ),
        Mistake(
            "normalize ignored",
            "Your matrix is normalised whatever the argument `normalize` says, or the other way round.",
            ({"is_divided": lambda normalize: True}, {"is_divided": lambda normalize: not normalize}),
        ),
        Mistake(
            "transposed reshape",
            "You reshaped the features to C rows, which puts numbers of different channels into one row: a "
            "reshape keeps the order in memory, where the channel runs fastest.",
            (
                {"rows": _jumbled_rows},
                {"rows": lambda F: F.transpose(0, 3, 1, 2).reshape(-1, F.shape[-1])},
                {"rows": lambda F: F.transpose(0, 2, 3, 1).reshape(-1, F.shape[-1])},
            ),
        ),
        Mistake(
            "positions in place of channels",
            "Your matrix has a row for each position, or for each row of the image. It is to have one for "
            "each channel: which of the two factors is transposed?",
            (
                {"multiply": lambda matrix: matrix @ matrix.T},
                {"rows": lambda F: F[0].transpose(1, 2, 0).reshape(-1, F.shape[1])},
                {"rows": lambda F: F[0].transpose(0, 2, 1).reshape(-1, F.shape[2])},
            ),
        ),
        Mistake(
            "mean subtracted",
            "You subtracted each channel's mean, which makes the matrix a covariance. The formula has the "
            "products of the features themselves.",
            ({"rows": lambda F: _rows(F) - _rows(F).mean(axis=0)},),
        ),
        Mistake(
            "batch axis kept",
            "Your matrix still has an axis for the batch. The features are those of one image.",
            ({"finish": lambda gram: gram[None]},),
        ),
        Mistake(
            "added up or averaged",
            "You added up or averaged the matrix. All its C * C entries are wanted.",
            (
                {"finish": lambda gram: gram.mean(axis=0)},
                {"finish": lambda gram: gram.sum(axis=0)},
                {"finish": np.mean},
                {"finish": np.sum},
            ),
        ),
        Mistake(
            "diagonal only",
            "You multiplied each channel with itself alone. Style is which channels go together: what of the "
            "products of two different ones?",
            ({"finish": np.diagonal}, {"finish": lambda gram: np.diag(np.diagonal(gram))}),
        ),
    ),
    tolerance=1e-4,
    needs_model=False,
)
"""`gram_matrix(features, normalize=True)`."""


# --- Style loss ---


def make_style_cases(workings: Workings | None, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield features of several layers, the layers to use, and their targets and weights.

    All layers have the same number of channels, so that wrong layers give a wrong number and no error.
    """
    rng = np.random.default_rng(seed)
    calls = []
    for i in range(len(_WEIGHTS)):
        feats = [_draw_features(rng, size[0] + i, size[1] + i - n) for n in range(_NUM_FEATURES)]
        others = [_draw_features(rng, size[0] + 1, size[1] - n) for n in _STYLE_LAYERS]
        targets = [(_gram(one) / one.size * rng.uniform(1, 3)).astype(np.float32) for one in others]
        # Neither rising nor falling, so that sorting them shows.
        weights = [_WEIGHTS[(i + n) % len(_WEIGHTS)] * (1 + 0.1 * n) for n in (1, 0, 2)]
        calls.append((feats, list(_STYLE_LAYERS), targets, weights))
    yield _make_case(calls)


def solve_style(
    workings: Workings | None,
    case: Case,
    *,
    gram: Callable[[np.ndarray], np.ndarray] = lambda F: _gram(F) / F.size,
    layers: Callable[[list], list] = lambda layers: layers,
    targets: Callable[[list], list] = lambda targets: targets,
    weights: Callable[[list], list] = lambda weights: weights,
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda G, A: G - A,
    entry: Entry = np.square,
    reduce: Callable[[np.ndarray], np.ndarray] = np.sum,
    weigh: Weigh = _weigh,
    combine: Callable[[list], np.ndarray] = lambda losses: sum(losses),
) -> Outcome:
    """Return the style losses, part by part.

    Parameters
    ----------
    workings : None
    case : Case
    gram : function of features
        Their Gram matrix.
    layers, targets, weights : function of the list
        Which of them are taken, one after the other.
    compare : function (Gram matrix, target)
        What the two are made into.
    entry, reduce, weigh : function
        As in `LOSS_MISTAKES`, for each layer.
    combine : function of the layers' losses
        What these are made into.
    """
    totals = []
    for feats, style_layers, style_targets, style_weights in map(_as_float64, case.arguments):
        chosen = zip(layers(style_layers), targets(style_targets), weights(style_weights), strict=True)
        losses = []
        for layer, target, weight in chosen:
            entries = entry(compare(gram(feats[layer]), target))
            losses.append(weigh(weight, reduce(entries), entries.size))
        totals.append(combine(losses))
    return Outcome(stack(totals))


STYLE_LOSS = Task(
    title="Style loss",
    function="style_loss",
    points=10,
    make_cases=make_style_cases,
    compute_reference=lambda workings, case: _run_kit(style_transfer.style_loss, case),
    solve=solve_style,
    mistakes=(
        *LOSS_MISTAKES,
        Mistake(
            "wrong Gram matrix",
            "The Gram matrices in your loss are not the normalised ones. Is gram_matrix right, and is it "
            "asked to normalise?",
            (
                {"gram": _gram},
                {"gram": lambda F: _gram(F) / (2 * F.size)},
                {"gram": lambda F: _gram(F) * F.shape[-1] / F.size},
                {"gram": lambda F: _gram(F, _jumbled_rows) / F.size},
                {"gram": lambda F: _gram(F, _jumbled_rows)},
            ),
        ),
        Mistake(
            "weights on the wrong layers",
            "Your layers have each other's weights. style_weights[i] belongs to the layer style_layers[i].",
            (
                {"weights": lambda w: w[::-1]},
                {"weights": sorted},
                {"weights": lambda w: sorted(w, reverse=True)},
                {"weights": lambda w: [*w[1:], w[0]]},
                {"weights": lambda w: [w[-1], *w[:-1]]},
                {"weights": lambda w: [w[0]] * len(w)},
                {"weights": lambda w: [w[-1]] * len(w)},
                {"weights": lambda w: [sum(w)] * len(w)},
                {"weights": lambda w: [sum(w) / len(w)] * len(w)},
            ),
        ),
        Mistake(
            "wrong layers",
            "You took the features of other layers. style_layers[i] says which entry of feats is meant; i "
            "does not.",
            (
                {"layers": lambda layers: range(len(layers))},
                {"layers": lambda layers: [n - 1 for n in layers]},
                {"layers": lambda layers: [n + 1 for n in layers]},
                {"layers": lambda layers: layers[::-1]},
                {"layers": lambda layers: [layers[0]] * len(layers)},
            ),
        ),
        Mistake(
            "targets of the wrong layers",
            "You compared layers with each other's targets. style_targets[i] belongs to the layer "
            "style_layers[i].",
            (
                {"targets": lambda targets: targets[::-1]},
                {"targets": lambda targets: [targets[0]] * len(targets)},
            ),
        ),
        Mistake(
            "one layer only",
            "Only one of the layers is in your loss. Does each turn of the loop add to the sum, and does the "
            "function return after the last one?",
            tuple({"combine": lambda losses, i=i: losses[i]} for i in range(len(_STYLE_LAYERS))),
        ),
        Mistake(
            "mean over the layers",
            "You averaged the layers' losses. The formula adds them up.",
            ({"combine": lambda losses: sum(losses) / len(losses)},),
        ),
        Mistake(
            "no difference",
            "Your loss is not about how the Gram matrices differ from their targets. When is it to be zero?",
            (
                {"compare": lambda G, A: G},
                {"compare": lambda G, A: A},
                {"compare": lambda G, A: G + A},
            ),
        ),
    ),
    tolerance=1e-4,
    needs_model=False,
)
"""`style_loss(feats, style_layers, style_targets, style_weights)`."""


# --- Total variation ---


def _down(img: np.ndarray) -> np.ndarray:
    return img[:, 1:] - img[:, :-1]


def _across(img: np.ndarray) -> np.ndarray:
    return img[:, :, 1:] - img[:, :, :-1]


def _channels(img: np.ndarray) -> np.ndarray:
    return img[..., 1:] - img[..., :-1]


def _padded_differences(img: np.ndarray, width: tuple[int, int]) -> list[np.ndarray]:
    """Return the differences of an image to which rows and columns of zeros were added on the sides asked."""
    return [
        _down(np.pad(img, ((0, 0), width, (0, 0), (0, 0)))),
        _across(np.pad(img, ((0, 0), (0, 0), width, (0, 0)))),
    ]


def make_tv_cases(workings: Workings | None, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield images of several sizes, and weights."""
    rng = np.random.default_rng(seed)
    height, width = size
    # Steps down are larger than steps across, so that one axis can be told from the other.
    calls = [
        ((rng.normal(size=(1, height + i, width + i, 3)).cumsum(axis=2)).astype(np.float32), weight)
        for i, weight in enumerate(_WEIGHTS)
    ]
    yield _make_case(calls)


def solve_tv(
    workings: Workings | None,
    case: Case,
    *,
    differences: Callable[[np.ndarray], list[np.ndarray]] = lambda img: [_down(img), _across(img)],
    entry: Entry = np.square,
    reduce: Callable[[np.ndarray], np.ndarray] = np.sum,
    weigh: Weigh = _weigh,
    add: Callable[[float, list[np.ndarray]], np.ndarray] = lambda w, terms: sum(terms),
    finish: Callable[[np.ndarray], np.ndarray] = lambda loss: loss,
) -> Outcome:
    """Return the total variations, part by part.

    Parameters
    ----------
    workings : None
    case : Case
    differences : function of the image
        Arrays of differences.
    entry, reduce, weigh : function
        As in `LOSS_MISTAKES`.
    add : function (weight, terms)
        How the reduced arrays of differences are added.
    finish : function of the loss
        What is done to it last.
    """
    losses = []
    for img, weight in map(_as_float64, case.arguments):
        terms = [reduce(entry(one)) for one in differences(img)]
        losses.append(finish(weigh(weight, add(weight, terms), img.size)))
    return Outcome(stack(losses))


TV_LOSS = Task(
    title="Total variation",
    function="tv_loss",
    points=10,
    make_cases=make_tv_cases,
    compute_reference=lambda workings, case: _run_kit(style_transfer.tv_loss, case),
    solve=solve_tv,
    mistakes=(
        *LOSS_MISTAKES,
        Mistake(
            "tf.image.total_variation",
            "You used tf.image.total_variation, or did what it does: absolute differences, a number for each "
            "image. The formula has squares.",
            ({"entry": np.abs, "finish": lambda loss: loss[None]},),
        ),
        Mistake(
            "one axis only",
            "You compared pixels with their neighbours along one axis. An image has two.",
            ({"differences": lambda img: [_down(img)]}, {"differences": lambda img: [_across(img)]}),
        ),
        Mistake(
            "wraps around",
            "You compared the first row or column with the last one, as tf.roll does. These are no "
            "neighbours.",
            (
                {"differences": lambda img: [img - np.roll(img, 1, axis) for axis in (1, 2)]},
                {"differences": lambda img: [img - np.roll(img, 1, 1), _across(img)]},
                {"differences": lambda img: [_down(img), img - np.roll(img, 1, 2)]},
            ),
        ),
        Mistake(
            "edges padded",
            "You took the differences at the border to what is not there, as if the image stood in zeros.",
            (
                {"differences": lambda img: _padded_differences(img, (0, 1))},
                {"differences": lambda img: _padded_differences(img, (1, 0))},
                {"differences": lambda img: _padded_differences(img, (1, 1))},
            ),
        ),
        Mistake(
            "differences between channels",
            "You took differences between colours. Which axes of the image are height and width?",
            (
                {"differences": lambda img: [_across(img), _channels(img)]},
                {"differences": lambda img: [_down(img), _channels(img)]},
                {"differences": lambda img: [_down(img), _across(img), _channels(img)]},
                {"differences": lambda img: [_channels(img)]},
            ),
        ),
        Mistake(
            "diagonal neighbours",
            "You compared pixels with those on the diagonal. Their neighbours are across and down.",
            (
                {"differences": lambda img: [img[:, 1:, 1:] - img[:, :-1, :-1]]},
                {"differences": lambda img: [_down(img), _across(img), img[:, 1:, 1:] - img[:, :-1, :-1]]},
            ),
        ),
        Mistake(
            "border left out",
            "Some neighbours at the border are missing from your sum. The image without its first row still "
            "has all its columns.",
            (
                {"differences": lambda img: [_down(img)[:, :, :-1], _across(img)[:, :-1]]},
                {"differences": lambda img: [_down(img)[:, :, 1:], _across(img)[:, 1:]]},
                {"differences": lambda img: [_down(img)[:, :-1], _across(img)[:, :, :-1]]},
                {"differences": lambda img: [_down(img)[:, 1:], _across(img)[:, :, 1:]]},
            ),
        ),
        Mistake(
            "two pixels apart",
            "The pixels that you compared are two apart. Neighbours are one apart.",
            (
                {
                    "differences": lambda img: [
                        img[:, 2:] - img[:, :-2],
                        img[:, :, 2:] - img[:, :, :-2],
                    ]
                },
            ),
        ),
        Mistake(
            "neighbours counted twice",
            "You counted each pair of neighbours twice.",
            ({"add": lambda w, terms: 2 * sum(terms)},),
        ),
        Mistake(
            "weight on one term only",
            "The weight is on one of the two sums only. It belongs to both.",
            (
                {"add": lambda w, terms: terms[0] + sum(terms[1:]) / w},
                {"add": lambda w, terms: sum(terms[:-1]) / w + terms[-1]},
            ),
        ),
    ),
    tolerance=1e-4,
    needs_model=False,
)
"""`tv_loss(img, tv_weight)`."""


TASKS = (CONTENT_LOSS, GRAM_MATRIX, STYLE_LOSS, TV_LOSS)
"""In the order of the notebook."""
