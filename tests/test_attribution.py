"""Attribution methods are their formulas, whatever the batch size, and refuse what makes no sense."""

import inspect
import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cs231n import attribution
from cs231n.attribution import METHODS, find_method, saliency_map
from cs231n.net_visualization import compute_saliency_maps
from tests import oracle, oracle_methods
from tests.switches import network_switches

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others

Y = np.array([31, 23, 0])  # the random network scores each of them above zero on its image
FEW = {"samples": 3, "steps": 4, "window": 12}  # settings that keep the tests fast


def few(name):
    """Return those of the settings that a method knows."""
    known = inspect.signature(METHODS[name]).parameters
    return {key: value for key, value in FEW.items() if key in known}


def assert_close(computed, expected, tolerance=1e-5):
    """Hold float32 against float64, relative to the maximum; rounding alone makes about 1e-6 of it."""
    np.testing.assert_allclose(computed, expected, rtol=0, atol=tolerance * np.abs(expected).max())


# --- The formulas ---


@pytest.mark.parametrize(
    ("name", "rule"), [("gradient", "plain"), ("guided_backprop", "guided"), ("deconvnet", "rectified")]
)
def test_gradients_equal_the_oracle(random_model, small_images, name, rule):
    """Gradient, guided backpropagation and deconvnet are the float64 backward passes of their rules."""
    model, weights = random_model
    computed = METHODS[name](small_images, Y, model)
    assert computed.dtype == np.float32
    assert_close(computed, oracle.gradient(weights, small_images, Y, rule=rule))


@pytest.mark.parametrize(
    ("name", "rule"), [("gradient", "plain"), ("guided_backprop", "guided"), ("deconvnet", "rectified")]
)
def test_gradients_of_photographs_equal_the_oracle(model, weights, photographs, name, rule):
    """Of photographs, every value is within 1e-5 of the maximum of the float64 one with the same switches."""
    X, y = photographs[0][:3], photographs[1][:3]
    computed = METHODS[name](X, y, model)
    for i in range(len(X)):
        one = slice(i, i + 1)
        passed = oracle.forward(weights, X[one], rule, decide=network_switches(model, X[one]))
        assert_close(computed[one], passed.gradient(oracle.d_score(passed.scores, y[one])))


def test_gradient_times_input(random_model, small_images):
    """It is the product of the two."""
    model, weights = random_model
    computed = attribution.gradient_times_input(small_images, Y, model)
    assert_close(computed, small_images * oracle.gradient(weights, small_images, Y))


def test_map_of_the_gradient_is_the_saliency_map(random_model, small_images):
    """`saliency_map(gradient(...))` is `compute_saliency_maps`."""
    model, _ = random_model
    expected = compute_saliency_maps(small_images, Y, model)
    assert_close(saliency_map(attribution.gradient(small_images, Y, model)), expected)


def noisy_gradients(weights, X, y, samples, noise, seed):
    """Return the float64 gradients at X + σ ε_k, (K, N, H, W, 3): σ a share of each image's own range."""
    sigma = noise * (X.max(axis=(1, 2, 3)) - X.min(axis=(1, 2, 3)))
    gradients = []
    for k in range(samples):
        epsilon = np.random.default_rng([seed, k]).standard_normal(X.shape[1:], dtype=np.float32)
        noisy = np.stack([x + s * epsilon for x, s in zip(X, sigma, strict=True)])
        gradients.append(oracle.gradient(weights, noisy, y))
    return np.stack(gradients)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("smoothgrad", lambda g: g.mean(axis=0)),
        ("smoothgrad_squared", lambda g: (g**2).mean(axis=0)),
        ("vargrad", lambda g: g.var(axis=0)),
    ],
)
def test_smoothgrad_and_kin_are_moments_of_noisy_gradients(random_model, small_images, name, moment):
    """Mean, mean square and variance of the gradients at the noisy copies."""
    model, weights = random_model
    small_images[1] *= 2  # images of different ranges, so of different σ
    computed = METHODS[name](small_images, Y, model, samples=4, noise=0.1, seed=7)
    gradients = noisy_gradients(weights, small_images, Y, samples=4, noise=0.1, seed=7)
    # The noisy copies are float32: a ReLU or two may fall on the other side of its kink.
    assert_close(computed, moment(gradients), tolerance=1e-4)


def test_without_noise_smoothgrad_is_the_gradient_to_the_last_bit(random_model, small_images):
    """With noise 0 the mean is the gradient, the mean square its square, and the variance nothing."""
    model, _ = random_model
    g = attribution.gradient(small_images, Y, model)
    without = {"noise": 0, "samples": 7}
    np.testing.assert_array_equal(attribution.smoothgrad(small_images, Y, model, **without), g)
    np.testing.assert_array_equal(attribution.smoothgrad_squared(small_images, Y, model, **without), g**2)
    assert not attribution.vargrad(small_images, Y, model, **without).any()


def test_seed_draws_the_noise(random_model, small_images):
    """The same seed gives the same result to the last bit, another seed another one."""
    model, _ = random_model
    first, again, other = (
        attribution.smoothgrad(small_images, Y, model, samples=2, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("baseline", ["colour", "image", "one for each"])
def test_integrated_gradients_equal_the_oracle(random_model, small_images, baseline):
    """By Gauss–Legendre from a colour, an image, or an image for each: the float64 quadrature."""
    model, weights = random_model
    given = {
        "colour": attribution.BLACK,
        "image": small_images[0][::-1] / 2,
        "one for each": small_images[[1, 2, 0]],
    }[baseline]
    computed = attribution.integrated_gradients(
        small_images, Y, model, baseline=given, steps=5, quadrature="gauss-legendre"
    )
    full = np.broadcast_to(np.asarray(given, np.float64), small_images.shape)
    expected = oracle_methods.integrated_gradients(weights, small_images, Y, full, steps=5)
    assert_close(computed, expected, tolerance=1e-4)  # kinks again: the points of the path are float32


def test_riemann_sum_of_integrated_gradients(random_model, small_images):
    """The paper's sum: x times the mean of the gradients at x/4, x/2, 3x/4 and x, from the baseline 0."""
    model, weights = random_model
    computed = attribution.integrated_gradients(small_images, Y, model, steps=4, quadrature="riemann")
    points = [oracle.gradient(weights, k / 4 * small_images, Y) for k in (1, 2, 3, 4)]
    assert_close(computed, small_images * np.mean(points, axis=0), tolerance=1e-4)


@pytest.mark.parametrize("quadrature", attribution.QUADRATURES)
def test_quadratures_agree_in_the_limit(random_model, small_images, quadrature):
    """With many steps all three add up to the score's difference: within 1 % for two hundred.

    The class is the one whose score differs most, for the error is in proportion to all that is added up.
    """
    model, weights = random_model
    X = small_images[:1]
    gains = np.subtract(*oracle.scores(weights, np.concatenate([X, np.zeros_like(X)])))
    gain, y = gains.max(), [gains.argmax()]
    attributions, error = attribution.integrated_gradients(
        X, y, model, steps=200, quadrature=quadrature, return_error=True
    )
    assert abs(attributions.sum() - gain) < 0.01 * gain
    np.testing.assert_allclose(error, attributions.sum() - gain, rtol=0, atol=1e-5 * gain)


def test_completeness_on_all_photographs(model, photographs):
    """With the default 50 steps the attributions miss the score's difference by less than 0.5 %, on each."""
    X, y = photographs
    attributions, error = attribution.integrated_gradients(X, y, model, return_error=True)
    gain = attributions.sum(axis=(1, 2, 3), dtype=np.float64) - error
    assert np.abs(error / gain).max() < 0.005


def blur_matrix(n, sigma):
    """Return the n×n matrix of a Gaussian blur with reflecting ends: each cosine wave decays by itself."""
    k, i = np.arange(n)[:, None], np.arange(n)
    waves = np.cos(np.pi * k * (2 * i + 1) / (2 * n))
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    return waves.T @ (np.exp(-((sigma * np.pi * k / n) ** 2) / 2) * waves)


def test_blur_integrated_gradients(random_model, small_images):
    """They are the sum over the path from blurred to sharp, with the blur as a matrix in float64."""
    model, weights = random_model
    computed = attribution.blur_integrated_gradients(small_images, Y, model, max_sigma=8, steps=3)

    def blurred(sigma):
        rows, columns = (blur_matrix(n, sigma) for n in small_images.shape[1:3])
        return np.einsum("ij,njkc,lk->nilc", rows, small_images, columns)

    wide = gaussian_filter(small_images.astype(np.float64), (0, 3, 3, 0), truncate=8)
    np.testing.assert_allclose(blurred(3), wide, rtol=0, atol=1e-6)  # it is the Gaussian, sampled
    sigmas = [8 * (k / 3) ** 2 for k in range(4)]
    expected = sum(
        (blurred(low) - blurred(high)) * oracle.gradient(weights, blurred((low + high) / 2), Y)
        for low, high in itertools.pairwise(sigmas)
    )
    assert_close(computed, expected, tolerance=1e-4)


def stretched(maps, height, width):
    """Return maps N×h×w at another size: linear between pixel centres, along one axis after the other."""

    def along(values, n):
        centres = (np.arange(n) + 0.5) * len(values) / n - 0.5
        return np.interp(centres, np.arange(len(values)), values)

    tall = np.apply_along_axis(along, 1, maps, height)
    return np.apply_along_axis(along, 2, tall, width)


@pytest.mark.parametrize("layer", [15, 14, 12, 9, 3])
def test_grad_cam_equals_the_oracle(random_model, small_images, layer):
    """Grad-CAM of a layer is the float64 one, stretched to the image."""
    model, weights = random_model
    computed = attribution.grad_cam(small_images, Y, model, layer=layer)
    expected = stretched(oracle_methods.grad_cam(weights, small_images, Y, layer), 47, 39)
    assert computed.dtype == np.float32
    assert expected.max() > 0
    assert_close(computed, expected)


def test_grad_cam_of_photographs_equals_the_oracle(model, weights, photographs):
    """Default layer and weights: every pixel within 1e-4 of the maximum."""
    X, y = photographs[0][:3], photographs[1][:3]
    expected = stretched(oracle_methods.grad_cam(weights, X, y, 12), 224, 224)
    assert_close(attribution.grad_cam(X, y, model), expected, tolerance=1e-4)


def test_guided_grad_cam_is_the_product(random_model, small_images):
    """It is guided backpropagation where Grad-CAM is, pixel by pixel."""
    model, _ = random_model
    fine = attribution.guided_backprop(small_images, Y, model)
    coarse = attribution.grad_cam(small_images, Y, model)
    np.testing.assert_array_equal(
        attribution.guided_grad_cam(small_images, Y, model), fine * coarse[..., None]
    )


def test_occlusion_equals_brute_force(random_model, small_images):
    """Each pixel gets the mean fall of the score over all grey squares that cover it, the edge's too."""
    model, weights = random_model
    computed = attribution.occlusion(small_images[:2], Y[:2], model, window=16, stride=10)
    before = oracle.scores(weights, small_images[:2])[[0, 1], Y[:2]]
    falls, covers = np.zeros((2, 47, 39)), np.zeros((47, 39))
    for top in (0, 10, 20, 30, 31):
        for left in (0, 10, 20, 23):
            covered = small_images[:2].copy()
            covered[:, top : top + 16, left : left + 16] = 0
            after = oracle.scores(weights, covered)[[0, 1], Y[:2]]
            falls[:, top : top + 16, left : left + 16] += (before - after)[:, None, None]
            covers[top : top + 16, left : left + 16] += 1
    assert_close(computed, falls / covers)


# --- What holds for all methods ---


@pytest.mark.parametrize("name", METHODS)
def test_result_depends_on_image_label_and_settings_only(random_model, small_images, name):
    """One by one, in twos, all at once, in another order: the same, up to float32's last digits."""
    model, _ = random_model
    method, settings = METHODS[name], few(name)
    together = method(small_images, Y, model, **settings)
    shape = small_images.shape[: 3 if name in ("grad_cam", "occlusion") else 4]
    assert together.shape == shape
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    for batch_size in (1, 2):
        assert_close(method(small_images, Y, model, batch_size=batch_size, **settings), together)
    turned = method(small_images[[2, 0, 1]], Y[[2, 0, 1]], model, **settings)
    assert_close(turned, together[[2, 0, 1]])


@pytest.mark.parametrize("name", METHODS)
def test_second_call_adds_nothing_and_arguments_stay(random_model, small_images, name):
    """A call leaves the graph of the call before it as it was, and never writes to what it is given."""
    model, _ = random_model
    y = Y.copy()
    small_images.flags.writeable = y.flags.writeable = False
    METHODS[name](small_images, y, model, **few(name))
    operations = len(model.graph.get_operations())
    METHODS[name](small_images, y, model, **few(name))
    assert len(model.graph.get_operations()) == operations


def test_names_of_the_methods():
    """`METHODS` has each function under its own name."""
    assert [method.__name__ for method in METHODS.values()] == list(METHODS)
    assert find_method("grad_cam") is attribution.grad_cam


def test_reductions():
    """Worked by hand: the largest magnitude, the sum, and the sum's positive part."""
    a = np.array([[[[1, -3, 1], [2, 0, 1]]]], np.float32)
    np.testing.assert_array_equal(saliency_map(a), [[[3, 2]]])
    np.testing.assert_array_equal(saliency_map(a, "sum"), [[[-1, 3]]])
    np.testing.assert_array_equal(saliency_map(a, "positive"), [[[0, 3]]])
    np.testing.assert_array_equal(saliency_map(a[..., 1], "positive"), [[[0, 0]]])
    np.testing.assert_array_equal(saliency_map(a[..., 1]), [[[3, 0]]])


# --- Bad input ---

X = np.zeros((2, 40, 40, 3), np.float32)
NAN = X.copy()
NAN[1, 3, 3, 0] = np.nan


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"X": NAN}, r"X\[1\] holds NaN or infinity"),
        ({"X": X[0]}, r"a single image; add the batch axis"),
        ({"y": [1, 1000]}, r"the label 1000; labels go from 0 to 999"),
        ({"y": [1]}, r"1 labels for 2 images"),
        ({"batch_size": 0}, r"batch_size is 0; expected a whole number of at least 1"),
    ],
)
def test_bad_images_labels_and_batch_sizes_get_a_sentence(model, name, arguments, sentence):
    """Every method names what is wrong before TensorFlow sees it."""
    with pytest.raises(ValueError, match=sentence) as caught:
        METHODS[name](**{"X": X, "y": [1, 2], "model": model} | arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("smoothgrad", {"samples": 0}, r"samples is 0; expected a whole number of at least 1"),
        ("vargrad", {"samples": -5}, r"samples is -5"),
        ("smoothgrad", {"samples": 2.5}, r"samples is 2.5"),
        ("smoothgrad_squared", {"noise": -0.1}, r"noise is -0.1; expected a number of at least 0"),
        ("smoothgrad", {"noise": np.nan}, r"noise is nan"),
        ("smoothgrad", {"seed": -1}, r"seed is -1; expected a whole number of at least 0"),
        ("integrated_gradients", {"steps": 0}, r"steps is 0"),
        ("integrated_gradients", {"quadrature": "simpson"}, r"'simpson'; expected one of geometric, gauss"),
        ("integrated_gradients", {"baseline": X[:, :30]}, r"baseline has shape \(2, 30, 40, 3\); expected"),
        ("integrated_gradients", {"baseline": 0}, r"baseline has shape \(\); expected a colour \(3,\)"),
        ("integrated_gradients", {"baseline": NAN}, r"baseline holds NaN or infinity"),
        ("integrated_gradients", {"baseline": [0, 0, 1e39]}, r"baseline holds NaN or infinity"),
        ("integrated_gradients", {"baseline": X.astype(np.uint8)}, r"baseline holds raw pixels"),
        ("integrated_gradients", {"baseline": "black"}, r"baseline is str, not an array of numbers"),
        ("blur_integrated_gradients", {"steps": -1}, r"steps is -1"),
        ("blur_integrated_gradients", {"max_sigma": 0}, r"max_sigma is 0; expected a number above 0"),
        ("grad_cam", {"layer": 16}, r"no layer 16 with positions; expected a whole number from 0 to 15"),
        ("guided_grad_cam", {"layer": -1}, r"no layer -1"),
        ("grad_cam", {"layer": "conv10"}, r"no layer 'conv10'"),
        ("occlusion", {"window": 41}, r"window is 41, larger than the images of 40x40 pixels"),
        ("occlusion", {"window": 0}, r"window is 0"),
        ("occlusion", {"window": 4, "stride": 5}, r"stride is 5, over the window's 4"),
    ],
)
def test_bad_settings_get_a_sentence(model, name, settings, sentence):
    """Each setting that makes no sense is named, with what was expected."""
    with pytest.raises(ValueError, match=sentence) as caught:
        METHODS[name](X, [1, 2], model, **settings)
    assert "\n" not in str(caught.value)


def test_unknown_method_gets_the_list():
    """The sentence lists all methods there are."""
    with pytest.raises(ValueError, match=r"no method 'lime'; the methods are gradient, .*occlusion\.$"):
        find_method("lime")


@pytest.mark.parametrize(
    ("value", "reduction", "sentence"),
    [
        (X[0, 0], "max_abs", r"attribution has shape \(40, 3\)"),
        (np.zeros((1, 4, 4, 2)), "max_abs", r"attribution has shape \(1, 4, 4, 2\)"),
        (NAN, "sum", r"attribution holds NaN"),
        (X, "mean", r"reduction is 'mean'; expected one of max_abs, sum, positive"),
    ],
)
def test_bad_reductions_get_a_sentence(value, reduction, sentence):
    """What is no attribution, and what is no reduction, is named."""
    with pytest.raises(ValueError, match=sentence):
        saliency_map(value, reduction)
