"""One invoice as a change: whom it goes to, what is on it, what it relies on."""

from __future__ import annotations

import msgspec

from connectors.canon.fields import with_fields
from connectors.canon.records import Customer, Deal, Kind
from connectors.canon.values import ABSENT, Money
from worker.engine.billing import Held, Position, won_on
from worker.engine.drawing import Drawing, title_of
from worker.engine.invoice import Drafted, Sale, draft_invoice, net_of_gross
from worker.engine.plan import Change, Relied, marker, relied_digest
from worker.outside import new_id
from worker.store.billing import PositionRow
from worker.usecases.document_ledger import Counterpart, Ledger, with_ref
from worker.usecases.propose_new import LOOKS_THE_SAME, WAS_TAKEN_BACK, ask_create, create_change
from worker.usecases.scope import Scope


def net_of_deal(ledger: Ledger, deal: Deal) -> Money | None:
    if ledger.rules.basis != "gross" or not isinstance(deal.amount, Money) or deal.status != "won":
        return None
    customer = ledger.customers.get(customer_ref(deal))
    day = won_on(deal, ledger.rules.zone)
    if customer is None or day is None or not isinstance(customer.record, Customer):
        return None
    position = Position(deal=deal.ref, seq=1, role="final", planned_on=day, net=deal.amount)
    sale = Sale(deal=deal, position=position, won_on=day, gross=deal.amount)
    net = net_of_gross(sale, customer.record, ledger.flow, ledger.books)
    return net if isinstance(net, Money) else None


def customer_ref(deal: Deal) -> str:
    return next((ref for ref in (deal.bill_to, deal.sold_to) if isinstance(ref, str) and ref), "")


def invoice_for(
    ledger: Ledger, deal: Deal, position: Position, row: PositionRow, customer: Counterpart, *, whole: bool
) -> Change | str:
    """The invoice of a position, or what it lacks."""
    day = won_on(deal, ledger.rules.zone)
    if day is None or not isinstance(customer.record, Customer):
        return "its customer cannot be read"
    mark = marker(ledger.desk.installation, ledger.desk.pair.id, Kind.INVOICE, position.key, row.generation)
    sale = Sale(deal=deal, position=position, won_on=day, whole=whole, gross=_gross(ledger, deal))
    record = msgspec.structs.replace(customer.record, ref=customer.ref)
    drafted = draft_invoice(sale, record, ledger.flow, ledger.books, marker=mark, today=ledger.today)
    if isinstance(drafted, Held):
        return drafted.reason
    return _invoice_change(ledger, deal, position, row, drafted, mark)


def _gross(ledger: Ledger, deal: Deal) -> Money | None:
    return deal.amount if ledger.rules.basis == "gross" and isinstance(deal.amount, Money) else None


def books_customer(ledger: Ledger, drawing: Drawing, deal: Deal, customers: Scope) -> Counterpart | str:
    ref = customer_ref(deal)
    known = ledger.customers.get(ref)
    if known is not None and getattr(known.record, "active", True) is False:
        books = ledger.desk.title("books")
        return f"{title_of(known.record)} is inactive in {books}: make it active there, and the next preview bills it."
    if known is not None:
        return known
    record = ledger.crm_customers.get(ref)
    if record is None:
        return f'The deal is sold to "{ref}", which {ledger.desk.title("crm")} does not know.'
    if not customers.named:
        return f"{title_of(record)} is not matched to {ledger.desk.title('books')}: the mapping has no customers flow."
    if ref in ledger.lost:
        gone, books = ledger.lost[ref], ledger.desk.title("books")
        return f"{title_of(record)} is {gone} in {books}, which is not to be seen there: restore it in {books}."
    decided = bool(customers.decided("crm", ref, "create"))
    if customers.is_taken_back("crm", ref):
        if any(d.rule == "create" for d in customers.decided("crm", ref, "not_needed")):
            return f"{title_of(record)} is not needed in {ledger.desk.title('books')}, as a person said."
        return f"{title_of(record)}: {ask_create(customers, drawing, 'crm', record, WAS_TAKEN_BACK)}"
    if customers.creates["books"] in ("ask", "never") and not decided:
        return f"{title_of(record)} is not in {ledger.desk.title('books')} yet: a person decides."
    if customers.is_asked(drawing, "crm", ref):
        return f"{title_of(record)} may be another customer in {ledger.desk.title('books')}: a person decides."
    if ref in ledger.doubles and not decided:
        return f"{title_of(record)}: {ask_create(customers, drawing, 'crm', record, LOOKS_THE_SAME)}"
    change = create_change(customers, "crm", record, "for its first invoice")
    if isinstance(change, str):
        return f"Its customer {title_of(record)}: {change}"
    drawing.changes.append(change)
    made = Counterpart(f"@{change.id}", with_ref(change))
    ledger.customers[ref] = made
    return made


def _invoice_change(
    ledger: Ledger, deal: Deal, position: Position, row: PositionRow, drafted: Drafted, mark: str
) -> Change:
    invoice = drafted.invoice
    lines = invoice.lines if isinstance(invoice.lines, tuple) else ()
    placeholders = [ref for ref in (invoice.customer, *(line.item for line in lines)) if isinstance(ref, str)]
    needs = tuple(dict.fromkeys(ref[1:] for ref in placeholders if ref.startswith("@")))
    day = invoice.date if invoice.date is not ABSENT else position.planned_on
    due = invoice.due_date if invoice.due_date is not ABSENT else None
    won = won_on(deal, ledger.rules.zone)
    return Change(
        id=new_id("ch"),
        flow="invoices",
        side="books",
        kind=Kind.INVOICE,
        operation="create",
        source_kind=Kind.DEAL,
        source_ref=deal.ref,
        title=title_of(deal),
        why=f"won {won}, due {due}" if day == won else f"won {won}, dated {day}, due {due}",
        position_id=row.id,
        generation=row.generation,
        needs=needs,
        record=with_fields(invoice, {}),
        requires=(Relied("crm", Kind.DEAL, deal.ref, relied_digest(deal)),),
        marker=mark,
        net=position.net,
        total=drafted.forecast.total,
    )
