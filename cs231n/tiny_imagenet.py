"""The tables of Tiny ImageNet: which images and classes its folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_WORDNET_IDS = "wnids.txt"
_WORDS = "words.txt"
_VAL = "val_annotations.txt"


def wordnet_ids(root: Path) -> list[str]:
    """Return the WordNet ids of the classes, by label."""
    return [wordnet_id for (wordnet_id,) in _rows(root / _WORDNET_IDS, 1)]


def class_words(root: Path) -> list[list[str]]:
    """Return the names of each class in WordNet, by label."""
    words = dict(_rows(root / _WORDS, 2))
    lines = [look_up(words, wordnet_id, root / _WORDS) for wordnet_id in wordnet_ids(root)]
    return [[name.strip() for name in line.split(",")] for line in lines]


def labels_of(root: Path, ids: list[str]) -> list[int]:
    """Return the labels of classes, given by their WordNet ids."""
    label_of = {wordnet_id: label for label, wordnet_id in enumerate(wordnet_ids(root))}
    return [look_up(label_of, wordnet_id, root / _WORDNET_IDS) for wordnet_id in ids]


def is_root(folder: Path) -> bool:
    """Tell whether a folder is that of a Tiny ImageNet."""
    return (folder / _WORDNET_IDS).is_file()


def is_val(folder: Path) -> bool:
    """Tell whether a folder is the validation split."""
    return is_root(folder.parent) and (folder / _VAL).is_file()


def is_train(folder: Path) -> bool:
    """Tell whether a folder is the training split."""
    return is_root(folder.parent) and folder.name == "train"


def train_files(root: Path) -> tuple[list[Path], list[str]]:
    """Return the files of the training split and their WordNet ids, class by class."""
    pairs = [
        (root / "train" / wordnet_id / "images" / _file_name(name, boxes), wordnet_id)
        for wordnet_id in wordnet_ids(root)
        for boxes in [root / "train" / wordnet_id / f"{wordnet_id}_boxes.txt"]
        for (name,) in _rows(boxes, 1)
    ]
    return [file for file, _ in pairs], [wordnet_id for _, wordnet_id in pairs]


def val_files(root: Path) -> tuple[list[Path], list[str]]:
    """Return the files of the validation split and their WordNet ids, in the order of the table."""
    table = root / "val" / _VAL
    rows = _rows(table, 2)
    return (
        [root / "val" / "images" / _file_name(name, table) for name, _ in rows],
        [wordnet_id for _, wordnet_id in rows],
    )


def test_files(root: Path) -> tuple[list[Path], list[str] | None]:
    """Return the files of the test split, sorted, and their WordNet ids, None where these are secret."""
    folder = root / "test"
    if not (folder / "images").is_dir():
        raise FileNotFoundError(
            f"{folder / 'images'} is missing; expected the unpacked folder of Tiny ImageNet."
        )
    files = sorted((folder / "images").iterdir())
    annotations = folder / "test_annotations.txt"
    if not annotations.is_file():
        return files, None
    ids = dict(_rows(annotations, 2))
    return files, [look_up(ids, file.name, annotations) for file in files]


def look_up(table: Mapping[str, object], key: str, path: Path) -> object:
    """Return the entry for `key` of a table read from `path`; a missing one gets a sentence."""
    if key not in table:
        raise ValueError(f"{path} has no entry for {key}; get a whole copy of Tiny ImageNet.")
    return table[key]


def _file_name(name: str, path: Path) -> str:
    """Return a name of a file from a table, after checking that it leads to no other folder."""
    if Path(name).name != name:
        raise ValueError(
            f"{path} names the file {name}, in another folder; get a whole copy of Tiny ImageNet."
        )
    return name


def _rows(path: Path, columns: int) -> list[list[str]]:
    """Return the first `columns` entries of each line of a table, separated by tabs."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected the unpacked folder of Tiny ImageNet.")
    rows = [
        line.split("\t")[:columns] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    for number, row in enumerate(rows, start=1):
        if len(row) < columns:
            raise ValueError(
                f"Entry {number} of {path} has too few columns; get a whole copy of Tiny ImageNet."
            )
    return [[entry.strip() for entry in row] for row in rows]
