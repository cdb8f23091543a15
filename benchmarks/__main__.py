"""Measure, then write docs/benchmarks.md: `make bench`."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import measure, report
from cs231n.paths import whole_file

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure, keep every single time in out/benchmarks.json, write the page and the plot."""
    results = measure.measure()
    with whole_file(ROOT / "out" / "benchmarks.json") as path:
        path.write_text(json.dumps(results), encoding="utf-8")
    report.write(results, ROOT / "docs")
    print("Wrote docs/benchmarks.md and docs/benchmarks.svg; every single time is in out/benchmarks.json")


if __name__ == "__main__":
    main()
