"""What a JSON body is made of, checked where it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.hubspot.sandbox.refusals import invalid


def mapping(raw: object) -> Mapping[str, Any]:
    """A JSON object. Raises Refusal for anything else."""
    if not isinstance(raw, Mapping):
        raise invalid(f"Invalid input JSON: an object was expected, not {type(raw).__name__}")
    return raw


def listed(raw: object) -> Sequence[Any]:
    """A JSON list; none where nothing was sent. Raises Refusal for anything else."""
    if raw is not None and not isinstance(raw, list):
        raise invalid(f"Invalid input JSON: a list was expected, not {type(raw).__name__}")
    return raw or []
