# A notebook in the manner of 2018, with solutions: its TensorFlow import and its checkpoint's path are the kit's.
# %%
import os
import random

import matplotlib.pyplot as plt
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val, load_tiny_imagenet
from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD, blur_image, deprocess_image, preprocess_image

# %matplotlib inline


def get_session():
    """Create a session that takes GPU memory only as it needs it."""
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    session = tf.Session(config=config)
    return session


tf.reset_default_graph()
sess = get_session()
SAVE_PATH = os.path.join(os.environ["CS231N_DATASETS"], "squeezenet.ckpt")
if not os.path.exists(SAVE_PATH + ".index"):
    raise ValueError("no checkpoint; download it first")
model = SqueezeNet(save_path=SAVE_PATH, sess=sess)

# %%
X_raw, y, class_names = load_imagenet_val(num=5)
X = np.array([preprocess_image(img) for img in X_raw])


# %%
def compute_saliency_maps(X, y, model):
    saliency = None
    indices = tf.stack([tf.range(tf.shape(model.scores)[0]), model.labels], axis=1)
    scores = tf.gather_nd(model.scores, indices)
    gradient = sess.run(tf.gradients(scores, model.image)[0], {model.image: X, model.labels: y})
    saliency = np.max(np.abs(gradient), axis=-1)
    return saliency


saliency = compute_saliency_maps(X, y, model)
for i in range(5):
    plt.subplot(1, 5, i + 1)
    plt.imshow(saliency[i], cmap=plt.cm.hot)
    plt.title(class_names[y[i]])
    plt.axis("off")
plt.show()


# %%
def make_fooling_image(X, target_y, model):
    X_fooling = X.copy()
    learning_rate = 1
    target_score = model.scores[:, target_y]
    gradient = tf.gradients(target_score, model.image)[0]
    it = 0
    while sess.run(model.scores, {model.image: X_fooling}).argmax() != target_y and it < 100:
        g = sess.run(gradient, {model.image: X_fooling})
        X_fooling += learning_rate * g / np.linalg.norm(g)
        it += 1
    return X_fooling


target_y = 113
X_fooling = make_fooling_image(X[0:1], target_y, model)


# %%
def create_class_visualization(target_y, model, **kwargs):
    l2_reg = kwargs.pop("l2_reg", 1e-3)
    learning_rate = kwargs.pop("learning_rate", 25)
    num_iterations = kwargs.pop("num_iterations", 100)
    blur_every = kwargs.pop("blur_every", 10)
    max_jitter = kwargs.pop("max_jitter", 16)

    X = 255 * np.random.rand(224, 224, 3)
    X = preprocess_image(X)[None]
    loss = model.scores[0, target_y] - l2_reg * tf.square(tf.norm(model.image))
    grad = tf.gradients(loss, model.image)[0]
    for t in range(num_iterations):
        ox, oy = np.random.randint(-max_jitter, max_jitter + 1, 2)
        X = np.roll(np.roll(X, ox, 1), oy, 2)
        dX = sess.run(grad, {model.image: X})
        X += learning_rate * dX
        X = np.roll(np.roll(X, -ox, 1), -oy, 2)
        for c in range(3):
            low = -SQUEEZENET_MEAN[c] / SQUEEZENET_STD[c]
            X[..., c] = np.clip(X[..., c], low, low + 1.0 / SQUEEZENET_STD[c])
        if t % blur_every == 0:
            X = blur_image(X, sigma=0.5)
    return X


np.random.seed(0)
visualization = create_class_visualization(76, model, num_iterations=3)
