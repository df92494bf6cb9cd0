"""Apply an approved plan: intents before calls, calls as large as the vendor takes, an outcome for each item.

At any instant the process may die; the next worker finds every change in the state that is true of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from connectors.canon.fields import key, read
from connectors.canon.records import AnyRecord, Document, Kind, encode
from connectors.canon.values import ABSENT
from connectors.kit.contract import Act, Create, Denied, Moved, NotSent, Outcome, Update, Write
from connectors.kit.contract import InDoubt as Doubt
from connectors.kit.errors import ConnectorError, Reconnect, TryLater
from worker.engine.plan import Change, Relied, call_key, relied_digest
from worker.store import connections, mirror, plans, runs
from worker.store.database import Unit
from worker.store.plans import Intent, LostRace, Step, StoredChange
from worker.usecases.fill_in import filled_in
from worker.usecases.office import OTHER, Desk
from worker.usecases.outcomes import Answered, record_outcomes
from worker.usecases.pull import pull_pair, refresh
from worker.usecases.settle_doubts import Doubts, settle_doubts

WAVE = 5_000
STALE_TIMES = 3
PATIENCE_S = 20.0  # a vendor's wait up to this long is sat out; a longer one gives the lease back


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """How far a plan is. `not_before`: work is left, and this is when it is worth going on; `why` says for what."""

    states: dict[plans.State, int]
    not_before: datetime | None = None
    why: str | None = None


class Wait(Exception):
    """Nothing more can be sent for now."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason, self.seconds = reason, seconds


async def apply_plan(desk: Desk, plan_id: str, run_id: str, actor: str) -> Applied:
    """Carry out what is approved of a plan, as far as it goes now."""
    doubts = await settle_doubts(desk, run_id, actor)
    try:
        before: dict[plans.State, int] = {}
        states = await _states(desk, plan_id)
        while states != before:  # what was in doubt may be settled now, and what needs it can go on
            before = states
            await _waves(desk, plan_id, run_id, actor)
            doubts = await settle_doubts(desk, run_id, actor)
            states = await _states(desk, plan_id)
    except Wait as wait:
        async with desk.db.read() as tx:
            now = await tx.now()
            states = await plans.count_states(tx, plan_id)
        return Applied(states=states, not_before=now + timedelta(seconds=wait.seconds), why=wait.reason)
    return await _closed(desk, plan_id, doubts)


async def _states(desk: Desk, plan_id: str) -> dict[plans.State, int]:
    async with desk.db.read() as tx:
        return await plans.count_states(tx, plan_id)


async def _closed(desk: Desk, plan_id: str, doubts: Doubts) -> Applied:
    """The plan is over, unless something of it is still in doubt."""
    async with desk.db.write() as tx:
        states = await plans.count_states(tx, plan_id)
        open_still = states.get("intended", 0) + states.get("unknown", 0) + states.get("planned", 0)
        if not open_still:
            await plans.close_plan(tx, plan_id, "applied")
    if open_still:
        why = "an answer was lost; what arrived is looked up before anything is sent again"
        return Applied(states=states, not_before=doubts.not_before, why=why)
    return Applied(states=states)


async def close_left(desk: Desk, run_id: str, actor: str) -> Applied | None:
    """A plan that nobody carries out any more, for its run failed: what is in doubt is looked up, the rest is left
    to the next plan, and the plan is over. None: there is no such plan, or all of it is settled."""
    async with desk.db.read() as tx:
        plan = await plans.current_plan(tx, desk.pair.id)
        if plan is None or plan.state != "applying" or await runs.carried(tx, desk.pair.id, plan.id):
            return None
    doubts = await settle_doubts(desk, run_id, actor)
    if doubts.left:
        why = "an answer was lost; what arrived is looked up before anything else is planned"
        return Applied(states=await _states(desk, plan.id), not_before=doubts.not_before, why=why)
    async with desk.db.write() as tx:
        left = await plans.read_changes(tx, plan.id, ["planned"])
        reason = "the run that carried it out ended before"
        await plans.step(
            tx, [Step(id=s.change.id, to="discarded", come_from=("planned",), reason=reason) for s in left]
        )
        await plans.close_plan(tx, plan.id, "applied")
    return None


async def _waves(desk: Desk, plan_id: str, run_id: str, actor: str) -> None:
    """Waves of changes in order; each begins with what moved on both sides since."""
    after = -1
    while True:
        async with desk.db.read() as tx:
            wave = await plans.read_changes(tx, plan_id, ["planned"], after_seq=after, limit=WAVE)
            total = sum((await plans.count_states(tx, plan_id)).values())
        if not wave:
            return
        await _pull(desk)
        for batch in _batches(desk, wave):
            await desk.say("Applying", batch[0].seq, total)
            await _apply_batch(desk, plan_id, run_id, actor, batch)
        await desk.say("Applying", wave[-1].seq + 1, total)
        after = wave[-1].seq


async def _pull(desk: Desk) -> None:
    try:
        await pull_pair(desk)
    except TryLater as error:
        raise Wait(str(error), error.wait_s or 60) from error


def _batches(desk: Desk, wave: Sequence[StoredChange]) -> list[list[StoredChange]]:
    """Runs of one side, kind and operation, each at most as long as one vendor call takes."""
    batches: list[list[StoredChange]] = []
    for stored in wave:
        change = stored.change
        size = desk.facts(change.side, change.kind).batch_write
        last = batches[-1] if batches else []
        same = last and _sort(last[0].change) == _sort(change) and len(last) < size
        if same and not set(change.needs) & {s.change.id for s in last}:
            last.append(stored)
        else:
            batches.append([stored])
    return batches


def _sort(change: Change) -> tuple[str, Kind, str]:
    return change.side, change.kind, change.operation


# --------------------------------------------------------------------------- one vendor call


async def _apply_batch(desk: Desk, plan_id: str, run_id: str, actor: str, batch: Sequence[StoredChange]) -> None:
    """Send what is still true of a batch; what a version token kept out is read again and sent once more."""
    left: Sequence[StoredChange] = batch
    for _ in range(STALE_TIMES):
        left = await _send(desk, plan_id, run_id, actor, left)
        if not left:
            return
    async with desk.db.write() as tx:
        reason = f"it moved {STALE_TIMES} times while it was being written: planned again"
        await plans.step(tx, [Step(id=s.change.id, to="stale", come_from=("planned",), reason=reason) for s in left])


async def _send(
    desk: Desk, plan_id: str, run_id: str, actor: str, batch: Sequence[StoredChange]
) -> Sequence[StoredChange]:
    """One call. What has to be tried again with a fresh version comes back."""
    batch = await _not_failed(desk, batch)
    if not batch:
        return []
    batch = await _fresh_reads(desk, batch)
    if not batch:
        return []
    ready, records, targets = await _still_true(desk, batch)
    if not ready:
        return []
    first = ready[0].change
    connector = desk.connector(first.side)
    mark = await connector.mark(first.kind) if first.operation == "create" else None
    bodies = b"\n".join(encode(records[s.change.id]) if s.change.id in records else b"" for s in ready)
    call = call_key([s.change.id for s in ready], ready[0].attempt, bodies)
    writes = [_write(s, records, targets, f"{call[:24]}{n:04d}") for n, s in enumerate(ready)]
    sent_at = await _intend(desk, plan_id, ready, call, mark, connector.facts.call_deadline_s, targets)
    if sent_at is None:
        return []
    sent = Sent(changes=ready, records=records, at=sent_at)
    try:
        outcomes: Sequence[Outcome] = await connector.write(writes, call)
    except asyncio.CancelledError:
        await _record(desk, run_id, actor, sent, [Doubt("the worker was stopped")] * len(ready))
        raise
    except ConnectorError as error:
        outcomes = [_outcome(error)] * len(ready)
    await _record(desk, run_id, actor, sent, outcomes)
    await _look_for(desk, [s for s, o in zip(ready, outcomes, strict=True) if isinstance(o, Denied)])
    _stop_if_told(outcomes)
    return await _again(desk, [s for s, o in zip(ready, outcomes, strict=True) if isinstance(o, Moved)])


def _outcome(error: ConnectorError) -> Outcome:
    """A connector should answer with outcomes; what it raises is taken at its word, and as doubt otherwise."""
    if isinstance(error, Reconnect):
        return NotSent(error.message, next="reconnect")
    if isinstance(error, TryLater):
        return NotSent(error.message, wait_s=error.wait_s)
    return Doubt(error.message)


def _stop_if_told(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, NotSent) and outcome.next == "reconnect":
            raise Reconnect(outcome.reason)
        if isinstance(outcome, NotSent) and outcome.next == "wait":
            raise Wait(outcome.reason, outcome.wait_s if outcome.wait_s is not None else PATIENCE_S)


async def _look_for(desk: Desk, refused: Sequence[StoredChange]) -> None:
    """A refused update may be one of a record that is not to be seen any more: then nothing is planned for it."""
    refs = [s.change.ref for s in refused if s.change.ref is not None]
    if not refs:
        return
    first = refused[0].change
    unseen = await refresh(desk, first.side, first.kind, refs)
    async with desk.db.write() as tx:
        await mirror.lose_sight(tx, desk.pair.connection(first.side), first.kind, unseen)


async def _again(desk: Desk, moved: Sequence[StoredChange]) -> Sequence[StoredChange]:
    """Read what moved; it is sent again if the fields are still as planned (`_still_true` decides)."""
    if not moved:
        return []
    first = moved[0].change
    await refresh(desk, first.side, first.kind, [s.change.ref for s in moved if s.change.ref is not None])
    return [msgspec.structs.replace(s, attempt=s.attempt + 1) for s in moved]


async def _intend(
    desk: Desk,
    plan_id: str,
    ready: Sequence[StoredChange],
    call: str,
    mark: str | None,
    deadline_s: float,
    targets: dict[str, AnyRecord],
) -> datetime | None:
    """Write down what is about to be sent, and when. None: another worker did, or the plan is no longer being
    applied."""
    try:
        async with desk.db.write() as tx:
            now = await tx.now()
            until = now + timedelta(seconds=deadline_s)
            intents = [
                Intent(id=s.change.id, attempt=s.attempt, call_key=call, mark=mark, call_until=until) for s in ready
            ]
            await plans.keep_before(tx, {s.change.id: targets[s.change.ref] for s in ready if s.change.ref in targets})
            return now if await plans.intend(tx, plan_id, intents) else None
    except LostRace:
        return None


class Sent(msgspec.Struct, frozen=True):
    """One call: its changes, their records as sent, and when."""

    changes: Sequence[StoredChange]
    records: dict[str, AnyRecord]
    at: datetime


async def _record(desk: Desk, run_id: str, actor: str, sent: Sent, outcomes: Sequence[Outcome]) -> None:
    answers = [
        Answered(change=s.change, outcome=o, sent=sent.records.get(s.change.id), sent_at=sent.at)
        for s, o in zip(sent.changes, outcomes, strict=True)
    ]

    async def work(tx: Unit) -> None:
        listeners = await connections.listeners(tx, desk.pair.connection(sent.changes[0].change.side))
        await record_outcomes(tx, desk, run_id, actor, answers, listeners)

    await desk.db.record(work)


def _write(stored: StoredChange, records: dict[str, AnyRecord], targets: dict[str, AnyRecord], key_: str) -> Write:
    change = stored.change
    if change.operation == "create":
        return Create(record=records[change.id], marker=change.marker or "", key=key_)
    if change.ref is None:
        raise ValueError(f"{change.id} names no record")
    target = targets.get(change.ref)
    version = target.version if target is not None else None
    if change.operation == "update":
        return Update(
            kind=change.kind,
            ref=change.ref,
            version=version,
            before={f.path: f.before for f in change.fields},
            after={f.path: f.after for f in change.fields},
            key=key_,
        )
    return Act(kind=change.kind, ref=change.ref, version=version, operation=change.operation, key=key_)


# --------------------------------------------------------------------------- is the plan still true?


async def _not_failed(desk: Desk, batch: Sequence[StoredChange]) -> list[StoredChange]:
    """Without what needs a change that came to nothing: that is held, and nothing is read for it."""
    async with desk.db.write() as tx:
        states = await plans.change_states(tx, [need for s in batch for need in s.change.needs])
        failed = [s for s in batch if any(states.get(n) in plans.CAME_TO_NOTHING for n in s.change.needs)]
        held = [
            Step(id=s.change.id, to="held", come_from=("planned",), reason="what it needs was not made") for s in failed
        ]
        await plans.step(tx, held)
    gone = {s.change.id for s in failed}
    return [s for s in batch if s.change.id not in gone]


async def _fresh_reads(desk: Desk, batch: Sequence[StoredChange]) -> list[StoredChange]:
    """A money document is applied from a fresh read of its deal. Where the target has no optimistic lock, it is
    read right before it is written, to keep the window small. What cannot be read any more is stale."""
    deals = [s.change.source_ref for s in batch if s.change.is_money and s.change.source_kind is Kind.DEAL]
    unseen = await refresh(desk, "crm", Kind.DEAL, deals)
    lost = [s for s in batch if s.change.is_money and s.change.source_ref in unseen]
    first = batch[0].change
    facts = desk.facts(first.side, first.kind)
    if first.operation != "create" and not facts.optimistic_lock:
        unseen = await refresh(desk, first.side, first.kind, [s.change.ref for s in batch if s.change.ref is not None])
        lost += [s for s in batch if s.change.ref in unseen and s not in lost]
    if not lost:
        return list(batch)
    reason = "it cannot be seen any more: planned again"
    async with desk.db.write() as tx:
        await plans.step(tx, [Step(id=s.change.id, to="stale", come_from=("planned",), reason=reason) for s in lost])
    return [s for s in batch if s not in lost]


async def _still_true(
    desk: Desk, batch: Sequence[StoredChange]
) -> tuple[list[StoredChange], dict[str, AnyRecord], dict[str, AnyRecord]]:
    """Which of a batch may be sent, their records with refs filled in, and the targets as they are now. What a
    change relies on and moved makes it stale; what it needs and failed holds it."""
    moves: list[Step] = []
    ready = []
    async with desk.db.write() as tx:
        states = await plans.change_states(tx, [need for s in batch for need in s.change.needs])
        records = await filled_in(tx, [s.change for s in batch])
        first = batch[0].change
        targets = await mirror.load(
            tx,
            desk.pair.connection(first.side),
            first.kind,
            [s.change.ref for s in batch if s.change.ref is not None],
        )
        relied = await _relied(tx, desk, batch)
        for stored in batch:
            move = _why_not(stored, states, records, targets, relied)
            if move is None:
                ready.append(stored)
            elif move.to != "planned":
                moves.append(move)
        await plans.step(tx, moves)
    return ready, records, targets


async def _relied(tx: Unit, desk: Desk, batch: Sequence[StoredChange]) -> dict[tuple[str, Kind, str], AnyRecord]:
    """Everything that a batch relies on, as the mirror has it now."""
    wanted: dict[tuple[str, Kind], list[str]] = {}
    for stored in batch:
        change = stored.change
        for need in change.requires:
            wanted.setdefault((need.side, need.kind), []).append(need.ref)
        if change.operation != "create" and change.source_kind is change.kind and change.link_id is not None:
            wanted.setdefault((OTHER[change.side], change.source_kind), []).append(change.source_ref)
    found: dict[tuple[str, Kind, str], AnyRecord] = {}
    for (side, kind), refs in wanted.items():
        connection_id = desk.pair.crm if side == "crm" else desk.pair.books
        records = await mirror.load(tx, connection_id, kind, refs)
        found.update({(side, kind, ref): record for ref, record in records.items()})
    return found


def _why_not(
    stored: StoredChange,
    states: dict[str, plans.State],
    records: dict[str, AnyRecord],
    targets: dict[str, AnyRecord],
    relied: dict[tuple[str, Kind, str], AnyRecord],
) -> Step | None:
    """None: send it. Else where it goes (`planned`: it waits for a change that is still open)."""
    change = stored.change

    def move(to: plans.State, reason: str) -> Step:
        return Step(id=change.id, to=to, come_from=("planned",), reason=reason)

    waits = [states.get(need) for need in change.needs if states.get(need) != "done"]
    if waits:
        return move("planned", "")
    if _placeholder(records.get(change.id)):
        return move("held", "what it names was not made")
    for need in change.requires:
        record = relied.get((need.side, need.kind, need.ref))
        if record is None or relied_digest(record) != need.digest:
            return move("stale", _moved(need))
    if change.operation == "archive" and (OTHER[change.side], change.source_kind, change.source_ref) in relied:
        return move("stale", "its counterpart is back: planned again")
    if change.operation == "update":
        reason = _field_moved(change, targets.get(change.ref or ""), relied)
        if reason is not None:
            return move("stale", reason)
    return None


def _moved(need: Relied) -> str:
    return f"the {need.kind.value.replace('_', ' ')} it was planned from changed: planned again"


def _placeholder(record: AnyRecord | None) -> bool:
    if not isinstance(record, Document):
        return False
    lines = record.lines if isinstance(record.lines, tuple) else ()
    return any(
        isinstance(ref, str) and ref.startswith("@") for ref in (record.customer, *(line.item for line in lines))
    )


def _field_moved(
    change: Change, target: AnyRecord | None, relied: dict[tuple[str, Kind, str], AnyRecord]
) -> str | None:
    """A field that the change relies on and that moved on either side, in words."""
    if target is None:
        return "the record is gone"
    source = relied.get((OTHER[change.side], change.source_kind, change.source_ref))
    for field in change.fields:
        if field.before is not ABSENT and key(field.type, read(target, field.path)) != key(field.type, field.before):
            return f"{field.path} changed meanwhile: planned again"
        path = _source_path(change, field.rule)
        if source is not None and path is not None and field.seen is not ABSENT:
            kind = field.seen_type or field.type
            if key(kind, read(source, path)) != key(kind, field.seen):
                return f"{path} changed meanwhile: planned again"
    return None


def _source_path(change: Change, rule: str) -> str | None:
    """The source's path out of a rule's key ("<crm path>:<books path>"); payment states have no source record."""
    if change.flow == "payments":
        return None
    crm, _, books = rule.partition(":")
    return crm if change.side == "books" else books
