"""What HubSpot says when it says no. A refusal is a status and a body; the correlation id comes from the sandbox.

Envelope: https://developers.hubspot.com/docs/api-reference/error-handling
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

Body: TypeAlias = dict[str, Any]


class Flaw(NamedTuple):
    """One property value that HubSpot does not take: `error` is its code (INVALID_OPTION, READ_ONLY_VALUE ...)."""

    name: str
    error: str
    message: str


class Refusal(Exception):
    """An answer with a 4xx status. `body` lacks `status` and `correlationId`, which `render` adds."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.more = more

    def render(self, correlation_id: str) -> Body:
        """The body of an answer that consists of this refusal alone."""
        head = {"status": "error", "message": self.message, "correlationId": correlation_id}
        return {**head, **self.more, "category": self.category}

    def as_item(self, trace_id: str) -> Body:
        """The entry in `errors` of a 207 answer, named by the input's objectWriteTraceId."""
        context = {**self.more.get("context", {}), "objectWriteTraceId": [trace_id]}
        return {"status": "error", "category": self.category, "message": self.message, "context": context}


def invalid(message: str, **more: Any) -> Refusal:
    """400 VALIDATION_ERROR."""
    return Refusal(400, "VALIDATION_ERROR", message, **more)


def values_invalid(flaws: Sequence[Flaw]) -> Refusal:
    """400 for property values: the message itself carries a JSON list, one entry for each flaw."""
    listed = [
        {
            "isValid": False,
            "message": f.message,
            "error": f.error,
            "name": f.name,
            "localizedErrorMessage": f.message,
        }
        for f in flaws
    ]
    errors = [{"message": f.message, "code": f.error, "context": {"propertyName": [f.name]}} for f in flaws]
    return invalid(f"Property values were not valid: {msgspec.json.encode(listed).decode()}", errors=errors)


def required_missing(singular: str, names: Sequence[str]) -> Refusal:
    """400 for a create that lacks what the object needs."""
    message = f"Error creating {singular.upper()}. Some required properties were not set."
    return invalid(message, context={"properties": list(names)})


def rule_broken(names: Sequence[str]) -> Refusal:
    """400 of the 2026-09 paths, which enforce the account's own rules on every write.
    https://developers.hubspot.com/changelog/crm-api-write-validation-enforcement"""
    errors = [
        {
            "message": f'Property "{name}" is required',
            "code": "MISSING_REQUIRED_PROPERTY",
            "context": {"propertyName": [name]},
        }
        for name in names
    ]
    return invalid("Required properties are missing.", errors=errors)


def not_found(message: str = "resource not found", **more: Any) -> Refusal:
    """404 OBJECT_NOT_FOUND."""
    return Refusal(404, "OBJECT_NOT_FOUND", message, **more)


def contact_exists(existing: int) -> Refusal:
    """409 of a contact whose e-mail is taken: the id stands in the message."""
    return Refusal(409, "CONFLICT", f"Contact already exists. Existing ID: {existing}")


class Coordinates(NamedTuple):
    """Where a unique value would have gone."""

    portal_id: int
    legacy_name: str
    property_name: str
    value: str


def value_taken(where: Coordinates, record_id: int, owner_id: int) -> Refusal:
    """400 of a unique value that another record has. Two ids stand in the message; a create names as the first
    one the id that its record would have got."""
    coordinates = (
        f"PropertyValueCoordinates{{portalId={where.portal_id}, "
        f"objectTypeId=ObjectTypeId{{legacyObjectType={where.legacy_name}}}, "
        f"propertyName={where.property_name}, value={where.value}}}"
    )
    return invalid(f"Cannot set {coordinates} on {record_id}. {owner_id} already has that value.")


def unauthenticated() -> Refusal:
    """401 without a token that HubSpot knows."""
    message = (
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
        "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
    )
    return Refusal(401, "INVALID_AUTHENTICATION", message)


def token_expired(seconds_ago: int, expire_time: str) -> Refusal:
    """401 with an access token past its 30 minutes."""
    message = f"The OAuth token used to make this call expired {seconds_ago} second(s) ago."
    return Refusal(401, "EXPIRED_AUTHENTICATION", message, context={"expire time": [expire_time]})


def missing_scopes(scopes: Sequence[str]) -> Refusal:
    """403 that names the scopes, any one of which would do."""
    message = (
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes "
        "here: https://developers.hubspot.com/scopes."
    )
    detail = {
        "message": "One or more of the following scopes are required.",
        "context": {"requiredGranularScopes": list(scopes)},
    }
    links = {"scopes": "https://developers.hubspot.com/scopes"}
    return Refusal(403, "MISSING_SCOPES", message, errors=[detail], links=links)


def rate_limited(policy: str, correlation_id: str) -> Body:
    """The body of a 429, which has `errorType` and `policyName` and no `category`.
    https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines"""
    words = {"DAILY": "daily", "TEN_SECONDLY_ROLLING": "ten_secondly_rolling", "SECONDLY": "secondly"}
    return {
        "status": "error",
        "message": f"You have reached your {words[policy]} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": correlation_id,
        "policyName": policy,
        "requestId": correlation_id,
    }
