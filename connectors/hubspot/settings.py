"""A connection's settings, read once: text in, valid choices out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.canon.records import Kind
from connectors.hubspot import vendor
from connectors.hubspot.fields import Shape, parse_properties, shape_of
from connectors.hubspot.reading import Choices
from connectors.kit.contract import Wanted
from connectors.kit.errors import BadSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection is set to."""

    choices: Choices
    shapes: dict[str, Shape]
    base_url: str
    app_url: str
    burst: int
    sweep_ms: int


def read_settings(given: Mapping[str, str]) -> Settings:
    """Raises BadSettings, which names the setting and what it may be."""
    values = {s.name: _given(given, s.name, s.default) for s in vendor.SETTINGS}
    extras = parse_properties(values["properties"])
    return Settings(
        choices=Choices(
            customers=_one_of(values, "customers", ("companies", "contacts", "both")),
            people=_one_of(values, "people", ("yes", "no")) == "yes",
            owner_emails=_one_of(values, "owners", ("email", "id")) == "email",
        ),
        shapes={name: shape_of(o, extras.get(name, ())) for name, o in vendor.CRM_OBJECTS.items()},
        base_url=_url(values, "base_url"),
        app_url=_url(values, "app_url"),
        burst=_number(values, "burst", 1),
        sweep_ms=_number(values, "sweep_min", 0) * 60_000,
    )


def _given(given: Mapping[str, str], name: str, default: str | None) -> str:
    """An empty answer means the default, as a form sends it."""
    text = given.get(name, "").strip()
    return text if text != "" else (default if default is not None else "")


def _one_of(values: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> Any:
    if values[name] not in allowed:
        raise BadSettings(f"{name} is {values[name]!r}; it can be {', '.join(allowed)}.", system="hubspot")
    return values[name]


def _number(values: Mapping[str, str], name: str, least: int) -> int:
    text = values[name]
    if not text.isdigit() or int(text) < least:
        raise BadSettings(f"{name} is {text!r}; it must be a whole number from {least}.", system="hubspot")
    return int(text)


def _url(values: Mapping[str, str], name: str) -> str:
    url = values[name].rstrip("/")
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise BadSettings(f"{name} must begin with https:// (http only on this machine).", system="hubspot")
    return url


_OBJECTS = {Kind.ITEM: ("product",), Kind.DEAL: ("deal",)}
_CUSTOMERS = {"companies": ("company",), "contacts": ("contact",), "both": ("company", "contact")}


def named(given: Mapping[str, str], wanted: Wanted) -> str:
    """The `properties` setting with every property that a mapping names added to what is there."""
    found: dict[str, dict[str, None]] = {}
    for part in filter(None, given.get("properties", "").split(";")):
        crm_object, _, names = part.partition(":")
        found.setdefault(crm_object.strip(), {}).update(dict.fromkeys(n.strip() for n in names.split(",") if n.strip()))
    for kind, names_wanted in wanted.properties.items():
        for crm_object in _OBJECTS.get(kind, _CUSTOMERS[wanted.customers_from]):
            known = found.setdefault(crm_object, {})
            told = {name.partition("=")[0] for name in known}
            known.update(dict.fromkeys(name for name in names_wanted if name not in told))
    return ";".join(f"{crm_object}:{','.join(names)}" for crm_object, names in found.items() if names)
