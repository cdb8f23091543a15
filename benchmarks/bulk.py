"""What bulk attribution costs: `python -m benchmarks.bulk --num 20000`, the figures of docs/cluster.md.

Every run is a process of its own, the command as users start it. Rates leave out its start: they are counted
from the time stamps of the first to the last shard. All runs compute the same maps, and that is checked.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from PIL import Image

from benchmarks.worker import workers
from cs231n.data_utils import load_imagenet_val
from cs231n.imagenet import wordnet_ids
from cs231n.paths import whole_file

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, QUALITY = 500, 375, 95
"""Of the photographs, in pixels, and their JPEG quality."""
IN_MEMORY, ROUNDS = 200, 5
POLL = 0.2
"""Seconds between two looks at a run's memory and files."""


class Run(NamedTuple):
    """What one run took."""

    seconds: float
    rate: float
    """Images per second between the first and the last shard."""
    memory: list[float]
    """Of the process and its children, in MB (resident set), at each look."""


class InMemory:
    """The bare computation, on arrays that are there and preprocessed."""

    def __init__(self) -> None:
        from cs231n.classifiers.squeezenet import SqueezeNet
        from cs231n.image_utils import preprocess_image

        X, y, _ = load_imagenet_val(20)
        self.X, self.y = np.resize(preprocess_image(X), (IN_MEMORY, *X.shape[1:])), np.resize(y, IN_MEMORY)
        self.model = SqueezeNet.pretrained()

    def maps(self) -> None:
        """Compute all maps."""
        from cs231n.net_visualization import compute_saliency_maps

        compute_saliency_maps(self.X, self.y, self.model)

    def maps_and_first_choices(self) -> None:
        """Compute all maps and, in the same run, the network's first choices, as a shard has them."""
        from cs231n.bulk import first_choice
        from cs231n.gradients import image_gradient, max_abs

        compute = image_gradient(self.model, reduce=max_abs, outputs=[first_choice(self.model)])
        compute(self.X, self.y, sess=self.model.sess)


def main() -> None:
    """Measure, print a table, and keep every figure in out/bulk.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=20_000, help="images")
    parser.add_argument(
        "--shard-size", type=int, help="images per file; default: a twentieth of them, at most 1000"
    )
    arguments = parser.parse_args()
    shard_size = str(arguments.shard_size or min(1000, max(1, arguments.num // 20)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs = make_photographs(folder / "photographs", arguments.num)
        measure(folder, photographs, arguments.num, shard_size)


def measure(folder: Path, photographs: Path, num: int, shard_size: str) -> None:
    """Run everything in turn; the bare computation first and last, for machines change their mind."""
    figures: dict[str, Any] = {"images": num, "shard size": int(shard_size)}
    common = (photographs, "--shard-size", shard_size)

    bare = [bare_rates()]
    plain = run(folder / "plain", *common)
    bare.append(bare_rates())
    for what in bare[0]:
        figures[f"bare rate, {what}"] = rate = float(np.median([*bare[0][what], *bare[1][what]]))
        figures[f"end to end, share of bare {what}"] = plain.rate / rate
    figures["plain"] = plain._asdict()
    quarters = [max(quarter, default=0) for quarter in np.array_split(plain.memory, 4)]
    figures["memory by quarters, MB"] = [round(float(quarter)) for quarter in quarters]
    report(figures)

    first, second = killed(folder / "killed", *common)
    lost = int(shard_size) / plain.rate
    figures["killed"], figures["resumed"] = first.seconds, second.seconds
    start = plain.seconds - num / plain.rate
    figures["start, seconds"] = start
    figures["resuming costs, seconds"] = first.seconds + second.seconds - plain.seconds
    figures["of which up to, for the shard that was lost"] = lost
    check_equal(folder / "plain", folder / "killed")
    report(figures)

    one_each = run(folder / "dask", *common, "--dask", "local:2")
    check_equal(folder / "plain", folder / "dask")
    figures["two Dask workers"] = one_each._asdict()
    figures["two Dask workers, share of plain"] = one_each.rate / plain.rate
    predicted = run(folder / "predicted", *common, "--labels", "predicted")
    figures["predicted"] = predicted._asdict()
    start_of_verify = time.perf_counter()
    if command(folder / "plain", "--verify").wait():
        raise RuntimeError("A file of the plain run is damaged.")
    figures["verify, seconds"] = time.perf_counter() - start_of_verify
    figures["bytes per map"] = sum(path.stat().st_size for path in (folder / "plain").glob("*.h5")) / num
    report(figures)
    with whole_file(ROOT / "out" / "bulk.json") as path:
        path.write_text(json.dumps(figures), encoding="utf-8")


def make_photographs(folder: Path, num: int) -> Path:
    """Fill a folder with so many JPEG files under their WordNet ids: the sample's, and hard links to them."""
    X, y, _ = load_imagenet_val(20)
    for index in range(num):
        which = index % len(X)
        path = folder / wordnet_ids()[y[which]] / f"{index:06d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index < len(X):
            image = Image.fromarray(X[which]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            image.save(path, quality=QUALITY)
        else:
            os.link(folder / path.parent.name / f"{which:06d}.JPEG", path)
    return folder


def bare_rates() -> dict[str, list[float]]:
    """Return images per second of the bare computation, several times."""
    rates = {}
    with workers({"in memory": InMemory}) as started:
        worker = started["in memory"]
        for method in ("maps", "maps_and_first_choices"):
            worker.time(method)
            calls = worker.time(method, calls=ROUNDS)
            rates[method.replace("_", " ")] = [IN_MEMORY / call.seconds for call in calls]
    return rates


def command(out: Path, *arguments: object) -> subprocess.Popen:
    """Start `python -m cs231n attribute`."""
    words = [*arguments, out] if "--verify" in arguments else [arguments[0], out, *arguments[1:]]
    return subprocess.Popen(
        [sys.executable, "-m", "cs231n", "attribute", *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL
    )


def run(out: Path, *arguments: object) -> Run:
    """Run the command to its end."""
    start = time.perf_counter()
    process = command(out, *arguments)
    memory = list(watch(process))
    if process.returncode:
        raise RuntimeError(f"The run into {out.name} failed.")
    return Run(time.perf_counter() - start, rate_of(out), memory)


def killed(out: Path, *arguments: object) -> tuple[Run, Run]:
    """Kill a run when half of the shards are there, then go on with it."""
    start = time.perf_counter()
    process = command(out, *arguments)
    memory = []
    for megabytes in watch(process):
        memory.append(megabytes)
        shards = sorted(out.glob("maps-*.h5"))
        if shards and len(shards) >= int(shards[0].stem.split("-")[-1]) // 2:
            process.send_signal(signal.SIGKILL)
    first = Run(time.perf_counter() - start, float("nan"), memory)
    return first, run(out, *arguments, "--resume")


def watch(process: subprocess.Popen) -> Iterator[float]:
    """Yield the memory of a process and its children, in MB, until it ends."""
    observed = psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [observed, *observed.children(recursive=True)]
            yield sum(one.memory_info().rss for one in family) / 1e6
        time.sleep(POLL)


def rate_of(out: Path) -> float:
    """Return images per second, from the first to the last shard."""
    from cs231n.shards import read_manifest

    manifest = read_manifest(out)
    times = sorted(
        (manifest.path(out, shard).stat().st_mtime, len(manifest.entries(shard)))
        for shard in range(manifest.num_shards)
    )
    return sum(entries for _, entries in times[1:]) / (times[-1][0] - times[0][0])


def check_equal(one: Path, other: Path) -> None:
    """Raise RuntimeError if two outputs are not the same to the last bit."""
    for path in sorted(one.glob("*.h5")):
        if path.read_bytes() != (other / path.name).read_bytes():
            raise RuntimeError(f"{path.name} differs between {one.name} and {other.name}.")


def report(figures: dict[str, Any]) -> None:
    """Print what is measured so far."""
    for name, value in figures.items():
        if isinstance(value, dict):
            value = {
                "rate": round(value["rate"], 1),
                "seconds": round(value["seconds"]),
                "most memory, MB": round(max(value["memory"])),
            }
        print(f"{name:>45}  {round(value, 3) if isinstance(value, float) else value}", flush=True)
    print()


if __name__ == "__main__":
    main()
