"""Image gradients of a pretrained SqueezeNet, in the static-graph way of TensorFlow 1.

Importing this package sets process-wide defaults that TensorFlow reads once, when it is
itself imported. Import `cs231n` first and they hold; a value that you set yourself wins.
"""

import os

__version__ = "0.1.0"

# oneDNN's kernels are off by default on processors without AVX-512; with them a map takes half the time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Errors reach Python as exceptions; what TensorFlow's C++ side prints besides is that there is no GPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
