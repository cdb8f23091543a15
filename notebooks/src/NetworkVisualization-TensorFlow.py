# %% [markdown]
# # Network visualisation

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)  # no notes that this style of TensorFlow is old
tf.disable_v2_behavior()

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val
from cs231n.image_utils import preprocess_image
from cs231n.paths import checkpoint_prefix

tf.reset_default_graph()
sess = tf.Session()
model = SqueezeNet(save_path=checkpoint_prefix(), sess=sess)

# %%
X_raw, y, class_names = load_imagenet_val(num=5)
X = preprocess_image(X_raw)


# %%
def compute_saliency_maps(X, y, model):
    """Return the saliency map of each image, shape (N, H, W)."""
    saliency = None
    ### BEGIN SOLUTION Task 1: saliency maps
    #: Hint: tf.gather_nd picks one score per image.
    rows = tf.range(tf.shape(model.labels)[0])
    scores = tf.gather_nd(model.classifier, tf.stack([rows, model.labels], axis=1))
    (gradient,) = tf.gradients(scores, model.image)
    saliency = np.abs(sess.run(gradient, {model.image: X, model.labels: y})).max(axis=-1)
    ### END SOLUTION
    return saliency


# %%
plt.imshow(compute_saliency_maps(X, y, model)[0])
plt.show()
