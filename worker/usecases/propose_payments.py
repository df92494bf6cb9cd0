"""Plan payment states: what the books say of a deal's documents goes back to the deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from connectors.canon.fields import FieldType, Value, read
from connectors.canon.records import CreditNote, Deal, Invoice, Kind, Payment
from connectors.canon.values import Money
from connectors.kit.contract import Side
from worker.engine.drawing import Drawing, Subject, back_and_forth, field_change, title_of
from worker.engine.field_names import field_name
from worker.engine.mapping import PaymentsFlow
from worker.engine.merge import Agree, Ask, Base, Fill, Hold, Take, merge
from worker.engine.plan import Change
from worker.engine.settlement import Settlement, gather, settle
from worker.outside import new_id
from worker.store import billing as store
from worker.store import links as link_store
from worker.store import mirror, plans
from worker.store.billing import DocumentRow, PositionRow
from worker.store.database import Unit
from worker.store.links import Link, NewLink
from worker.usecases.in_turns import in_turns
from worker.usecases.office import Desk
from worker.usecases.scope import Known, flapping_fields

DOCUMENTS = (Kind.INVOICE, Kind.CREDIT_NOTE, Kind.PAYMENT)
STANDING = ("live", "credited")  # a credited invoice is on record still, and so is what settled it


async def propose_payments(tx: Unit, desk: Desk, known: Known, drawing: Drawing) -> None:
    """Deals whose documents moved in the books get their payment fields. A moved document stays to be planned
    until its deals agree with it; one that stands for no deal is done with."""
    rows = known.dirt.due(*(("books", kind) for kind in DOCUMENTS))
    subjects = [Subject("books", row.kind, row.ref) for row in rows]
    flow = desk.mapping.payments
    touched = await _deals_touched(tx, desk, subjects) if flow is not None and flow.fields else {}
    deals = list(dict.fromkeys(deal for found in touched.values() for deal in found))
    reasons: dict[str, Left] = {}
    if flow is not None and deals:
        reasons = await _write_back(tx, desk, flow, known, drawing, deals)
    changing = {c.source_ref for c in drawing.changes if c.flow == "payments"}
    for subject in subjects:
        held = {deal: reasons[deal] for deal in sorted(touched.get(subject, set())) if deal in reasons}
        if changing & touched.get(subject, set()):
            drawing.keep([subject])
        for deal, left in held.items():
            drawing.wait([subject], left.reason, f"deal:{deal}", again=left.again)
        if not held:
            drawing.settle([subject])


class Left(msgspec.Struct, frozen=True):
    """Why a deal is not marked. `again`: its time may come without anything moving."""

    reason: str
    again: bool = False


async def _deals_touched(tx: Unit, desk: Desk, subjects: Sequence[Subject]) -> dict[Subject, set[str]]:
    """The deals that each moved document says something about."""
    invoices: dict[Subject, set[str]] = {s: {s.ref} for s in subjects if s.kind is Kind.INVOICE}
    for subject in subjects:
        if subject.kind is not Kind.INVOICE:
            invoices[subject] = await store.settles(tx, desk.pair.books, [(subject.kind, subject.ref)])
    refs = {ref for found in invoices.values() for ref in found}
    documents = await store.documents_by_ref(tx, desk.pair.id, [(Kind.INVOICE, ref) for ref in refs])
    positions = await store.position_by_id(tx, [d.position_id for d in documents.values()])
    deal_of = {ref: positions[document.position_id].deal for (_, ref), document in documents.items()}
    return {s: {deal_of[ref] for ref in found if ref in deal_of} for s, found in invoices.items()}


async def _write_back(
    tx: Unit, desk: Desk, flow: PaymentsFlow, known: Known, drawing: Drawing, refs: Sequence[str]
) -> dict[str, Left]:
    """Draw the updates; the deals that cannot be marked come back with the reason."""
    found = await mirror.load(tx, desk.pair.crm, Kind.DEAL, refs)
    positions = await store.positions_of(tx, desk.pair.id, refs)
    settlements = await _settlements(tx, desk, positions)
    links = await _deal_links(tx, desk, list(found))
    types = {rule.key: (rule.crm_type or FieldType.TEXT, rule.books_type or FieldType.TEXT) for rule in flow.fields}
    bases = await link_store.load_bases(tx, [link.id for link in links.values()], types)
    flaps = await flapping_fields(tx, desk, Kind.DEAL)
    said_no = {ref: why for ref in found if (why := known.refused.get(("crm", Kind.DEAL, ref))) is not None}
    refused = await plans.last_refused(tx, desk.pair.id, "payments", list(said_no))
    reasons: dict[str, Left] = {}
    async for ref, deal in in_turns(found.items()):
        if not isinstance(deal, Deal) or ref not in settlements:
            continue
        change = _marks(desk, flow, drawing, deal, links[ref], settlements[ref], bases.get(links[ref].id, {}))
        if isinstance(change, str):
            reasons[ref] = Left(change)
        elif change is None:
            continue
        elif ref in refused and refused[ref].fields == change.fields:
            reasons[ref] = Left(said_no[ref])
        elif (why := _back_and_forth(change, flaps)) is not None:
            reasons[ref] = Left(why, again=True)
        else:
            drawing.changes.append(change)
    return reasons


async def _settlements(tx: Unit, desk: Desk, positions: dict[str, list[PositionRow]]) -> dict[str, Settlement]:
    """deal -> what the books say of its documents that stand: nothing invoiced, if a person ended them all."""
    documents = await store.documents_of(tx, [p.id for rows in positions.values() for p in rows])
    refs = [d.ref for rows in documents.values() for d in rows if d.kind is Kind.INVOICE and d.state in STANDING]
    invoices = await mirror.load(tx, desk.pair.books, Kind.INVOICE, refs)
    touching = await store.settled_by(tx, desk.pair.books, refs)
    payments = await mirror.load(tx, desk.pair.books, Kind.PAYMENT, [r for k, r in touching if k is Kind.PAYMENT])
    credits_ = await mirror.load(
        tx, desk.pair.books, Kind.CREDIT_NOTE, [r for k, r in touching if k is Kind.CREDIT_NOTE]
    )
    settlements = gather(
        [p for p in payments.values() if isinstance(p, Payment)],
        [c for c in credits_.values() if isinstance(c, CreditNote)],
    )
    found = {}
    for deal, rows in positions.items():
        own = [
            record
            for row in rows
            for document in _standing(documents.get(row.id, []))
            if isinstance(record := invoices.get(document.ref), Invoice)
        ]
        if any(documents.get(row.id) for row in rows):
            found[deal] = settle(own, settlements, rows[0].currency)
    return found


def _standing(documents: Sequence[DocumentRow]) -> list[DocumentRow]:
    """What stands for a position: a document that was credited, and re-issued, says nothing of it any more."""
    live = [document for document in documents if document.state == "live"]
    return live or [document for document in documents if document.state in STANDING]


async def _deal_links(tx: Unit, desk: Desk, refs: Sequence[str]) -> dict[str, Link]:
    """A deal's own link: it has no member in the books, it carries the bases of what was written back."""
    known = await link_store.find_links(tx, desk.pair.id, [("crm", Kind.DEAL, ref) for ref in refs])
    links = {ref: link for (_, _, ref), link in known.items()}
    missing = [ref for ref in refs if ref not in links]
    new = [NewLink(Kind.DEAL, ref, None, "matched", "it was billed") for ref in missing]
    made = await link_store.make_links(tx, desk.pair.id, new)
    return {**links, **dict(zip(missing, made, strict=True))}


def settlement_value(settlement: Settlement, path: str) -> Value:
    """A settlement's field as the mapping names it."""
    if path == "number":
        return ", ".join(settlement.numbers) or None
    value: object = getattr(settlement, path)
    if isinstance(value, Money):
        return value.rounded().amount
    return value  # type: ignore[return-value]  # the settlement's other fields are texts and days


def _back_and_forth(change: Change, flaps: Mapping[tuple[Side, str, str], bool]) -> str | None:
    """Why a deal is not marked again: somebody, or a workflow, takes a mark back each time."""
    paths = [f.path for f in change.fields if flaps.get((change.side, change.ref or "", f.rule), False)]
    return "; ".join(back_and_forth(path) for path in paths) or None


def _marks(
    desk: Desk,
    flow: PaymentsFlow,
    drawing: Drawing,
    deal: Deal,
    link: Link,
    settlement: Settlement,
    bases: dict[str, Base],
) -> Change | str | None:
    """One update of the deal with every payment field that moved in the books; or why it cannot be marked."""
    fields = []
    for rule in flow.fields:
        if rule.stays_home:
            continue
        theirs = settlement_value(settlement, rule.path("books"))
        verdict = merge(rule, read(deal, rule.path("crm")), theirs, bases.get(rule.key))
        if isinstance(verdict, Agree):
            if verdict.moved:
                drawing.bases.append((link.id, rule.key, verdict.base, "agreed"))
        elif isinstance(verdict, Take | Fill) and verdict.target == "crm":
            fields.append(field_change(rule, verdict))
        elif isinstance(verdict, Ask | Hold):
            return f"{field_name(rule.path('crm'))}: {verdict.reason}"
    if not fields:
        return None
    return Change(
        id=new_id("ch"),
        flow="payments",
        side="crm",
        kind=Kind.DEAL,
        operation="update",
        source_kind=Kind.DEAL,
        source_ref=deal.ref,
        title=title_of(deal),
        why=f"{desk.title('books')} says {settlement.state}",
        ref=deal.ref,
        link_id=link.id,
        fields=tuple(fields),
    )
