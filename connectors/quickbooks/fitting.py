"""What QuickBooks can take: nothing is sent that it would cut or change silently; `Unfit` names the field instead."""

from __future__ import annotations

from typing import Any

from connectors.canon.values import ABSENT, Address
from connectors.quickbooks.vendor import LENGTH

Body = dict[str, Any]


class Unfit(ValueError):
    """QuickBooks cannot take this value. `field` is the canonical path, the text is for a person."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def fit(text: str, name: str, field: str) -> str:
    """The text, if it is not longer than QuickBooks takes. Raises Unfit: cutting would be a silent edit."""
    longest = LENGTH[name]
    if len(text) > longest:
        raise Unfit(field, f"QuickBooks takes at most {longest} characters here; this has {len(text)}.")
    return text


def clean_name(text: str) -> str:
    """A DisplayName: no colon (it parts parents from children), tab or newline (code 2040); spaces collapsed."""
    return " ".join(text.replace(":", " ").split())


def given(value: Any) -> bool:
    """Whether there is something to send: neither not told nor known to be empty."""
    return value is not ABSENT and value is not None


def address_body(address: Address | None, field: str) -> Body:
    """Every part of the address, the empty ones as "": then nothing of an older address can be left standing,
    whether QuickBooks takes an address of a sparse update whole or part by part."""
    address = address if address is not None else Address()
    lines = [fit(line, "Line", field) for line in address.lines]
    if len(lines) > 5:
        lines = [*lines[:4], fit(", ".join(lines[4:]), "Line", field)]
    body = {f"Line{n}": lines[n - 1] if n <= len(lines) else "" for n in range(1, 6)}
    return body | {
        "City": fit(address.city or "", "City", field),
        "CountrySubDivisionCode": address.region or "",
        "PostalCode": fit(address.postcode or "", "PostalCode", field),
        "Country": address.country or "",
    }
