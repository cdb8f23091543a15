"""What is said to visitors: names of classes and methods, and what went wrong, in one sentence."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from html import escape

import gradio as gr

from cs231n.data_utils import class_names


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Show the kit's sentences about bad input on the page; they are text, whatever they quote."""
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        raise gr.Error(escape(str(error)), title="That did not work", print_exception=False) from error


def short_name(label: int) -> str:
    """Return the first of a class's synonyms: "tench" of "tench, Tinca tinca"."""
    return class_names()[label].split(",")[0]


def class_choices() -> list[tuple[str, int]]:
    """Return all classes for a list to search in: name and label, with the number where names are equal."""
    names = class_names()
    count = Counter(names)
    return sorted(
        (name if count[name] == 1 else f"{name} (number {label})", label) for label, name in enumerate(names)
    )


def spoken(name: str) -> str:
    """Return the name of a method or a preset as a text: "guided backprop" of "guided_backprop"."""
    return name.replace("_", " ")


def percent(probability: float) -> str:
    """Return a probability as a text that never says 0 or 100 %."""
    if 0.005 <= probability <= 0.995:
        return f"{100 * probability:.0f} %"
    return "less than 1 %" if probability < 0.5 else "over 99 %"
