"""From measurements to docs/benchmarks.md and its plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.measure import (
    CALLS_IN_A_ROW,
    CAPTUM,
    CLOSE,
    CONTENDERS,
    FILES,
    KIT,
    REBUILT,
    SALIENCY,
    SAMPLES,
    TORCH,
    TORCH_LAST,
)
from cs231n.paths import whole_file
from cs231n.plotting import save_figure

GFLOP_PER_MAP = 1.06
"""Forward and back, with only the label's column of the classifier."""

BUSY = 10
"""Percent of the processor that other programs may take."""

Seconds = Mapping[str, Sequence[float]]


def write(results: Mapping[str, Any], folder: Path) -> None:
    """Write `benchmarks.md` and `benchmarks.svg` into `folder`."""
    with whole_file(folder / "benchmarks.md") as path:
        path.write_text("\n".join(_page(results)) + "\n", encoding="utf-8")
    save_figure(_figure(results["saliency"]), folder / "benchmarks.svg")


def _page(results: Mapping[str, Any]) -> Iterator[str]:
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield f"""# How long a saliency map takes

`make bench` measures this and writes this page. Every contender runs in a process of its own, on all cores,
with the same weights and the same photographs of 224 × 224 pixels. They take turns, round after round. Before
anything is timed, all must compute the same. {_agreement_sentence(results["agreement"])}

{machine["date"]}; {machine["processor"]}; {machine["cores"]} cores; {machine["memory"] / 2**30:.0f} GiB of
memory; {machine["system"]}; {versions}. {_busy_sentence(results)}

![Milliseconds a map by batch size](benchmarks.svg)

## Goals

| | goal | measured | |
|---|---|---|---|"""
    for what, goal, measured, reached in _goals(results):
        yield f"| {what} | {goal} | {measured} | {'reached' if reached else '**not reached**'} |"
    yield f"""
"PyTorch" is the faster of its two configurations. The machine's rate of float32 matrix products is
{_machine_rate(results):.0f} GFLOP/s, the best of {_rates(results)}; a map is counted as
{GFLOP_PER_MAP} GFLOP. Times within 2 % count as equal. What was tried is in [performance.md](performance.md).

## Saliency maps

Milliseconds a map. The gradient that is rebuilt in each call gets slower with each: here the first
{_rebuilt_calls(1)} calls were timed at batch 1, {_rebuilt_calls(5)} at 5.

| batch | | median | quartiles | to the kit's |
|---|---|---|---|---|"""
    for batch, seconds in results["saliency"].items():
        yield from (f"| {batch} {row}" for row in _rows(seconds))
    for title, key, unit in (
        (f"SmoothGrad, {SAMPLES} samples", "smoothgrad", "one image"),
        (f"Integrated gradients, {SAMPLES} steps", "integrated gradients", "one image"),
        (
            f"From {FILES} JPEG files of 512 × 512 pixels to maps",
            "files",
            "a map, decoding and scaling included",
        ),
        ("From starting Python to the end of the first map", "start", "one image"),
    ):
        yield f"\n## {title}\n\nMilliseconds, {unit}.\n"
        yield "| | median | quartiles | to the kit's |\n|---|---|---|---|"
        yield from _rows(results[key])
    yield f"\n## {CALLS_IN_A_ROW} calls in a row\n\n{_in_a_row_sentence(results['in a row'])}"


def _agreement_sentence(distances: Mapping[str, Sequence[float]]) -> str:
    close = {name: sum(distance <= CLOSE for distance in taken) for name, taken in distances.items()}
    largest = max(max(taken) for taken in distances.values())
    return (
        f"Of {len(distances[KIT])} photographs' maps {close[KIT]} of\nthe kit's, and of everyone's at least "
        f"{min(close.values())}, are within {CLOSE:g} of the maximum of PyTorch's (channels last);\n"
        f"in the others, within {largest:.0e}, rounding decides whether some ReLU is active."
    )


def _busy_sentence(results: Mapping[str, Any]) -> str:
    before, after = results["busy before"], results["busy after"]
    sentence = (
        f"Other programs took\n{before:.0f} % of the processor before the run and {after:.0f} % after it."
    )
    if max(before, after) > BUSY:
        sentence += (
            "\n**That is too much: these numbers mean little.** PyTorch's threads wait for each other and\n"
            "lose most by it, so the ratios flatter the kit. Run it again on an idle machine."
        )
    return sentence


def _goals(results: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """Yield what is asked for, the goal, what was measured, and whether that reaches it."""
    saliency = results["saliency"]
    for batch, goal in (("1", 0.60), ("5", 0.60), ("32", 0.40), ("128", 0.40)):
        torch = min(_median(saliency[batch][name]) for name in (TORCH, TORCH_LAST))
        yield _at_most(f"time of PyTorch's, batch {batch}", goal, _median(saliency[batch][KIT]) / torch)
    yield _at_most("time of the rebuilt gradient's, batch 1", 0.06, _ratio(saliency["1"], KIT, REBUILT))
    rate = GFLOP_PER_MAP / _median(saliency["32"][KIT])
    share = rate / _machine_rate(results)
    yield "share of the machine's rate, batch 32", "at least 0.60", f"{share:.2f}", share >= 0.60
    for key in ("smoothgrad", "integrated gradients"):
        yield _at_most(f"time of captum's, {key}, {SAMPLES} samples", 0.45, _ratio(results[key], KIT, CAPTUM))
    slowdown, growth = _slowdown(results["in a row"]), _growth(results["in a row"])
    yield _at_most(
        f"time of the last hundred of {CALLS_IN_A_ROW} calls to the first hundred's", 1.02, slowdown
    )
    yield _at_most("memory after them to that after ten", 1.05, growth)


def _at_most(what: str, goal: float, measured: float) -> tuple[str, str, str, bool]:
    return what, f"at most {goal:.2f}", f"{measured:.3f}", measured <= goal


def _rows(seconds: Seconds) -> Iterator[str]:
    for name, taken in seconds.items():
        low, high = 1000 * np.quantile(taken, (0.25, 0.75))
        ratio = _ratio(seconds, name, KIT)
        yield f"| {name} | {_round(1000 * _median(taken))} | {_round(low)}–{_round(high)} | {ratio:.2f} |"


def _round(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 1000 else f"{milliseconds:.0f}"


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _ratio(seconds: Seconds, name: str, other: str) -> float:
    return _median(seconds[name]) / _median(seconds[other])


def _machine_rate(results: Mapping[str, Any]) -> float:
    """Return the machine's rate in GFLOP/s."""
    return max(results["products"].values())


def _rates(results: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {rate:.0f}" for name, rate in results["products"].items())


def _rebuilt_calls(batch: int) -> int:
    rounds, calls = SALIENCY[batch]
    return 1 + rounds * calls


def _slowdown(calls: Mapping[str, Sequence[float]]) -> float:
    """Return the time of the last hundred calls over that of the first hundred; the very first builds."""
    return _median(calls["seconds"][-100:]) / _median(calls["seconds"][:100])


def _growth(calls: Mapping[str, Sequence[float]]) -> float:
    """Return the most memory after the tenth call over that after the tenth."""
    return max(calls["memory"][10:]) / calls["memory"][9]


def _in_a_row_sentence(calls: Mapping[str, Sequence[float]]) -> str:
    first, last = (1000 * _median(part) for part in (calls["seconds"][:100], calls["seconds"][-100:]))
    tenth, most = (memory / 2**20 for memory in (calls["memory"][9], max(calls["memory"][10:])))
    return (
        f"The kit, one image: the first hundred take {first:.1f} ms each, the last hundred {last:.1f}.\n"
        f"The process has {tenth:.0f} MiB after the tenth call and at most {most:.0f} MiB after it."
    )


def _figure(saliency: Mapping[str, Seconds]) -> Figure:
    """Return the medians by batch size, a line for each contender, with its quartiles."""
    fig = Figure(figsize=(7, 4), layout="constrained")
    ax = fig.add_subplot()
    batches = [int(batch) for batch in saliency]
    for name in CONTENDERS:
        low, middle, high = np.transpose(
            [1000 * np.quantile(seconds[name], (0.25, 0.5, 0.75)) for seconds in saliency.values()]
        )
        style = {"color": "black", "linewidth": 2.5} if name == KIT else {"linewidth": 1.2}
        ax.errorbar(
            batches, middle, [middle - low, high - middle], marker="o", markersize=4, label=name, **style
        )
    ax.set(xscale="log", yscale="log", xlabel="images in one call", ylabel="milliseconds a map")
    ax.set_xticks(batches, [str(batch) for batch in batches])
    ax.minorticks_off()
    ticks = [10, 20, 50, 100, 200, 500]
    ax.set_yticks(ticks, [str(tick) for tick in ticks])
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside right upper", frameon=False)
    return fig
