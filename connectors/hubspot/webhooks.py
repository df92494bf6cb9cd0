"""HubSpot's webhook calls: signature version 3 and the events in a call. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from connectors.canon.records import Kind
from connectors.hubspot.fields import ref_of
from connectors.hubspot.vendor import CRM_OBJECTS, KIND_OF, LINE_ITEM, TYPE_IDS, CrmObject
from connectors.hubspot.wire import Event as WireEvent
from connectors.kit.contract import Event
from connectors.kit.signatures import fresh, hmac_sha256_base64

_SIGNATURE = "x-hubspot-signature-v3"
_STAMP = "x-hubspot-request-timestamp"
_MAX_AGE_S = 300  # https://developers.hubspot.com/docs/api/webhooks/validating-requests
_DECODED = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
_events = msgspec.json.Decoder(list[WireEvent])

What = Literal["created", "updated", "deleted", "merged", "voided"]
_WHAT: dict[str, What] = {
    "creation": "created",
    "restore": "created",
    "deletion": "deleted",
    "privacyDeletion": "deleted",
    "merge": "merged",
    "propertyChange": "updated",
    "associationChange": "updated",
}


def decoded(url: str) -> str:
    """The URL as HubSpot signs it: twelve escapes are written out, all others stay."""
    return _DECODED.sub(lambda found: chr(int(found.group(1), 16)), url)


def verify(*, secret: str, method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether the call was signed with the app's secret less than five minutes ago. `url` is the public one, with
    scheme, host and query."""
    lower = {name.lower(): value for name, value in headers.items()}
    stamp = lower.get(_STAMP)
    if stamp is None or not fresh(stamp, now, _MAX_AGE_S):
        return False
    message = method.upper().encode() + decoded(url).encode() + body + stamp.encode()
    return hmac_sha256_base64(secret, message, lower.get(_SIGNATURE))


def parse(body: bytes) -> list[Event]:
    """The events of a verified call. What is no array of events is none; types we do not follow are left out."""
    try:
        events = _events.decode(body)
    except msgspec.DecodeError:
        return []
    return [told for event in events for told in _told(event)]


def _told(event: WireEvent) -> list[Event]:
    name, _, verb = event.subscription_type.partition(".")
    crm_object = CRM_OBJECTS.get(TYPE_IDS.get(event.object_type_id or "", name) if name == "object" else name)
    what = _WHAT.get(verb)
    if crm_object is None or what is None:
        return []
    if what == "merged":
        return _merged(event, crm_object)
    id_ = event.object_id if event.object_id is not None else event.from_object_id
    return [_event(event, crm_object, id_, what)] if id_ is not None else []


def _merged(event: WireEvent, crm_object: CrmObject) -> list[Event]:
    survivor = event.new_object_id if event.new_object_id is not None else event.primary_object_id
    if survivor is None:
        return []
    kept = ref_of(crm_object, survivor)
    gone = [event.primary_object_id, *event.merged_object_ids]
    merged = [_event(event, crm_object, id_, "merged", kept) for id_ in gone if id_ is not None and id_ != survivor]
    return [*merged, _event(event, crm_object, survivor, "updated")]


def _event(event: WireEvent, crm_object: CrmObject, id_: int | str, what: What, survivor: str | None = None) -> Event:
    kind = KIND_OF[crm_object.name]
    if crm_object is LINE_ITEM:  # whatever happens to a line, its deal has changed
        ref, what = f"line_item:{id_}", "updated"
    else:
        ref = ref_of(crm_object, id_)
    # HubSpot does not promise that its eventId is unique, so the rest of what makes an event goes with it.
    parts = (event.portal_id, event.event_id, event.subscription_id, event.occurred_at, ref, what)
    return Event(
        id="-".join(str(part) for part in parts),
        account=str(event.portal_id),
        kind=Kind(kind),
        ref=ref,
        what=what,
        at=datetime.fromtimestamp(event.occurred_at / 1000, UTC) if event.occurred_at is not None else None,
        survivor=survivor,
    )
