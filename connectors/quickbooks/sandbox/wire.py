"""Answers as bytes: JSON when it was asked for, XML when it was not (the vendor's default)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec

NAMESPACE = "http://schema.intuit.com/finance/v3"
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def as_json(body: dict[str, Any]) -> bytes:
    return _ENCODER.encode(body)


def copy_of(body: dict[str, Any]) -> dict[str, Any]:
    """The body as it was answered, with all its digits: what happens to the records later does not show in it."""
    copy: dict[str, Any] = _DECODER.decode(as_json(body))
    return copy


def as_xml(body: dict[str, Any]) -> bytes:
    """`<IntuitResponse xmlns=... time=...>` with the body inside; references as text with a name attribute."""
    root = Element("IntuitResponse", {"xmlns": NAMESPACE, "time": str(body.get("time", ""))})
    for name, value in body.items():
        if name == "fault":
            _fault(root, value)
        elif name == "Fault":
            _fault(root, {"type": value["type"], "error": [_lower(error) for error in value["Error"]]})
        elif name != "time" and value is not None and value != []:
            _append(root, name, value)
    text: str = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{text}'.encode()


def _lower(error: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in error.items()}


def _fault(root: Element, fault: dict[str, Any]) -> None:
    element = SubElement(root, "Fault", {"type": fault["type"]})
    for error in fault["error"]:
        marks = {"code": str(error["code"]), "element": str(error["element"] or "")}
        one = SubElement(element, "Error", marks)
        SubElement(one, "Message").text = _allowed(error["message"])
        SubElement(one, "Detail").text = _allowed(error["detail"] or "")


def _append(parent: Element, name: str, value: Any) -> None:
    if isinstance(value, list):
        for each in value:
            _append(parent, name, each)
        return
    element = SubElement(parent, name)
    if not isinstance(value, dict):
        element.text = _text(value)
    elif "value" in value and set(value) <= {"value", "name"} and name.endswith("Ref"):
        element.text = _text(value["value"])
        if "name" in value:
            element.set("name", _allowed(str(value["name"])))
    else:
        _members(element, value)


def _members(element: Element, value: dict[str, Any]) -> None:
    for name, member in value.items():
        if name in ("domain", "sparse", "status", "startPosition", "maxResults", "totalCount", "bId"):
            element.set(name, _text(member))
        elif member is not None:
            _append(element, name, member)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else _allowed(str(value))


def _allowed(text: str) -> str:
    """XML knows no control characters."""
    return "".join(char for char in text if char >= " " or char in "\t\n\r")
