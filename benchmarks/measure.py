"""What is measured, in which order, and the check before it that all compute the same."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.contenders import Captum, Kit, Pair, Rebuilt, Torch, TorchChannelsLast
from benchmarks.matrix_product import FLOP, NumPyProduct, TensorFlowProduct, TorchProduct
from benchmarks.worker import alternate, workers
from cs231n.data_utils import load_imagenet_val
from cs231n.image_utils import preprocess_image
from cs231n.paths import checkpoint_prefix
from cs231n.weights import read_weights, write_hdf5

KIT, REBUILT, TORCH, TORCH_LAST = "the kit", "rebuilt in each call", "PyTorch", "PyTorch, channels last"
CAPTUM, PAIR = "captum", "PAIR saliency"
CONTENDERS = {
    KIT: Kit,
    REBUILT: Rebuilt,
    TORCH: Torch,
    TORCH_LAST: TorchChannelsLast,
    CAPTUM: Captum,
    PAIR: Pair,
}
ATTRIBUTION_CONTENDERS = (KIT, CAPTUM, PAIR)
PRODUCTS = {"NumPy": NumPyProduct, "TensorFlow": TensorFlowProduct, "PyTorch": TorchProduct}

# Rounds and calls per batch size: enough for quartiles, and about ten minutes for all.
SALIENCY = {1: (8, 5), 5: (6, 4), 32: (5, 1), 128: (3, 1)}
SAMPLES, NOISE = 50, 0.15
ATTRIBUTION_ROUNDS = 5
FILES, FILE_ROUNDS = 100, 3
CALLS_IN_A_ROW = 1000
START_ROUNDS = 2

CLOSE = 1e-5
"""Of a map's maximum: how far the pixels of most photographs' maps may be from PyTorch's."""
MOST = 0.75
"""Of the photographs. In the others rounding decides whether some ReLU is active; PyTorch's two
configurations differ in them, too."""
NEAR_TIE = 5e-3
"""Of a map's maximum: how far any pixel of any photograph's result may be from PyTorch's."""


def measure() -> dict[str, Any]:
    """Check, then measure everything; the result holds only what JSON does."""
    results: dict[str, Any] = {"machine": _machine(), "busy before": psutil.cpu_percent(interval=5)}
    raw, y, _ = load_imagenet_val(20)
    X = preprocess_image(raw)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.h5"
        write_hdf5(read_weights(checkpoint_prefix()), weights)

        _report("checking that all compute the same")
        results["agreement"] = _check(weights, X, y)
        results["saliency"] = {str(n): _saliency(weights, *_batch(X, y, n), *SALIENCY[n]) for n in SALIENCY}
        _report("matrix products")
        with workers(PRODUCTS) as products:
            seconds = alternate(products, "multiply", rounds=7, calls=6)
        results["products"] = {name: FLOP / np.median(taken) / 1e9 for name, taken in seconds.items()}
        results["smoothgrad"] = _attribution(weights, X, y, "smoothgrad", SAMPLES, NOISE)
        results["integrated gradients"] = _attribution(weights, X, y, "integrated_gradients", SAMPLES)
        results["files"] = _files(weights, Path(folder), raw, y)
        results["in a row"] = _in_a_row(weights, X, y)
        results["start"] = _start(weights, Path(folder), X, y)
    results["busy after"] = psutil.cpu_percent(interval=5)
    return results


def _check(weights: Path, X: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """Return how far each contender's maps are from PyTorch's; raise RuntimeError if that is too far."""
    distances = {}
    few, labels = X[:2], y[:2]
    with workers(CONTENDERS, weights) as contenders:
        reference = contenders[TORCH_LAST]
        maps = reference.result("saliency", X, y)
        gradient = reference.result("path_gradient", few, labels, np.ones(1)) / few
        for name, worker in contenders.items():
            distances[name] = _distances(f"{name}, saliency", worker.result("saliency", X, y), maps)
            if np.mean(np.array(distances[name]) <= CLOSE) < MOST:
                raise RuntimeError(f"{name} gives other maps than PyTorch; nothing was timed.")
            if name not in ATTRIBUTION_CONTENDERS:
                continue
            without_noise = worker.result("smoothgrad", few, labels, 3, 0.0)
            _distances(f"{name}, SmoothGrad without noise", without_noise, gradient)
            expected = reference.result("path_gradient", few, labels, worker.result("nodes", SAMPLES))
            integrated = worker.result("integrated_gradients", few, labels, SAMPLES)
            _distances(f"{name}, integrated gradients", integrated, expected)
    return distances


def _distances(what: str, computed: np.ndarray, expected: np.ndarray) -> list[float]:
    """Return each photograph's largest difference, as a share of the expected maximum.

    Raises
    ------
    RuntimeError
        If one is above `NEAR_TIE`.
    """
    axes = tuple(range(1, expected.ndim))
    distances = np.abs(computed - expected).max(axis=axes) / np.abs(expected).max(axis=axes)
    if not np.all(distances <= NEAR_TIE):
        raise RuntimeError(f"{what}: up to {distances.max():.1e} from PyTorch's result; nothing was timed.")
    return distances.tolist()


def _saliency(weights: Path, X: np.ndarray, y: np.ndarray, rounds: int, calls: int) -> dict[str, list[float]]:
    """Return seconds per map."""
    _report(f"saliency maps, batch {len(X)}")
    with workers(CONTENDERS, weights) as contenders:
        seconds = alternate(contenders, "saliency", X, y, rounds=rounds, calls=calls)
    return {name: [second / len(X) for second in taken] for name, taken in seconds.items()}


def _attribution(
    weights: Path, X: np.ndarray, y: np.ndarray, method: str, *arguments: Any
) -> dict[str, list[float]]:
    """Return seconds for one image."""
    _report(f"{method}, {SAMPLES} samples")
    kinds = {name: CONTENDERS[name] for name in ATTRIBUTION_CONTENDERS}
    with workers(kinds, weights) as contenders:
        return alternate(contenders, method, X[:1], y[:1], *arguments, rounds=ATTRIBUTION_ROUNDS, calls=1)


def _files(weights: Path, folder: Path, raw: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """Return seconds per map, from JPEG files of 512 x 512 pixels: the size of many photographs' previews."""
    _report(f"{FILES} JPEG files to maps")
    files = []
    for index in range(FILES):
        files.append(folder / f"{index}.jpg")
        Image.fromarray(raw[index % len(raw)]).resize((512, 512)).save(files[-1], quality=90)
    kinds = {name: CONTENDERS[name] for name in (KIT, TORCH, TORCH_LAST)}
    with workers(kinds, weights) as contenders:
        labels = np.resize(y, FILES)
        seconds = alternate(contenders, "saliency_of_files", files, labels, rounds=FILE_ROUNDS, calls=1)
    return {name: [second / FILES for second in taken] for name, taken in seconds.items()}


def _in_a_row(weights: Path, X: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """Return the seconds that each of many calls took and the process's memory after it, in bytes."""
    _report(f"{CALLS_IN_A_ROW} calls in a row")
    with workers({KIT: Kit}, weights) as contenders:
        calls = contenders[KIT].time("saliency", X[:1], y[:1], calls=CALLS_IN_A_ROW)
    return {"seconds": [call.seconds for call in calls], "memory": [call.memory for call in calls]}


def _start(weights: Path, folder: Path, X: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """Return the seconds from a process's start to its end, with one map computed."""
    _report("start-up")
    image = folder / "image.npy"
    np.save(image, X[:1])
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(START_ROUNDS):
        for name, kind in CONTENDERS.items():
            script = (
                "import numpy, pathlib; from benchmarks import contenders; "
                f"contender = contenders.{kind.__name__}(pathlib.Path({str(weights)!r})); "
                f"contender.saliency(numpy.load({str(image)!r}), numpy.array([{y[0]}]))"
            )
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", script], check=True)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _batch(X: np.ndarray, y: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.resize(X, (n, *X.shape[1:])), np.resize(y, n)


def _machine() -> dict[str, Any]:
    packages = ("tensorflow", "torch", "captum", "saliency", "numpy")
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "versions": {"Python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in packages},
    }


def _processor() -> str:
    """Return the processor's name and its widest vector instructions, where Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    vectors = [flag for flag in ("avx512f", "avx2") if flag in entries.get("flags", "").split()]
    return ", ".join([entries.get("model name", platform.machine()), *vectors[:1]])


def _report(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)
