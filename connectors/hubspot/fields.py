"""HubSpot's properties and the canonical fields: one shape for each object type, made once per connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import msgspec
from babel import Locale

from connectors.canon.fields import FIELDS, FieldType, Value, canonical_path, read
from connectors.canon.records import Customer, Deal, DealLine, Item, Kind
from connectors.canon.values import ABSENT, Address, Discount, Money, Price
from connectors.hubspot.vendor import (
    COMPANY,
    CONTACT,
    CRM_OBJECTS,
    DEAL,
    KIND_OF,
    MARKER,
    PRODUCT,
    CrmObject,
)
from connectors.hubspot.wire import Rec
from connectors.kit.errors import BadSettings, Unsupported
from connectors.kit.table import DECIMAL_TEXT, Table, Unreadable, Wire, to_canon, to_wire

Props = Mapping[str, str | None]
ADDRESS = "addresses.billing"
_ADDRESS_PARTS = ("address", "address2", "city", "state", "zip", "country")
_PLAIN_TEXT = frozenset({FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.CODE, FieldType.REF})
MERGED = "hs_merged_object_ids"

_STANDARD: dict[str, tuple[Wire, ...]] = {
    "company": (
        Wire("legal_name", "name"),
        Wire("phone", "phone"),
        Wire("website", "domain"),
        Wire("owner", "hubspot_owner_id", writable=False),
    ),
    "contact": (
        Wire("emails.general", "email"),
        Wire("phone", "phone"),
        Wire("owner", "hubspot_owner_id", writable=False),
    ),
    "product": (
        Wire("name", "name"),
        Wire("sku", "hs_sku"),
        Wire("description", "description"),
        Wire("cost", "hs_cost_of_goods_sold", DECIMAL_TEXT),
    ),
    "deal": (
        Wire("name", "dealname"),
        Wire("stage", "dealstage", writable=False),
        Wire("owner", "hubspot_owner_id", writable=False),
    ),
    "line_item": (),
}

# What is read beside the table, because one canonical value is made of several properties.
_COMPOSED: dict[str, tuple[str, ...]] = {
    "company": (*_ADDRESS_PARTS, MERGED),
    "contact": (
        "firstname",
        "lastname",
        *(part for part in _ADDRESS_PARTS if part != "address2"),
        "associatedcompanyid",
        MERGED,
    ),
    "product": ("price",),
    "deal": (
        "amount",
        "deal_currency_code",
        "closedate",
        "pipeline",
        "hs_is_closed",
        "hs_is_closed_won",
        MERGED,
    ),
    "line_item": (
        "name",
        "description",
        "quantity",
        "price",
        "amount",
        "discount",
        "hs_discount_percentage",
        "hs_product_id",
        "hs_line_item_currency_code",
        "hs_position_on_quote",
    ),
}


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What is read and written of one object type. `custom` are the account's own properties, told as
    `properties.x`; `wires` is canonical path -> property of the plain fields; `names` is everything a read asks
    for."""

    object: CrmObject
    kind: Kind
    table: Table
    wires: dict[str, str]
    custom: tuple[str, ...]
    names: tuple[str, ...]

    def field_of(self, wire: str) -> str:
        """The canonical path that a property belongs to: what a person is told when HubSpot refuses it."""
        if wire in ("firstname", "lastname"):
            return "legal_name"
        if wire in _ADDRESS_PARTS and self.kind is Kind.CUSTOMER:
            return ADDRESS
        if wire in ("price", "amount"):
            return wire
        return next((path for path, name in self.wires.items() if name == wire), f"properties.{wire}")

    def made_of(self, path: str) -> tuple[str, ...]:
        """The properties that a canonical path is read from and written to; none: it has no place here."""
        if path.startswith("properties."):
            name = path.removeprefix("properties.")
            return (name,) if name in self.custom else ()
        if path == ADDRESS and self.kind is Kind.CUSTOMER:
            return tuple(part for part in _ADDRESS_PARTS if part in self.names)
        if path == "legal_name" and self.object is CONTACT:
            return ("firstname", "lastname")
        if path == "price" and self.object is PRODUCT:
            return ("price",)
        return (self.wires[path],) if path in self.wires else ()


def parse_properties(text: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """`company:ap_email=emails.billing,vat_id;deal:po` -> object -> (property, canonical path) pairs. Raises
    BadSettings."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, colon, listed = part.partition(":")
        name = name.strip()
        if not colon or name not in CRM_OBJECTS:
            raise BadSettings(
                f"The setting properties names {name!r}: say company, contact, product or deal, then a colon.",
                system="hubspot",
            )
        names = filter(None, (n.strip() for n in listed.split(",")))
        found[name] = found.get(name, ()) + tuple(_extra(KIND_OF[name], n) for n in names)
    return found


def _extra(kind: Kind, text: str) -> tuple[str, str]:
    name, equals, path = (part.strip() for part in text.partition("="))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise BadSettings(f"{name!r} is no HubSpot property name.", system="hubspot")
    if not equals:
        return name, f"properties.{name}"
    path = canonical_path(kind, path)
    if FIELDS[kind].get(path) not in _PLAIN_TEXT:
        raise BadSettings(f"The property {name} cannot stand for {path!r}: that is no text field.", system="hubspot")
    return name, path


def shape_of(crm_object: CrmObject, extras: tuple[tuple[str, str], ...] = ()) -> Shape:
    """The shape of one object type. An extra property that stands for a canonical field takes the place of the
    standard one."""
    custom = tuple(name for name, path in extras if path == f"properties.{name}")
    moved = [Wire(path, name) for name, path in extras if path != f"properties.{name}"]
    taken = {wire.path for wire in moved}
    standard = [wire for wire in _STANDARD[crm_object.name] if wire.path not in taken]
    table = Table([*standard, *moved], missing="empty", empty="")
    composed = _COMPOSED[crm_object.name]
    names = (*table.names, *composed, *custom, MARKER, crm_object.modified)
    return Shape(
        object=crm_object,
        kind=KIND_OF[crm_object.name],
        table=table,
        wires={wire.path: wire.wire for wire in (*standard, *moved)},
        custom=custom,
        names=tuple(dict.fromkeys(names)),
    )


# --------------------------------------------------------------------------- values


def instant(text: str | None) -> datetime | None:
    """An instant as HubSpot writes it: ISO 8601, or epoch milliseconds."""
    if text is None or text == "":
        return None
    if text.lstrip("-").isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    return datetime.fromisoformat(text).astimezone(UTC)


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds, rounded down."""
    return int(moment.timestamp() * 1000)


def number(name: str, text: str | None) -> Decimal | None:
    """An exact number; None if empty. Raises Unreadable."""
    if text is None or text == "":
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Unreadable(name, name, f"{text!r} is no number") from None
    if not value.is_finite():
        raise Unreadable(name, name, f"{text!r} is no finite number")
    return value


_MORE_COUNTRIES = {
    "usa": "US",
    "united states of america": "US",
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "the netherlands": "NL",
    "czech republic": "CZ",
}


@cache
def _countries() -> dict[str, str]:
    names = {code: name for code, name in Locale("en").territories.items() if len(code) == 2 and code.isalpha()}
    return {**{name.casefold(): code for code, name in names.items()}, **_MORE_COUNTRIES}


@cache
def country_code(text: str) -> str:
    """ISO 3166-1 alpha-2 for an English country name; what is no known name stays as it is."""
    if len(text) == 2 and text.isalpha():
        return text.upper()
    return _countries().get(text.strip().casefold(), text)


@cache
def country_name(code: str) -> str:
    """The English name HubSpot shows for a country code; other text stays as it is."""
    name: str = Locale("en").territories.get(code, code)
    return name


def address(props: Props) -> Address | None:
    """The one address a HubSpot record has. An address of empty parts is None."""
    get = props.get
    first, second, city, state = get("address"), get("address2"), get("city"), get("state")
    postcode, country = get("zip"), get("country")
    if not (first or second or city or state or postcode or country):  # text parts: "" is empty too
        return None
    return Address(
        lines=tuple(line for line in (first, second) if line),
        city=city or None,
        region=state or None,
        postcode=postcode or None,
        country=country_code(country) if country else None,
    )


def address_parts(value: Address | None, *, second_line: bool) -> dict[str, str]:
    """The properties of an address. What has no place of its own (a third line) goes behind the last line."""
    if value is None:
        value = Address()
    first = value.lines[:1] if second_line else value.lines
    parts = {
        "address": ", ".join(first),
        "city": value.city or "",
        "state": value.region or "",
        "zip": value.postcode or "",
        "country": country_name(value.country) if value.country else "",
    }
    if second_line:
        parts["address2"] = ", ".join(value.lines[1:])
    return parts


def changed_parts(before: Value, after: Value, *, second_line: bool) -> dict[str, str]:
    """Only the parts that an update changes: a country that a person spelt in their own way stays."""
    wanted = address_parts(_as_address(after), second_line=second_line)
    if before is ABSENT:
        return wanted
    known = address_parts(_as_address(before), second_line=second_line)
    return {part: text for part, text in wanted.items() if text != known[part]}


def _as_address(value: Value) -> Address | None:
    if value is None or isinstance(value, Address):
        return value
    raise Unsupported("an address is wanted", system="hubspot")


def full_name(props: Props) -> str | None:
    """A contact's name; None if it has none."""
    first, last = props.get("firstname"), props.get("lastname")
    return " ".join(part.strip() for part in (first, last) if part is not None and part.strip()) or None


def split_name(name: str | None) -> dict[str, str]:
    """First and last name: the last word is the last name. `full_name` of it is the name again."""
    first, _, last = (name or "").strip().rpartition(" ")
    return {"firstname": first.strip(), "lastname": last}


def property_text(value: Value) -> str:
    """A value as HubSpot takes it in a property of any type. Empty clears."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case Money() | Price():
            return format(value.amount, "f")
        case str() | int():
            return str(value)
    raise Unsupported(f"a {type(value).__name__} has no place in one HubSpot property", system="hubspot")


# --------------------------------------------------------------------------- records


def own_properties(shape: Shape, props: Props) -> dict[str, str | None]:
    """The account's own properties that were told. One that is gone or hidden is left out: ABSENT."""
    return {name: props[name] or None for name in shape.custom if name in props} if shape.custom else {}


def _plain(shape: Shape, props: Props) -> dict[str, Value]:
    return to_canon(shape.table, props)


def _stamps(rec: Rec) -> dict[str, Any]:
    return {
        "version": rec.updated_at,
        "created_at": instant(rec.created_at),
        "updated_at": instant(rec.updated_at),
        "marker": rec.properties.get(MARKER) or None,
    }


def _roles(fields: Mapping[str, Value], head: str) -> dict[str, Any]:
    start = f"{head}."
    return {path[len(start) :]: value for path, value in fields.items() if path.startswith(start)}


def customer(shape: Shape, rec: Rec) -> Customer:
    """A company or a contact as a customer, its people left open. Raises Unreadable."""
    props = rec.properties
    fields = {path: value for path, value in _plain(shape, props).items() if value is not ABSENT}
    person = shape.object is CONTACT
    if person:
        fields["legal_name"] = full_name(props)
    attributes = {path: value for path, value in fields.items() if "." not in path}
    return Customer(
        ref=ref_of(shape.object, rec.id),
        is_person=person,
        emails=_roles(fields, "emails"),
        addresses={"billing": address(props)},
        properties=own_properties(shape, props),
        **_stamps(rec),
        **attributes,  # type: ignore[arg-type]  # the table's paths are the record's fields
    )


def item(shape: Shape, rec: Rec, currency: str | None) -> Item:
    """A product. Its price is in the company's currency. Raises Unreadable."""
    props = rec.properties
    fields = {path: value for path, value in _plain(shape, props).items() if value is not ABSENT}
    amount = number("price", props.get("price"))
    fields["price"] = Price(amount, currency) if amount is not None else None
    return Item(
        ref=rec.id,
        properties=own_properties(shape, props),
        **_stamps(rec),
        **fields,  # type: ignore[arg-type]  # the table's paths are the record's fields
    )


def deal_fields(shape: Shape, rec: Rec) -> dict[str, Any]:
    """A deal's plain fields and stamps, as arguments of Deal. Raises Unreadable."""
    fields = {path: value for path, value in _plain(shape, rec.properties).items() if value is not ABSENT}
    return {"ref": rec.id, "properties": own_properties(shape, rec.properties), **_stamps(rec), **fields}


def value_of(shape: Shape, rec: Rec, path: str, currency: str | None) -> Value:
    """One field of a record of which only the properties are told that it is made of. Raises Unreadable."""
    if shape.kind is Kind.ITEM:
        return read(item(shape, rec, currency), path)
    if shape.kind is Kind.DEAL:
        return read(Deal(**deal_fields(shape, rec)), path)
    return read(customer(shape, rec), path)


def deal_line(rec: Rec) -> DealLine:
    """A line item. A missing quantity is one, as HubSpot itself counts it. Raises Unreadable."""
    props = rec.properties
    qty, price = number("quantity", props.get("quantity")), number("price", props.get("price"))
    net = number("amount", props.get("amount"))
    return DealLine(
        key=rec.id,
        item=props.get("hs_product_id") or None,
        item_name=props.get("name") or None,
        text=props.get("description") or None,
        qty=Decimal(1) if qty is None else qty,
        unit_price=Decimal(0) if price is None else price,
        net=ABSENT if net is None else net,
        currency=props.get("hs_line_item_currency_code") or None,
        discount=line_discount(props),
    )


def line_discount(props: Props) -> Discount | None:
    """The percentage if there is one, else the amount per unit; HubSpot keeps both and means one."""
    percent = number("hs_discount_percentage", props.get("hs_discount_percentage"))
    if percent is not None and percent != 0:
        return Discount("percent", percent)
    amount = number("discount", props.get("discount"))
    if amount is not None and amount != 0:
        return Discount("per_unit", amount)
    return None


# --------------------------------------------------------------------------- refs and writes


def ref_of(crm_object: CrmObject, id_: str | int) -> str:
    """The ref of a record: contacts carry their type, because company 51 and contact 51 are two customers."""
    return f"contact:{id_}" if crm_object is CONTACT else str(id_)


def object_of(kind: Kind, ref: str) -> tuple[CrmObject, str]:
    """The object type and HubSpot's id behind a ref. `company:12` is read as `12`."""
    name, colon, id_ = ref.partition(":")
    plain = {Kind.CUSTOMER: COMPANY, Kind.ITEM: PRODUCT, Kind.DEAL: DEAL}.get(kind)
    found = CRM_OBJECTS.get(name) if colon else plain
    if found is None or KIND_OF[found.name] is not kind:
        raise Unsupported(f"{ref!r} is no ref of a {kind} here", system="hubspot", ref=ref)
    return found, id_ if colon else ref


def to_properties(
    shape: Shape, values: Mapping[str, Value], before: Mapping[str, Value] | None = None
) -> dict[str, str]:
    """The properties that set these canonical fields and no others. Raises Unsupported for one that HubSpot has
    no place for."""
    plain: dict[str, Value] = {}
    properties: dict[str, str] = {}
    for path, value in values.items():
        if value is ABSENT:
            continue
        composed = _composed(shape, path, value, (before or {}).get(path, ABSENT))
        if composed is None:
            plain[path] = value
        else:
            properties.update(composed)
    return {**to_wire(shape.table, plain), **properties}


def _composed(shape: Shape, path: str, value: Value, before: Value) -> dict[str, str] | None:
    if path.startswith("properties."):
        return {path.removeprefix("properties."): property_text(value)}
    if path == ADDRESS and shape.kind is Kind.CUSTOMER:
        return changed_parts(before, value, second_line=shape.object is COMPANY)
    if path == "legal_name" and shape.object is CONTACT:
        return split_name(value if isinstance(value, str) else None)
    if path == "price" and shape.object is PRODUCT:
        return {"price": property_text(value)}
    return None


def record_values(shape: Shape, record: Customer | Item) -> dict[str, Value]:
    """What of a new record HubSpot has a place for: empty fields are left out, foreign ones too."""
    paths = [path for path in shape.wires if path in shape.table.writable]
    paths += [ADDRESS, "legal_name"] if shape.kind is Kind.CUSTOMER else ["price"]
    values: dict[str, Value] = {f"properties.{name}": value for name, value in record.properties.items()}
    for path in dict.fromkeys(paths):
        head, _, role = path.partition(".")
        whole: Any = getattr(record, head)
        values[path] = whole.get(role, ABSENT) if role else whole
    return {path: value for path, value in values.items() if value is not None and value is not ABSENT}
