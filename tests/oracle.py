"""The oracle: SqueezeNet 1.1 in plain float64 NumPy, forward and backward by hand.

The kit is compared with it, so it shares no code with the kit and uses no TensorFlow: slow, short, and near
the mathematics. Each layer is one function that returns its output Y and its backward pass, which takes
G = ∂f/∂Y to ∂f/∂X, whatever scalar f is differentiated. The chain rule is to call them in reverse.

Images and activations are N×H×W×C, kernels height × width × in × out, scores N×1000. Images are
preprocessed. Weights are a dict under the checkpoint's names, of float32 or float64.

Reference: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB
model size", in version 1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import NamedTuple

import numpy as np

Backward = Callable[[np.ndarray], np.ndarray]
Layer = Callable[[np.ndarray], tuple[np.ndarray, Backward]]
Decide = Callable[[np.ndarray], np.ndarray]
Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
Weights = dict[str, np.ndarray]

IMAGE, SCORES = -1, 16
"""The two ends of the 17 layers: the image comes before layer 0, the scores are layer 16."""


# --- Layers: each forward pass with its backward pass ---


def window(X: np.ndarray, offset: tuple[int, int], size: int, stride: int) -> np.ndarray:
    """View the pixel at `offset` in each size×size window of X, as N×H'×W'×C; windows are VALID, never cut.

    A sum or maximum over each window is one over all offsets. The view holds no pixel twice, so adding to it
    is its own backward pass.
    """
    (h, w), (height, width) = offset, X.shape[1:3]
    return X[:, h : height - size + 1 + h : stride, w : width - size + 1 + w : stride]


def convolution(
    X: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int = 1, pad: int = 0
) -> tuple[np.ndarray, Backward]:
    """Y[n,i,j] = bias + Σ_{h,w} X[n, i·stride + h, j·stride + w] · kernel[h,w].

    First X gets `pad` rows and columns of zeros on each side: 0 for VALID, 1 for a 3×3 SAME of stride 1.
    """
    size = len(kernel)
    padded = np.pad(X, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    Y = bias + sum(window(padded, hw, size, stride) @ kernel[hw] for hw in np.ndindex(size, size))

    def backward(G: np.ndarray) -> np.ndarray:
        G_padded = np.zeros_like(padded)
        for hw in np.ndindex(size, size):
            window(G_padded, hw, size, stride)[...] += G @ kernel[hw].T
        return G_padded[:, pad : pad + X.shape[1], pad : pad + X.shape[2]]

    return Y, backward


def max_pool(X: np.ndarray, decide: Decide = lambda A: A) -> tuple[np.ndarray, Backward]:
    """Y = the maximum of each 3×3 window, stride 2, VALID.

    The gradient goes to the winner. Of equals any is right; here it is the first in row-major order.
    """
    offsets = list(np.ndindex(3, 3))
    Y = reduce(np.maximum, (window(X, hw, 3, 2) for hw in offsets))
    D = decide(X)
    D_max = reduce(np.maximum, (window(D, hw, 3, 2) for hw in offsets))

    def backward(G: np.ndarray) -> np.ndarray:
        G_X = np.zeros_like(X)
        undecided = np.ones(Y.shape, bool)
        for hw in offsets:
            wins = undecided & (window(D, hw, 3, 2) == D_max)
            window(G_X, hw, 3, 2)[...] += wins * G
            undecided &= ~wins
        return G_X

    return Y, backward


def mean_pool(X: np.ndarray) -> tuple[np.ndarray, Backward]:
    """Y[n,c] = the mean of X[n,:,:,c], over all positions."""
    positions = X.shape[1] * X.shape[2]
    return X.mean(axis=(1, 2)), lambda G: np.broadcast_to(G[:, None, None] / positions, X.shape)


def identity(X: np.ndarray) -> tuple[np.ndarray, Backward]:
    """Y = X: the classifier's dropout, which does nothing outside training."""
    return X, lambda G: G


RULES: dict[str, Rule] = {
    "plain": lambda Y, G: G * (Y > 0),
    "guided": lambda Y, G: G * (Y > 0) * (G > 0),
    "rectified": lambda Y, G: G * (G > 0),
}
"""What a ReLU with output Y makes of the gradient G on its way back.

Plain is the derivative. Guided backpropagation (Springenberg et al. 2015, section 3.4) and rectified, the
deconvolutional network's (Zeiler and Fergus 2014, section 2.1), are not.
"""


def relu(X: np.ndarray, rule: Rule) -> tuple[np.ndarray, Backward]:
    """Y = max(X, 0); backward by `rule`."""
    Y = np.maximum(X, 0)
    return Y, lambda G: rule(Y, G)


def fire(X: np.ndarray, weights: Weights, name: str, rule: Rule) -> tuple[np.ndarray, Backward]:
    """Squeeze X to few channels; expand these by 1×1 and by 3×3 (SAME); Y is both, the 1×1 first."""

    def convolution_relu(X: np.ndarray, part: str, pad: int = 0) -> tuple[np.ndarray, Backward]:
        kernel, bias = weights[f"{name}/{part}/weights"], weights[f"{name}/{part}/bias"]
        Z, back_convolution = convolution(X, kernel, bias, pad=pad)
        Y, back_relu = relu(Z, rule)
        return Y, lambda G: back_convolution(back_relu(G))

    S, back_squeeze = convolution_relu(X, "squeeze")
    Y11, back_e11 = convolution_relu(S, "e11")
    Y33, back_e33 = convolution_relu(S, "e33", pad=1)

    def backward(G: np.ndarray) -> np.ndarray:
        G11, G33 = np.split(G, 2, axis=-1)
        return back_squeeze(back_e11(G11) + back_e33(G33))

    return np.concatenate([Y11, Y33], axis=-1), backward


# --- Network: its weights, its 17 layers, the chain rule ---


def kernel_shapes() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Yield the name and the kernel's shape of each of the 26 convolutions, from the image up."""
    yield "features/layer0", (3, 3, 3, 64)
    channels = 64
    for fires, squeezed, expanded in [
        ((3, 4), 16, 64),
        ((6, 7), 32, 128),
        ((9, 10), 48, 192),
        ((11, 12), 64, 256),
    ]:
        for layer in fires:
            yield f"features/layer{layer}/fire/squeeze", (1, 1, channels, squeezed)
            yield f"features/layer{layer}/fire/e11", (1, 1, squeezed, expanded)
            yield f"features/layer{layer}/fire/e33", (3, 3, squeezed, expanded)
            channels = 2 * expanded
    yield "classifier/layer1", (1, 1, channels, 1000)


def random_weights(seed: int) -> Weights:
    """Return random weights of variance 2 / fan-in (He et al. 2015) and small random biases.

    They are float32, as a checkpoint holds them, so that kit and oracle compute with the same numbers.
    """
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in kernel_shapes():
        fan_in = np.prod(shape[:3])
        weights[f"{name}/weights"] = rng.normal(scale=np.sqrt(2 / fan_in), size=shape).astype(np.float32)
        weights[f"{name}/bias"] = rng.normal(scale=0.1, size=shape[3]).astype(np.float32)
    return weights


def layers(weights: Weights, rule: str | Rule = "plain", decide: Decide = lambda A: A) -> list[Layer]:
    """Return the 17 layers: `features` 0…12, then the classifier's input, convolution, ReLU and mean."""
    weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    named_rule = RULES[rule] if isinstance(rule, str) else rule

    def rule(Y: np.ndarray, G: np.ndarray) -> np.ndarray:
        return named_rule(decide(Y), G)

    def convolution_of(name: str, stride: int = 1) -> Layer:
        kernel, bias = weights[f"{name}/weights"], weights[f"{name}/bias"]
        return partial(convolution, kernel=kernel, bias=bias, stride=stride)

    def fire_of(layer: int) -> Layer:
        return partial(fire, weights=weights, name=f"features/layer{layer}/fire", rule=rule)

    return [
        convolution_of("features/layer0", stride=2),
        partial(relu, rule=rule),
        partial(max_pool, decide=decide),
        fire_of(3),
        fire_of(4),
        partial(max_pool, decide=decide),
        fire_of(6),
        fire_of(7),
        partial(max_pool, decide=decide),
        fire_of(9),
        fire_of(10),
        fire_of(11),
        fire_of(12),
        identity,
        convolution_of("classifier/layer1"),
        partial(relu, rule=rule),
        mean_pool,
    ]


class Forward(NamedTuple):
    """One forward pass: the 17 layers' outputs, and the way back through each layer."""

    activations: list[np.ndarray]
    backwards: list[Backward]

    @property
    def scores(self) -> np.ndarray:
        """The unnormalised scores, N×1000."""
        return self.activations[SCORES]

    def gradient(self, upstream: np.ndarray, layer: int = SCORES, wrt: int = IMAGE) -> np.ndarray:
        """Take `upstream` = ∂f/∂activations[layer] to ∂f/∂activations[wrt], or to ∂f/∂image."""
        assert wrt <= layer, f"layer {layer} comes before layer {wrt}, so it does not depend on it"
        G = upstream
        for backward in reversed(self.backwards[wrt + 1 : layer + 1]):
            G = backward(G)
        return G


def forward(
    weights: Weights, X: np.ndarray, rule: str | Rule = "plain", decide: Decide = lambda A: A
) -> Forward:
    """Run images N×H×W×3 through all layers; `rule`, of the way back, names one of RULES or is one.

    The way back has switches: which ReLUs are active, which pixel wins a max pool. Within rounding of a
    kink float32 and float64 set them differently, and both are right. `decide` takes a ReLU's output or a
    pool's input to the values by which its switches are set: the float32 ones, for a comparison with these.
    """
    activations, backwards = [], []
    Y = np.asarray(X, np.float64)
    for layer in layers(weights, rule, decide):
        Y, backward = layer(Y)
        activations.append(Y)
        backwards.append(backward)
    return Forward(activations, backwards)


# --- What to differentiate: ∂f/∂scores, or ∂f/∂activation, is where a backward pass starts ---


def d_score(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """∂ score_y / ∂ scores = 1 at the label and 0 elsewhere."""
    G = np.zeros_like(scores)
    G[np.arange(len(scores)), y] = 1
    return G


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return the classes' probabilities p, N×1000."""
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def d_log_probability(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """∂ log p_y / ∂ scores = the label's one-hot vector − p."""
    return d_score(scores, y) - softmax(scores)


def d_probability(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """∂ p_y / ∂ scores = p_y · ∂ log p_y / ∂ scores."""
    p_y = softmax(scores)[np.arange(len(scores)), y, None]
    return p_y * d_log_probability(scores, y)


def d_loss(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """∂ loss / ∂ scores; the loss is the cross-entropy −log p_y, averaged over the N images."""
    return -d_log_probability(scores, y) / len(scores)


def d_mean_activation(activation: np.ndarray, channels: int | list[int]) -> np.ndarray:
    """∂ mean / ∂ activation; the mean is a channel's over all positions (several channels' means add up)."""
    G = np.zeros_like(activation)
    G[..., channels] = 1 / np.prod(activation.shape[1:-1])
    return G


# --- Image gradients ---


def scores(weights: Weights, X: np.ndarray) -> np.ndarray:
    """Return the unnormalised scores, N×1000."""
    return forward(weights, X).scores


def gradient(
    weights: Weights,
    X: np.ndarray,
    y: np.ndarray,
    of: Callable[[np.ndarray, np.ndarray], np.ndarray] = d_score,
    wrt: int = IMAGE,
    rule: str | Rule = "plain",
) -> np.ndarray:
    """Return the signed gradient of the labels' scores, or `of` something else, wrt the image or a layer."""
    passed = forward(weights, X, rule)
    return passed.gradient(of(passed.scores, y), wrt=wrt)


def filter_gradient(
    weights: Weights,
    X: np.ndarray,
    layer: int,
    channels: int | list[int],
    wrt: int = IMAGE,
    rule: str | Rule = "plain",
) -> np.ndarray:
    """Return the signed gradient of a layer's `d_mean_activation`, wrt the image or a layer before it."""
    passed = forward(weights, X, rule)
    return passed.gradient(d_mean_activation(passed.activations[layer], channels), layer, wrt)


def saliency(weights: Weights, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return max_c |∂ score_y / ∂ image|, N×H×W (Simonyan et al. 2014, section 3.1)."""
    return np.abs(gradient(weights, X, y)).max(axis=-1)
