"""What the harness can catch: a loop over a vendor's plain create, without keys, without a word written down, killed
at each call and started again. On the same pretend vendor."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

from connectors.canon.records import Customer, Invoice, InvoiceLine, Kind
from connectors.kit.contract import Create
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld

INVOICES = 12


def naive() -> Sequence[tuple[str, str]]:
    """Kill the loop after each of its calls in turn; what a second run of it makes of that."""
    duplicates = lost = 0
    for calls in range(1, INVOICES + 1):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "books.jsonl"
            _set_up(path)
            for die_at in (calls, None):
                child = os.fork()
                if child == 0:
                    try:
                        _loop(path, die_at)
                    finally:
                        os._exit(0)
                os.waitpid(child, 0)
            made = _nets(path)
            duplicates += len(made) - len(set(made))
            lost += INVOICES - len(set(made))
    return [
        ("kills, one after each call", f"{INVOICES}"),
        ("invoices to be made each time", f"{INVOICES}"),
        ("duplicates", f"{duplicates}"),
        ("lost", f"{lost}"),
    ]


def _world(path: Path) -> MemoryWorld:
    return MemoryWorld("books", Knobs(batch_write=1), path=path)


def _set_up(path: Path) -> None:
    _world(path).add(Customer(ref="c1", legal_name="Alder"))


def _nets(path: Path) -> list[Decimal]:
    world = _world(path)
    return [record.net for record in world.all(Kind.INVOICE) if isinstance(record, Invoice)]  # type: ignore[misc]  # each has one


def _loop(path: Path, die_at: int | None) -> None:
    """Create every invoice. That it was killed before, it cannot know."""
    world = _world(path)
    for n in range(INVOICES):
        line = InvoiceLine(text="work", net=Decimal(100 + n), tax_code="NON")
        record = Invoice(customer="c1", date=date(2026, 11, 9), lines=(line,))
        with world.turn():
            world.execute((Create(record=record, marker="", key=""),), "")
        if n + 1 == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
