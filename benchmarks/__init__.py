"""How long a saliency map takes: the kit beside every other way to compute it."""
