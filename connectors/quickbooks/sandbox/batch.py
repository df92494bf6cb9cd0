"""Batches: up to 30 operations, one after the other, each with its own yes or no; the answer is always 200.

https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/batch
"""

from __future__ import annotations

from typing import Any

from connectors.quickbooks.sandbox import faults, operations, reading
from connectors.quickbooks.sandbox.company import Company
from connectors.quickbooks.sandbox.faults import QuickBooksFault
from connectors.quickbooks.sandbox.schema import BY_PATH

_FRAME = {"bId", "operation", "optionsData", "Query", "CDCQuery"}


def run(company: Company, body: Any, *, limit: int = 30) -> dict[str, Any]:
    """The BatchItemResponse. Raises a fault only if the batch as a whole cannot be read."""
    items = body.get("BatchItemRequest") if isinstance(body, dict) else None
    if not isinstance(items, list) or not items:
        raise faults.missing("BatchItemRequest")
    if len(items) > limit:
        raise faults.business(f"The batch has {len(items)} items; the maximum is {limit}.", "BatchItemRequest")
    company.fresh.clear()
    try:
        return {"BatchItemResponse": [_answered(company, item) for item in items]}
    finally:
        company.fresh.clear()


def _answered(company: Company, item: dict[str, Any]) -> dict[str, Any]:
    mark = {"bId": item["bId"]} if "bId" in item else {}
    try:
        return {**_run_one(company, item), **mark}
    except QuickBooksFault as fault:
        return {**fault.body(), **mark}


def _run_one(company: Company, item: dict[str, Any]) -> dict[str, Any]:
    if "Query" in item:
        return {"QueryResponse": reading.query(company, str(item["Query"]))}
    named = [name for name in item if name not in _FRAME]
    entity = BY_PATH.get(named[0].lower()) if named else None
    if entity is None:
        raise faults.unsupported_property(named[0] if named else "BatchItemRequest")
    body, operation = item[named[0]], str(item.get("operation"))
    if operation == "delete":
        return {entity: operations.delete(company, entity, body)}
    if operation == "void" or (operation == "update" and item.get("optionsData") == "void"):
        return {entity: operations.void(company, entity, body)}
    if operation == "create" and "Id" not in body:
        made = operations.write(company, entity, body)
        company.fresh.add((entity, made["Id"]))
        return {entity: made}
    if operation == "update" and "Id" in body:
        return {entity: operations.write(company, entity, body)}
    raise faults.unsupported_operation(operation)
