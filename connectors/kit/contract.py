"""The contract that every system fulfils: what Tieout asks of a vendor, and what a vendor declares about itself.

A connector is declared facts and translation; it decides nothing about the customer's books. Each clause here is
run on each connector by `tests/contract`, and a saboteur proves that the clause can fail.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

import msgspec

from connectors.canon.fields import Value
from connectors.canon.records import AnyRecord, Kind
from connectors.canon.values import Money

if TYPE_CHECKING:
    from connectors.kit.http.pace import Budgets

Side: TypeAlias = Literal["crm", "books"]

# --------------------------------------------------------------------------- declared facts


class Replay(msgspec.Struct, frozen=True, tag="replay"):
    """A request repeated with the same key within `memory_s` seconds gives the first answer again; `scope` says
    among which calls the key is looked up. `memory_s=0`: the vendor says so but does not promise how long."""

    memory_s: int
    scope: str


class Upsert(msgspec.Struct, frozen=True, tag="upsert"):
    """A create with the same value in the unique `field` updates instead: a repeat makes no second record, but it
    overwrites what a person typed since, so it is never sent again blind."""

    field: str


class Unique(msgspec.Struct, frozen=True, tag="unique"):
    """A repeat is refused because `field` must be unique: the probe finds the first."""

    field: str


class Nothing(msgspec.Struct, frozen=True, tag="nothing"):
    """A repeat makes a second record. Only the probes stand between a lost answer and a duplicate."""


Repeat: TypeAlias = Replay | Upsert | Unique | Nothing
Operation: TypeAlias = Literal["create", "update", "void", "delete", "archive", "send"]
Delta: TypeAlias = Literal["time", "feed", "token", "content"]


class KindFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a system declares about one kind of record. Every number has its source in the connector's README.

    page                records in one page of `changes`
    batch_read          refs in one vendor call of `get`
    batch_write         writes in one vendor call of `write` (1: the vendor takes no batches)
    read_calls          calls, at most, that `get` makes for `batch_read` refs: what hangs on a record is read with it
    write_calls         calls, at most, of one `write`, with the read of what was stored
    repeat              what a repeated create does
    marker              canonical path or vendor's field where our marker is kept; None: no place for it
    marker_searchable   the vendor can find a record by its marker
    probe_many          one read settles all markers of a lost batch
    search_delay_s      how late `find` and `by_marker` may see a new record
    lands_within_s      how late a write whose client gave up may still take effect
    settles_s           how long after our write the vendor may rewrite its values by itself
    optimistic_lock     an update with an old `version` is refused
    history             refs in one vendor call of `history`; 0: the vendor does not tell what a field held before
    draft               documents can be saved unposted
    rounding            how the vendor rounds tax: by line, or by document on the net of each rate
    delta               how changes are found
    overlap_s           how far a cursor reaches back over what it has seen
    tombstones          deletions are told; otherwise two complete scans and a read by id
    writable            canonical paths that an update may set
    credits_invoices    credit notes: made with the allocations that they name
    """

    operations: frozenset[Operation] = frozenset()
    page: int = 100
    batch_read: int = 1
    batch_write: int = 1
    read_calls: int = 1
    write_calls: int = 1
    repeat: Repeat = Nothing()
    marker: str | None = None
    marker_searchable: bool = False
    probe_many: bool = False
    search_delay_s: float = 0
    lands_within_s: float = 120
    settles_s: float = 0
    optimistic_lock: bool = False
    history: int = 0
    draft: bool = False
    rounding: Literal["line", "document"] = "document"
    delta: Delta = "time"
    overlap_s: float = 0
    tombstones: bool = True
    writable: frozenset[str] = frozenset()
    credits_invoices: bool = True


class PrivateToken(msgspec.Struct, frozen=True, tag="token"):
    """Log in with a token that a person pastes. `hint` says where to find it."""

    hint: str


class OAuth(msgspec.Struct, frozen=True, tag="oauth", kw_only=True):
    """Log in by OAuth 2 authorization code. `account_param` is the callback's extra query parameter that names
    the account (QuickBooks' realmId), if there is one, and `account_setting` the connection's setting that holds
    it. `rotates`: the refresh token changes at each refresh."""

    authorize_url: str
    token_url: str
    scopes: tuple[str, ...]
    account_param: str | None = None
    account_setting: str | None = None
    rotates: bool = False
    basic_auth: bool = False


class NoLogin(msgspec.Struct, frozen=True, tag="none"):
    """Nothing to log in to: a folder, or memory."""


class Setting(msgspec.Struct, frozen=True):
    """One setting of a connection: what a person is asked for. `default` None: required."""

    name: str
    help: str
    default: str | None = None
    secret: bool = False


PACE = Setting("pace", "Spread calls over the vendor's limits: on; off for a sandbox without any.", "on")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a system declares about itself. `title` is what people read ("QuickBooks"); `rate` is calls per
    seconds as documented, e.g. (500, 60); `batch_rate` those that carry several writes, where they are counted apart;
    `sandbox` the setting that points at a local sandbox."""

    system: str
    title: str
    sides: frozenset[Side]
    logins: tuple[PrivateToken | OAuth | NoLogin, ...]
    settings: tuple[Setting, ...] = ()
    kinds: Mapping[Kind, KindFacts]
    rates: tuple[tuple[int, float], ...] = ()
    batch_rate: tuple[int, float] | None = None
    call_deadline_s: float = 30


# --------------------------------------------------------------------------- reading


class Tombstone(msgspec.Struct, frozen=True):
    """The vendor says that a record is gone: deleted, archived, or merged into `survivor`."""

    kind: Kind
    ref: str
    how: Literal["deleted", "archived", "merged"]
    survivor: str | None = None
    at: datetime | None = None


class BadRow(msgspec.Struct, frozen=True):
    """Something that could not be read as a record: where it stands and why. It is reported, never guessed."""

    kind: Kind
    where: str
    reason: str
    ref: str | None = None


class Past(msgspec.Struct, frozen=True):
    """A value that a field was given: when, by the vendor's clock, and by whom. `by` is the vendor's own name of the
    writer, equal for two writes of one writer; None: it does not tell."""

    value: Value
    at: datetime
    by: str | None = None


Histories: TypeAlias = dict[str, dict[str, tuple[Past, ...]]]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of changes. Storing it moves `cursors` (per kind) in the same transaction. `scanned` names kinds
    of which the run up to and including this page is a complete listing (deletions can be inferred)."""

    records: tuple[AnyRecord, ...] = ()
    gone: tuple[Tombstone, ...] = ()
    bad: tuple[BadRow, ...] = ()
    cursors: Mapping[Kind, str] = {}
    scanned: frozenset[Kind] = frozenset()


# --------------------------------------------------------------------------- writing


class Create(msgspec.Struct, frozen=True, kw_only=True, tag="create"):
    """Make a record. `marker` is stored where the kind has a place; `key` is the idempotency key."""

    record: AnyRecord
    marker: str
    key: str


class Update(msgspec.Struct, frozen=True, kw_only=True, tag="update"):
    """Set some fields of a record, and no others. `before` is what the plan saw; `version` what was read last."""

    kind: Kind
    ref: str
    version: str | None
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    key: str


class Act(msgspec.Struct, frozen=True, kw_only=True, tag="act"):
    """Void, delete, archive or send a record."""

    kind: Kind
    ref: str
    version: str | None
    operation: Operation
    key: str


Write: TypeAlias = Create | Update | Act


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The vendor's yes, with the record as it stored it (None after a delete)."""

    ref: str
    version: str | None
    stored: AnyRecord | None
    request_id: str | None = None


class Denied(msgspec.Struct, frozen=True, tag="denied"):
    """The vendor's definite no. `existing`: the ref of the record that already has the unique value."""

    reason: str
    code: str | None = None
    field: str | None = None
    existing: str | None = None
    request_id: str | None = None


class Moved(msgspec.Struct, frozen=True, tag="moved"):
    """Not written: the record's version is no longer the one sent. `current` is what it is now, if read."""

    current: AnyRecord | None = None
    request_id: str | None = None


class NotSent(msgspec.Struct, frozen=True, tag="not_sent"):
    """Surely nothing happened, and the record is not to blame: wait `wait_s`, or reconnect, or get the right. `fewer`:
    the whole batch was refused because of one of its writes, and nothing tells which: send fewer of them at once."""

    reason: str
    next: Literal["wait", "reconnect", "allow", "fewer"] = "wait"
    wait_s: float | None = None
    request_id: str | None = None


class InDoubt(msgspec.Struct, frozen=True, tag="in_doubt"):
    """Nobody knows. It is probed; it is never sent again blind."""

    reason: str
    request_id: str | None = None


Outcome: TypeAlias = Done | Denied | Moved | NotSent | InDoubt

# --------------------------------------------------------------------------- settings and figures


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger account that documents may name."""

    ref: str
    name: str
    type: Literal["income", "receivable", "bank", "other"]


class TaxCode(msgspec.Struct, frozen=True, kw_only=True):
    """A tax code with the combined rate in percent; None: the vendor computes it (address, product)."""

    ref: str
    name: str
    rate: Decimal | None
    taxable: bool = True


class NamedTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Payment terms that the system knows."""

    ref: str
    name: str
    net_days: int | None = None
    discount_percent: Decimal | None = None
    discount_days: int | None = None


class FieldInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's own field that a mapping may name as `properties.<name>`."""

    name: str
    label: str
    type: str = "text"
    writable: bool = True
    options: tuple[str, ...] = ()
    unique: bool = False


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """How the account is set up, read from the vendor. ABSENT-like None means the system does not tell.

    `time_zone` is an IANA name; `numbering` says who numbers invoices: the books by themselves, or whoever makes
    them; `locked_until` is the last day of the closed period. `fields` per kind are the vendor's own fields;
    `columns` per kind are the canonical paths this account can tell (None: all that the connector declares)."""

    account_id: str
    account_name: str
    home_currency: str | None = None
    country: str | None = None
    time_zone: str | None = None
    fiscal_year_start_month: int = 1
    locked_until: date | None = None
    tax_regime: Literal["none", "rates", "automatic"] = "none"
    numbering: Literal["books", "caller"] = "books"
    multi_currency: bool = False
    credits_apply_themselves: bool = False
    accounts: tuple[Account, ...] = ()
    tax_codes: tuple[TaxCode, ...] = ()
    terms: tuple[NamedTerms, ...] = ()
    dimensions: Mapping[str, tuple[str, ...]] = {}
    payment_methods: tuple[str, ...] = ()
    stages: Mapping[str, Literal["open", "won", "lost"]] = {}
    fields: Mapping[Kind, tuple[FieldInfo, ...]] = {}
    columns: Mapping[Kind, frozenset[str]] = {}


class Ageing(msgspec.Struct, frozen=True, kw_only=True):
    """What one customer owed at a day, in home currency: total and by days overdue, plus credit not applied."""

    customer: str
    total: Decimal
    not_due: Decimal = Decimal(0)
    days_1_30: Decimal = Decimal(0)
    days_31_60: Decimal = Decimal(0)
    days_61_90: Decimal = Decimal(0)
    over_90: Decimal = Decimal(0)


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many documents of a kind the vendor counts in the period, voided ones apart, and what they add up to
    (home currency, net where the report knows it)."""

    kind: Kind
    number: int
    voided: int = 0
    total: Money | None = None
    net: Money | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The vendor's own totals, from its own reports: independent of our mirror. None: it has no such read."""

    as_of: date
    home_currency: str
    receivable_control: Decimal | None = None
    ageing: tuple[Ageing, ...] = ()
    counts: tuple[Count, ...] = ()
    invoiced_net: Mapping[str, Decimal] = {}
    source: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook event: it marks a record dirty and wakes; its values are never trusted."""

    id: str
    account: str
    kind: Kind
    ref: str
    what: Literal["created", "updated", "deleted", "merged", "voided"]
    at: datetime | None = None
    survivor: str | None = None


# --------------------------------------------------------------------------- what a connector is given


class Clock(Protocol):
    """Time and waiting, so that tests can shift both."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a login gives. `expires_at` None: it does not expire. Secret: never logged, never shown."""

    access: str
    refresh: str | None = None
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    client_id: str | None = None
    client_secret: str | None = None

    def __repr__(self) -> str:
        return "Token(***)"


class Renew(Protocol):
    async def __call__(self, token: Token) -> Token: ...


class Tokens(Protocol):
    """Where a connection's token lives. `renewed` calls `renew` at most once among all callers and workers that
    hold the same stale token, stores the new one before it returns, and gives every caller the new one."""

    async def current(self) -> Token: ...

    async def renewed(self, stale: Token, renew: Renew) -> Token: ...


class Calls(Protocol):
    """Counts vendor calls of a connection."""

    def count(self, operation: str, *, write: bool) -> None: ...


class Deps(msgspec.Struct, frozen=True, kw_only=True):
    """What the house hands a connector. `session` is an aiohttp.ClientSession; `lane` decides how much of the
    rate budget may be used (bulk leaves a fifth to realtime). `paced` False: a sandbox without limits is at the
    other end, and calls need not be spread. `budget` makes the connection's rate budgets, which all who open it share
    (None: each connector counts its own calls)."""

    session: Any
    tokens: Tokens
    clock: Clock
    calls: Calls
    lane: Literal["realtime", "bulk"] = "realtime"
    paced: bool = True
    budget: Budgets | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a pair's mapping asks of a connection: the vendor's own fields it names, by kind; which records are
    customers (companies | contacts | both); the `columns` section."""

    properties: Mapping[Kind, tuple[str, ...]] = {}
    customers_from: str = "companies"
    columns: Mapping[str, Any] = {}


class Connector(abc.ABC):
    """One authorised account at one system."""

    facts: ClassVar[Facts]

    @classmethod
    @abc.abstractmethod
    def open(cls, settings: Mapping[str, str], deps: Deps) -> Connector:
        """Make a connector. Raises BadSettings if a setting is missing or wrong. No I/O."""

    @abc.abstractmethod
    def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        """Everything that changed since each kind's cursor (None: everything there is), page by page. A page may
        hold several kinds. Stopping after any stored page and starting again from its cursors loses nothing."""

    @abc.abstractmethod
    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | Tombstone]:
        """Records by ref, in calls as large as the vendor takes. A ref that is not visible is left out."""

    @abc.abstractmethod
    async def find(self, kind: Kind, path: str, values: Sequence[str]) -> dict[str, list[AnyRecord]]:
        """Live and inactive records whose field equals each value, as the vendor compares. `path` is canonical
        (`legal_name`, `emails.general`, `number`) or `properties.x`."""

    @abc.abstractmethod
    async def by_marker(self, kind: Kind, markers: Sequence[str]) -> dict[str, list[AnyRecord]]:
        """First probe: records that carry each marker. Empty for a kind whose marker cannot be searched."""

    @abc.abstractmethod
    async def mark(self, kind: Kind) -> str:
        """A high-water mark: the vendor's time, or its counter. Records made from now on are after it."""

    @abc.abstractmethod
    async def created_since(self, kind: Kind, mark: str, customers: Sequence[str] = ()) -> list[AnyRecord]:
        """Second probe: records made at or after `mark`, of these customers only if any are named."""

    @abc.abstractmethod
    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        """Send writes of one kind and one operation, at most `batch_write` of them, in one vendor call; an outcome
        for each, in order. `key` is the call's idempotency key. Never sent twice by this layer. What the vendor
        answered is an outcome, not an exception; a cancellation is raised and leaves every write in doubt."""

    async def history(self, kind: Kind, refs: Sequence[str], paths: Sequence[str]) -> Histories:
        """Ref -> path -> what the field was given, newest first; a write of the value that was there already may be
        missing, and so may what is old. Asked only of kinds that declare `history`. A ref that is not visible, and a
        path of which the vendor tells nothing, are left out."""
        return {}

    @abc.abstractmethod
    async def catalogue(self) -> Catalogue:
        """How the account is set up."""

    @abc.abstractmethod
    async def figures(self, start: date, end: date) -> Figures | None:
        """The vendor's own totals for the period, balances as of `end`. None: it has no such read."""

    @classmethod
    def login(cls, settings: Mapping[str, str]) -> OAuth | None:
        """The OAuth login, with the addresses that these settings name. None: it has none."""
        return next((each for each in cls.facts.logins if isinstance(each, OAuth)), None)

    def kinds_for(self, catalogue: Catalogue) -> Mapping[Kind, KindFacts]:
        """The facts of each kind at an account that is set up like this (a marker may be searchable only where the
        account lets callers number their documents)."""
        return self.facts.kinds

    @classmethod
    def tuned(cls, settings: Mapping[str, str], wanted: Wanted) -> dict[str, str]:
        """The settings with what a pair's mapping adds to them: which of the vendor's own fields to read, what a
        customer is, which column is which. A system that needs none of it keeps its settings."""
        return dict(settings)

    async def prepare(self, wanted: Mapping[Kind, Sequence[FieldInfo]]) -> list[str]:
        """Make what is missing at the vendor for a mapping: our marker's field, and fields that are written back.
        Safe to repeat. The names made come back."""
        return []

    @classmethod
    def verify_webhook(
        cls, *, secret: str, method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> bool:
        """Whether a webhook call is the vendor's own. False where the system sends none."""
        return False

    @classmethod
    def parse_webhook(cls, body: bytes) -> list[Event]:
        """The events in a verified webhook call."""
        return []

    async def close(self) -> None:
        """Give back what was opened. The session is not the connector's to close."""
        return None
