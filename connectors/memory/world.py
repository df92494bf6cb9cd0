"""One account at a pretend vendor, with all six kinds of records, and the people who work in it.

Tests keep a world, edit it as a person would, script what goes wrong, and hand its name to the connector.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from connectors.canon.fields import Value, read, with_fields
from connectors.canon.records import AnyRecord, Kind, Payment, kind_of
from connectors.canon.values import ABSENT
from connectors.kit.contract import Clock, Create, Denied, Done, Event, Facts, NotSent, Outcome, Replay, Write
from connectors.memory.faults import Call, Fault, Script
from connectors.memory.journal import (
    PERSON,
    VENDOR,
    Answered,
    Called,
    Entry,
    Happened,
    Hid,
    Journal,
    Landing,
    Later,
    Opened,
    Passed,
    Planned,
    Put,
    Rewriting,
    Took,
)
from connectors.memory.orders import carry_out
from connectors.memory.shaping import complaint, shaped
from connectors.memory.state import Row, State
from connectors.memory.vendor import Knobs

START = datetime(2026, 10, 1, 9, tzinfo=UTC)
_PREFIX: dict[Kind, str] = {
    Kind.CUSTOMER: "c",
    Kind.ITEM: "i",
    Kind.DEAL: "d",
    Kind.INVOICE: "inv",
    Kind.CREDIT_NOTE: "cn",
    Kind.PAYMENT: "p",
}
Hook: TypeAlias = Callable[["MemoryWorld", Call], None]
WORLDS: dict[str, MemoryWorld] = {}


class MemoryWorld:
    """An account that lives in this process, or in a file that several processes share.

    `script` holds the faults to come. `hooks` are called with each call before the vendor looks at it: the place
    for a person's edit between our read and our write. `calls` are the calls that reached this process.
    """

    def __init__(
        self, name: str, knobs: Knobs | None = None, *, start: datetime = START, path: Path | None = None
    ) -> None:
        self.name = name
        self.state = State(knobs if knobs is not None else Knobs(), start)
        self.script = Script()
        self.hooks: list[Hook] = []
        self.calls: list[Call] = []
        self._journal = Journal(path) if path is not None else None
        self._clock: Clock | None = None
        self._depth = 0
        if self._journal is not None:
            with self.turn():
                if self._journal.empty:
                    self.commit(Opened(self.state.knobs, start))

    @classmethod
    def make(
        cls, name: str, knobs: Knobs | None = None, *, start: datetime = START, path: Path | None = None
    ) -> MemoryWorld:
        """A new world that `Memory.open({"world": name}, ...)` finds; one of that name before is replaced."""
        WORLDS[name] = cls(name, knobs, start=start, path=path)
        return WORLDS[name]

    def copy(self, name: str | None = None) -> MemoryWorld:
        """A snapshot: the same account, faults included, that shares no mutable part. Hooks, file and a followed
        clock stay behind."""
        twin = MemoryWorld(name if name is not None else self.name)
        twin.state = self.state.copy()
        twin.script = self.script.copy()
        twin.calls = list(self.calls)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "hooks": [], "_clock": None}

    # ------------------------------------------------------------------ time

    @property
    def knobs(self) -> Knobs:
        return self.state.knobs

    @property
    def facts(self) -> Facts:
        return self.state.facts

    @property
    def now(self) -> datetime:
        return self.state.now

    def follow(self, clock: Clock) -> None:
        """From now on the account's time is this clock's."""
        self._clock = clock

    def advance(self, seconds: float) -> None:
        """Let time go on; what was on its way lands, what the vendor meant to rewrite is rewritten."""
        with self.turn():
            self._pass_to(self.now + timedelta(seconds=seconds))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One exclusive turn at the account; turns nest."""
        if self._depth > 0:
            yield
            return
        self._depth += 1
        try:
            if self._journal is None:
                self._catch_up()
                yield
            else:
                with self._journal.turn(self.state.apply):
                    self._catch_up()
                    yield
        finally:
            self._depth -= 1

    def _catch_up(self) -> None:
        if self._clock is not None and self._clock.now() > self.now:
            self._pass_to(self._clock.now())

    def _pass_to(self, when: datetime) -> None:
        while self.state.later and self.state.later[0].due <= when:
            what = self.state.later[0]
            self.commit(Passed(max(what.due, self.now)))
            self.commit(Happened(what.due))
            self._happen(what)
        self.commit(Passed(when))

    def _happen(self, what: Later) -> None:
        if isinstance(what, Landing):
            self.execute(what.writes, what.key)
            return
        row = self.state.row(what.kind, what.ref)
        if row is not None and row.gone is None and read(row.record, what.path) == what.value:
            value = what.value.upper() if what.how == "upper" else f"{what.value} (checked)"
            self.put(with_fields(row.record, {what.path: value}))

    # ------------------------------------------------------------------ what a person does at the vendor

    def add(self, record: AnyRecord) -> str:
        """A person makes a record; its ref. Raises ValueError if this vendor would refuse it."""
        with self.turn():
            new = msgspec.structs.replace(record, ref=record.ref or self.next_ref(kind_of(record)))
            if isinstance(getattr(new, "origin", None), msgspec.UnsetType):
                new = msgspec.structs.replace(new, origin="person")
            return self._person_puts(new).ref

    def edit(self, kind: Kind, ref: str, **fields: Value) -> AnyRecord:
        """A person sets some fields, by path; the record afterwards. Raises ValueError if the vendor refuses."""
        with self.turn():
            return self._person_puts(with_fields(self.see(kind, ref), fields))

    def replace(self, record: AnyRecord) -> AnyRecord:
        """A person stores the whole record anew, lines and all."""
        with self.turn():
            self.see(kind_of(record), record.ref)
            return self._person_puts(record)

    def void(self, kind: Kind, ref: str) -> AnyRecord:
        """A person voids a document or a payment."""
        return self.edit(kind, ref, state="void")

    def delete(self, kind: Kind, ref: str) -> None:
        self._person_takes(kind, ref, "deleted")

    def archive(self, kind: Kind, ref: str) -> None:
        self._person_takes(kind, ref, "archived")

    def merge(self, kind: Kind, loser: str, survivor: str) -> None:
        """A person merges two records: the loser is gone, and what named it names the survivor."""
        with self.turn():
            self.see(kind, survivor)
            self._person_takes(kind, loser, "merged", survivor)
            for rows in self.state.rows.values():
                for row in [row for row in rows.values() if row.gone is None]:
                    self._repoint(row.record, kind, loser, survivor)

    def hide(self, kind: Kind, ref: str, *, hidden: bool = True) -> None:
        """The connected account may no longer see a record (or may again): it is not deleted."""
        with self.turn():
            self.commit(Hid(kind, ref, hidden))

    def see(self, kind: Kind, ref: str) -> AnyRecord:
        """The record as a person sees it. Raises KeyError if there is none."""
        row = self.state.row(kind, ref)
        if row is None or row.gone is not None:
            raise KeyError(f"{kind} {ref}")
        return row.record

    def all(self, kind: Kind) -> list[AnyRecord]:
        """All records of a kind that are not gone, in the order they were made."""
        return [row.record for row in self.state.rows[kind].values() if row.gone is None]

    def _person_puts(self, record: AnyRecord) -> AnyRecord:
        no = self.objection(record)
        if no is not None:
            raise ValueError(no.reason)
        return self.put(shaped(record, self.knobs), PERSON)

    def _person_takes(
        self, kind: Kind, ref: str, how: Literal["deleted", "archived", "merged"], survivor: str | None = None
    ) -> None:
        with self.turn():
            self.see(kind, ref)
            self.take(kind, ref, how, survivor)

    def _repoint(self, record: AnyRecord, kind: Kind, loser: str, survivor: str) -> None:
        if kind is not Kind.CUSTOMER:
            return
        names = ("customer", "sold_to", "bill_to", "ship_to", "parent")
        changes = {name: survivor for name in names if getattr(record, name, None) == loser}
        if changes:
            self.put(msgspec.structs.replace(record, **changes))

    # ------------------------------------------------------------------ what the vendor itself does

    def commit(self, entry: Entry) -> None:
        """The only way in: the state changes, and the file remembers it."""
        self.state.apply(entry)
        if self._journal is not None:
            self._journal.add(entry)

    def next_ref(self, kind: Kind) -> str:
        number = len(self.state.rows[kind]) + 1
        while f"{_PREFIX[kind]}{number}" in self.state.rows[kind]:
            number += 1
        return f"{_PREFIX[kind]}{number}"

    def objection(self, record: AnyRecord) -> Denied | None:
        """What the vendor has against storing this record; None: nothing."""
        no = complaint(record, self.knobs, self._knows_customer)
        if no is not None:
            return no
        name = self.state.name_key(record) if self.knobs.unique_names else None
        holder = self.state.names.get(name) if name is not None else None
        if holder is not None and holder != record.ref:
            return Denied("Another record has this name.", code="duplicate", field="name", existing=holder)
        return None

    def _knows_customer(self, ref: str) -> bool:
        row = self.state.row(Kind.CUSTOMER, ref)
        return row is not None and row.gone is None

    def put(self, record: AnyRecord, by: str = VENDOR) -> AnyRecord:
        """Store a record, and bring the balances of the documents it settles up to date. As it is afterwards."""
        source = (kind_of(record), record.ref)
        touched = self.state.ledger.touched_by(source)
        self.commit(Put(self.now, record, by))
        for ref in sorted(touched | self.state.ledger.touched_by(source)):
            self._refresh_balance(ref)
        return self.see(*source)

    def take(
        self, kind: Kind, ref: str, how: Literal["deleted", "archived", "merged"], survivor: str | None = None
    ) -> None:
        touched = self.state.ledger.touched_by((kind, ref))
        self.commit(Took(self.now, kind, ref, how, survivor))
        for document in sorted(touched - {ref}):
            self._refresh_balance(document)

    def _refresh_balance(self, ref: str) -> None:
        for kind, path, sign in ((Kind.INVOICE, "balance", 1), (Kind.CREDIT_NOTE, "remaining", -1)):
            row = self.state.row(kind, ref)
            if row is None or row.gone is not None:
                continue
            open_now = sign * self.state.ledger.open_amount(ref)
            if getattr(row.record, path) != open_now:
                self.commit(Put(self.now, with_fields(row.record, {path: open_now})))

    # ------------------------------------------------------------------ the vendor's API

    def arrived(self, call: Call) -> Fault | None:
        """A call reached the vendor: hooks run, and the script may have something for it."""
        self.calls.append(call)
        for hook in list(self.hooks):
            hook(self, call)
        if call.point == "write":
            self.commit(Called(call))
        return self.script.take(call)

    def send_later(self, writes: tuple[Write, ...], key: str, after_s: float) -> None:
        """These writes are on their way, whatever their client believes."""
        self.commit(Planned(Landing.of(self.now + timedelta(seconds=after_s), writes, key)))

    def execute(self, writes: tuple[Write, ...], key: str) -> list[Outcome]:
        """Carry out the writes of one call, each on its own; a repeat of a remembered call is answered again."""
        remembered = self._remembered(writes, key)
        if remembered is not None:
            return list(remembered)
        if self.knobs.all_or_nothing and len(writes) > 1 and self._spoils(writes):
            return [NotSent("The batch was refused.", next="fewer") for _ in writes]
        outcomes = [carry_out(self, write) for write in writes]
        for write, outcome in zip(writes, outcomes, strict=True):
            self._plan_rewrites(write, outcome)
        if self._memory_s(writes) is not None:
            self.commit(Answered(self.now, key, tuple(outcomes)))
        return outcomes

    def _spoils(self, writes: tuple[Write, ...]) -> bool:
        """Whether one of these would be refused: tried on a copy."""
        trial = self.copy()
        return any(isinstance(carry_out(trial, write), Denied) for write in writes)

    def _memory_s(self, writes: tuple[Write, ...]) -> int | None:
        kinds = {kind_of(w.record) for w in writes if isinstance(w, Create)}
        repeats = [self.knobs.repeats(kind) for kind in kinds]
        return next((repeat.memory_s for repeat in repeats if isinstance(repeat, Replay)), None)

    def _remembered(self, writes: tuple[Write, ...], key: str) -> tuple[Outcome, ...] | None:
        memory_s, before = self._memory_s(writes), self.state.answers.get(key)
        if memory_s is None or before is None:
            return None
        at, outcomes = before
        return outcomes if (self.now - at).total_seconds() <= memory_s else None

    def _plan_rewrites(self, write: Write, outcome: Outcome) -> None:
        if not isinstance(outcome, Done) or outcome.stored is None:
            return
        record = outcome.stored
        for path, how in self.knobs.rewrites.items():
            head = path.partition(".")[0]
            value = read(record, path) if hasattr(record, head) else ABSENT
            if isinstance(value, str):
                due = self.now + timedelta(seconds=self.knobs.settles_s / 2)
                self.commit(Planned(Rewriting(due, kind_of(record), record.ref, path, value, how)))

    def listing(self, kind: Kind, after: int) -> list[Row]:
        """At most a page of rows changed after a turn of the counter, in that order; hidden ones are left out."""
        rows: list[Row] = []
        for row in self.state.changed_after(kind, after):
            if not row.hidden:
                rows.append(row)
            if len(rows) == self.knobs.page:
                break
        return rows

    def searchable(self, kind: Kind) -> Iterator[AnyRecord]:
        """What a search can see: live records that are old enough for the index."""
        return (row.record for row in self.state.rows[kind].values() if self._indexed(row))

    def with_marker(self, kind: Kind, marker: str) -> list[AnyRecord]:
        """What a search by marker can see."""
        rows = (self.state.rows[kind][ref] for ref in self.state.markers.get((kind, marker), ()))
        return [row.record for row in rows if self._indexed(row)]

    def _indexed(self, row: Row) -> bool:
        made, delay = row.record.created_at, timedelta(seconds=self.knobs.search_delay_s)
        return row.live and made is not None and made + delay <= self.now

    # ------------------------------------------------------------------ webhooks

    def webhook(self, secret: str, since: int = 0) -> tuple[dict[str, str], bytes]:
        """Headers and body of a webhook call that tells all changes after turn `since` of the counter."""
        events = [
            _event(self.name, kind, row)
            for kind in Kind
            for row in self.state.changed_after(kind, since)
            if not row.hidden
        ]
        body = msgspec.json.encode(events)
        return {"X-Memory-Signature": signature(secret, body)}, body


def signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _event(account: str, kind: Kind, row: Row) -> Event:
    what: Literal["created", "updated", "deleted", "merged", "voided"]
    if row.gone is not None:
        what = "merged" if row.gone.how == "merged" else "deleted"
    elif isinstance(row.record, Payment) and row.record.state == "void":
        what = "voided"
    else:
        what = "created" if row.made == row.changed else "updated"
    survivor = row.gone.survivor if row.gone is not None else None
    return Event(
        id=f"{kind}-{row.changed}",
        account=account,
        kind=kind,
        ref=row.record.ref,
        what=what,
        at=row.record.updated_at,
        survivor=survivor,
    )
