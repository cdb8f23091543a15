"""Any static graph as a model: where the images go in, and which tensors are its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cs231n import session
from cs231n.quiet_tensorflow import tf


class GraphModel:
    """A network that was built in a static graph, by whatever code.

    Parameters
    ----------
    image : placeholder of float, shape (N, ..., C)
        What the images are fed to; the first axis counts them and the last one holds the channels.
    layers : sequence of tensors, or mapping of names to tensors
        The layers that can be asked for, from the image up. The first axis of each counts the images and
        the last one holds the filters. Without names of your own they have those of their operations.
    sess : tf.Session, optional
        Where the variables have their values. Default: the default session.

    Attributes
    ----------
    image : tensor
    layers : list of tensors
    layer_names : tuple of str
    sess : tf.Session or None
        As given, or the session that was the default one.
    graph : tf.Graph

    Raises
    ------
    ValueError
        If `image` or a layer is no tensor of a static graph, they are of different graphs, or the session
        is of another graph.

    Examples
    --------
    >>> model = GraphModel(image, {"conv": conv, "angle": angle}, sess=sess)
    >>> visualize_saliency(model, "angle", 0, picture)
    """

    def __init__(
        self,
        image: tf.Tensor,
        layers: Sequence[tf.Tensor] | Mapping[str, tf.Tensor],
        *,
        sess: tf.Session | None = None,
    ) -> None:
        self.image = check_tensor(image, "image")
        self.graph = image.graph
        if image.shape.rank is None or image.shape.rank < 2:
            raise ValueError(f"image has shape {image.shape}; expected (N, ..., channels), of known rank.")
        named = layers.items() if isinstance(layers, Mapping) else [(_name(layer), layer) for layer in layers]
        named = [(name, check_tensor(layer, f"The layer {name}", self.graph)) for name, layer in named]
        if not named:
            raise ValueError("layers is empty; expected at least one tensor.")
        self.layer_names, self.layers = tuple(name for name, _ in named), [layer for _, layer in named]
        self.sess = sess if sess is not None else tf.get_default_session()
        if self.sess is not None:
            session.choose_session(self.graph, self.sess)


def find_layer(model, layer_idx: int | str, argument: str = "layer_idx") -> int:
    """Return the index of a layer in `model.layers`.

    Parameters
    ----------
    model : SqueezeNet or GraphModel
    layer_idx : int or str
        An index, from the end if negative, or a name.
    argument : str
        The argument's name, for the message.

    Raises
    ------
    ValueError
        If there is no such layer; the message says which there are.
    """
    names = model.layer_names
    if isinstance(layer_idx, str) and layer_idx in names:
        return names.index(layer_idx)
    try:
        return range(len(names))[layer_idx]
    except (IndexError, TypeError) as error:
        known = ", ".join(f"{i} {name}" for i, name in enumerate(names))
        raise ValueError(f"{argument} is {layer_idx!r}; the model has the layers {known}.") from error


def check_tensor(tensor: tf.Tensor, what: str, graph: tf.Graph | None = None) -> tf.Tensor:
    """Return `tensor`, or raise ValueError with a sentence if it is no tensor of a static graph."""
    if not isinstance(tensor, tf.Tensor) or not hasattr(tensor, "op"):
        raise ValueError(f"{what} is {type(tensor).__name__}; expected a tensor of a static graph.")
    if graph is not None and tensor.graph is not graph:
        raise ValueError(f"{what} is a tensor of another graph than the image; build both in the same graph.")
    return tensor


def _name(layer: tf.Tensor) -> str:
    return layer.op.name if hasattr(layer, "op") else repr(layer)
