"""Which path leads to which handler, and which scopes it asks for. Legacy and dated prefixes lead to the same.

https://developers.hubspot.com/docs/developer-tooling/platform/versioning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from connectors.hubspot.sandbox import associations, batch, objects, setup
from connectors.hubspot.sandbox.calls import Handler, object_type

Mode: TypeAlias = Literal["read", "write", "schema_read", "schema_write", "both_read", "both_write", "owners", "any"]

DATED = "{version:2026-(?:03|09)}"
PREFIXES = {
    "objects": ("/crm/{version:v3}/objects", f"/crm/objects/{DATED}"),
    "object_ties": ("/crm/{version:v4}/objects", f"/crm/objects/{DATED}"),
    "ties": ("/crm/{version:v4}/associations", f"/crm/associations/{DATED}"),
    "properties": ("/crm/{version:v3}/properties", f"/crm/properties/{DATED}"),
    "pipelines": ("/crm/{version:v3}/pipelines", f"/crm/pipelines/{DATED}"),
    "owners": ("/crm/{version:v3}/owners", f"/crm/owners/{DATED}"),
    "account": ("/account-info/{version:v3}", f"/account-info/{DATED}"),
}


class Route(NamedTuple):
    """One operation."""

    method: str
    area: str
    path: str
    handler: Handler
    mode: Mode


ROUTES = (
    Route("POST", "objects", "/{object}/search", objects.search_records, "read"),
    Route("POST", "objects", "/{object}/merge", objects.merge_records, "write"),
    Route("POST", "objects", "/{object}/gdpr-delete", objects.gdpr_delete, "write"),
    Route("POST", "objects", "/{object}/batch/read", batch.batch_read, "read"),
    Route("POST", "objects", "/{object}/batch/create", batch.batch_create, "write"),
    Route("POST", "objects", "/{object}/batch/update", batch.batch_update, "write"),
    Route("POST", "objects", "/{object}/batch/upsert", batch.batch_upsert, "write"),
    Route("POST", "objects", "/{object}/batch/archive", batch.batch_archive, "write"),
    Route("GET", "objects", "/{object}", objects.list_records, "read"),
    Route("POST", "objects", "/{object}", objects.create_record, "write"),
    Route("GET", "objects", "/{object}/{id}", objects.read_record, "read"),
    Route("PATCH", "objects", "/{object}/{id}", objects.update_record, "write"),
    Route("DELETE", "objects", "/{object}/{id}", objects.archive_record, "write"),
    Route(
        "PUT",
        "object_ties",
        "/{object}/{id}/associations/default/{to}/{to_id}",
        associations.put_default,
        "both_write",
    ),
    Route("GET", "object_ties", "/{object}/{id}/associations/{to}", associations.list_associations, "both_read"),
    Route("PUT", "object_ties", "/{object}/{id}/associations/{to}/{to_id}", associations.put_labelled, "both_write"),
    Route(
        "DELETE",
        "object_ties",
        "/{object}/{id}/associations/{to}/{to_id}",
        associations.delete_association,
        "both_write",
    ),
    Route("GET", "ties", "/{object}/{to}/labels", associations.list_labels, "both_read"),
    Route("POST", "ties", "/{object}/{to}/batch/read", associations.batch_read, "both_read"),
    Route("POST", "ties", "/{object}/{to}/batch/create", associations.batch_create, "both_write"),
    Route("POST", "ties", "/{object}/{to}/batch/associate/default", associations.batch_default, "both_write"),
    Route("POST", "ties", "/{object}/{to}/batch/archive", associations.batch_archive, "both_write"),
    Route("POST", "ties", "/{object}/{to}/batch/labels/archive", associations.labels_archive, "both_write"),
    Route("GET", "properties", "/{object}/groups", setup.list_groups, "schema_read"),
    Route("GET", "properties", "/{object}", setup.list_properties, "schema_read"),
    Route("POST", "properties", "/{object}", setup.create_property, "schema_write"),
    Route("GET", "properties", "/{object}/{name}", setup.read_property, "schema_read"),
    Route("PATCH", "properties", "/{object}/{name}", setup.update_property, "schema_write"),
    Route("DELETE", "properties", "/{object}/{name}", setup.archive_property, "schema_write"),
    Route("GET", "pipelines", "/{object}", setup.list_pipelines, "schema_read"),
    Route("GET", "pipelines", "/{object}/{id}", setup.read_pipeline, "schema_read"),
    Route("GET", "owners", "", setup.list_owners, "owners"),
    Route("GET", "owners", "/{id}", setup.read_owner, "owners"),
    Route("GET", "account", "/details", setup.account_details, "any"),
)


def paths(route: Route) -> Iterator[str]:
    """The paths of an operation, legacy and dated."""
    return (f"{prefix}{route.path}" for prefix in PREFIXES[route.area])


def needed(mode: Mode, match: Mapping[str, str]) -> list[tuple[str, ...]]:
    """What a token needs: of each tuple, one scope."""
    if mode == "any":
        return []
    if mode == "owners":
        return [("crm.objects.owners.read",)]
    ends = [match["object"], match["to"]] if mode.startswith("both_") else [match["object"]]
    return [_scopes(object_type(end).name, mode.removeprefix("both_")) for end in ends]


def _scopes(name: str, mode: str) -> tuple[str, ...]:
    """Products have the legacy scope `e-commerce`, which line items take as well."""
    commerce = ("e-commerce",) if name in {"products", "line_items"} else ()
    if mode in {"read", "write"}:
        return (f"crm.objects.{name}.{mode}", *commerce)
    if mode == "schema_read":
        return (f"crm.schemas.{name}.read", f"crm.objects.{name}.read", *commerce)
    return (f"crm.schemas.{name}.write", *commerce)
