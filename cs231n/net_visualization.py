"""Saliency maps, fooling images, class visualisation: the three techniques of the assignment."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cs231n import session
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import image_gradient, label_score, max_abs
from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD, blur_image, preprocess_image
from cs231n.progress import progress_bar
from cs231n.quiet_tensorflow import tf
from cs231n.session import DEFAULT_BATCH_SIZE
from cs231n.validation import (
    check_images,
    check_label,
    check_labels,
    check_not_negative,
    check_not_negative_integer,
    check_positive_integer,
    check_positive_number,
)

BLACK, WHITE = (0 - SQUEEZENET_MEAN) / SQUEEZENET_STD, (1 - SQUEEZENET_MEAN) / SQUEEZENET_STD
"""What black and white pixels are after preprocessing: the bounds of a valid image, per channel."""

IterationCallback = Callable[[int, np.ndarray, float], None]
"""Called with the iteration's number, the image and the score of the class that is raised."""


class FoolingStep(NamedTuple):
    """What the network said at one iteration of `make_fooling_image`, before its step was made."""

    score: float
    """The target's unnormalised score."""
    top_class: int
    """The class with the highest score."""


class VisualizationStep(NamedTuple):
    """One iteration of `class_visualization_steps`."""

    image: np.ndarray
    """The image after the iteration, float32, shape (1, 224, 224, 3)."""
    score: float
    """The class's unnormalised score before it."""
    best: np.ndarray
    """Of the images that iterations began with, the one with the highest regularised score."""


def compute_saliency_maps(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return how strongly each pixel moves the score of the image's label.

    The map of image i is ``max_c |d score[y_i] / d X[i, h, w, c]|``. The score is the unnormalised one;
    neither the softmax nor the loss is differentiated, for they mix the other classes in.

    Parameters
    ----------
    X : array_like of float, shape (N, H, W, 3)
        Preprocessed images.
    y : array_like of int, shape (N,)
        The classes to explain, in [0, 1000).
    model : SqueezeNet
    sess : tf.Session, optional
        Default: the model's session, else the default session.
    batch_size : int
        Images per run of the session; the result does not depend on it.

    Returns
    -------
    ndarray of float32, shape (N, H, W)
        Not negative, not normalised.

    Raises
    ------
    ValueError
        If `X` or `y` is not what is said above, or there is no session with the weights loaded.

    References
    ----------
    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks. ICLR workshop 2014, section 3.
    """
    X = check_images(X)
    y = check_labels(y, len(X))
    batch_size = check_positive_integer(batch_size, "batch_size")
    # Built at the first call with this model, and only run in later ones:
    #     score = tf.gather_nd(model.classifier, [[0, y[0]], [1, y[1]], ...])   label_score, at less cost
    #     gradient = tf.gradients(score, model.image)                           image_gradient
    #     maps = tf.reduce_max(tf.abs(gradient), axis=3)                        max_abs
    saliency = image_gradient(model, label_score, reduce=max_abs)
    return saliency(X, y, sess=sess or model.sess, batch_size=batch_size)


def make_fooling_image(
    X: npt.ArrayLike,
    target_y: int,
    model: SqueezeNet,
    learning_rate: float = 1,
    max_iterations: int = 100,
    *,
    return_trace: bool = False,
    callback: IterationCallback | None = None,
    sess: tf.Session | None = None,
) -> np.ndarray | tuple[np.ndarray, list[FoolingStep]]:
    """Change an image, hardly visibly, until the network takes it for another class.

    Each step goes in the direction of the gradient g of the target's unnormalised score and has the
    length `learning_rate`: ``X += learning_rate * g / ||g||_2``. The first image whose highest score is
    the target's is returned.

    Parameters
    ----------
    X : array_like of float, shape (1, H, W, 3)
        One preprocessed image. Not changed.
    target_y : int
        The class that the network is to see, in [0, 1000).
    model : SqueezeNet
    learning_rate : float
        Length of a step, above 0, in units of preprocessed pixels.
    max_iterations : int
        Steps to make at most. If they do not suffice, a warning says so, and the last image is returned.
    return_trace : bool
        Whether to return what the network said at each step, too.
    callback : function (iteration, image, score), optional
        Called at each iteration with a copy of the image and the target's score there, before the step;
        the last time with the image that is returned.
    sess : tf.Session, optional
        Default: the model's session, else the default session.

    Returns
    -------
    fooling : ndarray of float32, shape (1, H, W, 3)
        Not clipped to valid pixels: differences are far below what would take it there.
    trace : list of FoolingStep
        Only with `return_trace`: one for each step, and one for the image returned.

    Raises
    ------
    ValueError
        If an argument is not what is said above, or there is no session with the weights loaded.

    Warns
    -----
    UserWarning
        If the steps do not suffice, or the target's score has no gradient to follow.

    References
    ----------
    Szegedy et al.: Intriguing properties of neural networks. ICLR 2014, section 4. They minimise the
    change, this function only makes small ones.
    """
    max_iterations = check_positive_integer(max_iterations, "max_iterations")
    trace = []
    with progress_bar(max_iterations, "step", "fooling") as bar:
        for iteration, (image, scores) in enumerate(
            fooling_steps(X, target_y, model, learning_rate, max_iterations, sess=sess)
        ):
            trace.append(FoolingStep(float(scores[target_y]), int(scores.argmax())))
            if callback is not None:
                callback(iteration, image.copy(), trace[-1].score)
            bar.set_postfix(score=f"{trace[-1].score:.3g}", refresh=False)
            bar.update(iteration - bar.n)
    if trace[-1].top_class != target_y:
        shortfall = (
            f"after {iteration} steps; raise max_iterations or learning_rate"
            if iteration == max_iterations
            else "its score is 0 and has no gradient here; start from another image"
        )
        warnings.warn(f"The network does not say {target_y}: {shortfall}.", stacklevel=2)
    return (image, trace) if return_trace else image


def fooling_steps(
    X: npt.ArrayLike,
    target_y: int,
    model: SqueezeNet,
    learning_rate: float = 1,
    max_iterations: int = 100,
    *,
    sess: tf.Session | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the images of `make_fooling_image` one by one: for loops that show them while they are made.

    Parameters
    ----------
    X, target_y, model, learning_rate, max_iterations, sess
        As for `make_fooling_image`.

    Yields
    ------
    image : ndarray of float32, shape (1, H, W, 3)
        The first equals `X`. The last is the first that the network takes for the target, or the image after
        `max_iterations` steps, or one where the target's score has no gradient to follow.
    scores : ndarray of float32, shape (1000,)
        The unnormalised scores of the image.

    Raises
    ------
    ValueError
        As `make_fooling_image`, when the first image is asked for.
    """
    X = check_images(X)
    if len(X) != 1:
        raise ValueError(f"X holds {len(X)} images; expected one: pass X[i:i+1].")
    X = X.copy()
    target_y = check_label(target_y, "target_y")
    learning_rate = check_positive_number(learning_rate, "learning_rate")
    max_iterations = check_positive_integer(max_iterations, "max_iterations")
    sess = session.choose_session(model.graph, sess, model.sess)
    fetches = [image_gradient(model, label_score).gradient, model.classifier]
    for iteration in range(max_iterations + 1):
        gradient, scores = session.run(sess, fetches, {model.image: X, model.labels: [target_y]})
        yield X, scores[0]
        norm = np.linalg.norm(gradient)
        if iteration == max_iterations or scores[0].argmax() == target_y or norm == 0:
            return
        X = X + learning_rate * gradient / norm


def create_class_visualization(
    target_y: int,
    model: SqueezeNet,
    *,
    l2_reg: float = 1e-3,
    learning_rate: float = 25,
    num_iterations: int = 100,
    blur_every: int = 10,
    max_jitter: int = 16,
    show_every: int = 25,
    seed: int | None = None,
    callback: IterationCallback | None = None,
    sess: tf.Session | None = None,
) -> np.ndarray:
    """Draw what the network takes for a class: from noise, the image that raises the class's score.

    Gradient ascent on ``score - l2_reg * ||I||_2^2`` with steps of `learning_rate` times the gradient.
    Each iteration moves the image by a random jitter, round the edges, makes the step, moves it back and
    clips it to valid pixels. Iterations 0, blur_every, 2 * blur_every, ... end with a Gaussian blur of
    0.5 pixels.

    Parameters
    ----------
    target_y : int
        The class, in [0, 1000).
    model : SqueezeNet
    l2_reg : float
        Weight of the penalty on the image's size, at least 0.
    learning_rate : float
        Above 0.
    num_iterations : int
        Number of steps.
    blur_every : int
        Iterations from one blur to the next.
    max_jitter : int
        Largest move along each axis, in pixels; 0 for none.
    show_every : int
        How often `callback` is called: after the first iteration, after every so many, after the last.
    seed : int, optional
        Makes the result reproducible: the start and the jitters are what NumPy's global generator gives
        after ``np.random.seed(seed)``, in the order of the course's loop. Without it they are taken from
        the global generator as it is. Either way a solution that draws as the course's notebook does
        starts and jitters the same.
    callback : function (iteration, image, score), optional
        Gets the iteration's number from 0 on, a copy of the image after it, and the score that the class
        had before it.
    sess : tf.Session, optional
        Default: the model's session, else the default session.

    Returns
    -------
    ndarray of float32, shape (1, 224, 224, 3)
        Preprocessed; `deprocess_image` makes it visible. When the work is interrupted (Ctrl-C, the
        notebook's stop button), the image with the highest regularised score so far.

    Raises
    ------
    ValueError
        If an argument is not what is said above, or there is no session with the weights loaded.

    References
    ----------
    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks. ICLR workshop 2014, section 2.
    Yosinski et al.: Understanding Neural Networks Through Deep Visualization. ICML workshop 2015,
    section 3, where the blur is one of four regularisers.
    """
    num_iterations = check_positive_integer(num_iterations, "num_iterations")
    show_every = check_positive_integer(show_every, "show_every")
    steps = class_visualization_steps(
        target_y,
        model,
        l2_reg=l2_reg,
        learning_rate=learning_rate,
        num_iterations=num_iterations,
        blur_every=blur_every,
        max_jitter=max_jitter,
        seed=seed,
        sess=sess,
    )
    step = None
    try:
        with progress_bar(num_iterations, "iteration", "class visualisation") as bar:
            for t, step in enumerate(steps):
                if callback is not None and (t == 0 or (t + 1) % show_every == 0 or t == num_iterations - 1):
                    callback(t, step.image.copy(), step.score)
                bar.set_postfix(score=f"{step.score:.3g}", refresh=False)
                bar.update()
    except KeyboardInterrupt:
        if step is None:
            raise
        return step.best
    return step.image


def class_visualization_steps(
    target_y: int,
    model: SqueezeNet,
    *,
    l2_reg: float = 1e-3,
    learning_rate: float = 25,
    num_iterations: int = 100,
    blur_every: int = 10,
    max_jitter: int = 16,
    seed: int | None = None,
    sess: tf.Session | None = None,
) -> Iterator[VisualizationStep]:
    """Yield the iterations of `create_class_visualization` one by one.

    Parameters
    ----------
    target_y, model, l2_reg, learning_rate, num_iterations, blur_every, max_jitter, seed, sess
        As for `create_class_visualization`.

    Yields
    ------
    VisualizationStep

    Raises
    ------
    ValueError
        As `create_class_visualization`, when the first iteration is asked for.
    """
    target_y = check_label(target_y, "target_y")
    l2_reg = check_not_negative(l2_reg, "l2_reg")
    learning_rate = check_positive_number(learning_rate, "learning_rate")
    num_iterations = check_positive_integer(num_iterations, "num_iterations")
    blur_every = check_positive_integer(blur_every, "blur_every")
    max_jitter = check_not_negative_integer(max_jitter, "max_jitter")
    sess = session.choose_session(model.graph, sess, model.sess)
    class_score = image_gradient(model, label_score)
    fetches = [class_score.gradient, class_score.score]
    # The legacy generator on purpose: seeding NumPy makes the notebook's loop and this one agree.
    rng = np.random if seed is None else np.random.RandomState(check_not_negative_integer(seed, "seed"))

    X = preprocess_image(255 * rng.rand(224, 224, 3))[None]
    best, best_objective = X, -np.inf
    for t in range(num_iterations):
        down, right = rng.randint(-max_jitter, max_jitter + 1, 2)
        jittered = np.roll(X, (down, right), axis=(1, 2))
        gradient, scores = session.run(sess, fetches, {model.image: jittered, model.labels: [target_y]})
        score = float(scores[0])
        objective = score - l2_reg * float(np.vdot(X, X))
        if objective > best_objective:
            best, best_objective = X, objective
        jittered = jittered + learning_rate * (gradient - 2 * l2_reg * jittered)
        X = np.clip(np.roll(jittered, (-down, -right), axis=(1, 2)), BLACK, WHITE)
        if t % blur_every == 0:
            X = blur_image(X, sigma=0.5)
        yield VisualizationStep(X, score, best)
