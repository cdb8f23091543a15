"""What learners differentiate instead of the label's score: one number per image, and why it is another."""

from __future__ import annotations

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import label_score
from cs231n.quiet_tensorflow import tf


def probability(model: SqueezeNet) -> tf.Tensor:
    """Return the softmax probability of the label, shape (N,)."""
    return tf.exp(log_probability(model))


def log_probability(model: SqueezeNet) -> tf.Tensor:
    """Return the logarithm of the label's softmax probability, shape (N,)."""
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=model.labels, logits=model.classifier)


def mean_loss(model: SqueezeNet) -> tf.Tensor:
    """Return the model's loss, which is divided by the number of images, shape ()."""
    return model.loss


def mean_label_score(model: SqueezeNet) -> tf.Tensor:
    """Return the mean of the labels' scores, shape ()."""
    return tf.reduce_mean(label_score(model))


def sum_of_scores(model: SqueezeNet) -> tf.Tensor:
    """Return the sum over all classes, shape (N,): what `tf.gradients` makes of the whole score tensor."""
    return tf.reduce_sum(model.classifier, axis=1)


def mean_of_scores(model: SqueezeNet) -> tf.Tensor:
    """Return the mean over all classes, shape (N,)."""
    return tf.reduce_mean(model.classifier, axis=1)


def mean_of_all_scores(model: SqueezeNet) -> tf.Tensor:
    """Return the mean over all classes and images, shape ()."""
    return tf.reduce_mean(model.classifier)


def sum_of_squared_scores(model: SqueezeNet) -> tf.Tensor:
    """Return the squared Euclidean norm of the scores, shape (N,)."""
    return tf.reduce_sum(model.classifier**2, axis=1)
