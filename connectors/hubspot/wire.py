"""What HubSpot's answers look like. Every part of an error is optional: 429 bodies lack the category, and what the
specification calls required is missing in live answers."""

from __future__ import annotations

from typing import Any

import msgspec


class NextPage(msgspec.Struct, frozen=True):
    after: str


class Paging(msgspec.Struct, frozen=True):
    next: NextPage | None = None


class PastValue(msgspec.Struct, frozen=True, rename="camel"):
    """A value that a property was given, when, and by what: a person in HubSpot, an app, a workflow."""

    value: str | None = None
    timestamp: str | None = None
    source_type: str | None = None
    source_id: str | None = None

    @property
    def writer(self) -> str | None:
        """The same text for the same writer: `CRM_UI userId:1`, `INTEGRATION 54321`; None: it is not told."""
        return f"{self.source_type} {self.source_id or ''}".rstrip() if self.source_type is not None else None


class Rec(msgspec.Struct, rename="camel"):
    """One CRM object. Values are text whatever the property's type. `new` is told by an upsert, the trace id by
    writes that carried one, `properties_with_history` (newest first) where it was asked for. Times stay text: most
    are only compared."""

    id: str
    properties: dict[str, str | None] = {}
    created_at: str | None = None
    updated_at: str | None = None
    archived: bool = False
    archived_at: str | None = None
    new: bool | None = None
    object_write_trace_id: str | None = None
    properties_with_history: dict[str, list[PastValue]] | None = None

    def told_before(self, name: str) -> list[PastValue]:
        """A property's history, newest first; empty where none is told."""
        return (self.properties_with_history or {}).get(name, [])


class Records(msgspec.Struct, frozen=True):
    """A page of a listing or a search."""

    results: list[Rec]
    paging: Paging | None = None

    @property
    def after(self) -> str | None:
        return self.paging.next.after if self.paging is not None and self.paging.next is not None else None


class AssociationType(msgspec.Struct, frozen=True, rename="camel"):
    type_id: int
    category: str | None = None
    label: str | None = None


class To(msgspec.Struct, frozen=True, rename="camel"):
    """The far end of an association; its id is a number here and text elsewhere."""

    to_object_id: int | str
    association_types: list[AssociationType] = []

    @property
    def types(self) -> frozenset[int]:
        return frozenset(t.type_id for t in self.association_types)


class Id(msgspec.Struct, frozen=True):
    id: str


class AssociationsOf(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    from_: Id
    to: list[To] = []
    paging: Paging | None = None


class Associations(msgspec.Struct, frozen=True):
    results: list[AssociationsOf] = []


class Fault(msgspec.Struct, frozen=True, rename="camel"):
    """One error: of a whole answer, of one item of a batch, or of one property. `context` values are lists in most
    answers and text in some."""

    message: str = ""
    status: str | None = None
    category: str | None = None
    sub_category: Any = None
    code: str | None = None
    error_type: str | None = None
    policy_name: str | None = None
    correlation_id: str | None = None
    context: dict[str, Any] = {}
    errors: list[Fault] = []

    @property
    def name(self) -> str | None:
        """The most telling of its codes."""
        sub = self.sub_category if isinstance(self.sub_category, str) else None
        return sub or self.code or self.category or self.error_type

    def told(self, key: str) -> tuple[str, ...]:
        """What the context says under a key."""
        found = self.context.get(key)
        if found is None:
            return ()
        return tuple(str(value) for value in found) if isinstance(found, list) else (str(found),)


class Batch(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a batch call: what was done, and with 207 what was not."""

    results: list[Rec] = []
    errors: list[Fault] = []


class Stage(msgspec.Struct, frozen=True):
    id: str
    label: str = ""
    metadata: dict[str, Any] = {}


class Pipeline(msgspec.Struct, frozen=True):
    id: str
    label: str = ""
    stages: list[Stage] = []


class Pipelines(msgspec.Struct, frozen=True):
    results: list[Pipeline] = []


class Owner(msgspec.Struct, frozen=True):
    id: str
    email: str | None = None


class Owners(msgspec.Struct, frozen=True):
    results: list[Owner] = []
    paging: Paging | None = None


class AccountInfo(msgspec.Struct, frozen=True, rename="camel"):
    portal_id: int | str
    time_zone: str | None = None
    company_currency: str | None = None
    additional_currencies: list[str] = []
    ui_domain: str | None = None


class Option(msgspec.Struct, frozen=True):
    value: str
    label: str = ""


class Modification(msgspec.Struct, frozen=True, rename="camel"):
    read_only_value: bool = False


class Property(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    label: str = ""
    type: str = "string"
    options: list[Option] = []
    calculated: bool = False
    has_unique_value: bool = False
    archived: bool = False
    modification_metadata: Modification | None = None


class Properties(msgspec.Struct, frozen=True):
    results: list[Property] = []


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """One event of a webhook call."""

    subscription_type: str
    portal_id: int | str
    event_id: int | str = ""
    subscription_id: int | str = ""
    occurred_at: int | None = None
    object_id: int | str | None = None
    object_type_id: str | None = None
    primary_object_id: int | str | None = None
    merged_object_ids: list[int | str] = []
    new_object_id: int | str | None = None
    from_object_id: int | str | None = None
    to_object_id: int | str | None = None
    from_object_type_id: str | None = None
