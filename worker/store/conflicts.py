"""What needs a person: conflicts of fields, unsure matches, creations to be asked about; and what was decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, and_, func, insert, select, update

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.questions import Question
from worker.outside import new_id
from worker.store.database import Unit, chunks
from worker.store.tables import conflicts, decisions


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """An asked question and its answer. `number` is what people call it by."""

    id: str
    pair_id: str
    number: int
    question: Question
    state: Literal["open", "settled", "obsolete"]
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    opened_at: datetime


def _json(value: Any) -> str:
    return msgspec.json.Encoder(decimal_format="string").encode(value).decode()


async def ask(tx: Unit, pair_id: str, questions: Sequence[Question]) -> int:
    """Open questions; one that is open already with the same inputs stays as it is, with others it is replaced (one
    about many records is told anew, and keeps its number). How many are new comes back."""
    if not questions:
        return 0
    now = await tx.now()
    number = await tx.scalar(select(func.max(conflicts.c.number)).where(conflicts.c.pair_id == pair_id)) or 0
    known = {
        (row["side"], row["kind"], row["ref"], row["rule"]): row
        for row in await tx.all(select(conflicts).where(conflicts.c.pair_id == pair_id, conflicts.c.state == "open"))
    }
    rows = []
    for question in {(q.side, q.kind, q.ref, q.rule): q for q in questions}.values():
        before = known.get((question.side, question.kind.value, question.ref, question.rule))
        if before is not None and before["fingerprint"] == question.fingerprint:
            if question.what == "document" and before["candidates"] != _json(question.candidates):
                await _tell_anew(tx, before["id"], question)  # what may be answered is told of the document
            continue
        if before is not None and before["what"] == question.what == "everywhere":
            await _tell_anew(tx, before["id"], question)
            continue
        if before is not None:
            await tx.run(update(conflicts).where(conflicts.c.id == before["id"]).values(state="obsolete"))
        number += 1
        rows.append(
            {
                "id": new_id("cf"),
                "pair_id": pair_id,
                "number": number,
                "what": question.what,
                "kind": question.kind.value,
                "link_id": question.link_id,
                "rule": question.rule,
                "side": question.side,
                "ref": question.ref,
                "title": question.title,
                "reason": question.reason,
                "crm": _json(question.crm),
                "books": _json(question.books),
                "base": _json(question.base),
                "candidates": _json(question.candidates),
                "fingerprint": question.fingerprint,
                "state": "open",
                "opened_at": now,
            }
        )
    if rows:
        await tx.run(insert(conflicts), rows)
    return len(rows)


async def close_unasked(
    tx: Unit,
    pair_id: str,
    considered: Collection[tuple[Side, Kind, str]],
    asked: Collection[Question],
    fields: Collection[tuple[Kind, str, str]] = (),
) -> None:
    """Of the open questions about records that were looked at whole, and about `fields` as (kind, CRM's ref, rule),
    those that are not asked again: they answered themselves. What is half done does not: a person closes it."""
    again = {(q.side, q.kind, q.ref, q.rule) for q in asked}
    rows = await tx.rows(
        select(conflicts.c.id, conflicts.c.side, conflicts.c.kind, conflicts.c.ref, conflicts.c.rule).where(
            conflicts.c.pair_id == pair_id, conflicts.c.state == "open", conflicts.c.what != "half"
        )
    )
    over = [
        id_
        for id_, side, kind, ref, rule in rows
        if ((side, Kind(kind), ref) in considered or (side == "crm" and (Kind(kind), ref, rule) in fields))
        and (side, Kind(kind), ref, rule) not in again
    ]
    for part in chunks(over):
        await tx.run(update(conflicts).where(conflicts.c.id.in_(part)).values(state="obsolete"))


class Questions:
    """What people were asked and have not answered, and what they said to leave as it is."""

    def __init__(self, opened: Sequence[Question], left: Collection[Question]) -> None:
        self._about = {(q.side, q.kind, q.ref) for q in opened}
        self._of = {(q.kind, ref): q.ref for q in opened if q.side == "crm" for ref in q.named}
        self._fields = {(q.kind, q.rule) for q in opened if q.what == "everywhere"}
        self._left = {(q.side, q.kind, q.ref, q.rule, q.fingerprint) for q in left}
        self._lost: dict[tuple[Kind, str], list[Question]] = {}
        for question in opened:
            if question.lost_at is not None:
                self._lost.setdefault((question.kind, question.ref), []).append(question)

    def about(self, side: Side, kind: Kind, ref: str) -> bool:
        """Whether a question about this record is open."""
        return (side, kind, ref) in self._about

    def everywhere(self, kind: Kind, rule: str) -> bool:
        """Whether a field is being asked about for many records at once."""
        return (kind, rule) in self._fields

    def candidate_of(self, kind: Kind, ref: str) -> str | None:
        """The CRM record that, as an open question says, this record of the books may be."""
        return self._of.get((kind, ref))

    def about_lost(self, kind: Kind, crm_ref: str) -> Sequence[Question]:
        """The open questions about edits of a record, known by its CRM ref, that a write of ours passed over."""
        return self._lost.get((kind, crm_ref), ())

    def is_left(self, side: Side, kind: Kind, ref: str, rule: str, fingerprint: str) -> bool:
        """Whether somebody answered this very question with *Leave*: it is not asked again until its inputs change."""
        return (side, kind, ref, rule, fingerprint) in self._left


async def questions(tx: Unit, pair_id: str) -> Questions:
    mine = conflicts.c.pair_id == pair_id
    opened = await tx.all(select(conflicts).where(mine, conflicts.c.state == "open"))
    left = await tx.all(select(conflicts).where(mine, conflicts.c.state == "settled", conflicts.c.decision == "leave"))
    return Questions([_conflict(row).question for row in opened], [_conflict(row).question for row in left])


async def obsolete(tx: Unit, pair_id: str, subjects: Sequence[tuple[Kind, str, str]]) -> None:
    """(kind, ref, rule): questions that answered themselves. Subjects may be many, open questions are few."""
    answered = {(kind.value, ref, rule) for kind, ref, rule in subjects}
    rows = await tx.rows(
        select(conflicts.c.id, conflicts.c.kind, conflicts.c.ref, conflicts.c.rule).where(
            conflicts.c.pair_id == pair_id, conflicts.c.state == "open"
        )
    )
    found = [id_ for id_, *subject in rows if tuple(subject) in answered]
    for part in chunks(found):
        await tx.run(update(conflicts).where(conflicts.c.id.in_(part)).values(state="obsolete"))


def _conflict(row: Mapping[str, Any]) -> Conflict:
    question = Question(
        what=row["what"],
        kind=Kind(row["kind"]),
        side=row["side"],
        ref=row["ref"],
        title=row["title"],
        reason=row["reason"],
        rule=row["rule"] or "",
        link_id=row["link_id"],
        crm=msgspec.json.decode(row["crm"]) if row["crm"] is not None else None,
        books=msgspec.json.decode(row["books"]) if row["books"] is not None else None,
        base=msgspec.json.decode(row["base"]) if row["base"] is not None else None,
        candidates=tuple(msgspec.json.decode(row["candidates"])),
    )
    return Conflict(
        id=row["id"],
        pair_id=row["pair_id"],
        number=row["number"],
        question=question,
        state=row["state"],
        decision=row["decision"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        opened_at=row["opened_at"],
    )


async def open_conflicts(tx: Unit, pair_id: str, limit: int = 1000) -> list[Conflict]:
    rows = await tx.all(
        select(conflicts)
        .where(conflicts.c.pair_id == pair_id, conflicts.c.state == "open")
        .order_by(conflicts.c.number)
        .limit(limit)
    )
    return [_conflict(row) for row in rows]


async def open_everywhere(tx: Unit, pair_id: str) -> list[Conflict]:
    """The open questions about a field of many records."""
    mine = (conflicts.c.pair_id == pair_id, conflicts.c.state == "open", conflicts.c.what == "everywhere")
    return [_conflict(row) for row in await tx.all(select(conflicts).where(*mine).order_by(conflicts.c.number))]


async def count_open(tx: Unit, pair_id: str) -> int:
    return int(
        await tx.scalar(
            select(func.count())
            .select_from(conflicts)
            .where(conflicts.c.pair_id == pair_id, conflicts.c.state == "open")
        )
    )


async def count_records(tx: Unit, pair_id: str) -> int:
    """How many records the open questions are about."""
    many = [conflict.question.records for conflict in await open_everywhere(tx, pair_id)]
    return await count_open(tx, pair_id) - len(many) + sum(many)


async def get(tx: Unit, pair_id: str, number: int) -> Conflict | None:
    row = await tx.first(select(conflicts).where(conflicts.c.pair_id == pair_id, conflicts.c.number == number))
    return _conflict(row) if row is not None else None


async def settle(tx: Unit, conflict: Conflict, decision: str, by: str) -> bool:
    """open -> settled; False: somebody was first."""
    result = await tx.run(
        update(conflicts)
        .where(conflicts.c.id == conflict.id, conflicts.c.state == "open")
        .values(state="settled", decision=decision, decided_by=by, decided_at=await tx.now())
    )
    return bool(result.rowcount)


async def ask_anew(tx: Unit, conflict: Conflict, question: Question) -> None:
    """The same open question with the values of now."""
    await _tell_anew(tx, conflict.id, question)


async def _tell_anew(tx: Unit, conflict_id: str, question: Question) -> None:
    told = {"title": question.title, "reason": question.reason, "fingerprint": question.fingerprint}
    values = {name: _json(getattr(question, name)) for name in ("crm", "books", "base", "candidates")}
    await tx.run(
        update(conflicts).where(conflicts.c.id == conflict_id, conflicts.c.state == "open").values(**told, **values)
    )


TAKEN_BACK = "undo"  # the rule of a decision that an undo left: what it took back is not made or matched again


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody settled about a source, until a person lifts it. `detail`: the other side's ref, or a value."""

    side: Side
    kind: Kind
    ref: str
    verdict: str
    rule: str = ""
    detail: str = ""


async def decide(tx: Unit, pair_id: str, decision: Decision, by: str) -> None:
    await decide_all(tx, pair_id, [decision], by)


async def decide_all(tx: Unit, pair_id: str, said: Sequence[Decision], by: str) -> None:
    now = await tx.now()
    rows = [
        {"id": new_id("dc"), "pair_id": pair_id, "side": decision.side, "kind": decision.kind.value,
         "ref": decision.ref, "rule": decision.rule, "verdict": decision.verdict, "detail": decision.detail,
         "decided_by": by, "decided_at": now}
        for decision in said
    ]  # fmt: skip
    if rows:
        await tx.run(insert(decisions), rows)


async def decided(tx: Unit, pair_id: str) -> dict[tuple[Side, Kind, str], list[Decision]]:
    """Everything settled and not lifted, by source."""
    found: dict[tuple[Side, Kind, str], list[Decision]] = {}
    for row in await tx.all(
        select(decisions)
        .where(decisions.c.pair_id == pair_id, decisions.c.lifted_at.is_(None))
        .order_by(decisions.c.decided_at)
    ):
        decision = _decision(row)
        found.setdefault((decision.side, decision.kind, decision.ref), []).append(decision)
    return found


def _decision(row: Mapping[str, Any]) -> Decision:
    return Decision(
        side=row["side"],
        kind=Kind(row["kind"]),
        ref=row["ref"],
        verdict=row["verdict"],
        rule=row["rule"],
        detail=row["detail"],
    )


def _stands(pair_id: str, subject: tuple[Side, Kind, str]) -> ColumnElement[bool]:
    """Decided about one record, and not lifted."""
    side, kind, ref = subject
    mine = (decisions.c.side == side, decisions.c.kind == kind.value, decisions.c.ref == ref)
    return and_(decisions.c.pair_id == pair_id, *mine, decisions.c.lifted_at.is_(None))


async def said_about(
    tx: Unit, pair_id: str, subject: tuple[Side, Kind, str], verdicts: Sequence[str]
) -> list[tuple[Decision, str]]:
    """What was decided about one record in any of these ways and not lifted, and by whom."""
    rows = await tx.all(
        select(decisions)
        .where(_stands(pair_id, subject), decisions.c.verdict.in_(list(verdicts)))
        .order_by(decisions.c.decided_at)
    )
    return [(_decision(row), row["decided_by"]) for row in rows]


async def lift(tx: Unit, pair_id: str, subject: tuple[Side, Kind, str], rule: str, verdict: str) -> None:
    """A decision that is carried out, void, or taken back by a person."""
    await tx.run(
        update(decisions)
        .where(_stands(pair_id, subject), decisions.c.rule == rule, decisions.c.verdict == verdict)
        .values(lifted_at=await tx.now())
    )


async def lift_verdicts(tx: Unit, pair_id: str, subject: tuple[Side, Kind, str], verdicts: Sequence[str]) -> bool:
    """What was decided about a record in any of these ways, under whatever rule. False: there was nothing."""
    result = await tx.run(
        update(decisions)
        .where(_stands(pair_id, subject), decisions.c.verdict.in_(list(verdicts)))
        .values(lifted_at=await tx.now())
    )
    return bool(result.rowcount)


async def lift_rules(tx: Unit, pair_id: str, kind: Kind, rules: Sequence[str], verdict: str) -> None:
    """What was decided under fields that mean something else now."""
    await tx.run(
        update(decisions)
        .where(
            decisions.c.pair_id == pair_id,
            decisions.c.kind == kind.value,
            decisions.c.rule.in_(list(rules)),
            decisions.c.verdict == verdict,
            decisions.c.lifted_at.is_(None),
        )
        .values(lifted_at=await tx.now())
    )


async def own_value_done(tx: Unit, pair_id: str, subject: tuple[Kind, str], rule: str, side: Side) -> None:
    """One side has had its write of a person's own value; with both written the decision is carried out."""
    kind, ref = subject
    rows = await tx.all(
        select(decisions).where(
            decisions.c.pair_id == pair_id,
            decisions.c.kind == kind.value,
            decisions.c.ref == ref,
            decisions.c.rule == rule,
            decisions.c.verdict == "value",
            decisions.c.lifted_at.is_(None),
        )
    )
    for row in rows:
        said = msgspec.json.decode(row["detail"])
        said["done"] = [*said.get("done", []), side]
        lifted = await tx.now() if set(said["done"]) == {"crm", "books"} else None
        await tx.run(
            update(decisions)
            .where(decisions.c.id == row["id"])
            .values(detail=msgspec.json.encode(said).decode(), lifted_at=lifted)
        )
