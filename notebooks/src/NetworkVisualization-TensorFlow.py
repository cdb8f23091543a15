# %% [markdown]
# # What does a network look at?
#
# A network that was trained to name what is in a photograph can also be asked questions. All the questions
# in this notebook have the same form: *if this pixel were a little brighter, would the score of that class
# rise or fall, and how fast?* The answer is the gradient of a score with respect to the image. Training
# uses gradients with respect to the weights and leaves the data alone; here it is the other way round: the
# weights stay as they are, and the image is what we differentiate, and later change.
#
# You will write three functions that use this gradient:
#
# 1. **Saliency maps**: which pixels of a photograph matter for its class?
# 2. **Fooling images**: which tiny change makes the network take a dog for a snail?
# 3. **Class visualisation**: which image does the network find most tarantula-like, starting from noise?
#
# Run the cells from top to bottom with Shift+Enter. Where you meet a `TODO`, replace the line that raises
# `NotImplementedError` by your code. After each task a cell checks your function at once, and if it is not
# right says what you may have done, and shows your result beside the right one.

# %% [markdown]
# ## Setup
#
# The next two cells find the kit and import what we need. The network is written in the style of TensorFlow
# 1, which today's TensorFlow still offers as `tensorflow.compat.v1`: first a *graph* of operations is
# described, then parts of it are run. Nothing is computed while the graph is being described.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)  # no notes that this style of TensorFlow is an old one
tf.disable_v2_behavior()

from cs231n import net_visualization as library
from cs231n.checks import check_class_visualization, check_fooling_image, check_saliency_maps
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import class_names as all_class_names
from cs231n.data_utils import find_class, load_imagenet_val
from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD, blur_image, deprocess_image, preprocess_image
from cs231n.paths import checkpoint_prefix
from cs231n.plotting import plot_fooling, plot_images, plot_saliency

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## A trained network in a session
#
# SqueezeNet (Iandola et al. 2016) names photographs of ImageNet's 1000 classes about as well as AlexNet did
# in 2012, with a fiftieth of its weights. It is small enough to be run on any laptop, which is why we use
# it.
#
# A *session* runs a graph, and holds the values of its variables. We make one, and load the trained weights
# into it. The functions that you write use `sess` as a global variable.

# %%
tf.reset_default_graph()  # so that this cell can be run again
sess = tf.Session()

SAVE_PATH = checkpoint_prefix()
model = SqueezeNet(save_path=SAVE_PATH, sess=sess)

# %% [markdown]
# These parts of the model are used below:
#
# | | what it is | shape |
# |---|---|---|
# | `model.image` | placeholder: here the images are fed in | N × 224 × 224 × 3 |
# | `model.labels` | placeholder: here the labels are fed in, if what you run needs them | N |
# | `model.classifier` | the scores of all classes, *before* the softmax | N × 1000 |
#
# A placeholder has no value of its own. Whoever runs something that depends on it must say what it holds this
# time: `sess.run(model.classifier, {model.image: ...})`.

# %% [markdown]
# ## The photographs
#
# **You should see** five photographs with the names of their classes.

# %%
X_raw, y, class_names = load_imagenet_val(num=5)

plot_images(X_raw, [class_names[label].split(",")[0] for label in y])

# %% [markdown]
# ## Preprocessing
#
# A raw image has whole numbers from 0 to 255. The network was trained on numbers around 0, so from each
# channel (red, green, blue) its mean over ImageNet is subtracted, and the rest is divided by its standard
# deviation. `preprocess_image` does so, and `deprocess_image` turns the result into something to look at.
#
# **You should see** that preprocessed values lie between −2.2 and 2.7, and that the network is right about
# most of these photographs, but not about all.

# %%
X = preprocess_image(X_raw)
print(f"raw: {X_raw.dtype}, {X_raw.min()} to {X_raw.max()}")
print(f"preprocessed: {X.dtype}, {X.min():.2f} to {X.max():.2f}, shape {X.shape}")


def predict(X):
    """Return name and probability of the class that the network puts first, for each image."""
    scores = sess.run(model.classifier, {model.image: X})
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return [(class_names[p.argmax()].split(",")[0], float(p.max())) for p in probabilities]


for label, (name, probability) in zip(y, predict(X), strict=True):
    print(f"{class_names[label].split(',')[0]:15s} predicted: {name}, {probability:.0%}")

# %% [markdown]
# ## Saliency maps
#
# How much does each pixel matter for the score of the right class? Simonyan et al. (2014) answer with the
# gradient. Let $s_y(I)$ be the score of class $y$ for the image $I$. Near $I$ it is almost linear,
#
# $$ s_y(I + \Delta) \approx s_y(I) + \sum_{h,w,c} \frac{\partial s_y}{\partial I_{hwc}} \, \Delta_{hwc}, $$
#
# so the size of a derivative tells how strongly a small change of that pixel is felt. A pixel has three of
# them, one for each channel; we want a single number per pixel, and whether the score rises or falls is not
# our question. So the map takes the largest *absolute value* over the channels:
#
# $$ M_{hw} = \max_c \left| \frac{\partial s_y}{\partial I_{hwc}} \right|. $$
#
# It is the unnormalised score that is differentiated, not the probability: a probability can also rise
# because the other classes' scores fall.
#
# Two operations help.
#
# *`tf.gather_nd`* picks single entries of a tensor by their indices. For each image we want the entry of
# its own label:

# %%
scores = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])  # two images, three classes
labels = tf.constant([2, 0])
indices = tf.stack([tf.range(2), labels], axis=1)  # (row, column) pairs: (0, 2) and (1, 0)
print(sess.run(tf.gather_nd(scores, indices)))

# %% [markdown]
# *`tf.gradients(ys, xs)`* adds operations to the graph that compute the derivative of `ys` with respect to
# `xs`, and returns a list with one tensor for each of `xs`. If `ys` has several entries it differentiates
# their **sum**. That is no loss here: the score of image 1 does not depend on the pixels of image 2, so in
# the gradient of the sum each image still has its own gradient.

# %% [markdown]
# ### Task 1
#
# Write all of the function. It gets preprocessed images and labels as NumPy arrays, and returns a NumPy
# array.


# %%
def compute_saliency_maps(X, y, model):
    """Return the saliency map of each image for its label.

    Parameters
    ----------
    X : ndarray of float32, shape (N, H, W, 3)
        Preprocessed images.
    y : ndarray of int, shape (N,)
        Labels.
    model : SqueezeNet

    Returns
    -------
    ndarray of float32, shape (N, H, W)
    """
    saliency = None
    ### BEGIN SOLUTION Task 1: saliency maps
    #: Step 1: pick each image's score of its own label out of model.classifier with tf.gather_nd.
    #:         The labels are in the placeholder model.labels; there are tf.shape(model.labels)[0] of them.
    #: Step 2: tf.gradients leads from these scores back to model.image.
    #: Step 3: run it in sess, and feed both placeholders.
    #: Step 4: absolute value first, then the maximum over the channels (the last axis).
    rows = tf.range(tf.shape(model.labels)[0])
    label_scores = tf.gather_nd(model.classifier, tf.stack([rows, model.labels], axis=1))
    (gradient,) = tf.gradients(label_scores, model.image)
    saliency = np.abs(sess.run(gradient, {model.image: X, model.labels: y})).max(axis=-1)
    ### END SOLUTION
    return saliency


# %%
check_saliency_maps(compute_saliency_maps)

# %% [markdown]
# **You should see** photographs above and maps below, bright where a pixel matters. It is clearest for the
# dog: the network looks at its head, and the grass and the man leave it cold. For the others the bright
# spots are scattered over the things that the class is named after, and beyond. Expect clouds of dots, not
# drawings; how to get clearer maps is a subject of its own.

# %%
plot_saliency(X_raw, compute_saliency_maps(X, y, model), [class_names[label] for label in y], predict(X))

# %% [markdown]
# ### Why `tf.gradients` belongs outside the function
#
# A graph only ever grows. `tf.gradients` adds the whole way back through the network to it, and your
# function calls it anew each time it is called, though the operations are the same as before. Let us count.


# %%
def count_operations():
    """Return how many operations the session's graph has."""
    return len(sess.graph.get_operations())


for call in range(3):
    before = count_operations()
    compute_saliency_maps(X[:1], y[:1], model)
    print(f"call {call + 1}: {before} operations before, {count_operations() - before} more after")

# %% [markdown]
# Each call leaves hundreds of operations behind, and when a graph has changed, the session must prepare it
# again before it can run it: in a loop over a thousand images, each call is slower than the last, until the
# memory is full. The way out is to **describe once and run often**: build the gradient outside, and keep
# the tensor.

# %%
rows = tf.range(tf.shape(model.labels)[0])
label_scores = tf.gather_nd(model.classifier, tf.stack([rows, model.labels], axis=1))
(label_gradient,) = tf.gradients(label_scores, model.image)

before = count_operations()
for i in range(len(X)):
    sess.run(label_gradient, {model.image: X[i : i + 1], model.labels: y[i : i + 1]})
print(f"{len(X)} runs: {count_operations() - before} operations more")

# %% [markdown]
# The library's `compute_saliency_maps` does this for you: it builds the gradient at its first call for a
# model and finds it again at every later one. In your own function a few calls do no harm, so you may leave
# it as it is. In the next task, mind the difference: build before the loop, run inside.
#
# ### Questions
#
# 1. A friend leaves out the absolute value and takes the maximum of the gradient over the channels. Which
#    pixels are dark in this map that are bright in yours?
#
# ### BEGIN SOLUTION
# *Those where a brighter pixel makes the score fall in all three channels. They matter just as much, but
# their derivatives are negative, so that the maximum is a number below zero.*
# ### END SOLUTION
#
# 2. The map of a photograph that the network gets wrong is made for the right label, not for the one the
#    network prefers. What question does each of the two maps answer?
#
# ### BEGIN SOLUTION
# *The first: what in this image speaks for, or against, the right class? The second: what made the network
# say what it says? To find the cause of an error, look at both.*
# ### END SOLUTION
#
# 3. Does a bright pixel mean that the network needed it to recognise the class?
#
# ### BEGIN SOLUTION
# *No. The derivative tells what a very small change would do. If the score is already flat there, removing
# the pixel altogether may change much though its derivative is zero, and the other way round.*
# ### END SOLUTION

# %% [markdown]
# ## Fooling images
#
# The gradient also tells how to change an image so that a score rises. Szegedy et al. (2014) found that the
# change needed to make a network see something else entirely is so small that people do not notice it.
#
# Take an image and a *target* class that it does not show. Go uphill on the target's score $s_t$ until it
# is the highest of all:
#
# $$ I \leftarrow I + \eta \, \frac{g}{\lVert g \rVert_2}, \qquad g = \frac{\partial s_t}{\partial I}, $$
#
# with the step's length $\eta$ as the learning rate. Dividing by the norm makes every step equally long,
# whether the gradient is steep or flat.
#
# ### Task 2
#
# Write the ascent. It should take fewer than a hundred steps for most images and targets; let the loop end
# after a hundred all the same, because a loop without an end is a bad surprise.


# %%
def make_fooling_image(X, target_y, model):
    """Return an image close to X that the network takes for the target class.

    Parameters
    ----------
    X : ndarray of float32, shape (1, 224, 224, 3)
        A preprocessed image. It must not be changed.
    target_y : int
        The target class.
    model : SqueezeNet

    Returns
    -------
    ndarray of float32, shape (1, 224, 224, 3)
    """
    X_fooling = X.copy()
    learning_rate = 1
    ### BEGIN SOLUTION Task 2: fooling images
    #: Step 1: before the loop, build the gradient of the target's score, model.classifier[0, target_y].
    #: Step 2: in each of at most 100 iterations, run the scores and the gradient in one sess.run.
    #: Step 3: if the highest score is the target's, stop. np.argmax helps.
    #: Step 4: else make a step of length learning_rate. Change X_fooling, not X. np.linalg.norm helps.
    #: Print the iteration and the target's score as you go, to see it rise.
    (gradient,) = tf.gradients(model.classifier[0, target_y], model.image)
    for i in range(100):
        scores, g = sess.run([model.classifier, gradient], {model.image: X_fooling})
        print(f"step {i}: score {scores[0, target_y]:.1f}, highest {scores[0].max():.1f}")
        if scores[0].argmax() == target_y:
            break
        X_fooling += learning_rate * g / np.linalg.norm(g)
    ### END SOLUTION
    return X_fooling


# %% [markdown]
# **You should see** the score rise by about five with each step, and the dog become a snail after a handful
# of them.

# %%
target_y = find_class("snail")
X_fooling = make_fooling_image(X[:1], target_y, model)

# %%
check_fooling_image(make_fooling_image)

# %% [markdown]
# **You should see** two photographs that look the same. Their difference is grey, which means zero, almost
# everywhere. Ten times as strong it shows as coloured noise, densest on the dog's head.

# %%
plot_fooling(X[:1], X_fooling, predict(X[:1]), predict(X_fooling))

# %% [markdown]
# ### Questions
#
# 1. A photograph is saved with whole numbers from 0 to 255. Does the fooling image survive being saved? Run
#    this:

# %%
print("before:", predict(X_fooling)[0])
print("after: ", predict(preprocess_image(deprocess_image(X_fooling)))[0])

# %% [markdown]
# ### BEGIN SOLUTION
# *Here it does, with a lower probability: rounding changes each pixel by up to half a level and in no
# particular direction, so that most of it cancels out in the score, and the change that we made does not.*
# ### END SOLUTION
#
# 2. The change of each pixel is tiny. Why is its effect on the score so large? Think of a linear score $w
#    \cdot I$ in 150,528 dimensions (Goodfellow et al. 2015).
#
# ### BEGIN SOLUTION
# *Each pixel moves in the direction that raises the score, so all the small effects add up instead of
# cancelling. With n dimensions of equal weight, a change of length ε raises the score by ε · √n times one
# weight, though each pixel moves by only ε / √n.*
# ### END SOLUTION
#
# 3. Is the snail now in the image in a way that a person could find?
#
# ### BEGIN SOLUTION
# *No: the difference looks like noise, even magnified. What makes the network say "snail" need not look
# like one.*
# ### END SOLUTION

# %% [markdown]
# ## Class visualisation
#
# If a few steps suffice to raise a score, what comes out if we go on, and start from noise instead of a
# photograph? Simonyan et al. (2014) look for the image
#
# $$ I^* = \arg\max_I \; s_y(I) - \lambda \lVert I \rVert_2^2, $$
#
# the one that excites class $y$ most, with a penalty that keeps it from becoming ever more glaring.
# Gradient ascent alone gives pictures full of high frequencies, like the fooling image's noise. What makes
# them readable are *implicit* regularisers, small disturbances that only coarse structures survive:
# Yosinski et al. (2015) blur the image now and then, and moving it by a few pixels at random before each
# step (*jitter*) keeps the pattern from fitting one place only. Pixels that leave the range from black to
# white are clipped.
#
# ### Task 3
#
# Start, jitter, clipping, blur and display are given. You write the objective and its gradient (3a), and
# the step (3b), this time plain: the learning rate times the gradient, not divided by its norm. Take the
# squared norm as it is, without a factor of one half.


# %%
def show(X, title):
    """Show a preprocessed image."""
    figure = plt.figure(figsize=(3, 3.3))
    plt.imshow(deprocess_image(X[0]))
    plt.title(title, fontsize=9)
    plt.axis("off")
    plt.show()
    plt.close(figure)


def create_class_visualization(target_y, model, **kwargs):
    """Return an image that raises the score of a class, by ascent from noise.

    Parameters
    ----------
    target_y : int
        The class.
    model : SqueezeNet
    l2_reg : float
        Weight of the penalty.
    learning_rate : float
        Factor of the gradient in each step.
    num_iterations : int
        Number of steps.
    blur_every : int
        Iterations from one blur to the next.
    max_jitter : int
        Largest move along each axis, in pixels.
    show_every : int
        Iterations from one display to the next.

    Returns
    -------
    ndarray of float32, shape (1, 224, 224, 3)
    """
    l2_reg = kwargs.pop("l2_reg", 1e-3)
    learning_rate = kwargs.pop("learning_rate", 25)
    num_iterations = kwargs.pop("num_iterations", 100)
    blur_every = kwargs.pop("blur_every", 10)
    max_jitter = kwargs.pop("max_jitter", 16)
    show_every = kwargs.pop("show_every", 25)

    X = preprocess_image(255 * np.random.rand(224, 224, 3))[None]
    black, white = (0 - SQUEEZENET_MEAN) / SQUEEZENET_STD, (1 - SQUEEZENET_MEAN) / SQUEEZENET_STD

    objective = None  # the score less the penalty: a scalar tensor
    gradient = None  # its gradient with respect to the image
    ### BEGIN SOLUTION Task 3a: objective and gradient of the class visualisation
    #: Hint: the image as a tensor is model.image; tf.reduce_sum adds up all entries of a tensor.
    objective = model.classifier[0, target_y] - l2_reg * tf.reduce_sum(model.image**2)
    (gradient,) = tf.gradients(objective, model.image)
    ### END SOLUTION

    for t in range(num_iterations):
        down, right = np.random.randint(-max_jitter, max_jitter + 1, 2)
        X = np.roll(X, (down, right), axis=(1, 2))
        ### BEGIN SOLUTION Task 3b: step of the class visualisation
        #: Hint: run the gradient for the present X, and go uphill.
        X = X + learning_rate * sess.run(gradient, {model.image: X})
        ### END SOLUTION
        X = np.roll(X, (-down, -right), axis=(1, 2))
        X = np.clip(X, black, white)
        if t % blur_every == 0:
            X = blur_image(X, sigma=0.5)
        if t == 0 or (t + 1) % show_every == 0 or t == num_iterations - 1:
            show(X, f"{all_class_names()[target_y].split(',')[0]}, iteration {t + 1}")
    return X


# %% [markdown]
# Start and jitter are random, but seeding NumPy makes them repeatable, so that your function can be checked.

# %%
check_class_visualization(create_class_visualization)

# %% [markdown]
# **You should see** noise turn into dark bodies with legs, several of them, in different places and sizes.
# The colours are off, and nothing looks like a photograph.

# %%
np.random.seed(0)
X_class = create_class_visualization(find_class("tarantula"), model)

# %% [markdown]
# Try other classes. The ones that differ in texture or have one telling part work best. The library's
# function does the same as yours; stop it early (the square button above) and it returns the best image so
# far.

# %%
names = ["Yorkshire terrier", "oboe", "tick", "gorilla"]
pictures = [library.create_class_visualization(find_class(name), model, seed=0)[0] for name in names]
plot_images(deprocess_image(np.stack(pictures)), names)

# %% [markdown]
# ### What the regularisers do
#
# Here each of them is left out in turn (the blur is made stronger instead, which shows its effect better),
# and then all of them.

# %%
variants = {
    "all regularisers": {},
    "no penalty": {"l2_reg": 0},
    "blur every time": {"blur_every": 1},
    "no jitter": {"max_jitter": 0},
    "none of them": {"l2_reg": 0, "blur_every": 1000, "max_jitter": 0},
}
pictures = [
    library.create_class_visualization(find_class("tarantula"), model, seed=0, **variant)[0]
    for variant in variants.values()
]
plot_images(deprocess_image(np.stack(pictures)), list(variants))

# %% [markdown]
# ### Questions
#
# 1. What does each regulariser contribute?
#
# ### BEGIN SOLUTION
# *Without the penalty the whole image fills with glaring patterns, up to its edges. Blurring after every
# step leaves fewer and coarser shapes on a calm ground. Without jitter the patterns are finer, and some
# cling to the edges. Without any of them the spiders drown in high frequencies.*
# ### END SOLUTION
#
# 2. Why are there several spiders and not one?
#
# ### BEGIN SOLUTION
# *The score is the mean over all positions of the last layer, so each place in the image that looks like a
# spider adds to it. Nothing tells the network that there is only one.*
# ### END SOLUTION
#
# 3. A fooling image and a class visualisation come from the same gradient. What makes one look like noise,
#    the other like a spider?
#
# ### BEGIN SOLUTION
# *The number and length of the steps, and the regularisers: a few short steps use whatever the network
# reacts to, above all fine noise; over many long ones only what survives blur, jitter and clipping can
# build up.*
# ### END SOLUTION

# %% [markdown]
# ## Where the ideas come from
#
# - Karen Simonyan, Andrea Vedaldi, Andrew Zisserman: *Deep Inside Convolutional Networks: Visualising Image
#   Classification Models and Saliency Maps.* ICLR workshop 2014.
# - Christian Szegedy et al.: *Intriguing Properties of Neural Networks.* ICLR 2014.
# - Ian Goodfellow, Jonathon Shlens, Christian Szegedy: *Explaining and Harnessing Adversarial Examples.*
#   ICLR 2015.
# - Jason Yosinski et al.: *Understanding Neural Networks Through Deep Visualization.* ICML workshop on deep
#   learning 2015.
# - Forrest Iandola et al.: *SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
#   size.* 2016.
