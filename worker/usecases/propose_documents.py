"""Plan documents: a won deal gives billing positions, a position without a document gives an invoice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from connectors.canon.records import Deal, Invoice, Kind
from worker.engine.billing import NotBillable, Position, positions, won_on
from worker.engine.drawing import Drawing, Joined, Subject
from worker.engine.mapping import InvoicesFlow
from worker.engine.plan import Change
from worker.store import billing as store
from worker.store import mirror
from worker.store.billing import DocumentRow, NewDocument, PositionRow
from worker.store.database import Unit, chunks
from worker.usecases.billed_already import (
    Drawn,
    already_billed,
    as_history,
    match_existing,
    position_row,
    to_be_billed,
)
from worker.usecases.billed_and_changed import Billed, ended_documents, look_again, unwon
from worker.usecases.document_ledger import Ledger, open_ledger
from worker.usecases.draw_invoice import books_customer, customer_ref, invoice_for, net_of_deal
from worker.usecases.in_turns import in_turns
from worker.usecases.office import Desk
from worker.usecases.scope import Scope

SLICE = 5_000


async def propose_documents(tx: Unit, desk: Desk, customers: Scope, items: Scope, drawing: Drawing) -> None:
    """Everything dirty among deals, and invoices that a person ended, becomes changes, questions or a reason."""
    flow = desk.mapping.invoices
    if flow is None:
        return
    dirt = customers.known.dirt
    await ended_documents(tx, desk, drawing, [row.ref for row in dirt.due(("books", Kind.INVOICE))])
    for part in chunks(dirt.due(("crm", Kind.DEAL)), SLICE):
        await _slice(tx, desk, flow, customers, items, drawing, [row.ref for row in part])


async def _slice(
    tx: Unit,
    desk: Desk,
    flow: InvoicesFlow,
    customers: Scope,
    items: Scope,
    drawing: Drawing,
    refs: Sequence[str],
) -> None:
    found = await mirror.load(tx, desk.pair.crm, Kind.DEAL, refs)
    deals = [deal for deal in found.values() if isinstance(deal, Deal)]
    known = await store.positions_of(tx, desk.pair.id, refs)
    documents = await store.documents_of(tx, [p.id for rows in known.values() for p in rows])
    won = [deal for deal in deals if deal.status == "won"]
    ledger = await open_ledger(tx, desk, flow, customers, items, drawing, won)
    ledger.matches = await asyncio.to_thread(match_existing, ledger, won, known, documents)
    live = [d.ref for rows in documents.values() for d in rows if d.state == "live" and d.kind is Kind.INVOICE]
    standing = await mirror.load(tx, desk.pair.books, Kind.INVOICE, live)
    ledger.stands = {ref: record for ref, record in standing.items() if isinstance(record, Invoice)}
    reasons = {match.ref: ", ".join(match.reasons) for match in ledger.matches.values() if match.verdict == "same"}
    new: list[PositionRow] = []
    matched: list[tuple[NewDocument, str]] = []
    dropped: list[str] = []
    drawing.consider(*(Subject("crm", Kind.DEAL, ref) for ref in refs))
    gone = [ref for ref in refs if ref not in found]
    for ref in gone:
        unwon(ledger, drawing, ref, None, known.get(ref, []), documents)
    async for deal in in_turns(deals):
        drawn = _draw_deal(ledger, drawing, deal, known.get(deal.ref, []), documents, customers)
        new += drawn.positions
        matched += drawn.matched
        drawing.joined += [_joined(reasons, deal, document) for document, _ in drawn.matched]
        dropped += drawn.dropped
    await store.save_positions(tx, desk.pair.id, new)
    await store.drop_positions(tx, dropped)
    for state in ("history", "billed"):
        rows = [document for document, word in matched if word == state]
        await store.add_documents(tx, desk.pair.id, rows, state)


def _joined(reasons: Mapping[str | None, str], deal: Deal, document: NewDocument) -> Joined:
    """For the audit trail: a document that was there already is the deal's."""
    records = (Subject("books", document.kind, document.ref), Subject("crm", Kind.DEAL, deal.ref))
    return Joined(how="document.matched", records=records, why=reasons.get(document.ref) or "a person said so")


def _draw_deal(
    ledger: Ledger,
    drawing: Drawing,
    deal: Deal,
    known: list[PositionRow],
    documents: dict[str, list[DocumentRow]],
    customers: Scope,
) -> Drawn:
    subject = Subject("crm", Kind.DEAL, deal.ref)
    unbilled = [row.id for row in known if row.state == "open" and not documents.get(row.id)]
    planned = positions(deal, ledger.rules, net=net_of_deal(ledger, deal))
    if isinstance(planned, NotBillable) and planned.reason not in ("before_cut_over", "held"):
        unwon(ledger, drawing, deal.ref, deal, known, documents)
        return Drawn([], [], unbilled)
    if any(d.verdict in ("not_needed", "not_billable") for d in ledger.decisions.get(("crm", Kind.DEAL, deal.ref), [])):
        drawing.settle([subject])
        return Drawn([], [], unbilled)
    if isinstance(planned, NotBillable):
        if planned.reason == "before_cut_over":
            return as_history(ledger, drawing, deal, known)
        drawing.wait([subject], planned.why, f"customer:{customer_ref(deal)}")
        return Drawn([], [], [])
    return _draw_positions(ledger, drawing, deal, planned, {row.seq: row for row in known}, documents, customers)


def _draw_positions(
    ledger: Ledger,
    drawing: Drawing,
    deal: Deal,
    planned: Sequence[Position],
    known: dict[int, PositionRow],
    documents: dict[str, list[DocumentRow]],
    customers: Scope,
) -> Drawn:
    drawn = Drawn([], [], [])
    waits: list[str] = []
    later = False
    subject = Subject("crm", Kind.DEAL, deal.ref)
    for position in planned:
        row = known.pop(position.seq, None)
        held = documents.get(row.id, []) if row is not None else []
        if row is not None and not to_be_billed(row, held):
            billed = Billed(deal=deal, position=position, row=row, held=held, whole=len(planned) == 1)
            reason = look_again(ledger, drawing, billed, customers)
            waits += [reason] if reason is not None else []
            continue
        fresh = position_row(position, row)
        drawn.positions.append(fresh)
        outcome = _bill(ledger, drawing, deal, position, fresh, customers, whole=len(planned) == 1)
        if isinstance(outcome, Change):
            drawing.changes.append(outcome)
        elif isinstance(outcome, NewDocument):
            drawn.matched.append((outcome, "billed"))
        elif outcome is not None:
            waits.append(outcome)
        else:
            later = True  # its time has not come: looked at again with the next plan
    former = [(row, documents.get(row.id, [])) for row in known.values()]
    waits += _not_planned(ledger, drawing, deal, drawn, former, customers)
    if waits:
        drawing.wait([subject], "; ".join(dict.fromkeys(waits)), _waits_for(deal, waits), again=later)
    elif later:
        drawing.wait([subject], None, again=True)
    else:
        drawing.settle([subject])
    return drawn


def _not_planned(
    ledger: Ledger,
    drawing: Drawing,
    deal: Deal,
    drawn: Drawn,
    rows: Iterable[tuple[PositionRow, list[DocumentRow]]],
    customers: Scope,
) -> list[str]:
    """Positions that the deal's billing plan had once: forgotten if they were never billed, asked about if they
    were."""
    waits = []
    for row, held in rows:
        if not held and row.state == "open":
            drawn.dropped.append(row.id)
            continue
        billed = Billed(deal=deal, position=None, row=row, held=held)
        reason = look_again(ledger, drawing, billed, customers)
        waits += [reason] if reason is not None else []
    return waits


def _waits_for(deal: Deal, waits: Sequence[str]) -> str:
    """What wakes a deal that waits: its customer, or an item where that is what the books lack."""
    return "item" if any("no item" in reason for reason in waits) else f"customer:{customer_ref(deal)}"


def _bill(
    ledger: Ledger,
    drawing: Drawing,
    deal: Deal,
    position: Position,
    row: PositionRow,
    customers: Scope,
    *,
    whole: bool,
) -> Change | NewDocument | str | None:
    """The invoice of a position; or the existing invoice that it turns out to have; or why it waits; or None:
    its time has not come."""
    day = won_on(deal, ledger.rules.zone)
    if day is None or _too_soon(ledger, deal, position):
        return None
    customer = books_customer(ledger, drawing, deal, customers)
    if isinstance(customer, str):
        return customer
    existing = already_billed(ledger, drawing, deal, position, customer, row)
    return existing if existing is not None else invoice_for(ledger, deal, position, row, customer, whole=whole)


def _too_soon(ledger: Ledger, deal: Deal, position: Position) -> bool:
    """People mend typos just after closing; and an instalment is billed on its day."""
    today = ledger.now.astimezone(ledger.rules.zone).date()
    if position.planned_on > today and position.role != "final":
        return True
    if not isinstance(deal.won_at, datetime):
        return False
    return ledger.now < deal.won_at + timedelta(minutes=ledger.flow.ready.wait_after_won_min)
