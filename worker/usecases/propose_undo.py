"""Propose the reverse of a run: an ordinary plan, which is shown, approved, guarded, applied and audited like any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from connectors.canon.records import AnyRecord, CreditNote, Kind, Payment
from connectors.kit.contract import Side
from worker.crash import crash
from worker.engine.plan import marker
from worker.engine.undo import Hanging, House, Left, Now, Written, named, take_back
from worker.outside import new_id
from worker.store import billing, links, mirror, runs, undoing
from worker.store.audit import Entry, append
from worker.store.database import Unit
from worker.usecases.billed_and_changed import credits_by
from worker.usecases.office import OTHER, SIDES, Desk
from worker.usecases.propose_plan import Hold, Proposed, guarded, held_by_flow, is_applied, nobody_else, store_plan
from worker.usecases.pull import refresh

RecordKey: TypeAlias = tuple[Side, Kind, str]
DOCUMENTS = (Kind.INVOICE, Kind.CREDIT_NOTE, Kind.PAYMENT)


class ProposedUndo(msgspec.Struct, frozen=True, kw_only=True):
    """The plan that takes a run back, and what of the run it leaves as it is."""

    plan: Proposed
    left: tuple[Left, ...]


async def propose_undo(desk: Desk, run_id: str, undone: str, *, still_ours: Hold = nobody_else) -> ProposedUndo:
    """Draw the plan that takes the run `undone` back; both sides were pulled just now. Raises LookupError if the pair
    has no such run. `still_ours` is called last, and raises if the lease was lost: then nothing was decided."""
    async with desk.db.read() as tx:
        run = await runs.get(tx, undone)
        if run is None or run.pair_id != desk.pair.id:
            raise LookupError(f"there is no run {undone}: tieout history lists them")
        done = await undoing.written(tx, run.plan_id) if run.plan_id is not None else []
    unseen = await read_again(desk, done)
    async with desk.db.write() as tx:
        refused = await is_applied(tx, desk) or (None if done else f"run {undone} wrote nothing")
        now = await stand(tx, desk, run.plan_id or "", done, unseen) if refused is None else {}
        taken = take_back(done if refused is None else [], now, await house_of(tx, desk), new_id)
        changes = await guarded(tx, desk, held_by_flow(desk, list(taken.changes)))
        plan = await store_plan(tx, desk, run_id, changes, refused, undoes=undone)
        await append(tx, desk.pair.id, [_entry(plan, run_id, undone, len(changes), len(taken.left))])
        await still_ours(tx)
        crash("plan.stored")
    crash("plan.committed")
    return ProposedUndo(plan=plan, left=taken.left)


def _entry(plan: Proposed, run_id: str, undone: str, changes: int, left: int) -> Entry:
    detail = {"changes": changes, "left": left, "fingerprint": plan.fingerprint}
    return Entry(
        action="plan.proposed",
        actor="tieout",
        subject=plan.plan_id,
        run=run_id,
        why=f"takes back run {undone}",
        detail=detail,
    )


# --------------------------------------------------------------------------- gather


async def read_again(desk: Desk, done: Sequence[Written]) -> set[RecordKey]:
    """Each record of the run as its system has it now: a search that lags must not decide. What is not shown comes
    back."""
    refs: dict[tuple[Side, Kind], list[str]] = defaultdict(list)
    for written in done:
        refs[written.change.side, written.change.kind].append(written.ref)
    unseen: set[RecordKey] = set()
    for (side, kind), found in refs.items():
        unseen |= {(side, kind, ref) for ref in await refresh(desk, side, kind, found)}
    return unseen


async def house_of(tx: Unit, desk: Desk) -> House:
    titles = {side: desk.title(side) for side in SIDES}
    if titles["crm"] == titles["books"]:
        titles = {"crm": f"{titles['crm']} (CRM)", "books": f"{titles['books']} (books)"}
    period, books = desk.mapping.period, desk.catalogues["books"].locked_until
    locks = {"books": [books], "pair": [period.locked_until], "later": [books, period.locked_until]}[period.lock]
    return House(
        titles=titles,
        operations={
            (side, kind): facts.operations
            for side in SIDES
            for kind, facts in desk.connector(side).kinds_for(desk.catalogues[side]).items()
        },
        today=(await tx.now()).astimezone(ZoneInfo(desk.mapping.time_zone)).date(),
        locked_until=max((day for day in locks if isinstance(day, date)), default=None),
        marker=lambda ref: marker(desk.installation, desk.pair.id, Kind.CREDIT_NOTE, f"undo:{ref}"),
        region=desk.mapping.region,
        by_payment=credits_by(desk) == "payment",
    )


async def stand(tx: Unit, desk: Desk, plan_id: str, done: Sequence[Written], unseen: set[RecordKey]) -> dict[str, Now]:
    """How each record of the run stands, by change id."""
    keys = {w.change.id: (w.change.side, w.change.kind, w.ref) for w in done}
    targets = await _records(tx, desk, [key for key in keys.values() if key not in unseen])
    linked = await links.find_links(tx, desk.pair.id, keys.values())
    provenance = await links.provenances(tx, [link.id for link in linked.values()])
    counterparts = {
        (side, kind, own): (OTHER[side], kind, ref)
        for (side, kind, own), link in linked.items()
        if (ref := link.ref(OTHER[side])) is not None
    }
    sources = await _records(tx, desk, counterparts.values())
    since = await undoing.written_since(tx, desk.pair.id, plan_id)
    made = [keys[w.change.id] for w in done if w.change.operation == "create"]
    hanging = await _hanging(tx, desk, made)
    invoices = [ref for _, kind, ref in made if kind is Kind.INVOICE]
    applied = await _applied(tx, desk, invoices)
    documents = await billing.documents_by_ref(tx, desk.pair.id, [(Kind.INVOICE, ref) for ref in invoices])
    over = {ref for (_, ref), document in documents.items() if document.state != "live"}
    return {
        id_: Now(
            target=targets.get(key),
            source=sources.get(counterparts[key]) if key in counterparts else None,
            link_id=linked[key].id if key in linked else None,
            linked=provenance.get(linked[key].id) if key in linked else None,
            since=tuple(since.get(key, ())),
            hanging=tuple(hanging.get(key, ())),
            applied=tuple(applied.get(key[2], ())) if key[1] is Kind.INVOICE else (),
            live=key[2] not in over if key[1] is Kind.INVOICE else True,
        )
        for id_, key in keys.items()
    }


async def _records(tx: Unit, desk: Desk, keys: Iterable[RecordKey]) -> dict[RecordKey, AnyRecord]:
    refs: dict[tuple[Side, Kind], list[str]] = defaultdict(list)
    for side, kind, ref in keys:
        refs[side, kind].append(ref)
    return {
        (side, kind, ref): record
        for (side, kind), wanted in refs.items()
        for ref, record in (await mirror.load(tx, desk.pair.connection(side), kind, wanted)).items()
    }


async def _hanging(tx: Unit, desk: Desk, made: Sequence[RecordKey]) -> dict[RecordKey, list[Hanging]]:
    """The live deals and documents that name customers and items which the run made."""
    found: dict[RecordKey, list[Hanging]] = defaultdict(list)
    for side in SIDES:
        kinds = (Kind.DEAL,) if side == "crm" else DOCUMENTS
        customers = [ref for s, kind, ref in made if s == side and kind is Kind.CUSTOMER]
        items = {ref for s, kind, ref in made if s == side and kind is Kind.ITEM}
        for kind in kinds if customers or items else ():
            for record in await _naming(tx, desk, side, kind, customers, items):
                for key in _named_by(side, record):
                    if key in made:
                        found[key].append(Hanging(kind, record.ref, named(record)))
    return found


async def _naming(
    tx: Unit, desk: Desk, side: Side, kind: Kind, customers: Sequence[str], items: set[str]
) -> list[AnyRecord]:
    """Records of a kind that may name these: by customer where only customers are asked about, else all there are."""
    connection = desk.pair.connection(side)
    records = (
        await mirror.load_all(tx, connection, kind) if items else await mirror.load_of(tx, connection, kind, customers)
    )
    return [record for record in records if getattr(record, "state", None) != "void"]


def _named_by(side: Side, record: AnyRecord) -> set[RecordKey]:
    lines = getattr(record, "lines", ())
    items = {line.item for line in lines if line.item is not None} if isinstance(lines, tuple) else set()
    parties = {getattr(record, name, None) for name in ("customer", "sold_to", "bill_to", "ship_to")}
    found: set[RecordKey] = {(side, Kind.ITEM, ref) for ref in items}
    return found | {(side, Kind.CUSTOMER, ref) for ref in parties if isinstance(ref, str)}


async def _applied(tx: Unit, desk: Desk, invoices: Sequence[str]) -> Mapping[str, list[str]]:
    """invoice -> the payments and credits that settle something of it, in words."""
    found: dict[str, list[str]] = defaultdict(list)
    touching = await billing.settled_by(tx, desk.pair.books, invoices)
    for kind in (Kind.PAYMENT, Kind.CREDIT_NOTE):
        records = await mirror.load(tx, desk.pair.books, kind, [ref for k, ref in touching if k is kind])
        for record in records.values():
            if isinstance(record, Payment | CreditNote) and record.state != "void":
                allocations = record.allocations if isinstance(record.allocations, tuple) else ()
                for document in dict.fromkeys(each.document for each in allocations):
                    found[document].append(named(record))
    return found
