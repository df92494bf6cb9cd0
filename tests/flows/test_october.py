"""October 2026 through the worker: the books are QuickBooks' sandbox, the CRM is the reference connector."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import msgspec
import openpyxl
import pytest

from connectors.canon.records import Customer, Kind
from connectors.kit.contract import Token
from connectors.memory.world import MemoryWorld
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.registry import CONNECTORS
from tests.fixtures import october_2026
from tests.fixtures.october_2026_records import ACCEPTED, DEALS, ZONE
from worker.api import Api, Problem
from worker.api.views import PairView, ReportView
from worker.engine.billing import won_on
from worker.engine.reconcile import Category, Report
from worker.house import House, open_house
from worker.reports import record
from worker.settings import WorkerSettings
from worker.store import billing, conflicts
from worker.store.billing import NewDocument, PositionRow
from worker.store.conflicts import Decision
from worker.store.tables import mirror

MAPPING = """
pair: october
crm: memory
books: quickbooks
time_zone: America/New_York
cut_over: 2026-09-01
deal_amount: net
flows:
  invoices:
    apply: observe
    due: 30
    number: template
    number_template: "T-{deal}"
    tax: [{otherwise: NON}]
expected_without_deal: [{number: "1047"}]
"""
BILLED = {
    "D1": "1041",
    "D3": "1042",
    "D6": "1043",
    "D7": "1044",
    "D8": "1045",
    "D9": "1046",
    "D10": "1049",
    "D4": "1050",
}


@pytest.fixture
async def month(tmp_path: Path) -> AsyncIterator[tuple[House, Api, PairView, QuickBooksSandbox]]:
    """Both sides with October in them, paired, and what was billed on record."""
    world = MemoryWorld.make("october-crm")
    for deal in DEALS:
        world.add(Customer(ref=str(deal.sold_to), legal_name=f"Customer of {deal.ref}"))
        world.add(deal)
    sandbox = october_2026.sandbox(limits=False)
    async with sandbox, open_house(WorkerSettings(data=tmp_path / "data"), CONNECTORS) as house:
        made = october_2026.books(sandbox)
        api = Api(house)
        await api.connect("memory", {"world": "october-crm"})
        await api.connect("quickbooks", _settings(sandbox), Token(access=sandbox.token()["access_token"]))
        pair = await api.pair(MAPPING, "october.yaml", "tests")
        await _on_record(house, pair, made)
        yield house, api, pair, sandbox


def _settings(sandbox: QuickBooksSandbox) -> dict[str, str]:
    return {"realm_id": sandbox.realm, "base_url": sandbox.url, "token_url": f"{sandbox.url}/oauth2/v1/tokens/bearer"}


async def _on_record(house: House, pair: PairView, made: october_2026.October) -> None:
    deals = {deal.ref: deal for deal in DEALS}
    async with house.db.write() as tx:
        rows, documents = [], []
        for ref, number in BILLED.items():
            deal = deals[ref]
            steps = deal.billing_plan if isinstance(deal.billing_plan, tuple) else ()
            planned = [(step.role, step.planned_on, step.net) for step in steps]
            if not planned:
                day = won_on(deal, ZONE)
                planned = [("final", day, deal.amount.amount)]  # type: ignore[union-attr, list-item]  # all have both
            for seq, (role, on, net) in enumerate(planned, 1):
                rows.append(
                    PositionRow(
                        id=f"po_{ref}_{seq}",
                        deal=ref,
                        seq=seq,
                        role=role,
                        planned_on=on,
                        net=net,
                        currency=deal.amount.currency,  # type: ignore[union-attr]  # see above
                        generation=0,
                        state="open",
                    )
                )
            documents.append(
                NewDocument(
                    position_id=f"po_{ref}_1",
                    generation=0,
                    kind=Kind.INVOICE,
                    ref=made.invoices[number],
                    provenance="created",
                )
            )
        await billing.save_positions(tx, pair.id, rows)
        await billing.add_documents(tx, pair.id, documents)
        for ref, accepted in ACCEPTED.items():
            detail = msgspec.json.encode(accepted).decode()
            decision = Decision(side="crm", kind=Kind.DEAL, ref=ref, verdict="not_billable", detail=detail)
            await conflicts.decide(tx, pair.id, decision, accepted.by)


def _report(view: ReportView) -> Report:
    return record.decode(msgspec.json.encode(view.figures))


def _figures(report: Report, number: int, currency: str | None = None) -> dict[str, Decimal]:
    bridge = report.bridge(number, currency)  # type: ignore[arg-type]  # 1 to 4
    return {line.category.value: line.amount for line in bridge.lines}


async def test_october_ties_to_the_cent(month: tuple[House, Api, PairView, QuickBooksSandbox]) -> None:
    """Every category of accounting.md has its figure, and nothing is unexplained by the books' own totals."""
    _, api, pair, _ = month
    view = await api.reconcile(pair.id, "2026-10", "tests")
    report = _report(view)
    won = report.bridge(1, "USD")
    assert (Decimal("26820.00"), 8, Decimal("18448.40"), 7) == (won.start, won.start_count, won.read, won.read_count)
    assert {
        Category.MISSING.value: Decimal("-240.00"),
        Category.LATER_INSTALMENT.value: Decimal("-9000.00"),
        Category.CUT_OFF_OUT.value: Decimal("-4160.00"),
        Category.NOT_BILLABLE.value: Decimal("-500.00"),
        Category.CUT_OFF_IN.value: Decimal("5250.00"),
        Category.AMOUNT_DIFFERS.value: Decimal("-50.00"),
        Category.CHARGE_NOT_IN_DEAL.value: Decimal("28.40"),
        Category.NO_DEAL_EXPECTED.value: Decimal("300.00"),
    } == _figures(report, 1, "USD")
    for number, independent in ((1, "19528.40"), (2, "20168.40"), (3, "8368.40")):
        home = report.bridge(number)  # type: ignore[arg-type]  # 1 to 3
        assert (Decimal(independent), Decimal("0.00")) == (home.independent, home.unexplained)
    assert {
        "invoices": Decimal("20168.40"),
        "credit notes": Decimal("-200.00"),
        "cash": Decimal("-15449.50"),
        "withheld": Decimal("-48.00"),
        "bank charges": Decimal("-15.00"),
        "realised FX": Decimal("12.50"),
    } == {line.label: line.amount for line in report.bridge(3).lines}
    assert view.ties
    assert "8,368.40" in view.text


async def test_a_lost_row_shows(month: tuple[House, Api, PairView, QuickBooksSandbox]) -> None:
    """Saboteur: one invoice is lost from the mirror, and the books' own total no longer agrees."""
    house, api, pair, sandbox = month
    sandbox.clock.advance(600)  # past the overlap of the change feed, which would bring the row back
    assert (await api.reconcile(pair.id, "2026-10", "tests")).ties
    async with house.db.write() as tx:
        await tx.run(mirror.delete().where(mirror.c.kind == "invoice", mirror.c.body.contains('"number":"1041"')))
    spoilt = await api.reconcile(pair.id, "2026-10", "tests")
    assert not spoilt.ties
    assert Decimal("0.00") != _report(spoilt).bridge(3).unexplained


async def test_a_report_has_versions_and_a_workbook(month: tuple[House, Api, PairView, QuickBooksSandbox]) -> None:
    """A period reconciled again is version 2; the workbook holds what the report says."""
    _, api, pair, _ = month
    first = await api.reconcile(pair.id, "2026-10", "tests")
    second = await api.reconcile(pair.id, "2026-10", "tests")
    assert (1, 2) == (first.version, second.version)
    book = openpyxl.load_workbook(BytesIO(await api.workbook(second.id)), read_only=True)
    cells = [cell for row in book["Summary"].iter_rows(values_only=True) for cell in row]
    assert any(isinstance(cell, int | float) and Decimal(str(cell)) == Decimal("8368.4") for cell in cells)


async def test_a_month_that_is_none_is_refused(month: tuple[House, Api, PairView, QuickBooksSandbox]) -> None:
    """What cannot be read as a month is said, with an example."""
    _, api, pair, _ = month
    with pytest.raises(Problem, match="write it like 2026-10"):
        await api.reconcile(pair.id, "last octember", "tests")
