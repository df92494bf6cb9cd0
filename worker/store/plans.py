"""Plans and changes in the database, and the compare-and-set steps between a change's states.

    planned --> intended --> done | rejected | stale | unknown
    unknown --probe--> done | planned          held --release--> planned

A step names the state it comes from; what is not in it any more is not touched, so two workers cannot both send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec
from sqlalchemy import Integer, bindparam, case, func, insert, select, update

from connectors.canon.records import AnyRecord, Kind, decode, encode
from connectors.canon.values import Money
from connectors.kit.contract import Side
from worker.engine.plan import Change, Deed, Flow, Relied, Sum, fields_from_json, fields_json
from worker.store.database import Unit, chunks
from worker.store.tables import changes, plans

State = Literal["planned", "held", "intended", "done", "rejected", "stale", "unknown", "discarded"]
CAME_TO_NOTHING: tuple[State, ...] = ("rejected", "stale", "held", "discarded")
UNDER_WAY = ("applying", "beside")  # `beside`: an answer is carried out while another plan is half done
LIFETIME = timedelta(hours=24)


class StoredChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change with where it stands."""

    change: Change
    plan_id: str
    seq: int
    state: State
    attempt: int
    reason: str | None = None
    mark: str | None = None
    call_until: datetime | None = None
    stale_times: int = 0
    request_id: str | None = None


async def store_changes(tx: Unit, pair_id: str, plan_id: str, first_seq: int, items: Sequence[Change]) -> None:
    """Store a slice of a plan, in order from `first_seq`."""
    rows = [_row(pair_id, plan_id, seq, change) for seq, change in enumerate(items, first_seq)]
    if rows:
        await tx.run(insert(changes), rows)


def _row(pair_id: str, plan_id: str, seq: int, change: Change) -> dict[str, Any]:
    return {
        "id": change.id,
        "plan_id": plan_id,
        "pair_id": pair_id,
        "seq": seq,
        "flow": change.flow,
        "group_id": change.group_id or change.id,
        "group_seq": change.group_seq,
        "compensation": change.compensation,
        "side": change.side,
        "kind": change.kind.value,
        "operation": change.operation,
        "ref": change.ref,
        "link_id": change.link_id,
        "position_id": change.position_id,
        "generation": change.generation,
        "source_kind": change.source_kind.value,
        "source_ref": change.source_ref,
        "needs": msgspec.json.encode(change.needs).decode(),
        "title": change.title,
        "why": change.why,
        "fields": fields_json(change.fields),
        "record": encode(change.record).decode() if change.record is not None else None,
        "requires": msgspec.json.encode(change.requires).decode(),
        "marker": change.marker,
        "net": change.net.amount if change.net is not None else None,
        "total": change.total,
        "currency": change.net.currency if change.net is not None else None,
        "state": "held" if change.held is not None else "planned",
        "reason": change.held,
        "undoes": change.undoes,
    }


def read_change(row: Mapping[str, Any]) -> StoredChange:
    """A row of `changes` as a value."""
    currency: str | None = row["currency"]
    record: AnyRecord | None = decode(row["record"]) if row["record"] is not None else None
    operation: Deed = row["operation"]
    flow: Flow = row["flow"]
    side: Side = row["side"]
    change = Change(
        id=row["id"],
        flow=flow,
        side=side,
        kind=Kind(row["kind"]),
        operation=operation,
        source_kind=Kind(row["source_kind"]),
        source_ref=row["source_ref"],
        title=row["title"],
        why=row["why"],
        ref=row["ref"],
        link_id=row["link_id"],
        position_id=row["position_id"],
        generation=row["generation"],
        group_id=row["group_id"],
        group_seq=row["group_seq"],
        compensation=row["compensation"],
        needs=tuple(msgspec.json.decode(row["needs"])),
        fields=fields_from_json(row["fields"]),
        record=record,
        requires=msgspec.json.decode(row["requires"], type=tuple[Relied, ...]),
        marker=row["marker"],
        net=Money(row["net"], currency) if row["net"] is not None and currency is not None else None,
        total=row["total"],
        held=row["reason"] if row["state"] == "held" else None,
        undoes=row["undoes"],
    )
    return StoredChange(
        change=change,
        plan_id=row["plan_id"],
        seq=row["seq"],
        state=row["state"],
        attempt=row["attempt"],
        reason=row["reason"],
        mark=row["mark"],
        call_until=row["call_until"],
        stale_times=row["stale_times"],
        request_id=row["request_id"],
    )


async def open_plan(
    tx: Unit, pair_id: str, plan_id: str, run_id: str, mapping_version: int, *, undoes: str | None = None
) -> None:
    """Begin to draw a plan. It is open for approval once `finish_plan` is called. `undoes`: the run it takes back."""
    now = await tx.now()
    await tx.run(
        insert(plans),
        [{"id": plan_id, "pair_id": pair_id, "run_id": run_id, "state": "drawing", "mapping_version": mapping_version,
          "created_at": now, "expires_at": now + LIFETIME, "undoes": undoes}],
    )  # fmt: skip


async def finish_plan(tx: Unit, pair_id: str, plan_id: str, fingerprint: str, summary: Sum) -> list[str]:
    """Open the plan; the pair's older open plan is superseded (its ids come back). One that is being applied
    stays: then this plan is discarded instead and its own id comes back."""
    applying = await tx.scalar(select(plans.c.id).where(plans.c.pair_id == pair_id, plans.c.state == "applying"))
    if applying is not None:
        await tx.run(update(plans).where(plans.c.id == plan_id).values(state="discarded"))
        return [plan_id]
    older = [
        row[0] for row in await tx.rows(select(plans.c.id).where(plans.c.pair_id == pair_id, plans.c.state == "open"))
    ]
    if older:
        await tx.run(update(plans).where(plans.c.id.in_(older)).values(state="superseded"))
    await tx.run(
        update(plans)
        .where(plans.c.id == plan_id)
        .values(state="open", fingerprint=fingerprint, summary=_summary(summary))
    )
    return older


def _summary(summary: Sum) -> str:
    return msgspec.json.Encoder(decimal_format="string").encode(summary).decode()


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """A plan without its changes."""

    id: str
    pair_id: str
    run_id: str
    state: str
    fingerprint: str
    mapping_version: int
    summary: Sum
    created_at: datetime
    expires_at: datetime | None
    approved_by: str | None
    undoes: str | None = None


async def get_plan(tx: Unit, plan_id: str) -> PlanRow | None:
    row = await tx.first(select(plans).where(plans.c.id == plan_id))
    return _plan(row) if row is not None else None


async def current_plan(tx: Unit, pair_id: str) -> PlanRow | None:
    """The pair's plan that is open or being applied."""
    row = await tx.first(select(plans).where(plans.c.pair_id == pair_id, plans.c.state.in_(("open", "applying"))))
    return _plan(row) if row is not None else None


def _plan(row: Mapping[str, Any]) -> PlanRow:
    return PlanRow(
        id=row["id"],
        pair_id=row["pair_id"],
        run_id=row["run_id"],
        state=row["state"],
        fingerprint=row["fingerprint"],
        mapping_version=row["mapping_version"],
        summary=msgspec.json.decode(row["summary"], type=Sum, strict=False),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        approved_by=row["approved_by"],
        undoes=row["undoes"],
    )


async def approve(tx: Unit, plan_id: str, fingerprint: str, by: str, only: Sequence[str] | None = None) -> bool:
    """open -> applying, if it is still the plan that was shown and has not expired. `only`: ids of a subset; the
    rest is discarded. False: somebody or something was first."""
    now = await tx.now()
    result = await tx.run(
        update(plans)
        .where(
            plans.c.id == plan_id,
            plans.c.state == "open",
            plans.c.fingerprint == fingerprint,
            plans.c.expires_at > now,
        )
        .values(state="applying", approved_by=by, approved_at=now)
    )
    if result.rowcount and only is not None:
        chosen = set(only)
        rows = await tx.rows(select(changes.c.id).where(changes.c.plan_id == plan_id, changes.c.state == "planned"))
        left = [id_ for (id_,) in rows if id_ not in chosen]
        for part in chunks(left):
            await tx.run(update(changes).where(changes.c.id.in_(part)).values(state="discarded", reason="not chosen"))
    return bool(result.rowcount)


async def begin_beside(tx: Unit, plan_id: str, fingerprint: str, summary: Sum, by: str) -> None:
    """What was drawn is carried out at once, beside the pair's plan."""
    values = {"fingerprint": fingerprint, "summary": _summary(summary), "approved_by": by}
    await tx.run(
        update(plans).where(plans.c.id == plan_id).values(state="beside", approved_at=await tx.now(), **values)
    )


async def under_way(tx: Unit, pair_id: str) -> list[str]:
    """The ids of the pair's plans that are being carried out, or were left so."""
    statement = select(plans.c.id).where(plans.c.pair_id == pair_id, plans.c.state.in_(UNDER_WAY))
    return [plan_id for (plan_id,) in await tx.rows(statement.order_by(plans.c.created_at))]


async def close_plan(tx: Unit, plan_id: str, state: str) -> None:
    await tx.run(update(plans).where(plans.c.id == plan_id).values(state=state))


async def expire_plans(tx: Unit) -> None:
    await tx.run(
        update(plans).where(plans.c.state == "open", plans.c.expires_at <= await tx.now()).values(state="expired")
    )


async def read_changes(
    tx: Unit,
    plan_id: str,
    states: Iterable[State] | None = None,
    *,
    flow: Flow | None = None,
    after_seq: int = -1,
    limit: int | None = None,
    money_first: bool = False,
) -> list[StoredChange]:
    """A plan's changes in order; with `money_first`, documents before everything else and what is held last, as
    people read them."""
    statement = select(changes).where(changes.c.plan_id == plan_id, changes.c.seq > after_seq)
    if money_first:
        held = case((changes.c.state == "held", 1), else_=0)
        statement = statement.order_by(held, case((changes.c.flow == "invoices", 0), else_=1), changes.c.seq)
    else:
        statement = statement.order_by(changes.c.seq)
    if states is not None:
        statement = statement.where(changes.c.state.in_(list(states)))
    if flow is not None:
        statement = statement.where(changes.c.flow == flow)
    if limit is not None:
        statement = statement.limit(limit)
    return [read_change(row) for row in await tx.all(statement)]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was carried out: when, by the store's time, and when by the vendor's, if its answer told."""

    change: Change
    settled_at: datetime
    stored_at: datetime | None


async def done_change(tx: Unit, change_id: str) -> Done | None:
    """A change that is done; None for any other, and for what is no change's id."""
    row = await tx.first(select(changes).where(changes.c.id == change_id, changes.c.state == "done"))
    if row is None:
        return None
    stored: AnyRecord | None = decode(row["stored"]) if row["stored"] is not None else None
    stored_at = stored.updated_at if stored is not None else None
    return Done(change=read_change(row).change, settled_at=row["settled_at"], stored_at=stored_at)


async def change_states(tx: Unit, ids: Sequence[str]) -> dict[str, State]:
    found: dict[str, State] = {}
    for part in chunks(ids):
        for id_, state in await tx.rows(select(changes.c.id, changes.c.state).where(changes.c.id.in_(part))):
            found[id_] = state
    return found


async def read_group(tx: Unit, plan_id: str, group_id: str) -> list[StoredChange]:
    """The changes that stand and fall together, in order."""
    mine = select(changes).where(changes.c.plan_id == plan_id, changes.c.group_id == group_id)
    return [read_change(row) for row in await tx.all(mine.order_by(changes.c.group_seq))]


async def read_some(tx: Unit, ids: Sequence[str]) -> dict[str, StoredChange]:
    """Changes of any plan, by id."""
    found: dict[str, StoredChange] = {}
    for part in chunks(list(dict.fromkeys(ids))):
        for row in await tx.all(select(changes).where(changes.c.id.in_(part))):
            found[row["id"]] = read_change(row)
    return found


async def torn_groups(tx: Unit, plan_id: str) -> tuple[str, ...]:
    """The groups of a plan of which a part was done, and is not taken back, while another came to nothing."""
    back = changes.alias("back")
    undone = select(back.c.id).where(back.c.undoes == changes.c.id, back.c.state == "done")
    lost = changes.alias("lost")
    came_to_nothing = select(lost.c.id).where(
        lost.c.plan_id == plan_id, lost.c.group_id == changes.c.group_id, lost.c.state.in_(CAME_TO_NOTHING)
    )
    rows = await tx.rows(
        select(changes.c.group_id)
        .where(
            changes.c.plan_id == plan_id,
            changes.c.group_id != changes.c.id,
            changes.c.state == "done",
            came_to_nothing.exists(),
            ~undone.exists(),
        )
        .distinct()
        .order_by(changes.c.group_id)
    )
    return tuple(group for (group,) in rows)


async def count_states(tx: Unit, plan_id: str) -> dict[State, int]:
    rows = await tx.rows(
        select(changes.c.state, func.count()).where(changes.c.plan_id == plan_id).group_by(changes.c.state)
    )
    return {row[0]: row[1] for row in rows}


async def still_to_send(tx: Unit, plan_id: str) -> dict[tuple[Side, Kind, Deed], int]:
    """How many changes of each (side, kind, operation) a plan would send."""
    what = (changes.c.side, changes.c.kind, changes.c.operation)
    rows = await tx.rows(
        select(*what, func.count()).where(changes.c.plan_id == plan_id, changes.c.state == "planned").group_by(*what)
    )
    return {(side, Kind(kind), operation): number for side, kind, operation, number in rows}


async def last_refused(tx: Unit, pair_id: str, flow: Flow, sources: Sequence[str]) -> dict[str, Change]:
    """Source -> the change of a flow that was refused last."""
    found: dict[str, Change] = {}
    for part in chunks(sources):
        for row in await tx.all(
            select(changes)
            .where(
                changes.c.pair_id == pair_id,
                changes.c.flow == flow,
                changes.c.state == "rejected",
                changes.c.source_ref.in_(part),
            )
            .order_by(changes.c.settled_at)
        ):
            found[row["source_ref"]] = read_change(row).change
    return found


async def open_intents(tx: Unit, pair_id: str) -> list[StoredChange]:
    """Changes that are on their way, or of which nobody knows whether they arrived."""
    rows = await tx.all(
        select(changes)
        .where(changes.c.pair_id == pair_id, changes.c.state.in_(("intended", "unknown")))
        .order_by(changes.c.seq)
    )
    return [read_change(row) for row in rows]


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down before a call: the change, the call's key, the vendor's mark, how long it may take."""

    id: str
    attempt: int
    call_key: str
    mark: str | None
    call_until: datetime


async def intend(tx: Unit, plan_id: str, intents: Sequence[Intent]) -> bool:
    """planned -> intended for all of one call, or for none: the compare-and-set on (change, attempt, plan state)
    that keeps two workers from both sending."""
    alive = await tx.scalar(select(plans.c.state).where(plans.c.id == plan_id))
    if alive not in UNDER_WAY:
        return False
    calls: dict[tuple[int, str, str | None, datetime], list[str]] = {}
    for intent in intents:
        calls.setdefault((intent.attempt, intent.call_key, intent.mark, intent.call_until), []).append(intent.id)
    for (attempt, call_key, mark, call_until), ids in calls.items():
        for part in chunks(ids):
            result = await tx.run(
                update(changes)
                .where(changes.c.id.in_(part), changes.c.state == "planned", changes.c.attempt == attempt)
                .values(state="intended", attempt=attempt + 1, call_key=call_key, mark=mark, call_until=call_until)
            )
            if result.rowcount != len(part):
                raise LostRace(f"of {len(part)} changes {result.rowcount} were still to be sent")
    return True


class LostRace(Exception):
    """Somebody else moved a change first; the unit is rolled back and nothing is sent."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One change's move out of `intended`, `unknown`, `held` or `planned`, with what is known."""

    id: str
    to: State
    come_from: tuple[State, ...] = ("intended", "unknown")
    reason: str | None = None
    ref: str | None = None
    stored: AnyRecord | None = None
    outcome: str | None = None
    request_id: str | None = None
    customer: str | None = None
    stale: bool = False


async def step(tx: Unit, moves: Sequence[Step]) -> list[str]:
    """Make the moves; the ids that really moved come back. What a move does not tell stays as it was."""
    if not moves:
        return []
    now = await tx.now()
    states = await _locked_states(tx, [move.id for move in moves])
    rows: list[dict[str, Any]] = []
    moved: list[str] = []
    for move in moves:
        if states.get(move.id) in move.come_from:
            states[move.id] = move.to
            moved.append(move.id)
            rows.append(_move(move, now))
    if rows:
        told = {name: func.coalesce(_told(name), changes.c[name]) for name in _TOLD}
        statement = update(changes).where(changes.c.id == bindparam("p_id"))
        statement = statement.values(state=bindparam("p_state"), reason=bindparam("p_reason"), **told)
        await tx.run(statement.values(stale_times=changes.c.stale_times + bindparam("p_stale", type_=Integer)), rows)
    return moved


_TOLD = ("ref", "stored", "outcome", "customer", "request_id", "settled_at")


def _told(name: str) -> Any:
    return bindparam(f"p_{name}", type_=changes.c[name].type)


def _move(move: Step, now: datetime) -> dict[str, Any]:
    over = move.to in ("done", "rejected", "discarded")
    return {
        "p_id": move.id,
        "p_state": move.to,
        "p_reason": move.reason,
        "p_ref": move.ref,
        "p_stored": encode(move.stored).decode() if move.stored is not None else None,
        "p_outcome": move.outcome,
        "p_customer": move.customer,
        "p_request_id": move.request_id,
        "p_settled_at": now if over else None,
        "p_stale": int(move.stale),
    }


async def _locked_states(tx: Unit, ids: Sequence[str]) -> dict[str, State]:
    """Where changes stand; nobody moves them before this unit ends (SQLite has one writer anyway)."""
    found: dict[str, State] = {}
    for part in chunks(list(dict.fromkeys(ids))):
        statement = select(changes.c.id, changes.c.state).where(changes.c.id.in_(part)).order_by(changes.c.id)
        found.update(tuple(row) for row in await tx.rows(statement.with_for_update()))
    return found


GUARD = "guard: "  # how the reason of a change begins that a guard holds back


async def release(tx: Unit, plan_id: str, ids: Sequence[str] | None, by: str) -> int:
    """held -> planned: somebody with the right confirmed what a guard held back. None: all of the plan. What a flow
    that only observes holds back, nobody can release."""
    guarded = changes.c.reason.startswith(GUARD, autoescape=True)
    statement = update(changes).where(changes.c.plan_id == plan_id, changes.c.state == "held", guarded)
    statement = statement.values(state="planned", reason=f"confirmed by {by}")
    parts = [statement] if ids is None else [statement.where(changes.c.id.in_(part)) for part in chunks(list(ids))]
    return sum([int((await tx.run(part)).rowcount) for part in parts])


async def held_reasons(tx: Unit, plan_id: str) -> dict[str, int]:
    """Why changes of a plan are held, and how many for each reason, the most first."""
    number = func.count()
    rows = await tx.rows(
        select(changes.c.reason, number)
        .where(changes.c.plan_id == plan_id, changes.c.state == "held")
        .group_by(changes.c.reason)
        .order_by(number.desc(), changes.c.reason)
    )
    return {reason or "": count for reason, count in rows}


async def keep_before(tx: Unit, images: Mapping[str, AnyRecord]) -> None:
    """The target as it was right before the write: what undo goes back to."""
    rows = [{"p_id": id_, "p_image": encode(record).decode()} for id_, record in images.items()]
    if rows:
        await tx.run(
            update(changes).where(changes.c.id == bindparam("p_id")).values(before_image=bindparam("p_image")),
            rows,
        )


async def read_before(tx: Unit, ids: Sequence[str]) -> dict[str, AnyRecord]:
    """What `keep_before` kept, by change."""
    found: dict[str, AnyRecord] = {}
    for part in chunks(ids):
        asked = changes.c.id.in_(part), changes.c.before_image.is_not(None)
        found.update(
            {
                id_: decode(image)
                for id_, image in await tx.rows(select(changes.c.id, changes.c.before_image).where(*asked))
            }
        )
    return found


async def posted_alone(tx: Unit, pair_id: str, by: str, since: datetime) -> dict[str, Decimal]:
    """The net of documents, by currency, that plans approved by this name posted since."""
    rows = await tx.rows(
        select(changes.c.currency, changes.c.net)
        .join(plans, plans.c.id == changes.c.plan_id)
        .where(
            changes.c.pair_id == pair_id,
            changes.c.state == "done",
            changes.c.settled_at >= since,
            changes.c.net.is_not(None),
            plans.c.approved_by == by,
        )
    )
    net: dict[str, Decimal] = {}
    for currency, amount in rows:
        net[currency] = net.get(currency, Decimal(0)) + amount
    return net


async def customers_with_documents(tx: Unit, pair_id: str, refs: Sequence[str]) -> set[str]:
    """Of these books customers, those that a done change has posted a document to."""
    found: set[str] = set()
    for part in chunks(list(dict.fromkeys(refs))):
        rows = await tx.rows(
            select(changes.c.customer)
            .where(changes.c.pair_id == pair_id, changes.c.state == "done", changes.c.customer.in_(part))
            .distinct()
        )
        found |= {ref for (ref,) in rows}
    return found
