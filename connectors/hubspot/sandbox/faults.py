"""HubSpot's own passing refusals, for the fault script.

https://developers.hubspot.com/docs/api-reference/error-handling
"""

from __future__ import annotations

from connectors.kit.sandbox import Fault

_CORRELATION_ID = "00000000-0000-0000-0000-000000000000"


def _fault(code: int, category: str, message: str, method: str, path: str, headers: dict[str, str]) -> Fault:
    body = {"status": "error", "message": message, "correlationId": _CORRELATION_ID, "category": category}
    return Fault(how="status", code=code, method=method, path=path, headers=headers, body=body)


def locked(method: str = "*", path: str = "") -> Fault:
    """423: too many writes to the same thing; wait two seconds at least."""
    return _fault(423, "LOCKED", "The resource is locked.", method, path, {})


def migrating(seconds: int, method: str = "*", path: str = "") -> Fault:
    """477: the account moves to another data centre; Retry-After says for how many seconds."""
    return _fault(477, "MIGRATION_IN_PROGRESS", "Migration in progress.", method, path, {"Retry-After": str(seconds)})


def failing(code: int = 500, method: str = "*", path: str = "") -> Fault:
    """500, 503, 504, 521 to 524: nobody knows whether a write was done."""
    return _fault(code, "INTERNAL_ERROR", "internal error", method, path, {})
