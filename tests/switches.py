"""Comparison of photographs with the oracle: float64 arithmetic on the network's own side of each kink."""

import numpy as np


def network_switches(model, X):
    """Return a `decide` for `oracle.forward` that sets every ReLU and max pool as the network does for `X`.

    A photograph passes a million ReLUs and max pools, and some of them lie within rounding of their kink:
    there float32 may take the other side, which is as right. So the oracle takes the network's side; that
    the network's activations are right to 1e-5 is checked on the way.
    """
    relus = [op.outputs[0] for op in model.graph.get_operations() if op.type == "Relu"][:26]
    seen = model.sess.run([*relus, *(model.layers[k] for k in (1, 4, 7))], {model.image: X})

    def decide(activation):
        candidates = [array for array in seen if array.shape == activation.shape]
        nearest = min(candidates, key=lambda array: np.abs(array - activation).max())
        np.testing.assert_allclose(nearest, activation, rtol=0, atol=1e-5 * activation.max())
        return nearest

    return decide
