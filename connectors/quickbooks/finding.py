"""Looking records up: by id, by what a query can compare, by our marker, by when they were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from connectors.canon.fields import folded
from connectors.canon.records import AnyRecord, CreditNote, Invoice, Kind
from connectors.kit.contract import BadRow
from connectors.kit.errors import Unsupported
from connectors.quickbooks import query as q
from connectors.quickbooks.api import Api
from connectors.quickbooks.feed import readable
from connectors.quickbooks.fitting import clean_name
from connectors.quickbooks.setup import Setup
from connectors.quickbooks.vendor import ENTITY, LENGTH, NAMES_IN_QUERY, READ_BY_ID, SYSTEM
from connectors.quickbooks.wire import Wire, part, ref, text

# What a query can compare, by kind and canonical path (docs, "filterable" of each entity).
_SEARCHED: dict[Kind, dict[str, tuple[str, ...]]] = {
    Kind.CUSTOMER: {
        "legal_name": ("CompanyName", "DisplayName"),
        "display_name": ("DisplayName",),
        "emails.general": ("PrimaryEmailAddr",),
    },
    Kind.ITEM: {"name": ("Name",), "sku": ("Sku",)},
    Kind.INVOICE: {"number": ("DocNumber",), "customer": ("CustomerRef",)},
    Kind.CREDIT_NOTE: {"number": ("DocNumber",), "customer": ("CustomerRef",)},
    Kind.PAYMENT: {"reference": ("PaymentRefNum",), "customer": ("CustomerRef",)},
}

# Documents whose number may be our marker, where the company lets others number them.
NUMBERED = frozenset({Kind.INVOICE, Kind.CREDIT_NOTE})

# Who shares one name space with customers (code 6240).
NAME_SPACE = ("Customer", "Vendor", "Employee")

# Properties that are objects on the wire: what is compared stands in them.
_INSIDE = {"PrimaryEmailAddr": "Address", "CustomerRef": "value"}


class Holder(msgspec.Struct, frozen=True):
    """Who has a name: Customer, Vendor, Employee or Item, and its id."""

    entity: str
    ref: str


class Finder:
    """Reads of one company that are no changes. Rows that cannot be read are left to the next poll to report."""

    def __init__(self, api: Api, setup: Setup) -> None:
        self._api = api
        self._setup = setup

    async def get(self, kind: Kind, refs: Sequence[str]) -> list[AnyRecord]:
        found: list[AnyRecord] = []
        for some in q.chunks(refs, READ_BY_ID):
            found += await self._read(kind, await self._api.all(ENTITY[kind], q.is_in("Id", some)))
        return found

    async def find(self, kind: Kind, path: str, values: Sequence[str]) -> dict[str, list[AnyRecord]]:
        """QuickBooks compares without regard to case, and so is its answer sorted."""
        fields = _SEARCHED.get(kind, {}).get(path)
        if fields is None:
            raise Unsupported(f"QuickBooks cannot search {kind} by {path}", system=SYSTEM, operation="find")
        found: dict[str, dict[str, AnyRecord]] = {value: {} for value in values}
        for field in fields:
            sought = {value: _sought(field, value) for value in values}
            for value, row in await self._rows(ENTITY[kind], field, sought):
                for record in await self._read(kind, [row]):
                    found[value][record.ref] = record
        return {value: list(records.values()) for value, records in found.items()}

    async def name_holders(self, names: Sequence[str]) -> dict[str, list[Holder]]:
        """Customers, vendors and employees, active or not."""
        found: dict[str, list[Holder]] = {name: [] for name in names}
        sought = {name: _sought("DisplayName", name) for name in names}
        for entity in NAME_SPACE:
            for name, row in await self._rows(entity, "DisplayName", sought):
                found[name].append(Holder(entity, str(row["Id"])))
        return found

    async def _rows(self, entity: str, field: str, sought: Mapping[str, str]) -> list[tuple[str, Wire]]:
        """(asked value, row) for each row whose field is what an asked value is looked for by."""
        listed = [wanted for wanted in sought.values() if q.is_plain(wanted)]
        conditions = [q.is_in(field, some) for some in q.chunks(listed, NAMES_IN_QUERY)]
        conditions += [q.like(field, wanted) for wanted in sought.values() if not q.is_plain(wanted)]
        found: dict[tuple[str, str], Wire] = {}
        for condition in conditions:
            for row in await self._api.all(entity, condition):
                held = _key(_held(row, field) or "")
                for value, wanted in sought.items():
                    if _key(wanted) == held:
                        found[value, str(row["Id"])] = row
        return [(value, row) for (value, _), row in found.items()]

    async def by_marker(self, kind: Kind, markers: Sequence[str]) -> dict[str, list[AnyRecord]]:
        """By document number, and by the marker in the note of what has that number."""
        found: dict[str, list[AnyRecord]] = {}
        short = [marker for marker in markers if len(marker) <= LENGTH["DocNumber"]]
        for some in q.chunks(short, NAMES_IN_QUERY):
            for record in await self._read(kind, await self._api.all(ENTITY[kind], q.is_in("DocNumber", some))):
                for marker in {record.marker, _number(record)} & set(some):
                    if marker is not None:
                        found.setdefault(marker, []).append(record)
        return found

    async def created_since(self, kind: Kind, mark: str, customers: Sequence[str]) -> list[AnyRecord]:
        """By CreateTime. It has whole seconds, and so has the mark; a single customer is asked for, several are
        sorted out here."""
        conditions = [f"MetaData.CreateTime >= '{mark}'"]
        wanted = frozenset(customers) if kind is not Kind.ITEM else frozenset()
        field = "Id" if kind is Kind.CUSTOMER else "CustomerRef"
        if len(wanted) == 1:
            conditions.append(q.is_in(field, list(wanted)))
        rows = await self._api.all(ENTITY[kind], *conditions)
        return await self._read(kind, (row for row in rows if not wanted or _held(row, field) in wanted))

    async def _read(self, kind: Kind, rows: Iterable[Wire]) -> list[AnyRecord]:
        reading = None
        made = []
        for row in rows:
            reading = reading if reading is not None else await self._setup.reading()
            record = readable(kind, row, reading)
            if record is not None and not isinstance(record, BadRow):
                made.append(record)
        return made


def _number(record: AnyRecord) -> str | None:
    number = record.number if isinstance(record, Invoice | CreditNote) else None
    return number if isinstance(number, str) else None


def _sought(field: str, value: str) -> str:
    """What a value is looked for by: a name as QuickBooks would have it."""
    return clean_name(value) if field in ("DisplayName", "Name") else value


def _held(row: Wire, field: str) -> str | None:
    if field in _INSIDE:
        return ref(row, field) if _INSIDE[field] == "value" else text(part(row, field), _INSIDE[field])
    return text(row, field)


def _key(value: str) -> str:
    return folded(q.plain(value))
