"""The CSV example, whole: a real export as the CRM, QuickBooks' sandbox as the books, to the cent and to the call."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import yaml

from connectors.kit.contract import Token
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.registry import CONNECTORS
from worker.api import Api
from worker.api.views import PlanView, RunView
from worker.house import open_house
from worker.settings import WorkerSettings

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "crm_sales"
MAPPING = (ROOT / "docs" / "examples" / "crm_sales.yaml").read_text()
BATCH = 30  # writes in one call: https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/batch


class Company(msgspec.Struct):
    """The example set up: the pair, and the sandbox that counts its calls."""

    api: Api
    pair_id: str
    sandbox: QuickBooksSandbox

    async def run(self, run_id: str) -> tuple[RunView, int]:
        """A run's end, and the calls it cost."""
        before = self.sandbox.calls
        run = await self.api.wait(run_id, every_s=0.05)
        assert run.state == "done", run.error
        return run, self.sandbox.calls - before

    async def preview(self) -> tuple[PlanView, int]:
        run, calls = await self.run(await self.api.ask(self.pair_id, "preview", "tests"))
        return await self.api.plan(run.plan_id or "", limit=None), calls

    async def apply(self, plan: PlanView) -> tuple[RunView, int]:
        return await self.run(await self.api.apply(plan.id, plan.fingerprint, "tests"))


@contextlib.asynccontextmanager
async def company(folder: Path, data: Path, text: str = MAPPING) -> AsyncIterator[Company]:
    sandbox = QuickBooksSandbox(limits=False)
    async with sandbox, open_house(WorkerSettings(data=data), CONNECTORS) as house:
        api = Api(house)
        await api.connect("quickbooks", *_login(sandbox))
        columns = json.dumps(yaml.safe_load(text)["columns"])
        await api.connect("csv", {"folder": str(folder), "columns": columns})
        pair = await api.pair(text, "crm_sales.yaml", "tests")
        yield Company(api, pair.id, sandbox)


def _login(sandbox: QuickBooksSandbox) -> tuple[dict[str, str], Token]:
    given, authority = sandbox.token(), sandbox.authority
    token = Token(
        access=given["access_token"],
        refresh=given["refresh_token"],
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        client_id=authority.client_id,
        client_secret=authority.client_secret,
    )
    settings = {
        "pace": "off",
        "realm_id": sandbox.realm,
        "base_url": sandbox.url,
        "token_url": f"{sandbox.url}/oauth2/v1/tokens/bearer",
        "authorize_url": f"{sandbox.url}/connect/oauth2",
    }
    return settings, token


# --------------------------------------------------------------------------- the control totals


async def test_every_won_deal_becomes_an_invoice_to_the_cent(tmp_path: Path) -> None:
    """4,238 invoices for 85 customers, 10,005,534.00; the second run writes nothing; calls within 5% of the least:
    full batches, and one reading of the books."""
    async with company(DATA, tmp_path / "data") as acme:
        plan, reading = await acme.preview()
        wanted = {"books.customer.create": 85, "books.item.create": 7, "books.invoice.create": 4238}
        assert (wanted, {"USD": Decimal("10005534.00")}, {"USD": Decimal("0.00")}, 0, 0) == (
            plan.counts, plan.net, plan.tax, plan.held, plan.conflicts,
        )  # fmt: skip
        run, calls = await acme.apply(plan)
        assert {"done": 4330} == run.outcome
        least = sum(math.ceil(number / BATCH) for number in wanted.values())
        assert calls <= 1.05 * least and reading + calls <= 1.05 * (least + reading)
        written = _writes(acme)
        assert least == written
        again, _ = await acme.preview()
        await acme.apply(again)
        assert (0, 0, {}, written) == (again.changes, again.conflicts, again.counts, _writes(acme))
        # The open deals without an account harm nothing: nobody is asked, nothing waits.
        assert [] == await acme.api.waiting(acme.pair_id)


def _writes(acme: Company) -> int:
    """Calls that wrote: batches."""
    return sum(number for path, number in acme.sandbox.by_path.items() if path.endswith("/batch"))


async def test_with_a_cut_over_only_what_was_won_since_is_billed(tmp_path: Path) -> None:
    """1,196 invoices, 2,802,496.00."""
    text = MAPPING.replace("cut_over: 2016-10-01", "cut_over: 2017-10-01")
    assert text != MAPPING
    async with company(DATA, tmp_path / "data", text) as acme:
        plan, _ = await acme.preview()
        assert (1196, {"USD": Decimal("2802496.00")}) == (plan.documents, plan.net)


# --------------------------------------------------------------------------- broken on purpose


def broken(folder: Path) -> dict[str, str]:
    """The folder with rows broken: where -> what must be said about it."""
    shutil.copytree(DATA, folder)
    path = folder / "sales_pipeline.csv"
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    head = {name: n for n, name in enumerate(rows[0])}
    won = [n for n, row in enumerate(rows) if n > 0 and row[head["deal_stage"]] == "Won"]
    harm = {
        won[0]: ("close_value", "10O4", '"10O4" is not a number'),
        won[1]: ("close_date", "2017-02-30", '"2017-02-30" is not a date'),
        won[2]: ("deal_stage", "Wonn", 'Did you mean "Won"?'),
        won[3]: ("account", "Nobody Ltd", 'sold to "Nobody Ltd"'),
        won[4]: ("account", "", "names no account"),
        won[5]: ("product", "Unheard Of", "Unheard Of"),
        won[6]: ("close_value", "0", "nothing to bill"),
        won[7]: ("close_date", "", "date on which it was won"),
        won[8]: ("close_value", "", "amount"),
        won[9]: ("close_value", "12.345", "decimals"),
    }
    said = {}
    for n, (column, value, why) in harm.items():
        rows[n][head[column]] = value
        said[f"sales_pipeline.csv:{n + 1}"] = why
    rows.append(list(rows[won[10]]))  # one id, two rows: neither is believed
    for n in (won[10] + 1, len(rows)):
        said[f"sales_pipeline.csv:{n}"] = "stands in 2 rows"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return said


async def test_broken_rows_are_held_back_with_file_row_and_reason(tmp_path: Path) -> None:
    """Each of them is in the list, with where it stands and why; the others are billed, and nothing is guessed."""
    said = broken(tmp_path / "export")
    async with company(tmp_path / "export", tmp_path / "data") as acme:
        plan, _ = await acme.preview()
        waiting = {_row(row.place): row.reason for row in await acme.api.waiting(acme.pair_id)}
        assert set(said) == set(waiting)
        wrong = {place: waiting[place] for place, why in said.items() if why not in waiting[place]}
        assert {} == wrong
        assert 4238 - 11 == plan.counts["books.invoice.create"]
        # mended, they are billed with the rest
        shutil.copy(DATA / "sales_pipeline.csv", tmp_path / "export" / "sales_pipeline.csv")
        plan, _ = await acme.preview()
        assert (4238, {"USD": Decimal("10005534.00")}, []) == (
            plan.documents, plan.net, await acme.api.waiting(acme.pair_id),
        )  # fmt: skip


def _row(place: str | None) -> str:
    """File and row of a place, which may name a column too."""
    return ":".join((place or "").split(":")[:2])


async def test_a_row_that_is_broken_later_keeps_its_invoice(tmp_path: Path) -> None:
    """Billed, then somebody breaks the row: nothing is removed, nothing is billed twice, the row is reported."""
    folder = tmp_path / "export"
    shutil.copytree(DATA, folder)
    text = MAPPING.replace("cut_over: 2016-10-01", "cut_over: 2017-12-28")
    async with company(folder, tmp_path / "data", text) as acme:
        plan, _ = await acme.preview()
        first, _ = await acme.apply(plan)
        path = folder / "sales_pipeline.csv"
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        hit = next(n for n, line in enumerate(lines) if ",Won," in line and "2017-12-31" in line)
        lines[hit] = lines[hit].replace("2017-12-31", "2017-12-3x")
        path.write_text("\n".join(lines) + "\n")
        for _ in range(3):
            plan, _ = await acme.preview()
        places = Counter(_row(row.place) for row in await acme.api.waiting(acme.pair_id))
        assert (plan.counts, 1) == ({}, places[f"sales_pipeline.csv:{hit + 1}"])
        assert first.outcome["done"] > 30 and 0 == plan.conflicts
