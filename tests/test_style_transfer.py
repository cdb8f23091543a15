"""Style transfer: each loss and its gradient against float64 NumPy, the descent step by step, its limits."""

import inspect
import itertools
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from cs231n import style_transfer as module
from cs231n.gradients import ImageGradient
from cs231n.image_utils import preprocess_image, resize_shorter_side
from cs231n.sample_pictures import PICTURES, hopper, load_picture, swirls
from cs231n.style_presets import PRESETS
from cs231n.style_transfer import (
    Adam,
    Losses,
    content_loss,
    gram_matrix,
    style_loss,
    style_transfer,
    tv_loss,
)
from tests import oracle

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others

STYLE_LAYERS = (1, 4, 6, 7)
TERMS = {
    "content_layer": 3,
    "content_weight": 2e-3,
    "style_layers": STYLE_LAYERS,
    "style_weights": (20.0, 5.0, 3.0, 7.0),
    "tv_weight": 0.05,
}


def content_and_gradient(passed, layer, target, weight):
    """Return w · Σ (F − P)² in float64, and its gradient with respect to the image: 2w (F − P), led back."""
    difference = passed.activations[layer] - target
    return weight * np.sum(difference**2), passed.gradient(2 * weight * difference, layer)


def gram(F):
    """Return G[i,j] = Σ_{h,w} F[h,w,i] F[h,w,j] / (H·W·C) of features 1×H×W×C, in float64."""
    return np.einsum("nhwi,nhwj->ij", F, F) / F.size


def style_and_gradient(passed, layers, targets, weights):
    """Return Σ_l w_l · Σ (G_l − A_l)² in float64, and its gradient with respect to the image.

    With D = 2w (G − A), which is symmetric, ∂/∂F[h,w] = Σ_j (D + Dᵀ)[·,j] F[h,w,j] / (H·W·C).
    """
    loss, gradient = 0.0, 0.0
    for layer, target, weight in zip(layers, targets, weights, strict=True):
        F = passed.activations[layer]
        difference = gram(F) - target
        loss += weight * np.sum(difference**2)
        gradient = gradient + passed.gradient(4 * weight * F @ difference / F.size, layer)
    return loss, gradient


def tv_and_gradient(img, weight):
    """Return w · Σ (x_p − x_q)² over neighbours p, q, and its gradient: ±2w (x_p − x_q) at both of them."""
    loss, gradient = 0.0, np.zeros_like(img)
    for axis in (1, 2):
        difference = np.diff(img, axis=axis)
        loss += weight * np.sum(difference**2)
        padding = [(0, 0)] * 4
        padding[axis] = (1, 1)
        gradient -= 2 * weight * np.diff(np.pad(difference, padding), axis=axis)
    return loss, gradient


def assert_equals_float64(computed, expected):
    """Hold a loss and its gradient to 1e-5 of their maxima, a tenth of what is promised."""
    for value, truth in zip(computed, expected, strict=True):
        np.testing.assert_allclose(value, truth, rtol=0, atol=1e-5 * np.abs(truth).max())


def run_loss(model, loss, img):
    """Return the value of a loss and its gradient with respect to the image."""
    return model.sess.run([loss, ImageGradient(loss, model.image).gradient], {model.image: img})


@pytest.mark.parametrize("layer", [0, 3, 7, 12])
def test_content_loss_and_gradient(random_model, small_images, layer):
    """Value and gradient equal the float64 computation, at shallow and deep layers."""
    model, weights = random_model
    target = oracle.forward(weights, small_images[:1]).activations[layer]
    loss = content_loss(6e-2, model.layers[layer], tf.constant(target, tf.float32))
    passed = oracle.forward(weights, small_images[1:2])
    expected = content_and_gradient(passed, layer, target, 6e-2)
    assert_equals_float64(run_loss(model, loss, small_images[1:2]), expected)


def test_gram_matrix_by_hand(graph):
    """Two positions with channels (1, 2) and (3, 4): G = [1+9, 2+12; 2+12, 4+16], over 4 if normalised."""
    F = tf.constant([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    with tf.Session() as sess:
        np.testing.assert_array_equal(sess.run(gram_matrix(F, normalize=False)), [[10, 14], [14, 20]])
        np.testing.assert_array_equal(sess.run(gram_matrix(F)), [[2.5, 3.5], [3.5, 5]])


def test_gram_matrix_ignores_where(graph):
    """Positions can be shuffled, the picture turned or mirrored: the Gram matrix stays the same."""
    F = np.random.default_rng(0).normal(size=(1, 6, 5, 4))
    features = tf.placeholder(tf.float64, [1, None, None, 4])
    G = gram_matrix(features)
    with tf.Session() as sess:
        expected = sess.run(G, {features: F})
        np.testing.assert_allclose(expected, gram(F), rtol=1e-12)
        for other in (F[:, ::-1], F.transpose(0, 2, 1, 3), np.random.default_rng(1).permutation(F, axis=1)):
            np.testing.assert_allclose(sess.run(G, {features: other}), expected, rtol=1e-12)


@pytest.mark.parametrize("weights_of_layers", [(20, 5, 3, 7), (0, 1, 0, 0), (0, 0, 0, 1)])
def test_style_loss_and_gradient(random_model, small_images, weights_of_layers):
    """Value and gradient equal the float64 computation, each layer with its own weight and target."""
    model, weights = random_model
    before = oracle.forward(weights, small_images[:1, :41])
    targets = [gram(before.activations[layer]) for layer in STYLE_LAYERS]
    constants = [tf.constant(target, tf.float32) for target in targets]
    loss = style_loss(model.layers[:13], STYLE_LAYERS, constants, weights_of_layers)
    passed = oracle.forward(weights, small_images[1:2])
    expected = style_and_gradient(passed, STYLE_LAYERS, targets, weights_of_layers)
    assert_equals_float64(run_loss(model, loss, small_images[1:2]), expected)


def test_style_loss_of_no_layers_is_zero(random_model):
    """The empty sum is 0."""
    model, _ = random_model
    assert model.sess.run(style_loss(model.layers[:13], [], [], [])) == 0


def test_style_loss_refuses_lists_of_different_lengths(random_model):
    """A layer without a target or a weight is a mistake, not a layer to leave out."""
    model, _ = random_model
    with pytest.raises(ValueError, match=r"style_layers has 2, style_targets has 1, style_weights has 2"):
        style_loss(model.layers[:13], [1, 4], [np.zeros((64, 64))], [1, 1])


def test_tv_loss_by_hand(graph):
    """One channel [[0, 1], [3, 7]], the others flat: down 3² + 6², across 1² + 4², so 62 times the weight."""
    img = np.full((1, 2, 2, 3), 5.0)
    img[0, :, :, 1] = [[0, 1], [3, 7]]
    with tf.Session() as sess:
        assert sess.run(tv_loss(tf.constant(img), 0.5)) == 31


def test_tv_loss_and_gradient(random_model, small_images):
    """Value and gradient equal the float64 computation."""
    model, _ = random_model
    expected = tv_and_gradient(small_images[:1].astype(np.float64), 0.02)
    assert_equals_float64(run_loss(model, tv_loss(model.image, 0.02), small_images[:1]), expected)


def test_adam_takes_the_papers_steps():
    """Three steps equal algorithm 1 of Kingma & Ba, written out for one number; the first is α long."""
    adam, m, v = Adam((2,)), 0.0, 0.0
    for t, g in enumerate([4.0, -1.0, 0.5], start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        expected = 3 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        step = adam.step(np.array([g, 0], np.float32), 3)
        np.testing.assert_allclose(step, [expected, 0], rtol=1e-5)  # float32, and v ends in cancellation
        if t == 1:
            np.testing.assert_allclose(step, [3, 0], rtol=1e-6)


@pytest.fixture
def pictures():
    """Return two raw noise images: content 35 x 39 pixels, style 43 x 40."""
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (35, 39, 3), np.uint8), rng.integers(0, 256, (43, 40, 3), np.uint8)


def transfer(model, pictures, **changes):
    """Run a few steps of `style_transfer` on the fixture's pictures."""
    arguments = {"image_size": 35, "style_size": 40, "num_iterations": 3, **TERMS, **changes}
    return style_transfer(*pictures, model=model, **arguments)


def test_descent_equals_float64(random_model, pictures, monkeypatch):
    """The losses and images of five steps equal a loop in float64: gradient, Adam, clamp, smaller rate.

    The rate falls, and the clamp ends, after three steps here.

    Adam's first steps are as long where the gradient is near 0, and may go either way, as elsewhere. So 1 %
    of the pixels may differ; the losses agree to 1e-3.
    """
    model, weights = random_model
    seen = []
    monkeypatch.setattr(module, "DECAY_STEP", 3)
    transfer(model, pictures, num_iterations=5, callback=lambda *call: seen.append(call[1:]))
    content, style = (preprocess_image(picture)[None].astype(np.float64) for picture in pictures)
    P = oracle.forward(weights, content).activations[3]
    grams = [gram(oracle.forward(weights, style).activations[layer]) for layer in STYLE_LAYERS]
    img, m, v = content, 0, 0
    for t, (computed, losses) in enumerate(seen, start=1):
        passed = oracle.forward(weights, img)
        terms = [
            content_and_gradient(passed, 3, P, TERMS["content_weight"]),
            style_and_gradient(passed, STYLE_LAYERS, grams, TERMS["style_weights"]),
            tv_and_gradient(img, TERMS["tv_weight"]),
        ]
        np.testing.assert_allclose(losses, [loss for loss, _ in terms], rtol=1e-3, atol=1e-6)
        off = np.abs(computed - img) > 1e-3
        assert off.mean() < 0.01, f"after {t - 1} steps {off.mean():.2%} of the values differ"
        g = sum(gradient for _, gradient in terms)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        direction = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        img = np.clip(img - 3 * direction, -1.5, 1.5) if t <= 3 else img - 0.1 * direction


def test_schedule(model, pictures):
    """Images 1 to 180 stay within ±1.5 and reach it; the next steps are short, and leave that range."""
    images = []
    transfer(model, pictures, num_iterations=200, callback=lambda step, img, losses: images.append(img))
    assert len(images) == 201
    largest = np.array([np.abs(img).max() for img in images])
    assert (largest[1:181] == 1.5).all()
    assert (largest[181:] > 1.5).all()
    step = np.array([np.abs(b - a).max() for a, b in itertools.pairwise(images)])
    # Whatever the gradients, |step| <= rate · (1 − β₁) / √(1 − β₂), about 3.2 rates (Kingma & Ba, 2.1).
    assert step[180:].max() < 0.32
    assert step[170:180].min() > 0.32


def test_callback_sees_every_image_and_its_losses(model, pictures):
    """It is called with 0 ... n, the last image is the one returned, and it cannot change the descent."""
    calls = []

    def spoil(step, img, losses):
        calls.append((step, img.copy(), losses))
        img[:] = np.nan

    result = transfer(model, pictures, callback=spoil)
    assert [step for step, _, _ in calls] == [0, 1, 2, 3]
    assert all(isinstance(losses, Losses) for _, _, losses in calls)
    np.testing.assert_array_equal(calls[0][1], preprocess_image(pictures[0])[None])
    np.testing.assert_array_equal(calls[-1][1], result)
    np.testing.assert_array_equal(transfer(model, pictures), result)
    assert calls[0][2].content == 0


def test_interrupt_returns_the_image_so_far(model, pictures):
    """Ctrl-C after two of five steps gives what two steps give."""

    def stop(step, img, losses):
        if step == 2:
            raise KeyboardInterrupt

    stopped = transfer(model, pictures, num_iterations=5, callback=stop)
    np.testing.assert_array_equal(stopped, transfer(model, pictures, num_iterations=2))


def test_graph_does_not_grow(random_model, pictures):
    """Other pictures, sizes, weights and starts add no operation to the graph; other layers do, once."""
    model, _ = random_model
    transfer(model, pictures)
    operations = len(model.graph.get_operations())
    transfer(model, pictures)
    transfer(model, pictures[::-1], image_size=50, style_size=32, num_iterations=1)
    transfer(model, pictures, content_weight=0, style_weights=(0, 0, 0, 1), tv_weight=0, init_random=True)
    assert len(model.graph.get_operations()) == operations
    transfer(model, pictures, content_layer=5)
    grown = len(model.graph.get_operations())
    assert grown > operations
    transfer(model, pictures, content_layer=5)
    assert len(model.graph.get_operations()) == grown


def test_seed_fixes_the_random_start(model, pictures):
    """The same seed gives the same noise in [0, 1), another seed another; without noise the seed is moot."""
    starts = []

    def run(**changes):
        return transfer(model, pictures, callback=lambda step, img, losses: starts.append(img), **changes)

    first, again, other = (run(init_random=True, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert starts[0].min() >= 0
    assert starts[0].max() < 1
    assert 0.45 < starts[0].mean() < 0.55
    np.testing.assert_array_equal(run(seed=5), run(seed=6))


@pytest.mark.parametrize("size", [32, 33, 34, 35])
def test_every_row_and_column_is_seen(model, pictures, size):
    """With the content loss alone one step moves the noise in each row and each column, the last as well.

    VALID windows leave out the last rows and columns of most sizes, and Adam does not move what has no
    gradient. (Single pixels may have none: those that win no max pool.)
    """
    images = []
    transfer(
        model,
        (pictures[0][:32, :32], pictures[1]),
        image_size=size,
        style_weights=(0, 0, 0, 0),
        tv_weight=0,
        init_random=True,
        num_iterations=1,
        callback=lambda step, img, losses: images.append(img),
    )
    moved = (images[0] != images[1]).any(axis=-1)[0]
    assert moved.mean(axis=0).min() > 0.5
    assert moved.mean(axis=1).min() > 0.5


@pytest.mark.parametrize(("shape", "expected"), [((60, 80), (32, 43)), ((80, 60), (43, 32))])
def test_shorter_side_is_the_size(model, pictures, shape, expected):
    """Portrait or landscape, the shorter side gets the size asked for and the ratio is kept."""
    content = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    result = transfer(model, (content, pictures[1]), image_size=32, num_iterations=1)
    assert result.shape == (1, *expected, 3)
    assert result.dtype == np.float32


def test_files_and_arrays_give_the_same(model, pictures, tmp_path):
    """A picture may be a file or an array; neither is changed."""
    files = [tmp_path / "content.png", str(tmp_path / "style.bmp")]
    before = [picture.copy() for picture in pictures]
    for file, picture in zip(files, pictures, strict=True):
        Image.fromarray(picture).save(file)
        picture.flags.writeable = False
    np.testing.assert_array_equal(transfer(model, files), transfer(model, pictures))
    np.testing.assert_array_equal(pictures[0], before[0])
    np.testing.assert_array_equal(pictures[1], before[1])


def test_inversion_finds_the_content_again(model):
    """From noise, the content loss falls below a tenth of what it was, and the picture is the content's.

    Correlation tells the latter: noise has none with the photograph.
    """
    content = hopper()
    seen = []
    result = style_transfer(
        content,
        swirls(),
        **PRESETS["inversion"] | {"image_size": 96},
        model=model,
        seed=0,
        callback=lambda step, img, losses: seen.append(losses),
    )
    assert seen[-1].content < 0.1 * seen[0].content
    assert seen[-1].style == 0
    original = preprocess_image(resize_shorter_side(content, 96))
    assert np.corrcoef(result.ravel(), original.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("name", ["composition_vii", "the_scream", "starry_night", "texture"])
def test_presets_take_on_the_style(model, name):
    """Each set lowers the style loss to a fifth and less of what it was."""
    seen = []
    style_transfer(
        hopper(),
        swirls(),
        **PRESETS[name] | {"image_size": 96},
        model=model,
        seed=0,
        callback=lambda step, img, losses: seen.append(losses),
    )
    assert seen[-1].style < 0.2 * seen[0].style


def test_presets_are_arguments():
    """Each set names all that `style_transfer` needs besides pictures and model, and nothing else."""
    parameters = inspect.signature(style_transfer).parameters
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
        and name not in ("content_image", "style_image", "model")
    ]
    for name, preset in PRESETS.items():
        assert set(needed) <= set(preset) <= set(parameters), name


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image_size": 31}, r"image_size is 31; expected at least 32 pixels"),
        ({"style_size": 31}, r"style_size is 31; expected at least 32 pixels"),
        ({"image_size": 64.0}, r"image_size is 64.0; expected a whole number"),
        ({"content_layer": 13}, r"content_layer names the layer 13; the feature layers are 0 to 12"),
        ({"content_layer": -1}, r"content_layer names the layer -1"),
        ({"style_layers": (1, 4, 6, 17)}, r"style_layers names the layer 17"),
        ({"style_layers": (1, 4, 6, "7")}, r"style_layers names the layer '7'"),
        ({"style_layers": 3}, r"style_layers is 3; expected a list"),
        ({"style_weights": 1.0}, r"style_weights is 1.0; expected a list"),
        ({"style_weights": (1, 2, 3)}, r"style_layers has 4, style_weights has 3"),
        ({"style_weights": (1, 2, -3, 4)}, r"style_weights\[2\] is -3; expected a number of at least 0"),
        ({"content_weight": -1}, r"content_weight is -1"),
        ({"tv_weight": float("nan")}, r"tv_weight is nan"),
        ({"content_weight": float("inf")}, r"content_weight is inf"),
        ({"content_weight": "much"}, r"content_weight is 'much'"),
        ({"num_iterations": 0}, r"num_iterations is 0"),
        ({"seed": -1}, r"seed is -1; expected a whole number of at least 0"),
        ({"tv_weight": 1e38}, r"too large for float32; choose smaller weights"),
        ({"tv_weight": 1e25}, r"too large for float32; choose smaller weights"),
    ],
)
def test_bad_arguments_get_a_sentence(model, pictures, changes, sentence):
    """Each kind of bad number is named in one sentence, without a warning or a stack of TensorFlow's."""
    with pytest.raises(ValueError, match=sentence) as caught:
        transfer(model, pictures, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        ("missing.jpg", FileNotFoundError, r"There is no file missing.jpg"),
        (__file__, ValueError, r"is not an image that can be read"),
        (np.zeros((40, 40, 3)), ValueError, r"content_image holds floats; expected raw pixels"),
        (np.zeros((40, 40), np.uint8), ValueError, r"content_image has shape"),
        (None, ValueError, r"content_image is NoneType"),
    ],
)
def test_bad_pictures_get_a_sentence(model, pictures, content, error, sentence):
    """What is no image is named in one sentence."""
    with pytest.raises(error, match=sentence):
        transfer(model, (content, pictures[1]))


def test_too_large_a_size_says_what_it_would_take(model, pictures, monkeypatch):
    """The sentence gives the memory needed and available, and a size that fits, which then does."""
    available = 1_000_000 * module.BYTES_PER_PIXEL  # for a million pixels; the content is 35 x 39
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available))
    with pytest.raises(ValueError, match=r"image_size is 2000, which takes about 4.46 GB .*; 1 GB") as caught:
        transfer(model, pictures, image_size=2000)
    assert str(caught.value).endswith("choose 947 or less.")
    with pytest.raises(ValueError, match=r"image_size is 948"):
        transfer(model, pictures, image_size=948)
    monkeypatch.setattr(module, "resize_shorter_side", lambda raw, size: raw[:35])
    transfer(model, pictures, image_size=947)


def test_sample_pictures_are_always_the_same():
    """They are raw colour images, and no call changes the next one's result."""
    for name, draw in PICTURES.items():
        picture = draw()
        assert picture.dtype == np.uint8, name
        assert picture.ndim == 3, name
        assert min(picture.shape[:2]) >= 512, name
        np.testing.assert_array_equal(draw(), picture, err_msg=name)


def test_a_file_comes_before_a_picture_of_that_name(tmp_path, monkeypatch):
    """A name is a file if there is one, else a picture of the kit, else an error that names it."""
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(load_picture("waves"), PICTURES["waves"]())
    Image.new("RGB", (40, 50)).save("waves", format="png")
    assert load_picture("waves").shape == (50, 40, 3)
    with pytest.raises(FileNotFoundError, match="There is no file wavs"):
        load_picture("wavs")
