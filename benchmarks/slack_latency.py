"""How soon the bot answers in Slack while its worker is busy: `tieout run` (a bot process and a worker process) in
Socket Mode against Slack's sandbox, HubSpot and QuickBooks in processes of their own, all on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks import accounts, made_up
from benchmarks.apart import Vendor, measured, vendor
from benchmarks.figures import Figure, figure
from benchmarks.first_sync import populate
from bot import ids
from bot.sandbox import Message, SlackSandbox
from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.sandbox.faults import delay
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.registry import CONNECTORS
from worker.api import ChannelApi, Messages
from worker.api.views import PairView
from worker.house import open_house
from worker.settings import WorkerSettings

_PHONE = "{crm: phone, books: phone, authority: crm}"
_NEW_IN_CRM, _NEW_IN_BOOKS = "+1 212-555-0177", "+1 212-555-0188"
ROOM, PERSON, ADMIN = "finance", "operator", "admin"
ACK_AIM_MS = 100.0
LOOK_S = 0.02
PATIENCE_S = 120.0


class Size(msgspec.Struct, frozen=True):
    """Customers that the bulk run creates; slash commands a second, and seconds of them; presses of each kind; seconds
    that QuickBooks takes for a batch. No more than 10,000 with the presses: `made_up` has twins beyond, which are
    questions and not creations."""

    customers: int = 9_900
    rate: int = 50
    seconds: float = 10.0
    presses: int = 5
    batch_s: float = 0.2


FULL, SMALL = Size(), Size(1_500, 20, 1.0, 2, 0.3)


class Failed(Exception):
    """Bot or worker did not do their part; the message says which."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What is at work. `api` and `messages` are a client's look at the worker's database."""

    slack: SlackSandbox
    crm: Vendor
    books: Vendor
    api: ChannelApi
    messages: Messages
    pair: PairView


class Acknowledged(msgspec.Struct, frozen=True):
    """Milliseconds until each command was acknowledged, how many were not, and whether the bulk run outlasted them."""

    ms: Sequence[float]
    failed: int
    outlasted: bool


class Written(msgspec.Struct, frozen=True):
    """Of each press: seconds until the books had it, and how many of the bulk run's customers they had by then. The
    bulk run had not ended at any of them, and took `bulk_s` seconds in all."""

    seconds: Sequence[float]
    made: Sequence[int]
    bulk_s: float


def measure(size: Size) -> list[Figure]:
    """All three on the same pair: what happens while a bulk run is at work, and what when it is over."""
    return measured(answers, size).value


async def answers(size: Size) -> list[Figure]:
    async with _scene() as scene:
        await _in_conflict(scene, size)
        started, run_id = time.perf_counter(), await _begin_backfill(scene, size)
        acknowledged = await _commands(scene, size, run_id)
        written = await _during_backfill(scene, size, run_id, started)
        await _quiet(scene)
        scene.books.do(be_quick)
        edited = [await _press(scene, size.customers + n) for n in range(size.presses)]
    return [*_ack_figures(acknowledged, size), *_press_figures(edited, written, size)]


def _ack_figures(found: Acknowledged, size: Size) -> list[Figure]:
    how = "" if found.outlasted else ", the bulk run ended before"
    note = f"{len(found.ms)} commands at {size.rate} a second, {size.customers} customers being made{how}"
    return [
        figure("acknowledgement, p50", statistics.median(found.ms), "ms", None, note),
        figure("acknowledgement, p99", _ranked(found.ms, 0.99), "ms", ACK_AIM_MS, note),
        figure("acknowledgement, max", max(found.ms), "ms", None, note),
        figure("commands without acknowledgement", found.failed, "commands", None, "within Slack's three seconds"),
    ]


def _press_figures(edited: Sequence[float], written: Written, size: Size) -> list[Figure]:
    quiet = f"{len(edited)} presses of Apply, one customer each, nothing else at work"
    made = ", ".join(f"{number:,}" for number in written.made)
    during = f"the books had {made} of {size.customers:,} customers by then; the bulk run took {written.bulk_s:.0f} s"
    return [
        figure("press to edited message, p50", statistics.median(edited), "s", None, quiet),
        figure("press to edited message, max", max(edited), "s", None, quiet),
        figure("press during a bulk apply to write, p50", statistics.median(written.seconds), "s", None, during),
        figure("press during a bulk apply to write, max", max(written.seconds), "s", None, during),
    ]


def _ranked(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


# --------------------------------------------------------------------------- what is measured


async def _in_conflict(scene: Scene, size: Size) -> None:
    """Customers that are linked, and whose phone then changes on both sides: so many questions."""
    numbers = [_asked_about(size, n) for n in range(size.presses)]
    for number in numbers:
        scene.crm.do(add_one, number)
    previewed = await scene.api.wait(await scene.api.ask(scene.pair.id, "preview", "benchmark"))
    plan = await scene.api.plan(previewed.plan_id or "", 1)
    await scene.api.wait(await scene.api.apply(plan.id, plan.fingerprint, "benchmark", confirm_held=True))
    for number in numbers:
        scene.crm.do(call_crm, number)
        scene.books.do(call_books, number)


def _asked_about(size: Size, n: int) -> int:
    return size.customers + size.presses + n


async def _begin_backfill(scene: Scene, size: Size) -> str:
    """A first apply of thousands, in the bulk lane; QuickBooks takes its time for each batch. The run's id."""
    scene.crm.do(populate, size.customers)
    scene.books.do(be_slow, size.batch_s)
    previewed = await scene.api.wait(await scene.api.ask(scene.pair.id, "preview", "benchmark"))
    plan = await scene.api.plan(previewed.plan_id or "", 1)
    run_id = await scene.api.apply(plan.id, plan.fingerprint, "benchmark", confirm_held=True, lane="bulk")
    await _running(scene, run_id)
    return run_id


async def _commands(scene: Scene, size: Size, run_id: str) -> Acknowledged:
    """`/tieout status`, at a steady rate whatever the answers take, while the apply runs in the bulk lane."""
    started, sent = time.perf_counter(), []
    for n in range(round(size.rate * size.seconds)):
        await asyncio.sleep(max(0.0, started + n / size.rate - time.perf_counter()))
        sent.append(asyncio.create_task(_acknowledged(scene.slack)))
    took = await asyncio.gather(*sent)
    outlasted = not (await scene.api.run(run_id)).over
    return Acknowledged([ms for ms in took if ms is not None], took.count(None), outlasted)


async def _acknowledged(slack: SlackSandbox) -> float | None:
    """Milliseconds from typing to the acknowledgement; None: there was none in time."""
    started = time.perf_counter()
    outcome = await slack.command(PERSON, ROOM, "/tieout status")
    return (time.perf_counter() - started) * 1000 if outcome.trouble is None else None


async def _press(scene: Scene, number: int) -> float:
    """Seconds from pressing Apply until the message shows what became of it."""
    shown = await _previewed(scene, number)
    started = time.perf_counter()
    await _apply(scene, shown)
    await scene.slack.wait_for(lambda: not _offers_apply(_now(scene, shown)) or None, PATIENCE_S)
    took = time.perf_counter() - started
    await _quiet(scene)
    return took


async def _during_backfill(scene: Scene, size: Size, run_id: str, started: float) -> Written:
    """Somebody answers questions while the bulk apply goes on: *Keep HubSpot*, until QuickBooks has that number.
    Raises Failed if the bulk run was over before the write."""
    seconds, made = [], []
    for n in range(size.presses):
        number = _asked_about(size, n)
        message, action = await _card(scene, made_up.name(number))
        pressed = time.perf_counter()
        outcome = await scene.slack.press(ADMIN, message.ts, action)
        if outcome.trouble is not None:
            raise Failed(f"the press was not acknowledged: {outcome.trouble}")
        await _until(lambda number=number: asyncio.to_thread(scene.books.do, was_called, number))  # type: ignore[misc]  # it is bound at once
        seconds.append(time.perf_counter() - pressed)
        if (await scene.api.run(run_id)).over:
            raise Failed("the bulk run was over before the answer was written: give it more customers")
        made.append(scene.books.do(count_customers) - size.presses)
        await _goes_on(scene)
    ended = await scene.api.wait(run_id)
    if ended.outcome.get("done") != size.customers:
        raise Failed(f"the bulk run ended {ended.state}: {ended.outcome} {ended.error}")
    return Written(seconds, made, time.perf_counter() - started)


async def _goes_on(scene: Scene) -> None:
    """The bulk run is at work again: the next press finds it so."""
    before = scene.books.do(count_customers)

    async def more() -> bool:
        return await asyncio.to_thread(scene.books.do, count_customers) > before

    await _until(more)


async def _card(scene: Scene, name: str) -> tuple[Message, str]:
    """The open card about a customer, and its button that keeps the CRM's value."""

    def found() -> tuple[Message, str] | None:
        for message in scene.slack.messages(ROOM):
            elements = [e for block in message.blocks if block["type"] == "actions" for e in block["elements"]]
            keeps = [e["action_id"] for e in elements if ids.verb_of(e["action_id"]) == ids.KEEP_CRM]
            if keeps and name in str(message.blocks):
                return message, keeps[0]
        return None

    return await scene.slack.wait_for(found, PATIENCE_S)


# --------------------------------------------------------------------------- what people do


async def _previewed(scene: Scene, number: int) -> Message:
    """One new company in the CRM, and the message that offers to apply it."""
    await asyncio.to_thread(scene.crm.do, add_one, number)
    before = {message.ts for message in scene.slack.messages(ROOM)}
    await scene.slack.command(PERSON, ROOM, "/tieout preview")

    def shown() -> Message | None:
        return next((m for m in scene.slack.messages(ROOM) if m.ts not in before and _offers_apply(m)), None)

    found = await scene.slack.wait_for(shown, PATIENCE_S)
    await _quiet(scene)
    return found


async def _apply(scene: Scene, message: Message) -> None:
    outcome = await scene.slack.press(ADMIN, message.ts, ids.APPLY)
    if outcome.trouble is not None:
        raise Failed(f"the press was not acknowledged: {outcome.trouble}")


def _now(scene: Scene, message: Message) -> Message:
    return next(each for each in scene.slack.messages(ROOM) if each.ts == message.ts)


def _offers_apply(message: Message) -> bool:
    elements = [e for block in message.blocks if block["type"] == "actions" for e in block["elements"]]
    return any(ids.verb_of(element["action_id"]) == ids.APPLY for element in elements)


def add_one(sandbox: HubSpotSandbox, number: int) -> None:
    sandbox.add_company(made_up.name(number), phone=made_up.phone(number), zip=made_up.postcode(number))
    sandbox.clock.advance(3600)


def _company_of(sandbox: HubSpotSandbox, number: int) -> str:
    named = made_up.name(number)
    return next(i for i in sandbox.ids("companies") if sandbox.record("companies", i).properties["name"] == named)


def call_crm(sandbox: HubSpotSandbox, number: int) -> None:
    sandbox.edit("companies", _company_of(sandbox, number), phone=_NEW_IN_CRM)
    sandbox.clock.advance(3600)


def call_books(sandbox: QuickBooksSandbox, number: int) -> None:
    sandbox.edit("Customer", made_up.name(number), phone=_NEW_IN_BOOKS)


def was_called(sandbox: QuickBooksSandbox, number: int) -> bool:
    """Whether the books have the CRM's new number."""
    row = sandbox.company.named("Customer", made_up.name(number))
    return row is not None and "5550177" in re.sub(r"\D", "", str(row.get("PrimaryPhone")))


def count_customers(sandbox: QuickBooksSandbox) -> int:
    return len(sandbox.company.rows["Customer"])


def be_slow(sandbox: QuickBooksSandbox, seconds: float) -> None:
    sandbox.faults.add(delay(seconds, "POST", "/batch", times=None))


def be_quick(sandbox: QuickBooksSandbox) -> None:
    sandbox.faults.clear()


# --------------------------------------------------------------------------- waiting


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await condition():
                return
            await asyncio.sleep(LOOK_S)


async def _running(scene: Scene, run_id: str) -> None:
    async def begun() -> bool:
        return (await scene.api.run(run_id)).state != "queued"

    await _until(begun)


async def _quiet(scene: Scene) -> None:
    """Every run is over and every letter was delivered."""

    async def rests() -> bool:
        over = all(each.run.over for each in await scene.api.history(scene.pair.id, 5))
        return over and not set(await scene.messages.counts()) - {"refused"}

    await _until(rests)


# --------------------------------------------------------------------------- setting up


@contextlib.asynccontextmanager
async def _scene() -> AsyncIterator[Scene]:
    with tempfile.TemporaryDirectory() as named, vendor("hubspot") as crm, vendor("quickbooks") as books:
        settings = WorkerSettings(data=Path(named), database_url=None, redis_url=None)
        async with SlackSandbox(limits=False) as slack:
            pair = await _paired(settings, slack, crm, books)
            async with _tieout_run(settings.data, slack), open_house(settings, CONNECTORS, work=False) as house:
                api, messages = ChannelApi(house), Messages(house)
                yield Scene(slack=slack, crm=crm, books=books, api=api, messages=messages, pair=pair)


async def _paired(settings: WorkerSettings, slack: SlackSandbox, crm: Vendor, books: Vendor) -> PairView:
    """Connected, paired, and bound to the channel, before anybody works."""
    async with open_house(settings, CONNECTORS, work=False) as house:
        api = ChannelApi(house)
        for slug, login in (("hubspot", crm.do(accounts.hubspot)), ("quickbooks", books.do(accounts.quickbooks))):
            await api.connect(slug, login.settings, login.token)
        text = accounts.mapping("hubspot", "quickbooks", email=False).replace(
            _PHONE, _PHONE.replace(": crm}", ": ask}")
        )
        pair = await api.pair(text, "benchmark.yaml", "benchmark")
        return await api.bind(pair.id, slack.world.channel(ROOM).id, "benchmark")


@contextlib.asynccontextmanager
async def _tieout_run(data: Path, slack: SlackSandbox) -> AsyncIterator[None]:
    """`tieout run` as a person starts it; it starts its worker, and ends it when it is ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIEOUT_", "SLACK_"))}
    env = {
        **kept,
        "TIEOUT_DATA": str(data),
        "TIEOUT_SLACK_URL": slack.api_url,
        "TIEOUT_PORT": "0",
        "TIEOUT_ADMINS": slack.world.user(ADMIN).id,
        "SLACK_BOT_TOKEN": slack.app.bot_token,
        "SLACK_APP_TOKEN": slack.app.app_token,
    }
    words = (sys.executable, "-m", "bot.cli", "run")
    process = await asyncio.create_subprocess_exec(*words, env=env, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while slack.sockets.count == 0:
                if process.returncode is not None:
                    raise Failed(f"tieout run ended with {process.returncode}")
                await asyncio.sleep(LOOK_S)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()  # an interrupt is ignored where this was started in the background
        await process.wait()
