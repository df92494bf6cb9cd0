"""Every table. The database is the truth; the queue only wakes workers.

Amounts are text (SQLite's Numeric is a float), instants are integers of microseconds since 1970 UTC, documents and
values are canonical JSON as text, so that both databases hold and compare the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _US

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=int(value))


class Amount(TypeDecorator[Decimal]):
    """An exact Decimal as text."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


ID = String(40)
REF = String(200)
WORD = String(40)


def _pair(**more: Any) -> Column[Any]:
    return Column("pair_id", ID, ForeignKey("pairs.id"), nullable=False, **more)


# --------------------------------------------------------------------------- who and what is connected

installation = Table(
    "installation",
    metadata,
    Column("id", ID, primary_key=True),
    Column("created_at", Instant, nullable=False),
)

connections = Table(
    "connections",
    metadata,
    Column("id", ID, primary_key=True),
    Column("system", WORD, nullable=False),
    Column("account", REF, nullable=False),
    Column("name", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("state", WORD, nullable=False),  # live | reconnect
    Column("catalogue", Text),
    Column("catalogue_at", Instant),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("system", "account"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("connection_id", ID, ForeignKey("connections.id"), primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("renewing_until", Instant),
    Column("renewed_at", Instant),
)

pairs = Table(
    "pairs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", REF, nullable=False, unique=True),
    Column("crm", ID, ForeignKey("connections.id"), nullable=False),
    Column("books", ID, ForeignKey("connections.id"), nullable=False),
    Column("channel", WORD),
    Column("mapping_version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
)

mappings = Table(
    "mappings",
    metadata,
    _pair(primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("digest", WORD, nullable=False),
    Column("saved_by", Text, nullable=False),
    Column("saved_at", Instant, nullable=False),
)

# One pair at most may write a field of a kind at a connection: who owns it.
writers = Table(
    "writers",
    metadata,
    Column("connection_id", ID, ForeignKey("connections.id"), primary_key=True),
    Column("kind", WORD, primary_key=True),
    Column("field", REF, primary_key=True),
    _pair(index=True),
)

# --------------------------------------------------------------------------- what the systems say

cursors = Table(
    "cursors",
    metadata,
    Column("connection_id", ID, ForeignKey("connections.id"), primary_key=True),
    Column("kind", WORD, primary_key=True),
    Column("cursor", Text, nullable=False),
    Column("scan", Integer, nullable=False, server_default="0"),  # complete listings so far
    Column("moved_at", Instant, nullable=False),
)

# The predicate of a partial index: a query that says the same reads the few records that are no longer shown, and
# not all that there are.
UNSEEN = "gone is not null or missed > 0"

mirror = Table(
    "mirror",
    metadata,
    Column("connection_id", ID, ForeignKey("connections.id"), primary_key=True),
    Column("kind", WORD, primary_key=True),
    Column("ref", REF, primary_key=True),
    Column("body", Text, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("marker", WORD),
    Column("party", REF),  # whose document or deal it is
    Column("gone", WORD),  # deleted | archived | merged | unreachable
    Column("survivor", REF),
    Column("scan", Integer, nullable=False, server_default="0"),  # the listing that last showed it
    Column("missed", Integer, nullable=False, server_default="0"),  # complete listings without it
    Column("seen_at", Instant, nullable=False),
    Column("verified_at", Instant),
    Index("ix_mirror_marker", "connection_id", "marker"),
    Index("ix_mirror_party", "connection_id", "kind", "party"),
    Index("ix_mirror_unseen", "connection_id", "kind", sqlite_where=text(UNSEEN), postgresql_where=text(UNSEEN)),
)

bad_rows = Table(
    "bad_rows",
    metadata,
    Column("connection_id", ID, ForeignKey("connections.id"), primary_key=True),
    Column("kind", WORD, primary_key=True),
    Column("place", REF, primary_key=True),
    Column("ref", REF),
    Column("reason", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

dirty = Table(
    "dirty",
    metadata,
    _pair(primary_key=True),
    Column("side", WORD, primary_key=True),
    Column("kind", WORD, primary_key=True),
    Column("ref", REF, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("stamp", BigInteger, nullable=False),  # rises with each marking: only what was planned is cleared
    Column("waits", String(32)),  # the settings under which nothing could be done; marking it again clears this
    Column("reason", Text),
    Column("waits_for", REF),  # `customer:<crm ref>` or `item`: what moves this wakes it too
    Column("refused", Integer, nullable=False, server_default="0"),  # the vendor said no
    Index("ix_dirty_due", "pair_id", "waits", "since"),
    Index("ix_dirty_waits_for", "pair_id", "waits_for"),
)

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("connection_id", ID, ForeignKey("connections.id"), primary_key=True),
    Column("event_id", REF, primary_key=True),
    Column("seen_at", Instant, nullable=False),
    Column("kind", WORD),
    Column("ref", REF),
    Column("read_at", Instant),  # when the record was read that it announced; None: it is still to be read
    Index("ix_webhook_events_record", "connection_id", "kind", "ref"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("connection_id", ID, ForeignKey("connections.id"), nullable=False),
    Column("vendor_id", REF),
    Column("expires_at", Instant),
    Column("unannounced", Integer, nullable=False, server_default="0"),  # polls in a row that found more than it told
    Column("state", WORD, nullable=False),  # live | unhealthy
    Column("secret", LargeBinary),  # what its calls are signed with, sealed
    Column("heard_at", Instant),
    Column("counted_at", Instant),
)

# --------------------------------------------------------------------------- what belongs together

links = Table(
    "links",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(index=True),
    Column("kind", WORD, nullable=False),
    Column("provenance", WORD, nullable=False),  # created | adopted | matched
    Column("why", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("verified_at", Instant),
)

link_members = Table(
    "link_members",
    metadata,
    _pair(primary_key=True),
    Column("side", WORD, primary_key=True),
    Column("kind", WORD, primary_key=True),
    Column("ref", REF, primary_key=True),
    Column("link_id", ID, ForeignKey("links.id"), nullable=False, index=True),
    Column("role", WORD, nullable=False),  # primary | also
    Index(
        "uq_link_members_primary",
        "link_id",
        "side",
        unique=True,
        sqlite_where=text("role = 'primary'"),
        postgresql_where=text("role = 'primary'"),
    ),
)

bases = Table(
    "bases",
    metadata,
    Column("link_id", ID, ForeignKey("links.id"), primary_key=True),
    Column("rule", REF, primary_key=True),
    Column("crm", Text, nullable=False),  # JSON: the value seen there when the two last agreed
    Column("books", Text, nullable=False),
    Column("decision", REF, nullable=False),  # the change, conflict or match that made it
    Column("at", Instant, nullable=False),
)

positions = Table(
    "positions",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(),
    Column("deal", REF, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("role", WORD, nullable=False),
    Column("planned_on", String(10), nullable=False),
    Column("net", Amount, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("state", WORD, nullable=False),  # open | billed | spent | settled | history
    Column("reason", Text),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("pair_id", "deal", "seq"),
)

documents = Table(
    "documents",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(),
    Column("position_id", ID, ForeignKey("positions.id"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("ref", REF, nullable=False),
    Column("marker", WORD),
    Column("provenance", WORD, nullable=False),  # created | adopted | matched
    Column("state", WORD, nullable=False),  # live | void | deleted | credited
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("pair_id", "kind", "ref"),
    Index(
        "uq_documents_live",
        "position_id",
        "generation",
        unique=True,
        sqlite_where=text("state = 'live'"),
        postgresql_where=text("state = 'live'"),
    ),
)

allocations = Table(
    "allocations",
    metadata,
    Column("connection_id", ID, ForeignKey("connections.id"), primary_key=True),
    Column("source_kind", WORD, primary_key=True),  # payment | credit_note
    Column("source_ref", REF, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("document", REF, nullable=False),
    Column("amount", Amount, nullable=False),
    Column("withheld", Amount, nullable=False),
    Column("discount", Amount, nullable=False),
    Column("written_off", Amount, nullable=False),
    Column("on", String(10)),
    Column("via", REF),
    Index("ix_allocations_document", "connection_id", "document"),
)

# --------------------------------------------------------------------------- what is intended and what was done

runs = Table(
    "runs",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(),
    Column("what", WORD, nullable=False),  # preview | sync | apply | settle | reconcile | undo
    Column("lane", WORD, nullable=False),
    Column("state", WORD, nullable=False),  # queued | running | waiting | done | failed
    Column("step", WORD, nullable=False, server_default=""),
    Column("request", Text, nullable=False),
    Column("progress", Text, nullable=False, server_default="{}"),
    Column("result", Text),
    Column("error", Text),
    Column("requested_by", Text, nullable=False),
    Column("plan_id", ID),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("not_before", Instant),
    Column("lease_owner", ID),
    Column("lease_until", Instant),
    Column("fence", Integer, nullable=False, server_default="0"),
    Index("ix_runs_due", "state", "lane", "created_at"),
    Index("ix_runs_pair", "pair_id", "created_at"),
)

plans = Table(
    "plans",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(),
    Column("run_id", ID, ForeignKey("runs.id"), nullable=False),
    Column("state", WORD, nullable=False),  # drawing | open | applying | beside | applied | ...
    Column("fingerprint", String(64), nullable=False, server_default=""),
    Column("mapping_version", Integer, nullable=False),
    Column("summary", Text, nullable=False, server_default="{}"),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("approved_by", Text),
    Column("approved_at", Instant),
    Column("subset", Text),
    Column("undoes", ID),  # the run that this plan takes back
    Index(
        "uq_plans_open",
        "pair_id",
        unique=True,
        sqlite_where=text("state in ('open', 'applying')"),
        postgresql_where=text("state in ('open', 'applying')"),
    ),
)

changes = Table(
    "changes",
    metadata,
    Column("id", ID, primary_key=True),
    Column("plan_id", ID, ForeignKey("plans.id"), nullable=False),
    _pair(),
    Column("seq", Integer, nullable=False),
    Column("flow", WORD, nullable=False),  # customers | items | invoices | payments
    Column("group_id", ID, nullable=False),
    Column("group_seq", Integer, nullable=False),
    Column("compensation", WORD),
    Column("side", WORD, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("operation", WORD, nullable=False),
    Column("ref", REF),
    Column("link_id", ID),
    Column("position_id", ID),
    Column("generation", Integer),
    Column("source_kind", WORD, nullable=False),
    Column("source_ref", REF, nullable=False),
    Column("needs", Text, nullable=False, server_default="[]"),  # ids of changes that must be done before
    Column("title", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("fields", Text, nullable=False, server_default="[]"),  # [{path, rule, before, after}]
    Column("record", Text),  # the record to create
    Column("requires", Text, nullable=False, server_default="[]"),  # what must still be true
    Column("marker", WORD),
    Column("customer", REF),  # whom a done document was posted to, by the books' ref
    Column("net", Amount),
    Column("total", Amount),
    Column("currency", String(3)),
    Column("state", WORD, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("stale_times", Integer, nullable=False, server_default="0"),
    Column("call_key", String(64)),
    Column("mark", Text),
    Column("call_until", Instant),
    Column("reason", Text),
    Column("outcome", Text),
    Column("before_image", Text),
    Column("stored", Text),
    Column("request_id", REF),
    Column("settled_at", Instant),
    Column("undoes", ID),  # the change that this one takes back
    UniqueConstraint("plan_id", "seq"),
    Index("ix_changes_state", "plan_id", "state", "seq"),
    Index("ix_changes_open", "pair_id", "state"),
    Index("ix_changes_marker", "marker"),
    Index("ix_changes_customer", "pair_id", "customer"),
    Index("ix_changes_source", "pair_id", "source_kind", "source_ref"),
    Index(
        "uq_changes_record",
        "plan_id",
        "side",
        "kind",
        "ref",
        unique=True,
        sqlite_where=text("ref is not null"),
        postgresql_where=text("ref is not null"),
    ),
)

# Who agreed to a plan that needs more than one; `covers` is what of it.
approvals = Table(
    "approvals",
    metadata,
    Column("plan_id", ID, ForeignKey("plans.id"), primary_key=True),
    Column("approver", REF, primary_key=True),
    Column("covers", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

conflicts = Table(
    "conflicts",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(),
    Column("number", Integer, nullable=False),
    Column("what", WORD, nullable=False),  # field | everywhere | match | create | document | removed
    Column("kind", WORD, nullable=False),
    Column("link_id", ID),
    Column("rule", REF, nullable=False),
    Column("side", WORD, nullable=False),
    Column("ref", REF, nullable=False),
    Column("title", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("crm", Text),
    Column("books", Text),
    Column("base", Text),
    Column("candidates", Text, nullable=False, server_default="[]"),
    Column("fingerprint", String(32), nullable=False),
    Column("state", WORD, nullable=False),  # open | settled | obsolete
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("opened_at", Instant, nullable=False),
    UniqueConstraint("pair_id", "number"),
    Index(
        "uq_conflicts_open",
        "pair_id",
        "side",
        "kind",
        "ref",
        "rule",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

# What a person or a rule settled about a source: not needed, different, agreed to differ.
decisions = Table(
    "decisions",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(),
    Column("side", WORD, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("ref", REF, nullable=False),
    Column("rule", REF, nullable=False, server_default=""),
    Column("verdict", WORD, nullable=False),  # same | different | not_needed | create | keep_crm | keep_books
    Column("detail", Text, nullable=False, server_default=""),
    Column("fingerprint", String(32), nullable=False, server_default=""),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("lifted_at", Instant),
    Index("ix_decisions_subject", "pair_id", "side", "kind", "ref"),
)

# One row for each thing that guards and breakers count over a sliding window.
tallies = Table(
    "tallies",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _pair(),
    Column("side", WORD, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("ref", REF, nullable=False),
    Column("rule", REF, nullable=False),
    Column("what", REF, nullable=False),  # changed | removed | emptied:<path> | field
    Column("at", Instant, nullable=False),
    Index("ix_tallies_window", "pair_id", "what", "at"),
    Index("ix_tallies_field", "pair_id", "kind", "ref", "rule", "at"),
)

audit = Table(
    "audit",
    metadata,
    _pair(primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("entry", Text, nullable=False),  # canonical JSON; personal values by digest
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    _pair(primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

audit_values = Table(
    "audit_values",
    metadata,
    _pair(primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("salt", String(32), nullable=False),
    Column("value", Text),
)

reports = Table(
    "reports",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(),
    Column("period", String(10), nullable=False),  # its first day
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    UniqueConstraint("pair_id", "period", "version"),
)

# --------------------------------------------------------------------------- what waits for its time

schedules = Table(
    "schedules",
    metadata,
    Column("id", ID, primary_key=True),
    _pair(),
    Column("what", WORD, nullable=False),
    Column("words", Text, nullable=False),
    Column("time_zone", WORD, nullable=False),
    Column("next_due", Instant),
    Column("paused", Integer, nullable=False, server_default="0"),
    Column("created_by", Text, nullable=False),
    Index("ix_schedules_due", "paused", "next_due"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _pair(),
    Column("channel", WORD, nullable=False),
    Column("message", REF, nullable=False),
    Column("what", WORD, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", WORD, nullable=False),  # pending | sending | sent | superseded | refused
    Column("slack_ts", WORD),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", Instant),
    Column("error", Text),
    Column("created_at", Instant, nullable=False),
    Index("ix_outbox_due", "state", "channel", "id"),
    Index("ix_outbox_message", "message", "channel"),
)
