# %% [markdown]
# # Beyond saliency: attribution methods, and whether to believe them
#
# A saliency map is the gradient of a class's score with respect to the image. It is honest and noisy: it says
# how the score would change if single pixels changed by a little, and nothing else. Since 2014 people have
# proposed many maps that look better. In this notebook you write three of them, see all of them side by
# side, and then do what is often left out: you *test* them. A map that looks right need not be right, for
# the eye likes edges and objects, and a method can show these without ever asking the network.
#
# You will need what the first notebook taught: scores, gradients, sessions. After each of the first three
# tasks a cell checks your function, and if it is not right says what you may have done.
#
# 1. **SmoothGrad**: average the gradient over noisy copies of the image.
# 2. **Integrated gradients**: add up the gradient on the way from a grey image to yours, and check the sum.
# 3. **Guided backpropagation**: change what passes back through a ReLU.
# 4. **The randomisation test**: which of these maps notice when the network forgets all it has learnt?

# %%
import functools
import io

import numpy as np
import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)  # no notes that this style of TensorFlow is old
tf.disable_v2_behavior()

from IPython.display import Image

from cs231n import attribution, evaluation, plotting
from cs231n.attribution import saliency_map
from cs231n.checks import (
    check_completeness_error,
    check_guided_rule,
    check_integrated_gradients,
    check_rank_correlation,
    check_smoothgrad,
)
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val
from cs231n.gradients import image_gradient
from cs231n.image_utils import preprocess_image
from cs231n.paths import checkpoint_prefix

tf.reset_default_graph()
sess = tf.Session()
model = SqueezeNet(save_path=checkpoint_prefix(), sess=sess)

X_raw, y, class_names = load_imagenet_val(num=5)
X = preprocess_image(X_raw)
names = [class_names[label] for label in y]


def as_jpeg(figure, size=112):
    """Return a figure of images as a JPEG, each so many pixels wide; as PNG, maps full of noise are huge."""
    inches = figure.axes[0].get_position().width * figure.get_figwidth()
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=size / inches, pil_kwargs={"quality": 80})
    return Image(file.getvalue(), format="jpeg")


def show(images=slice(None), size=112, **maps):
    """Show the maps of several methods beside the images they explain."""
    chosen = {name: one[images] for name, one in maps.items()}
    return as_jpeg(plotting.plot_methods(X_raw[images], chosen, names[images]), size)


# %% [markdown]
# ## What is wrong with the gradient
#
# Here are the saliency maps once more. `score_gradient(X, y, model)` returns the signed gradient of the
# label's score, of shape (N, H, W, 3): what the first notebook reduced to a map. Its graph is built once, here;
# your functions call it. `saliency_map` takes the largest magnitude over the channels.
#
# You should see specks that gather on the object but lie everywhere, as if someone had spilt salt.

# %%
label_scores = tf.gather_nd(
    model.classifier, tf.stack([tf.range(tf.shape(model.labels)[0]), model.labels], axis=1)
)
(score_gradient_tensor,) = tf.gradients(label_scores, model.image)


def score_gradient(X, y, model):
    """Return the gradient of the labels' scores with respect to the images, shape (N, H, W, 3)."""
    return sess.run(score_gradient_tensor, {model.image: X, model.labels: y})


gradient = saliency_map(score_gradient(X, y, model))
as_jpeg(plotting.plot_saliency(X_raw, gradient, names))

# %% [markdown]
# How could one say in a number that a map is "on the object"? Below are boxes around the objects, drawn by
# hand. If a fraction *a* of the picture is inside the boxes and a fraction *m* of the map, *m / a* says how
# many times denser the map is there: 1 for a map that knows nothing about the object.

# %%
boxes = [
    [(51, 25, 136, 200)],
    [(60, 77, 155, 220), (0, 93, 70, 185), (155, 75, 224, 210), (0, 5, 224, 74)],
    [(80, 110, 142, 214), (162, 117, 222, 216)],
    [(17, 58, 110, 161), (88, 93, 193, 224)],
    [
        (86, 11, 137, 63),
        (165, 59, 215, 109),
        (95, 75, 137, 118),
        (45, 85, 86, 125),
        (2, 80, 42, 117),
        (29, 126, 65, 172),
        (73, 130, 112, 163),
        (142, 117, 178, 152),
        (90, 182, 125, 216),
    ],
]
on_object = np.zeros(X.shape[:3], bool)
for inside, image_boxes in zip(on_object, boxes, strict=True):
    for left, top, right, bottom in image_boxes:
        inside[top:bottom, left:right] = True


def density(maps):
    """Return how many times denser the maps are on the objects than on the whole picture, on average."""
    return np.mean(
        [m[inside].sum() / m.sum() / inside.mean() for m, inside in zip(maps, on_object, strict=True)]
    )


print(f"gradient: {density(gradient):.2f} times denser on the objects")


# %% [markdown]
# ## Task 1: SmoothGrad
#
# The network's score is a function with millions of tiny kinks, one where each ReLU switches, and its
# gradient jumps at every one. Smilkov et al. (2017) average over the neighbourhood: add noise to the image,
# again and again, and take the mean of the gradients,
#
# $$\frac{1}{n} \sum_{k=1}^{n} \frac{\partial F}{\partial x}\,(x + \sigma \varepsilon_k), \qquad
#   \varepsilon_k \sim N(0, 1), \qquad \sigma = \text{level} \cdot (\max x - \min x).$$
#
# σ is each image's own. The noise ε is given, so that everybody gets the same result; it has the shape
# (n, H, W, 3), and all images get the same draws.


# %%
def smoothgrad(X, y, epsilon, model, level=0.15):
    """Return the mean gradient over noisy copies of each image, shape (N, H, W, 3)."""
    mean = np.zeros_like(X)
    ### BEGIN SOLUTION Task 1: SmoothGrad
    #: Hint: one σ per image; with keepdims=True the maximum keeps a shape that fits X.
    #: Hint: score_gradient(images, y, model) is the gradient at any images.
    sigma = level * (X.max(axis=(1, 2, 3), keepdims=True) - X.min(axis=(1, 2, 3), keepdims=True))
    for draw in epsilon:
        mean += score_gradient(X + sigma * draw, y, model) / len(epsilon)
    ### END SOLUTION
    return mean


# %%
check_smoothgrad(smoothgrad)

# %% [markdown]
# Many of the specks are gone, and shapes come out: the strawberries, the outlines of the conkers. The fine
# grid that stays is the network's own: its first convolution and its first pool both go in steps of two
# pixels, so every fourth pixel is in a like position.

# %%
epsilon = np.random.default_rng(0).standard_normal((25, *X.shape[1:]), dtype=np.float32)
smooth = saliency_map(smoothgrad(X, y, epsilon, model))
show(slice(3, None), size=224, gradient=gradient, smoothgrad=smooth)

# %% [markdown]
# Cleaner to the eye; is there a number for it? If specks are chance, noise that nobody can see, one per cent
# of the image's range, must scatter them anew. So compute each map again for such an image, and correlate it
# with the first one. (`evaluation.rank_correlation` is explained in Task 4; 1 means the same map, 0 nothing
# in common.)

# %%
spread = X.max(axis=(1, 2, 3), keepdims=True) - X.min(axis=(1, 2, 3), keepdims=True)
X_noisy = X + 0.01 * spread * np.random.default_rng(9).standard_normal(X.shape, dtype=np.float32)
gradient_again = saliency_map(score_gradient(X_noisy, y, model))
smooth_again = saliency_map(smoothgrad(X_noisy, y, epsilon, model))
print(f"gradient:   {evaluation.rank_correlation(gradient, gradient_again).mean():.2f}")
print(f"SmoothGrad: {evaluation.rank_correlation(smooth, smooth_again).mean():.2f}")


# %% [markdown]
# ## Task 2: integrated gradients, and a test that they pass
#
# The gradient of a strong response may be zero: once the network is sure, one more bit of fur changes
# nothing. Sundararajan et al. (2017) therefore add up the gradient on the whole way from a *baseline* b,
# an image without anything in it, to the image x:
#
# $$(x - b) \cdot \int_0^1 \frac{\partial F}{\partial x}\,\bigl(b + t\,(x - b)\bigr)\,dt
#   \;\approx\; (x - b) \cdot
#   \frac{1}{n} \sum_{k=1}^{n} \frac{\partial F}{\partial x}\,\bigl(b + \tfrac{k}{n} (x - b)\bigr).$$
#
# This has a property that few methods have, *completeness*: by the fundamental theorem of calculus the
# attributions of all pixels add up to F(x) − F(b). Nothing is lost and nothing is invented, and you can
# check it.


# %%
def integrated_gradients(X, y, baseline, model, steps=50):
    """Return what each value of each image adds to the score on the way from the baseline, (N, H, W, 3)."""
    attributions = np.zeros_like(X)
    ### BEGIN SOLUTION Task 2: integrated gradients
    #: Hint: in step k of 1 ... n the image is a mixture of the baseline and X.
    #: Hint: what stands before the sum in the formula?
    for k in range(1, steps + 1):
        point = baseline + k / steps * (X - baseline)
        attributions += score_gradient(point, y, model) / steps
    attributions *= X - baseline
    ### END SOLUTION
    return attributions


# %%
check_integrated_gradients(integrated_gradients)

# %% [markdown]
# Now the completeness test. How far is the sum of an image's attributions from F(x) − F(b), in percent of
# that?


# %%
def completeness_error(attributions, X, y, baseline, model):
    """Return by how many percent each image's attributions miss the difference of the scores, shape (N,)."""
    error = None
    ### BEGIN SOLUTION Task 2b: completeness
    #: Hint: model.compute_scores(X) returns the scores of all classes, (N, 1000).
    rows = np.arange(len(X))
    gain = model.compute_scores(X)[rows, y] - model.compute_scores(baseline)[rows, y]
    missing = attributions.sum(axis=(1, 2, 3)) - gain
    error = 100 * np.abs(missing / gain)
    ### END SOLUTION
    return error


# %%
check_completeness_error(completeness_error)

# %% [markdown]
# Here is the worst of the five photographs. More steps bring the sum closer to the integral. So do better
# places for the steps: almost all of the score is gained while the contrast is still low, and
# `attribution.integrated_gradients` puts its points there.


# %%
def worst_error(attributions):
    """Return the largest of the photographs' completeness errors, in percent."""
    return completeness_error(attributions, X, y, baseline, model).max()


baseline = np.zeros_like(X)  # zero is ImageNet's mean colour, a grey
integrated = integrated_gradients(X, y, baseline, model)
few = integrated_gradients(X, y, baseline, model, steps=5)
print(f" 5 steps, equal:       {worst_error(few):6.2f} %")
print(f"50 steps, equal:       {worst_error(integrated):6.2f} %")
better = attribution.integrated_gradients(X, y, model, steps=50)
print(f"50 steps, well placed: {worst_error(better):6.2f} %")
print(f"gradient times input:  {worst_error(X * score_gradient(X, y, model)):6.2f} %")

# %% [markdown]
# The last line is the same formula with a single step, at the image itself: complete it is not. But mind what
# completeness says and what it does not. That a sum is right does not say that its parts are; and it is
# about the way from a *grey* image: with another baseline other pixels get the credit. What would a black
# baseline say about a black beetle?
#
# ### BEGIN SOLUTION
# Nothing: x − b is zero wherever the image has the baseline's colour, so a black beetle on white paper would
# get no attribution, and the paper all of it.
# ### END SOLUTION

# %% [markdown]
# ## Task 3: guided backpropagation
#
# The third idea (Springenberg et al. 2015) bends the gradient itself. Backwards through a ReLU with input z,
# the gradient passes where z was positive. *Guided* backpropagation also drops every negative gradient that
# arrives, so that only positive influence on positive activations is followed. That is no longer the
# gradient of anything. The deconvnet (Zeiler & Fergus 2014) drops the negative gradients, but ignores z.
#
# You write the rule: a function of the ReLU's operation in the graph and of the gradient that arrives at its
# output. `op.outputs[0]` is the ReLU's output. `image_gradient` puts the rule in the place of TensorFlow's
# own, in a second view of the graph.


# %%
def guided_rule(op, gradient):
    """Return what guided backpropagation lets through a ReLU: a tensor of the shape of `gradient`."""
    passed = None
    ### BEGIN SOLUTION Task 3: guided backpropagation
    #: Hint: two conditions, each a tensor of zeros and ones: tf.cast(... > 0, tf.float32).
    active = tf.cast(op.outputs[0] > 0, tf.float32)
    positive = tf.cast(gradient > 0, tf.float32)
    passed = gradient * active * positive
    ### END SOLUTION
    return passed


def guided_backprop(X, y, model):
    """Return the gradient of the labels' scores with `guided_rule` at each ReLU, shape (N, H, W, 3)."""
    return image_gradient(model, relu_rule=guided_rule)(X, y, sess=sess)


# %%
check_guided_rule(guided_rule)

# %% [markdown]
# This is the picture that made people fall in love with such maps: crisp outlines, clean ground.

# %%
guided = saliency_map(guided_backprop(X, y, model))
integrated = saliency_map(integrated)


def concentration(maps):
    """Return the share of the maps that is in the strongest twentieth of their pixels, on average."""
    ordered = np.sort(maps.reshape(len(maps), -1), axis=1)
    strongest = ordered[:, -ordered.shape[1] // 20 :]
    return np.mean(strongest.sum(axis=1) / ordered.sum(axis=1))


for name, maps in {"gradient": gradient, "SmoothGrad": smooth, "guided": guided}.items():
    print(f"{name:10}  {concentration(maps):4.0%} of it in a twentieth of the pixels")
show(
    slice(3, None),
    size=224,
    gradient=gradient,
    smoothgrad=smooth,
    integrated_gradients=integrated,
    guided_backprop=guided,
)

# %% [markdown]
# ## And the others
#
# Grad-CAM (Selvaraju et al. 2017) does not go back to the image at all. It stops at the last feature layer,
# 13 × 13 positions, and adds up its channels by how much each raises the score: coarse, but on the object.
# Occlusion needs no gradient: it covers the image with a grey square, place after place, and watches the
# score fall.

# %%
grad_cam = attribution.grad_cam(X, y, model)
everything = {
    "gradient": gradient,
    "smoothgrad": smooth,
    "integrated_gradients": integrated,
    "guided_backprop": guided,
    "deconvnet": saliency_map(attribution.deconvnet(X, y, model)),
    "grad_cam": grad_cam,
    "occlusion": saliency_map(attribution.occlusion(X, y, model), "positive"),
    "edge_detector": evaluation.edge_detector(X),
}
for name, maps in everything.items():
    hits = evaluation.pointing_game(maps, boxes, tolerance=0)
    print(f"{name:20}  {density(maps):.2f} times denser on the objects; strongest pixel: {hits.sum()} of 5")
show(**everything)

# %% [markdown]
# Look at the last column. It is an edge detector, sixty years old, that has never heard of dogs. Beside the
# others it does not look out of place; and it is denser on the objects than chance, for objects have edges.

# %% [markdown]
# ## Task 4: which of them survive the randomisation test?
#
# Adebayo et al. (2018) had a simple idea. Give the network new random weights, from the top down: first the
# classifier, then the layer below as well, until nothing of what it learnt is left. A map that shows what
# the network has learnt must change. A map that stays the same was about the image all along.
#
# To say how like two maps are, take Spearman's *rank correlation*: replace each pixel by its rank among the
# map's pixels, and correlate the ranks. It does not care about scale or contrast.

# %%
from scipy.stats import rankdata


def rank_correlation(a, b):
    """Return the rank correlation between two maps, (H, W) each: from -1 to 1."""
    correlation = None
    ### BEGIN SOLUTION Task 4: rank correlation
    #: Hint: rankdata(a.ravel()) are the ranks of all pixels; np.corrcoef correlates.
    correlation = np.corrcoef(rankdata(a), rankdata(b))[0, 1]
    ### END SOLUTION
    return correlation


# %%
check_rank_correlation(rank_correlation)

# %%
print("gradient and SmoothGrad:  ", round(rank_correlation(gradient[0], smooth[0]), 3))
print("the same, by the library: ", evaluation.rank_correlation(gradient, smooth)[0].round(3))

# %% [markdown]
# Before you run the next cell, write down what you expect. Which of gradient, SmoothGrad, integrated
# gradients, guided backpropagation, deconvnet and Grad-CAM will change most when the classifier forgets,
# which least?

# %%
candidates = {
    "gradient": attribution.gradient,
    "smoothgrad": functools.partial(attribution.smoothgrad, samples=10),
    "integrated_gradients": functools.partial(attribution.integrated_gradients, steps=10),
    "guided_backprop": attribution.guided_backprop,
    "deconvnet": attribution.deconvnet,
    "grad_cam": attribution.grad_cam,
    "edge_detector": evaluation.edge_detector,
}
stages = ["classifier/layer1", *(f"features/layer{k}" for k in (12, 10, 7, 4, 0))]
results = {
    name: evaluation.randomization_test(X, y, model, method, layers=stages)
    for name, method in candidates.items()
}

# %% [markdown]
# One photograph: on the left the trained network's maps, then more and more of it is forgotten, until in the
# last column all weights are random.

# %%
scale = plotting.ColorScale()
figure = plotting.image_grid(
    [scale.rgb(np.stack([result.original[0], *result.maps[:, 0]])) for result in results.values()],
    row_labels=[name.replace("_", " ") for name in results],
    column_titles=["trained", *(f"down to {stage}" for stage in stages)],
)
as_jpeg(figure)

# %% [markdown]
# And all five: the rank correlation with the trained network's map. (Where a randomised network gives the
# label a score of zero, whatever the image, there is nothing to explain; such images are left out.)

# %%
curves = {name: np.nanmean(result.rank_correlation, axis=1) for name, result in results.items()}
for name, curve in curves.items():
    print(f"{name:20} ", "  ".join(f"{value:5.2f}" for value in curve))
plotting.plot_lines(
    stages,
    curves,
    x_label="randomised from the classifier down to",
    y_label="rank correlation",
    y_range=(-0.2, 1.05),
)

# %%
print(
    f"The classifier and the layer below are random. Guided backprop still agrees with itself to "
    f"{curves['guided_backprop'][1]:.2f}, the deconvnet to {curves['deconvnet'][1]:.2f};"
)
print(
    f"the gradient only to {curves['gradient'][1]:.2f}, SmoothGrad to {curves['smoothgrad'][1]:.2f}, "
    f"Grad-CAM to {curves['grad_cam'][1]:.2f}."
)

# %% [markdown]
# Guided backpropagation and the deconvnet barely move while the upper layers forget which class is which:
# the crispest picture of all is for the most part a picture of the *image*, sharpened by the lower layers,
# and moves only as these forget as well. Grad-CAM, the coarsest, changes at once. Beautiful and true are
# different things.
#
# Why do guided backpropagation and the deconvnet behave so? Think of what happens to the signs on the way
# back.
#
# ### BEGIN SOLUTION
# With negative gradients dropped at every ReLU, what goes down is a sum of positive terms, and it hardly
# matters which units it started from: after a few layers the same strongly active units win, whatever the
# class. They are those on edges and textures. (Nie et al. 2018 show that both methods come close to
# recovering the image.)
# ### END SOLUTION

# %% [markdown]
# ## A second test: deletion and insertion
#
# Does the network itself agree that these pixels matter? Turn pixels grey, those highest in the map first,
# and watch the label's probability fall (*deletion*: a small area under the curve is good). Or give a
# blurred image its sharp pixels back (*insertion*: a large area is good; Petsiuk et al. 2018). A random
# order shows what any map could do.

# %%
ranked = {
    name: everything[name]
    for name in ("gradient", "smoothgrad", "guided_backprop", "grad_cam", "edge_detector")
}
ranked["random_order"] = np.random.default_rng(0).random(gradient.shape)
deletion, insertion = (
    {name: compute(X, y, maps, model, steps=40) for name, maps in ranked.items()}
    for compute in (evaluation.deletion_curve, evaluation.insertion_curve)
)
for name in ranked:
    print(
        f"{name:16}  deletion {deletion[name].areas.mean():.3f}  insertion {insertion[name].areas.mean():.3f}"
    )
plotting.plot_lines(
    insertion["gradient"].fractions,
    {name: curve.probabilities.mean(axis=0) for name, curve in insertion.items()},
    x_label="pixels given back",
    y_label="the label's probability",
)

# %% [markdown]
# The edge detector, which knows nothing, does as well at insertion as the best: the sharp edges come back
# first, and edges on a blurred ground are what this network recognises things by. At deletion it is worse
# than chance. So the test has a taste of its own, and one test is not enough. (`docs/methods.md` has the
# results of all tests for all methods, on twenty photographs.)
#
# ## What to keep
#
# - A map answers one question, and each method another one: what would change the score by a little
#   (gradient), what made up the score on the way from grey (integrated gradients), where the evidence lies
#   (Grad-CAM), what the score loses (occlusion). Name the question before you show the picture.
# - Look at the control, too. What the edge detector does as well is no evidence of understanding.
# - No test here proves a map right. Each can prove one wrong, and guided backpropagation, which looks best,
#   fails the most telling one.
#
# Which method would you show to a doctor who asks why a network calls a shadow a tumour, and what would you
# say along with it?
#
# ### BEGIN SOLUTION
# One that passed the randomisation test on this very network, say Grad-CAM or SmoothGrad, together with the
# same map for the runner-up class and for a network with random weights; and the sentence that it shows
# where the network looked, not that it looked for the right reason.
# ### END SOLUTION
