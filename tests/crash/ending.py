"""What is compared: both accounts and the store as a run left them, told without anything that two good runs may
differ in.

Left out are ids that Tieout or a vendor made up (they are replaced by what they stand for: a customer by its name, a
document by its customer and amount), times, versions, and the books' consecutive numbers. A record that was adopted
after a doubt counts as made. A plan that was drawn and replaced by its repetition counts for nothing, and so does a
letter that was replaced by a newer one.

Everything else must be equal, item by item and as often: records of both accounts, mirror, links, bases, positions,
documents, allocations, the dirty set with its reasons, conflicts, decisions, approvals, changes, runs, counts for the
guards, the audit trail, and what was said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Table, select

from connectors.canon.records import AnyRecord, CreditNote, Customer, Deal, Invoice, Item, Kind, Payment, decode
from connectors.canon.values import ABSENT
from connectors.kit.contract import Side
from connectors.memory.world import MemoryWorld
from tests.crash.bench import Bench
from tests.crash.slack import messages
from worker.store import audit, tables
from worker.store.database import Unit

SIDES: tuple[Side, Side] = ("crm", "books")
_MADE_UP = frozenset({"ref", "version", "created_at", "updated_at", "number"})
_OURS = frozenset({"id", "plan_id", "run", "change", "request_id", "fingerprint"})
_HOW = frozenset({"number", "how", "fingerprint"})  # the books' number; whether it was found after a lost answer
_encoder = msgspec.json.Encoder(decimal_format="string", order="sorted")


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended.

    sections  name -> every item's text
    rounds    plans until nothing was left to do (0: it was not tried); `echoes` are writes after that
    broken    where the audit chain does not hold
    logins    how often a person had to log in anew
    writes    write calls that reached the vendors, told beside the rest: a call that came to nothing is one more
    """

    sections: dict[str, list[str]]
    echoes: int = 0
    rounds: int = 0
    broken: str | None = None
    logins: int = 0
    writes: int = 0


class Difference(msgspec.Struct, frozen=True):
    """An item that is there too often (`more` > 0) or not often enough."""

    section: str
    item: str
    more: int

    def __str__(self) -> str:
        return f"{self.section}: {self.more:+d} {self.item[:300]}"


def differences(reference: Ending, seen: Ending) -> list[Difference]:
    """What a run that died made otherwise than the one that did not."""
    found = []
    for section in sorted({*reference.sections, *seen.sections}):
        should, has = Counter(reference.sections.get(section, [])), Counter(seen.sections.get(section, []))
        found += [Difference(section, item, has[item] - should[item]) for item in sorted({*should, *has})]
    return [difference for difference in found if difference.more != 0]


class Names:
    """ref -> what it stands for, on each side."""

    def __init__(self, worlds: Mapping[Side, MemoryWorld]) -> None:
        self._of: dict[Side, dict[str, str]] = {
            side: {ref: _name(row.record, world) for rows in world.state.rows.values() for ref, row in rows.items()}
            for side, world in worlds.items()
        }

    def of(self, side: str, ref: str | None) -> str:
        return self._of["crm" if side == "crm" else "books"].get(ref or "", ref or "")

    def swapped(self, side: str, value: Any) -> Any:
        """A value with each ref replaced, and what is made up left out."""
        if isinstance(value, Mapping):
            kept = {k: v for k, v in value.items() if k not in _OURS}
            return {self.of(side, k): self.swapped(side, v) for k, v in kept.items()}
        if isinstance(value, list | tuple):
            return [self.swapped(side, each) for each in value]
        return self.of(side, value) if isinstance(value, str) else value

    def record(self, side: str, record: AnyRecord) -> str:
        plain = msgspec.to_builtins(record)
        return _text(self.swapped(side, {k: v for k, v in plain.items() if k not in _MADE_UP}))


def _name(record: AnyRecord, world: MemoryWorld) -> str:
    match record:
        case Customer():
            return f"customer {record.legal_name}"
        case Item():
            return f"item {record.name}"
        case Deal():
            return f"deal {record.name}"
        case Invoice() | CreditNote():
            return f"{type(record).__name__} of {_who(record.customer, world)} {record.net}"
        case Payment():
            amount = record.amount.amount if record.amount is not ABSENT and record.amount is not None else ""
            return f"Payment of {_who(record.customer, world)} {amount}"
        case _:
            return record.ref


def _who(ref: Any, world: MemoryWorld) -> str:
    row = world.state.row(Kind.CUSTOMER, ref) if isinstance(ref, str) else None
    return str(row.record.legal_name) if row is not None and isinstance(row.record, Customer) else str(ref)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()


def _line(*parts: Any) -> str:
    return " | ".join(_text(part) for part in parts)


# --------------------------------------------------------------------------- what the store holds


class Reading:
    """One look at everything."""

    def __init__(self, tx: Unit, bench: Bench) -> None:
        self.tx, self.bench = tx, bench
        self.names = Names({"crm": bench.crm, "books": bench.books})

    async def rows(self, table: Table) -> list[Any]:
        return await self.tx.all(select(table))

    async def sections(self) -> dict[str, list[str]]:
        found = {f"{world.name} account": self.account(world) for world in (self.bench.crm, self.bench.books)}
        links, bases = await self.links()
        documents, allocations = await self.documents()
        return {
            **found,
            "mirror": await self.mirror(),
            "links": links,
            "bases": bases,
            "documents": documents,
            "allocations": allocations,
            "positions": [self._position(row) for row in await self.rows(tables.positions)],
            "dirty": [self._dirty(row) for row in await self.rows(tables.dirty)],
            "conflicts": [self._conflict(row) for row in await self.rows(tables.conflicts)],
            "decisions": [self._decision(row) for row in await self.rows(tables.decisions)],
            "approvals": [_line(row["approver"], row["covers"]) for row in await self.rows(tables.approvals)],
            "tallies": [self._tally(row) for row in await self.rows(tables.tallies)],
            "plans": await self.plans(),
            "runs": await self.runs(),
            "audit": await self.trail(),
            "said": await self.said(),
            "logins being renewed": await self.renewals(),
        }

    def account(self, world: MemoryWorld) -> list[str]:
        return [
            _line(kind.value, row.gone.how if row.gone is not None else "", self.names.record(world.name, row.record))
            for kind, rows in world.state.rows.items()
            for row in rows.values()
        ]

    async def mirror(self) -> list[str]:
        side_of = await self.side_of()
        return [
            _line(
                side_of[row["connection_id"]],
                row["kind"],
                row["gone"] or "",
                self.names.record(side_of[row["connection_id"]], decode(row["body"])),
            )
            for row in await self.rows(tables.mirror)
        ]

    async def side_of(self) -> dict[str, str]:
        return {row[side]: side for row in await self.rows(tables.pairs) for side in SIDES}

    async def links(self) -> tuple[list[str], list[str]]:
        """Links by their members, and bases by their links."""
        members: dict[str, list[str]] = {}
        for row in await self.rows(tables.link_members):
            name = self.names.of(row["side"], row["ref"])
            members.setdefault(row["link_id"], []).append(_line(row["side"], name, row["role"]))
        called = {link: " = ".join(sorted(each)) for link, each in members.items()}
        links = [
            _line(row["kind"], _made(row["provenance"]), called.get(row["id"], "nothing"))
            for row in await self.rows(tables.links)
        ]
        bases = [
            _line(called.get(row["link_id"], "nothing"), row["rule"], row["crm"], row["books"])
            for row in await self.rows(tables.bases)
        ]
        return links, bases

    async def documents(self) -> tuple[list[str], list[str]]:
        deals = {
            row["id"]: (self.names.of("crm", row["deal"]), row["seq"]) for row in await self.rows(tables.positions)
        }
        documents = [
            _line(*deals[row["position_id"]], row["generation"], row["kind"], self.names.of("books", row["ref"]),
                  row["marker"], _made(row["provenance"]), row["state"])
            for row in await self.rows(tables.documents)
        ]  # fmt: skip
        allocations = [
            _line(row["source_kind"], self.names.of("books", row["source_ref"]), row["seq"],
                  self.names.of("books", row["document"]), row["amount"], row["withheld"], row["on"])
            for row in await self.rows(tables.allocations)
        ]  # fmt: skip
        return documents, allocations

    def _position(self, row: Mapping[str, Any]) -> str:
        told = (row[n] for n in ("seq", "role", "planned_on", "net", "currency", "generation", "state", "reason"))
        return _line(self.names.of("crm", row["deal"]), *told)

    def _dirty(self, row: Mapping[str, Any]) -> str:
        waits = row["waits"] is not None
        return _line(row["side"], self.names.of(row["side"], row["ref"]), waits, row["reason"], row["refused"])

    def _conflict(self, row: Mapping[str, Any]) -> str:
        told = (row[n] for n in ("what", "rule", "title", "crm", "books", "state", "decision", "decided_by"))
        return _line(self.names.of(row["side"], row["ref"]), *told)

    def _decision(self, row: Mapping[str, Any]) -> str:
        told = (row[n] for n in ("rule", "verdict", "detail", "decided_by"))
        return _line(self.names.of(row["side"], row["ref"]), *told, row["lifted_at"] is not None)

    def _tally(self, row: Mapping[str, Any]) -> str:
        return _line(row["side"], self.names.of(row["side"], row["ref"]), row["rule"], row["what"])

    async def plans(self) -> list[str]:
        """Plans that stand, were carried out or are being, with their changes. One that its own repetition replaced
        before anybody saw it is not told."""
        standing = {row["id"]: row for row in await self.rows(tables.plans) if row["state"] in _STANDING}
        plans = [_line(row["state"], row["approved_by"]) for row in standing.values()]
        changes = [
            _line(row["flow"], row["side"], row["operation"], self.names.of(row["side"], row["ref"]), row["title"],
                  row["source_kind"], self.names.of(_source_side(row), row["source_ref"]), row["state"],
                  self.names.swapped(row["side"], _fields(row["fields"])))
            for row in await self.rows(tables.changes)
            if row["plan_id"] in standing
        ]  # fmt: skip
        return plans + changes

    async def runs(self) -> list[str]:
        told = []
        for row in await self.rows(tables.runs):
            result = msgspec.json.decode(row["result"]) if row["result"] is not None else {}
            told.append(_line(row["what"], row["requested_by"], row["state"], result.get("states", {})))
        return told

    async def trail(self) -> list[str]:
        """What was done and decided. That a plan was drawn may be told twice: it was. That somebody logged in anew is
        counted apart."""
        every = [each.entry async for page in audit.read(self.tx, self.bench.pair.id) for each in page]
        told = [self._entry(entry) for entry in every if entry.action != "account.connected"]
        drawn = [line for line in told if line.startswith("plan.proposed")]
        return [line for line in told if line not in drawn] + sorted(set(drawn))

    def _entry(self, entry: audit.Entry) -> str:
        said = {k: v for k, v in msgspec.to_builtins(entry).items() if k not in _OURS}
        said["detail"] = {k: v for k, v in entry.detail.items() if k not in _HOW}
        subject, source = self._record_name(entry.subject), self._record_name(entry.source or "")
        side = entry.subject.partition(":")[0]
        return _line(entry.action, self.names.swapped(side, {**said, "subject": subject, "source": source}))

    def _record_name(self, subject: str) -> str:
        """`books:customer:c1` by its name; a plan or a pair by nothing."""
        side, _, rest = subject.partition(":")
        kind, _, ref = rest.partition(":")
        return _line(side, kind, self.names.of(side, ref)) if ref else ""

    async def said(self) -> list[str]:
        """The messages that stand or are to be, each by its name and its newest words."""
        rows = [row for row in await self.rows(tables.outbox) if row["state"] != "superseded"]
        return sorted({_line(_kind_of(row["message"]), row["what"], row["state"]) for row in rows})

    async def renewals(self) -> list[str]:
        return [_line(row["connection_id"]) for row in await self.rows(tables.credentials) if row["renewing_until"]]


_STANDING = ("open", "applying", "applied")


def _source_side(row: Mapping[str, Any]) -> str:
    if row["source_kind"] == Kind.DEAL.value:
        return "crm"
    return "books" if row["side"] == "crm" else "crm"


def _fields(text: str) -> Any:
    return msgspec.json.decode(text)


def _made(provenance: str) -> str:
    return "made" if provenance in ("created", "adopted") else provenance


def _kind_of(message: str) -> str:
    return message.partition(":")[0]


async def ending(bench: Bench) -> Ending:
    """Look at everything. The audit chain is walked."""
    from tests.crash.vendor import Mortal

    writes = await bench.writes_made()
    async with bench.db.read() as tx:
        sections = await Reading(tx, bench).sections()
        broken = await audit.verify(tx, bench.pair.id)
    slack = bench.place.path("slack")
    if slack.exists():
        sections["slack"] = await messages(slack.read_text())
    login = Mortal.endpoint
    return Ending(
        sections={name: sorted(items) for name, items in sections.items()},
        broken=broken.reason if broken is not None else None,
        logins=login.account().logins if login is not None else 0,
        writes=writes,
    )
