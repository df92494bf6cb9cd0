"""Plan documents: a won deal gives billing positions, a position without a document gives an invoice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.canon.fields import to_json, with_fields
from connectors.canon.records import AnyRecord, Customer, Deal, Invoice, Item, Kind
from connectors.canon.values import ABSENT, Money
from connectors.kit.contract import Side
from worker.engine.billing import BillingRules, Held, NotBillable, Position, positions, won_on
from worker.engine.drawing import Asked, Drawing, Subject, title_of
from worker.engine.invoice import Books, BooksItem, Drafted, Sale, books_facts, draft_invoice, net_of_gross
from worker.engine.mapping import InvoicesFlow
from worker.engine.match import Index, InvoiceIndex, Match, Wanted, match_invoice, match_invoices
from worker.engine.plan import Change, Relied, marker, relied_digest
from worker.outside import new_id
from worker.store import billing as store
from worker.store import links as link_store
from worker.store import mirror
from worker.store.billing import DocumentRow, NewDocument, PositionRow
from worker.store.conflicts import Decision, Questions
from worker.store.database import Unit, chunks
from worker.usecases.office import Desk
from worker.usecases.propose_new import LOOKS_THE_SAME, ask_create, create_change, twins_of
from worker.usecases.scope import Scope

SLICE = 5_000


class Counterpart(msgspec.Struct, frozen=True):
    """A CRM record's counterpart in the books: its ref, or `@change` while the change that makes it is planned."""

    ref: str
    record: AnyRecord


class Ledger(msgspec.Struct, kw_only=True):
    """What documents are drawn from: counterparts by CRM ref, the books' settings, what is billed already.
    `doubles`: customers without a counterpart that look like another new one."""

    desk: Desk
    flow: InvoicesFlow
    rules: BillingRules
    books: Books
    customers: dict[str, Counterpart]
    crm_customers: dict[str, Customer]
    invoices: InvoiceIndex
    taken: set[str]
    matches: dict[str, Match]
    decisions: dict[tuple[Side, Kind, str], list[Decision]]
    questions: Questions
    doubles: set[str]
    now: datetime

    def is_left(self, asked: Asked) -> bool:
        """Whether a person said to leave just this as it is."""
        return self.questions.is_left(asked.side, asked.kind, asked.ref, asked.rule, asked.fingerprint)


async def propose_documents(tx: Unit, desk: Desk, customers: Scope, items: Scope, drawing: Drawing) -> None:
    """Everything dirty among deals, and invoices that a person ended, becomes changes, questions or a reason."""
    flow = desk.mapping.invoices
    if flow is None:
        return
    dirt = customers.known.dirt
    await _ended_documents(tx, desk, drawing, [row.ref for row in dirt.due(("books", Kind.INVOICE))])
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
    ledger = await _ledger(tx, desk, flow, customers, items, drawing, won)
    ledger.matches = _match_all(ledger, won, known, documents)
    new: list[PositionRow] = []
    matched: list[tuple[NewDocument, str]] = []
    dropped: list[str] = []
    drawing.consider(*(Subject("crm", Kind.DEAL, ref) for ref in refs))
    gone = [ref for ref in refs if ref not in found]
    for ref in gone:
        _unwon(ledger, drawing, ref, None, known.get(ref, []), documents)
    for deal in deals:
        drawn = _draw_deal(ledger, drawing, deal, known.get(deal.ref, []), documents, customers)
        new += drawn.positions
        matched += drawn.matched
        dropped += drawn.dropped
    await store.save_positions(tx, desk.pair.id, new)
    await store.drop_positions(tx, dropped)
    for state in ("history", "billed"):
        rows = [document for document, word in matched if word == state]
        await store.add_documents(tx, desk.pair.id, rows, state)


# --------------------------------------------------------------------------- gather


async def _ledger(
    tx: Unit,
    desk: Desk,
    flow: InvoicesFlow,
    customers: Scope,
    items: Scope,
    drawing: Drawing,
    deals: Sequence[Deal],
) -> Ledger:
    refs = [ref for deal in deals for ref in (deal.bill_to, deal.sold_to) if isinstance(ref, str) and ref]
    records = await mirror.load(tx, desk.pair.crm, Kind.CUSTOMER, refs)
    crm_customers = {ref: record for ref, record in records.items() if isinstance(record, Customer)}
    counterparts = await _counterparts(tx, customers, drawing, list(crm_customers))
    alone = [record for ref, record in crm_customers.items() if ref not in counterparts]
    period = desk.mapping.period
    catalogue = desk.catalogues["books"]
    if period.lock == "pair":
        catalogue = msgspec.structs.replace(catalogue, locked_until=None)
    books_kind = desk.facts("books", Kind.INVOICE)
    found_items = await _items(tx, items, drawing, deals)
    pool = await _existing_invoices(tx, desk, {c.ref for c in counterparts.values()})
    return Ledger(
        desk=desk,
        flow=flow,
        rules=BillingRules(
            zone=ZoneInfo(desk.mapping.time_zone), cut_over=desk.mapping.cut_over, basis=desk.mapping.deal_amount
        ),
        books=books_facts(
            catalogue,
            items=found_items,
            rounding=books_kind.rounding,
            locked_until=period.locked_until if period.lock != "books" else None,
        ),
        customers=counterparts,
        crm_customers=crm_customers,
        invoices=InvoiceIndex(pool),
        taken=await store.taken_documents(tx, desk.pair.id),
        matches={},
        decisions=customers.known.decisions,
        questions=customers.known.questions,
        doubles=await twins_of(tx, customers, "crm", alone) if alone else set(),
        now=await tx.now(),
    )


async def _existing_invoices(tx: Unit, desk: Desk, customers: set[str]) -> list[Invoice]:
    """Posted invoices of these books customers: a deal may have been billed by hand already."""
    records = await mirror.load_of(tx, desk.pair.books, Kind.INVOICE, sorted(customers))
    return [r for r in records if isinstance(r, Invoice) and r.state != "void"]


async def _counterparts(tx: Unit, scope: Scope, drawing: Drawing, refs: Sequence[str]) -> dict[str, Counterpart]:
    """The books' records of CRM records: linked ones from the mirror, planned ones from this plan's changes."""
    desk = scope.desk
    links = await link_store.find_links(tx, desk.pair.id, [("crm", scope.kind, ref) for ref in refs])
    books_refs = {ref: link.books for (_, _, ref), link in links.items() if link.books is not None}
    records = await mirror.load(tx, desk.pair.books, scope.kind, list(books_refs.values()))
    found = {ref: Counterpart(books, records[books]) for ref, books in books_refs.items() if books in records}
    found.update(_planned(scope, drawing))
    return found


def _planned(scope: Scope, drawing: Drawing) -> dict[str, Counterpart]:
    return {
        change.source_ref: Counterpart(f"@{change.id}", with_ref(change))
        for change in drawing.changes
        if change.operation == "create" and change.side == "books" and change.kind is scope.kind
    }


def with_ref(change: Change) -> AnyRecord:
    """The record of a planned create, under its placeholder ref."""
    if change.record is None:
        raise ValueError(f"{change.id} makes nothing")
    return msgspec.structs.replace(change.record, ref=f"@{change.id}")


async def _items(tx: Unit, scope: Scope, drawing: Drawing, deals: Iterable[Deal]) -> dict[str, BooksItem]:
    """What deals' lines name -> the books' item. By link, then by the name or SKU in the books, then by the name
    in the CRM: "GTXPro" on a deal is the price list's "GTX Pro"."""
    named = {(line.item, line.item_name) for deal in deals if isinstance(deal.lines, tuple) for line in deal.lines}
    if not named:
        return {}
    desk = scope.desk
    books_items = await mirror.load_all(tx, desk.pair.books, Kind.ITEM)
    crm_items = await mirror.load_all(tx, desk.pair.crm, Kind.ITEM) if desk.has("crm", Kind.ITEM) else []
    by_link = await _counterparts(tx, scope, drawing, [item.ref for item in crm_items])
    books_index, crm_index = Index(books_items), Index(crm_items)
    in_books = {item.ref: item for item in books_items}
    in_crm = {item.ref: item for item in crm_items}
    found: dict[str, BooksItem] = {}
    for ref, name in named:
        item = by_link.get(ref or "") or _item_by_name(name, books_index, in_books, crm_index, by_link)
        item = item or _item_on_demand(scope, drawing, ref, name, crm_index, in_crm, by_link)
        for key in (ref, name):
            if item is not None and key is not None:
                found[key] = _books_item(item)
    return found


def _item_by_name(
    name: str | None,
    books_index: Index,
    in_books: dict[str, AnyRecord],
    crm_index: Index,
    by_link: dict[str, Counterpart],
) -> Counterpart | None:
    if name is None:
        return None
    match = books_index.item(name)
    if match.verdict == "same" and match.ref is not None:
        return Counterpart(match.ref, in_books[match.ref])
    match = crm_index.item(name)
    return by_link.get(match.ref or "") if match.verdict == "same" else None


def _item_on_demand(
    scope: Scope,
    drawing: Drawing,
    ref: str | None,
    name: str | None,
    crm_index: Index,
    in_crm: dict[str, AnyRecord],
    by_link: dict[str, Counterpart],
) -> Counterpart | None:
    """Make an item in the books when its first invoice needs it, if the flow says so."""
    if scope.creates["books"] != "first_document":
        return None
    record = in_crm.get(ref or "")
    if record is None and name is not None:
        match = crm_index.item(name)
        record = in_crm.get(match.ref or "") if match.verdict == "same" else None
    if record is None:
        return None
    change = create_change(scope, "crm", record, "for its first invoice")
    if isinstance(change, str):
        return None
    drawing.changes.append(change)
    by_link[record.ref] = Counterpart(f"@{change.id}", with_ref(change))
    return by_link[record.ref]


def _books_item(found: Counterpart) -> BooksItem:
    item = found.record
    if not isinstance(item, Item):
        raise TypeError(f"{found.ref} is no item")

    def text(value: object) -> str | None:
        return value if isinstance(value, str) else None

    return BooksItem(
        ref=found.ref,
        name=title_of(item),
        tax_class=text(item.tax_class),
        income_account=text(item.income_account),
    )


# --------------------------------------------------------------------------- decide


class Drawn(msgspec.Struct):
    """What one deal gave: positions to store, existing invoices that turned out to be its documents, positions
    that it has no more and that were never billed."""

    positions: list[PositionRow]
    matched: list[tuple[NewDocument, str]]
    dropped: list[str]


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
    planned = positions(deal, ledger.rules, net=_net_of_gross(ledger, deal))
    if isinstance(planned, NotBillable) and planned.reason not in ("before_cut_over", "held"):
        _unwon(ledger, drawing, deal.ref, deal, known, documents)
        return Drawn([], [], unbilled)
    if any(d.verdict in ("not_needed", "not_billable") for d in ledger.decisions.get(("crm", Kind.DEAL, deal.ref), [])):
        drawing.settle([subject])
        return Drawn([], [], unbilled)
    if isinstance(planned, NotBillable):
        if planned.reason == "before_cut_over":
            return _history(ledger, drawing, deal, known)
        drawing.wait([subject], planned.why, f"customer:{_customer_ref(deal)}")
        return Drawn([], [], [])
    return _draw_positions(ledger, drawing, deal, planned, {row.seq: row for row in known}, documents, customers)


def _net_of_gross(ledger: Ledger, deal: Deal) -> Money | None:
    if ledger.rules.basis != "gross" or not isinstance(deal.amount, Money) or deal.status != "won":
        return None
    customer = ledger.customers.get(_customer_ref(deal))
    day = won_on(deal, ledger.rules.zone)
    if customer is None or day is None or not isinstance(customer.record, Customer):
        return None
    position = Position(deal=deal.ref, seq=1, role="final", planned_on=day, net=deal.amount)
    sale = Sale(deal=deal, position=position, won_on=day, gross=deal.amount)
    net = net_of_gross(sale, customer.record, ledger.flow, ledger.books)
    return net if isinstance(net, Money) else None


def _customer_ref(deal: Deal) -> str:
    return next((ref for ref in (deal.bill_to, deal.sold_to) if isinstance(ref, str) and ref), "")


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
        if row is not None and (held or row.state in ("spent", "settled", "history")):
            reason = _compare(ledger, drawing, deal, position, row, held)
            waits += [reason] if reason is not None else []
            continue
        fresh = _row(position, row)
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
    waits += _not_planned(ledger, drawing, deal, drawn, known.values(), documents)
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
    rows: Iterable[PositionRow],
    documents: dict[str, list[DocumentRow]],
) -> list[str]:
    """Positions that the deal's billing plan had once: forgotten if they were never billed, asked about if they
    were."""
    waits = []
    for row in rows:
        held = documents.get(row.id, [])
        if not held and row.state == "open":
            drawn.dropped.append(row.id)
            continue
        reason = _compare(ledger, drawing, deal, None, row, held)
        waits += [reason] if reason is not None else []
    return waits


def _waits_for(deal: Deal, waits: Sequence[str]) -> str:
    """What wakes a deal that waits: its customer, or an item where that is what the books lack."""
    return "item" if any("no item" in reason for reason in waits) else f"customer:{_customer_ref(deal)}"


def _row(position: Position, known: PositionRow | None) -> PositionRow:
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
    customer = _books_customer(ledger, drawing, deal, customers)
    if isinstance(customer, str):
        return customer
    existing = _already_billed(ledger, drawing, deal, position, customer, row)
    if existing is not None:
        return existing
    if not isinstance(customer.record, Customer):
        return "its customer cannot be read"
    mark = marker(ledger.desk.installation, ledger.desk.pair.id, Kind.INVOICE, position.key, row.generation)
    sale = Sale(deal=deal, position=position, won_on=day, whole=whole, gross=_gross(ledger, deal))
    record = msgspec.structs.replace(customer.record, ref=customer.ref)
    today = ledger.now.astimezone(ledger.rules.zone).date()
    drafted = draft_invoice(sale, record, ledger.flow, ledger.books, marker=mark, today=today)
    if isinstance(drafted, Held):
        return drafted.reason
    return _invoice_change(ledger, deal, position, row, drafted, mark)


def _gross(ledger: Ledger, deal: Deal) -> Money | None:
    return deal.amount if ledger.rules.basis == "gross" and isinstance(deal.amount, Money) else None


def _too_soon(ledger: Ledger, deal: Deal, position: Position) -> bool:
    """People mend typos just after closing; and an instalment is billed on its day."""
    today = ledger.now.astimezone(ledger.rules.zone).date()
    if position.planned_on > today and position.role != "final":
        return True
    if not isinstance(deal.won_at, datetime):
        return False
    return ledger.now < deal.won_at + timedelta(minutes=ledger.flow.ready.wait_after_won_min)


def _books_customer(ledger: Ledger, drawing: Drawing, deal: Deal, customers: Scope) -> Counterpart | str:
    ref = _customer_ref(deal)
    known = ledger.customers.get(ref)
    if known is not None:
        return known
    record = ledger.crm_customers.get(ref)
    if record is None:
        return f'The deal is sold to "{ref}", which {ledger.desk.title("crm")} does not know.'
    if not customers.named:
        return f"{title_of(record)} is not matched to {ledger.desk.title('books')}: the mapping has no customers flow."
    decided = bool(customers.decided("crm", ref, "create"))
    if customers.creates["books"] in ("ask", "never", "customer_stage") and not decided:
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


# --------------------------------------------------------------------------- what exists already


def _already_billed(
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
            Asked(
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


def _match_all(
    ledger: Ledger, won: Sequence[Deal], known: dict[str, list[PositionRow]], documents: dict[str, list[DocumentRow]]
) -> dict[str, Match]:
    """Existing invoices for every position without a document, at once: none is given to two of them."""
    wanted: dict[str, Wanted] = {}
    for deal in won:
        customer = ledger.customers.get(_customer_ref(deal))
        if customer is None or customer.ref.startswith("@"):
            continue
        billed = {row.seq for row in known.get(deal.ref, []) if documents.get(row.id) or row.state != "open"}
        for position in _looked_for(ledger, deal):
            if position.seq not in billed:
                wanted[position.key] = _wanted(ledger, deal, position, customer.ref)
    return match_invoices(wanted, ledger.invoices, ledger.taken)


def _looked_for(ledger: Ledger, deal: Deal) -> tuple[Position, ...]:
    """The positions that may have an invoice already; before the cut-over, the deal as a whole."""
    planned = positions(deal, ledger.rules, net=_net_of_gross(ledger, deal))
    if not isinstance(planned, NotBillable):
        return planned
    day = won_on(deal, ledger.rules.zone)
    if planned.reason != "before_cut_over" or day is None or not isinstance(deal.amount, Money):
        return ()
    return (Position(deal=deal.ref, seq=1, role="final", planned_on=day, net=deal.amount),)


def _history(ledger: Ledger, drawing: Drawing, deal: Deal, known: list[PositionRow]) -> Drawn:
    """Won before the cut-over: linked to the invoice it has, if that can be told, and never billed. One whose
    customer has no counterpart yet waits for it."""
    subject = Subject("crm", Kind.DEAL, deal.ref)
    customer = ledger.customers.get(_customer_ref(deal))
    day = won_on(deal, ledger.rules.zone)
    if known or day is None or not isinstance(deal.amount, Money):
        drawing.settle([subject])
        return Drawn([], [], [])
    if customer is None or customer.ref.startswith("@"):
        drawing.wait([subject], None, f"customer:{_customer_ref(deal)}")
        return Drawn([], [], [])
    drawing.settle([subject])
    position = Position(deal=deal.ref, seq=1, role="final", planned_on=day, net=deal.amount)
    match = ledger.matches.get(position.key, Match(verdict="none"))
    if match.verdict != "same" or match.ref is None:
        return Drawn([], [], [])
    ledger.taken.add(match.ref)
    row = _row(position, None)
    document = NewDocument(position_id=row.id, generation=0, kind=Kind.INVOICE, ref=match.ref, provenance="matched")
    return Drawn([msgspec.structs.replace(row, state="history")], [(document, "history")], [])


def _compare(
    ledger: Ledger,
    drawing: Drawing,
    deal: Deal,
    position: Position | None,
    row: PositionRow,
    held: list[DocumentRow],
) -> str | None:
    """A deal that changed after its document was posted: the document is frozen, a person decides. `position` None:
    the deal has no such position any more."""
    live = [document for document in held if document.state == "live"]
    if not live or ledger.flow.changed_after_posting == "leave" or row.state == "history":
        return None
    net = position.net if position is not None else Money(Decimal(0), row.currency)
    if (row.net, row.currency) == (net.amount, net.currency):
        return None
    said = f"the deal now {net}" if position is not None else "the deal has no such position any more"
    asked = Asked(
        what="document",
        kind=Kind.DEAL,
        side="crm",
        ref=deal.ref,
        title=f"{title_of(deal)}: changed after it was billed",
        reason=f"invoice {live[0].ref} says {Money(row.net, row.currency)}, {said}",
        rule=f"document:{row.seq}",
        crm=to_json(net),
        books=to_json(Money(row.net, row.currency)),
        candidates=({"ref": live[0].ref},),
    )
    if ledger.is_left(asked):
        return None
    drawing.asked.append(asked)
    return "It changed after it was billed: a person decides."


def _unwon(
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
    asked = Asked(
        what="document",
        kind=Kind.DEAL,
        side="crm",
        ref=ref,
        title=f"{title_of(deal) if deal is not None else ref}: reversed",
        reason=f"the deal is {status} now, and invoice {live[0].ref} stands",
        rule="reversed",
        crm=status,
        books=live[0].ref,
        candidates=tuple({"ref": d.ref} for d in live),
    )
    if ledger.is_left(asked):
        drawing.settle([subject])
        return
    drawing.asked.append(asked)
    drawing.wait([subject], "It was billed and is not won any more: a person decides.")


async def _ended_documents(tx: Unit, desk: Desk, drawing: Drawing, refs: Sequence[str]) -> None:
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
