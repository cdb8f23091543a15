"""SqueezeNet 1.1 as a static graph: placeholders, seventeen layers, scores, loss.

The architecture is that of Iandola et al. 2016 (arXiv:1602.07360) in its version 1.1: a convolution, eight
fire modules with three max pools between them, and a 1x1 convolution to the classes that is averaged over
all positions. Names of attributes and variables are those of the CS231n assignment of 2017, so that its
notebooks and its checkpoint work here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cs231n import session
from cs231n.classifiers.fast_convolution import fast_convolution_gradients
from cs231n.paths import checkpoint_prefix
from cs231n.quiet_tensorflow import tf
from cs231n.validation import check_images, check_positive_integer
from cs231n.weights import TENSOR_SHAPES, check_weights, read_weights

LAYER_NAMES = (*(f"features/layer{i}" for i in range(13)), *(f"classifier/layer{i}" for i in range(4)))
"""Names of the seventeen layers, after the scopes that hold their variables."""

IMAGES = "cs231n/squeezenet_images"
"""The graph's collection of placeholders that are a SqueezeNet's `image`."""

_POOLS = (2, 5, 8)


class SqueezeNet:
    """SqueezeNet 1.1, built into the default graph.

    Parameters
    ----------
    save_path : path, optional
        Weights to load: a checkpoint's prefix (`datasets/squeezenet.ckpt`; the name of either of its files
        does as well) or an `.h5` file. Without it the variables wait for
        `tf.global_variables_initializer()`, or for a `tf.train.Saver` of your own.
    sess : tf.Session, optional
        Where the weights are loaded to and where the kit's functions run this model. Default: the
        default session.

    Attributes
    ----------
    image : placeholder of float32, shape (N, H, W, 3)
        Preprocessed images; H and W at least 31.
    labels : placeholder of int32, shape (N,)
        Classes in [0, 1000), for `loss` and for the label's score.
    layers : list of 17 tensors
        0 to 12: the feature layers (convolution, ReLU, pool, then fire modules and pools). 13: the
        classifier's input, 14: its convolution, 15: that one's ReLU, 16: the scores.
    layer_names : tuple of 17 str
        `LAYER_NAMES`, so that a layer can be asked for by name.
    features : tensor of float32, shape (N, h, w, 512)
        The last feature layer, 13 x 13 positions for images of 224 x 224.
    classifier, scores : tensor of float32, shape (N, 1000)
        Unnormalised scores; two names for one tensor.
    label_score : tensor of float32, shape (N,)
        Each image's score of its label in `labels`: the same number as in `classifier`, from the label's
        column of the classifier alone. Its gradient is the cheaper for it.
    loss : tensor of float32, shape ()
        Mean softmax cross-entropy of the scores with `labels`.
    variables : dict
        The 52 variables under the checkpoint's names.
    sess : tf.Session or None
        As given, or the session that was the default one.
    graph : tf.Graph
        The graph the model was built in.

    Raises
    ------
    ValueError
        In eager mode; if `save_path` is given without a session; if the session is of another graph; if
        the weights are damaged or another network's.
    FileNotFoundError
        If there are no weights at `save_path`.

    Notes
    -----
    Models built into one graph share their variables, so a notebook cell that builds the model can be run
    again. The scores are the mean over *all* positions. At 224 x 224 that is the course's 13 x 13 pool; at
    other sizes the course's reshape silently mixed images.
    """

    def __init__(self, save_path: str | os.PathLike | None = None, sess: tf.Session | None = None) -> None:
        session.require_graph_mode("SqueezeNet")
        self.graph = tf.get_default_graph()
        self._owns_session = False
        self.sess = sess if sess is not None else tf.get_default_session()
        if save_path is not None:
            session.choose_session(self.graph, self.sess)
            weights = read_weights(save_path)

        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE, use_resource=True):
            self.variables = {name: tf.get_variable(name, shape) for name, shape in TENSOR_SHAPES.items()}
        self.image = tf.placeholder(tf.float32, [None, None, None, 3], name="input_image")
        # Images that are too small end the whole process, so who has the tensor only must be able to tell.
        tf.add_to_collection(IMAGES, self.image)
        self.labels = tf.placeholder(tf.int32, [None], name="labels")

        self.layers = self.extract_features(self.image)
        self.features = self.layers[-1]
        with tf.name_scope("classifier"):
            convolution = self._convolve(self.features, "classifier/layer1")
            rectified = tf.nn.relu(convolution)
            self.classifier = tf.reduce_mean(rectified, axis=[1, 2], name="scores")
            self.label_score = self.score_of(self.labels, name="label_score")
        self.scores = self.classifier
        self.layers += [self.features, convolution, rectified, self.classifier]
        self.layer_names = LAYER_NAMES
        self.loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=self.labels, logits=self.classifier)
        )
        if save_path is not None:
            self.load(weights)

    @classmethod
    def pretrained(cls, save_path: str | os.PathLike | None = None) -> SqueezeNet:
        """Return a SqueezeNet in a graph and a session of its own, with the installed weights.

        Use it in a `with` statement, or call `close` when done.

        Parameters
        ----------
        save_path : path, optional
            Other weights than the installed ones, as for the class.

        Examples
        --------
        >>> with SqueezeNet.pretrained() as model:
        ...     maps = compute_saliency_maps(X, y, model)
        """
        graph = tf.Graph()
        sess = tf.Session(graph=graph)
        try:
            with graph.as_default():
                model = cls(checkpoint_prefix() if save_path is None else save_path, sess)
            model._owns_session = True
            return model
        except BaseException:
            sess.close()
            raise

    def extract_features(self, input: tf.Tensor | None = None, reuse: bool = True) -> list[tf.Tensor]:
        """Return the thirteen feature layers for another input; the weights are shared.

        Parameters
        ----------
        input : tensor of float32, shape (N, H, W, 3), optional
            Preprocessed images. Default: the placeholder `image`.
        reuse : bool
            Kept for the course's signature; the weights are shared whatever it says.
        """
        x = self.image if input is None else input
        layers = []
        with self.graph.as_default(), fast_convolution_gradients(self.graph):
            for index in range(13):
                with tf.name_scope(f"features/layer{index}"):
                    x = self._feature_layer(index, x)
                layers.append(x)
        return layers

    def load(self, weights: Mapping[str, np.ndarray], *, sess: tf.Session | None = None) -> None:
        """Load weights that are in memory.

        Parameters
        ----------
        weights : mapping of name to ndarray
            The 52 tensors under the checkpoint's names, as `cs231n.weights.read_weights` returns them.
        sess : tf.Session, optional
            Default: the model's session, else the default session.

        Raises
        ------
        ValueError
            If a tensor is missing, has another shape or is not finite, or there is no session.
        """
        weights = check_weights(weights, "weights")
        sess = session.choose_session(self.graph, sess, self.sess)
        session.assign(sess, [self.variables[name] for name in weights], list(weights.values()))

    def compute_scores(
        self,
        X: npt.ArrayLike,
        *,
        sess: tf.Session | None = None,
        batch_size: int = session.DEFAULT_BATCH_SIZE,
    ) -> np.ndarray:
        """Return the unnormalised scores of images; `scipy.special.softmax(..., axis=1)` makes probabilities.

        Parameters
        ----------
        X : array_like of float, shape (N, H, W, 3)
            Preprocessed images.
        sess : tf.Session, optional
            Default: the model's session, else the default session.
        batch_size : int
            Images per run of the session; the result does not depend on it.

        Returns
        -------
        ndarray of float32, shape (N, 1000)

        Raises
        ------
        ValueError
            If `X` is not what is said above, or there is no session with the weights loaded.
        """
        X = check_images(X)
        batch_size = check_positive_integer(batch_size, "batch_size")
        sess = session.choose_session(self.graph, sess, self.sess)
        return session.run_in_batches(sess, [self.classifier], {self.image: X}, batch_size)[0]

    def score_of(self, labels: tf.Tensor, name: str | None = None) -> tf.Tensor:
        """Return the score of one class per image; the classifier's other columns take no part in it.

        Parameters
        ----------
        labels : tensor of int32, shape (N,)
            Classes in [0, 1000).
        name : str, optional
            The result's name in the graph.

        Returns
        -------
        tensor of float32, shape (N,)
        """
        kernel, bias = self.variables["classifier/layer1/weights"], self.variables["classifier/layer1/bias"]
        columns = tf.gather(kernel[0, 0], labels, axis=1)
        convolution = tf.einsum("nhwc,cn->nhw", self.features, columns)
        rectified = tf.nn.relu(convolution + tf.gather(bias, labels)[:, None, None])
        return tf.reduce_mean(rectified, axis=[1, 2], name=name)

    def close(self) -> None:
        """Close the session that `pretrained` opened; one that was given stays open."""
        if self._owns_session:
            self.sess.close()

    def __enter__(self) -> SqueezeNet:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _feature_layer(self, index: int, x: tf.Tensor) -> tf.Tensor:
        if index == 0:
            return self._convolve(x, "features/layer0", stride=2)
        if index == 1:
            return tf.nn.relu(x)
        if index in _POOLS:
            return tf.nn.max_pool2d(x, ksize=3, strides=2, padding="VALID")
        return self._fire(x, f"features/layer{index}/fire")

    def _fire(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Return a fire module: squeeze to few channels, expand by 1x1 and 3x3 side by side."""
        squeezed = tf.nn.relu(self._convolve(x, f"{name}/squeeze"))
        e11 = tf.nn.relu(self._convolve(squeezed, f"{name}/e11"))
        e33 = tf.nn.relu(self._convolve(squeezed, f"{name}/e33", padding="SAME"))
        return tf.concat([e11, e33], axis=3)

    def _convolve(self, x: tf.Tensor, name: str, stride: int = 1, padding: str = "VALID") -> tf.Tensor:
        kernel, bias = self.variables[f"{name}/weights"], self.variables[f"{name}/bias"]
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides=stride, padding=padding), bias)
