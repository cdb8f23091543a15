"""What the tests share: weights, a network, photographs."""

import os

# Before NumPy and TensorFlow are imported. The oracle multiplies small matrices: two threads that wait for
# each other gain nothing, and where other programs run they take up to thirty times as long as one.
# TensorFlow's run of a small image takes a third of the time if it is not handed around.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# isort: split

import cs231n  # noqa: F401  before TensorFlow: it sets what TensorFlow reads at its import

# isort: split

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val
from cs231n.image_utils import preprocess_image
from cs231n.paths import checkpoint_prefix, datasets_dir
from cs231n.weights import read_checkpoint
from tests import oracle


@pytest.fixture(scope="session")
def weights():
    """Return the installed weights, name to array."""
    return read_checkpoint(checkpoint_prefix())


@pytest.fixture(scope="session")
def model(weights):
    """Return the pretrained network in a graph and session of its own."""
    with SqueezeNet.pretrained() as network:
        yield network


@pytest.fixture(scope="session")
def sample():
    """Return the sample photographs, raw, and their labels."""
    X, y, _ = load_imagenet_val(path=datasets_dir() / "imagenet_val_sample.h5")
    return X, y


@pytest.fixture(scope="session")
def photographs(sample):
    """Return the sample photographs as the network takes them, and their labels."""
    X, y = sample
    return preprocess_image(X), y


@pytest.fixture
def small_images():
    """Return three preprocessed noise images of 47 x 39 pixels: small, not square, odd."""
    return np.random.default_rng(0).normal(size=(3, 47, 39, 3)).astype(np.float32)


@pytest.fixture
def graph():
    """Make a new graph the default one, as after tf.reset_default_graph()."""
    with tf.Graph().as_default() as new:
        yield new


@pytest.fixture
def random_model(graph):
    """Return a network with random weights in a session on `graph`, and these weights.

    Many of its classes have score and gradient 0 on small images; see `live_labels`.
    """
    random = {name: array.astype(np.float32) for name, array in oracle.random_weights(seed=1).items()}
    with tf.Session(graph=graph) as sess:
        network = SqueezeNet(sess=sess)
        network.load(random)
        yield network, random


@pytest.fixture
def live_labels(random_model, small_images):
    """Return a label per small image whose score is not 0, the second best: its gradient isn't 0 either."""
    _, random = random_model
    return np.argsort(oracle.scores(random, small_images), axis=1)[:, -2]
