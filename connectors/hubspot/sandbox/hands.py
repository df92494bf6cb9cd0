"""What a person does in HubSpot by hand, for tests, demonstrations and seeds: no API limits, no index of its own,
and dates may be set."""

from __future__ import annotations

import abc
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from connectors.hubspot.sandbox.calls import object_type
from connectors.hubspot.sandbox.catalogue import OBJECT_TYPES, Account, Option, Property
from connectors.hubspot.sandbox.index import Record
from connectors.hubspot.sandbox.links import DEFAULT_TYPES, Tie
from connectors.hubspot.sandbox.portal import PERSON, Portal
from connectors.hubspot.sandbox.values import iso

SEED_ORDER = ("companies", "contacts", "products", "deals", "line_items")
REFERENCES = {"company": "companies", "contact": "contacts", "deal": "deals", "product": "products"}
PRIMARY = {("contacts", "companies"): 1, ("deals", "companies"): 5}


class Hands(abc.ABC):
    """Everything that a person can do to the records of `portal`. Ids are text, as the API gives them; values are
    given as Python has them, and None leaves a property out."""

    portal: Portal

    @abc.abstractmethod
    def set_account(self, account: Account) -> None:
        """Set the portal up anew."""

    # adding -------------------------------------------------------------------------------------

    def add(self, object: str, properties: Mapping[str, Any], ties: Mapping[str, Sequence[str]] | None = None) -> str:
        """Add a record and tie it: `ties` is object -> ids. The first company tied is the primary one."""
        kind = object_type(object)
        sent = {name: _sendable(value) for name, value in properties.items() if value is not None}
        record = self.portal.commit(self.portal.draft_create(kind, sent, person=True), PERSON)
        for target, ids in (ties or {}).items():
            for target_id in ids:
                self.tie(kind.name, str(record.id), target, target_id)
        return str(record.id)

    def add_company(self, name: str | None = None, **properties: Any) -> str:
        """A company, by name or by `domain=`."""
        return self.add("companies", {"name": name, **properties})

    def add_contact(self, email: str | None = None, *, company: str | None = None, **properties: Any) -> str:
        """A contact; `company` becomes its primary company."""
        return self.add("contacts", {"email": email, **properties}, _ties(companies=company))

    def add_product(self, name: str, price: Any = None, **properties: Any) -> str:
        """A product of the library."""
        return self.add("products", {"name": name, "price": price, **properties})

    def add_deal(
        self,
        dealname: str,
        amount: Any = None,
        *,
        company: str | None = None,
        contact: str | None = None,
        lines: Iterable[Mapping[str, Any]] = (),
        **properties: Any,
    ) -> str:
        """A deal with its lines; without `dealstage` in the first stage of the pipeline."""
        pipelines = self.portal.account.pipelines
        chosen = self.portal.account.pipeline(str(properties.get("pipeline", pipelines[0].id))) or pipelines[0]
        stage = {"pipeline": chosen.id, "dealstage": chosen.stages[0].id}
        ties = _ties(companies=company, contacts=contact)
        deal_id = self.add("deals", {**stage, "dealname": dealname, "amount": amount, **properties}, ties)
        for line in lines:
            self.add_line(deal_id, **line)
        return deal_id

    def add_line(self, deal: str, *, product: str | None = None, **properties: Any) -> str:
        """A line item of a deal; a product's values are copied once."""
        return self.add("line_items", {"hs_product_id": product, **properties}, {"deals": [deal]})

    def add_property(self, object: str, name: str, type: str = "string", **more: Any) -> None:
        """A custom property: `label`, `field_type`, `options` (values), `unique`."""
        kind = object_type(object)
        field_type = {"string": "text", "enumeration": "select", "bool": "booleancheckbox"}.get(type, "date")
        self.portal.tables[kind.name].catalogue[name] = Property(
            name=name,
            label=more.get("label", name),
            type=type,
            field_type=more.get("field_type", "number" if type == "number" else field_type),
            group=kind.group,
            options=tuple(Option(label=value, value=value) for value in more.get("options", ())),
            unique=more.get("unique", False),
            created_at=iso(self.portal.now_ms()),
            updated_at=iso(self.portal.now_ms()),
        )

    # changing -----------------------------------------------------------------------------------

    def edit(self, object: str, id: str, **properties: Any) -> None:
        """Edit a record in HubSpot's own pages; None or "" clears. Raises KeyError if it is not there."""
        kind = object_type(object)
        sent = {name: "" if value is None else _sendable(value) for name, value in properties.items()}
        draft = self.portal.draft_update(kind, self.record(object, id), sent, person=True)
        self.portal.commit(draft, PERSON)

    def archive(self, object: str, id: str) -> None:
        """Delete a record into the recycle bin."""
        self.portal.archive(object_type(object), int(id), PERSON)

    def restore(self, object: str, id: str) -> None:
        """Take a record out of the recycle bin."""
        self.portal.restore(object_type(object), int(id), PERSON)

    def merge(self, object: str, primary: str, other: str) -> str:
        """Merge two records; returns the survivor's new id."""
        return str(self.portal.merge(object_type(object), int(primary), int(other), PERSON).id)

    def erase(self, contact: str) -> None:
        """Delete a contact for good, as data protection asks."""
        self.portal.erase(OBJECT_TYPES["contacts"], int(contact), PERSON)

    def tie(self, object: str, id: str, target: str, target_id: str, *types: int) -> None:
        """Associate two records. Without types, as HubSpot's pages do: the first company is the primary one."""
        source, end = object_type(object).name, object_type(target).name
        pair = (source, end)
        first = pair in PRIMARY and self.portal.links.primary(source, int(id), end) is None
        chosen = types or ((PRIMARY[pair],) if first else (DEFAULT_TYPES[pair],))
        self.portal.tie(Tie(source, int(id), end, int(target_id)), chosen, PERSON)

    def untie(self, object: str, id: str, target: str, target_id: str) -> None:
        """Take all associations between two records away."""
        tie = Tie(object_type(object).name, int(id), object_type(target).name, int(target_id))
        self.portal.untie(tie, PERSON)

    # looking ------------------------------------------------------------------------------------

    def record(self, object: str, id: str) -> Record:
        """A live record. Raises KeyError."""
        record = self.portal.tables[object_type(object).name].find(int(id))
        if record is None:
            raise KeyError(f"{object} {id} is not there")
        return record

    def properties(self, object: str, id: str) -> dict[str, str]:
        """All values of a live record, calculated ones too. Raises KeyError."""
        return dict(self.record(object, id).properties)

    def ids(self, object: str) -> list[str]:
        """The live records of an object type."""
        return [str(i) for i in self.portal.tables[object_type(object).name].live]

    # many at once -------------------------------------------------------------------------------

    def populate(self, n_contacts: int) -> None:
        """Add so many contacts at once, a second apart, the last one a second ago; search sees them at once."""
        table = self.portal.tables["contacts"]
        first, now_ms = table.next_id, self.portal.now_ms()
        start_ms = now_ms - n_contacts * 1000
        table.fill(_contact(first + n, n, iso(start_ms + n * 1000)) for n in range(n_contacts))

    def load_folder(self, folder: Path) -> None:
        """Read a folder of seeds: `account.json`, `properties.json`, and for each object `<object>.csv` or `.json`
        (a list). A row's columns are property names, and `id` (its name for other rows), `company`, `contact`,
        `deal`, `product` (another row's `id`, or its name, or e-mail). Raises ValueError with file and row."""
        if (folder / "account.json").exists():
            self.set_account(msgspec.json.decode((folder / "account.json").read_bytes(), type=Account))
        for row in _rows(folder, "properties"):
            self.add_property(**row)
        known: dict[tuple[str, str], str] = {}
        for name in SEED_ORDER:
            for number, row in enumerate(_rows(folder, name), 1):
                try:
                    self._load_row(name, row, known)
                except Exception as wrong:
                    raise ValueError(f"{folder / name}, row {number}: {wrong}") from wrong

    def _load_row(self, name: str, row: Mapping[str, Any], known: dict[tuple[str, str], str]) -> None:
        properties = {k: v for k, v in row.items() if k not in {*REFERENCES, "id"} and v not in {None, ""}}
        references = {k: str(row[k]) for k in REFERENCES if row.get(k) not in {None, ""}}
        found = {k: known[REFERENCES[k], value] for k, value in references.items()}
        if name == "line_items":
            made = self.add_line(found["deal"], product=found.get("product"), **properties)
        elif name == "deals":
            made = self.add_deal(company=found.get("company"), contact=found.get("contact"), **properties)
        else:
            made = self.add(name, properties, {REFERENCES[k]: [i] for k, i in found.items()})
        for key in (row.get("id"), row.get("name"), row.get("dealname"), row.get("email")):
            if key not in {None, ""}:
                known.setdefault((name, str(key)), made)


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    as_json, as_csv = folder / f"{name}.json", folder / f"{name}.csv"
    if as_json.exists():
        return msgspec.json.decode(as_json.read_bytes(), type=list[dict[str, Any]])
    if not as_csv.exists():
        return []
    with as_csv.open(encoding="utf-8-sig", newline="") as stream:
        return [dict(row) for row in csv.DictReader(stream)]


def _ties(**ends: str | None) -> dict[str, list[str]]:
    return {target: [end] for target, end in ends.items() if end is not None}


def _sendable(value: Any) -> Any:
    """Decimals, dates and times as text; the rest as JSON has it."""
    return value if isinstance(value, bool | int | float | str) else str(value)


def _contact(record_id: int, number: int, at: str) -> Record:
    return Record(
        record_id,
        {
            "email": f"person-{number}@example.com",
            "firstname": f"Given {number}",
            "lastname": f"Family {number}",
            "phone": f"+1 555 {number:07}",
            "createdate": at,
            "lastmodifieddate": at,
            "hs_object_id": str(record_id),
        },
    )
