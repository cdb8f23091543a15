"""Image gradients: from a score per image to a function that returns its gradient.

This is the only place that calls `tf.gradients`. The gradient's operations are built once, and every later
call only runs them; a graph to which each call adds operations makes each call slower than the last.

The ReLU rules are here, too. A rule says what passes back through a ReLU: the plain derivative, or what
guided backpropagation and the deconvnet use in its place.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cs231n import session
from cs231n.quiet_tensorflow import tf
from cs231n.session import DEFAULT_BATCH_SIZE
from cs231n.validation import as_array, check_positive_integer

ReLURule = Callable[[tf.Operation, tf.Tensor], tf.Tensor]
Built = TypeVar("Built")

_RELU_TYPES = ("Relu", "Relu6")
_building = threading.RLock()
_rule_names: dict[ReLURule, str] = {}


def guided(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    """Pass only positive gradients, and only where the ReLU was active (Springenberg et al. 2015, §3.4)."""
    return tf.raw_ops.ReluGrad(gradients=tf.nn.relu(gradient), features=op.outputs[0])


def rectified(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    """Pass only positive gradients, wherever they arrive: the deconvnet (Zeiler & Fergus 2014, §2.1)."""
    return tf.nn.relu(gradient)


def gathered_label_score(model) -> tf.Tensor:
    """Return each image's unnormalised score of its own label, shape (N,): the plain way, row by row."""
    rows = tf.range(tf.shape(model.labels)[0])
    return tf.gather_nd(model.classifier, tf.stack([rows, model.labels], axis=1))


def label_score(model) -> tf.Tensor:
    """Return what `gathered_label_score` does, without computing the scores of the other classes.

    A gradient takes a fifth less time for it; see docs/performance.md. A model that has nothing but a
    `classifier` is asked the plain way.
    """
    own = getattr(model, "label_score", None)
    return gathered_label_score(model) if own is None else own


def max_abs(gradient: tf.Tensor) -> tf.Tensor:
    """Return the largest absolute value over the channels, (N, H, W, C) to (N, H, W)."""
    return tf.reduce_max(tf.abs(gradient), axis=-1)


class ImageGradient:
    """The gradient of a score with respect to the image, or to an inner tensor: built once, then run.

    Parameters
    ----------
    score : tensor of float, shape (N,) or ()
        What to differentiate. Entry i may depend on image i only; else the gradients mix.
    image : placeholder of float, shape (N, ...)
        What the images are fed to.
    wrt : tensor, shape (N, ...), optional
        With respect to what. Default: `image`.
    labels : placeholder, shape (N, ...), optional
        What the labels are fed to, or what else selects each image's score, if the score needs any.
    relu_rule : function (op, gradient) -> gradient, optional
        What passes back through a ReLU, `guided` or `rectified` for example. Default: its derivative.
        The rule holds for a second view of the operations from `wrt` to `score`, which shares all
        variables; the graph's own gradients stay as they are.
    reduce : function of a tensor, optional
        Applied to the gradient inside the graph, `max_abs` for example.
    outputs : sequence of tensors, shape (N, ...), optional
        Computed in the same run and returned after the gradient.

    Attributes
    ----------
    score : tensor
        What is differentiated: for loops of one's own that fetch it along with the gradient.
    gradient : tensor
        The gradient, reduced if so asked.
    num_relus : int
        How many ReLUs follow `relu_rule`.

    Raises
    ------
    ValueError
        If the score does not depend on `wrt`, or if there is a rule but no ReLU for it to hold for.
    """

    def __init__(
        self,
        score: tf.Tensor,
        image: tf.Tensor,
        *,
        wrt: tf.Tensor | None = None,
        labels: tf.Tensor | None = None,
        relu_rule: ReLURule | None = None,
        reduce: Callable[[tf.Tensor], tf.Tensor] | None = None,
        outputs: Sequence[tf.Tensor] = (),
    ) -> None:
        self.graph = image.graph
        self.image, self.labels, self.outputs = image, labels, list(outputs)
        self.num_relus = 0
        wrt = image if wrt is None else wrt
        with _building, self.graph.as_default():
            if relu_rule is not None:
                score, self.num_relus = _with_relu_rule(score, wrt, relu_rule)
            (gradient,) = tf.gradients(score, wrt)
            if gradient is None:
                raise ValueError(
                    f"The score {score.name} does not depend on {wrt.name}; there is no gradient."
                )
            self.score, self.gradient = score, gradient if reduce is None else reduce(gradient)

    def __call__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        *,
        sess: tf.Session | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> np.ndarray | tuple[np.ndarray, ...]:
        """Return the gradient for each image; with `outputs`, a tuple of it and them.

        Parameters
        ----------
        X : array_like, shape (N, ...)
            As the placeholder `image` takes them, all values finite.
        y : array_like, shape (N, ...), optional
            Labels, if the score needs them.
        sess : tf.Session, optional
            Default: the default session.
        batch_size : int
            Images per run; the result does not depend on it.

        Raises
        ------
        ValueError
            If an argument is not what is said above, or there is no session with the weights loaded.
        """
        feeds = {self.image: check_feed(X, self.image, "X")}
        if self.labels is not None:
            if y is None:
                raise ValueError("The score needs labels, and y is None; pass one per image.")
            feeds[self.labels] = check_feed(y, self.labels, "y")
            if len(feeds[self.labels]) != len(feeds[self.image]):
                raise ValueError(f"y has {len(y)} entries for {len(X)} images; expected one per image.")
        batch_size = check_positive_integer(batch_size, "batch_size")
        sess = session.choose_session(self.graph, sess)
        results = session.run_in_batches(sess, [self.gradient, *self.outputs], feeds, batch_size)
        return tuple(results) if self.outputs else results[0]


def check_feed(array: npt.ArrayLike, placeholder: tf.Tensor, name: str) -> np.ndarray:
    """Return what is to be fed as an array, after checking that it fits the placeholder and is finite.

    Raises
    ------
    ValueError
        One sentence: what was wrong, what was expected.
    """
    array = as_array(array, name)
    if not placeholder.shape.is_compatible_with(array.shape):
        raise ValueError(f"{name} has shape {array.shape}; expected {placeholder.shape}.")
    if len(array) == 0:
        raise ValueError(f"{name} is empty; expected at least one entry.")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; every value must be finite.")
    return array


def image_gradient(
    model,
    score: Callable[..., tf.Tensor] = label_score,
    *,
    wrt: tf.Tensor | None = None,
    relu_rule: ReLURule | None = None,
    reduce: Callable[[tf.Tensor], tf.Tensor] | None = None,
    outputs: Sequence[tf.Tensor] = (),
) -> ImageGradient:
    """Return the `ImageGradient` of a model's score: built at the first call, the same one ever after.

    Parameters
    ----------
    model : object
        With `image`, `labels` and `graph`, and what `score` asks of it: a `SqueezeNet`.
    score : function of the model
        Returns a tensor of shape (N,). Give a named function: every new lambda is another score.
    wrt, relu_rule, reduce, outputs
        As for `ImageGradient`.
    """

    def build() -> ImageGradient:
        return ImageGradient(
            score(model),
            model.image,
            wrt=wrt,
            labels=model.labels,
            relu_rule=relu_rule,
            reduce=reduce,
            outputs=outputs,
        )

    names = tuple(tensor.name for tensor in (model.image if wrt is None else wrt, *outputs))
    return build_once(model.graph, (model, score, names, relu_rule, reduce), build)


def build_once(graph: tf.Graph, key: Hashable, build: Callable[[], Built]) -> Built:
    """Return what `build` returned when it was first called for this key, in this graph.

    Parameters
    ----------
    graph : tf.Graph
        The default graph while `build` runs. What was built is kept with it and goes when it goes.
    key : hashable
        Says what is built; equal keys share it.
    build : function
    """
    with _building:
        # An attribute of the graph and no collection, for these are written into files with it.
        if not hasattr(graph, "_cs231n_built"):
            graph._cs231n_built = {}
        built = graph._cs231n_built
        if key not in built:
            with graph.as_default():
                built[key] = build()
        return built[key]


def operations_between(start: tf.Tensor, end: tf.Tensor) -> list[tf.Operation]:
    """Return the operations that depend on `start` and that `end` depends on, in the graph's order.

    The list is empty if `end` does not depend on `start`, or is `start`.
    """
    after = _reachable(start.consumers(), lambda op: [user for out in op.outputs for user in out.consumers()])
    before = _reachable([end.op], lambda op: [tensor.op for tensor in op.inputs])
    return [op for op in start.graph.get_operations() if op in after and op in before]


def _reachable(
    operations: list[tf.Operation], neighbours: Callable[[tf.Operation], list[tf.Operation]]
) -> set[tf.Operation]:
    """Return the operations, their neighbours, the neighbours' neighbours and so on."""
    found, waiting = set(), list(operations)
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += neighbours(op)
    return found


def _with_relu_rule(score: tf.Tensor, wrt: tf.Tensor, rule: ReLURule) -> tuple[tf.Tensor, int]:
    """Return `score` in a second view whose ReLUs after `wrt` follow `rule`, and the number of these ReLUs.

    Only the operations that lie between `wrt` and `score` are copied; whatever they take from outside
    (variables, labels) they share with the original.
    """
    between = operations_between(wrt, score)
    inside = set(between)
    definition = tf.GraphDef(versions=wrt.graph.graph_def_versions)
    num_relus = 0
    for op in between:
        node = definition.node.add()
        node.CopyFrom(op.node_def)
        # Order and placement: no value depends on them, and they may name operations that are not copied.
        node.input[:] = [name for name in node.input if not name.startswith("^")]
        node.attr.pop("_class", None)
        if op.type in _RELU_TYPES:
            node.attr["_gradient_op_type"].s = _register(rule).encode()
            num_relus += 1
    if not num_relus:
        raise ValueError(f"There is no ReLU between {wrt.name} and {score.name} for the rule to hold for.")
    shared = {tensor.name: tensor for op in between for tensor in op.inputs if tensor.op not in inside}
    (copy,) = tf.import_graph_def(
        definition, input_map=shared, return_elements=[score.name], name="relu_rule"
    )
    return copy, num_relus


def _register(rule: ReLURule) -> str:
    """Return the name under which TensorFlow knows `rule` as an operation's gradient."""
    if rule not in _rule_names:
        name = f"ReLURule_{uuid.uuid4().hex}"
        tf.RegisterGradient(name)(rule)
        _rule_names[rule] = name
    return _rule_names[rule]
