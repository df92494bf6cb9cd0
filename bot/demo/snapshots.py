"""What a sandbox holds, seen from outside and brought to the words of a plan, so that what a plan said can be held
against what happened. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

Row: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, str]  # kind, ref
Deed: TypeAlias = tuple[str, str, str, str]  # side, kind, operation, and the ref (created: name, or total)

MARKED = re.compile(r"\[tieout ([A-Za-z0-9_.-]+)\]")
ADDRESS = "addresses.billing"
_BACK = ("invoice_status", "amount_paid", "balance_due", "settled_on")


class Snapshot(msgspec.Struct, frozen=True):
    """One side's records: (kind, ref) -> path -> value."""

    side: str
    records: dict[Key, dict[str, Any]]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {ref: record for (found, ref), record in self.records.items() if found == kind}


class Calls(msgspec.Struct, frozen=True):
    """How many calls a sandbox answered, and how many of them asked it to write."""

    made: int = 0
    writes: int = 0

    def since(self, earlier: Calls) -> Calls:
        return Calls(self.made - earlier.made, self.writes - earlier.writes)

    def __add__(self, other: Calls) -> Calls:
        return Calls(self.made + other.made, self.writes + other.writes)


# --------------------------------------------------------------------------- QuickBooks


def quickbooks(state: Row) -> Snapshot:
    """From `GET /_sandbox/state` of the QuickBooks sandbox."""
    entities: Mapping[str, Sequence[Row]] = state["entities"]
    records: dict[Key, dict[str, Any]] = {}
    for row in entities.get("Customer", ()):
        records["customer", str(row["Id"])] = _customer(row)
    for row in entities.get("Item", ()):
        records["item", str(row["Id"])] = _item(row)
    for row in entities.get("Invoice", ()):
        records["invoice", str(row["Id"])] = _invoice(row)
    for row in entities.get("Payment", ()):
        records["payment", str(row["Id"])] = {"total": Decimal(str(row["TotalAmt"]))}
    return Snapshot("books", records)


def _customer(row: Row) -> dict[str, Any]:
    place = row.get("BillAddr", {})
    return {
        "legal_name": row.get("CompanyName") or row["DisplayName"],
        "display_name": row["DisplayName"],
        "phone": row.get("PrimaryPhone", {}).get("FreeFormNumber"),
        "emails.general": row.get("PrimaryEmailAddr", {}).get("Address"),
        ADDRESS: tuple(place.get(part) or "" for part in ("Line1", "City", "CountrySubDivisionCode", "PostalCode")),
        "notes": row.get("Notes"),
        "active": row["Active"],
    }


def _item(row: Row) -> dict[str, Any]:
    return {
        "name": row["Name"],
        "sku": row.get("Sku"),
        "price": Decimal(str(row["UnitPrice"])),
        "description": row.get("Description"),
    }


def _invoice(row: Row) -> dict[str, Any]:
    total = Decimal(str(row["TotalAmt"]))
    note = MARKED.search(row.get("PrivateNote") or "")
    return {
        "customer": str(row["CustomerRef"]["value"]),
        "date": date.fromisoformat(row["TxnDate"]),
        "number": row.get("DocNumber", ""),
        "total": total,
        "net": total - Decimal(str(row.get("TxnTaxDetail", {}).get("TotalTax", 0))),
        "marker": note[1] if note is not None else None,
        "due": row.get("DueDate"),
        "void": total == 0,
    }


def quickbooks_writes(by_path: Mapping[str, int]) -> int:
    """Calls that asked QuickBooks to write, from the sandbox's own count by path."""
    return sum(n for path, n in by_path.items() if path.startswith("POST /v3/") and not path.endswith("/query"))


# --------------------------------------------------------------------------- HubSpot


def hubspot(state: Row) -> Snapshot:
    """From `GET /_sandbox/state` of the HubSpot sandbox; what is archived is not there."""
    kinds = {
        "companies": ("customer", _company),
        "products": ("item", _product),
        "deals": ("deal", _deal),
        "contacts": ("contact", _only_its_id),
        "line_items": ("line", _only_its_id),
    }
    records: dict[Key, dict[str, Any]] = {}
    for name, (kind, read) in kinds.items():
        for row in state.get(name, ()):
            if row["archivedAt"] is None:
                records[kind, str(row["id"])] = read(row)
    return Snapshot("crm", records)


def _only_its_id(row: Row) -> dict[str, Any]:
    return {"name": str(row["id"])}


def _company(row: Row) -> dict[str, Any]:
    held = row["properties"]
    return {
        "legal_name": held.get("name"),
        "phone": held.get("phone"),
        "properties.billing_email": held.get("billing_email"),
        ADDRESS: tuple(held.get(part) or "" for part in ("address", "city", "state", "zip")),
        "marker": held.get("tieout_marker"),
    }


def _product(row: Row) -> dict[str, Any]:
    held = row["properties"]
    price = held.get("price")
    return {
        "name": held.get("name"),
        "sku": held.get("hs_sku"),
        "price": Decimal(price) if price is not None else None,
        "description": held.get("description"),
    }


def _deal(row: Row) -> dict[str, Any]:
    held = row["properties"]
    companies = row["associations"].get("companies", ())
    return {
        "name": held.get("dealname"),
        "amount": Decimal(held["amount"]) if held.get("amount") else None,
        "stage": held.get("dealstage"),
        "won": held.get("hs_is_closed_won") == "true",
        "on": held.get("closedate"),
        "customer": str(companies[0]["id"]) if companies else None,
        **{f"properties.{name}": held.get(name) for name in _BACK},
    }


def hubspot_writes(by_path: Mapping[str, int]) -> int:
    """Calls that asked HubSpot to write a record, from the sandbox's own count by path."""
    return sum(n for path, n in by_path.items() if _writes_to_hubspot(path))


def _writes_to_hubspot(path: str) -> bool:
    method, _, where = path.partition(" ")
    if "/objects/" not in where and "/associations/" not in where:
        return False
    if method == "POST":
        return not where.endswith(("/search", "/batch/read"))
    return method in ("PATCH", "PUT", "DELETE")


# --------------------------------------------------------------------------- what happened in between


def deeds(before: Snapshot, after: Snapshot) -> Counter[Deed]:
    """What was made and changed on a side between two looks."""
    found: Counter[Deed] = Counter()
    for (kind, ref), record in after.records.items():
        known = before.records.get((kind, ref))
        if known is None:
            found[after.side, kind, "create", made_as(kind, record)] += 1
        elif known != record:
            found[after.side, kind, "update", ref] += 1
    for kind, ref in before.records.keys() - after.records.keys():
        found[after.side, kind, "delete", ref] += 1
    return found


def made_as(kind: str, record: Row) -> str:
    """What a new record is known by to somebody who only sees its outside."""
    if kind in ("invoice", "payment"):
        return f"{record['total']:.2f}"
    return str(record.get("legal_name") or record.get("name"))
