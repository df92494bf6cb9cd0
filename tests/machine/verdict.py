"""What must be true of a town, and what is wrong where it is not: in words, so that a broken mechanism can be shown
to be found."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import func, select

from connectors.canon.fields import Value, to_json
from connectors.canon.records import Invoice
from connectors.canon.values import ABSENT
from tests.machine.people import AUTHORITY, ONE_WAY, PATHS, C, I, People
from tests.machine.town import Town
from tests.machine.typed import OTHER, SIDES, Record, key_of
from worker.engine.questions import Question
from worker.store import audit
from worker.store.conflicts import Conflict
from worker.store.tables import audit_values, changes, decisions, documents, positions


def duplicates(people: People) -> list[str]:
    """At any time: Tieout makes one document for a deal, and no other where a person voided that. One that a person
    deleted before its lost answer was looked up is as if it had never arrived."""
    rows = people.world("books").state.rows[I].values()
    ours = Counter(
        r.record.net for r in rows if isinstance(r.record, Invoice) and r.record.origin == "tieout" and r.gone is None
    )
    made = {ref: sum(ours[amount] for amount in amounts) for ref, amounts in people.amounts.items()}
    return [f"{number} invoices were made for deal {ref}" for ref, number in made.items() if number > 1]


async def _made_again(town: Town) -> list[str]:
    """Deals for which a document was made although there had been one, whatever became of that."""
    per_deal = select(positions.c.deal, func.count()).join(documents, documents.c.position_id == positions.c.id)
    async with town.rig.db.read() as tx:
        rows = await tx.rows(per_deal.group_by(positions.c.deal).having(func.count() > 1))
    return [f"{number} documents are known of deal {ref}" for ref, number in rows]


async def complaints(town: Town) -> list[str]:
    """Once it has settled: everything that is not as promised."""
    known = await _known(town)
    found = [*duplicates(town.people), *await _made_again(town), *await _counterparts(town), *_forgotten(town, known)]
    for side in SIDES:
        for record in town.people.customers(side):
            for path in PATHS:
                found += _lost(town, known, (side, record.ref), path)
                found += _differs(town, known, (side, record.ref), path) if side == "crm" else []
    async with town.rig.db.read() as tx:
        broken = await audit.verify(tx, town.rig.pair.id)
    return found + ([f"the audit chain: {broken}"] if broken is not None else [])


class Known(msgspec.Struct):
    """What Tieout says of records: what it asks, why they wait, what it wrote over (path, JSON), what was decided."""

    asked: list[Conflict]
    waiting: dict[Record, str]
    overwritten: set[tuple[str, bytes]]
    decided: set[Record]

    def question(self, crm: str, path: str) -> Question | None:
        """The open one about a field of a record, or about that field of many."""
        about = (c.question for c in self.asked if c.question.rule.partition(":")[0] == path)
        return next((q for q in about if q.what == "everywhere" or (q.what == "field" and q.ref == crm)), None)


async def _known(town: Town) -> Known:
    waiting = await town.rig.waiting()
    async with town.rig.db.read() as tx:
        values = await tx.rows(select(audit_values.c.value).where(audit_values.c.value.is_not(None)))
        decided = await tx.rows(select(decisions.c.side, decisions.c.ref).where(decisions.c.kind == C.value))
    said = [msgspec.json.decode(text) for (text,) in values]
    return Known(
        asked=await town.questions(),
        waiting={(side, ref): why for (side, kind, ref), why in waiting.items() if kind == C.value},  # type: ignore[misc]  # it is a side
        overwritten={(p, msgspec.json.encode(v)) for each in said if isinstance(each, dict) for p, v in each.items()},
        decided={(side, ref) for side, ref in decided},
    )


async def _counterparts(town: Town) -> list[str]:
    """Tieout makes a customer's counterpart once."""
    found = []
    for side in SIDES:
        creates = (changes.c.side == side, changes.c.kind == C.value, changes.c.operation == "create")
        said = (changes.c.source_ref, changes.c.state, changes.c.ref, changes.c.outcome, changes.c.reason)
        async with town.rig.db.read() as tx:
            rows = await tx.rows(select(*said).where(*creates).order_by(changes.c.id))
        made = {record.ref for record in town.people.customers(side)} - town.people.made[side]
        if len(made) > len({source for source, *_ in rows}):
            found.append(f"{sorted(made)} were made in the {side} for {rows}")
    return found


def _forgotten(town: Town, known: Known) -> list[str]:
    """Customers that Tieout neither keeps in step, nor asks about, nor says anything of."""
    of: set[Record] = {*known.waiting, *known.decided, *town.people.typed.partners}
    for asked in known.asked:
        question = asked.question
        of.add((question.side, question.ref))
        of |= {(OTHER[question.side], ref) for ref in question.named}
    here: list[Record] = [(side, record.ref) for side in SIDES for record in town.people.customers(side)]
    return [f"{record} is forgotten" for record in here if record not in of]


def _lost(town: Town, known: Known, record: Record, path: str) -> list[str]:
    """Values that somebody typed, that nobody typed over or decided against, and that are at neither side."""
    partner = town.people.typed.partners.get(record)
    here, there = town.people.now(record, path), town.people.now(partner, path)
    stands = {key_of(path, here)} | ({key_of(path, there)} if there is not ABSENT else set())
    return [
        f"{path} of {record}: {value!r} is gone; it says {here!r}, and {there!r} at {partner}"
        for value in town.people.typed.claims(record, path)
        if key_of(path, value) not in stands and not _let_go(town, known, (record, partner), path, value)
    ]


def _let_go(town: Town, known: Known, both: tuple[Record, Record | None], path: str, value: Value) -> bool:
    """Whether the CRM's authority let a value of the books go, and it can be read in the audit trail."""
    books = next((record for record in both if record is not None and record[0] == "books"), None)
    if AUTHORITY[path] != "crm" or books is None or not town.people.typed.is_claimed(books, path, value):
        return False
    return value is None or (path, msgspec.json.encode(to_json(value))) in known.overwritten


def _differs(town: Town, known: Known, crm: Record, path: str) -> list[str]:
    """Two that are linked and say different things, without a question or a reason; or a question without need."""
    partner = town.people.typed.partners.get(crm)
    here, there = town.people.now(crm, path), town.people.now(partner, path)
    if partner is None or there is ABSENT:
        return []
    question = known.question(crm[1], path)
    said = question is not None or crm in known.waiting or partner in known.waiting
    agreed_to = path in ONE_WAY and (crm[1], path) in town.decided
    if key_of(path, here) != key_of(path, there) and not said and not agreed_to:
        return [f"{path} of {crm} says {here!r}, and {there!r} at {partner}, without a word"]
    compared = question is not None and question.what == "field" and question.base is not None
    if (crm, path) in town.people.copied:
        return []
    if compared and not town.rough and len(town.people.typed.claims(crm, path)) < 2:
        return [f"{path} of {crm}: a false conflict, {here!r} or {there!r}"]
    return []


def shown(found: list[str]) -> Any:
    """For a failing test: one complaint a line."""
    return "\n" + "\n".join(found)
