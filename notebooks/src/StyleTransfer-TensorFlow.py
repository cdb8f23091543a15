# %% [markdown]
# # Style transfer
#
# In the other notebook you changed an image until one score rose. Here you change an image until its
# *features* become those that you want: the content of one picture, the style of another. The tool is the
# same, the gradient of a number with respect to the pixels. Only the number is new.
#
# The method is from Gatys, Ecker and Bethge, *Image Style Transfer Using Convolutional Neural Networks*
# (CVPR 2016). They used VGG; SqueezeNet does it as well and is quick enough for a laptop without a GPU.
#
# You will write four functions, each a line or two of TensorFlow:
#
# 1. the **content loss**: do the features stay where they were?
# 2. the **Gram matrix**: which features occur together, wherever that is?
# 3. the **style loss**: do the Gram matrices agree?
# 4. the **total variation**: is the image smooth?
#
# Everything else is given. Once the four are right, you get three pictures in three styles, an image
# recovered from nothing but its features, and a texture made from nothing but a style.

# %% [markdown]
# ## Setup
#
# Run the cells from top to bottom with Shift+Enter. Where you meet a `TODO`, replace the line that raises
# `NotImplementedError` by your code. After each task a cell checks your function at once, and if it is not
# right says what you may have done. The check calls your function with tensors of several sizes.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)  # no notes that this style of TensorFlow is old
tf.disable_v2_behavior()

from cs231n.checks import check_content_loss, check_gram_matrix, check_style_loss, check_tv_loss
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.image_utils import deprocess_image, preprocess_image, resize_shorter_side
from cs231n.paths import checkpoint_prefix
from cs231n.sample_pictures import hopper, shapes, swirls, waves
from cs231n.style_transfer import Adam

# %matplotlib inline
# %config InlineBackend.figure_formats = ["jpeg"]
plt.rcParams["figure.dpi"] = 72


def show(images, titles):
    """Show raw images in a row."""
    _, axes = plt.subplots(1, len(images), figsize=(2.9 * len(images), 3.2), squeeze=False)
    for ax, image, title in zip(axes[0], images, titles, strict=True):
        ax.imshow(image)
        ax.set_title(title)
        ax.axis("off")
    plt.tight_layout()
    plt.show()


# %% [markdown]
# ## The pictures
#
# The content is a portrait of Grace Hopper, who wrote the first compiler (James S. Davis, U.S. Navy, 1984,
# public domain; it comes with Matplotlib). The three styles are drawn by the kit, in the manner of
# painters whom you will recognise. To use pictures of your own, read them with
# `cs231n.image_utils.load_image("my.jpg")`.

# %%
portrait = hopper()[:512]  # the upper square
show([portrait, shapes(), waves(), swirls()], ["content", "shapes", "waves", "swirls"])

# %% [markdown]
# ## The features
#
# `model.extract_features(x)` returns thirteen tensors: the activations after each layer of SqueezeNet,
# from edges and colours (0) to parts of things (12). Each has the shape 1 × H × W × C, for one image: C
# numbers at each of H × W positions. The deeper the layer, the fewer positions, and the more each of them
# has seen of the image.
#
# The same features are already there for the placeholder `model.image`. These are the ones to use, since
# that is what the image is fed to.

# %%
tf.reset_default_graph()
sess = tf.Session()
model = SqueezeNet(save_path=checkpoint_prefix(), sess=sess)
feats = model.layers[:13]  # what model.extract_features(model.image) would return, without building it again

x = preprocess_image(resize_shorter_side(portrait, 191))[None]
for number, features in enumerate(sess.run(feats, {model.image: x})):
    print(f"layer {number:2}: {features.shape!s:20} mean of the squares {np.mean(features**2):8.1f}")

# %% [markdown]
# ## Task 1: content loss
#
# Two images have the same content, as far as a layer can tell, if their features at that layer agree
# *position by position*. Let $F$ be the features of the image that is being made, $P$ those of the content
# image, both 1 × H × W × C. Then
#
# $$L_\text{content} = w \sum_{h,w,c} (F_{hwc} - P_{hwc})^2$$
#
# It is the sum, not the mean, and there is no ½ (the paper has one; here the weight $w$ takes care of
# that).


# %%
def content_loss(content_weight, content_current, content_original):
    """Return the content loss, a tensor of shape ().

    content_weight: number. content_current, content_original: tensors F and P, shape (1, H, W, C).
    """
    loss = None
    ### BEGIN SOLUTION Task 1: content loss
    #: Hint: tf.reduce_sum adds up all entries; a tensor minus a tensor is a tensor.
    loss = content_weight * tf.reduce_sum((content_current - content_original) ** 2)
    ### END SOLUTION
    return loss


# %%
check_content_loss(content_loss)

# %% [markdown]
# ## Task 2: Gram matrix
#
# What is style? Not where things are, but which colours, strokes and edges go together. So throw the
# positions away and keep, for each two channels $i$ and $j$, how often they are active at the same place:
#
# $$G_{ij} = \frac{1}{H W C} \sum_{h,w} F_{hwi} F_{hwj}$$
#
# Seen as a matrix with a row for each position and a column for each channel, that is $G = F^\top F$, of
# shape C × C. Dividing by H·W·C makes matrices of large and small images, and of wide and narrow layers,
# comparable.
#
# H and W are not known while the graph is built, since the image may have any size: `tf.shape(features)`
# gives them when it runs.


# %%
def gram_matrix(features, normalize=True):
    """Return the Gram matrix of features, a tensor of shape (C, C).

    features: tensor, shape (1, H, W, C). normalize: whether to divide by H * W * C.
    """
    gram = None
    ### BEGIN SOLUTION Task 2: Gram matrix
    #: Hint: tf.reshape(features, [-1, C]) has a row for each position. tf.matmul can transpose one
    #: of its arguments. Mind which axis of the reshaped features is which.
    _, H, W, C = tf.unstack(tf.shape(features))
    positions = tf.reshape(features, [H * W, C])
    gram = tf.matmul(positions, positions, transpose_a=True)
    if normalize:
        gram = gram / tf.cast(H * W * C, tf.float32)
    ### END SOLUTION
    return gram


# %%
check_gram_matrix(gram_matrix)

# %% [markdown]
# ## Task 3: style loss
#
# Two images have the same style, as far as a set of layers can tell, if their Gram matrices at these
# layers agree. With $G^l$ of the image being made, $A^l$ of the style image, and a weight for each layer:
#
# $$L_\text{style} = \sum_l w_l \sum_{i,j} (G^l_{ij} - A^l_{ij})^2$$
#
# A loop over the layers is fine here: there are four. A loop over pixels never is.


# %%
def style_loss(feats, style_layers, style_targets, style_weights):
    """Return the style loss, a tensor of shape ().

    feats: all feature layers of the image being made. style_layers: numbers of the layers to use.
    style_targets, style_weights: for each of these layers the Gram matrix A and the weight.
    """
    loss = None
    ### BEGIN SOLUTION Task 3: style loss
    #: Hint: style_targets[i] and style_weights[i] belong to the features feats[style_layers[i]].
    loss = 0.0
    for layer, target, weight in zip(style_layers, style_targets, style_weights, strict=True):
        loss += weight * tf.reduce_sum((gram_matrix(feats[layer]) - target) ** 2)
    ### END SOLUTION
    return loss


# %%
check_style_loss(style_loss)

# %% [markdown]
# ## Task 4: total variation
#
# Nothing said until now keeps the image smooth: single pixels may do anything that leaves the features
# alone. So ask for neighbours that are alike:
#
# $$L_\text{tv} = w \sum_{h,w,c} (x_{h+1,w,c} - x_{hwc})^2 + w \sum_{h,w,c} (x_{h,w+1,c} - x_{hwc})^2$$
#
# Write it with slices, without a loop. (TensorFlow's own `tf.image.total_variation` takes absolute values,
# not squares.)


# %%
def tv_loss(img, tv_weight):
    """Return the total variation of an image, a tensor of shape ().

    img: tensor, shape (1, H, W, 3). tv_weight: number.
    """
    loss = None
    ### BEGIN SOLUTION Task 4: total variation
    #: Hint: img[:, 1:] is the image without its first row. Which slice lines up with it?
    down = img[:, 1:] - img[:, :-1]
    across = img[:, :, 1:] - img[:, :, :-1]
    loss = tv_weight * (tf.reduce_sum(down**2) + tf.reduce_sum(across**2))
    ### END SOLUTION
    return loss


# %% [markdown]
# A loop over the pixels would give the same number, but it adds operations for each row to the graph, and it
# needs to know how many there are. The check remarks on both.

# %%
check_tv_loss(tv_loss)

# %% [markdown]
# ## All together
#
# The loss is the sum of the three terms. Its gradient with respect to the image is built *once*, here:
# targets and weights are placeholders, so that other pictures and other weights need no new operations.

# %%
CONTENT_LAYER = 3
STYLE_LAYERS = (1, 4, 6, 7)

content_target = tf.placeholder(tf.float32, [1, None, None, None])
style_targets = [tf.placeholder(tf.float32, [None, None]) for _ in STYLE_LAYERS]
content_weight, tv_weight = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
style_weights = [tf.placeholder(tf.float32, []) for _ in STYLE_LAYERS]

grams = [gram_matrix(feats[layer]) for layer in STYLE_LAYERS]
loss = (
    content_loss(content_weight, feats[CONTENT_LAYER], content_target)
    + style_loss(feats, STYLE_LAYERS, style_targets, style_weights)
    + tv_loss(model.image, tv_weight)
)
(gradient,) = tf.gradients(loss, model.image)

# %% [markdown]
# Plain gradient descent would take thousands of steps, since the gradient is large at some pixels and tiny
# at others. *Adam* (Kingma & Ba, 2015) divides each pixel's gradient by its own usual size, so all pixels
# move at about the same speed: 3 per step for 180 steps, in units of preprocessed pixels, then 0.1 for the
# last 20. As 3 is more than the whole range of colours, the image is clamped to ±1.5 after each of the
# large steps.
#
# Stop it at any time with the stop button: the image so far is returned.


# %%
def transfer(params, num_iterations=200, show_at=()):
    """Return the preprocessed image, shape (1, H, W, 3), that the loss of `params` leads to."""
    content = preprocess_image(resize_shorter_side(params["content_image"], params["image_size"]))[None]
    style = preprocess_image(resize_shorter_side(params["style_image"], params["style_size"]))[None]
    feed = {
        content_target: sess.run(feats[CONTENT_LAYER], {model.image: content}),
        content_weight: params["content_weight"],
        tv_weight: params["tv_weight"],
        **dict(zip(style_targets, sess.run(grams, {model.image: style}), strict=True)),
        **dict(zip(style_weights, params["style_weights"], strict=True)),
    }
    img = np.random.default_rng(0).random(content.shape) if params.get("init_random") else content
    panels = {}
    if params["content_weight"] > 0:
        panels["content"] = deprocess_image(content[0])
    if any(params["style_weights"]):
        panels["style"] = deprocess_image(style[0])
    adam = Adam(img.shape)
    try:
        for t in range(num_iterations):
            g, current = sess.run([gradient, loss], {**feed, model.image: img})
            if t % 50 == 0:
                print(f"after {t:3} steps: loss {current:12.1f}")
            if t in show_at:
                panels[f"after {t} steps"] = deprocess_image(img[0], rescale=True)
            img = img - adam.step(g, 3.0 if t < 180 else 0.1)
            if t < 180:
                img = np.clip(img, -1.5, 1.5)
        print(f"after {num_iterations:3} steps: loss {sess.run(loss, {**feed, model.image: img}):12.1f}")
    except KeyboardInterrupt:
        print(f"stopped after {t} steps")
    panels["result"] = deprocess_image(img[0], rescale=True)
    show(list(panels.values()), list(panels))
    return img


# %% [markdown]
# ## Three transfers
#
# The weights below suit the kit's default network. They depend on how large its features are (the table
# above), so another training of the same network, the course's for example, needs others.
#
# Watch the first one form. The first steps are far too long and make noise of the image. After fifty the
# style is there, and the content comes back; the last twenty small steps take the grain away.
#
# **You should see** the portrait in flat, bright colours with black outlines; then in warm horizontal
# strokes; then in blue and yellow swirls. The loss need not fall all the time while the steps are long.

# %%
params1 = {
    "content_image": portrait,
    "style_image": shapes(),
    "image_size": 191,
    "style_size": 512,
    "content_weight": 2e-4,
    "style_weights": (1, 6e-2, 1e-3, 5e-4),
    "tv_weight": 0.5,
}
image1 = transfer(params1, show_at=(50, 180))
# %%
params2 = {
    "content_image": portrait,
    "style_image": waves(),
    "image_size": 191,
    "style_size": 224,
    "content_weight": 3e-4,
    "style_weights": (1, 3e-2, 2e-3, 2e-3),
    "tv_weight": 1,
}
image2 = transfer(params2)
# %%
params3 = {
    "content_image": portrait,
    "style_image": swirls(),
    "image_size": 191,
    "style_size": 192,
    "content_weight": 2e-4,
    "style_weights": (0.3, 1e-2, 3e-3, 3e-3),
    "tv_weight": 3,
}
image3 = transfer(params3)
# %% [markdown]
# ## Feature inversion
#
# Take the style away, start from noise, and what is left is a question to the network: which image has
# *these* features? What comes back is what layer 3 still knows of the picture (Mahendran & Vedaldi,
# *Understanding Deep Image Representations by Inverting Them*, CVPR 2015).

# %%
inversion = {
    **params3,
    "content_weight": 1e-4,
    "style_weights": (0, 0, 0, 0),
    "tv_weight": 0.5,
    "init_random": True,
}
inverted = transfer(inversion, show_at=(0, 50))
# %% [markdown]
# Nearly everything is there again: faces, stars, glasses. Layer 3 has thrown little away.
#
# ## Texture synthesis
#
# Take the content away instead, and the Gram matrices alone decide (Gatys, Ecker & Bethge, *Texture
# Synthesis Using Convolutional Neural Networks*, NeurIPS 2015). Each patch of the result looks like the
# style; no patch is where it was.

# %%
texture = {**params3, "content_weight": 0, "init_random": True}
synthesised = transfer(texture, show_at=(0, 50))

# %% [markdown]
# ## Questions
#
# **1.** What happens to a picture's Gram matrix when the picture is mirrored? And what to the features it
# is made of?
#
# ### BEGIN SOLUTION
# Mirroring moves features to other positions, which the Gram matrix does not see. But the features
# themselves change as well, since a network sees a stroke that rises to the right and one that rises to
# the left with different channels. So the matrix of the mirrored picture differs where the style has a
# direction.
# ### END SOLUTION
#
# **2.** The weights of the style layers fall from 1 to 0.0005 in the first set. Does that mean that layer
# 1 matters two thousand times as much as layer 7?
#
# ### BEGIN SOLUTION
# No. The layers' Gram matrices have entries of very different size, and the loss has their squares. What
# counts is the weight times the loss of that layer, or better its gradient. Print them to see.
# ### END SOLUTION
#
# **3.** Invert layer 7 instead of layer 3 (`style_transfer` in `cs231n.style_transfer` takes any layers).
# What is lost, and why?
#
# ### BEGIN SOLUTION
# Colours and fine detail go first; edges and where they are stay longer. Deeper layers have fewer
# positions and answer alike to things that look different, because for naming a thing the difference does
# not matter.
# ### END SOLUTION
#
# **4.** Set `tv_weight` to 0 and to 50 in the inversion. Why is there a pattern of the size of two pixels
# without it?
#
# ### BEGIN SOLUTION
# The first convolution steps by two pixels, so the features hardly constrain what alternates from one
# pixel to the next: many such patterns have the same features, and the descent has no reason to leave
# them. The total variation prefers the smooth one.
# ### END SOLUTION
