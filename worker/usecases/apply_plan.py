"""Apply an approved plan: intents before calls, calls as large as the vendor takes, an outcome for each item.

At any instant the process may die; the next worker finds every change in the state that is true of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from connectors.canon.records import AnyRecord, Kind, encode
from connectors.kit.contract import Act, Create, Denied, Done, Moved, NotSent, Outcome, Update, Write
from connectors.kit.contract import InDoubt as Doubt
from connectors.kit.errors import ConnectorError, Reconnect, TryLater
from worker.crash import crash
from worker.engine.lost_edit import LostEdit, Passed
from worker.engine.plan import Change, call_key
from worker.store import connections, plans, runs
from worker.store.database import Unit
from worker.store.plans import Intent, LostRace, Step, StoredChange
from worker.usecases.look_back import look_back
from worker.usecases.office import OTHER, Desk
from worker.usecases.outcomes import Answered, record_outcomes
from worker.usecases.pull import pull_pair, refresh
from worker.usecases.settle_doubts import Doubts, settle_doubts
from worker.usecases.settle_reissued import ask_again
from worker.usecases.still_true import fresh_reads, look_again, not_failed, stale, still_true

WAVE = 5_000
STALE_TIMES = 3
PATIENCE_S = 20.0  # a vendor's wait up to this long is sat out; a longer one gives the lease back


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """How far a plan is. `not_before`: work is left, and this is when it is worth going on; `why` says for what.
    `torn`: groups of which a part was done and the rest came to nothing."""

    states: dict[plans.State, int]
    not_before: datetime | None = None
    why: str | None = None
    torn: tuple[str, ...] = ()


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
    """The plan is over, unless something of it is still in doubt, or a part of a group is to be taken back first."""
    async with desk.db.write() as tx:
        states = await plans.count_states(tx, plan_id)
        open_still = states.get("intended", 0) + states.get("unknown", 0) + states.get("planned", 0)
        torn = await plans.torn_groups(tx, plan_id) if not open_still else ()
        if not open_still and not torn:
            await end_plan(tx, desk, plan_id)
        crash("close.stored")
    crash("close.committed")
    if open_still:
        why = "an answer was lost; what arrived is looked up before anything is sent again"
        return Applied(states=states, not_before=doubts.not_before, why=why)
    return Applied(states=states, torn=torn)


async def end_plan(tx: Unit, desk: Desk, plan_id: str) -> None:
    """Nothing more of it is to be done: answers that came to nothing are asked about again."""
    await plans.close_plan(tx, plan_id, "applied")
    await ask_again(tx, desk, plan_id)


class LeftPlans(msgspec.Struct, frozen=True, kw_only=True):
    """Plans that nobody carries out any more. `waits`: something of them is in doubt still; `torn`: plans with groups
    of which a part was done, which end once that is taken back."""

    waits: Applied | None = None
    torn: tuple[tuple[str, tuple[str, ...]], ...] = ()


async def close_left(desk: Desk, run_id: str, actor: str) -> LeftPlans:
    """Plans that nobody carries out any more, for their run failed: what is in doubt is looked up, the rest is left
    to the next plan, and they are over."""
    async with desk.db.read() as tx:
        under_way = await plans.under_way(tx, desk.pair.id)
        left = [plan_id for plan_id in under_way if not await _is_carried(tx, desk, plan_id)]
    if not left:
        return LeftPlans()
    doubts = await settle_doubts(desk, run_id, actor)
    if doubts.left:
        why = "an answer was lost; what arrived is looked up before anything else is planned"
        return LeftPlans(waits=Applied(states=await _states(desk, left[0]), not_before=doubts.not_before, why=why))
    reason = "the run that carried it out ended before"
    torn = []
    async with desk.db.write() as tx:
        for plan_id in left:
            planned = await plans.read_changes(tx, plan_id, ["planned"])
            moves = [Step(id=s.change.id, to="discarded", come_from=("planned",), reason=reason) for s in planned]
            await plans.step(tx, moves)
            groups = await plans.torn_groups(tx, plan_id)
            if groups:
                torn.append((plan_id, groups))
            else:
                await end_plan(tx, desk, plan_id)
    return LeftPlans(torn=tuple(torn))


async def _is_carried(tx: Unit, desk: Desk, plan_id: str) -> bool:
    """Whether a run that is not over carries out a plan, or began it as a part of its own."""
    if await runs.carried(tx, desk.pair.id, plan_id):
        return True
    plan = await plans.get_plan(tx, plan_id)
    begun = await runs.get(tx, plan.run_id) if plan is not None and plan.state == "beside" else None
    return begun is not None and begun.state in ("queued", "running", "waiting")


async def _waves(desk: Desk, plan_id: str, run_id: str, actor: str) -> None:
    """Waves of changes in order; each begins with what moved on both sides since. Beside another plan the few records
    themselves are read: all that the other one has just written is not read again for them."""
    async with desk.db.read() as tx:
        plan = await plans.get_plan(tx, plan_id)
    beside = plan is not None and plan.state == "beside"
    after = -1
    while True:
        async with desk.db.read() as tx:
            wave = await plans.read_changes(tx, plan_id, ["planned"], after_seq=after, limit=WAVE)
            total = sum((await plans.count_states(tx, plan_id)).values())
        if not wave:
            return
        await (_reread(desk, wave) if beside else _pull(desk))
        crash("wave.pulled")
        for batch in _batches(desk, wave):
            await desk.say("Applying", batch[0].seq, total)
            await _apply_batch(desk, plan_id, run_id, actor, batch)
            crash("batch.done")
        await desk.say("Applying", wave[-1].seq + 1, total)
        after = wave[-1].seq


async def _reread(desk: Desk, wave: Sequence[StoredChange]) -> None:
    """Both records of each change."""
    for stored in wave:
        change = stored.change
        await refresh(desk, OTHER[change.side], change.source_kind, [change.source_ref])
        await refresh(desk, change.side, change.kind, [change.ref] if change.ref is not None else [])


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
        await plans.step(tx, [stale(s, reason) for s in left])


async def _send(
    desk: Desk, plan_id: str, run_id: str, actor: str, batch: Sequence[StoredChange]
) -> Sequence[StoredChange]:
    """One call. What has to be tried again with a fresh version comes back."""
    batch = await not_failed(desk, batch)
    if not batch:
        return []
    batch = await fresh_reads(desk, batch)
    if not batch:
        return []
    ready, records, targets = await still_true(desk, batch)
    if not ready:
        return []
    first = ready[0].change
    connector = desk.connector(first.side)
    mark = await connector.mark(first.kind) if first.operation == "create" else None
    bodies = b"\n".join(encode(records[s.change.id]) if s.change.id in records else b"" for s in ready)
    call = call_key([s.change.id for s in ready], ready[0].attempt, bodies)
    heard = first.operation != "unlink"  # that is ours alone: no vendor hears of it
    writes = [_write(s, records, targets, f"{call[:24]}{n:04d}") for n, s in enumerate(ready)] if heard else []
    sent_at = await _intend(desk, plan_id, ready, call, mark, connector.facts.call_deadline_s, targets)
    if sent_at is None:
        return []
    sent = Sent(changes=ready, records=records, at=sent_at)
    try:
        outcomes: Sequence[Outcome] = await connector.write(writes, call) if heard else _unheard(ready)
    except asyncio.CancelledError:
        await _record(desk, run_id, actor, sent, [Doubt("the worker was stopped")] * len(ready))
        raise
    except ConnectorError as error:
        outcomes = [_outcome(error)] * len(ready)
    crash("call.answered")
    outcomes = [_alone(outcome) for outcome in outcomes] if len(ready) == 1 else outcomes
    outcomes, lost = await _look_back(desk, ready, targets, outcomes)
    await _record(desk, run_id, actor, msgspec.structs.replace(sent, lost=lost), outcomes)
    await _look_for(desk, [s for s, o in zip(ready, outcomes, strict=True) if isinstance(o, Denied)])
    _stop_if_told(outcomes)
    for half in _halves([s for s, o in zip(ready, outcomes, strict=True) if _wants_fewer(o)]):
        await _apply_batch(desk, plan_id, run_id, actor, half)
    return await _again(desk, [s for s, o in zip(ready, outcomes, strict=True) if isinstance(o, Moved)])


async def _look_back(
    desk: Desk, ready: Sequence[StoredChange], targets: dict[str, AnyRecord], outcomes: Sequence[Outcome]
) -> tuple[Sequence[Outcome], dict[str, tuple[LostEdit, ...]]]:
    """By change, the edits that these writes passed over. If the vendor cannot be asked now, nobody knows, and what
    was written counts as in doubt: the probe asks again."""
    passed = [
        Passed(change=s.change, before=targets[s.change.ref], stored=outcome.stored)
        for s, outcome in zip(ready, outcomes, strict=True)
        if isinstance(outcome, Done) and s.change.operation == "update" and s.change.ref in targets
    ]
    try:
        return outcomes, await look_back(desk, passed)
    except ConnectorError as error:
        unseen = Doubt(f"what was typed meanwhile could not be looked up: {error.message}")
        return [unseen if isinstance(outcome, Done) else outcome for outcome in outcomes], {}


def _unheard(ready: Sequence[StoredChange]) -> list[Outcome]:
    return [Done(s.change.ref or "", None, None) for s in ready]


def _outcome(error: ConnectorError) -> Outcome:
    """A connector should answer with outcomes; what it raises is taken at its word, and as doubt otherwise."""
    if isinstance(error, Reconnect):
        return NotSent(error.message, next="reconnect")
    if isinstance(error, TryLater):
        return NotSent(error.message, wait_s=error.wait_s)
    return Doubt(error.message)


def _wants_fewer(outcome: Outcome) -> bool:
    return isinstance(outcome, NotSent) and outcome.next == "fewer"


def _alone(outcome: Outcome) -> Outcome:
    """Who was sent alone is to blame for a refusal."""
    if isinstance(outcome, NotSent) and outcome.next == "fewer":
        return Denied(outcome.reason, request_id=outcome.request_id)
    return outcome


def _halves(refused: Sequence[StoredChange]) -> list[list[StoredChange]]:
    """A batch that was refused whole, to be sent in two: one bad write among a hundred is found in fourteen calls,
    and the others are done. The refusal was a definite no, so the attempt has risen."""
    again = [msgspec.structs.replace(stored, attempt=stored.attempt + 1) for stored in refused]
    middle = (len(again) + 1) // 2
    return [half for half in (again[:middle], again[middle:]) if half]


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
    await look_again(desk, first.side, first.kind, refs)


async def _again(desk: Desk, moved: Sequence[StoredChange]) -> Sequence[StoredChange]:
    """Read what moved; it is sent again if the fields are still as planned (`still_true` decides)."""
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
            intended = await plans.intend(tx, plan_id, intents)
            crash("intent.stored")
    except LostRace:
        return None
    crash("intent.committed")
    return now if intended else None


class Sent(msgspec.Struct, frozen=True):
    """One call: its changes, their records as sent, and when. `lost`: by change, the edits that it passed over."""

    changes: Sequence[StoredChange]
    records: dict[str, AnyRecord]
    at: datetime
    lost: Mapping[str, tuple[LostEdit, ...]] = {}


async def _record(desk: Desk, run_id: str, actor: str, sent: Sent, outcomes: Sequence[Outcome]) -> None:
    answers = [
        Answered(
            change=s.change,
            outcome=o,
            sent=sent.records.get(s.change.id),
            sent_at=sent.at,
            lost=sent.lost.get(s.change.id, ()),
        )
        for s, o in zip(sent.changes, outcomes, strict=True)
    ]

    async def work(tx: Unit) -> None:
        listeners = await connections.listeners(tx, desk.pair.connection(sent.changes[0].change.side))
        await record_outcomes(tx, desk, run_id, actor, answers, listeners)
        crash("outcome.stored")

    await desk.db.record(work)
    crash("outcome.committed")


def _write(stored: StoredChange, records: dict[str, AnyRecord], targets: dict[str, AnyRecord], key_: str) -> Write:
    change = stored.change
    if change.operation == "create":
        return Create(record=records[change.id], marker=change.marker or "", key=key_)
    if change.ref is None or change.operation == "unlink":
        raise ValueError(f"{change.id} names no record to write")
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
