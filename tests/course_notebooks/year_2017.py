# A notebook in the manner of 2017, with solutions: its TensorFlow import and its checkpoint's path are the kit's.
# %%
from __future__ import print_function

import os
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

from scipy.ndimage.filters import gaussian_filter1d

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_tiny_imagenet
from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD, deprocess_image, preprocess_image

# %matplotlib inline
plt.rcParams["figure.figsize"] = (6.0, 4.0)
plt.rcParams["image.interpolation"] = "nearest"
plt.rcParams["image.cmap"] = "gray"

# %load_ext autoreload
# %autoreload 2


# %%
def get_session():
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    return tf.Session(config=config)


# %%
tf.reset_default_graph()
sess = get_session()

SAVE_PATH = os.path.join(os.environ["CS231N_DATASETS"], "squeezenet.ckpt.index")
if not os.path.exists(SAVE_PATH):
    raise ValueError("no checkpoint; download it first")
model = SqueezeNet(save_path=SAVE_PATH, sess=sess)

# %%
from cs231n.data_utils import load_imagenet_val

X_raw, y, class_names = load_imagenet_val(num=5)
plt.figure(figsize=(12, 6))
for i in range(5):
    plt.subplot(1, 5, i + 1)
    plt.imshow(X_raw[i])
    plt.title(class_names[y[i]])
    plt.axis("off")
plt.gcf().tight_layout()

# %%
X = np.array([preprocess_image(img) for img in X_raw])


# %%
def compute_saliency_maps(X, y, model):
    correct_scores = tf.gather_nd(model.classifier, tf.stack((tf.range(X.shape[0]), model.labels), axis=1))
    grads = tf.gradients(tf.reduce_sum(correct_scores), model.image)[0]
    maps = tf.reduce_max(tf.abs(grads), axis=3)
    return sess.run(maps, feed_dict={model.image: X, model.labels: y})


def show_saliency_maps(X, y, mask):
    mask = np.asarray(mask)
    saliency = compute_saliency_maps(X[mask], y[mask], model)
    for i in range(mask.size):
        plt.subplot(2, mask.size, i + 1)
        plt.imshow(deprocess_image(X[mask[i]]))
        plt.axis("off")
        plt.subplot(2, mask.size, mask.size + i + 1)
        plt.imshow(saliency[i], cmap=plt.cm.hot)
        plt.axis("off")
    plt.show()
    return saliency


saliency = show_saliency_maps(X, y, np.arange(5))


# %%
def make_fooling_image(X, target_y, model):
    X_fooling = X.copy()
    learning_rate = 1
    score = model.classifier[0, target_y]
    step = tf.gradients(score, model.image)[0]
    step = learning_rate * step / tf.norm(step)
    for i in range(100):
        scores, dX = sess.run([model.classifier, step], feed_dict={model.image: X_fooling})
        if np.argmax(scores[0]) == target_y:
            break
        X_fooling += dX
    return X_fooling


target_y = 113
X_fooling = make_fooling_image(X[0][None], target_y, model)
scores = sess.run(model.classifier, {model.image: X_fooling})
assert scores[0].argmax() == target_y, "the network is not fooled"
plt.imshow(deprocess_image(10 * (X_fooling - X[0][None]), rescale=True)[0])
plt.show()


# %%
def blur_image(X, sigma=1):
    X = gaussian_filter1d(X, sigma, axis=1)
    return gaussian_filter1d(X, sigma, axis=2)


def create_class_visualization(target_y, model, **kwargs):
    l2_reg = kwargs.pop("l2_reg", 1e-3)
    learning_rate = kwargs.pop("learning_rate", 25)
    num_iterations = kwargs.pop("num_iterations", 100)
    blur_every = kwargs.pop("blur_every", 10)
    max_jitter = kwargs.pop("max_jitter", 16)
    show_every = kwargs.pop("show_every", 25)

    X = 255 * np.random.rand(224, 224, 3)
    X = preprocess_image(X)[None]
    loss = model.classifier[0, target_y] - l2_reg * 2 * tf.nn.l2_loss(model.image)
    grad = tf.gradients(loss, model.image)[0]
    for t in range(num_iterations):
        ox, oy = np.random.randint(-max_jitter, max_jitter + 1, 2)
        X = np.roll(np.roll(X, ox, 1), oy, 2)
        X += learning_rate * sess.run(grad, feed_dict={model.image: X})
        X = np.roll(np.roll(X, -ox, 1), -oy, 2)
        X = np.clip(X, -SQUEEZENET_MEAN / SQUEEZENET_STD, (1.0 - SQUEEZENET_MEAN) / SQUEEZENET_STD)
        if t % blur_every == 0:
            X = blur_image(X, sigma=0.5)
        if t == 0 or (t + 1) % show_every == 0 or t == num_iterations - 1:
            plt.imshow(deprocess_image(X[0]))
            plt.title("%s, iteration %d / %d" % (class_names[target_y], t + 1, num_iterations))
            plt.axis("off")
            plt.show()
    return X


np.random.seed(0)
visualization = create_class_visualization(76, model, num_iterations=3)
