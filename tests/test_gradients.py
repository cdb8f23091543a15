"""The image gradient is the oracle's under every ReLU rule, is built once, and leaves the graph alone."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from cs231n.gradients import ImageGradient, guided, image_gradient, label_score, max_abs, rectified
from tests import oracle


def assert_equal_gradients(computed, expected):
    """Hold float32 against float64: 1e-5 of the maximum, twenty times what rounding makes of noise images."""
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_gradient_of_known_functions(graph):
    """d(x^2 + 3x)/dx = 2x + 3, and d sum(x_i * x_{i+1}) = the sum of the neighbours."""
    x = tf.placeholder(tf.float64, [None, 3])
    quadratic = ImageGradient(tf.reduce_sum(x**2 + 3 * x, axis=1), x)
    chain = ImageGradient(x[:, 0] * x[:, 1] + x[:, 1] * x[:, 2], x)
    X = np.array([[1.0, 2.0, 5.0], [-1.0, 0.0, 4.0]])
    with tf.Session():
        np.testing.assert_array_equal(quadratic(X), 2 * X + 3)
        np.testing.assert_array_equal(chain(X), [[2, 6, 2], [0, 3, 0]])


@pytest.mark.parametrize(("rule", "name"), [(None, "plain"), (guided, "guided"), (rectified, "rectified")])
def test_gradient_equals_the_oracle(random_model, small_images, live_labels, rule, name):
    """Plain, guided and rectified gradients of the label's score equal the float64 computation."""
    model, weights = random_model
    gradient = image_gradient(model, relu_rule=rule)
    assert gradient.num_relus == (26 if rule else 0)
    computed = gradient(small_images, live_labels, sess=model.sess)
    assert_equal_gradients(computed, oracle.gradient(weights, small_images, live_labels, rule=name))


def test_rule_that_is_the_derivative_changes_nothing(random_model, small_images, live_labels):
    """A rule of one's own that is the ReLU's derivative gives the plain gradient, to the last bit."""

    def derivative(op, gradient):
        return tf.raw_ops.ReluGrad(gradients=gradient, features=op.outputs[0])

    model, _ = random_model
    plain, ruled = image_gradient(model), image_gradient(model, relu_rule=derivative)
    np.testing.assert_array_equal(
        ruled(small_images, live_labels, sess=model.sess), plain(small_images, live_labels, sess=model.sess)
    )


@pytest.mark.parametrize("rule", [None, guided])
def test_gradient_with_respect_to_an_inner_layer(random_model, small_images, live_labels, rule):
    """The gradient stops at the layer asked for; with a rule, too."""
    model, weights = random_model
    gradient = ImageGradient(
        label_score(model), model.image, wrt=model.layers[9], labels=model.labels, relu_rule=rule
    )
    expected = oracle.gradient(weights, small_images, live_labels, wrt=9, rule="guided" if rule else "plain")
    assert_equal_gradients(gradient(small_images, live_labels, sess=model.sess), expected)


def test_rule_leaves_the_graphs_own_gradient_alone(random_model, small_images, live_labels):
    """The rule holds for a second view only: the plain gradient after it is the plain gradient before it."""
    model, _ = random_model
    before = image_gradient(model)(small_images, live_labels, sess=model.sess)
    image_gradient(model, relu_rule=guided)
    after = ImageGradient(label_score(model), model.image, labels=model.labels)
    np.testing.assert_array_equal(after(small_images, live_labels, sess=model.sess), before)
    assert len(tf.global_variables()) == 52


def test_outputs_come_from_the_same_run(random_model, small_images, live_labels):
    """Extra outputs are returned behind the gradient, batched like it."""
    model, _ = random_model
    gradient = ImageGradient(
        label_score(model), model.image, labels=model.labels, reduce=max_abs, outputs=[model.classifier]
    )
    maps, scores = gradient(small_images, live_labels, sess=model.sess, batch_size=2)
    assert maps.shape == (3, 47, 39)
    expected = model.compute_scores(small_images)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6 * expected.max())


def test_result_does_not_depend_on_the_batch_size(random_model, small_images, live_labels):
    """One by one, in twos with a rest, or all at once: the same gradient up to float32's last digits."""
    model, _ = random_model
    gradient = image_gradient(model)
    together = gradient(small_images, live_labels, sess=model.sess)
    for batch_size in (1, 2):
        parts = gradient(small_images, live_labels, sess=model.sess, batch_size=batch_size)
        np.testing.assert_allclose(parts, together, rtol=0, atol=1e-6 * np.abs(together).max())


def test_second_request_builds_nothing(random_model):
    """Asking again for the same (model, score, rule, reduction) gives the same object and no operation."""
    model, _ = random_model
    first = [image_gradient(model, relu_rule=rule, reduce=max_abs) for rule in (None, guided)]
    operations = len(model.graph.get_operations())
    again = [image_gradient(model, relu_rule=rule, reduce=max_abs) for rule in (None, guided)]
    assert all(a is b for a, b in zip(first, again, strict=True))
    assert len(model.graph.get_operations()) == operations


def test_two_threads_may_ask_and_run_at_once(random_model):
    """Eight requests from two threads build one gradient and each get their own images' result."""
    model, _ = random_model
    images = np.random.default_rng(5).normal(size=(8, 31, 31, 3)).astype(np.float32)

    def compute(i):
        return image_gradient(model)(images[i : i + 1], np.array([i]), sess=model.sess)

    with ThreadPoolExecutor(2) as threads:
        parallel = list(threads.map(compute, range(8)))
    for i, result in enumerate(parallel):
        np.testing.assert_array_equal(result, compute(i))


def test_gradients_go_when_their_graph_goes():
    """What was built is kept with the graph, not for ever: a deleted graph is freed."""
    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [None, 3])

        class Model:
            image, labels, graph = x, None, x.graph

        image_gradient(Model, lambda model: tf.reduce_sum(model.image**2, axis=1))
    freed = weakref.ref(graph)
    del graph, x, Model
    gc.collect()
    assert freed() is None


@pytest.fixture
def branches_in_the_graph():
    """Let tf.cond put its branches into the graph, as in TensorFlow 1, and not into functions."""
    tf.disable_control_flow_v2()
    yield
    tf.enable_control_flow_v2()


def test_rule_holds_in_graphs_with_order_and_branches(graph, branches_in_the_graph):
    """Control dependencies, colocation and a tf.cond lie on the way: each of the ReLUs is overridden."""
    x = tf.placeholder(tf.float32, [None, 1])
    w = tf.get_variable("w", [1, 1], initializer=tf.ones_initializer())
    with tf.control_dependencies([tf.no_op()]):
        first = tf.nn.relu(tf.matmul(x, w))
    with tf.control_dependencies([first]), graph.colocate_with(w):
        second = tf.nn.relu(first)
    choice = tf.placeholder_with_default(True, [])
    third = tf.cond(choice, lambda: tf.nn.relu(second), lambda: -second)

    def doubled(op, gradient):
        return 2 * gradient

    gradient = ImageGradient(tf.reduce_sum(third, axis=1), x, relu_rule=doubled)
    assert gradient.num_relus == 3
    with tf.Session() as sess:
        sess.run(w.initializer)
        np.testing.assert_array_equal(gradient(np.array([[3.0]])), [[8]])


def test_rule_counts_the_relus_behind_wrt_only(graph):
    """A ReLU before the tensor that the gradient stops at has no part in it, and is not counted."""
    x = tf.placeholder(tf.float32, [None, 3])
    hidden = tf.nn.relu(x)
    score = tf.reduce_sum(tf.nn.relu(hidden - 1), axis=1)
    assert ImageGradient(score, x, relu_rule=guided).num_relus == 2
    assert ImageGradient(score, x, wrt=hidden, relu_rule=guided).num_relus == 1
    with pytest.raises(ValueError, match=r"no ReLU between"):
        ImageGradient(tf.reduce_sum(hidden, axis=1), x, wrt=hidden, relu_rule=guided)


def test_score_that_ignores_the_image_is_refused(random_model):
    """A gradient that does not exist is an error that names both tensors, not a None."""
    model, _ = random_model
    with pytest.raises(ValueError, match=r"does not depend on input_image:0"):
        ImageGradient(tf.constant([1.0]), model.image)


def test_rule_without_a_relu_is_refused(graph):
    """A rule that could not change anything is an error, not a silent plain gradient."""
    x = tf.placeholder(tf.float32, [None, 3])
    with pytest.raises(ValueError, match=r"no ReLU between"):
        ImageGradient(tf.reduce_sum(tf.tanh(x), axis=1), x, relu_rule=guided)


@pytest.mark.parametrize(
    ("X", "y", "batch_size", "sentence"),
    [
        (np.zeros((0, 40, 40, 3)), [], 8, r"X is empty"),
        (np.zeros((2, 40, 40, 3)), [1], 8, r"y has 1 entries for 2 images"),
        (np.zeros((2, 40, 40, 3)), None, 8, r"The score needs labels, and y is None"),
        (np.zeros((2, 40, 40)), [1, 2], 8, r"X has shape \(2, 40, 40\); expected \(None, None, None, 3\)"),
        (np.full((1, 40, 40, 3), np.nan), [1], 8, r"X holds NaN"),
        (np.zeros((1, 40, 40, 3)), [5000], 8, r"cannot compute this .*5000 is not in"),
        (np.zeros((1, 40, 40, 3)), [1], 1.5, r"batch_size is 1.5"),
    ],
)
def test_bad_calls_get_a_sentence(model, X, y, batch_size, sentence):
    """What does not fit the placeholders is named in one line."""
    with pytest.raises(ValueError, match=sentence) as caught:
        image_gradient(model)(X, y, sess=model.sess, batch_size=batch_size)
    assert "\n" not in str(caught.value)


def test_two_models_on_one_placeholder_have_their_own_gradients(random_model, small_images, live_labels):
    """Another model object is another score, even if it shares placeholder and score function."""
    model, _ = random_model

    class Tripled:
        image, labels, graph = model.image, model.labels, model.graph
        label_score = 3 * model.label_score

    once = image_gradient(model)(small_images, live_labels, sess=model.sess)
    thrice = image_gradient(Tripled)(small_images, live_labels, sess=model.sess)
    assert_equal_gradients(thrice, 3 * once)


def test_a_model_that_has_only_scores_will_do(random_model, small_images, live_labels):
    """Without a `label_score` of its own a model's scores are gathered by label."""
    model, _ = random_model

    class Plain:
        image, labels, graph, classifier = model.image, model.labels, model.graph, model.classifier

    plain = image_gradient(Plain)(small_images, live_labels, sess=model.sess)
    assert_equal_gradients(plain, image_gradient(model)(small_images, live_labels, sess=model.sess))


def test_a_saver_does_not_trip_over_what_was_built(random_model, small_images, live_labels, tmp_path, caplog):
    """A graph with built gradients is saved with its meta graph, as a Saver does, without a warning."""
    model, _ = random_model
    image_gradient(model)(small_images, live_labels, sess=model.sess)
    tf.train.Saver().save(model.sess, str(tmp_path / "with_graph.ckpt"))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
