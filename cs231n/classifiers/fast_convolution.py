"""The gradient of a convolution with respect to its input, by the operations that run fastest on a processor.

TensorFlow's own rule gives every convolution the same operation. On a processor two others take less time
for two kinds of them: a 1x1 convolution is a matrix product, and one of stride 2 with few input channels,
the first of an image network, is a convolution of stride 1 whose output pixels are then sorted.
docs/performance.md has the figures. The result is the same up to rounding.
"""

from __future__ import annotations

import contextlib

from cs231n.quiet_tensorflow import tf

_NAME = "CS231nConv2D"


def fast_convolution_gradients(graph: tf.Graph):
    """Return a context manager: convolutions built inside it have the faster gradient."""
    return graph.gradient_override_map({"Conv2D": _NAME})


def _gradients(op: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the gradients with respect to a convolution's input and kernel."""
    image, kernel = op.inputs
    geometry = {name: op.get_attr(name) for name in ("strides", "dilations", "padding", "data_format")}
    geometry["explicit_paddings"] = op.get_attr("explicit_paddings")
    kind = (*kernel.shape.as_list()[:2], geometry["strides"], geometry["padding"])
    is_usual = geometry["dilations"] == [1, 1, 1, 1] and geometry["data_format"] == b"NHWC"
    if is_usual and kind[:3] == (1, 1, [1, 1, 1, 1]):
        to_image = _one_by_one(gradient, kernel, tf.shape(image))
    elif is_usual and kind == (3, 3, [1, 2, 2, 1], b"VALID"):
        to_image = _stride_two(gradient, kernel, tf.shape(image))
    else:
        to_image = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(image), filter=kernel, out_backprop=gradient, **geometry
        )
    to_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=image, filter_sizes=tf.shape(kernel), out_backprop=gradient, **geometry
    )
    return to_image, to_kernel


with contextlib.suppress(KeyError):  # it is known already where a notebook reloads the module
    tf.RegisterGradient(_NAME)(_gradients)


def _one_by_one(gradient: tf.Tensor, kernel: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Return the input's gradient of a 1x1 convolution: each pixel's channels times the kernel transposed."""
    channels_in, channels_out = kernel.shape.as_list()[2:]
    pixels = tf.reshape(gradient, [-1, channels_out])
    product = tf.matmul(pixels, tf.reshape(kernel, [channels_in, channels_out]), transpose_b=True)
    return tf.reshape(product, shape)


def _stride_two(gradient: tf.Tensor, kernel: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Return the input's gradient of a 3x3 VALID convolution of stride 2, as one 2x2 convolution.

    Output row i reads input rows 2i, 2i + 1 and 2i + 2. So input row 2i + a, a = 0 or 1, gets kernel row
    2u + a from output row i - u, u = 0 or 1, where kernel row 3 is zero; the same holds for columns. One
    position of the 2x2 convolution yields the four pixels (a, b) in its channels, and depth_to_space sorts
    them.
    """
    channels_in, channels_out = kernel.shape.as_list()[2:]
    blocks = tf.pad(kernel, [[0, 1], [0, 1], [0, 0], [0, 0]])
    blocks = tf.reshape(blocks, [2, 2, 2, 2, channels_in, channels_out])  # u, a, v, b, in, out
    blocks = tf.transpose(tf.reverse(blocks, axis=[0, 2]), [0, 2, 5, 1, 3, 4])  # u, v, out, a, b, in
    blocks = tf.reshape(blocks, [2, 2, channels_out, 4 * channels_in])
    fours = tf.nn.conv2d(gradient, blocks, strides=1, padding=[[0, 0], [1, 1], [1, 1], [0, 0]])
    pixels = tf.nn.depth_to_space(fours, 2)  # one row or column too many where the input's number is odd
    return pixels[:, : shape[1], : shape[2]]
