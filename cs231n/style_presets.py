"""Parameter sets for `style_transfer`, by name.

Layers, sizes and starts are those of the CS231N assignment of 2017, whose sets for three paintings have
these names. The weights are not: they go with the scale of a network's features, and the course's network is
another training of SqueezeNet. These were chosen by eye for the kit's default weights, whose features are of
the order of 50, and the pictures of `cs231n.sample_pictures`.
"""

from __future__ import annotations

from types import MappingProxyType

_STYLE_LAYERS = (1, 4, 6, 7)

PRESETS = MappingProxyType(
    {
        "composition_vii": {
            "image_size": 192,
            "style_size": 512,
            "content_layer": 3,
            "content_weight": 2e-4,
            "style_layers": _STYLE_LAYERS,
            "style_weights": (1, 6e-2, 1e-3, 5e-4),
            "tv_weight": 0.5,
        },
        "the_scream": {
            "image_size": 192,
            "style_size": 224,
            "content_layer": 3,
            "content_weight": 3e-4,
            "style_layers": _STYLE_LAYERS,
            "style_weights": (1, 3e-2, 2e-3, 2e-3),
            "tv_weight": 1,
        },
        "starry_night": {
            "image_size": 192,
            "style_size": 192,
            "content_layer": 3,
            "content_weight": 2e-4,
            "style_layers": _STYLE_LAYERS,
            "style_weights": (0.3, 1e-2, 3e-3, 3e-3),
            "tv_weight": 3,
        },
        "inversion": {
            "image_size": 192,
            "style_size": 192,
            "content_layer": 3,
            "content_weight": 1e-4,
            "style_layers": _STYLE_LAYERS,
            "style_weights": (0, 0, 0, 0),
            "tv_weight": 0.5,
            "init_random": True,
        },
        "texture": {
            "image_size": 192,
            "style_size": 192,
            "content_layer": 3,
            "content_weight": 0,
            "style_layers": _STYLE_LAYERS,
            "style_weights": (0.3, 1e-2, 3e-3, 3e-3),
            "tv_weight": 3,
            "init_random": True,
        },
    }
)
"""Keyword arguments of `style_transfer`. `inversion` is feature inversion, which takes nothing from the style
image; `texture` is texture synthesis, which takes nothing but its size from the content image."""
