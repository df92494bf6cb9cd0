"""One company's records: rows by entity and id, their indexes, versions and times, and what happened to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

import msgspec

from connectors.quickbooks.sandbox import faults
from connectors.quickbooks.sandbox.applications import Applications
from connectors.quickbooks.sandbox.ledger import Ledger
from connectors.quickbooks.sandbox.schema import ENTITIES, NAME_FIELD, PEOPLE, TRANSACTIONS

Row = dict[str, Any]
What = Literal["created", "updated", "deleted", "voided", "emailed"]


class Clock(Protocol):
    """All the sandbox asks of a clock."""

    def now(self) -> datetime: ...


class Change(msgspec.Struct, frozen=True):
    """Something happened to a record: what webhooks tell."""

    entity: str
    id: str
    what: What
    at: datetime


class Settings(msgspec.Struct, kw_only=True):
    """What a person sets under Account and settings. `automated_tax` is Automated Sales Tax; `sales_tax_code` the
    tax code of the company's own rate; `books_closed` the closing date (None: open)."""

    name: str = "Sandbox Company"
    country: str = "US"
    home_currency: str = "USD"
    time_zone: str = "America/Los_Angeles"
    fiscal_year_start_month: int = 1
    multi_currency: bool = False
    custom_numbers: bool = False
    warn_duplicate_numbers: bool = True
    allow_discount: bool = True
    allow_shipping: bool = False
    allow_deposit: bool = False
    using_sales_tax: bool = True
    automated_tax: bool = False
    sales_tax_code: str | None = None
    default_terms: str | None = None
    books_closed: date | None = None
    first_number: int = 1001
    mails_a_day: int = 40


def cents(value: Decimal) -> Decimal:
    """Rounded half up at two places, as the vendor rounds money."""
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


class Company:
    """The store of one realm. Rows are the wire objects themselves, always up to date, so that a read is a look-up.

    `changed(change)` is called after each change. `fresh` holds what the running batch has made: within a batch
    nothing can refer to it."""

    def __init__(self, realm: str, clock: Clock, settings: Settings | None = None) -> None:
        self.realm = realm
        self.clock = clock
        self.settings = settings if settings is not None else Settings()
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in ENTITIES}
        self.gone: dict[str, dict[str, datetime]] = {name: {} for name in ENTITIES}
        self.ledger = Ledger()
        self.applications = Applications()
        self.open: dict[str, Decimal] = {}
        self.rates: dict[str, list[tuple[date, Decimal]]] = {}
        self.secrets: dict[tuple[str, str], dict[str, str]] = {}
        self.fresh: set[tuple[str, str]] = set()
        self.before: tuple[str, str, Row | None] | None = None
        self.mails: list[date] = []
        self.watchers: list[Callable[[Change], None]] = []
        self._ids: dict[str, int] = {}
        self._names: dict[tuple[str, str], tuple[str, str]] = {}
        self._numbers: dict[tuple[str, str], dict[str, None]] = {}
        self._by_customer: dict[tuple[str, str], dict[str, None]] = {}
        self._touched: dict[str, dict[str, datetime]] = {name: {} for name in ENTITIES}

    # ----------------------------------------------------------------- time

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.time_zone)

    def now(self) -> datetime:
        return self.clock.now().astimezone(self.zone)

    def today(self) -> date:
        return self.now().date()

    def stamp(self) -> str:
        """An answer's `time`, with milliseconds and the company's offset."""
        return self.now().isoformat(timespec="milliseconds")

    # ----------------------------------------------------------------- reading

    def find(self, entity: str, id: str) -> Row | None:
        """A row, unless the running batch has made it."""
        return None if (entity, id) in self.fresh else self.rows[entity].get(id)

    def read(self, entity: str, id: str) -> Row:
        """A row. Raises fault 610 if there is none."""
        row = self.find(entity, id)
        if row is None:
            raise faults.not_found()
        return row

    def refer(self, entity: str, ref: Any, element: str) -> Row:
        """The row a reference names. Raises fault 2500 if there is none, 610 if it is inactive."""
        id = ref.get("value") if isinstance(ref, dict) else None
        row = self.find(entity, str(id))
        if row is None:
            raise faults.invalid_reference(element, str(id))
        if row.get("Active", True) is False:
            raise faults.not_found()
        return row

    def named(self, entity: str, name: str) -> Row | None:
        """The row of a name list with this name, active or not."""
        owner = self._names.get((_namespace(entity), name.casefold()))
        return None if owner is None or owner[0] != entity else self.rows[entity][owner[1]]

    def of_customer(self, entity: str, customer: str) -> Iterator[Row]:
        for id in self._by_customer.get((entity, customer), {}):
            yield self.rows[entity][id]

    def numbered(self, entity: str, number: str) -> list[Row]:
        return [self.rows[entity][id] for id in self._numbers.get((entity, number), {})]

    def touched_since(self, entity: str, since: datetime) -> Iterator[Row]:
        """Rows whose LastUpdatedTime is at or after `since`, newest first."""
        touched, rows = self._touched[entity], self.rows[entity]
        for id in reversed(touched):
            if touched[id] < since:
                return
            yield rows[id]

    def rate_on(self, currency: str, day: date) -> Decimal:
        """Home units for one foreign unit: the newest rate on or before the day, else 1 (the vendor's default)."""
        if currency == self.settings.home_currency:
            return Decimal(1)
        known = [rate for on, rate in self.rates.get(currency, []) if on <= day]
        return known[-1] if known else Decimal(1)

    # ----------------------------------------------------------------- writing

    def next_id(self, entity: str) -> str:
        """Transactions share one sequence, and so do customers, vendors and employees."""
        family = "transaction" if entity in TRANSACTIONS else "people" if entity in PEOPLE else entity
        self._ids[family] = self._ids.get(family, 0) + 1
        return str(self._ids[family])

    def claim_name(self, entity: str, name: str, id: str | None) -> None:
        """Raises fault 6240 if another row of the namespace, inactive ones included, has the name."""
        owner = self._names.get((_namespace(entity), name.casefold()))
        if owner is not None and owner != (entity, id):
            what = "customer, vendor or employee" if entity in PEOPLE else entity.lower()
            raise faults.duplicate_name(what)

    def save(self, entity: str, row: Row, *, id: str | None = None, what: What | None = None) -> Row:
        """Store a new row, or the next version of one: version, times and indexes are kept here."""
        old = self.rows[entity].get(id) if id is not None else None
        at = self._second()
        new_id = id if id is not None else self.next_id(entity)
        created = old["MetaData"]["CreateTime"] if old is not None else at.isoformat()
        token = str(int(old["SyncToken"]) + 1) if old is not None else "0"
        head = {"Id": new_id, "SyncToken": token, "domain": "QBO", "sparse": False}
        times = {"MetaData": {"CreateTime": created, "LastUpdatedTime": at.isoformat()}}
        stored = {**row, **head, **times}
        self._unindex(entity, old)
        self.rows[entity][new_id] = stored
        self._index(entity, stored)
        self.before = (entity, new_id, old)
        self._announce(entity, new_id, what or ("updated" if old is not None else "created"), at)
        return stored

    def touch(self, entity: str, row: Row, **changes: Any) -> Row:
        """Change what the company derives (a balance): the time moves on, the version does not."""
        at = self._second()
        stored = {**row, **changes}
        stored["MetaData"] = {**row["MetaData"], "LastUpdatedTime": at.isoformat()}
        self.rows[entity][row["Id"]] = stored
        self._note_time(entity, row["Id"], at)
        self._announce(entity, row["Id"], "updated", at)
        return stored

    def remove(self, entity: str, id: str) -> None:
        row = self.rows[entity][id]
        self._unindex(entity, row)
        self.before = (entity, id, row)
        del self.rows[entity][id]
        self._touched[entity].pop(id, None)
        at = self._second()
        self.gone[entity][id] = at
        self._announce(entity, id, "deleted", at)

    def set_open(self, txn: str, customer: str, value: Decimal) -> None:
        """What a transaction adds to its customer's balance. No event and no new time for the customer."""
        change = value - self.open.get(txn, Decimal(0))
        self.open[txn] = value
        if change == 0:
            return
        row = self.rows["Customer"].get(customer)
        if row is None:
            return
        row["Balance"] = row["Balance"] + change
        while row is not None:
            row["BalanceWithJobs"] = row["BalanceWithJobs"] + change
            row = self.rows["Customer"].get(row.get("ParentRef", {}).get("value", ""))

    def rebook(self, entity: str, id: str, postings: Iterable[Any]) -> None:
        """Replace a transaction's postings, and the balances of the accounts they touch."""
        for account, balance in self.ledger.book(entity, id, postings).items():
            row = self.rows["Account"][account]
            sign = {"Asset": 1, "Liability": -1, "Equity": -1}.get(row["Classification"], 0)
            row["CurrentBalance"] = row["CurrentBalanceWithSubAccounts"] = sign * balance

    # ----------------------------------------------------------------- inside

    def _second(self) -> datetime:
        """MetaData has whole seconds."""
        return self.now().replace(microsecond=0)

    def _note_time(self, entity: str, id: str, at: datetime) -> None:
        self._touched[entity].pop(id, None)
        self._touched[entity][id] = at

    def _announce(self, entity: str, id: str, what: What, at: datetime) -> None:
        change = Change(entity, id, what, at)
        for watcher in self.watchers:
            watcher(change)

    def _index(self, entity: str, row: Row) -> None:
        id = row["Id"]
        self._note_time(entity, id, datetime.fromisoformat(row["MetaData"]["LastUpdatedTime"]))
        if (name := _name(entity, row)) is not None:
            self._names[_namespace(entity), name.casefold()] = (entity, id)
        if "DocNumber" in row:
            self._numbers.setdefault((entity, row["DocNumber"]), {})[id] = None
        if "CustomerRef" in row:
            self._by_customer.setdefault((entity, row["CustomerRef"]["value"]), {})[id] = None

    def _unindex(self, entity: str, row: Row | None) -> None:
        if row is None:
            return
        if (name := _name(entity, row)) is not None:
            self._names.pop((_namespace(entity), name.casefold()), None)
        if "DocNumber" in row:
            self._numbers[entity, row["DocNumber"]].pop(row["Id"], None)
        if "CustomerRef" in row:
            self._by_customer[entity, row["CustomerRef"]["value"]].pop(row["Id"], None)


def _namespace(entity: str) -> str:
    return "people" if entity in PEOPLE else entity


def _name(entity: str, row: Row) -> str | None:
    """The unique name of a row of a name list; None for what needs none."""
    if ENTITIES[entity].shape != "name":
        return None
    name: str | None = row.get(NAME_FIELD.get(entity, "Name"))
    return name
