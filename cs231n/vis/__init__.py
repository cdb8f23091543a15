"""Saliency maps and Grad-CAM of any static graph, with the calls that keras-vis users know.

The modules have keras-vis's names: `visualization` has the calls, `losses` and `regularizers` what can be
differentiated, `grad_modifiers` and `backprop_modifiers` what can be done to gradients at the end and on the
way. `GraphModel` describes a graph that is not a SqueezeNet.
"""

from cs231n.vis.graph_model import GraphModel
from cs231n.vis.losses import ActivationMaximization, Loss, LPNorm, TotalVariation
from cs231n.vis.visualization import (
    num_overridden_relus,
    visualize_cam,
    visualize_cam_with_losses,
    visualize_saliency,
    visualize_saliency_with_losses,
)

__all__ = [
    "ActivationMaximization",
    "GraphModel",
    "LPNorm",
    "Loss",
    "TotalVariation",
    "num_overridden_relus",
    "visualize_cam",
    "visualize_cam_with_losses",
    "visualize_saliency",
    "visualize_saliency_with_losses",
]
