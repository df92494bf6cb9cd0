"""Canonical fields as people call them. Pure."""

from __future__ import annotations

_NAMES = {
    "emails.general": "e-mail",
    "emails.billing": "billing e-mail",
    "emails.statements": "statements e-mail",
    "addresses.billing": "billing address",
    "addresses.shipping": "shipping address",
    "addresses.registered": "registered address",
    "tax_identity": "tax id",
}


def field_name(path: str) -> str:
    """A field as people call it: `legal name`, `billing e-mail`."""
    return _NAMES.get(path, path.removeprefix("properties.").replace("_", " "))
