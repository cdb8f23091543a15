"""The network is the one that the oracle computes, and is built the way the course's notebooks expect."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.weights import TENSOR_SHAPES, write_checkpoint
from tests import oracle


def test_every_layer_equals_the_oracle(random_model, small_images):
    """All 17 layers equal a plain float64 computation, on images that are neither square nor 224 pixels."""
    model, weights = random_model
    computed = model.sess.run(model.layers, {model.image: small_images})
    expected = oracle.forward(weights, small_images).activations
    assert len(computed) == 17
    for index, (layer, reference) in enumerate(zip(computed, expected, strict=True)):
        # float32 keeps 7 digits and the sums have up to 4,608 terms: 1e-5 of the layer's maximum.
        np.testing.assert_allclose(
            layer, reference, rtol=0, atol=1e-5 * np.abs(reference).max(), err_msg=f"layer {index}"
        )


def test_pretrained_scores_equal_the_oracle(model, weights, photographs):
    """The pretrained network's scores of photographs are right to 1e-4 of the largest score."""
    X = photographs[0][:5]
    expected = oracle.scores(weights, X)
    np.testing.assert_allclose(model.compute_scores(X), expected, rtol=0, atol=1e-4 * expected.max())


def test_pretrained_network_recognises_the_photographs(model, photographs):
    """About 12 of the 20 sample photographs are right at top 1 and 19 at top 5: the weights are real."""
    X, y = photographs
    ranking = np.argsort(-model.compute_scores(X), axis=1)
    top1 = (ranking[:, 0] == y).sum()
    top5 = (ranking[:, :5] == y[:, None]).any(axis=1).sum()
    assert (top1, top5) >= (11, 18), f"{top1} right at top 1, {top5} at top 5, of {len(y)}"


def test_scores_are_the_mean_over_all_positions_at_any_size(random_model):
    """A batch of wide images gives each image its own scores: they equal those of each image alone."""
    model, _ = random_model
    X = np.random.default_rng(3).normal(size=(4, 63, 127, 3)).astype(np.float32)
    alone = np.concatenate([model.compute_scores(x[None]) for x in X])
    # Another batch size may sum in another order: the last digits of float32.
    np.testing.assert_allclose(model.compute_scores(X), alone, rtol=1e-5, atol=1e-6)


def test_loss_is_the_mean_cross_entropy_with_the_labels(random_model, small_images):
    """The loss is -log p of the label, averaged over the images."""
    model, weights = random_model
    y = np.array([3, 999, 0])
    p = oracle.softmax(oracle.scores(weights, small_images))
    loss = model.sess.run(model.loss, {model.image: small_images, model.labels: y})
    assert loss == pytest.approx(-np.log(p[np.arange(3), y]).mean(), rel=1e-5)


def test_names_of_the_course(random_model):
    """The attributes of the 2017 and 2018 assignments are there, and mean what they meant."""
    model, _ = random_model
    assert model.scores is model.classifier
    assert model.features is model.layers[12]
    assert model.image.dtype == tf.float32
    assert model.labels.dtype == tf.int32
    assert [variable.op.name for variable in tf.global_variables()] == list(TENSOR_SHAPES)


def test_extracted_features_share_the_weights(random_model, small_images):
    """Features of another input tensor are those of the placeholder fed with it; no variable is added."""
    model, _ = random_model
    layers = model.extract_features(tf.constant(small_images))
    assert len(layers) == 13
    assert len(tf.global_variables()) == 52
    fed = model.sess.run(model.features, {model.image: small_images})
    np.testing.assert_array_equal(model.sess.run(layers[-1]), fed)


def test_building_twice_shares_the_variables(random_model, small_images):
    """A notebook cell that builds the model can be run again: the second model has the same weights."""
    model, _ = random_model
    again = SqueezeNet(sess=model.sess)
    assert len(tf.global_variables()) == 52
    np.testing.assert_array_equal(again.compute_scores(small_images), model.compute_scores(small_images))


def test_saver_of_the_course_restores_our_checkpoint_and_we_restore_its(random_model, small_images, tmp_path):
    """A plain tf.train.Saver's checkpoint loads here, and a plain tf.train.Saver loads ours."""
    model, weights = random_model
    expected = model.compute_scores(small_images)
    theirs = tf.train.Saver().save(model.sess, str(tmp_path / "theirs.ckpt"), write_meta_graph=False)
    with SqueezeNet.pretrained(theirs) as loaded:
        np.testing.assert_array_equal(loaded.compute_scores(small_images), expected)

    write_checkpoint(weights, tmp_path / "ours.ckpt")
    with tf.Graph().as_default(), tf.Session() as sess:
        network = SqueezeNet(sess=sess)
        tf.train.Saver().restore(sess, str(tmp_path / "ours.ckpt"))
        np.testing.assert_array_equal(network.compute_scores(small_images), expected)


def test_pretrained_closes_its_session_and_leaves_the_callers_graph_alone(graph, small_images):
    """`pretrained` adds nothing to the default graph; after the block its session says that it is closed."""
    with SqueezeNet.pretrained() as model:
        model.compute_scores(small_images)
    assert not graph.get_operations()
    with pytest.raises(ValueError, match=r"session is closed.*make a new one"):
        model.compute_scores(small_images)


def test_a_session_that_was_given_stays_open(random_model, small_images):
    """A model closes only what `pretrained` opened for it, not its user's session."""
    model, _ = random_model
    with SqueezeNet(sess=model.sess) as same_session:
        same_session.compute_scores(small_images)
    model.compute_scores(small_images)


def test_eager_mode_says_what_to_do():
    """Outside a graph the model can't be built; the message names the line that is missing."""
    assert tf.executing_eagerly()
    with pytest.raises(ValueError, match=r"eager mode.*tf\.disable_v2_behavior\(\)"):
        SqueezeNet()


def test_session_of_another_graph_is_refused(graph, tmp_path):
    """A session that was made before tf.reset_default_graph() can't hold the new model."""
    other = tf.Session(graph=tf.Graph())
    with pytest.raises(ValueError, match=r"another graph"):
        SqueezeNet(tmp_path / "squeezenet.ckpt", other)
    other.close()


def test_weights_without_a_session_are_refused(graph, tmp_path):
    """Weights need a session to be loaded to."""
    with pytest.raises(ValueError, match=r"No session.*pass sess="):
        SqueezeNet(tmp_path / "squeezenet.ckpt")


def test_missing_weights_leave_the_graph_empty(graph, tmp_path):
    """If the checkpoint isn't there, nothing was built, and the message names the files looked for."""
    with tf.Session() as sess, pytest.raises(FileNotFoundError, match=r"squeezenet\.ckpt\.index"):
        SqueezeNet(tmp_path / "squeezenet.ckpt", sess)
    assert not graph.get_operations()


def test_unloaded_weights_are_named(graph, small_images):
    """A model whose variables have no values yet says so, not TensorFlow."""
    with tf.Session() as sess, pytest.raises(ValueError, match=r"no weights in this session"):
        SqueezeNet(sess=sess).compute_scores(small_images)
