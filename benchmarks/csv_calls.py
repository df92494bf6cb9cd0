"""Vendor calls of the documented CSV example against the least that can do it, and of a second run after it."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
import yaml

from benchmarks import accounts
from benchmarks.accounts import Login
from benchmarks.apart import measured, vendor
from benchmarks.driven import driving
from benchmarks.figures import Figure, figure
from benchmarks.machine import ROOT
from connectors.kit.sandbox import Seen
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.quickbooks.vendor import BATCH
from worker.api.views import PlanView

MAPPING = ROOT / "docs" / "examples" / "crm_sales.yaml"
EXPORT = ROOT.parent / "shared" / "data" / "crm_sales"


class Size(msgspec.Struct, frozen=True):
    """Won deals that are kept of the export; None: all of them."""

    won: int | None = None


FULL, SMALL = Size(), Size(40)
OVER_FLOOR_AIM = 5.0


class Traffic(msgspec.Struct, frozen=True):
    """Calls that reached QuickBooks: writes, reads, and the different things that the reads asked for."""

    writes: int
    reads: int
    asked: frozenset[str]

    @property
    def calls(self) -> int:
        return self.writes + self.reads


def measure(size: Size) -> list[Figure]:
    """Connect and pair, preview and apply, preview again: each in a process of its own, and every call counted at
    QuickBooks' own door."""
    with tempfile.TemporaryDirectory() as named, vendor("quickbooks") as books:
        folder = Path(named) / "tieout"
        measured(set_up, folder, books.do(accounts.quickbooks), _export(Path(named), size))
        known = books.calls
        made = measured(first_run, folder).value
        first = books.do(traffic, known)
        again = measured(second_run, folder).value
        second = books.do(traffic, known + first.calls)
    floor = least_writes(made) + least_reads(first)
    note = ", ".join(f"{number} {name}" for name, number in sorted(made.counts.items()))
    parts = f"{least_writes(made)} batches, {least_reads(first)} reads"
    return [
        figure("CSV example, calls to connect and pair", known, "calls"),
        figure("CSV example, calls of preview and apply", first.calls, "calls", None, note),
        figure("CSV example, the least calls", floor, "calls", None, parts),
        figure("CSV example, calls above the least", 100 * (first.calls / floor - 1), "%", OVER_FLOOR_AIM),
        figure("CSV example, calls of the second run", second.calls, "calls", None, f"{again.changes} changes planned"),
        figure("CSV example, writes of the second run", second.writes, "calls", 0),
    ]


def least_writes(plan: PlanView) -> int:
    """Full batches of each kind: a kind waits for the one that it names."""
    return sum(math.ceil(number / BATCH) for number in plan.counts.values())


def least_reads(seen: Traffic) -> int:
    """One call for each thing that was asked: what is asked twice could have been kept."""
    return len(seen.asked)


async def set_up(folder: Path, login: Login, export: Path) -> None:
    text = MAPPING.read_text()
    columns = json.dumps(yaml.safe_load(text)["columns"])
    logins = {"quickbooks": login, "csv": Login({"folder": str(export), "columns": columns})}
    async with driving(folder, logins, text):
        pass


async def first_run(folder: Path) -> PlanView:
    async with driving(folder) as driver:
        previewed = await driver.preview()
        await driver.apply(previewed.plan)
        return previewed.plan


async def second_run(folder: Path) -> PlanView:
    async with driving(folder) as driver:
        return (await driver.preview()).plan


def traffic(sandbox: QuickBooksSandbox, after: int) -> Traffic:
    """What came in after the first `after` calls."""
    seen = list(sandbox.requests)[after:]
    reads = [each for each in seen if each.method == "GET"]
    return Traffic(len(seen) - len(reads), len(reads), frozenset(_asked(each) for each in reads))


def _asked(seen: Seen) -> str:
    """What a read asks for: the list of a query, else its path."""
    query = parse_qs(seen.query).get("query", [""])[0]
    return query or seen.path


def _export(folder: Path, size: Size) -> Path:
    """The export, or a smaller one of its first won deals."""
    if size.won is None:
        return EXPORT
    made = folder / "export"
    made.mkdir()
    for name in ("accounts.csv", "products.csv"):
        (made / name).write_bytes((EXPORT / name).read_bytes())
    head, *rows = (EXPORT / "sales_pipeline.csv").read_text().splitlines()
    won = [row for row in rows if ",Won," in row][: size.won]
    (made / "sales_pipeline.csv").write_text("\n".join([head, *won]) + "\n")
    return made
