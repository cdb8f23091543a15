"""Functions as learners write them: right ones, written differently, and wrong ones by the mistake's name.

They are written from the mistake's description and share no code with the checks. Like in the notebook, they
use the global `sess`, which the tests set.
"""

from __future__ import annotations

import functools

import numpy as np

from cs231n.quiet_tensorflow import tf

sess = None


# --- Saliency maps ---


def label_scores(model):
    """Return the labels' scores by gather_nd, as the notebook's hint says."""
    indices = tf.stack([tf.range(tf.shape(model.labels)[0]), model.labels], axis=1)
    return tf.gather_nd(model.classifier, indices)


def label_scores_by_one_hot(model):
    """Return the labels' scores by multiplication with rows of the identity."""
    return tf.reduce_sum(model.classifier * tf.one_hot(model.labels, 1000), axis=1)


def label_scores_by_diagonal(model):
    """Return the sum of the diagonal of all labels' columns."""
    return tf.reduce_sum(tf.linalg.diag_part(tf.gather(model.classifier, model.labels, axis=1)))


def score_of_one(model):
    """Return the label's score of a single image."""
    return model.classifier[0, model.labels[0]]


@functools.cache
def gradient_tensor(score, model):
    """Return the gradient's tensor; built once, for the tests call the functions often."""
    return tf.gradients(score(model), model.image)[0]


def gradient_of(score, X, y, model):
    """Return the gradient of a score with respect to the images."""
    return sess.run(gradient_tensor(score, model), {model.image: X, model.labels: y})


def saliency_by_gather(X, y, model):
    """As the notebook's hint says."""
    return np.abs(gradient_of(label_scores, X, y, model)).max(axis=-1)


def saliency_in_graph(X, y, model):
    """Reduce in the graph, with whatever scores."""
    maps = tf.reduce_max(tf.abs(gradient_tensor(label_scores_by_one_hot, model)), axis=3)
    return sess.run(maps, feed_dict={model.image: X, model.labels: y})


def saliency_image_by_image(X, y, model):
    """One image at a time."""
    maps = []
    for i in range(len(X)):
        gradient = gradient_of(score_of_one, X[i : i + 1], y[i : i + 1], model)
        maps.append(np.max(np.abs(gradient), axis=-1)[0])
    return np.array(maps)


def saliency_by_eval(X, y, model):
    """Evaluate in the default session; the absolute value is the root of the square."""
    with sess.as_default():
        gradient = gradient_tensor(label_scores_by_diagonal, model).eval({model.image: X, model.labels: y})
    return np.sqrt((gradient**2).max(axis=3))


def saliency_channel_by_channel(X, y, model):
    """Compare the channels one by one, in float64."""
    gradient = gradient_of(label_scores, X, y, model).astype(np.float64)
    red, green, blue = np.moveaxis(np.maximum(gradient, -gradient), -1, 0)
    return np.maximum(np.maximum(red, green), blue)


def saliency_as_list(X, y, model):
    """Return a list of maps."""
    return list(saliency_by_gather(X, y, model))


def saliency_rebuilding(X, y, model):
    """Build the gradient in every call, as most do."""
    (gradient,) = tf.gradients(label_scores(model), model.image)
    return np.abs(sess.run(gradient, {model.image: X, model.labels: y})).max(axis=-1)


RIGHT_SALIENCY = [
    saliency_by_gather,
    saliency_in_graph,
    saliency_image_by_image,
    saliency_by_eval,
    saliency_channel_by_channel,
    saliency_as_list,
]


def saliency_from(score=label_scores, reduce=lambda g: np.abs(g).max(axis=-1), labels=None, finish=None):
    """Return a learner's function with other lines in some places."""

    def compute_saliency_maps(X, y, model):
        used = y if labels is None else labels(X, y, model)
        maps = reduce(gradient_of(score, X, used, model))
        return maps if finish is None else finish(maps)

    return compute_saliency_maps


def predicted(X, y, model):
    """Return the classes that the network puts first."""
    return sess.run(model.classifier, {model.image: X}).argmax(axis=1)


def saliency_in_place(X, y, model):
    """Centre the images on the way, in the caller's array."""
    maps = saliency_by_gather(X, y, model)
    X -= X.mean()
    return maps


def five_label_scores(model):
    """Count on five images."""
    return tf.gather_nd(model.classifier, tf.stack([tf.range(5), model.labels], axis=1))


def saliency_five_rows(X, y, model):
    """Count on five images."""
    return np.abs(gradient_of(five_label_scores, X, y, model)).max(axis=-1)


def saliency_into_square(X, y, model):
    """Count on images of 224 x 224 pixels."""
    maps = np.zeros((len(X), 224, 224))
    maps[:] = saliency_by_gather(X, y, model)
    return maps


def saliency_into_five_squares(X, y, model):
    """Count on both; and return zeros for images that are not there."""
    maps = np.zeros((5, 224, 224))
    for i, one in enumerate(saliency_by_gather(X, y, model)):
        maps[i, : one.shape[0], : one.shape[1]] = one
    return maps


def saliency_unfinished(X, y, model):
    """Raise what the notebook's stub raises."""
    raise NotImplementedError("Task 1")


def saliency_without_return(X, y, model):
    """Forget the last line."""
    saliency_by_gather(X, y, model)


def saliency_of_nowhere(X, y, model):
    """Use a name that does not exist."""
    return np.abs(sess.run(model.scoers, {model.image: X, model.labels: y}))


def saliency_as_tensor(X, y, model):
    """Return the plan instead of the numbers."""
    return gradient_tensor(label_scores, model)


def saliency_as_list_of_tensors(X, y, model):
    """Return what tf.gradients returns."""
    return [gradient_tensor(label_scores, model)]


def saliency_of_logarithm(X, y, model):
    """Take a logarithm of a number that may be negative."""
    with np.errstate(all="ignore"):
        return np.log(gradient_of(label_scores, X, y, model).max(axis=-1))


def saliency_one_for_all(X, y, model):
    """Broadcast the first map."""
    maps = saliency_by_gather(X, y, model)
    return np.repeat(maps[:1], len(maps), axis=0)


def saliency_first_only(X, y, model):
    """Fill in the first map alone."""
    maps = np.zeros(X.shape[:3], np.float32)
    maps[0] = saliency_by_gather(X[:1], y[:1], model)
    return maps


def saliency_growing(X, y, model, calls=[0]):  # noqa: B006  it is to outlive the call
    """Return something else each time."""
    calls[0] += 1
    return calls[0] * saliency_by_gather(X, y, model)


def probabilities(model):
    """Return the labels' softmax probabilities."""
    return tf.reduce_sum(tf.nn.softmax(model.classifier) * tf.one_hot(model.labels, 1000), axis=1)


WRONG_SALIENCY = [
    ("no absolute value", saliency_from(reduce=lambda g: np.max(g, axis=-1))),
    ("absolute value after the maximum", saliency_from(reduce=lambda g: np.abs(np.max(g, axis=3)))),
    ("sum over the channels", saliency_from(reduce=lambda g: np.sum(np.abs(g), axis=-1))),
    ("sum over the channels", saliency_from(reduce=lambda g: np.sum(g, axis=-1))),
    ("mean over the channels", saliency_from(reduce=lambda g: np.mean(np.abs(g), axis=-1))),
    ("mean over the channels", saliency_from(reduce=lambda g: np.abs(np.mean(g, axis=-1)))),
    ("squared", saliency_from(reduce=lambda g: np.square(g).max(axis=-1))),
    ("squared", saliency_from(reduce=lambda g: (g * g).sum(axis=-1))),
    ("Euclidean norm of the channels", saliency_from(reduce=lambda g: np.linalg.norm(g, axis=-1))),
    ("positive part only", saliency_from(reduce=lambda g: (g * (g > 0)).max(axis=-1))),
    ("channels kept", saliency_from(reduce=np.abs)),
    ("channels kept", saliency_from(reduce=lambda g: g)),
    ("maximum over another axis", saliency_from(reduce=lambda g: np.abs(g).max(axis=0))),
    ("maximum over another axis", saliency_from(reduce=lambda g: np.abs(g).max(axis=1))),
    ("gradient of the softmax probability", saliency_from(probabilities)),
    ("gradient of the log-probability", saliency_from(lambda model: tf.log(probabilities(model)))),
    ("gradient of the loss", saliency_from(lambda model: model.loss)),
    ("gradient of the loss", saliency_from(lambda model: -model.loss)),
    ("gradient of the mean of the scores", saliency_from(lambda model: tf.reduce_mean(label_scores(model)))),
    ("gradient of the sum of all scores", saliency_from(lambda model: model.classifier)),
    ("the predicted class", saliency_from(labels=predicted)),
    ("the predicted class", saliency_from(lambda model: tf.reduce_max(model.classifier, axis=1))),
    ("labels of the wrong rows", saliency_from(lambda m: tf.gather(m.classifier, m.labels, axis=1))),
    ("labels of the wrong rows", saliency_from(lambda model: model.classifier[:, model.labels[0]])),
    ("labels of the wrong rows", saliency_from(labels=lambda X, y, model: y[::-1])),
    ("normalised", saliency_from(finish=lambda maps: maps / maps.max())),
    ("normalised", saliency_from(finish=lambda maps: maps / maps.max(axis=(1, 2), keepdims=True))),
    ("normalised", saliency_from(finish=lambda maps: (maps - maps.min()) / np.ptp(maps))),
    ("mean over the batch", saliency_from(finish=lambda maps: maps.mean(axis=0))),
    ("mean over the batch", saliency_from(finish=lambda maps: maps.mean(axis=0, keepdims=True))),
    ("only the first image", saliency_from(finish=lambda maps: maps[0])),
    ("only the first image", saliency_one_for_all),
    ("only the first image", saliency_first_only),
    ("changes its argument", saliency_in_place),
    ("not repeatable", saliency_growing),
    ("works only for 5 images at a time", saliency_five_rows),
    ("works only for images of 224x224 pixels", saliency_into_square),
    ("works only for 5 images of 224x224 pixels", saliency_into_five_squares),
    ("returns a Tensor", saliency_as_tensor),
    ("returns a Tensor", saliency_as_list_of_tensors),
    ("returns nothing", saliency_without_return),
    ("raises an error", saliency_of_nowhere),
    ("not done yet", saliency_unfinished),
    ("NaN", saliency_of_logarithm),
    ("unknown", saliency_from(reduce=lambda g: np.abs(g).max(axis=-1) ** 0.5)),
    (
        "no absolute value, gradient of the loss",
        saliency_from(lambda model: model.loss, reduce=lambda g: g.max(axis=-1)),
    ),
]
