"""What QuickBooks says when it says no: one exception, and a constructor for each fault the sandbox can give.

Codes and texts: https://developer.intuit.com/app/developer/qbo/docs/develop/troubleshooting/error-codes
"""

from __future__ import annotations

from typing import Any


class QuickBooksFault(Exception):
    """One refused request. `status` is the HTTP status; `lower_case` marks answers of the gateway in front of the
    service, whose keys are lower-case."""

    def __init__(
        self,
        code: str,
        message: str,
        detail: str | None,
        *,
        element: str | None = "",
        type: str = "ValidationFault",
        status: int = 400,
        lower_case: bool = False,
    ) -> None:
        super().__init__(f"{code} {message}: {detail}")
        self.code = code
        self.message = message
        self.detail = detail
        self.element = element
        self.type = type
        self.status = status
        self.lower_case = lower_case

    def body(self) -> dict[str, Any]:
        """The `Fault` member of an answer (without `time`)."""
        error = {"Message": self.message, "Detail": self.detail, "code": self.code, "element": self.element}
        if not self.lower_case:
            return {"Fault": {"Error": [error], "type": self.type}}
        lowered = {key.lower(): value for key, value in error.items()}
        return {
            "warnings": None,
            "intuitObject": None,
            "fault": {"error": [lowered], "type": self.type},
            "report": None,
            "queryResponse": None,
            "batchItemResponse": [],
            "attachableResponse": [],
            "syncErrorResponse": None,
            "requestId": None,
        }


def duplicate_name(what: str = "customer, vendor or employee") -> QuickBooksFault:
    detail = (
        f"The name supplied already exists. : Another {what} is already using this \nname. Please use a different name."
    )
    return QuickBooksFault("6240", "Duplicate Name Exists Error", detail)


def duplicate_number(number: str, txn_type: str, txn_id: str) -> QuickBooksFault:
    detail = (
        "Duplicate Document Number Error : You must specify a different number. This number has already been used. "
        f"DocNumber={number} is assigned to TxnType={txn_type} with TxnId={txn_id}"
    )
    return QuickBooksFault("6140", "Duplicate Document Number Error", detail)


def stale() -> QuickBooksFault:
    detail = (
        "Stale Object Error : You and another user were working on this at the same time. "
        "The other user finished before you did, so your work was not saved."
    )
    return QuickBooksFault("5010", "Stale Object Error", detail, element="SyncToken")


def not_found() -> QuickBooksFault:
    detail = (
        "Object Not Found : Something you're trying to use has been made inactive. "
        "Check the fields with accounts, customers, items, vendors or employees."
    )
    return QuickBooksFault("610", "Object Not Found", detail)


def invalid_reference(element: str, ref: str) -> QuickBooksFault:
    detail = f"Invalid Reference Id : {element} element id {ref} not found"
    return QuickBooksFault("2500", "Invalid Reference Id", detail, element=element)


def missing(element: str) -> QuickBooksFault:
    return QuickBooksFault(
        "2020",
        "Required param missing, need to supply the required value for the API",
        f"Required parameter {element} is missing in the request",
        element=element,
    )


def unsupported_property(name: str) -> QuickBooksFault:
    return QuickBooksFault(
        "2010",
        "Request has invalid or unsupported property",
        f"Property Name:{name} specified is unsupported or invalid",
        element=name,
    )


def unsupported_operation(operation: str) -> QuickBooksFault:
    detail = f"Operation {operation} is not supported."
    return QuickBooksFault("500", "Unsupported Operation", detail)


def invalid_character(element: str) -> QuickBooksFault:
    detail = f"Property Name:{element} has an invalid character: no colon, tab or newline is allowed"
    return QuickBooksFault("2040", "Invalid String. The string has an invalid character", detail, element=element)


def too_long(element: str, limit: int) -> QuickBooksFault:
    detail = f"String length specified does not match the supported length. Max allowed length is {limit}."
    return QuickBooksFault("2050", "Invalid String length", detail, element=element)


def invalid_number(element: str, value: object) -> QuickBooksFault:
    detail = f"Invalid Number. Supplied value:{value}"
    return QuickBooksFault("2030", "Invalid Number", detail, element=element)


def invalid_enumeration(element: str, value: object) -> QuickBooksFault:
    detail = f"Invalid Enumeration : {value}"
    return QuickBooksFault("2170", "Invalid Enumeration", detail, element=element)


def invalid_email() -> QuickBooksFault:
    detail = "Email Address does not conform to the RFC 822 standard."
    return QuickBooksFault("2210", "Invalid Email Address format", detail, element="Address")


def amount_differs(amount: object) -> QuickBooksFault:
    detail = (
        f"Amount calculation incorrect in the request. Amount is not equal to UnitPrice * Qty. Supplied value:{amount}"
    )
    return QuickBooksFault("6070", "Amount calculation incorrect in the request", detail, element="Line.Amount")


def business(detail: str, element: str = "") -> QuickBooksFault:
    message = "A business validation error has occurred while processing your request"
    return QuickBooksFault("6000", message, f"Business Validation Error: {detail}", element=element)


def period_closed() -> QuickBooksFault:
    detail = (
        "The account period has closed and the account books cannot be updated through the QBO Services API. "
        "Please use the QBO website to make these changes."
    )
    return QuickBooksFault("6210", "Account Period Closed, Cannot Update Through Services API", detail)


def wrong_account_type(element: str) -> QuickBooksFault:
    return QuickBooksFault("6430", "Invalid account type", "Invalid account type used.", element=element)


def query_syntax(detail: str) -> QuickBooksFault:
    return QuickBooksFault("4000", "Error parsing query", f"QueryParserError: {detail}", element=None)


def query_invalid(detail: str) -> QuickBooksFault:
    return QuickBooksFault("4001", "Invalid query", f"QueryValidationError: {detail}", element=None)


def token_refused(detail: str = "Token expired") -> QuickBooksFault:
    return QuickBooksFault(
        "3200",
        "message=AuthenticationFailed; errorCode=003200; statusCode=401",
        detail,
        element=None,
        type="AUTHENTICATION",
        status=401,
        lower_case=True,
    )


def not_authorised() -> QuickBooksFault:
    return QuickBooksFault(
        "3100",
        "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403",
        None,
        element=None,
        type="SERVICE",
        status=403,
        lower_case=True,
    )


def throttled() -> QuickBooksFault:
    return QuickBooksFault(
        "003001",
        "message=ThrottleExceeded; errorCode=003001; statusCode=429",
        "The request limit was reached.",
        type="SERVICE",
        status=429,
    )
