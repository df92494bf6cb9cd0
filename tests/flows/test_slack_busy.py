"""A store that is locked for longer than anybody waits for it: the bot's loops outlive it and deliver afterwards, and
who types or presses meanwhile is told."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from bot import post
from bot.errors import explain
from bot.sandbox import SlackSandbox, View
from bot.serve import Bot, running
from bot.tell import Sending
from bot.web.vendors import Hooks
from connectors.canon.records import Kind
from tests.flows.rig import Rig, deal
from tests.flows.slack_bench import ROOM, Bench, db_now, open_bench, settings_for
from worker.api import Webhooks
from worker.api.views import LetterView
from worker.store.tables import outbox, plans, runs

LOCKED = OperationalError("begin immediate", {}, sqlite3.OperationalError("database is locked"))


class Lock:
    """Somebody who holds the file's write lock, as a plan of thousands does while it is drawn."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)

    async def take(self) -> None:
        """As soon as nobody else holds it; they go on meanwhile."""
        await asyncio.to_thread(self._connection.execute, "begin immediate")

    def give(self) -> None:
        if self._connection.in_transaction:
            self._connection.rollback()

    def close(self) -> None:
        self.give()
        self._connection.close()


@pytest.fixture
def lock(rig: Rig, tmp_path: Path) -> Iterator[Lock]:
    held = Lock(tmp_path / "tieout.db")
    yield held
    held.close()


@pytest.fixture
async def hasty(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig whose store is waited for a twentieth of a second, where it is ten seconds otherwise."""
    await hurry(rig)
    monkeypatch.setattr("bot.patience.WAIT_S", 0.05)
    monkeypatch.setattr(post, "PROGRESS_S", 0.05)
    monkeypatch.setattr(post, "STORE_S", 0.05)
    return rig


async def hurry(rig: Rig) -> None:
    await rig.db.engine.dispose()
    event.listen(rig.db.engine.sync_engine, "connect", _hasty)


def _hasty(connection: Any, _: object) -> None:
    connection.execute("PRAGMA busy_timeout=50")


@pytest.fixture
async def alone(hasty: Rig) -> AsyncIterator[Bench]:
    """The bot with nobody who works: the runs of a test stay as it left them."""
    async with (
        SlackSandbox(limits=False) as slack,
        running(hasty.api._house, settings_for(slack), db_now(hasty)) as bot,
    ):
        slack.app.request_url = bot.events_url
        slack.app.scopes.add("chat:write.public")
        await bot.desk.api.bind(hasty.pair.name, slack.world.channel(ROOM).id, "tests")
        yield Bench(hasty, slack, bot)


async def said(logs: list[Any], name: str, times: int = 1) -> None:
    for _ in range(400):
        if [each["event"] for each in logs].count(name) >= times:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} was not logged")


async def tried(bot: Bot, name: str, times: int) -> None:
    """Until the bot has tried so often to do something with the outbox."""
    done, original = 0, getattr(bot.desk.messages, name)

    async def counted(*given: Any, **more: Any) -> Any:
        nonlocal done
        done += 1
        return await original(*given, **more)

    setattr(bot.desk.messages, name, counted)
    for _ in range(600):
        if done >= times:
            break
        await asyncio.sleep(0.02)
    setattr(bot.desk.messages, name, original)
    assert done >= times


@contextlib.contextmanager
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as found:
        yield found


def counted(logs: list[Any], name: str) -> int:
    return [each["event"] for each in logs].count(name)


# --------------------------------------------------------------------------- loops


async def test_letters_go_when_the_store_is_free_again(alone: Bench, lock: Lock) -> None:
    """However often it was tried meanwhile, the log has it once."""
    place = alone.slack.world.channel(ROOM).id
    with logged() as logs:
        await alone.messages_api.say(alone.rig.pair.id, place, "said:1", "plain", {"text": "Good morning"})
        await lock.take()
        await tried(alone.bot, "next", 4)
        assert (None, 1) == (alone.find("Good morning"), counted(logs, "sender.store_unreachable"))
        lock.give()
        await alone.until("Good morning")
        await said(logs, "sender.store_back")
    assert 1 == counted(logs, "sender.store_unreachable")


async def test_a_letter_that_was_sent_is_not_sent_again(
    alone: Bench, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on record as soon as the store takes it."""
    original = post.Sender._send

    async def sends_and_locks(self: post.Sender, letter: LetterView) -> str | None:
        ts = await original(self, letter)
        await lock.take()
        return ts

    monkeypatch.setattr(post.Sender, "_send", sends_and_locks)
    place = alone.slack.world.channel(ROOM).id
    with logged() as logs:
        await alone.messages_api.say(alone.rig.pair.id, place, "said:1", "plain", {"text": "Good morning"})
        await said(logs, "sender.store_unreachable")
        lock.give()
        await said(logs, "sender.store_back")
    assert ({"sent": 1}, 1) == (await states(alone), len([t for t in alone.texts() if "Good morning" in t]))


async def states(bench: Bench) -> dict[str, int]:
    async with bench.rig.db.read() as tx:
        found = [state for (state,) in await tx.rows(outbox.select().with_only_columns(outbox.c.state))]
    return {state: found.count(state) for state in sorted(set(found))}


async def test_a_letter_is_not_set_aside_because_the_store_was_busy(
    alone: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be put into words without it: that passes."""
    failed: list[int] = []
    original = alone.bot.desk.teller.tell

    async def fails_once(letter: LetterView) -> list[Sending]:
        if not failed:
            failed.append(letter.id)
            raise LOCKED
        return await original(letter)

    monkeypatch.setattr(alone.bot.desk.teller, "tell", fails_once)
    place = alone.slack.world.channel(ROOM).id
    await alone.messages_api.say(alone.rig.pair.id, place, "said:1", "plain", {"text": "Good morning"})
    await alone.until("Good morning")
    assert 1 == len(failed)


async def watched(bench: Bench, lock: Lock) -> str:
    """A run that is under way and watched, while the store is locked: its id."""
    run_id = await bench.rig.api.ask(bench.rig.pair.id, "preview", "tests", {})
    async with bench.rig.db.write() as tx:
        progress = '{"step":"Reading both sides","done":3,"total":9}'
        await tx.run(update(runs).where(runs.c.id == run_id).values(state="running", progress=progress))
    await lock.take()
    bench.bot.desk.sender.watch(run_id, bench.rig.pair.id, bench.slack.world.channel(ROOM).id, f"run:{run_id}")
    return run_id


async def test_the_watch_over_a_run_outlives_a_locked_store(alone: Bench, lock: Lock) -> None:
    """The progress comes when the store is free again."""
    with logged() as logs:
        await watched(alone, lock)
        await said(logs, "watch.store_unreachable")
        lock.give()
        await alone.until("3 of 9")
    assert 1 == counted(logs, "watch.store_unreachable")


async def test_saboteur_without_patience_the_watch_dies(
    alone: Bench, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any error would end it: nobody is told how far the run is."""
    monkeypatch.setattr("bot.patience.trouble", lambda _: None)
    run_id = await watched(alone, lock)
    await alone.poll(lambda: run_id not in alone.bot.desk.sender._watched)
    lock.give()
    assert None is alone.find("3 of 9")


# --------------------------------------------------------------------------- people


async def test_who_types_meanwhile_is_told(alone: Bench, lock: Lock) -> None:
    await lock.take()
    await alone.types("preview")
    await alone.until("Tieout's database is busy. Nothing was lost: try again in a moment", user="operator")
    lock.give()
    await alone.types("preview")
    await alone.becomes(lambda: alone.bot.desk.sender._watched or None)


async def test_who_presses_or_submits_meanwhile_is_told(rig: Rig, lock: Lock) -> None:
    """A modal has no address to answer to: they are told in the channel, alone. Nothing is applied."""
    async with open_bench(rig) as bench:
        crm, books = await rig.linked("Betatech", notes="old")
        rig.crm.add(deal(crm, "100.00"))
        rig.crm.edit(Kind.CUSTOMER, crm, notes="new")
        shown = await bench.previewed()
        await bench.presses("Choose...", shown)
        modal = await bench.becomes(lambda: bench.slack.modal("approver-1"))
        await hurry(rig)
        await lock.take()
        for number, act in enumerate((bench.presses("Discard", shown), submitted(bench, modal)), 1):
            await act
            await bench.becomes(lambda number=number: told_so(bench) == number)  # type: ignore[misc]  # bound early
        lock.give()
        assert ("open", "old") == (
            (await rig.api.plan(await open_plan(rig))).state,
            rig.see(rig.books, books).notes,
        )


async def submitted(bench: Bench, modal: View) -> None:
    await bench.slack.submit("approver-1", modal, {"chosen": ["books.customer.update"]})


def told_so(bench: Bench) -> int:
    return sum("Tieout's database is busy" in text for text in bench.texts("approver-1"))


async def open_plan(rig: Rig) -> str:
    async with rig.db.read() as tx:
        return str(await tx.scalar(plans.select().with_only_columns(plans.c.id).where(plans.c.state == "open")))


@pytest.mark.parametrize("error", [LOCKED, NoConnectionFree("QueuePool limit of size 4 overflow 8 reached")])
def test_what_a_busy_store_says_is_put_into_words(error: Exception) -> None:
    """Also where every connection waits for the one that writes."""
    assert "Tieout's database is busy. Nothing was lost: try again in a moment." == explain(error)


class BusyWebhooks(Webhooks):
    """A store that is locked when the call is to be stored."""

    async def take(self, *_: Any) -> None:
        raise LOCKED


async def test_a_vendor_that_calls_meanwhile_is_asked_to_call_again(rig: Rig) -> None:
    """503 is what HubSpot and Intuit send again after; the call is not taken for a bad one."""
    served = web.Application()
    Hooks(BusyWebhooks(rig.api._house)).serve(served, CollectorRegistry())
    async with TestClient(TestServer(served)) as vendor:
        answer = await vendor.post("/webhooks/cn_1", data=b"{}")
        assert (503, "try again\n") == (answer.status, await answer.text())
