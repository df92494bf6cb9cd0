"""Webhook calls: the older shape and CloudEvents, both signed alike.

Source: https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from connectors.kit.contract import Event
from connectors.quickbooks.vendor import KIND
from connectors.quickbooks.wire import Wire, instant, part, parts, text

What = Literal["created", "updated", "deleted", "merged", "voided"]

SIGNATURE_HEADER = "intuit-signature"

# An e-mailed document changed its EmailStatus: an update like any other.
_WHAT: dict[str, What] = {
    "create": "created",
    "created": "created",
    "update": "updated",
    "updated": "updated",
    "emailed": "updated",
    "delete": "deleted",
    "deleted": "deleted",
    "merge": "merged",
    "merged": "merged",
    "void": "voided",
    "voided": "voided",
}
_ENTITY = {entity.casefold(): kind for entity, kind in KIND.items()}


def events_in(body: bytes) -> list[Event]:
    """The events about kinds that we read, of all companies in the call. Raises ValueError for what is no JSON of
    either shape."""
    try:
        data = msgspec.json.decode(body)
    except msgspec.DecodeError as wrong:
        raise ValueError("a webhook call that is no JSON") from wrong
    if isinstance(data, list):
        return [event for each in data if isinstance(each, dict) for event in _cloud_event(each)]
    if isinstance(data, dict):
        return list(_legacy(data))
    raise ValueError("a webhook call of neither shape")


def _legacy(data: Wire) -> Iterator[Event]:
    for notice in parts(data, "eventNotifications"):
        realm = str(notice.get("realmId", ""))
        for entity in parts(part(notice, "dataChangeEvent"), "entities"):
            yield from _legacy_event(realm, entity)


def _legacy_event(realm: str, entity: Wire) -> Iterator[Event]:
    name, operation = text(entity, "name") or "", text(entity, "operation") or ""
    kind, what = _ENTITY.get(name.casefold()), _WHAT.get(operation.casefold())
    if kind is None or what is None:
        return
    ref, moved = str(entity.get("id", "")), text(entity, "deletedId")
    at = text(entity, "lastUpdated")
    gone = moved if what == "merged" and moved is not None else ref
    yield Event(
        id=f"{realm}.{name}.{gone}.{operation}.{at}",
        account=realm,
        kind=kind,
        ref=gone,
        what=what,
        at=instant(at),
        survivor=ref if gone != ref else None,
    )


def _cloud_event(data: dict[str, Any]) -> Iterator[Event]:
    """`type` is `qbo.<entity>.<what>.v1`; `intuitaccountid` is the company."""
    words = (text(data, "type") or "").split(".")
    if len(words) < 3 or words[0] != "qbo":
        return
    kind, what = _ENTITY.get(words[1].casefold()), _WHAT.get(words[2].casefold())
    if kind is None or what is None:
        return
    yield Event(
        id=text(data, "id") or "",
        account=str(data.get("intuitaccountid", "")),
        kind=kind,
        ref=str(data.get("intuitentityid", "")),
        what=what,
        at=instant(text(data, "time")),
    )
