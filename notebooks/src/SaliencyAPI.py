# %% [markdown]
# # The saliency calls of keras-vis, on a static graph
#
# Two calls answer most questions of the kind "which pixels does this output depend on?":
#
# - `visualize_saliency(model, layer_idx, filter_indices, seed_input, ...)` for outputs or filters of a layer;
# - `visualize_saliency_with_losses(input_tensor, losses, seed_input, ...)` for a weighted sum of losses of
#   one's own.
#
# Their names, arguments and results are those of keras-vis. What is new: a batch gives a batch, any static
# graph can be asked, and calling again adds nothing to the graph. For an image $x$ and an output (or a
# filter, averaged over its positions) $A$, a call takes
#
# 1. the signed gradient $g = \partial A / \partial x$: positive where more of a pixel raises $A$;
# 2. a function of it, the `grad_modifier`: by default the magnitude $|g|$;
# 3. the maximum over the colour channels;
# 4. and scales the map from its own minimum and maximum to 0…1, unless `normalize=False`.
#
# Each section below is one use, with its picture. In the pictures a map is drawn relative to its own 99 %
# quantile.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow.compat.v1 as tf
from scipy.stats import spearmanr

tf.logging.set_verbosity(tf.logging.ERROR)  # no notes that this style of TensorFlow is old
tf.disable_v2_behavior()

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val
from cs231n.image_utils import preprocess_image
from cs231n.paths import checkpoint_prefix
from cs231n.plotting import ColorScale, image_grid, plot_saliency
from cs231n.vis import (
    ActivationMaximization,
    GraphModel,
    Loss,
    TotalVariation,
    num_overridden_relus,
    visualize_cam,
    visualize_cam_with_losses,
    visualize_saliency,
    visualize_saliency_with_losses,
)

plt.rcParams["figure.dpi"] = 72
magnitude, signed = ColorScale(), ColorScale(signed=True)

# %%
tf.reset_default_graph()
sess = tf.Session()
model = SqueezeNet(save_path=checkpoint_prefix(), sess=sess)

photographs, labels, class_names = load_imagenet_val()


def name_of(label):
    return class_names[label].split(",")[0]


chosen = [17, 14, 16]
raw, y = photographs[chosen], labels[chosen]
X = preprocess_image(raw)

# %% [markdown]
# ## One class of a classifier
#
# `layer_idx=-1` is the last layer, the class scores, and `filter_indices` the class. Use the scores and not
# the softmax's probabilities: a probability also rises when other classes become less likely. An int or a
# list holds for all images; here each image has a class of its own, so the classes are an array with a row
# for each image.

# %%
maps = visualize_saliency(model, -1, y[:, None], X)
print(f"{len(X)} images; maps of shape {maps.shape}, from {maps.min():.0f} to {maps.max():.3f}")
plot_saliency(raw, maps, [name_of(label) for label in y], columns=3)

# %% [markdown]
# A single image, without the batch axis, gives a single map, as in keras-vis.

# %%
alone = visualize_saliency(model, -1, y[0], X[0])
print(f"shape {alone.shape}; differs from the first map of the batch by {np.abs(alone - maps[0]).max():.0e}")

# %% [markdown]
# ## Several classes
#
# For a network that names several things at once, list the classes: their gradients are added up. To see
# that, put two photographs side by side (SqueezeNet takes images of any size) and ask for the left one's
# class, for the right one's, and for both.

# %%
pair = np.concatenate([photographs[4], photographs[15]], axis=1)
x = preprocess_image(pair[None])[0]
left, right = int(labels[4]), int(labels[15])
maps = [visualize_saliency(model, -1, classes, x) for classes in (left, right, [left, right])]
titles = ["image", name_of(left), name_of(right), f"{name_of(left)} and {name_of(right)}"]
image_grid([[pair, *magnitude.rgb(maps)]], titles=[titles])

# %%
for title, map_ in zip(titles[1:], maps, strict=True):
    print(f"{title:>20}: {map_[:, :224].sum() / map_.sum():.0%} of the saliency lies on the left half")

# %% [markdown]
# ## A regression output: up, down, or unchanged
#
# Not only classifiers have outputs. Below, a small network learns to steer: from a drawn road to the angle
# that the wheel needs, -1 for hard left and +1 for hard right. Somewhere in each picture is a block, bright
# or dark, that has nothing to do with it. Any static graph will do as a model: `GraphModel` says where
# images go in and which tensors are the layers.

# %%
HEIGHT, WIDTH, HORIZON = 32, 64, 8


def draw_roads(angles, rng):
    """Return pictures of roads that bend by these angles, (N, 32, 64, 1), from 0 to 1, and their lines."""
    n = len(angles)
    rows = np.arange(HEIGHT)[:, None]
    nearness = np.clip((rows - HORIZON) / (HEIGHT - 1 - HORIZON), 0, 1)
    centre = WIDTH / 2 + 24 * np.reshape(angles, (n, 1, 1)) * (1 - nearness) ** 2
    lines = np.zeros((n, HEIGHT, WIDTH))
    for side in (-1, 1):
        distance = np.arange(WIDTH) - centre - side * (1.5 + 16 * nearness)
        lines += np.exp(-0.5 * (distance / (0.5 + 0.7 * nearness)) ** 2) * (rows >= HORIZON)
    pictures = rng.uniform(0.15, 0.35, (n, 1, 1)) + rng.normal(0, 0.04, (n, HEIGHT, WIDTH)) + 0.6 * lines
    pictures[:, :HORIZON] += 0.35
    for picture in pictures:
        top, left = rng.integers(0, HEIGHT - 12), rng.integers(0, WIDTH - 4)
        picture[top : top + 8, left : left + 4] += rng.choice([-0.3, 0.5])
    return np.clip(pictures, 0, 1)[..., None].astype(np.float32), lines


def convolve(images, filters, name):
    """Return a 5 x 5 convolution of stride 2 with a ReLU."""
    kernel = tf.get_variable(f"{name}/kernel", [5, 5, images.shape.as_list()[-1], filters])
    bias = tf.get_variable(f"{name}/bias", [filters], initializer=tf.zeros_initializer())
    return tf.nn.relu(tf.nn.conv2d(images, kernel, strides=2, padding="SAME") + bias)


with tf.Graph().as_default():
    tf.set_random_seed(0)
    road = tf.placeholder(tf.float32, [None, HEIGHT, WIDTH, 1], name="road")
    wanted = tf.placeholder(tf.float32, [None, 1])
    conv1 = convolve(road - 0.4, 8, "conv1")
    conv2 = convolve(conv1, 16, "conv2")
    conv3 = convolve(conv2, 16, "conv3")
    flat = tf.reshape(conv3, [-1, 4 * 8 * 16])
    angle = tf.matmul(flat, tf.get_variable("angle/weights", [4 * 8 * 16, 1]))
    error = tf.reduce_mean((angle - wanted) ** 2)
    step = tf.train.AdamOptimizer(2e-3).minimize(error)
    steering_sess = tf.Session()
    steering_sess.run(tf.global_variables_initializer())

rng = np.random.default_rng(0)
start = time.perf_counter()
for _ in range(500):
    angles = rng.uniform(-1, 1, 64)
    steering_sess.run(step, {road: draw_roads(angles, rng)[0], wanted: angles[:, None]})
print(f"trained in {time.perf_counter() - start:.0f} s")

angles = np.array([-0.8, -0.3, 0.3, 0.8])
roads, lines = draw_roads(angles, np.random.default_rng(5))
steering = GraphModel(
    road, {"conv1": conv1, "conv2": conv2, "conv3": conv3, "angle": angle}, sess=steering_sess
)
predicted = steering_sess.run(angle, {road: roads})[:, 0]
print("angles:   ", angles)
print("predicted:", predicted.round(2))

# %% [markdown]
# The default takes the magnitude: all that the angle depends on, whichever way. The other modifiers separate
# the directions:
#
# - `"relu"` keeps what raises the output: pixels that, if brighter, steer more to the right;
# - `"negate"` makes large what lowers it: pixels that, if brighter, steer more to the left. The map is then
#   scaled from its minimum to its maximum, so pixels that do nothing are neither dark nor bright;
# - `"small_values"` is $|1/g|$: large where the output stays as it is. The few pixels whose gradient happens
#   to be nearly zero outshine all others, so the picture is speckled.

# %%
modifiers = {"absolute": "either way", "relu": "right", "negate": "left", "small_values": "stays"}
maps = {
    modifier: visualize_saliency(steering, "angle", 0, roads, grad_modifier=modifier)
    for modifier in modifiers
}
gradients = visualize_saliency(steering, "angle", 0, roads, grad_modifier=None, normalize=False)
image_grid(
    [
        np.repeat((255 * roads).astype(np.uint8), 3, axis=-1),
        *(magnitude.rgb(maps[modifier]) for modifier in modifiers),
        signed.rgb(gradients),
    ],
    row_labels=["road", *modifiers.values(), "signed"],
    column_titles=[f"{a:+.1f}, predicted {p:+.1f}" for a, p in zip(angles, predicted, strict=True)],
)

# %% [markdown]
# The lines of the road light up and the blocks do not. That the maps mean what they say can be tried out:
# brighten the two hundred pixels that a map puts first by 0.1, and look where the angle goes.

# %%
on_lines = lines > 0.5
on, beside = maps["absolute"][on_lines].mean(), maps["absolute"][~on_lines].mean()
print(f"mean of the maps 'either way': {on:.2f} on the lines, {beside:.2f} beside them")
for modifier, meaning in modifiers.items():
    first = np.argsort(maps[modifier].reshape(len(roads), -1), axis=1)[:, -200:]
    brighter = roads.reshape(len(roads), -1).copy()
    np.put_along_axis(brighter, first, np.take_along_axis(brighter, first, axis=1) + 0.1, axis=1)
    change = steering_sess.run(angle, {road: brighter.reshape(roads.shape)})[:, 0] - predicted
    print(f"{modifier:>12} ({meaning}): the angles change by {change.round(2)}")

# %% [markdown]
# ## Plain, guided, rectified
#
# A `backprop_modifier` changes what ReLUs pass back: `"guided"` lets only positive gradients through, and
# only where the ReLU was active; `"rectified"` (also called `"relu"` and `"deconv"`) positive gradients
# wherever they arrive. The rules hold for a second view of the graph that shares the weights. How many ReLUs
# follow them can be asked; were there none, the call would be refused.

# %%
print(num_overridden_relus(model, -1, "guided"), "ReLUs overridden,", len(tf.global_variables()), "variables")
rules = {"plain": None, "guided": "guided", "rectified": "rectified"}
by_rule = {
    name: visualize_saliency(model, -1, y[:, None], X, backprop_modifier=rule) for name, rule in rules.items()
}
image_grid(
    [[image, *pictures] for image, *pictures in zip(raw, *map(magnitude.rgb, by_rule.values()), strict=True)],
    column_titles=["image", *rules],
)

# %% [markdown]
# The guided maps are crisp, down to the power line that no spoonbill needs. A crisp picture need not explain
# the class: compare the maps of the right class with those of a volcano, which is nowhere to be seen. A rank
# correlation of 1 means that both put the pixels in the same order.

# %%
volcano = 980
for name, rule in rules.items():
    other = visualize_saliency(model, -1, volcano, X, backprop_modifier=rule)
    correlations = [spearmanr(a, b, axis=None)[0] for a, b in zip(by_rule[name], other, strict=True)]
    print(f"{name:>9}: rank correlation with the map for {name_of(volcano)} {np.mean(correlations):.2f}")


# %% [markdown]
# A rule of your own is a function of (op, gradient); `op.outputs[0]` is the ReLU's output. This one passes on
# only those gradients whose magnitude is above the average of the image.


# %%
def strong_gradients(op, gradient):
    size = tf.abs(gradient)
    passes = (op.outputs[0] > 0) & (size > tf.reduce_mean(size, axis=[1, 2, 3], keepdims=True))
    return gradient * tf.cast(passes, gradient.dtype)


maps = visualize_saliency(model, -1, y[:, None], X, backprop_modifier=strong_gradients)
image_grid([magnitude.rgb(by_rule["plain"]), magnitude.rgb(maps)], row_labels=["plain", "strong only"])

# %% [markdown]
# ## What a convolution's filter looks at
#
# `layer_idx` may point to any layer, by index or by name, and `filter_indices` to its filters: the map shows
# which pixels move the filter's mean activation. Below are four filters of the fire module
# `features/layer11` that are much more active on the dalmatian than on the other photographs: their
# activation, and its saliency.

# %%
layer = "features/layer11"
dog = 2
tensor = model.layers[model.layer_names.index(layer)]
activation = sess.run(tensor, {model.image: preprocess_image(photographs)})
mean = activation.mean(axis=(1, 2))
filters = np.argsort(mean[chosen[dog]] / (mean.mean(axis=0) + 0.1 * mean.mean()))[::-1][:4]
maps = [visualize_saliency(model, layer, k, X[dog]) for k in filters]
image_grid(
    [
        [raw[dog], *magnitude.rgb(np.moveaxis(activation[chosen[dog]][..., filters], -1, 0))],
        [None, *magnitude.rgb(maps)],
    ],
    column_titles=["image", *(f"filter {k}" for k in filters)],
    row_labels=["activation", "saliency"],
)

# %% [markdown]
# ## Gradients with respect to an inner layer
#
# With `wrt_tensor` the gradient stops at a layer, and the map has that layer's size: at which positions the
# score depends on the feature maps. Maps become coarser on the way up; the grid in them comes from the pools
# and convolutions of stride 2.

# %%
tensors = {
    "the image": None,
    "layer 4": model.layers[4],
    "layer 7": model.layers[7],
    "layer 10": model.layers[10],
}
by_tensor = [visualize_saliency(model, -1, y[:, None], X, wrt_tensor=wrt) for wrt in tensors.values()]
image_grid(
    [[raw[i], *(magnitude.rgb(maps)[i] for maps in by_tensor)] for i in (1, 2)],
    column_titles=["image", *tensors],
)


# %% [markdown]
# ## A weighted sum of losses
#
# For everything else there is `visualize_saliency_with_losses`. A loss is something to be *minimised*:
# `ActivationMaximization` is the negative activation, so the weight -1 makes gradients positive where more of
# the pixel raises the activation. A loss of your own is a class with a `build_loss`, a function of the
# image's tensor, or a tensor: a value for each image. Two losses of one class with equal attributes are one
# loss, so that nothing is built twice.
#
# Here the negative logarithm of the class's probability, and a regulariser, the image's total variation,
# whose gradient is large at edges of any kind: alone, and weighted so that both can be seen.


# %%
class NegativeLogProbability(Loss):
    def __init__(self, scores, index):
        self.scores, self.index = scores, index

    def build_loss(self):
        return -tf.nn.log_softmax(self.scores)[:, self.index]


surprise, variation = NegativeLogProbability(model.scores, int(y[0])), TotalVariation(model.image)
sums = {
    "-log p": [(surprise, 1)],
    "total variation": [(variation, 1)],
    "-log p + 2000 total variation": [(surprise, 1), (variation, 2000)],
}
maps = [visualize_saliency_with_losses(model.image, losses, X[0], sess=sess) for losses in sums.values()]
image_grid([[raw[0], *magnitude.rgb(maps)]], titles=[["image", *sums]])

# %% [markdown]
# ## Grad-CAM
#
# `visualize_cam` takes the same arguments and asks another question: where do the feature maps of a layer
# near the end speak for the output? By default that is the nearest layer that has positions;
# `penultimate_layer_idx` takes another one. The map has the image's size.

# %%
cams = {
    "layer 15": visualize_cam(model, -1, y[:, None], X),
    "layer 12": visualize_cam(model, -1, y[:, None], X, penultimate_layer_idx="features/layer12"),
}
image_grid([raw, *(magnitude.overlay(raw, maps) for maps in cams.values())], row_labels=["image", *cams])

# %% [markdown]
# Losses can be weighed against each other here, too: on the two photographs side by side, the score of one
# class alone, of the other alone, and their difference. The map of the strawberries has some of the geese in
# it, that of the difference hardly any.

# %%
scores, features = model.layers[-1], model.layers[12]
strawberry, goose = ActivationMaximization(scores, left), ActivationMaximization(scores, right)
sums = {
    name_of(left): [(strawberry, -1)],
    name_of(right): [(goose, -1)],
    f"{name_of(left)} minus {name_of(right)}": [(strawberry, -1), (goose, 1)],
}
cams = [visualize_cam_with_losses(model.image, losses, x, features, sess=sess) for losses in sums.values()]
image_grid([[pair, *magnitude.overlay(np.stack([pair] * 3), cams)]], titles=[["image", *sums]])

# %% [markdown]
# ## Many calls
#
# What a call needs is built once for a model, a layer and a rule. Filters, classes and weights are fed, so
# new ones add nothing to the graph, and the last of many calls takes no longer than the first.

# %%
small = X[:1, ::4, ::4]


def ask(k):
    visualize_saliency(model, -1, [k, k + 1], small)
    loss = ActivationMaximization(model.layers[-1], k)
    visualize_saliency_with_losses(model.image, [(loss, -1 - k)], small, sess=sess)


ask(0)
operations, seconds = len(sess.graph.get_operations()), []
for k in range(200):
    start = time.perf_counter()
    ask(k)
    seconds.append(time.perf_counter() - start)
print("operations added to the graph:", len(sess.graph.get_operations()) - operations)
first, last = np.median(seconds[:50]), np.median(seconds[-50:])
print(f"median of the first fifty rounds {1000 * first:.0f} ms, of the last fifty {1000 * last:.0f} ms")
