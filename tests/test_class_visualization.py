"""Class visualisation: the oracle's ascent, reproducible, interruptible, and what it draws is the class."""

import signal

import numpy as np
import pytest

from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD
from cs231n.net_visualization import create_class_visualization
from tests import oracle_methods

TARANTULA, TICK, TERRIER = 76, 78, 187


def course_draws(seed, num_iterations, max_jitter=16):
    """Return start and jitters as a notebook draws them, after seeding NumPy."""
    np.random.seed(seed)
    start = (np.random.rand(224, 224, 3) - oracle_methods.MEAN) / oracle_methods.STD
    jitters = [np.random.randint(-max_jitter, max_jitter + 1, 2) for _ in range(num_iterations)]
    return start[None], jitters


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"l2_reg": 1e-2, "learning_rate": 10, "blur_every": 2, "max_jitter": 5}]
)
def test_three_iterations_equal_the_oracle(model, weights, options):
    """From a fixed seed, each pixel is within 1e-3 of the float64 computation (black to white is 4.4).

    Not so with far longer steps: where a ReLU or a max pool is near its kink, rounding decides, and each step
    multiplies the difference by `learning_rate`.
    """
    start, jitters = course_draws(seed=231, num_iterations=3, max_jitter=options.get("max_jitter", 16))
    ascent = {name: value for name, value in options.items() if name != "max_jitter"}
    expected = oracle_methods.class_visualization(weights, TARANTULA, start, jitters, **ascent)
    image = create_class_visualization(TARANTULA, model, num_iterations=3, seed=231, **options)
    assert image.dtype == np.float32
    assert image.shape == (1, 224, 224, 3)
    np.testing.assert_allclose(image, expected, rtol=0, atol=1e-3)


def test_seed_is_that_of_numpys_global_generator(model):
    """A seed gives what seeding NumPy gives, and leaves NumPy's own generator alone."""
    seeded = create_class_visualization(TICK, model, num_iterations=2, seed=4)
    np.random.seed(4)
    state = np.random.get_state()[1].copy()
    again = create_class_visualization(TICK, model, num_iterations=2, seed=4)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    globally = create_class_visualization(TICK, model, num_iterations=2)
    np.testing.assert_array_equal(again, seeded)
    np.testing.assert_array_equal(globally, seeded)
    other = create_class_visualization(TICK, model, num_iterations=2, seed=5)
    assert not np.allclose(other, seeded)


@pytest.mark.slow
@pytest.mark.parametrize("target", [TARANTULA, TICK, TERRIER])
def test_no_photograph_excites_the_class_as_its_picture_does(model, photographs, target):
    """After 100 iterations the class's score is twice that of any photograph, on valid pixels only."""
    image = create_class_visualization(target, model, seed=0)
    scores = model.compute_scores(photographs[0])[:, target]
    assert model.compute_scores(image)[0, target] > 2 * scores.max()
    pixels = image * SQUEEZENET_STD + SQUEEZENET_MEAN
    assert -1e-6 < pixels.min() < pixels.max() < 1 + 1e-6  # float32 rounding of the bounds


def test_stronger_penalty_makes_a_paler_picture(model):
    """The penalty's weight is what it is called: with more of it, less is left of its start."""
    norms = [
        np.linalg.norm(create_class_visualization(TICK, model, num_iterations=2, seed=0, l2_reg=l2_reg))
        for l2_reg in (0, 1e-3, 1e-2)
    ]
    assert norms[0] > norms[1] > norms[2]


def test_callback_is_called_when_the_course_shows_a_picture(model):
    """After the first iteration, after every `show_every` and after the last, with that iteration's image."""
    calls = []
    image = create_class_visualization(
        TICK, model, num_iterations=7, show_every=3, seed=0, callback=lambda *call: calls.append(call)
    )
    assert [iteration for iteration, _, _ in calls] == [0, 2, 5, 6]
    np.testing.assert_array_equal(calls[-1][1], image)
    shorter = create_class_visualization(TICK, model, num_iterations=3, seed=0)
    np.testing.assert_array_equal(calls[1][1], shorter)
    assert not np.shares_memory(calls[-1][1], image)


@pytest.mark.parametrize(("l2_reg", "name"), [(1e-3, "a later one"), (1, "the last one")])
def test_interruption_returns_the_best_image_so_far(model, l2_reg, name):
    """Ctrl-C gives the image with the highest score less penalty of those that iterations began with."""
    begun, objectives = [], []

    def interrupt(iteration, image, score):
        before = begun[-1] if begun else start
        objectives.append(score - l2_reg * float((before.astype(np.float64) ** 2).sum()))
        begun.append(image)
        if iteration == 5:
            signal.raise_signal(signal.SIGINT)

    start = course_draws(seed=0, num_iterations=0)[0].astype(np.float32)
    image = create_class_visualization(
        TICK, model, l2_reg=l2_reg, seed=0, show_every=1, learning_rate=400, callback=interrupt
    )
    best = [start, *begun][int(np.argmax(objectives))]
    np.testing.assert_allclose(image, best, rtol=0, atol=1e-6)  # the start is rounded to float32 otherwise


def test_an_iteration_is_one_run_and_leaves_the_graph_alone(model, monkeypatch):
    """Score and gradient come from the same run, and no call but the first adds operations."""
    create_class_visualization(TICK, model, num_iterations=1)
    operations = len(model.graph.get_operations())
    run, runs = model.sess.run, []
    monkeypatch.setattr(model.sess, "run", lambda *args, **kwargs: runs.append(1) or run(*args, **kwargs))
    create_class_visualization(TICK, model, num_iterations=6)
    assert len(runs) == 6
    assert len(model.graph.get_operations()) == operations


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"target_y": 1000}, r"target_y is 1000; expected one class, a whole number from 0 to 999"),
        ({"target_y": "tick"}, r"target_y is 'tick'; expected one class"),
        ({"l2_reg": -1e-3}, r"l2_reg is -0.001; expected a number of at least 0"),
        ({"l2_reg": np.nan}, r"l2_reg is nan"),
        ({"learning_rate": 0}, r"learning_rate is 0; expected a number above 0"),
        ({"learning_rate": np.inf}, r"learning_rate is inf"),
        ({"num_iterations": 0}, r"num_iterations is 0; expected a whole number of at least 1"),
        ({"num_iterations": -1}, r"num_iterations is -1"),
        ({"blur_every": 0}, r"blur_every is 0; expected a whole number of at least 1"),
        ({"max_jitter": -1}, r"max_jitter is -1; expected a whole number of at least 0"),
        ({"max_jitter": 1.5}, r"max_jitter is 1.5"),
        ({"show_every": 0}, r"show_every is 0; expected a whole number of at least 1"),
        ({"seed": -1}, r"seed is -1; expected a whole number of at least 0"),
        ({"seed": "now"}, r"seed is 'now'"),
    ],
)
def test_bad_input_gets_a_sentence(model, arguments, sentence):
    """Each kind of bad argument is named before TensorFlow sees it, in one sentence."""
    with pytest.raises(ValueError, match=sentence) as caught:
        create_class_visualization(**{"target_y": 3, "model": model} | arguments)
    assert "\n" not in str(caught.value)


def test_iteration_without_jitter_does_not_move(model, weights):
    """With max_jitter=0 the one jitter there is, is (0, 0)."""
    still = create_class_visualization(TICK, model, num_iterations=1, max_jitter=0, seed=0)
    start, jitters = course_draws(seed=0, num_iterations=1, max_jitter=0)
    assert jitters[0].tolist() == [0, 0]
    expected = oracle_methods.class_visualization(weights, TICK, start, jitters)
    np.testing.assert_allclose(still, expected, rtol=0, atol=1e-3)
