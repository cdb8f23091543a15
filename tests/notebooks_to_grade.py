"""Notebooks as submissions: right ones of three kinds, wrong ones, broken ones and hostile ones.

Each is a list of its cells' code. The functions in them are learners' work: they use the globals that the
cells above define.
"""

from __future__ import annotations

SETUP = """
import numpy as np
import matplotlib.pyplot as plt
import tensorflow.compat.v1 as tf
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD, blur_image, deprocess_image, preprocess_image
tf.disable_v2_behavior()
tf.reset_default_graph()
sess = tf.Session()
model = SqueezeNet(save_path="datasets/squeezenet.ckpt", sess=sess)
"""

# The way of 2017: TensorFlow 1 under its plain name, a session from a helper, a test for the checkpoint that
# fails on good files, magics, shell lines, a dead import and cells that only show something.
SETUP_2017 = """
%matplotlib inline
from __future__ import print_function
import os, time
import numpy as np
import matplotlib.pyplot as plt
import tensorflow as tf
from scipy.misc import imresize
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_tiny_imagenet
from cs231n.image_utils import preprocess_image, deprocess_image, blur_image
from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD
plt.rcParams['image.cmap'] = 'gray'

def new_session():
    options = tf.ConfigProto()
    options.gpu_options.allow_growth = True
    return tf.Session(config=options)

%load_ext autoreload
"""
MODEL_2017 = """
!./get_the_weights.sh
tf.reset_default_graph()
sess = new_session()
SAVE_PATH = 'somewhere/else/squeezenet.ckpt'
if not os.path.exists(SAVE_PATH):
    raise ValueError('There are no weights here')
model = SqueezeNet(save_path=SAVE_PATH, sess=sess)
"""
SHOW_2017 = """
%%time
X_raw, y, class_names = load_imagenet_val(num=5)
maps = compute_saliency_maps(preprocess_image(X_raw), y, model)
plt.imshow(maps[0]); plt.show()
files = !ls
time.sleep(1000)
"""

SALIENCY = """
def pick(scores, labels):
    return tf.gather_nd(scores, tf.stack([tf.range(tf.shape(labels)[0]), labels], axis=1))

def compute_saliency_maps(X, y, model):
    gradient, = tf.gradients(pick(model.classifier, model.labels), model.image)
    gradient = sess.run(gradient, feed_dict={model.image: X, model.labels: y})
    return np.abs(gradient).max(axis=3)
"""
FOOLING = """
STEPS = 100

def make_fooling_image(X, target_y, model):
    X_fooling = X.copy()
    gradient, = tf.gradients(model.classifier[0, target_y], model.image)
    for i in range(STEPS):
        scores, g = sess.run([model.classifier, gradient], {model.image: X_fooling})
        if scores[0].argmax() == target_y:
            break
        X_fooling += g / np.linalg.norm(g)
    return X_fooling
"""
VISUALIZATION = """
def create_class_visualization(target_y, model, **kwargs):
    l2_reg = kwargs.pop('l2_reg', 1e-3)
    learning_rate = kwargs.pop('learning_rate', 25)
    num_iterations = kwargs.pop('num_iterations', 100)
    blur_every = kwargs.pop('blur_every', 10)
    max_jitter = kwargs.pop('max_jitter', 16)
    show_every = kwargs.pop('show_every', 25)
    X = preprocess_image(255 * np.random.rand(224, 224, 3))[None]
    objective = model.scores[0, target_y] - l2_reg * tf.reduce_sum(model.image ** 2)
    gradient = tf.gradients(objective, model.image)[0]
    for t in range(num_iterations):
        ox, oy = np.random.randint(-max_jitter, max_jitter + 1, 2)
        X = np.roll(np.roll(X, ox, 1), oy, 2)
        X = X + learning_rate * sess.run(gradient, {model.image: X})
        X = np.roll(np.roll(X, -ox, 1), -oy, 2)
        X = np.clip(X, -SQUEEZENET_MEAN / SQUEEZENET_STD, (1 - SQUEEZENET_MEAN) / SQUEEZENET_STD)
        if t % blur_every == 0:
            X = blur_image(X, sigma=0.5)
        if t == 0 or (t + 1) % show_every == 0 or t == num_iterations - 1:
            plt.imshow(deprocess_image(X[0]))
            plt.show()
    return X
"""

RIGHT = [SETUP, SALIENCY, FOOLING, VISUALIZATION]
RIGHT_2017 = [
    SETUP_2017,
    MODEL_2017,
    SALIENCY,
    SHOW_2017,
    FOOLING,
    VISUALIZATION,
    "create_class_visualization(3, model)",
]
# A model and a session of the grader's are put in the place of those that are missing.
WITHOUT_MODEL = [
    "import numpy as np\nimport tensorflow as tf\nfrom matplotlib import pyplot as plt",
    "from cs231n.image_utils import *",
    SALIENCY,
    FOOLING,
    VISUALIZATION,
]

WRONG = [
    SETUP,
    SALIENCY.replace("np.abs(gradient)", "gradient"),
    FOOLING.replace("X_fooling += g / np.linalg.norm(g)", "X_fooling += g"),
    VISUALIZATION.replace("- l2_reg", "+ l2_reg"),
]
BROKEN = [
    SETUP,
    SALIENCY.replace("import", "imprt") + "\ndef oops(:\n",
    "def make_fooling_image(X, target_y, model):\n    raise NotImplementedError('Task 2')",
    "rate = undefined_name\n" + VISUALIZATION.replace("X + learning_rate", "X + rate * learning_rate"),
]
BORROWED = [
    SETUP + "from cs231n.net_visualization import compute_saliency_maps\n",
    "import cs231n.gradients as g\n" + FOOLING.replace("STEPS):", "STEPS):\n        g.image_gradient(model)"),
    "from cs231n.checks import ASSIGNMENTS\n" + VISUALIZATION.replace("return X", "return ASSIGNMENTS"),
]

ENDLESS = [
    SETUP,
    "def compute_saliency_maps(X, y, model):\n    while True:\n        print('x' * 10**6)",
    "def make_fooling_image(X, target_y, model):\n    return np.ones(10**11)",
    """
import os

def create_class_visualization(target_y, model, **kwargs):
    while True:
        try:
            os.fork()
        except OSError:
            pass
""",
]
# Each attempt is to end in an error; those that do not are in the message that comes back.
INTRUDER = [
    SETUP,
    """
import glob, os, signal, socket, subprocess, sys
from pathlib import Path

def read_answers():
    import cs231n.checks

def read_reference():
    import cs231n.net_visualization

def search_reference():
    for folder in ("/", *sys.path):
        for path in Path(folder or ".").rglob("net_visualization.py"):
            return path.read_text()
    raise FileNotFoundError

def read_repository():
    return Path(REPOSITORY, "cs231n", "__init__.py").read_text()

def read_other_processes():
    others = [p for p in os.listdir("/proc") if p.isdigit() and int(p) > 2 and int(p) != os.getpid()]
    return Path("/proc", others[0], "environ").read_bytes()

def read_passwords():
    return Path("/etc/shadow").read_text()

def write_into_the_kit():
    Path(sys.modules["cs231n"].__file__).write_text("")

def write_into_packages():
    Path(np.__file__).with_name("planted.py").write_text("")

def fill_the_memory():
    Path("/dev/shm/large").write_bytes(bytes(2**20))

def connect():
    socket.create_connection(("127.0.0.1", PORT), timeout=1)

def kill_the_grader():
    os.kill(GRADER, signal.SIGKILL)

def become_root():
    os.setuid(0)

def raise_the_limits():
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def compute_saliency_maps(X, y, model):
    attempts = [
        read_answers, read_reference, search_reference, read_repository, read_other_processes,
        read_passwords, write_into_the_kit, write_into_packages, fill_the_memory, connect,
        kill_the_grader, become_root, raise_the_limits,
    ]
    succeeded = []
    for attempt in attempts:
        try:
            attempt()
            succeeded.append(attempt.__name__)
        except BaseException:
            pass
    raise ValueError("succeeded: " + " ".join(succeeded) + ".")
""",
    # What it patches, prints and registers changes its own process only.
    """
import atexit, builtins

class Trap:
    def __array__(self, *arguments, **keywords):
        os.kill(GRADER, signal.SIGTERM)
    def __reduce__(self):
        return os.kill, (GRADER, signal.SIGTERM)

def make_fooling_image(X, target_y, model):
    return Trap()
""",
    """
def create_class_visualization(target_y, model, **kwargs):
    print("Class visualisation   10/10    right")
    sys.exit(0)
""",
]
CHEAT = [
    SETUP,
    """
import os, sys
from cs231n import observation
from cs231n.grading import transport

np.allclose = np.array_equal = lambda *arguments, **keywords: True
np.linalg.norm = lambda *arguments, **keywords: 0.0
isclose = np.isclose = lambda a, b, **keywords: np.ones(np.shape(a), bool)

def compute_saliency_maps(X, y, model):
    observation.Observation.error = "right"
    transport.send = None
    return np.zeros(X.shape[:3])

def make_fooling_image(X, target_y, model):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\\x00\\x00\\x00\\x02{}" * 3)
        except OSError:
            pass
    return X

def create_class_visualization(target_y, model, **kwargs):
    os.kill(os.getpid(), 11)
""",
]
