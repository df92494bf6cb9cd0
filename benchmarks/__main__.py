"""`python -m benchmarks [name ...] [--small] [--json FILE]`: measure, print a table, keep the figures as JSON."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from tabulate import tabulate

from benchmarks import contacts_pull, csv_calls, first_sync, linked_plan, reliability, slack_latency, workers
from benchmarks.figures import Figure
from benchmarks.machine import Setting, here

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, ModuleType] = {
    "csv_calls": csv_calls,
    "contacts_pull": contacts_pull,
    "first_sync": first_sync,
    "linked_plan": linked_plan,
    "reliability": reliability,
    "slack": slack_latency,
    "workers": workers,
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Figures with everything that they depend on. `small`: for trying out, not for comparing."""

    date: datetime
    small: bool
    setting: Setting
    figures: dict[str, list[Figure]]
    took_s: dict[str, float]


def main(words: Sequence[str] | None = None) -> int:
    """Run what is named, or all."""
    chosen = _parser().parse_args(words)
    report = run(chosen.name or list(BENCHMARKS), small=chosen.small, say=print)
    path = chosen.json if chosen.json is not None else RESULTS / _file(chosen.name, report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    print(f"\nkept in {path}")
    return 0


def _file(names: Sequence[str], report: Report) -> str:
    """Some benchmarks do not take the place of all."""
    return "-".join([*names, str(report.date.date())]) + ".json"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures of Tieout on this machine.")
    parser.add_argument("name", nargs="*", help=", ".join(BENCHMARKS), type=_known)
    parser.add_argument("--small", action="store_true", help="small sizes, to try it out")
    parser.add_argument("--json", type=Path, help="where the figures go (default: in benchmarks/results)")
    return parser


def _known(name: str) -> str:
    if name not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"there is no {name}: {', '.join(BENCHMARKS)}")
    return name


def run(names: Sequence[str], *, small: bool, say: Callable[[str], Any]) -> Report:
    """Measure, and tell each table as soon as it is there."""
    setting = here()
    figures: dict[str, list[Figure]] = {}
    took: dict[str, float] = {}
    for name in names:
        module, started = BENCHMARKS[name], time.perf_counter()
        figures[name] = module.measure(module.SMALL if small else module.FULL)
        took[name] = round(time.perf_counter() - started, 1)
        say(f"\n{name}\n{table(figures[name])}")
    return Report(date=datetime.now(UTC), small=small, setting=setting, figures=figures, took_s=took)


def table(figures: Sequence[Figure]) -> str:
    """Figures for people to read."""
    said = {None: "", True: "met", False: "missed"}
    rows = [
        (f.name, f"{f.value:,}", f.unit, f"{f.aim.at_most:g} at most" if f.aim is not None else "", said[f.met], f.note)
        for f in figures
    ]
    return tabulate(rows, headers=("figure", "value", "unit", "aim", "", "measured on"), disable_numparse=True)


if __name__ == "__main__":
    sys.exit(main())
