"""What can be done to gradients on their way back through ReLUs: the rules of `cs231n.gradients` by name.

A modifier is a function of (op, gradient), where `op` is the ReLU's operation and `gradient` what arrives
from above; it returns what is passed on. It holds for a second view of the graph that shares all variables.
"""

from __future__ import annotations

from cs231n.gradients import ReLURule, guided, rectified

relu = deconv = rectified

_BY_NAME: dict[str, ReLURule] = {
    "guided": guided,
    "rectified": rectified,
    "relu": relu,
    "deconv": deconv,
}


def get(identifier: str | ReLURule | None) -> ReLURule | None:
    """Return the modifier of that name; a function is returned as it is, and so is None, for no change.

    Raises
    ------
    ValueError
        If there is no modifier of that name.
    """
    if identifier is None or callable(identifier):
        return identifier
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _BY_NAME[identifier]
    raise ValueError(
        f"backprop_modifier is {identifier!r}; expected {', '.join(_BY_NAME)}, a function of (op, gradient), "
        "or None."
    )
