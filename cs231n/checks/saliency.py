"""The task of saliency maps, and what is done wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cs231n.checks import scores as other_scores
from cs231n.checks.inputs import choose_labels, draw_images
from cs231n.checks.task import Case, Mistake, Outcome, Task, Workings
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import label_score
from cs231n.net_visualization import compute_saliency_maps
from cs231n.quiet_tensorflow import tf

# Images that are not square, and not as many as the notebook's five, show what was written for one size only.
_SIZE = (47, 39)
_NUM_IMAGES = 4


def make_cases(workings: Workings, seed: int, size: tuple[int, int] = _SIZE) -> Iterator[Case]:
    """Yield images and labels to check with: labels that differ, and are nobody's first choice."""
    rng = np.random.default_rng(seed)
    shapes = {
        "": (_NUM_IMAGES, *size),
        "5 images at a time": (5, *size),
        "images of 224x224 pixels": (2, 224, 224),
        "5 images of 224x224 pixels": (5, 224, 224),
    }
    for name, shape in shapes.items():
        X = draw_images(rng, *shape)
        scores = workings.model.compute_scores(X, sess=workings.sess)
        yield Case(name, (X, choose_labels(scores)))


def compute_reference(workings: Workings, case: Case) -> np.ndarray:
    """Return the kit's maps."""
    return compute_saliency_maps(*case.arguments, workings.model, sess=workings.sess)


def solve(
    workings: Workings,
    case: Case,
    *,
    score: Callable[[SqueezeNet], tf.Tensor] = label_score,
    labels: Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]] = lambda y, scores: [y],
    reduce: Callable[[np.ndarray], np.ndarray] = lambda gradient: np.abs(gradient).max(axis=-1),
    finish: Callable[[np.ndarray], np.ndarray] = lambda maps: maps,
) -> Outcome:
    """Return the maps, computed part by part.

    Parameters
    ----------
    workings : Workings
    case : Case
    score : function of the model
        What is differentiated.
    labels : function (y, scores) -> sequence of labels
        Whose scores; the gradients of several are added.
    reduce : function (N, H, W, 3) -> (N, H, W)
        What becomes of the channels.
    finish : function of the maps
        What is done to them last.
    """
    X, y = case.arguments
    scores = workings.differentiate(label_score, X, y)[1]
    gradient = sum(workings.differentiate(score, X, which)[0] for which in labels(y, scores))
    return Outcome(finish(reduce(gradient)))


def _stretch(maps: np.ndarray) -> np.ndarray:
    """Return maps moved and scaled to [0, 1], all together."""
    return (maps - maps.min()) / (maps.max() - maps.min())


def _each(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that changes each map by itself."""
    return lambda maps: np.stack([change(one) for one in maps])


def _first_alone(maps: np.ndarray) -> np.ndarray:
    """Return maps of which only the first is not zero."""
    return np.concatenate([maps[:1], np.zeros_like(maps[1:])])


MISTAKES = (
    Mistake(
        "no absolute value",
        "You took the maximum of the signed gradient. A pixel that lowers the score strongly when it changes "
        "matters as much as one that raises it: what becomes of it in your maps?",
        ({"reduce": lambda g: g.max(axis=-1)},),
    ),
    Mistake(
        "absolute value after the maximum",
        "You took the maximum over the channels first and the absolute value after it. For the channels "
        "(-3, 1, 2), which of the three is the strongest, and which one do you keep?",
        ({"reduce": lambda g: np.abs(g.max(axis=-1))},),
    ),
    Mistake(
        "sum over the channels",
        "You added up the channels. The map is to say how strong the strongest channel of a pixel is.",
        (
            {"reduce": lambda g: np.abs(g).sum(axis=-1)},
            {"reduce": lambda g: g.sum(axis=-1)},
            {"reduce": lambda g: np.abs(g.sum(axis=-1))},
        ),
    ),
    Mistake(
        "mean over the channels",
        "You averaged the channels. The map is to say how strong the strongest channel of a pixel is.",
        (
            {"reduce": lambda g: np.abs(g).mean(axis=-1)},
            {"reduce": lambda g: g.mean(axis=-1)},
            {"reduce": lambda g: np.abs(g.mean(axis=-1))},
        ),
    ),
    Mistake(
        "squared",
        "You squared the gradient, so that weak pixels all but vanish and the unit is another. What else "
        "makes a number's sign irrelevant?",
        (
            {"reduce": lambda g: (g**2).max(axis=-1)},
            {"reduce": lambda g: (g**2).sum(axis=-1)},
            {"reduce": lambda g: (g**2).mean(axis=-1)},
        ),
    ),
    Mistake(
        "Euclidean norm of the channels",
        "You took the Euclidean norm over the channels, which is another map than the one asked for: that of "
        "the strongest channel.",
        ({"reduce": lambda g: np.sqrt((g**2).sum(axis=-1))},),
    ),
    Mistake(
        "positive part only",
        "You kept only what raises the score and set the rest to zero. Does a pixel matter less if "
        "brightening it lowers the score?",
        ({"reduce": lambda g: np.maximum(g, 0).max(axis=-1)},),
    ),
    Mistake(
        "channels kept",
        "Your result still has the three channels. A map has one number per pixel.",
        (
            {"reduce": lambda g: g},
            {"reduce": np.abs},
            {"reduce": lambda g: np.abs(g).max(axis=-1, keepdims=True)},
        ),
    ),
    Mistake(
        "maximum over another axis",
        "You took the maximum along an axis that is not the channels'. What do the four axes of the gradient "
        "stand for?",
        tuple({"reduce": lambda g, axis=axis: np.abs(g).max(axis=axis)} for axis in (0, 1, 2)),
    ),
    Mistake(
        "gradient of the softmax probability",
        "You differentiated the softmax probability. It also rises when the other classes' scores fall, so "
        "these are in your map, too; use the score itself.",
        ({"score": other_scores.probability},),
    ),
    Mistake(
        "gradient of the log-probability",
        "You differentiated the logarithm of the probability, or each image's cross-entropy. The other "
        "classes' scores are in it; use the score itself.",
        ({"score": other_scores.log_probability},),
    ),
    Mistake(
        "gradient of the loss",
        "You differentiated the loss. It mixes the other classes in and is divided by the number of images, "
        "so an image's map depends on its company; use the score itself.",
        ({"score": other_scores.mean_loss},),
    ),
    Mistake(
        "gradient of the mean of the scores",
        "You averaged the images' scores before differentiating, so each map is divided by the number of "
        "images. What does an image's map have to do with how many others there are?",
        ({"score": other_scores.mean_label_score},),
    ),
    Mistake(
        "gradient of the sum of all scores",
        "You differentiated the scores of all classes together. When tf.gradients is given more than one "
        "number it adds them up; which single number per image is wanted?",
        (
            {"score": other_scores.sum_of_scores},
            {"score": other_scores.mean_of_scores},
            {"score": other_scores.mean_of_all_scores},
        ),
    ),
    Mistake(
        "the predicted class",
        "You explained the class that the network puts first. Whose score is asked for when y says another?",
        ({"labels": lambda y, scores: [scores.argmax(axis=1)]},),
    ),
    Mistake(
        "labels of the wrong rows",
        "Your images are explained with other images' labels. Which entry of the score matrix belongs to "
        "image i and its own label?",
        (
            {"labels": lambda y, scores: [np.full(len(y), label) for label in y]},
            {"labels": lambda y, scores: [np.full_like(y, y[0])]},
            {"labels": lambda y, scores: [np.full_like(y, y[-1])]},
            {"labels": lambda y, scores: [np.roll(y, 1)]},
            {"labels": lambda y, scores: [np.roll(y, -1)]},
            {"labels": lambda y, scores: [y[::-1]]},
            {"labels": lambda y, scores: [np.sort(y)]},
            {"labels": lambda y, scores: [np.arange(len(y))]},
        ),
    ),
    Mistake(
        "normalised",
        "You scaled the maps to [0, 1] or to [0, 255]. That is for display; here the gradient's own size is "
        "wanted, so that images can be compared.",
        (
            {"finish": _each(lambda one: one / one.max())},
            {"finish": _each(_stretch)},
            {"finish": lambda maps: maps / maps.max()},
            {"finish": _stretch},
            {"finish": _each(lambda one: one / np.linalg.norm(one))},
            {"finish": _each(lambda one: 255 * one / one.max())},
            {"finish": lambda maps: 255 * maps / maps.max()},
        ),
    ),
    Mistake(
        "mean over the batch",
        "You averaged (or added up) over the images. Each image is to have a map of its own.",
        (
            {"finish": lambda maps: maps.mean(axis=0)},
            {"finish": lambda maps: maps.mean(axis=0, keepdims=True)},
            {"finish": lambda maps: maps.sum(axis=0)},
            {"finish": lambda maps: maps.sum(axis=0, keepdims=True)},
            {"reduce": lambda g: np.abs(g.mean(axis=0)).max(axis=-1)},
            {"reduce": lambda g: np.abs(g.sum(axis=0)).max(axis=-1)},
            {"reduce": lambda g: np.abs(g).mean(axis=0).max(axis=-1)},
            {"reduce": lambda g: np.abs(g).sum(axis=0).max(axis=-1)},
        ),
    ),
    Mistake(
        "only the first image",
        "Only the first image got its map. What becomes of the others?",
        (
            {"finish": lambda maps: maps[0]},
            {"finish": lambda maps: maps[:1]},
            {"finish": _first_alone},
            {"finish": lambda maps: np.broadcast_to(maps[:1], maps.shape)},
        ),
    ),
)

TASK = Task(
    title="Saliency maps",
    function="compute_saliency_maps",
    points=10,
    make_cases=make_cases,
    compute_reference=compute_reference,
    solve=solve,
    mistakes=MISTAKES,
    cheap_parts=frozenset({"reduce", "finish"}),
    tolerance=1e-3,
    count_runs=lambda workings, case: 1,
)
"""`compute_saliency_maps(X, y, model)`."""
