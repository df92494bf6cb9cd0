"""What the worker tells: frozen values, complete enough to be shown without asking again."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

# What a person may do about something settled: have a deal billed again, or a record made again.
AgainVerb: TypeAlias = Literal["bill", "make"]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A value that comes back. `json()` is what `--json` prints."""

    def json(self) -> Any:
        return msgspec.to_builtins(self)


class ConnectionView(View, frozen=True, kw_only=True):
    id: str
    system: str
    title: str
    account: str
    name: str
    state: str
    sides: tuple[str, ...]


class PairView(View, frozen=True, kw_only=True):
    """A pair. `asked`: when its mapping was saved, the questions about fields in which linked records differ."""

    id: str
    name: str
    crm: ConnectionView
    books: ConnectionView
    mapping_version: int
    time_zone: str
    cut_over: str
    asked: int = 0


class FieldView(View, frozen=True, kw_only=True):
    """One field of a change. `overwrites`: somebody's edit that the mapping's authority lets go."""

    path: str
    before: Any
    after: Any
    overwrites: Any = None


class ChangeView(View, frozen=True, kw_only=True):
    id: str
    side: Literal["crm", "books"]
    system: str
    kind: str
    operation: str
    title: str
    why: str
    ref: str | None
    state: str
    reason: str | None
    net: Decimal | None
    total: Decimal | None
    currency: str | None
    fields: tuple[FieldView, ...]


class LeftView(View, frozen=True, kw_only=True):
    """Something that an undo leaves as it is: a field, or what was done to a record; and why."""

    system: str
    kind: str
    title: str
    what: str
    reason: str


class TakesView(View, frozen=True, kw_only=True):
    """How long a plan takes at least, and which limit makes it: `system` takes `at_most` calls (or batches of writes)
    in `per_s` seconds, and `used` of them are gone. `calls`: how many there are to each side."""

    seconds: int
    calls: dict[Literal["crm", "books"], int]
    system: str
    at_most: int
    per_s: int
    batches: bool = False
    used: int = 0


class PlanView(View, frozen=True, kw_only=True):
    """A plan with its first changes. `net` and `tax` of what it posts by currency, `credited` the net of its credit
    notes; `counts` by side.kind.operation; `held` counts
    what a guard or a flow holds back; `waiting` records that wait for somebody, by reason."""

    id: str
    pair: str
    state: str
    fingerprint: str
    created_at: datetime
    expires_at: datetime | None
    approved_by: str | None
    changes: int
    held: int
    counts: dict[str, int]
    documents: int
    net: dict[str, Decimal]
    tax: dict[str, Decimal]
    conflicts: int
    waiting: dict[str, int]
    shown: tuple[ChangeView, ...]
    refused: str | None = None
    asked_about: int = 0  # the records that those conflicts are about, as far as they are open still
    emptied: bool = False  # refused, since a side looks empty: a person may confirm that it is
    held_reasons: dict[str, int] = {}  # why changes are held, and how many, the most first
    confirmable: int = 0  # held by a guard: whoever may apply may confirm them
    undoes: str | None = None  # the run that this plan takes back
    left: tuple[LeftView, ...] = ()  # what of that run it leaves as it is; `left_out` counts all of it
    left_out: int = 0
    notes: tuple[str, ...] = ()
    settles: bool = False  # it was carried out, and what it ended is not made again until a person says so
    pair_id: str = ""
    run_id: str = ""
    mapping_version: int = 0
    agreed: tuple[str, ...] = ()
    approvers_needed: int = 1
    limit: str | None = None
    credited: dict[str, Decimal] = {}
    takes: TakesView | None = None  # None: no vendor's limit makes it wait


class ProgressView(View, frozen=True, kw_only=True):
    step: str
    done: int
    total: int


class RunView(View, frozen=True, kw_only=True):
    """One run: where it stands, and how it ended. `error` says what happened and what to do next."""

    id: str
    what: str
    state: str
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    progress: ProgressView | None
    plan_id: str | None
    outcome: dict[str, int]
    calls: dict[str, int]
    error: str | None
    next_step: str | None
    result: dict[str, Any]

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed")


class CandidateView(View, frozen=True, kw_only=True):
    ref: str
    title: str
    score: int | None = None
    reasons: tuple[str, ...] = ()
    crm: Any = None
    books: Any = None


class ConflictView(View, frozen=True, kw_only=True):
    """What needs a person, and the answers it takes. `records`: how many wait for it; with more than one (`what` is
    everywhere), `candidates` are some of them, with both values. `lost_at`: the side whose value our write passed over
    and which is nowhere now; the other one's stands on both."""

    number: int
    what: str
    kind: str
    title: str
    reason: str
    crm_title: str
    books_title: str
    crm: Any
    books: Any
    base: Any
    candidates: tuple[CandidateView, ...]
    choices: tuple[str, ...]
    state: str
    decided_by: str | None
    opened_at: datetime
    pair_id: str = ""
    field: str = ""
    typed_as: str | None = None
    may_prefer: bool = False
    decision: str | None = None
    decided_at: datetime | None = None
    fingerprint: str = ""
    records: int = 1
    lost_at: str | None = None


class SettledView(View, frozen=True, kw_only=True):
    number: int
    title: str
    decision: str
    by: str
    first: bool
    moved: bool
    records: int = 1


class WaitingView(View, frozen=True, kw_only=True):
    """A record that waits, and why; `place` is where a file has it."""

    side: str
    kind: str
    ref: str
    reason: str
    place: str | None = None


class HistoryView(View, frozen=True, kw_only=True):
    run: RunView
    changes: int


class ChainView(View, frozen=True, kw_only=True):
    """Whether a pair's audit trail holds. `head` is the last entry's hash."""

    pair: str
    entries: int
    head: str
    broken_at: int | None
    reason: str | None


class ReportView(View, frozen=True, kw_only=True):
    """A reconciliation: its first line, the short text, the full tables, all figures, and Slack's chart block.
    `ties`: every bridge is explained in full. `trail` is the audit trail's head, by which a trail that is rewritten
    later is found out. The workbook comes from `Api.workbook`."""

    id: str
    period: str
    version: int
    headline: str
    text: str
    tables: str
    figures: dict[str, Any]
    chart: dict[str, Any]
    ties: bool
    open_items: int
    trail: str = ""
    trail_holds: bool = True


class SideView(View, frozen=True, kw_only=True):
    """One side of a pair: how many records of each kind are known, and when its changes were last read."""

    title: str
    name: str
    state: str
    records: dict[str, int]
    read_at: datetime | None


class StatusView(View, frozen=True, kw_only=True):
    """How a pair stands. `notes`: what somebody should know about how it is read, as sentences."""

    pair: PairView
    sides: dict[str, SideView]
    linked: int
    conflicts: int
    waiting: int
    plan: PlanView | None
    last_run: RunView | None
    next_due: datetime | None
    notes: tuple[str, ...] = ()


class WebhookView(View, frozen=True, kw_only=True):
    """A connection that sends webhooks: `path` is where, below the public address; `state` unhealthy: three polls
    found what none of them announced."""

    connection: str
    system: str
    account: str
    title: str
    path: str
    state: str
    heard_at: datetime | None


class ScheduleView(View, frozen=True, kw_only=True):
    """One line of a schedule; `number` is what people call it by, `next_due` None while it is paused."""

    number: int
    id: str
    what: str
    words: str
    time_zone: str
    next_due: datetime | None
    paused: bool
    created_by: str


class LetterView(View, frozen=True, kw_only=True):
    """Something to be said in Slack: `what` and `body` say what about, `message` is the stable name of the message
    that it posts or edits, `ts` where that stands by now. `doubt`: an earlier attempt may have arrived."""

    id: int
    pair_id: str
    channel: str
    message: str
    what: str
    body: dict[str, Any]
    ts: str | None
    attempts: int
    doubt: bool
    created_at: datetime


class ApprovedView(View, frozen=True, kw_only=True):
    """An approval. `run_id` None: more people have to agree; `by` has who did, `needed` how many it takes."""

    run_id: str | None
    by: tuple[str, ...]
    needed: int


class AskedView(View, frozen=True, kw_only=True):
    """A run that was asked for, and the message that tells of it. Not `new`: `by` asked for it before."""

    run_id: str
    message: str
    new: bool
    by: str


class RecordView(View, frozen=True, kw_only=True):
    """A record that can be asked about. `address` is what finds it again: `crm:customer:c1`."""

    address: str
    system: str
    kind: str
    ref: str
    title: str
    others: tuple[str, ...] = ()


class TrailView(View, frozen=True, kw_only=True):
    """One entry of the audit trail. `fields` what it changed, `said` a vendor's own words or a question's, `erased`
    whether a person's values stood here; `approved_by` who agreed to the plan that it is of."""

    seq: int
    at: datetime
    action: str
    actor: str
    subject: str
    source: str | None
    approved_by: str | None
    field: str | None
    why: str | None
    said: str | None
    fields: tuple[FieldView, ...]
    erased: bool
    run: str | None
    change: str | None
    request_id: str | None
    detail: dict[str, Any]


class StoryView(View, frozen=True, kw_only=True):
    """What is on record about one record, oldest first, and what people call the two systems. `settled`: how it came
    that it is not billed or made by itself any more, and `again` what a person may do about that."""

    record: RecordView
    entries: tuple[TrailView, ...]
    titles: dict[str, str]
    time_zone: str
    settled: str | None = None
    again: AgainVerb | None = None


class AgainView(View, frozen=True, kw_only=True):
    """What a person lifted: how it was settled (`was`), how many documents are to be made anew, what was lifted with
    it, by name, and what has to be made active by hand first (`inactive`, sentences without a full stop)."""

    verb: AgainVerb
    address: str
    title: str
    kind: str
    was: str
    documents: int
    along: tuple[str, ...]
    inactive: tuple[str, ...] = ()


class StoryFileView(View, frozen=True, kw_only=True):
    """One record's story as a CSV file."""

    record: RecordView
    entries: int
    name: str
    content: bytes


class ErasedView(View, frozen=True, kw_only=True):
    """A person that Tieout has forgotten: how many values of the trail, how many rows of the rest, in how many
    reports. `inactive`: their records that a system only put away; `named_in`: records that still name them.
    Not `compact`: the database file still has the old text in its free space, until it is compacted."""

    record: RecordView
    values: int
    rows: int = 0
    reports: int = 0
    inactive: tuple[str, ...] = ()
    named_in: tuple[str, ...] = ()
    compact: bool = True
