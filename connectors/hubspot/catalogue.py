"""How the account is set up, and the properties that Tieout needs in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from connectors.canon.records import Kind
from connectors.hubspot.api import Api
from connectors.hubspot.fields import ADDRESS, Shape
from connectors.hubspot.reading import Reader
from connectors.hubspot.vendor import MARKER, CrmObject
from connectors.hubspot.wire import Property
from connectors.kit.contract import Catalogue, FieldInfo
from connectors.kit.errors import Gone, Refused

_TAKEN = "OBJECT_ALREADY_EXISTS"
_TYPES = {"string": "text", "enumeration": "choice", "bool": "flag", "phone_number": "phone"}
# Type and field type of a new property, by the type that is wanted.
_NEW: dict[str, tuple[str, str]] = {
    "text": ("string", "text"),
    "string": ("string", "text"),
    "number": ("number", "number"),
    "date": ("date", "date"),
    "datetime": ("datetime", "date"),
    "choice": ("enumeration", "select"),
    "enumeration": ("enumeration", "select"),
    "flag": ("bool", "booleancheckbox"),
    "phone": ("phone_number", "phonenumber"),
}
_MORE_COLUMNS: dict[str, tuple[str, ...]] = {
    "company": (ADDRESS,),
    "contact": ("legal_name", ADDRESS),
    "product": ("price",),
    "deal": ("sold_to", "status", "won_at", "amount"),
}


async def read_catalogue(reader: Reader) -> Catalogue:
    """Six reads: account, pipelines, and the properties of each object type that this connection follows."""
    info = await reader.account()
    followed = {kind: reader.followed(kind) for kind in (Kind.CUSTOMER, Kind.ITEM, Kind.DEAL)}
    listed = {o.name: await reader.api.properties(o) for objects in followed.values() for o in objects}
    return Catalogue(
        account_id=str(info.portal_id),
        account_name=f"HubSpot {info.portal_id}",
        home_currency=info.company_currency,
        time_zone=info.time_zone,
        multi_currency=bool(info.additional_currencies),
        stages=dict(await reader.stages()),
        fields={kind: _fields(listed[o.name] for o in objects) for kind, objects in followed.items()},
        columns={kind: _columns(reader.shapes[o.name] for o in objects) for kind, objects in followed.items()},
    )


def _columns(shapes: Iterable[Shape]) -> frozenset[str]:
    return frozenset(path for s in shapes for path in (*s.wires, *_MORE_COLUMNS[s.object.name]))


def _fields(lists: Iterable[Sequence[Property]]) -> tuple[FieldInfo, ...]:
    """The properties by name; where companies and contacts share one, the company's is told."""
    found: dict[str, FieldInfo] = {}
    for listed in lists:
        for p in listed:
            if not p.archived:
                found.setdefault(p.name, field_info(p))
    return tuple(found.values())


def field_info(p: Property) -> FieldInfo:
    """One of HubSpot's properties as a mapping sees it."""
    read_only = p.calculated or (p.modification_metadata is not None and p.modification_metadata.read_only_value)
    return FieldInfo(
        name=p.name,
        label=p.label if p.label != "" else p.name,
        type=_TYPES.get(p.type, p.type),
        writable=not read_only,
        options=tuple(option.value for option in p.options),
        unique=p.has_unique_value,
    )


# --------------------------------------------------------------------------- making properties


def marker_field(crm_object: CrmObject) -> FieldInfo:
    return FieldInfo(name=MARKER, label="Tieout marker", unique=crm_object.unique_marker)


def property_body(crm_object: CrmObject, wanted: FieldInfo) -> dict[str, Any]:
    """What makes a property. An unknown type becomes text, which takes any value."""
    type_, field_type = _NEW.get(wanted.type, _NEW["text"])
    body: dict[str, Any] = {
        "name": wanted.name,
        "label": wanted.label,
        "type": type_,
        "fieldType": field_type,
        "groupName": crm_object.group,
        "description": "Kept by Tieout.",
    }
    if wanted.unique and crm_object.unique_marker:
        body["hasUniqueValue"] = True
    options = wanted.options if type_ == "enumeration" else ("true", "false") if type_ == "bool" else ()
    if options:
        body["options"] = [_option(value, place) for place, value in enumerate(options)]
    return body


def _option(value: str, place: int) -> dict[str, Any]:
    return {"label": value, "value": value, "displayOrder": place, "hidden": False}


async def ensure(api: Api, crm_object: CrmObject, wanted: Sequence[FieldInfo]) -> list[str]:
    """Make what is missing; what is there stays as it is. The names that were made. Raises NotAllowed without the
    scope crm.schemas.<object>.write."""
    known = {p.name for p in await api.properties(crm_object) if not p.archived}
    made = []
    for info in wanted:
        if info.name in known:
            continue
        try:
            await api.make_property(crm_object, property_body(crm_object, info))
        except Gone:
            raise
        except Refused as refused:
            if not was_taken(refused):
                raise
        else:
            made.append(info.name)
    return made


def was_taken(refused: Refused) -> bool:
    """Somebody else made the property in the meantime."""
    status = refused.answer.status if refused.answer is not None else None
    return status == 409 or "PROPERTY_WITH_NAME_EXISTS" in (refused.code or "") or refused.code == _TAKEN
