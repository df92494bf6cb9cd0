"""Invoices that were there before: the one that a deal has already is linked and not made again; what was won before
the cut-over is history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from connectors.canon.records import Deal, Kind
from connectors.canon.values import Money
from worker.engine.billing import NotBillable, Position, positions, won_on
from worker.engine.drawing import Drawing, Subject, title_of
from worker.engine.match import Match, Wanted, match_invoice, match_invoices
from worker.engine.questions import Question
from worker.outside import new_id
from worker.store.billing import DocumentRow, NewDocument, PositionRow
from worker.usecases.document_ledger import Counterpart, Ledger
from worker.usecases.draw_invoice import customer_ref, net_of_deal


class Drawn(msgspec.Struct):
    """What one deal gave: positions to store, existing invoices that turned out to be its documents, positions
    that it has no more and that were never billed."""

    positions: list[PositionRow]
    matched: list[tuple[NewDocument, str]]
    dropped: list[str]


def position_row(position: Position, known: PositionRow | None) -> PositionRow:
    return PositionRow(
        id=known.id if known is not None else new_id("po"),
        deal=position.deal,
        seq=position.seq,
        role=position.role,
        planned_on=position.planned_on,
        net=position.net.amount,
        currency=position.net.currency,
        generation=known.generation if known is not None else 0,
        state="open",
    )


def to_be_billed(row: PositionRow, held: Sequence[DocumentRow]) -> bool:
    """Whether a position waits for a document: its first, or another one after a person said *Bill again*."""
    return row.state == "open" and not any(document.state == "live" for document in held)


def already_billed(
    ledger: Ledger, drawing: Drawing, deal: Deal, position: Position, customer: Counterpart, row: PositionRow
) -> NewDocument | str | None:
    """Somebody may have typed the invoice by hand: one that fits is the document, several are asked about."""
    if customer.ref.startswith("@"):
        return None
    said = ledger.decisions.get(("crm", Kind.DEAL, deal.ref), [])
    different = {d.detail for d in said if d.verdict == "different"}
    match = ledger.matches.get(position.key, Match(verdict="none"))
    if different:
        match = match_invoice(_wanted(ledger, deal, position, customer.ref), ledger.invoices, ledger.taken | different)
    same = next((d.detail for d in said if d.verdict == "same" and d.detail not in ledger.taken), None)
    found = same or (match.ref if match.verdict == "same" else None)
    if found is not None:
        ledger.taken.add(found)
        return NewDocument(
            position_id=row.id, generation=row.generation, kind=Kind.INVOICE, ref=found, provenance="matched"
        )
    if match.verdict == "ask":
        candidates: tuple[dict[str, Any], ...] = tuple(
            {"ref": c.ref, "title": ledger.invoices.title(c.ref), "score": c.score, "reasons": list(c.reasons)}
            for c in match.candidates
        )
        drawing.asked.append(
            Question(
                what="match",
                kind=Kind.DEAL,
                side="crm",
                ref=deal.ref,
                title=f"{title_of(deal)}: billed already?",
                reason="; ".join(f"{c['title']}: {c['score']}%, {', '.join(c['reasons'])}" for c in candidates),
                rule="match",
                candidates=candidates,
            )
        )
        return "It may be billed already: a person decides."
    return None


def _wanted(ledger: Ledger, deal: Deal, position: Position, customer: str) -> Wanted:
    texts = [deal.po_number, deal.name, deal.ref]
    return Wanted(
        customer=customer,
        currency=position.net.currency,
        net=position.net.amount,
        gross=deal.amount.amount if isinstance(deal.amount, Money) else None,
        won_on=won_on(deal, ledger.rules.zone),
        references=tuple(text for text in texts if isinstance(text, str) and text),
    )


def match_existing(
    ledger: Ledger, won: Sequence[Deal], known: dict[str, list[PositionRow]], documents: dict[str, list[DocumentRow]]
) -> dict[str, Match]:
    """Existing invoices for every position without a document, at once: none is given to two of them."""
    wanted: dict[str, Wanted] = {}
    for deal in won:
        customer = ledger.customers.get(customer_ref(deal))
        if customer is None or customer.ref.startswith("@"):
            continue
        billed = {row.seq for row in known.get(deal.ref, []) if not to_be_billed(row, documents.get(row.id, []))}
        for position in _looked_for(ledger, deal):
            if position.seq not in billed:
                wanted[position.key] = _wanted(ledger, deal, position, customer.ref)
    return match_invoices(wanted, ledger.invoices, ledger.taken)


def _looked_for(ledger: Ledger, deal: Deal) -> tuple[Position, ...]:
    """The positions that may have an invoice already; before the cut-over, the deal as a whole."""
    planned = positions(deal, ledger.rules, net=net_of_deal(ledger, deal))
    if not isinstance(planned, NotBillable):
        return planned
    day = won_on(deal, ledger.rules.zone)
    if planned.reason != "before_cut_over" or day is None or not isinstance(deal.amount, Money):
        return ()
    return (Position(deal=deal.ref, seq=1, role="final", planned_on=day, net=deal.amount),)


def as_history(ledger: Ledger, drawing: Drawing, deal: Deal, known: list[PositionRow]) -> Drawn:
    """Won before the cut-over: linked to the invoice it has, if that can be told, and never billed. One whose
    customer has no counterpart yet waits for it."""
    subject = Subject("crm", Kind.DEAL, deal.ref)
    customer = ledger.customers.get(customer_ref(deal))
    day = won_on(deal, ledger.rules.zone)
    if known or day is None or not isinstance(deal.amount, Money):
        drawing.settle([subject])
        return Drawn([], [], [])
    if customer is None or customer.ref.startswith("@"):
        drawing.wait([subject], None, f"customer:{customer_ref(deal)}")
        return Drawn([], [], [])
    drawing.settle([subject])
    position = Position(deal=deal.ref, seq=1, role="final", planned_on=day, net=deal.amount)
    match = ledger.matches.get(position.key, Match(verdict="none"))
    if match.verdict != "same" or match.ref is None:
        return Drawn([], [], [])
    ledger.taken.add(match.ref)
    row = position_row(position, None)
    document = NewDocument(position_id=row.id, generation=0, kind=Kind.INVOICE, ref=match.ref, provenance="matched")
    return Drawn([msgspec.structs.replace(row, state="history")], [(document, "history")], [])
