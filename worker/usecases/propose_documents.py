"""Plan documents: a won deal gives billing positions, a position without a document gives an invoice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.canon.fields import to_json, with_fields
from connectors.canon.records import AnyRecord, Customer, Deal, Invoice, Item, Kind
from connectors.canon.values import ABSENT, Money
from connectors.kit.contract import Side
from worker.engine.billing import BillingRules, Held, NotBillable, Position, positions, won_on
from worker.engine.drawing import Drawing, Joined, Subject, title_of
from worker.engine.invoice import Books, BooksItem, Drafted, Sale, books_facts, draft_invoice, net_of_gross
from worker.engine.mapping import InvoicesFlow
from worker.engine.match import Index, InvoiceIndex, Match, Wanted, match_invoice, match_invoices
from worker.engine.plan import Change, Relied, marker, relied_digest
from worker.engine.questions import Question
from worker.engine.reissue import ANSWERS, Answer, Credit, Posted, credited, reissued, why_not
from worker.engine.undo import open_day
from worker.outside import new_id
from worker.store import billing as store
from worker.store import links as link_store
from worker.store import mirror
from worker.store.billing import DocumentRow, NewDocument, PositionRow
from worker.store.conflicts import Decision, Questions
from worker.store.database import Unit, chunks
from worker.usecases.office import Desk
from worker.usecases.propose_new import LOOKS_THE_SAME, WAS_TAKEN_BACK, ask_create, create_change, twins_of
from worker.usecases.scope import Scope

SLICE = 5_000


class Counterpart(msgspec.Struct, frozen=True):
    """A CRM record's counterpart in the books: its ref, or `@change` while the change that makes it is planned."""

    ref: str
    record: AnyRecord


class Ledger(msgspec.Struct, kw_only=True):
    """What documents are drawn from: counterparts by CRM ref, the books' settings, what is billed already.
    `doubles`: customers without a counterpart that look like another new one; `lost`: those whose counterpart, named
    here, is not to be seen. `stands`: the live documents of these
    deals, as far as they can be read, by ref."""

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
    lost: dict[str, str]
    now: datetime
    stands: dict[str, Invoice] = {}

    def is_left(self, asked: Question) -> bool:
        """Whether a person said to leave just this as it is."""
        return self.questions.is_left(asked.side, asked.kind, asked.ref, asked.rule, asked.fingerprint)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.rules.zone).date()

    def can_credit(self) -> bool:
        """Whether invoices and credit notes can be made in the books."""
        kinds = self.desk.connector("books").kinds_for(self.desk.catalogues["books"])
        made = (Kind.INVOICE, Kind.CREDIT_NOTE)
        return all(kind in kinds and "create" in kinds[kind].operations for kind in made)

    def said(self, asked: Question) -> Answer | None:
        """What a person answered to just this question about a document. An answer to another one is void."""
        found = self.decisions.get((asked.side, asked.kind, asked.ref), [])
        return next((a for a in ANSWERS for d in found
                     if (d.rule, d.verdict, d.detail) == (asked.rule, a, asked.fingerprint)), None)  # fmt: skip

    def void_answers(self, drawing: Drawing, deal: str, rule: str) -> None:
        """What was answered about a document does not fit any more."""
        found = self.decisions.get(("crm", Kind.DEAL, deal), [])
        drawing.lifted += [(Kind.DEAL, deal, rule, a) for a in ANSWERS
                           if any((d.rule, d.verdict) == (rule, a) for d in found)]  # fmt: skip


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
        _unwon(ledger, drawing, ref, None, known.get(ref, []), documents)
    for deal in deals:
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
        lost=await _lost(tx, customers, [record.ref for record in alone]),
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


async def _lost(tx: Unit, scope: Scope, refs: Sequence[str]) -> dict[str, str]:
    """Of CRM records without a counterpart, those that are linked to one: it was removed, or cannot be seen. Another is
    not made in its place, for each document anew."""
    links = await link_store.find_links(tx, scope.desk.pair.id, [("crm", scope.kind, ref) for ref in refs])
    return {ref: link.books for (_, _, ref), link in links.items() if link.books is not None}


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
    lost = await _lost(tx, scope, [item.ref for item in crm_items if item.ref not in by_link])
    in_crm = {item.ref: item for item in crm_items if item.ref not in lost}
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
    if scope.is_taken_back("crm", record.ref):
        ask_create(scope, drawing, "crm", record, WAS_TAKEN_BACK)
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
            billed = Billed(deal=deal, position=position, row=row, held=held, whole=len(planned) == 1)
            reason = _look_again(ledger, drawing, billed, customers)
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
        reason = _look_again(ledger, drawing, billed, customers)
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
    return existing if existing is not None else _invoice(ledger, deal, position, row, customer, whole=whole)


def _invoice(
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


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """A position that was billed, with the documents that it had. `position` as the deal has it now; None: it has no
    such position any more. `whole`: the position is all of its deal."""

    deal: Deal
    position: Position | None
    row: PositionRow
    held: Sequence[DocumentRow]
    whole: bool = True


def _look_again(ledger: Ledger, drawing: Drawing, billed: Billed, customers: Scope) -> str | None:
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
    return Posted(refs=refs, invoice=ledger.stands.get(refs[0]), net=net, applied=_applies_credit(ledger))


def _applies_credit(ledger: Ledger) -> bool:
    """Whether the books bring a credit note to its invoice when it is made."""
    kinds = ledger.desk.connector("books").kinds_for(ledger.desk.catalogues["books"])
    return Kind.CREDIT_NOTE in kinds and kinds[Kind.CREDIT_NOTE].credits_invoices


def _candidate(ledger: Ledger, posted: Posted, answer: Answer) -> dict[str, Any]:
    """The document that a question is about, with what may be answered besides leaving it."""
    may = ledger.can_credit() and why_not(posted) is None
    return {"ref": posted.refs[0], "title": posted.called, "answers": [answer] if may else []}


def _reissue(ledger: Ledger, drawing: Drawing, billed: Billed, posted: Posted, customers: Scope) -> str | None:
    """Draw the new document and the credit note for the old one, or the credit note alone where the deal has no such
    position any more; or why they wait."""
    deal, position = billed.deal, billed.position
    if position is None:
        drawing.changes.append(_credit(ledger, deal, deal.ref, posted, "the deal has no such position any more"))
        return None
    customer = _books_customer(ledger, drawing, deal, customers)
    if isinstance(customer, str):
        return customer
    following = max(document.generation for document in billed.held) + 1
    row = msgspec.structs.replace(billed.row, generation=following)
    new = _invoice(ledger, deal, position, row, customer, whole=billed.whole)
    if isinstance(new, str):
        return new
    note = _credit(ledger, deal, deal.ref, posted, f"the deal now says {position.net}")
    drawing.changes += reissued(new, note, posted)
    return None


def _credit(ledger: Ledger, deal: Deal | None, ref: str, posted: Posted, why: str) -> Change:
    desk = ledger.desk
    how = Credit(
        deal=deal,
        deal_ref=ref,
        day=open_day(ledger.today, ledger.books.locked_until),
        marker=marker(desk.installation, desk.pair.id, Kind.CREDIT_NOTE, f"credit:{posted.refs[0]}"),
        new_id=new_id,
    )
    return credited(posted, how, why)


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
    drawing.changes += [
        _credit(ledger, deal, ref, each, f"the deal is {status}") for each in posted if why_not(each) is None
    ]
    if reasons:
        drawing.wait([subject], f"It is to be credited, and cannot be yet: {'; '.join(reasons)}.")


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
