"""The machine's own rate: products of square float32 matrices, by three libraries."""

from __future__ import annotations

import numpy as np

SIZE = 2048
FLOP = 2 * SIZE**3


class NumPyProduct:
    """NumPy's product, by the BLAS that it was built with."""

    def __init__(self) -> None:
        self._factors = np.random.default_rng(0).normal(size=(2, SIZE, SIZE)).astype(np.float32)

    def multiply(self) -> None:
        """Compute the product."""
        np.matmul(*self._factors)


class TensorFlowProduct:
    """TensorFlow's product, in a session; nothing is copied in or out."""

    def __init__(self) -> None:
        import cs231n  # noqa: F401  before TensorFlow: it switches oneDNN on

        # isort: split
        from cs231n.quiet_tensorflow import tf

        with tf.Graph().as_default() as graph:
            factors = [tf.get_variable(name, initializer=tf.random_normal([SIZE, SIZE])) for name in "ab"]
            self._product = tf.matmul(*factors).op
            initialiser = tf.global_variables_initializer()
        self._session = tf.Session(graph=graph)
        self._session.run(initialiser)

    def multiply(self) -> None:
        """Compute the product."""
        self._session.run(self._product)


class TorchProduct:
    """PyTorch's product."""

    def __init__(self) -> None:
        import torch

        self._factors = torch.randn(2, SIZE, SIZE)

    def multiply(self) -> None:
        """Compute the product."""
        self._factors[0] @ self._factors[1]
