"""Functions as learners write them: right ones, written differently, and wrong ones by the mistake's name.

They are written from the mistake's description and share no code with the checks. Like in the notebook, they
use the global `sess`, which the tests set.
"""

from __future__ import annotations

import functools

import numpy as np
from matplotlib import pyplot as plt

from cs231n.image_utils import blur_image, deprocess_image, preprocess_image
from cs231n.quiet_tensorflow import tf

sess = None
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
VALID = -MEAN / STD, (1 - MEAN) / STD
"""Black and white after preprocessing."""


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
    ("gradient of the sum of all scores", saliency_from(lambda model: tf.reduce_mean(model.classifier))),
    ("the predicted class", saliency_from(labels=predicted)),
    ("the predicted class", saliency_from(lambda model: tf.reduce_max(model.classifier, axis=1))),
    ("labels of the wrong rows", saliency_from(lambda m: tf.gather(m.classifier, m.labels, axis=1))),
    ("labels of the wrong rows", saliency_from(lambda model: model.classifier[:, model.labels[0]])),
    ("labels of the wrong rows", saliency_from(labels=lambda X, y, model: y[::-1])),
    ("normalised", saliency_from(finish=lambda maps: maps / maps.max())),
    ("normalised", saliency_from(finish=lambda maps: maps / maps.max(axis=(1, 2), keepdims=True))),
    ("normalised", saliency_from(finish=lambda maps: (maps - maps.min()) / np.ptp(maps))),
    ("normalised", saliency_from(finish=lambda maps: 255 * maps / maps.max())),
    ("mean over the batch", saliency_from(finish=lambda maps: maps.mean(axis=0))),
    ("mean over the batch", saliency_from(finish=lambda maps: maps.mean(axis=0, keepdims=True))),
    ("mean over the batch", saliency_from(reduce=lambda g: np.abs(g.mean(axis=0)).max(axis=-1))),
    ("all zero", saliency_from(finish=lambda maps: 0 * maps)),
    ("all zero", saliency_from(lambda model: tf.nn.softmax(model.classifier))),
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
    ("unknown mistake", saliency_from(reduce=lambda g: np.abs(g).max(axis=-1) ** 0.5)),
    (
        "no absolute value, gradient of the loss",
        saliency_from(lambda model: model.loss, reduce=lambda g: g.max(axis=-1)),
    ),
]


# --- Fooling images ---

ITERATIONS = 14  # fewer than the notebook's hundred, and enough for what the checks ask


def unit(g):
    """Return an array divided by its Euclidean norm."""
    return g / np.linalg.norm(g)


def fooling_from(
    score=score_of_one,
    step=unit,
    label=None,
    keep=lambda X: X,
    is_done=lambda scores, target, i: scores[0].argmax() == target,
    finish=lambda X_fooling, X: X_fooling,
):
    """Return a learner's function with other lines in some places."""

    def make_fooling_image(X, target_y, model):
        X_fooling = X.copy()
        for i in range(ITERATIONS):
            fetches = [model.classifier, gradient_tensor(score, model)]
            scores, gradient = sess.run(fetches, {model.image: X_fooling, model.labels: [target_y]})
            if is_done(scores, target_y, i):
                break
            if label is not None:
                gradient = gradient_of(score, X_fooling, [label(target_y, scores)], model)
            X_fooling = keep(X_fooling + step(gradient))
        return finish(X_fooling, X)

    return make_fooling_image


def fooling_in_two_runs(X, target_y, model):
    """Fetch scores and gradient one after the other; the norm by hand."""
    fooled = np.array(X)
    for _ in range(ITERATIONS):
        scores = sess.run(model.scores, {model.image: fooled})
        if np.argmax(scores) == target_y:
            return fooled
        g = gradient_of(label_scores, fooled, [target_y], model)
        fooled = fooled + 1.0 * g / np.sqrt(np.sum(g**2))
    return fooled


def fooling_normalised_in_graph(X, target_y, model):
    """Let TensorFlow normalise; write the condition into a while loop."""
    score = gradient_tensor(label_scores_by_one_hot, model)
    step = tf.nn.l2_normalize(score)
    image, steps = X, 0
    while (
        sess.run(model.classifier, {model.image: image}).argmax(axis=1)[0] != target_y and steps < ITERATIONS
    ):
        image = image + sess.run(step, {model.image: image, model.labels: np.array([target_y])})
        steps += 1
    return image


def fooling_in_float64(X, target_y, model):
    """Add the changes up in float64, and guard against a zero norm."""
    change = np.zeros(X.shape)
    for _ in range(ITERATIONS):
        image = X + change
        if sess.run(model.classifier, {model.image: image})[0].argmax() == target_y:
            break
        g = gradient_of(label_scores, image, [target_y], model).astype(np.float64)
        change += g / (np.linalg.norm(g) + 1e-10)
    return X + change


def fooling_looking_after_the_step(X, target_y, model):
    """Look at the network's answer at the end of the loop's body."""
    image = X.copy()
    for _ in range(ITERATIONS):
        image += unit(gradient_of(score_of_one, image, [target_y], model))
        if np.argmax(sess.run(model.classifier, feed_dict={model.image: image})[0]) == target_y:
            break
    return image


RIGHT_FOOLING = [
    fooling_from(),
    fooling_in_two_runs,
    fooling_normalised_in_graph,
    fooling_in_float64,
    fooling_looking_after_the_step,
]


def fooling_in_place(X, target_y, model):
    """Forget the copy."""
    X_fooling = X
    while sess.run(model.classifier, {model.image: X_fooling})[0].argmax() != target_y:
        X_fooling += unit(gradient_of(score_of_one, X_fooling, [target_y], model))
    return X_fooling


def fooling_with_stale_scores(X, target_y, model):
    """Step before looking at the scores that came with the gradient."""
    image = X.copy()
    fetches = [gradient_tensor(label_scores, model), model.classifier]
    for _ in range(ITERATIONS):
        g, scores = sess.run(fetches, {model.image: image, model.labels: [target_y]})
        image += unit(g)
        if scores[0].argmax() == target_y:
            break
    return image


def never(scores, target, i):
    """Go on to the end."""
    return False


def log_probability(model):
    """Return the negative loss of one image."""
    return -model.loss


def probability_of_one(model):
    """Return the label's probability of a single image."""
    return tf.nn.softmax(model.classifier)[0, model.labels[0]]


WRONG_FOOLING = [
    ("raw gradient", fooling_from(step=lambda g: g)),
    ("divided by the squared norm", fooling_from(step=lambda g: g / np.sum(g * g))),
    ("another normalisation", fooling_from(step=lambda g: g / np.max(np.abs(g)))),
    ("another normalisation", fooling_from(step=np.sign)),
    ("another step length", fooling_from(step=lambda g: 10 * unit(g))),
    ("another step length", fooling_from(step=lambda g: 0.1 * unit(g))),
    ("sign flipped", fooling_from(step=lambda g: -unit(g))),
    ("sign flipped", fooling_from(step=lambda g: -g / (np.linalg.norm(g) + 1e-7))),
    ("sign flipped", fooling_from(step=lambda g: -g)),
    ("descends the loss", fooling_from(log_probability)),
    ("descends the loss", fooling_from(probability_of_one)),
    ("raises all classes", fooling_from(lambda model: model.classifier)),
    ("wrong class raised", fooling_from(label=lambda target, scores: scores[0].argmax())),
    ("wrong class raised", fooling_from(lambda model: tf.reduce_max(model.classifier))),
    ("wrong class raised", fooling_from(lambda model: model.classifier[0, 0])),
    ("changes its argument", fooling_in_place),
    ("image unchanged", fooling_from(keep=lambda X: X, is_done=lambda scores, target, i: True)),
    ("stops early", fooling_from(is_done=lambda scores, target, i: i == 2)),
    ("stops early", fooling_from(is_done=lambda scores, target, i: i == 1)),
    ("goes on after success", fooling_from(is_done=never)),
    ("goes on after success", fooling_with_stale_scores),
    ("clips", fooling_from(keep=lambda X: np.clip(X, *VALID))),
    ("clips", fooling_from(finish=lambda X_fooling, X: np.clip(X_fooling, *VALID))),
    ("returns the difference", fooling_from(finish=lambda X_fooling, X: X_fooling - X)),
    ("batch axis lost", fooling_from(finish=lambda X_fooling, X: X_fooling[0])),
    ("unknown mistake", fooling_from(step=lambda g: unit(g) + 0.001)),
]


# --- Class visualisation ---


def visualization_from(
    gradient=lambda X, y, l2_reg, model: gradient_of(score_of_one, X, [y], model) - 2 * l2_reg * X,
    update=lambda X, g, rate: X + rate * g,
    undo=lambda ox, oy: (-ox, -oy),
):
    """Return a learner's function with other lines in some places; the rest is given in the notebook."""

    def create_class_visualization(target_y, model, **kwargs):
        l2_reg = kwargs.pop("l2_reg", 1e-3)
        learning_rate = kwargs.pop("learning_rate", 25)
        num_iterations = kwargs.pop("num_iterations", 100)
        blur_every = kwargs.pop("blur_every", 10)
        max_jitter = kwargs.pop("max_jitter", 16)
        show_every = kwargs.pop("show_every", 25)
        X = 255 * np.random.rand(224, 224, 3)  # noqa: NPY002
        X = preprocess_image(X)[None]
        for t in range(num_iterations):
            ox, oy = np.random.randint(-max_jitter, max_jitter + 1, 2)  # noqa: NPY002
            X = np.roll(np.roll(X, ox, 1), oy, 2)
            X = update(X, gradient(X, target_y, l2_reg, model), learning_rate)
            ox, oy = undo(ox, oy)
            X = np.roll(np.roll(X, ox, 1), oy, 2)
            X = np.clip(X, *VALID)
            if t % blur_every == 0:
                X = blur_image(X, sigma=0.5)
            if t == 0 or (t + 1) % show_every == 0 or t == num_iterations - 1:
                print("iteration", t)
                plt.imshow(deprocess_image(X[0]))
                plt.show()
        return X

    return create_class_visualization


@functools.cache
def objective_gradient(model, penalty, sign=1):
    """Return the gradient's tensor of the score minus a penalty, and the placeholder of its strength."""
    strength = tf.placeholder(tf.float32, [])
    objective = model.classifier[0, model.labels[0]] - strength * penalty(model)
    return tf.gradients(sign * objective, model.image)[0], strength


def penalised(penalty, sign=1):
    """Return a function that differentiates the score minus a penalty in the graph."""

    def gradient(X, y, l2_reg, model):
        tensor, strength = objective_gradient(model, penalty, sign)
        return sess.run(tensor, {model.image: X, model.labels: [y], strength: l2_reg})

    return gradient


def squared_norm(model):
    """Return what the formula says."""
    return tf.reduce_sum(model.image**2)


def squared_tf_norm(model):
    """Return the same by TensorFlow's norm."""
    return tf.square(tf.norm(model.image))


def halved_squared_norm(model):
    """Return what tf.nn.l2_loss makes of it."""
    return tf.nn.l2_loss(model.image)


def norm_of_scores(model):
    """Penalise the wrong tensor."""
    return tf.nn.l2_loss(model.classifier)


def nothing(model):
    """Forget the penalty."""
    return tf.constant(0.0)


def score_gradient(score):
    """Return a function that raises another score, with the right penalty."""
    return lambda X, y, l2_reg, model: gradient_of(score, X, [y], model) - 2 * l2_reg * X


def descending(X, g, rate):
    """Descend, which is right if the objective was negated."""
    return X - rate * g


RIGHT_VISUALIZATION = [
    visualization_from(),
    visualization_from(penalised(squared_norm)),
    visualization_from(penalised(squared_tf_norm), lambda X, g, rate: X + np.float64(rate) * g),
    visualization_from(penalised(squared_norm, sign=-1), descending),
]
ACCEPTED_VISUALIZATION = visualization_from(penalised(halved_squared_norm))

WRONG_VISUALIZATION = [
    ("sign of the regulariser", visualization_from(penalised(lambda model: -squared_norm(model)))),
    ("sign of the regulariser", visualization_from(penalised(lambda model: -halved_squared_norm(model)))),
    ("no regulariser", visualization_from(penalised(nothing))),
    ("regularises the scores", visualization_from(penalised(norm_of_scores))),
    ("no learning rate", visualization_from(update=lambda X, g, rate: X + g)),
    ("descends", visualization_from(update=descending)),
    ("descends", visualization_from(penalised(squared_norm, sign=-1))),
    ("normalised gradient", visualization_from(update=lambda X, g, rate: X + rate * unit(g))),
    ("normalised gradient", visualization_from(update=lambda X, g, rate: X + unit(g))),
    ("raises the probability", visualization_from(score_gradient(log_probability))),
    ("raises the probability", visualization_from(score_gradient(probability_of_one))),
    ("raises all classes", visualization_from(score_gradient(lambda model: model.classifier))),
    ("jitter not undone", visualization_from(undo=lambda ox, oy: (0, 0))),
    ("jitter not undone", visualization_from(undo=lambda ox, oy: (ox, oy))),
    ("image unchanged", visualization_from(update=lambda X, g, rate: X)),
    ("half the regulariser, descends", visualization_from(penalised(halved_squared_norm), descending)),
    ("unknown mistake", visualization_from(update=lambda X, g, rate: X + 3 * rate * g)),
]
