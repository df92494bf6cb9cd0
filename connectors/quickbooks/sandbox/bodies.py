"""What comes in: a body becomes a draft, or is refused for its properties, lengths, characters or numbers.

An absent or null member of a sparse update changes nothing; an empty text or object empties the field. A full
update empties whatever it does not name.
Source: https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/minor-versions
and the "sparse update" sections of the entity pages.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from connectors.quickbooks.sandbox import faults
from connectors.quickbooks.sandbox.schema import (
    COMMON,
    DERIVED,
    DETAIL_PROPERTIES,
    LINE_PROPERTIES,
    EntityFacts,
)

Body = dict[str, Any]
_OBJECTS = ("Ref", "Addr", "Phone", "LineDetail", "BillEmail", "CustomerMemo", "TxnTaxDetail")
_FORBIDDEN = (":", "\t", "\n")
_AMOUNTS = (
    "UnitPrice",
    "PurchaseCost",
    "CreditLimit",
    "TotalAmt",
    "ExchangeRate",
    "DiscountPercent",
    "Rate",
    "QtyOnHand",
)
_DATES = ("TxnDate", "DueDate", "ShipDate", "InvStartDate", "AsOfDate")


def decimal_of(value: Any, element: str) -> Decimal:
    """A number of a body, also if it came as text. Raises fault 2030."""
    if isinstance(value, bool):
        raise faults.invalid_number(element, value)
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise faults.invalid_number(element, value) from error
    if not number.is_finite():
        raise faults.invalid_number(element, value)
    return number


def money_of(value: Any, element: str) -> Decimal:
    """An amount, rounded half up at two places."""
    return decimal_of(value, element).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def day_of(value: Any, element: str) -> str:
    """A date as text. Raises fault 2010 (the vendor's answer to a date it cannot parse)."""
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError as error:
        raise faults.unsupported_property(element) from error


def check(facts: EntityFacts, body: Body) -> None:
    """Raises the fault for the first thing that is wrong with a body's form."""
    for name in body:
        if name not in facts.properties and name not in COMMON:
            raise faults.unsupported_property(name)
    _check_objects(body)
    for line in body.get("Line") or ():
        _check_line(line)
    for path, limit in facts.lengths.items():
        _check_length(body, path, limit)
    for name in facts.clean_names:
        if any(char in str(body.get(name) or "") for char in _FORBIDDEN):
            raise faults.invalid_character(name)
    _check_email(body)


def _check_objects(value: Any) -> None:
    """A reference, address, phone, e-mail or line detail is an object, never a plain text."""
    if isinstance(value, list):
        for each in value:
            _check_objects(each)
    if not isinstance(value, dict):
        return
    for name, member in value.items():
        if name.endswith(_OBJECTS) and not isinstance(member, dict) and member != "":
            raise faults.unsupported_property(name)
        _check_objects(member)


def _check_line(line: Any) -> None:
    if not isinstance(line, dict):
        raise faults.unsupported_property("Line")
    for name, value in line.items():
        if name not in LINE_PROPERTIES:
            raise faults.unsupported_property(name)
        for member in value if name in DETAIL_PROPERTIES and isinstance(value, dict) else ():
            if member not in DETAIL_PROPERTIES[name]:
                raise faults.unsupported_property(member)
    if len(str(line.get("Description") or "")) > 4000:
        raise faults.too_long("Description", 4000)


def _check_length(body: Body, path: str, limit: int) -> None:
    head, _, member = path.partition(".")
    value = body.get(head)
    if member:
        value = value.get(member) if isinstance(value, dict) else None
    if isinstance(value, str) and len(value) > limit:
        raise faults.too_long(member or head, limit)


def _check_email(body: Body) -> None:
    for name in ("PrimaryEmailAddr", "BillEmail"):
        holder = body.get(name)
        text = holder.get("Address") if isinstance(holder, dict) else None
        for address in str(text or "").split(","):
            if text and ("@" not in address or "." not in address):
                raise faults.invalid_email()


def without_nulls(value: Any) -> Any:
    """A null member is as good as none."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value


def is_empty(value: Any) -> bool:
    """What empties a field: an empty text, or an object with nothing in it."""
    if isinstance(value, dict):
        return all(is_empty(member) for member in value.values())
    return bool(value == "")


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(member) for key, member in value.items() if not is_empty(member)}
    return value


def draft(facts: EntityFacts, body: Body, existing: Body | None) -> Body:
    """What the record would hold: the body over the existing row if it is sparse, the body alone if not."""
    given = without_nulls(body)
    check(facts, given)
    sparse = str(given.get("sparse", "")).lower() == "true"
    merged = dict(existing) if existing is not None and sparse else {}
    for name, value in given.items():
        if is_empty(value) and not isinstance(value, list):
            merged.pop(name, None)
        else:
            merged[name] = _pruned(value)
    for name in DERIVED - {"TotalAmt"}:
        merged.pop(name, None)
    _numbers_and_days(merged)
    return merged


def _numbers_and_days(merged: Body) -> None:
    for name in _AMOUNTS:
        if name in merged:
            merged[name] = decimal_of(merged[name], name)
    for name in _DATES:
        if name in merged:
            merged[name] = day_of(merged[name], name)
