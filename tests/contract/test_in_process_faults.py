"""What goes wrong where there is no wire: a folder of files, and the reference connector's own script."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.canon.fields import read
from connectors.canon.records import Customer, Kind
from connectors.csv import connector as csv_connector
from connectors.csv.table import store
from connectors.kit.contract import Denied, Done, InDoubt, Moved, NotSent, Update
from connectors.kit.errors import BadSettings, NotAllowed, Reconnect, TryLater
from connectors.memory.faults import Fault, Point, What
from tests.contract.clauses import creating, cursor_after, got, one, pages, seen, updating
from tests.contract.csv_harness import CsvHarness
from tests.contract.memory_harness import MemoryHarness

C = Kind.CUSTOMER


# --------------------------------------------------------------------------- a folder of files


@pytest.fixture
async def folder() -> AsyncIterator[CsvHarness]:
    h = CsvHarness()
    await h.start()
    yield h
    await h.close()


def _file(h: CsvHarness) -> Path:
    return h.folder / "accounts.csv"


async def test_a_file_cut_in_the_middle_deletes_nobody(folder: CsvHarness) -> None:
    """A copy that was not finished: the row that was cut is reported, and what is missing is not told as gone, for the
    listing does not say that it is complete."""
    for name in ("One", "Two", "Three"):
        await folder.person_adds(C, name)
    whole = await pages(folder.connector, C, None)
    text = _file(folder).read_text()
    _file(folder).write_text(text[: text.index("Three")] + '"Thr')
    cut = await pages(folder.connector, C, cursor_after(whole, C))
    assert (C in whole[-1].scanned, C in cut[-1].scanned) == (True, False)
    assert (2, 1, []) == (len(seen(cut)), sum(len(p.bad) for p in cut), [s for p in cut for s in p.gone])


async def test_a_file_replaced_under_a_listing_is_told_anew(folder: CsvHarness) -> None:
    """Somebody saves another export between two pages: the pages are of one file, and the next look sees the other."""
    rows = "".join(f"{n},Name {n} Ltd,medical,\n" for n in range(1, 1501))
    header = _file(folder).read_text()
    _file(folder).write_text(header + rows)
    listing = folder.connector.changes({C: None})
    first = await anext(listing)
    _file(folder).write_text(header + rows.replace("Ltd", "Limited"))
    rest = [page async for page in listing]
    told = seen([first, *rest])
    assert {"Ltd"} == {str(read(record, "legal_name")).rpartition(" ")[2] for record in told.values()}
    after = await pages(folder.connector, C, cursor_after(rest, C))
    assert (1500, {"Limited"}) == (
        len(seen(after)),
        {str(read(record, "legal_name")).rpartition(" ")[2] for record in seen(after).values()},
    )


@pytest.mark.parametrize(
    ("number", "next_"), [(errno.ENOSPC, "wait"), (errno.EIO, "wait"), (errno.EACCES, "allow"), (errno.EPERM, "allow")]
)
async def test_a_disk_that_fails_while_we_write_has_written_nothing(
    folder: CsvHarness, monkeypatch: pytest.MonkeyPatch, number: int, next_: str
) -> None:
    """Nothing half is left: a full disk is waited for, a right that is missing is asked for."""
    await folder.person_adds(C, "One")
    before = _file(folder).read_bytes()

    def failing(table: Any) -> None:
        raise OSError(number, "the disk says no")

    monkeypatch.setattr(csv_connector, "store", failing)
    outcome = await one(folder.connector, creating(folder.sample(C, "Two"), "m-two"))
    assert isinstance(outcome, NotSent), outcome
    assert (next_, before) == (outcome.next, _file(folder).read_bytes())
    monkeypatch.setattr(csv_connector, "store", store)
    assert isinstance(await one(folder.connector, creating(folder.sample(C, "Two"), "m-two")), Done)


@pytest.mark.parametrize(
    ("number", "error"), [(errno.EIO, TryLater), (errno.ESTALE, TryLater), (errno.EACCES, BadSettings)]
)
async def test_a_disk_that_fails_while_we_read_is_for_later(
    folder: CsvHarness, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    """A share that is away for a moment is asked again by itself; a file that we may not read is a setting."""

    def failing(path: Path) -> bytes:
        raise OSError(number, "the disk says no")

    monkeypatch.setattr(Path, "read_bytes", failing)
    with pytest.raises(error):
        await pages(folder.connector, C, None)


async def test_a_disk_that_fails_behind_a_write_does_not_undo_it(
    folder: CsvHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row stands; only what was stored cannot be told."""

    def written_then_lost(table: Any) -> None:
        store(table)
        monkeypatch.setattr(csv_connector, "read_table", lost)

    def lost(*told: Any) -> Any:
        raise TryLater("the share is away")

    monkeypatch.setattr(csv_connector, "store", written_then_lost)
    outcome = await one(folder.connector, creating(folder.sample(C, "Two"), "m-two"))
    assert isinstance(outcome, Done), outcome
    assert outcome.stored is None
    assert 1 == _file(folder).read_text().count("Two Ltd")


# --------------------------------------------------------------------------- the reference connector


@pytest.fixture
async def memory() -> AsyncIterator[MemoryHarness]:
    h = MemoryHarness()
    await h.start()
    yield h
    await h.close()


READS: dict[Point, Callable[[MemoryHarness], Awaitable[Any]]] = {
    "changes": lambda h: pages(h.connector, C, None),
    "get": lambda h: h.connector.get(C, [h.customer]),
    "find": lambda h: h.connector.find(C, "legal_name", ["Standing Customer"]),
    "by_marker": lambda h: h.connector.by_marker(C, ["m"]),
    "mark": lambda h: h.connector.mark(C),
    "created_since": lambda h: h.connector.created_since(C, "0"),
    "catalogue": lambda h: h.connector.catalogue(),
}
ERRORS: dict[What, type[Exception]] = {
    "throttle": TryLater,
    "expired": Reconnect,
    "forbidden": NotAllowed,
    "down": TryLater,
}


@pytest.mark.parametrize("what", ERRORS)
@pytest.mark.parametrize("point", READS)
async def test_a_read_raises_the_named_error_and_is_right_again(
    memory: MemoryHarness, point: Point, what: What
) -> None:
    """Once: the next one is answered as if nothing had been."""
    wanted = await READS[point](memory)
    memory.world.script.add(Fault(what=what, point=point))
    with pytest.raises(ERRORS[what]):
        await READS[point](memory)
    assert wanted == await READS[point](memory)


OUTCOMES: dict[What, tuple[type, int, int]] = {  # outcome, records after it, records a while later
    "lose": (InDoubt, 1, 1),
    "cut": (InDoubt, 0, 0),
    "doubt": (InDoubt, 0, 0),
    "late": (InDoubt, 0, 1),
    "down": (InDoubt, 0, 0),
    "refuse": (Denied, 0, 0),
    "stale": (Moved, 0, 0),
    "throttle": (NotSent, 0, 0),
    "expired": (NotSent, 0, 0),
    "forbidden": (NotSent, 0, 0),
}


@pytest.mark.parametrize("what", OUTCOMES)
async def test_a_create_is_sent_once_and_settled_by_the_probes(memory: MemoryHarness, what: What) -> None:
    """Both probes tell what the vendor did, also what it does later."""
    kind, now, later = OUTCOMES[what]
    mark, before = await memory.connector.mark(C), memory.write_calls()
    memory.world.script.add(Fault(what=what))
    outcome = await one(memory.connector, creating(memory.sample(C, "Probed"), "m-probed"))
    assert (kind, 1) == (type(outcome), memory.write_calls() - before)
    counted = []
    for wait_s in (31, 90):
        await memory.advance(wait_s)
        counted.append(len(await memory.connector.created_since(C, mark)))
    marked = (await memory.connector.by_marker(C, ["m-probed"])).get("m-probed", [])
    assert ([now, later], later) == (counted, len(marked))


@pytest.mark.parametrize("what", OUTCOMES)
async def test_an_update_is_as_before_or_as_after(memory: MemoryHarness, what: What) -> None:
    """Never in between: what it became is read by ref."""
    before = await got(memory, C, memory.customer)
    write: Update = updating(memory, C, before, "after")
    memory.world.script.add(Fault(what=what))
    outcome = await one(memory.connector, write)
    await memory.advance(121)
    record = await got(memory, C, memory.customer)
    assert isinstance(record, Customer)
    done = OUTCOMES[what][2] == 1
    assert (OUTCOMES[what][0], "after" if done else read(before, "notes")) == (type(outcome), record.notes)
