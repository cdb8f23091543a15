"""The regularisers of `losses`, where keras-vis has them."""

from cs231n.vis.losses import LPNorm, TotalVariation

__all__ = ["LPNorm", "TotalVariation"]
