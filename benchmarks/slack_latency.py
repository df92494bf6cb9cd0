"""How soon the bot answers in Slack while its worker is busy: `tieout run` (a bot process and a worker process) in
Socket Mode against Slack's sandbox, HubSpot and QuickBooks in processes of their own, all on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
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
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.registry import CONNECTORS
from worker.api import ChannelApi, Messages
from worker.api.views import PairView
from worker.house import open_house
from worker.settings import WorkerSettings

ROOM, PERSON, ADMIN = "finance", "operator", "admin"
ACK_AIM_MS = 100.0
LOOK_S = 0.02
PATIENCE_S = 120.0


class Size(msgspec.Struct, frozen=True):
    """Customers that the bulk run creates; slash commands a second, and seconds of them; presses of each kind. No more
    than 10,000 with the presses: `made_up` has twins beyond, which are questions and not creations."""

    customers: int = 9_900
    rate: int = 50
    seconds: float = 10.0
    presses: int = 5


FULL, SMALL = Size(), Size(200, 20, 1.0, 2)


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
    """Seconds until each press was in the books, and before how many of them the bulk run had not ended."""

    seconds: Sequence[float]
    during: int


def measure(size: Size) -> list[Figure]:
    """All three, one after the other, on the same pair."""
    return measured(answers, size).value


async def answers(size: Size) -> list[Figure]:
    async with _scene(size.customers) as scene:
        acknowledged = await _commands(scene, size)
        await _quiet(scene)
        edited = [await _press(scene, size.customers + n) for n in range(size.presses)]
        written = await _during_backfill(scene, size)
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
    during = f"{len(written.seconds)} presses, {written.during} written before the bulk run ended"
    return [
        figure("press to edited message, p50", statistics.median(edited), "s", None, quiet),
        figure("press to edited message, max", max(edited), "s", None, quiet),
        figure("press while a bulk sync reads to write, p50", statistics.median(written.seconds), "s", None, during),
        figure("press while a bulk sync reads to write, max", max(written.seconds), "s", None, during),
    ]


def _ranked(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


# --------------------------------------------------------------------------- what is measured


async def _commands(scene: Scene, size: Size) -> Acknowledged:
    """`/tieout status`, at a steady rate whatever the answers take, while the apply runs in the bulk lane."""
    previewed = await scene.api.wait(await scene.api.ask(scene.pair.id, "preview", "benchmark"))
    plan = await scene.api.plan(previewed.plan_id or "", 1)
    run_id = await scene.api.apply(plan.id, plan.fingerprint, "benchmark", confirm_held=True, lane="bulk")
    await _running(scene, run_id)
    started, sent = time.perf_counter(), []
    for n in range(round(size.rate * size.seconds)):
        await asyncio.sleep(max(0.0, started + n / size.rate - time.perf_counter()))
        sent.append(asyncio.create_task(_acknowledged(scene.slack)))
    took = await asyncio.gather(*sent)
    outlasted = not (await scene.api.run(run_id)).over
    ended = await scene.api.wait(run_id)
    if ended.outcome.get("done") != size.customers:
        raise Failed(f"the bulk run ended {ended.state}: {ended.outcome} {ended.error}")
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


async def _during_backfill(scene: Scene, size: Size) -> Written:
    """Every customer was touched in the CRM, in nothing that the mapping names, so a sync in the bulk lane reads all
    of them again; meanwhile somebody presses Apply on a plan that was shown before."""
    seconds, during = [], 0
    for n in range(size.presses):
        number = size.customers + size.presses + n
        shown = await _previewed(scene, number)
        await asyncio.to_thread(scene.crm.do, touch, f"touched {n}")
        run_id = await scene.api.ask(scene.pair.id, "sync", "benchmark", lane="bulk")
        await _running(scene, run_id)
        started = time.perf_counter()
        await _apply(scene, shown)
        await _in_books(scene, made_up.name(number))
        seconds.append(time.perf_counter() - started)
        during += not (await scene.api.run(run_id)).over
        await scene.api.wait(run_id)
        await _quiet(scene)
    return Written(seconds, during)


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


def touch(sandbox: HubSpotSandbox, text: str) -> None:
    """Edit every company in a property that is not mapped."""
    for each in sandbox.ids("companies"):
        sandbox.edit("companies", each, description=text)
    sandbox.clock.advance(3600)


def has_customer(sandbox: QuickBooksSandbox, name: str) -> bool:
    return sandbox.company.named("Customer", name) is not None


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


async def _in_books(scene: Scene, name: str) -> None:
    """Asked in a thread: the loop goes on serving Slack."""
    await _until(lambda: asyncio.to_thread(scene.books.do, has_customer, name))


async def _quiet(scene: Scene) -> None:
    """Every run is over and every letter was delivered."""

    async def rests() -> bool:
        over = all(each.run.over for each in await scene.api.history(scene.pair.id, 5))
        return over and not set(await scene.messages.counts()) - {"refused"}

    await _until(rests)


# --------------------------------------------------------------------------- setting up


@contextlib.asynccontextmanager
async def _scene(customers: int) -> AsyncIterator[Scene]:
    with tempfile.TemporaryDirectory() as named, vendor("hubspot") as crm, vendor("quickbooks") as books:
        settings = WorkerSettings(data=Path(named), database_url=None, redis_url=None)
        crm.do(populate, customers)
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
        text = accounts.mapping("hubspot", "quickbooks", email=False)
        pair = await api.pair(text, "benchmark.yaml", "benchmark")
        return await api.bind(pair.id, slack.world.channel(ROOM).id, "benchmark")


@contextlib.asynccontextmanager
async def _tieout_run(data: Path, slack: SlackSandbox) -> AsyncIterator[None]:
    """`tieout run` as a person starts it; it starts its worker, and ends it when it is interrupted."""
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
            process.send_signal(signal.SIGINT)
        await process.wait()
