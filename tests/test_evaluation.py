"""Tests of attributions: their measures are right, they leave the model alone, and their controls hold."""

import functools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from cs231n import attribution, comparison, evaluation
from cs231n.evaluation import LAYERS, Curve
from tests import oracle

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others

Y = np.array([31, 23, 0])
SEED = 3
"""The random network, and what it becomes with this seed, score these labels above zero."""


@pytest.fixture
def maps():
    """Return three random maps of 47 x 39 pixels, rounded so that some values are equal."""
    return np.random.default_rng(4).normal(size=(3, 47, 39)).round(1)


# --- Measures ---


def test_rank_correlation(maps):
    """It is Spearman's, ties included; any increasing function leaves it 1, a decreasing one makes it -1."""
    others = np.random.default_rng(5).normal(size=maps.shape) + maps
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(maps, others, strict=True)]
    np.testing.assert_allclose(evaluation.rank_correlation(maps, others), expected, rtol=1e-12)
    np.testing.assert_allclose(evaluation.rank_correlation(maps, np.exp(maps)), 1, rtol=1e-12)
    np.testing.assert_allclose(evaluation.rank_correlation(maps, -(maps**3)), -1, rtol=1e-12)


def test_rank_correlation_of_a_flat_map_is_undefined(maps):
    """A map that is the same everywhere has no ranks to compare."""
    flat = maps.copy()
    flat[1] = 3
    np.testing.assert_array_equal(np.isnan(evaluation.rank_correlation(maps, flat)), [False, True, False])


def ssim_by_hand(a, b, value_range):
    """Return SSIM, window by window, with weights from the Gaussian's formula."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    values = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            p, q = (m[top : top + 11, left : left + 11] for m in (a, b))
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            var_p, var_q = (window * (p - mean_p) ** 2).sum(), (window * (q - mean_q) ** 2).sum()
            cov = (window * (p - mean_p) * (q - mean_q)).sum()
            values.append(
                (2 * mean_p * mean_q + c1)
                * (2 * cov + c2)
                / ((mean_p**2 + mean_q**2 + c1) * (var_p + var_q + c2))
            )
    return np.mean(values)


def test_structural_similarity(maps):
    """It is Wang's formula in each window that lies inside, averaged; 1 for equal maps, and symmetric."""
    a, b = maps[:, :15, :13], (maps**2)[:, :15, :13]
    expected = [ssim_by_hand(p, q, 2) for p, q in zip(a, b, strict=True)]
    # scipy's Gaussian window is the same numbers, summed axis by axis: float64 rounding only.
    np.testing.assert_allclose(evaluation.structural_similarity(a, b, 2), expected, rtol=1e-10)
    np.testing.assert_allclose(evaluation.structural_similarity(b, a, 2), expected, rtol=1e-10)
    np.testing.assert_allclose(evaluation.structural_similarity(a, a), 1, rtol=1e-12)


def test_edge_detector():
    """Beside a step of one, Sobel's weights 1, 2, 1 add up to 4; elsewhere and in flat images is 0."""
    X = np.zeros((3, 31, 40, 3), np.float32)
    X[1, :, 20:, 1] = 1
    edges = evaluation.edge_detector(X)
    assert edges.dtype == np.float32
    np.testing.assert_array_equal(edges[1, :, 19:21], 4)
    assert not np.delete(edges[1], [19, 20], axis=1).any()
    assert not edges[[0, 2]].any()


# --- Randomisation ---


def test_layers_are_forgotten_from_the_top_down(random_model):
    """Layer after layer gets new weights, those below stay, and the caller's network stays as it was."""
    model, weights = random_model
    assert LAYERS[0] == "classifier/layer1"
    assert LAYERS[-1] == "features/layer0"
    seen = []
    for layer, network in evaluation.randomized_models(model, seed=3):
        seen.append(layer)
        assert network.graph is not model.graph
        values = network.sess.run(network.variables)
        for name, value in values.items():
            forgotten = name.startswith(tuple(f"{one}/" for one in seen))
            assert np.array_equal(value, weights[name]) != forgotten, name
    assert tuple(seen) == LAYERS
    kept = model.sess.run(model.variables)
    assert all(np.array_equal(kept[name], weights[name]) for name in weights)


def test_new_weights_are_hes(random_model):
    """Kernels have mean 0 and variance 2 / fan-in, biases are zero; the seed draws them."""
    model, _ = random_model

    def classifier(seed):
        networks = evaluation.randomized_models(model, seed=seed)  # kept, for its session ends with it
        _, network = next(networks)
        return network.sess.run([network.variables[f"{LAYERS[0]}/{part}"] for part in ("weights", "bias")])

    kernel, bias = classifier(0)
    n = kernel.size  # 512,000: the mean's standard error is σ/√n, the variance's σ²·√(2/n)
    variance = 2 / 512
    assert abs(kernel.mean()) < 5 * np.sqrt(variance / n)
    assert abs(kernel.var() / variance - 1) < 5 * np.sqrt(2 / n)
    assert not bias.any()
    np.testing.assert_array_equal(classifier(0)[0], kernel)
    assert not np.allclose(classifier(1)[0], kernel)


def test_randomization_compares_maps_of_the_randomised_networks(random_model, small_images):
    """Its maps are the float64 saliency of the networks with these weights, and its measures are theirs."""
    model, _ = random_model
    stages = [LAYERS[0], LAYERS[3]]
    result = evaluation.randomization_test(
        small_images, Y, model, attribution.gradient, layers=stages, seed=SEED
    )
    drawn = {
        layer: network.sess.run(network.variables)
        for layer, network in evaluation.randomized_models(model, seed=SEED)
    }
    assert result.layers == stages
    for row, layer in enumerate(stages):
        expected = oracle.saliency(drawn[layer], small_images, Y)
        np.testing.assert_allclose(result.maps[row], expected, rtol=0, atol=1e-5 * expected.max())
        np.testing.assert_allclose(
            result.rank_correlation[row], evaluation.rank_correlation(result.original, expected), atol=1e-3
        )
    assert (result.ssim < 0.9).all()


def test_control_does_not_notice(random_model, small_images):
    """The edges stay what they are, whatever the network forgets."""
    model, _ = random_model
    result = evaluation.randomization_test(
        small_images, Y, model, evaluation.edge_detector, layers=[LAYERS[0], LAYERS[-1]]
    )
    np.testing.assert_allclose(result.rank_correlation, 1, rtol=1e-12)
    np.testing.assert_allclose(result.ssim, 1, rtol=1e-12)


def test_nothing_to_explain_is_not_a_number(random_model, small_images):
    """Where the randomised network's map is the same everywhere, there is no similarity, good or bad."""
    model, _ = random_model

    def dead(X, y, network, *, batch_size=8):
        maps = np.abs(X[..., 0])
        return maps if network is model else maps * np.array([1, 0, 1])[:, None, None]

    result = evaluation.randomization_test(small_images, Y, model, dead, layers=LAYERS[:1])
    for measure in (result.rank_correlation, result.ssim):
        np.testing.assert_array_equal(np.isnan(measure), [[False, True, False]])


# --- Deletion and insertion ---


def probabilities(weights, X, y):
    """Return the labels' probabilities, float64."""
    return oracle.softmax(oracle.scores(weights, X))[np.arange(len(X)), y]


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_curves_equal_brute_force(random_model, small_images, kind):
    """Pixel by pixel, those highest in the map first, a quarter of them at a time."""
    model, weights = random_model
    maps = np.random.default_rng(1).permuted(np.arange(3 * 47 * 39)).reshape(3, 47, 39)
    if kind == "deletion":
        compute, first, last = evaluation.deletion_curve, small_images, np.zeros_like(small_images)
    else:
        blurred = gaussian_filter(small_images.astype(np.float64), (0, 5, 5, 0))
        compute, first, last = evaluation.insertion_curve, blurred, small_images
    curve = compute(small_images, Y, maps, model, steps=4)
    np.testing.assert_array_equal(curve.fractions, [0, 0.25, 0.5, 0.75, 1])
    for k in range(5):
        mixed = first.copy()
        for i in range(3):
            highest = np.argsort(maps[i].ravel())[::-1][: round(k / 4 * 47 * 39)]
            rows, columns = np.unravel_index(highest, (47, 39))
            mixed[i, rows, columns] = last[i, rows, columns]
        np.testing.assert_allclose(curve.probabilities[:, k], probabilities(weights, mixed, Y), rtol=1e-4)


def test_areas():
    """Worked by hand: a straight fall has a half, a step at the first of two intervals a quarter."""
    curve = Curve(np.array([0, 0.5, 1]), np.array([[1, 0.5, 0], [1, 0, 0]]))
    np.testing.assert_array_equal(curve.areas, [0.5, 0.25])


def test_curves_do_not_depend_on_the_batch_size(random_model, small_images, maps):
    """One by one or many at once: the same probabilities, and the same order of equal pixels."""
    model, _ = random_model
    together = evaluation.deletion_curve(small_images, Y, maps, model, steps=7)
    for batch_size in (1, 5):
        parts = evaluation.deletion_curve(small_images, Y, maps, model, steps=7, batch_size=batch_size)
        np.testing.assert_allclose(parts.probabilities, together.probabilities, rtol=1e-5)


def test_equal_pixels_go_in_an_order_by_chance(random_model, small_images):
    """On a flat map the seed alone decides; in reading order the image would go from the top down."""
    model, weights = random_model
    flat = np.zeros((3, 47, 39))
    curves = [
        evaluation.deletion_curve(small_images, Y, flat, model, steps=2, seed=seed).probabilities[:, 1]
        for seed in (0, 0, 1)
    ]
    from_the_top = small_images.copy()
    from_the_top.reshape(3, -1, 3)[:, : round(47 * 39 / 2)] = 0
    np.testing.assert_array_equal(curves[0], curves[1])
    assert not np.allclose(curves[0], curves[2], rtol=1e-3)
    assert not np.allclose(curves[0], probabilities(weights, from_the_top, Y), rtol=1e-3)


# --- Pointing ---


def test_pointing_game():
    """A hit is a highest pixel in a box, or within the tolerance of one; right and bottom are outside."""
    maps = np.zeros((4, 40, 50))
    maps[[0, 1, 2, 3], [10, 10, 10, 10], [20, 20, 20, 20]] = 1
    boxes = [
        [15, 5, 21, 11],  # holds column 20, row 10 in its last column and row
        [15, 5, 20, 10],  # ends one pixel before, in both directions
        [[0, 0, 2, 2], [20, 13, 30, 30]],  # the second begins three rows below
        [0, 0, 5, 5],
    ]
    np.testing.assert_array_equal(
        evaluation.pointing_game(maps, boxes, tolerance=0), [True, False, False, False]
    )
    np.testing.assert_array_equal(
        evaluation.pointing_game(maps, boxes, tolerance=1.5), [True, True, False, False]
    )
    np.testing.assert_array_equal(
        evaluation.pointing_game(maps, boxes, tolerance=3), [True, True, True, False]
    )


# --- The table ---


def test_table_of_methods_and_controls(random_model, small_images):
    """The controls are at 1 under randomisation, and each method has a row with its name and figures."""
    model, _ = random_model
    methods = {"gradient": attribution.gradient} | comparison.CONTROLS
    rows = comparison.compare_methods(small_images, Y, model, methods, seed=SEED)
    assert [row.method for row in rows] == ["gradient", "edge_detector", "random_map"]
    for control in rows[1:]:
        assert control.top_randomized == pytest.approx(1)
        assert control.all_randomized == pytest.approx(1)
    assert rows[0].all_randomized < 0.5
    assert rows[1].edges == pytest.approx(1)
    maps = attribution.saliency_map(attribution.gradient(small_images, Y, model))
    areas = evaluation.deletion_curve(small_images, Y, maps, model, steps=50, seed=SEED).areas
    assert rows[0].deletion == pytest.approx(areas.mean(), rel=1e-4)
    lines = comparison.comparison_table(rows).split("\n")
    assert len(lines) == 5
    assert {line.count("|") for line in lines} == {9}
    assert f"| `gradient` | {rows[0].deletion:.3f} |" in lines[2]


def test_report_says_how_it_was_made(random_model, small_images, tmp_path, monkeypatch):
    """The file names the command, the images and the weights, and holds the table."""
    model, _ = random_model
    few = functools.partial(comparison.compare_methods, methods={"gradient": attribution.gradient})
    monkeypatch.setattr(comparison, "compare_methods", few)
    comparison.write_comparison(tmp_path / "methods.md", small_images, Y, model, seed=SEED)
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert "`python -m cs231n compare-methods --out docs/methods.md`" in text
    assert "3 images" in text
    assert "Weights: unknown" in text
    assert "| `gradient` |" in text


# --- Bad input ---

X = np.zeros((2, 40, 40, 3), np.float32)
M = np.zeros((2, 40, 40))
BAD_MAP = M.copy()
BAD_MAP[0, 0, 0] = np.inf


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"maps": M[:1]}, r"maps has shape \(1, 40, 40\); expected one of \(2, 40, 40\)"),
        ({"maps": X}, r"maps has shape \(2, 40, 40, 3\); expected \(N, height, width\)"),
        ({"maps": BAD_MAP}, r"maps holds NaN or infinity"),
        ({"steps": 0}, r"steps is 0; expected a whole number of at least 1"),
        ({"seed": -1}, r"seed is -1"),
        ({"y": [1, 1000]}, r"the label 1000"),
        ({"X": X.astype(np.uint8)}, r"raw pixels"),
        ({"batch_size": 0}, r"batch_size is 0"),
    ],
)
@pytest.mark.parametrize("curve", [evaluation.deletion_curve, evaluation.insertion_curve])
def test_bad_input_of_curves_gets_a_sentence(model, curve, arguments, sentence):
    """Each is named before TensorFlow sees it."""
    with pytest.raises(ValueError, match=sentence):
        curve(**{"X": X, "y": [1, 2], "maps": M, "model": model} | arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"layers": ["conv10"]}, r"no layer 'conv10' with weights; they are classifier/layer1, features/"),
        ({"layers": []}, r"layers is \[\]; expected at least one"),
        ({"layers": [LAYERS[1], LAYERS[0]]}, r"each once, from the classifier down"),
        ({"seed": 1.5}, r"seed is 1.5; expected a whole number of at least 0"),
        ({"batch_size": -1}, r"batch_size is -1"),
        ({"X": X[0]}, r"a single image"),
        ({"y": [1]}, r"1 labels for 2 images"),
    ],
)
def test_bad_input_of_the_randomisation_gets_a_sentence(model, arguments, sentence):
    """Layers that do not exist or come in another order, seeds, images and labels."""
    given = {"X": X, "y": [1, 2], "model": model, "method": attribution.gradient} | arguments
    with pytest.raises(ValueError, match=sentence):
        evaluation.randomization_test(**given)


def test_bad_maps_get_a_sentence():
    """Maps of two shapes, too small for SSIM, or boxes that are none."""
    with pytest.raises(ValueError, match=r"maps has shape \(2, 40, 40\) and others \(2, 39, 40\)"):
        evaluation.rank_correlation(M, M[:, 1:])
    with pytest.raises(ValueError, match=r"The maps have 10x40 pixels; SSIM needs at least 11x11"):
        evaluation.structural_similarity(M[:, :10], M[:, :10])
    with pytest.raises(ValueError, match=r"boxes holds 1 entries for 2 maps"):
        evaluation.pointing_game(M, [[0, 0, 1, 1]])
    with pytest.raises(ValueError, match=r"boxes\[1\] holds an empty box; expected left < right"):
        evaluation.pointing_game(M, [[0, 0, 1, 1], [5, 0, 5, 1]])
    with pytest.raises(ValueError, match=r"boxes\[0\] has shape \(1, 3\)"):
        evaluation.pointing_game(M, [[0, 0, 1], [5, 0, 5, 1]])
    with pytest.raises(ValueError, match=r"tolerance is -1; expected a number of at least 0"):
        evaluation.pointing_game(M, [[0, 0, 1, 1]] * 2, tolerance=-1)
