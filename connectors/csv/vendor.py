"""What a folder of CSV files is like: its facts."""

from __future__ import annotations

from connectors.canon.fields import FIELDS
from connectors.canon.records import Kind
from connectors.csv.fields import MARKER
from connectors.csv.layout import Layout, Sheet, base_path
from connectors.kit.contract import Facts, KindFacts, NoLogin, Setting, Unique

BATCH_WRITE = 500
PAGE = 1000


def _kind_facts(writable: frozenset[str]) -> KindFacts:
    return KindFacts(
        operations=frozenset({"create", "update"}),
        page=PAGE,
        batch_read=5000,
        batch_write=BATCH_WRITE,
        repeat=Unique("marker"),
        marker=MARKER,
        marker_searchable=True,
        probe_many=True,
        # A cancelled call's thread goes on until its one rename; a file of a gigabyte takes about a minute.
        lands_within_s=60,
        optimistic_lock=True,
        draft=False,
        delta="content",
        tombstones=False,
        writable=writable,
    )


def _writable(sheet: Sheet) -> frozenset[str]:
    paths = {base_path(path) for path, column in sheet.fields.items() if column != sheet.ref}
    return frozenset(paths | ({"status"} if sheet.stages and sheet.kind is Kind.DEAL else set()))


def facts_of(layout: Layout | None = None) -> Facts:
    """The facts of a folder; without a layout, those of a folder with a column for everything."""
    if layout is None:
        kinds = {kind: _kind_facts(frozenset(FIELDS[kind])) for kind in Kind}
    else:
        kinds = {kind: _kind_facts(_writable(sheet)) for kind, sheet in layout.sheets.items()}
    return Facts(
        system="csv",
        title="CSV files",
        sides=frozenset({"crm", "books"}),
        logins=(NoLogin(),),
        settings=(
            Setting("folder", "The folder that holds the files."),
            Setting("columns", "What stands in which column: the columns section of a mapping, as YAML or JSON."),
        ),
        kinds=kinds,
    )
