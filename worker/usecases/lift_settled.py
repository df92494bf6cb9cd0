"""Lift what settled a source: a deal whose document was taken back, voided or credited is billed again, a record whose
counterpart was taken back or said to be not needed is made again. Only a person does that; the next preview shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import Customer, Deal, Item, Kind
from connectors.kit.contract import Side
from worker.engine.billing import DocumentFate, NotBillable, customer_of, generation_to_bill
from worker.engine.drawing import title_of
from worker.store import audit, billing, conflicts, dirty_set, links, mirror
from worker.store.billing import DocumentRow, DocumentStateWord, PositionRow
from worker.store.conflicts import TAKEN_BACK, Decision
from worker.store.database import Unit
from worker.store.dirty_set import Listener
from worker.store.links import NewLink
from worker.usecases.office import OTHER, Desk
from worker.usecases.tell_record import Found, address, find_records

Verb: TypeAlias = Literal["bill", "make"]
BILLED = (Kind.DEAL, Kind.INVOICE)
MADE = (Kind.CUSTOMER, Kind.ITEM)
_NOT_BILLED = ("not_needed", "not_billable")
_FATES: dict[DocumentStateWord, DocumentFate] = {
    "live": "live",
    "void": "void",
    "deleted": "gone",
    "credited": "credited",
}
_NAMED = 10


class Standing(msgspec.Struct, frozen=True):
    """That something is settled: what a person may do about it, and how it came about, in words."""

    verb: Verb
    was: str


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """What was lifted. `was` says how it was settled; `documents` how many are to be made anew; `along` is what was
    lifted with it, address -> name: a deal's customer and items that an undo took back too; `inactive` which of them
    their system keeps as inactive, in words: those are made active there by hand."""

    address: str
    title: str
    kind: Kind
    was: str
    documents: int = 0
    along: dict[str, str] = {}
    inactive: tuple[str, ...] = ()


class NotLifted(LookupError):
    """Nothing was lifted: why, and what to do instead."""

    def __init__(self, message: str, next_step: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message, self.next_step, self.details = message, next_step, tuple(details)


# --------------------------------------------------------------------------- what is settled


async def settled_as(tx: Unit, pair_id: str, found: Found) -> Standing | None:
    """How a record is settled; None: it is not, or no person has to lift anything for it to be billed or made."""
    if found.kind in BILLED:
        ended = await _ended(tx, pair_id, found)
        said = await _unbilled(tx, pair_id, found)
        was = [row.reason or row.state for row in ended] + [_words(*each) for each in said]
        return Standing("bill", "; ".join(dict.fromkeys(was))) if was else None
    if found.kind in MADE:
        said = await conflicts.said_about(tx, pair_id, (found.side, found.kind, found.ref), ("not_needed",))
        return Standing("make", "; ".join(dict.fromkeys(_words(*each) for each in said))) if said else None
    return None


def _words(decision: Decision, by: str) -> str:
    if decision.rule == TAKEN_BACK:
        return f"taken back by {by}"
    return f"{decision.verdict.replace('_', ' ')}, as {by} said"


async def _ended(tx: Unit, pair_id: str, found: Found) -> list[PositionRow]:
    """The positions of a deal whose documents were ended; of an invoice, its own."""
    if found.kind is Kind.DEAL:
        rows = (await billing.positions_of(tx, pair_id, [found.ref])).get(found.ref, [])
    else:
        known = await billing.documents_by_ref(tx, pair_id, [(found.kind, found.ref)])
        rows = list((await billing.position_by_id(tx, [d.position_id for d in known.values()])).values())
    return [row for row in rows if row.state in ("spent", "settled")]


async def _unbilled(tx: Unit, pair_id: str, found: Found) -> list[tuple[Decision, str]]:
    """What people said about a whole deal."""
    if found.kind is not Kind.DEAL:
        return []
    return await conflicts.said_about(tx, pair_id, ("crm", Kind.DEAL, found.ref), _NOT_BILLED)


async def _meant(tx: Unit, desk: Desk, text: str, kinds: Sequence[Kind]) -> tuple[Found, Standing]:
    """The settled record that `text` names. Raises NotLifted if there is none, or several."""
    known = await find_records(tx, desk.pair, text, kinds)
    if not known:
        raise NotLifted(f'No {_either(kinds)} is called "{text}".', "Say it by name, by number, or like crm:deal:51.")
    standing = [(found, stands) for found in known if (stands := await settled_as(tx, desk.pair.id, found))]
    if not standing:
        raise await _not_settled(tx, desk, known)
    sources = [(found, stands) for found, stands in standing if not await _is_other_half(tx, desk, found, standing)]
    if len(sources) > 1:
        lines = [f"{found.address}  {found.title}: {stands.was}" for found, stands in sources[:_NAMED]]
        more = [f"and {len(sources) - _NAMED} more"] if len(sources) > _NAMED else []
        raise NotLifted(f'"{text}" may be one of {len(sources)}:', "Say it with one of these.", [*lines, *more])
    return sources[0]


async def _is_other_half(tx: Unit, desk: Desk, found: Found, standing: Sequence[tuple[Found, Standing]]) -> bool:
    """Of two that an undo parted, or of a document and its deal, only one is meant."""
    if found.kind is Kind.INVOICE:
        return any(f"crm:deal:{f.ref}" in found.others for f, _ in standing if f.kind is Kind.DEAL)
    if found.side == "crm" or found.kind not in MADE:
        return False
    said = await conflicts.said_about(tx, desk.pair.id, (found.side, found.kind, found.ref), ("not_needed",))
    parted = {decision.detail for decision, _ in said}
    return any(f.side == "crm" and f.kind is found.kind and f.ref in parted for f, _ in standing)


def _either(kinds: Sequence[Kind]) -> str:
    return " or ".join(kind.value.replace("_", " ") for kind in kinds)


async def _not_settled(tx: Unit, desk: Desk, known: Sequence[Found]) -> NotLifted:
    found = known[0]
    called = f"{found.kind.value.capitalize()} {found.title}"
    if found.kind not in BILLED:
        message = f"{called} is not settled: nothing of it was taken back or said to be not needed."
        return NotLifted(message, "A preview shows how it stands.")
    rows = (await billing.positions_of(tx, desk.pair.id, [found.ref])).get(found.ref, [])
    made = await billing.documents_of(tx, [row.id for row in rows])
    if found.kind is Kind.INVOICE or any(d.state == "live" for some in made.values() for d in some):
        return NotLifted(f"{called} is not settled: its document stands.", "Void that first, if it is wrong.")
    message = f"{called} is not settled: no document of it was taken back, voided or credited."
    return NotLifted(message, "A preview shows how it stands.")


# --------------------------------------------------------------------------- deals


async def bill_again(desk: Desk, text: str, by: str, why: str | None = None) -> Again:
    """A person says that what was ended is billed once more: the next preview shows a document of the next generation.
    `text` names the deal, or one of its invoices for that one alone. Raises NotLifted."""
    async with desk.db.write() as tx:
        found, standing = await _meant(tx, desk, text, BILLED)
        ended = await _ended(tx, desk.pair.id, found)
        deal = await _won(tx, desk, found, ended)
        await _open_again(tx, found, ended)
        subject: tuple[Side, Kind, str] = ("crm", Kind.DEAL, deal.ref)
        if found.kind is Kind.DEAL:
            await conflicts.lift_verdicts(tx, desk.pair.id, subject, _NOT_BILLED)
        along, inactive = await _with_what_it_names(tx, desk, deal, by)
        await dirty_set.mark(tx, [Listener(desk.pair.id, "crm")], [(Kind.DEAL, deal.ref)])
        again = Again(
            address=address("crm", Kind.DEAL, deal.ref),
            title=title_of(deal),
            kind=Kind.DEAL,
            was=standing.was,
            documents=max(1, len(ended)),
            along=along,
            inactive=inactive,
        )
        await _on_record(tx, desk, again, "bill.again", by, why)
    return again


async def _won(tx: Unit, desk: Desk, found: Found, ended: Sequence[PositionRow]) -> Deal:
    ref = found.ref if found.kind is Kind.DEAL else ended[0].deal
    deal = (await mirror.load(tx, desk.pair.crm, Kind.DEAL, [ref])).get(ref)
    if not isinstance(deal, Deal):
        raise NotLifted(f"The deal is not in {desk.title('crm')} any more: there is nothing to bill.")
    if deal.status != "won":
        message = f"Deal {title_of(deal)} is {deal.status}: nothing is billed for it."
        raise NotLifted(message, f"Set it to won in {desk.title('crm')} first.")
    return deal


async def _open_again(tx: Unit, found: Found, ended: Sequence[PositionRow]) -> None:
    made = await billing.documents_of(tx, [row.id for row in ended])
    for row in ended:
        following = _following(row, made.get(row.id, []))
        if isinstance(following, NotBillable):
            raise NotLifted(f"{found.title}: {following.why}", "Void that document first, if it is wrong.")
        await billing.open_again(tx, row.id, following)


def _following(row: PositionRow, made: Sequence[DocumentRow]) -> int | NotBillable:
    """The generation of the next document; never one that an earlier attempt may have used."""
    following = generation_to_bill([(d.generation, _FATES[d.state]) for d in made], again=True)
    if isinstance(following, NotBillable):
        return following
    return max(following, row.generation + 1) if made else max(following, row.generation)


async def _with_what_it_names(tx: Unit, desk: Desk, deal: Deal, by: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Its customer and items that an undo took back too: without them it cannot be billed. What a person said is not
    needed stays so."""
    lines = deal.lines if isinstance(deal.lines, tuple) else ()
    named = [(Kind.CUSTOMER, customer_of(deal) or ""), *((Kind.ITEM, line.item or "") for line in lines)]
    along: dict[str, str] = {}
    inactive: list[str] = []
    for kind, ref in dict.fromkeys(named):
        said = await conflicts.said_about(tx, desk.pair.id, ("crm", kind, ref), ("not_needed",))
        if not said or any(decision.rule != TAKEN_BACK for decision, _ in said):
            continue
        records = await mirror.load(tx, desk.pair.crm, kind, [ref])
        there = await _lift_both(tx, desk, ("crm", kind, ref), [decision for decision, _ in said], by)
        inactive += await _inactive(tx, desk, kind, there)
        along[address("crm", kind, ref)] = title_of(records[ref]) if ref in records else ref
    return along, tuple(dict.fromkeys(inactive))


async def _inactive(tx: Unit, desk: Desk, kind: Kind, refs: Sequence[tuple[Side, str]]) -> list[str]:
    """Those of these that their system keeps as inactive. Its name stays taken there, so no second one is made."""
    found = []
    for side, ref in refs:
        for record in (await mirror.load(tx, desk.pair.connection(side), kind, [ref])).values():
            if isinstance(record, Customer | Item) and record.active is False:
                found.append(f"{title_of(record)} is inactive in {desk.title(side)}: make it active there")
    return found


# --------------------------------------------------------------------------- customers and items


async def make_again(desk: Desk, text: str, by: str, why: str | None = None) -> Again:
    """A person says that a counterpart is made again, or linked again if it is still there. Raises NotLifted."""
    async with desk.db.write() as tx:
        found, standing = await _meant(tx, desk, text, MADE)
        said = await conflicts.said_about(tx, desk.pair.id, (found.side, found.kind, found.ref), ("not_needed",))
        there = await _lift_both(tx, desk, (found.side, found.kind, found.ref), [each for each, _ in said], by)
        if not there:
            raise NotLifted(f"{found.title} is gone from both sides: there is nothing to make it from.")
        if len(there) == 1:
            ((side, ref),) = there
            decision = Decision(side=side, kind=found.kind, ref=ref, verdict="create", rule="create")
            await conflicts.decide(tx, desk.pair.id, decision, by)
        again = Again(
            address=found.address,
            title=found.title,
            kind=found.kind,
            was=standing.was,
            inactive=tuple(await _inactive(tx, desk, found.kind, there)),
        )
        await _on_record(tx, desk, again, "make.again", by, why)
    return again


async def _lift_both(
    tx: Unit, desk: Desk, subject: tuple[Side, Kind, str], said: Sequence[Decision], by: str
) -> list[tuple[Side, str]]:
    """An undo marked both of the two that it parted. Those that are still there come back; if both are, they are
    linked again."""
    side, kind, ref = subject
    both: list[tuple[Side, str]] = [(side, ref)]
    both += [(OTHER[side], decision.detail) for decision in said if decision.detail]
    there = []
    for each, own in dict.fromkeys(both):
        await conflicts.lift_verdicts(tx, desk.pair.id, (each, kind, own), ("not_needed",))
        await dirty_set.mark(tx, [Listener(desk.pair.id, each)], [(kind, own)])
        if own in await mirror.load(tx, desk.pair.connection(each), kind, [own]):
            there.append((each, own))
    if len(there) == 2:
        await _rejoin(tx, desk, kind, dict(there), by)
    return there


async def _rejoin(tx: Unit, desk: Desk, kind: Kind, refs: dict[Side, str], by: str) -> None:
    """As when a person says that two are the same. One that is another's meanwhile stays that one's."""
    for side, ref in refs.items():
        if not await links.is_free(tx, desk.pair.id, side, kind, [ref]):
            return
    await links.make_links(tx, desk.pair.id, [NewLink(kind, refs["crm"], refs["books"], "matched", f"{by} said so")])


async def _on_record(tx: Unit, desk: Desk, again: Again, action: str, by: str, why: str | None) -> None:
    """Who, when, why, and how it had been settled; no personal values."""
    said = audit.Entry(action=action, actor=by, subject=again.address, why=why, detail={"how": f"settled: {again.was}"})
    along = [
        audit.Entry(
            action="make.again", actor=by, subject=each, source=again.address, why="what names it is billed again"
        )
        for each in again.along
    ]
    await audit.append(tx, desk.pair.id, [said, *along])
