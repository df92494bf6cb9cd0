"""Reconcile a period: read both sides, ask the books for their own totals, and put every difference into a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import msgspec

from connectors.canon.fields import read
from connectors.canon.records import CreditNote, Customer, Deal, Invoice, Kind, Payment
from connectors.canon.values import ABSENT, Money
from connectors.kit.contract import Figures, Side
from worker.engine.billing import BillingRules, Position, PositionDocument
from worker.engine.drawing import title_of
from worker.engine.reconcile import (
    Accepted,
    Excluded,
    Header,
    Ledger,
    LedgerDeal,
    Period,
    Report,
    Waiting,
    ledger_deal,
    reconcile,
)
from worker.reports import record
from worker.reports.tables import headline
from worker.store import audit, billing, conflicts, connections, mirror, plans, reports
from worker.store.billing import PositionRow
from worker.store.database import Unit
from worker.usecases.office import SIDES, Desk
from worker.usecases.pull import pull_pair
from worker.usecases.verify_trail import REPORT_MADE, digest_of, verify_trail


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """A stored report and what it says."""

    report_id: str
    report: Report


class NotAMonth(ValueError):
    """A period that cannot be read."""


def month(text: str | None, today: date) -> Period:
    """`2026-10`, or the last whole month before today."""
    if text is None:
        last = today.replace(day=1) - timedelta(days=1)
        return Period(last.replace(day=1), last)
    try:
        start = date.fromisoformat(f"{text.strip()}-01")
    except ValueError:
        raise NotAMonth(f'"{text}" is no month: write it like 2026-10') from None
    following = (start + timedelta(days=32)).replace(day=1)
    return Period(start, following - timedelta(days=1))


async def reconcile_period(desk: Desk, text: str | None, by: str, run_id: str | None = None) -> Reconciled:
    """Pull both sides, gather everything the report is made from, make it, store it and put it on record. It carries
    the audit trail's head, and says so if the trail does not hold."""
    zone = ZoneInfo(desk.mapping.time_zone)
    async with desk.db.read() as tx:
        today = (await tx.now()).astimezone(zone).date()
    period = month(text, today)
    await pull_pair(desk)
    await desk.say("Asking the books for their totals", 0, 0)
    figures = await desk.connector("books").figures(period.start, period.end)
    await desk.say("Reconciling", 0, 0)
    async with desk.db.read() as tx:
        broken = await verify_trail(tx, desk.pair.id)
    async with desk.db.write() as tx:
        ledger = await _ledger(tx, desk, zone, figures)
        version = await reports.next_version(tx, desk.pair.id, period.start)
        header = Header(
            pair=desk.pair.name,
            crm=desk.title("crm"),
            books=desk.title("books"),
            period=period,
            zone=desk.mapping.time_zone,
            as_of=min(period.end, today),
            read_at=await tx.now(),
            version=version,
            mapping_version=str(desk.pair.mapping_version),
            prepared_by=by,
            trail="{}:{}".format(*await audit.head(tx, desk.pair.id)),
            trail_break=f"{broken.reason} (entry {broken.seq})" if broken is not None else None,
        )
        report = reconcile(ledger, header)
        body = record.encode(report).decode()
        report_id = await reports.save(tx, desk.pair.id, period.start, version, body, by)
        await audit.append(tx, desk.pair.id, [_entry(report, body, report_id, by, run_id)])
    return Reconciled(report_id=report_id, report=report)


def _entry(report: Report, body: str, report_id: str, by: str, run_id: str | None) -> audit.Entry:
    return audit.Entry(
        action=REPORT_MADE,
        actor=by,
        subject=report_id,
        run=run_id,
        detail={
            "period": report.header.period.start.isoformat()[:7],
            "version": report.header.version,
            "says": headline(report),
            "digest": record.digest(report),
            "body": digest_of(body),
        },
    )


# --------------------------------------------------------------------------- gather


async def _ledger(tx: Unit, desk: Desk, zone: ZoneInfo, figures: Figures | None) -> Ledger:
    books = desk.pair.books
    invoices = await mirror.load_all(tx, books, Kind.INVOICE)
    credit_notes = await mirror.load_all(tx, books, Kind.CREDIT_NOTE) if desk.has("books", Kind.CREDIT_NOTE) else []
    payments = await mirror.load_all(tx, books, Kind.PAYMENT) if desk.has("books", Kind.PAYMENT) else []
    positions = await billing.positions_of(tx, desk.pair.id)
    return Ledger(
        home_currency=desk.catalogues["books"].home_currency or "",
        cut_over=desk.mapping.cut_over,
        deals=await _deals(tx, desk, zone, positions),
        links=await _links(tx, positions),
        invoices=tuple(r for r in invoices if isinstance(r, Invoice)),
        credit_notes=tuple(r for r in credit_notes if isinstance(r, CreditNote)),
        payments=tuple(r for r in payments if isinstance(r, Payment)),
        customers=await _names(tx, desk, "books"),
        deal_customers=await _names(tx, desk, "crm"),
        figures=figures,
        expected=desk.mapping.expected_without_deal,
        unread=await _unread(tx, desk),
    )


async def _names(tx: Unit, desk: Desk, side: Side) -> dict[str, str]:
    records = await mirror.load_all(tx, desk.pair.connection(side), Kind.CUSTOMER)
    return {r.ref: title_of(r) for r in records if isinstance(r, Customer)}


async def _unread(tx: Unit, desk: Desk) -> tuple[Excluded, ...]:
    """Rows that could not be read at all: left out, counted, with the reason."""
    found: dict[tuple[str, str], int] = {}
    for side in SIDES:
        for row in await mirror.bad(tx, desk.pair.connection(side)):
            key = (f"{row['kind']} of {desk.title(side)}", row["reason"])
            found[key] = found.get(key, 0) + 1
    return tuple(Excluded(what=what, count=count, reason=reason) for (what, reason), count in sorted(found.items()))


async def _links(tx: Unit, positions: Mapping[str, Sequence[PositionRow]]) -> tuple[PositionDocument, ...]:
    keys = {row.id: f"{row.deal}/{row.seq}" for rows in positions.values() for row in rows}
    documents = await billing.documents_of(tx, list(keys))
    return tuple(
        PositionDocument(
            position=keys[position], ref=d.ref, kind=d.kind, generation=d.generation, credited=d.state == "credited"
        )
        for position, rows in documents.items()
        for d in rows
    )


async def _deals(
    tx: Unit, desk: Desk, zone: ZoneInfo, positions: Mapping[str, Sequence[PositionRow]]
) -> tuple[LedgerDeal, ...]:
    rules = BillingRules(zone=zone, cut_over=desk.mapping.cut_over, basis=desk.mapping.deal_amount)
    waiting = await _waiting(tx, desk)
    accepted = await _accepted(tx, desk)
    paid = _paid_field(desk)
    found = []
    for deal in await mirror.load_all(tx, desk.pair.crm, Kind.DEAL):
        if not isinstance(deal, Deal):
            continue
        rows = positions.get(deal.ref, ())
        billed = [row for row in rows if row.state != "open"]
        found.append(
            ledger_deal(
                deal,
                rules,
                billing=tuple(_position(row) for row in rows) if billed else None,
                was_won=bool(billed),
                accepted=accepted.get(deal.ref),
                waiting=waiting.get(deal.ref),
                marked=_marked(deal, paid),
            )
        )
    return tuple(found)


def _position(row: PositionRow) -> Position:
    return Position(
        deal=row.deal, seq=row.seq, role=row.role, planned_on=row.planned_on, net=Money(row.net, row.currency)
    )


async def _waiting(tx: Unit, desk: Desk) -> dict[str, dict[str, Waiting]]:
    """Why deals have no document yet: they wait for data or a person, or their change is held."""
    found: dict[str, dict[str, Waiting]] = {}
    for row in await connections.waiting(tx, desk.pair.id):
        if row["side"] == "crm" and row["kind"] == Kind.DEAL.value:
            found[row["ref"]] = {"": Waiting(why=row["reason"])}
    plan = await plans.current_plan(tx, desk.pair.id)
    if plan is not None:
        for stored in await plans.read_changes(tx, plan.id, ["held"], flow="invoices"):
            found.setdefault(stored.change.source_ref, {})[""] = Waiting(why=stored.reason or "held")
    return found


async def _accepted(tx: Unit, desk: Desk) -> dict[str, Accepted]:
    """Deals that are not billed, by one person's word and a second one's."""
    found = {}
    for (side, kind, ref), said in (await conflicts.decided(tx, desk.pair.id)).items():
        if side != "crm" or kind is not Kind.DEAL:
            continue
        agreed = [d for d in said if d.verdict == "not_billable"]
        if agreed:
            found[ref] = msgspec.json.decode(agreed[-1].detail, type=Accepted)
    return found


def _paid_field(desk: Desk) -> str | None:
    """The deal's field that says what was paid."""
    rules = desk.mapping.payments.fields if desk.mapping.payments is not None else ()
    return next((rule.crm for rule in rules if rule.books == "paid_cash"), None)


def _marked(deal: Deal, path: str | None) -> Decimal | msgspec.UnsetType | None:
    if path is None:
        return ABSENT
    value = read(deal, path)
    if value is ABSENT or value is None or value == "":
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None
