"""The demo for the lecture room: what the network sees, live in the browser (`python -m cs231n demo`)."""

import os

# Before Gradio is imported, which reads them once: nothing is to ask for anything outside this computer.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
