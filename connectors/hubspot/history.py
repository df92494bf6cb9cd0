"""What fields held before: HubSpot keeps the values of each property with their times and writers.

https://developers.hubspot.com/docs/api-reference/latest/crm/objects/objects/batch/get-objects
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby

import msgspec

from connectors.canon.records import Kind
from connectors.hubspot.fields import Shape, instant, object_of, value_of
from connectors.hubspot.reading import Reader
from connectors.hubspot.vendor import CRM_OBJECTS
from connectors.hubspot.wire import Rec
from connectors.kit.contract import Histories, Past


async def read_history(reader: Reader, kind: Kind, refs: Sequence[str], paths: Sequence[str]) -> Histories:
    """`Connector.history`: one batch read for fifty records of an object type, of the properties that the paths are
    made of and of nothing that stands beside them."""
    by_object: dict[str, dict[str, str]] = {}
    for ref in refs:
        crm_object, id_ = object_of(kind, ref)
        by_object.setdefault(crm_object.name, {})[id_] = ref
    currency = (await reader.account()).company_currency if "price" in paths else None
    found: Histories = {}
    for name, ids in by_object.items():
        shape = reader.shapes[name]
        made_of = {path: names for path in paths if (names := shape.made_of(path))}
        asked = sorted({each for names in made_of.values() for each in names})
        recs = await reader.api.histories(CRM_OBJECTS[name], asked, list(ids)) if asked else []
        for rec in recs:
            if rec.id in ids:  # a merged record answers under its survivor's id
                told = {path: _told(shape, rec, path, names, currency) for path, names in made_of.items()}
                found[ids[rec.id]] = told
    return found


def _told(shape: Shape, rec: Rec, path: str, names: Sequence[str], currency: str | None) -> tuple[Past, ...]:
    """One field's values, newest first: its properties' histories replayed. What one writer set at one time is one
    value; what cannot be read as the field's is left out. Of a property without history only what it holds is known."""
    held = {name: None if rec.told_before(name) else rec.properties.get(name) for name in names}
    told: list[Past] = []
    for (at, by), steps in groupby(_steps(rec, names), key=lambda step: (step.at, step.by)):
        held |= {step.name: step.value for step in steps}
        with suppress(ValueError):
            told.append(
                Past(value_of(shape, msgspec.structs.replace(rec, properties=dict(held)), path, currency), at, by)
            )
    return tuple(reversed(told))


class _Step(msgspec.Struct, frozen=True):
    """A property was given a value."""

    name: str
    value: str | None
    at: datetime
    by: str | None


def _steps(rec: Rec, names: Sequence[str]) -> list[_Step]:
    """Oldest first; of one time, in the order that HubSpot tells."""
    steps = [
        _Step(name, past.value, at, past.writer)
        for name in names
        for past in reversed(rec.told_before(name))
        if (at := instant(past.timestamp)) is not None
    ]
    return sorted(steps, key=lambda step: step.at)
