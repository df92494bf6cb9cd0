"""The page at `/`: what the portal holds, and a form to edit it by hand. Plain HTML, everything escaped."""

from __future__ import annotations

from html import escape

from connectors.hubspot.sandbox.catalogue import ObjectType
from connectors.hubspot.sandbox.index import Record
from connectors.hubspot.sandbox.portal import Portal
from connectors.hubspot.sandbox.table import Table

ROWS_MAX = 200
COLUMNS = {
    "companies": ("name", "domain", "phone", "address", "city", "zip", "country"),
    "deals": ("dealname", "amount", "deal_currency_code", "dealstage", "closedate"),
    "contacts": ("email", "firstname", "lastname", "phone"),
    "products": ("name", "price", "hs_sku", "description"),
    "line_items": ("name", "quantity", "price", "discount", "amount"),
}
_STYLE = (
    "body{font:14px system-ui;margin:2em}table{border-collapse:collapse;margin-bottom:2em}"
    "td,th{border:1px solid #ccc;padding:4px 8px;text-align:left}input{width:9em}"
)


def rendered(portal: Portal, message: str = "") -> str:
    """The whole page."""
    note = f"<p role='status'>{escape(message)}</p>" if message else ""
    tables = "".join(_table(portal.tables[name], columns) for name, columns in COLUMNS.items())
    title = f"HubSpot sandbox, portal {portal.account.portal_id}"
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{note}{tables}</html>"
    )


def _table(table: Table, columns: tuple[str, ...]) -> str:
    custom = tuple(p.name for p in table.catalogue.values() if not p.hubspot_defined and not p.archived)
    shown = (*columns, *custom)
    head = "".join(f"<th>{escape(name)}</th>" for name in ("id", *shown, ""))
    rows = "".join(_row(table, table.records[i], shown) for i in table.live[:ROWS_MAX])
    more = len(table.live) - ROWS_MAX
    rest = f"<p>and {more} more</p>" if more > 0 else ""
    return f"<h2>{escape(_heading(table.kind))}</h2><table><tr>{head}</tr>{rows}</table>{rest}"


def _heading(kind: ObjectType) -> str:
    return kind.inline.capitalize()


def _row(table: Table, record: Record, columns: tuple[str, ...]) -> str:
    form = f"edit-{table.kind.name}-{record.id}"
    cells = "".join(f"<td>{_cell(table, record, name, form)}</td>" for name in columns)
    hidden = (
        f"<form id='{form}' method='post' action='/_sandbox/edit'>"
        f"<input type='hidden' name='object' value='{escape(table.kind.name)}'>"
        f"<input type='hidden' name='id' value='{record.id}'><button>Save</button></form>"
    )
    return f"<tr><td>{record.id}</td>{cells}<td>{hidden}</td></tr>"


def _cell(table: Table, record: Record, name: str, form: str) -> str:
    prop, value = table.catalogue[name], record.properties.get(name, "")
    if prop.read_only or prop.calculated:
        return escape(value)
    label = escape(f"{name} of {table.kind.singular} {record.id}", quote=True)
    if prop.options:
        options = "".join(_option(option.value, option.label, value) for option in prop.options)
        blank = "<option value=''></option>"
        return f"<select form='{form}' name='{escape(name)}' aria-label='{label}'>{blank}{options}</select>"
    return f"<input form='{form}' name='{escape(name)}' value='{escape(value, quote=True)}' aria-label='{label}'>"


def _option(value: str, label: str, chosen: str) -> str:
    mark = " selected" if value == chosen else ""
    return f"<option value='{escape(value, quote=True)}'{mark}>{escape(label)}</option>"
