"""Who has a name that QuickBooks refused as taken (code 6240)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from connectors.canon.fields import Value
from connectors.canon.records import Customer, Item, Kind
from connectors.kit.contract import Create, Denied, Outcome, Update, Write
from connectors.kit.errors import ConnectorError
from connectors.quickbooks.faults import DUPLICATE_NAME
from connectors.quickbooks.finding import Finder, Holder

_CALLED = {"Vendor": "a vendor", "Employee": "an employee"}


async def with_holders(finder: Finder, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes, with `existing` filled in where a customer or item has the name, and a reason that says so
    where a vendor or an employee has it. If nobody can be asked, the outcomes stand as they are."""
    names = {n: name for n, each in enumerate(outcomes) if _is_taken(each) and (name := _name(writes[n])) is not None}
    if not names:
        return list(outcomes)
    try:
        held = await _holders(finder, writes, names)
    except ConnectorError:
        return list(outcomes)
    return [_told(each, held.get(names[n], [])) if n in names else each for n, each in enumerate(outcomes)]


def _is_taken(outcome: Outcome) -> bool:
    return isinstance(outcome, Denied) and outcome.code == DUPLICATE_NAME


def _name(write: Write) -> str | None:
    """The name that a write asked for."""
    asked: list[Value]
    match write:
        case Create(record=Customer() as customer):
            asked = [customer.display_name, customer.legal_name]
        case Create(record=Item() as item):
            asked = [item.name]
        case Update():
            asked = [write.after.get("display_name"), write.after.get("name")]
        case _:
            asked = []
    return next((each for each in asked if isinstance(each, str)), None)


def _is_item(write: Write) -> bool:
    match write:
        case Create():
            return isinstance(write.record, Item)
    return write.kind is Kind.ITEM


async def _holders(finder: Finder, writes: Sequence[Write], names: Mapping[int, str]) -> dict[str, list[Holder]]:
    asked = list(names.values())
    if not _is_item(writes[0]):
        return await finder.name_holders(asked)
    found = await finder.find(Kind.ITEM, "name", asked)
    return {name: [Holder("Item", record.ref) for record in records] for name, records in found.items()}


def _told(outcome: Outcome, holders: Sequence[Holder]) -> Outcome:
    if not isinstance(outcome, Denied) or not holders:
        return outcome
    ours = [each for each in holders if each.entity in ("Customer", "Item")]
    if len(ours) == 1:
        return msgspec.structs.replace(outcome, existing=ours[0].ref)
    who = " and ".join(sorted({_CALLED[each.entity] for each in holders if each.entity in _CALLED}))
    if not who:
        return outcome
    reason = f"The name is taken by {who} in QuickBooks; customers, vendors and employees share one list of names."
    return msgspec.structs.replace(outcome, reason=reason)
