"""What documents are drawn from: counterparts of customers and items, the books' settings, what is billed already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec

from connectors.canon.records import AnyRecord, Customer, Deal, Invoice, Item, Kind
from connectors.kit.contract import Side
from worker.engine.billing import BillingRules
from worker.engine.drawing import Drawing, title_of
from worker.engine.invoice import Books, BooksItem, books_facts
from worker.engine.mapping import InvoicesFlow
from worker.engine.match import Index, InvoiceIndex, Match
from worker.engine.plan import Change
from worker.engine.questions import Question
from worker.engine.reissue import ANSWERS, Answer
from worker.store import billing as store
from worker.store import links as link_store
from worker.store import mirror
from worker.store.conflicts import Decision, Questions
from worker.store.database import Unit
from worker.usecases.office import Desk
from worker.usecases.propose_new import WAS_TAKEN_BACK, ask_create, create_change, twins_of
from worker.usecases.scope import Scope


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


async def open_ledger(
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
