"""Fooling images: the oracle's ascent step by step, small changes, and plain words where it does not work."""

import itertools
import warnings

import numpy as np
import pytest

from cs231n.net_visualization import make_fooling_image
from tests import oracle, oracle_methods

TARGETS = {"tarantula": 76, "snail": 113, "gorilla": 366}


@pytest.fixture
def image(small_images):
    """Return one preprocessed noise image of 47 x 39 pixels."""
    return small_images[:1]


@pytest.fixture
def target(random_model, image):
    """Return the network's sixth choice: seven steps away."""
    model, _ = random_model
    return int(model.compute_scores(image)[0].argsort()[-6])


@pytest.mark.slow
def test_trace_of_a_photograph_equals_the_oracle(model, weights, photographs):
    """Before and after each of the first five steps the target's score is within 1e-3 of the float64 one."""
    X = photographs[0][:1]
    with pytest.warns(UserWarning, match="after 5 steps"):
        _, trace = make_fooling_image(X, TARGETS["tarantula"], model, max_iterations=5, return_trace=True)
    _, expected = oracle_methods.fooling_image(weights, X, TARGETS["tarantula"], max_iterations=6)
    np.testing.assert_allclose([step.score for step in trace], expected, rtol=1e-3)


def test_image_and_trace_equal_the_oracle_to_the_end(random_model, image, target):
    """On noise, where there are no ties, the whole ascent is the oracle's: steps, scores, image."""
    model, weights = random_model
    fooling, trace = make_fooling_image(image, target, model, learning_rate=0.3, return_trace=True)
    expected, scores = oracle_methods.fooling_image(weights, image, target, learning_rate=0.3)
    assert len(trace) == len(scores) > 3
    np.testing.assert_allclose([step.score for step in trace], scores, rtol=1e-4)
    assert fooling.dtype == np.float32
    # A step of 0.3 spreads over 5499 numbers: 0.004 each; 1e-5 is a float32's error in a sum of ten of them.
    np.testing.assert_allclose(fooling, expected, rtol=0, atol=1e-5)


def test_network_says_the_target_at_the_end_and_not_before(random_model, image, target):
    """The trace tells what the network says: the target for the image returned, for none before it."""
    model, _ = random_model
    fooling, trace = make_fooling_image(image, target, model, return_trace=True)
    assert model.compute_scores(fooling).argmax() == target
    assert [step.top_class == target for step in trace] == [False] * (len(trace) - 1) + [True]


def test_each_step_has_the_length_asked_for(random_model, image, target):
    """The images that the callback sees are `learning_rate` apart, whatever the gradient's size."""
    model, _ = random_model
    seen = []
    fooling = make_fooling_image(
        image, target, model, learning_rate=0.7, callback=lambda i, step, score: seen.append(step)
    )
    lengths = [np.linalg.norm(b - a) for a, b in itertools.pairwise(seen)]
    np.testing.assert_allclose(lengths, 0.7, rtol=1e-4)  # float32 pixels near 1, steps near 0.01
    np.testing.assert_array_equal(seen[0], image)
    np.testing.assert_array_equal(seen[-1], fooling)


def test_callback_gets_iterations_and_scores_and_can_do_no_harm(random_model, image, target):
    """It is told what the trace tells, and what it does to its image is its own business."""
    model, _ = random_model
    undisturbed, trace = make_fooling_image(image, target, model, return_trace=True)
    told = []

    def spoil(iteration, step, score):
        told.append((iteration, score))
        step[...] = 0

    disturbed = make_fooling_image(image, target, model, callback=spoil)
    assert told == [(i, step.score) for i, step in enumerate(trace)]
    np.testing.assert_array_equal(disturbed, undisturbed)


def test_argument_is_not_touched(random_model, image, target):
    """X stays as it is, even if nothing has to be done; the result is another array."""
    model, _ = random_model
    before = image.copy()
    image.flags.writeable = False
    make_fooling_image(image, target, model)
    np.testing.assert_array_equal(image, before)
    says = int(model.compute_scores(image).argmax())
    unchanged, trace = make_fooling_image(image, says, model, return_trace=True)
    np.testing.assert_array_equal(unchanged, image)
    assert not np.shares_memory(unchanged, image)
    assert len(trace) == 1


def test_too_few_steps_are_said_to_be(random_model, image, target):
    """When the steps do not suffice a warning says so; the last image and the whole trace are returned."""
    model, _ = random_model
    with pytest.warns(UserWarning, match="after 2 steps") as caught:
        almost, trace = make_fooling_image(
            image, target, model, learning_rate=1e-3, max_iterations=2, return_trace=True
        )
    assert str(caught[0].message) == (
        f"The network does not say {target}: after 2 steps; raise max_iterations or learning_rate."
    )
    assert caught[0].filename == __file__
    assert len(trace) == 3
    assert trace[2].score > trace[1].score > trace[0].score
    np.testing.assert_allclose(np.linalg.norm(almost - image), 2e-3, rtol=0.01)


def test_success_of_the_last_step_counts(random_model, image, target):
    """As many steps as are needed are enough: nothing is said, and the image fools."""
    model, _ = random_model
    _, trace = make_fooling_image(image, target, model, return_trace=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fooling = make_fooling_image(image, target, model, max_iterations=len(trace) - 1)
    assert model.compute_scores(fooling).argmax() == target


def test_score_without_a_gradient_is_said_to_be(random_model, image):
    """Where all the target's activations are 0 there is no way up: a warning, not NaN, and no loop."""
    model, weights = random_model
    bias = weights["classifier/layer1/bias"].copy()
    bias[7] = -1e6
    model.load(weights | {"classifier/layer1/bias": bias})
    with pytest.warns(UserWarning, match=r"does not say 7: its score is 0 and has no gradient here"):
        result, trace = make_fooling_image(image, 7, model, return_trace=True)
    np.testing.assert_array_equal(result, image)
    assert [step.score for step in trace] == [0]


def test_a_step_is_one_run_and_leaves_the_graph_alone(random_model, image, target, monkeypatch):
    """Gradient and scores come from the same run, and no call but the first adds operations."""
    model, _ = random_model
    make_fooling_image(image, target, model)
    operations = len(model.graph.get_operations())
    run, runs = model.sess.run, []
    monkeypatch.setattr(model.sess, "run", lambda *args, **kwargs: runs.append(1) or run(*args, **kwargs))
    for _ in range(3):
        _, trace = make_fooling_image(image, target, model, return_trace=True)
    assert len(runs) == 3 * len(trace)
    assert len(model.graph.get_operations()) == operations


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_every_photograph_is_taken_for(model, photographs, name, record_property):
    """Each of the twenty photographs becomes each of the three targets within 100 steps.

    The change is no larger than a step each, and a small part of the image; its length is reported.
    """
    X, _ = photographs
    fooling = [make_fooling_image(X[i : i + 1], TARGETS[name], model)[0] for i in range(len(X))]
    says = model.compute_scores(np.stack(fooling)).argmax(axis=1)
    assert (says == TARGETS[name]).all(), f"not fooled: {np.flatnonzero(says != TARGETS[name])}"
    lengths = np.linalg.norm((np.stack(fooling) - X).reshape(len(X), -1), axis=1)
    record_property("length of the change, mean and largest", f"{lengths.mean():.1f}, {lengths.max():.1f}")
    assert (lengths < 0.1 * np.linalg.norm(X.reshape(len(X), -1), axis=1)).all()


NAN = np.full((1, 40, 40, 3), np.nan, np.float32)
ONE = np.zeros((1, 40, 40, 3), np.float32)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"X": ONE[0]}, r"X has shape \(40, 40, 3\), a single image; add the batch axis: X\[None\]"),
        ({"X": np.repeat(ONE, 2, axis=0)}, r"X holds 2 images; expected one: pass X\[i:i\+1\]"),
        ({"X": NAN}, r"X\[0\] holds NaN or infinity"),
        ({"X": ONE.astype(np.uint8)}, r"raw pixels \(uint8\)"),
        ({"target_y": 1000}, r"target_y is 1000; expected one class, a whole number from 0 to 999"),
        ({"target_y": -1}, r"target_y is -1; expected one class"),
        ({"target_y": 3.0}, r"target_y is 3.0; expected one class"),
        ({"target_y": [3]}, r"target_y is \[3\]; expected one class"),
        ({"target_y": True}, r"target_y is True; expected one class"),
        ({"learning_rate": 0}, r"learning_rate is 0; expected a number above 0"),
        ({"learning_rate": -1}, r"learning_rate is -1; expected a number above 0"),
        ({"learning_rate": np.nan}, r"learning_rate is nan; expected a number above 0"),
        ({"learning_rate": "1"}, r"learning_rate is '1'; expected a number above 0"),
        ({"max_iterations": 0}, r"max_iterations is 0; expected a whole number of at least 1"),
        ({"max_iterations": -5}, r"max_iterations is -5"),
        ({"max_iterations": 2.5}, r"max_iterations is 2.5"),
    ],
)
def test_bad_input_gets_a_sentence(model, arguments, sentence):
    """Each kind of bad argument is named before TensorFlow sees it, in one sentence."""
    with pytest.raises(ValueError, match=sentence) as caught:
        make_fooling_image(**{"X": ONE, "target_y": 3, "model": model} | arguments)
    assert "\n" not in str(caught.value)


def test_oracle_agrees_that_the_gradient_points_uphill(random_model, image, target):
    """A first step raises the score by its length times the gradient's, as the oracle computes it."""
    model, weights = random_model
    with pytest.warns(UserWarning, match="after 1 steps"):
        _, trace = make_fooling_image(
            image, target, model, learning_rate=0.05, max_iterations=1, return_trace=True
        )
    slope = np.linalg.norm(oracle.gradient(weights, image, [target]))
    np.testing.assert_allclose(trace[1].score - trace[0].score, 0.05 * slope, rtol=0.05)  # kinks
