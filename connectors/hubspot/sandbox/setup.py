"""Handlers of the account's setup: properties, property groups, pipelines, owners, account details.

https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.hubspot.sandbox.calls import Answer, Call
from connectors.hubspot.sandbox.catalogue import (
    FIELD_TYPES,
    TRUE_FALSE,
    ObjectType,
    Option,
    Owner,
    Pipeline,
    Property,
    Stage,
)
from connectors.hubspot.sandbox.refusals import Body, Refusal, invalid, not_found

UNIQUE_MAX = 10
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_REQUIRED = ("name", "label", "type", "fieldType", "groupName")

# --------------------------------------------------------------------------- properties


def _shown(prop: Property) -> Body:
    return {
        "name": prop.name,
        "label": prop.label,
        "type": prop.type,
        "fieldType": prop.field_type,
        "groupName": prop.group,
        "description": prop.description,
        "options": [msgspec.to_builtins(option) for option in prop.options],
        "displayOrder": -1,
        "hasUniqueValue": prop.unique,
        "hidden": False,
        "formField": not prop.read_only,
        "calculated": prop.calculated,
        "externalOptions": prop.name == "hubspot_owner_id",
        "hubspotDefined": prop.hubspot_defined,
        "archived": prop.archived,
        "createdAt": prop.created_at,
        "updatedAt": prop.updated_at,
        "dataSensitivity": "non_sensitive",
        "modificationMetadata": {
            "archivable": not prop.hubspot_defined,
            "readOnlyDefinition": prop.hubspot_defined,
            "readOnlyValue": prop.read_only,
        },
    }


def list_properties(call: Call) -> Answer:
    """GET: all of them, no paging."""
    archived = call.flag("archived")
    listed = [_shown(p) for p in call.table.catalogue.values() if p.archived is archived]
    return Answer(200, {"results": listed})


def _held(call: Call, *, archived: bool = False) -> Property:
    prop = call.table.catalogue.get(call.match["name"])
    if prop is None or prop.archived is not archived:
        raise not_found(f"Property {call.match['name']} does not exist")
    return prop


def read_property(call: Call) -> Answer:
    """GET one: 404 if it is unknown or archived."""
    return Answer(200, _shown(_held(call, archived=call.flag("archived"))))


def create_property(call: Call) -> Answer:
    """POST: 201; 409 for a name that is taken; an archived name comes back with what was sent and its old
    createdAt."""
    sent = call.body if isinstance(call.body, dict) else {}
    made = _defined(call.kind, sent, call.now())
    before = call.table.catalogue.get(made.name)
    if before is not None and not before.archived:
        words = f"A property named '{made.name}' already exists."
        raise Refusal(409, "OBJECT_ALREADY_EXISTS", words, subCategory="Properties.PROPERTY_WITH_NAME_EXISTS")
    _check_unique(call, made)
    if before is not None:
        made = msgspec.structs.replace(made, created_at=before.created_at, unique=before.unique)
    call.table.catalogue[made.name] = made
    return Answer(201, _shown(made))


def _check_unique(call: Call, made: Property) -> None:
    if not made.unique:
        return
    if not call.kind.uniques:
        raise invalid(f"Unique properties are not supported for {call.kind.name}")
    if sum(1 for p in call.table.catalogue.values() if p.unique) >= UNIQUE_MAX:
        raise invalid(f"An object can have at most {UNIQUE_MAX} unique properties.")


def _defined(kind: ObjectType, sent: Mapping[str, Any], now: str) -> Property:
    lacking = [name for name in _REQUIRED if not isinstance(sent.get(name), str)]
    if lacking:
        raise invalid(f"Some required fields were not set: [{', '.join(lacking)}]")
    name, kind_of, field_type = sent["name"], sent["type"], sent["fieldType"]
    if not _NAME.fullmatch(name):
        raise invalid(f"{name} is not a valid property name")
    if field_type not in FIELD_TYPES.get(kind_of, ()):
        raise invalid(f"fieldType {field_type} does not fit type {kind_of}")
    if sent["groupName"] != kind.group:
        raise invalid(f"Property group {sent['groupName']} does not exist")
    return Property(
        name=name,
        label=sent["label"],
        type=kind_of,
        field_type=field_type,
        group=kind.group,
        description=str(sent.get("description", "")),
        options=TRUE_FALSE if kind_of == "bool" else _options(kind_of, sent.get("options") or []),
        unique=sent.get("hasUniqueValue") is True,
        created_at=now,
        updated_at=now,
    )


def _options(kind_of: str, sent: list[Any]) -> tuple[Option, ...]:
    try:
        options = msgspec.convert(sent, tuple[Option, ...])
    except msgspec.ValidationError as bad:
        raise invalid(f"Property options are not valid: {bad}") from bad
    values = [option.value for option in options]
    if len(set(values)) < len(values) or (kind_of == "enumeration" and not values):
        raise invalid("Enumerations need options, each with a value of its own.")
    return options


def update_property(call: Call) -> Answer:
    """PATCH: what is sent is replaced, `options` as a whole list. HubSpot's own definitions stay."""
    prop, sent = _held(call), call.body if isinstance(call.body, dict) else {}
    if prop.hubspot_defined:
        raise invalid(f"Property {prop.name} is read only")
    changes: dict[str, Any] = {name: str(sent[name]) for name in ("label", "description") if name in sent}
    if "fieldType" in sent:
        if sent["fieldType"] not in FIELD_TYPES[prop.type]:
            raise invalid(f"fieldType {sent['fieldType']} does not fit type {prop.type}")
        changes["field_type"] = sent["fieldType"]
    if "options" in sent:
        changes["options"] = _options(prop.type, sent["options"])
    updated = msgspec.structs.replace(prop, updated_at=call.now(), **changes)
    call.table.catalogue[prop.name] = updated
    return Answer(200, _shown(updated))


def archive_property(call: Call) -> Answer:
    """DELETE: 204; HubSpot's own properties cannot go."""
    prop = _held(call)
    if prop.hubspot_defined:
        raise invalid(f"Property {prop.name} cannot be archived")
    call.table.catalogue[prop.name] = msgspec.structs.replace(prop, archived=True)
    return Answer(204)


def list_groups(call: Call) -> Answer:
    """GET groups: the one group of the object."""
    group = {"name": call.kind.group, "label": f"{call.kind.singular} information", "displayOrder": 0}
    return Answer(200, {"results": [{**group, "archived": False}]})


# --------------------------------------------------------------------------- pipelines, owners, account


def _stage_shown(stage: Stage, order: int) -> Body:
    return {
        "id": stage.id,
        "label": stage.label,
        "displayOrder": order,
        "metadata": {"isClosed": "true" if stage.closed else "false", "probability": stage.probability},
        "createdAt": "2020-01-01T00:00:00Z",
        "updatedAt": "2020-01-01T00:00:00Z",
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        "archived": False,
    }


def _pipeline_shown(pipeline: Pipeline, order: int) -> Body:
    return {
        "id": pipeline.id,
        "label": pipeline.label,
        "displayOrder": order,
        "stages": [_stage_shown(stage, n) for n, stage in enumerate(pipeline.stages)],
        "createdAt": "2020-01-01T00:00:00Z",
        "updatedAt": "2020-01-01T00:00:00Z",
        "archived": False,
    }


def _pipelines(call: Call) -> list[Body]:
    if call.kind.name != "deals":
        return []
    return [_pipeline_shown(pipeline, n) for n, pipeline in enumerate(call.portal.account.pipelines)]


def list_pipelines(call: Call) -> Answer:
    """GET: pipelines with their stages."""
    return Answer(200, {"results": _pipelines(call)})


def read_pipeline(call: Call) -> Answer:
    """GET one pipeline."""
    for pipeline in _pipelines(call):
        if pipeline["id"] == call.match["id"]:
            return Answer(200, pipeline)
    raise not_found()


def _owner_shown(owner: Owner) -> Body:
    return {
        "id": owner.id,
        "email": owner.email,
        "type": "PERSON",
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "userId": owner.user_id,
        "createdAt": "2020-01-01T00:00:00Z",
        "updatedAt": "2020-01-01T00:00:00Z",
        "archived": owner.archived,
    }


def list_owners(call: Call) -> Answer:
    """GET: owners, by e-mail if asked, 100 a page."""
    email, archived = call.query.get("email"), call.flag("archived")
    limit, after = call.whole("limit", 100, 500), call.query.get("after", "")
    owners = sorted(call.portal.account.owners, key=lambda owner: owner.id)
    fit = [o for o in owners if o.archived is archived and email in {None, o.email} and o.id > after]
    body: Body = {"results": [_owner_shown(owner) for owner in fit[:limit]]}
    if len(fit) > limit:
        body["paging"] = {"next": {"after": fit[limit - 1].id, "link": f"{call.address}?after={fit[limit - 1].id}"}}
    return Answer(200, body)


def read_owner(call: Call) -> Answer:
    """GET one owner by its id, not by its user id."""
    for owner in call.portal.account.owners:
        if owner.id == call.match["id"]:
            return Answer(200, _owner_shown(owner))
    raise not_found()


def account_details(call: Call) -> Answer:
    """GET account-info details."""
    account = call.portal.account
    offset = ZoneInfo(account.time_zone).utcoffset(datetime.fromisoformat(call.now()))
    minutes = 0 if offset is None else round(offset.total_seconds() / 60)
    sign, hours = "-" if minutes < 0 else "+", abs(minutes) // 60
    return Answer(
        200,
        {
            "portalId": account.portal_id,
            "accountType": "STANDARD",
            "timeZone": account.time_zone,
            "companyCurrency": account.home_currency,
            "additionalCurrencies": list(account.currencies)[1:],
            "utcOffset": f"{sign}{hours:02}:{abs(minutes) % 60:02}",
            "utcOffsetMilliseconds": minutes * 60_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        },
    )
