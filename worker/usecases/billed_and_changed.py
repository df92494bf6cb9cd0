"""Deals that changed, were reversed or lost their document after they were billed: a person decides, and a posted
document is credited, with another in its place or not, or left."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from connectors.canon.fields import to_json
from connectors.canon.records import Deal, Invoice, Kind
from connectors.canon.values import Money
from worker.engine.billing import Position
from worker.engine.drawing import Drawing, Subject, title_of
from worker.engine.plan import Change, marker
from worker.engine.questions import Question
from worker.engine.reissue import Answer, Credit, Posted, applied, credited, reissued, why_not
from worker.engine.undo import open_day
from worker.outside import new_id
from worker.store import billing as store
from worker.store import mirror
from worker.store.billing import DocumentRow, PositionRow
from worker.store.database import Unit
from worker.usecases.document_ledger import Ledger
from worker.usecases.draw_invoice import books_customer, invoice_for
from worker.usecases.office import Desk
from worker.usecases.scope import Scope


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """A position that was billed, with the documents that it had. `position` as the deal has it now; None: it has no
    such position any more. `whole`: the position is all of its deal."""

    deal: Deal
    position: Position | None
    row: PositionRow
    held: Sequence[DocumentRow]
    whole: bool = True


def look_again(ledger: Ledger, drawing: Drawing, billed: Billed, customers: Scope) -> str | None:
    """What was billed against what its deal says now: nothing to do, changes, or why it waits."""
    found = _compare(ledger, drawing, billed)
    return _reissue(ledger, drawing, billed, found, customers) if isinstance(found, Posted) else found


def _compare(ledger: Ledger, drawing: Drawing, billed: Billed) -> Posted | str | None:
    """A deal that changed after its document was posted: the document is frozen, a person decides. What comes back is
    the document to be credited, why the deal waits, or None: nothing is to be done."""
    deal, position, row = billed.deal, billed.position, billed.row
    live = [document for document in billed.held if document.state == "live"]
    if not live or ledger.flow.changed_after_posting == "leave" or row.state == "history":
        return None
    net = position.net if position is not None else Money(Decimal(0), row.currency)
    if (row.net, row.currency) == (net.amount, net.currency):
        ledger.void_answers(drawing, deal.ref, f"document:{row.seq}")
        return None
    posted = _posted(ledger, live, Money(row.net, row.currency))
    asked = _changed(ledger, billed, posted, net)
    if ledger.is_left(asked):
        return None
    by_rule = position is not None and ledger.flow.changed_after_posting == "credit_and_reissue"
    if ledger.said(asked) is None and not (by_rule and asked.candidates[0]["answers"]):
        ledger.void_answers(drawing, deal.ref, asked.rule)
        drawing.asked.append(asked)
        return "It changed after it was billed: a person decides."
    no = why_not(posted)
    return posted if no is None else f"It is to be credited, and cannot be yet: {no}."


def _changed(ledger: Ledger, billed: Billed, posted: Posted, net: Money) -> Question:
    gone = billed.position is None
    said = "the deal has no such position any more" if gone else f"the deal now {net}"
    return Question(
        what="document",
        kind=Kind.DEAL,
        side="crm",
        ref=billed.deal.ref,
        title=f"{title_of(billed.deal)}: changed after it was billed",
        reason=f"{posted.called} says {posted.net}, {said}",
        rule=f"document:{billed.row.seq}",
        crm=to_json(net),
        books=to_json(posted.net),
        candidates=(_candidate(ledger, posted, "credit" if gone else "reissue"),),
    )


def _posted(ledger: Ledger, live: Sequence[DocumentRow], net: Money) -> Posted:
    refs = tuple(document.ref for document in sorted(live, key=lambda d: d.generation))
    how = credits_by(ledger.desk)
    return Posted(
        refs=refs,
        invoice=ledger.stands.get(refs[0]),
        net=net,
        applied=how == "itself",
        by_payment=how == "payment",
    )


def credits_by(desk: Desk) -> Literal["itself", "payment", "hand"]:
    """What brings a credit note to its invoice in the books: its making, a payment of zero, or a person."""
    catalogue = desk.catalogues["books"]
    kinds = desk.connector("books").kinds_for(catalogue)
    notes, payments = kinds.get(Kind.CREDIT_NOTE), kinds.get(Kind.PAYMENT)
    if catalogue.credits_apply_themselves or (notes is not None and notes.credits_invoices):
        return "itself"
    return "payment" if payments is not None and "create" in payments.operations else "hand"


def _candidate(ledger: Ledger, posted: Posted, answer: Answer) -> dict[str, Any]:
    """The document that a question is about, with what may be answered besides leaving it."""
    may = ledger.can_credit() and why_not(posted) is None
    return {"ref": posted.refs[0], "title": posted.called, "answers": [answer] if may else []}


def _reissue(ledger: Ledger, drawing: Drawing, billed: Billed, posted: Posted, customers: Scope) -> str | None:
    """Draw the new document and the credit note for the old one, or the credit note alone where the deal has no such
    position any more; or why they wait."""
    deal, position = billed.deal, billed.position
    if position is None:
        drawing.changes += _credit(ledger, deal, deal.ref, posted, "the deal has no such position any more")
        return None
    customer = books_customer(ledger, drawing, deal, customers)
    if isinstance(customer, str):
        return customer
    following = max(document.generation for document in billed.held) + 1
    row = msgspec.structs.replace(billed.row, generation=following)
    new = invoice_for(ledger, deal, position, row, customer, whole=billed.whole)
    if isinstance(new, str):
        return new
    note, *more = _credit(ledger, deal, deal.ref, posted, f"the deal now says {position.net}")
    drawing.changes += [*reissued(new, note, posted), *more]
    return None


def _credit(ledger: Ledger, deal: Deal | None, ref: str, posted: Posted, why: str) -> list[Change]:
    """The credit note, and what brings it to the document."""
    desk = ledger.desk
    how = Credit(
        deal=deal,
        deal_ref=ref,
        day=open_day(ledger.today, ledger.books.locked_until),
        marker=marker(desk.installation, desk.pair.id, Kind.CREDIT_NOTE, f"credit:{posted.refs[0]}"),
        new_id=new_id,
        applying=marker(desk.installation, desk.pair.id, Kind.PAYMENT, f"credit:{posted.refs[0]}"),
    )
    note = credited(posted, how, why)
    return [note, *applied(note, posted, how)]


def unwon(
    ledger: Ledger,
    drawing: Drawing,
    ref: str,
    deal: Deal | None,
    known: list[PositionRow],
    documents: dict[str, list[DocumentRow]],
) -> None:
    """Open, lost or gone: nothing to bill. If it was billed, that is a reversed deal, and a person decides."""
    subject = Subject("crm", Kind.DEAL, ref)
    live = [d for row in known for d in documents.get(row.id, []) if d.state == "live" and row.state != "history"]
    if not live:
        drawing.settle([subject])
        return
    status = "gone" if deal is None else str(deal.status)
    nets = {row.id: Money(row.net, row.currency) for row in known}
    posted = [_posted(ledger, [document], nets[document.position_id]) for document in live]
    asked = Question(
        what="document",
        kind=Kind.DEAL,
        side="crm",
        ref=ref,
        title=f"{title_of(deal) if deal is not None else ref}: reversed",
        reason=f"the deal is {status} now, and {posted[0].called} stands",
        rule="reversed",
        crm=status,
        books=live[0].ref,
        candidates=tuple(_candidate(ledger, each, "credit") for each in posted),
    )
    if ledger.is_left(asked):
        drawing.settle([subject])
        return
    if ledger.said(asked) is None:
        ledger.void_answers(drawing, ref, asked.rule)
        drawing.asked.append(asked)
        drawing.wait([subject], "It was billed and is not won any more: a person decides.")
        return
    reasons = [why for each in posted if (why := why_not(each)) is not None]
    for each in posted:
        if why_not(each) is None:
            drawing.changes += _credit(ledger, deal, ref, each, f"the deal is {status}")
    if reasons:
        drawing.wait([subject], f"It is to be credited, and cannot be yet: {'; '.join(reasons)}.")


async def ended_documents(tx: Unit, desk: Desk, drawing: Drawing, refs: Sequence[str]) -> None:
    """Invoices that a person voided or deleted: their positions are spent, and reported."""
    documents = await store.documents_by_ref(tx, desk.pair.id, [(Kind.INVOICE, ref) for ref in refs])
    if not documents:
        return
    records = await mirror.load(tx, desk.pair.books, Kind.INVOICE, refs)
    for (_, ref), document in documents.items():
        record = records.get(ref)
        if document.state != "live":
            continue
        if record is None:
            await store.end_document(tx, document, "deleted", f"invoice {ref} was deleted in {desk.title('books')}")
        elif isinstance(record, Invoice) and record.state == "void":
            await store.end_document(tx, document, "void", f"invoice {ref} was voided in {desk.title('books')}")
        else:
            continue
        drawing.notes.append(f"Invoice {ref} was voided or deleted by a person; it is not billed again by itself.")
