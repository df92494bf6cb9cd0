"""Sets the stage: sandboxes with their company, a house with its workers, the bot in a Slack sandbox; then either
plays the story or leaves the stage to whoever opens the page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec
import yaml

from bot.demo.company import Company, make_company
from bot.demo.conversation import Conversation
from bot.demo.csv_hands import CsvHands, NoSuchLayout
from bot.demo.figures import Figures
from bot.demo.hands import Crm, HubSpotHands, QuickBooksHands
from bot.demo.mapping import BILLING_EMAIL, PAIR, demo_mapping
from bot.demo.seeding import Planter, hubspot_seeds, quickbooks_seeds
from bot.demo.story import Scene, play
from bot.sandbox import SlackSandbox
from bot.serve import running
from bot.settings import BotSettings
from worker.api import ChannelApi, House, Messages

CHANNEL = "finance"
STOCKED_S = 86_400.0  # the made-up company was typed in a day ago, so that nothing of it is news
TITLES = {"quickbooks": "QuickBooks", "hubspot": "HubSpot"}
SETTING_BY = "tieout demo"


class Login(msgspec.Struct, frozen=True):
    """How to connect to a sandbox, as somebody who has just logged in. `token` is passed on as it is; `secrets` are
    all that must not be seen, an access token first."""

    settings: dict[str, str]
    token: Any
    secrets: tuple[str, ...]


class Vendor(msgspec.Struct, frozen=True):
    """A running vendor's sandbox. `set_limits` turns the vendor's rate limits on or off."""

    url: str
    log_in: Callable[[], Login]
    set_limits: Callable[[bool], None]


class Outside(Protocol):
    """What the composition root brings: the rooms that the bot may not enter by itself."""

    def vendor(self, slug: str, *, paced: bool, old_s: float) -> contextlib.AbstractAsyncContextManager[Vendor]:
        """A vendor's sandbox, serving, without limits as yet; its clock stands `old_s` seconds behind. `paced`: its
        connection is to spread its calls over the vendor's limits."""
        ...

    def house(self, data: Path) -> contextlib.AbstractAsyncContextManager[House]:
        """A house with its workers, on a data folder of its own."""
        ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said. `data` and `mapping`: one's own CSV export as the CRM."""

    today: date
    once: bool = False
    data: Path | None = None
    mapping: Path | None = None
    port: int = 0
    data_folder: Path | None = None


class CannotStart(ValueError):
    """The demonstration cannot be set up like that; the text says what to do."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that runs."""

    slack: SlackSandbox
    api: ChannelApi
    messages: Messages
    pair_id: str
    crm: Crm
    books: QuickBooksHands
    pages: dict[str, str]
    folder: Path
    secrets: tuple[str, ...]
    limits: bool


class Export(msgspec.Struct, frozen=True):
    """One's own CSV export: its folder, its mapping, and what stands in which column."""

    folder: Path
    mapping: str
    source: str
    columns: Mapping[str, Any]


class Systems(msgspec.Struct, frozen=True, kw_only=True):
    """The two systems before anybody has connected them. `vendors`: their sandboxes by system; `export`: the settings
    of a CRM that is a folder."""

    vendors: dict[str, Vendor]
    crm: Crm
    books: QuickBooksHands
    mapping: str
    source: str
    export: dict[str, str] | None = None


# --------------------------------------------------------------------------- setting it


@contextlib.asynccontextmanager
async def set_stage(options: Options, outside: Outside) -> AsyncIterator[Stage]:
    """Start everything, and stop it in the end. Raises CannotStart or worker.api.Problem."""
    export = own_export(options)
    limits = not options.once and export is None
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(_folder(options))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made = _made_up(options, outside, session) if export is None else _exported(export, outside, session, folder)
        systems = await stack.enter_async_context(made)
        house = await stack.enter_async_context(outside.house(folder / "data"))
        api = ChannelApi(house)
        secrets = await _connect(api, systems)
        pair = await api.pair(systems.mapping, systems.source, SETTING_BY)
        slack = SlackSandbox(limits=limits)
        await slack.start(port=0 if options.once else options.port)
        stack.push_async_callback(slack.stop)
        await stack.enter_async_context(_bot(house, slack))
        await api.bind(pair.id, slack.world.channel(CHANNEL).id, SETTING_BY)
        for vendor in systems.vendors.values():
            vendor.set_limits(limits)
        yield Stage(
            slack=slack,
            api=api,
            messages=Messages(house),
            pair_id=pair.id,
            crm=systems.crm,
            books=systems.books,
            pages={"Slack": slack.url, **{TITLES[slug]: vendor.url for slug, vendor in systems.vendors.items()}},
            folder=folder / "data",
            secrets=(*secrets, slack.app.bot_token, slack.app.app_token, slack.app.signing_secret),
            limits=limits,
        )


@contextlib.asynccontextmanager
async def _made_up(options: Options, outside: Outside, session: aiohttp.ClientSession) -> AsyncIterator[Systems]:
    """HubSpot and QuickBooks with the company in them."""
    company, paced = make_company(options.today), not options.once
    async with (
        outside.vendor("quickbooks", paced=paced, old_s=STOCKED_S) as books,
        outside.vendor("hubspot", paced=paced, old_s=STOCKED_S) as crm,
    ):
        await _stock(session, company, crm, books)
        yield Systems(
            vendors={"quickbooks": books, "hubspot": crm},
            crm=HubSpotHands(session, crm.url),
            books=QuickBooksHands(session, books.url),
            mapping=demo_mapping(company.cut_over),
            source=f"{PAIR}.yaml",
        )


@contextlib.asynccontextmanager
async def _exported(
    export: Export, outside: Outside, session: aiohttp.ClientSession, folder: Path
) -> AsyncIterator[Systems]:
    """A copy of the export, which people may write into, and a QuickBooks on its first day. Thousands of invoices
    would take minutes at the vendor's pace, so it has no limits."""
    try:
        hands = CsvHands.on_a_copy(export.folder, folder / "export", export.columns)
    except NoSuchLayout as error:
        raise CannotStart(f"{export.source}: {error}.") from error
    async with outside.vendor("quickbooks", paced=False, old_s=0.0) as books:
        yield Systems(
            vendors={"quickbooks": books},
            crm=hands,
            books=QuickBooksHands(session, books.url),
            mapping=export.mapping,
            source=export.source,
            export={"folder": str(hands.folder), "columns": json.dumps(dict(export.columns), default=str)},
        )


async def _connect(api: ChannelApi, systems: Systems) -> tuple[str, ...]:
    """Log in to both; every secret that was used."""
    secrets: list[str] = []
    for slug, vendor in systems.vendors.items():
        login = vendor.log_in()
        secrets += login.secrets
        await api.connect(slug, login.settings, login.token)
    if systems.export is not None:
        await api.connect("csv", systems.export)
    return tuple(secrets)


def own_export(options: Options) -> Export | None:
    """What --data and --mapping name; None: neither was given. Raises CannotStart."""
    if options.data is None and options.mapping is None:
        return None
    if options.data is None or options.mapping is None:
        raise CannotStart("--data and --mapping go together: the folder, and what stands in which column.")
    if not options.data.is_dir():
        raise CannotStart(f"There is no folder {options.data}.")
    try:
        text = options.mapping.read_text(encoding="utf-8")
        columns = (yaml.safe_load(text) or {}).get("columns")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
        raise CannotStart(f"{options.mapping} cannot be read: {error}") from error
    if not isinstance(columns, dict):
        raise CannotStart(f"{options.mapping} has no columns section; docs/examples/crm_sales.yaml shows one.")
    return Export(options.data, text, str(options.mapping), columns)


@contextlib.contextmanager
def _folder(options: Options) -> Any:
    """Where everything is kept: a folder of its own, gone afterwards, or the one that was named."""
    if options.data_folder is None:
        made = Path(tempfile.mkdtemp(prefix="tieout-demo-"))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return
    if options.data_folder.exists() and any(options.data_folder.iterdir()):
        raise CannotStart(
            f"{options.data_folder} is not empty: the sandboxes begin anew each time, so name a new folder."
        )
    options.data_folder.mkdir(parents=True, exist_ok=True)
    yield options.data_folder


async def _stock(session: aiohttp.ClientSession, company: Company, crm: Vendor, books: Vendor) -> None:
    """Type the company into both systems, and let a day pass."""
    at_crm, at_books = Planter(session, crm.url), Planter(session, books.url)
    await _own_property(at_crm, crm)
    await asyncio.gather(at_crm.plant(hubspot_seeds(company)), at_books.plant(quickbooks_seeds(company)))
    for planter in (at_crm, at_books):
        await planter.post("/_sandbox/clock/advance", {"seconds": STOCKED_S})


async def _own_property(planter: Planter, crm: Vendor) -> None:
    """The company keeps the address for invoices in a property of its own."""
    said = {"name": BILLING_EMAIL, "label": "Billing e-mail", "type": "string", "fieldType": "text"}
    headers = {"Authorization": f"Bearer {crm.log_in().secrets[0]}"}
    await planter.post("/crm/v3/properties/companies", {**said, "groupName": "companyinformation"}, headers)


@contextlib.asynccontextmanager
async def _bot(house: House, slack: SlackSandbox) -> AsyncIterator[None]:
    """The real bot, which Slack's sandbox calls over HTTP, signed."""
    people = slack.world.user
    settings = BotSettings(
        bot_token=slack.app.bot_token,
        app_token=None,
        signing_secret=slack.app.signing_secret,
        slack_url=slack.api_url,
        host="127.0.0.1",
        port=0,
        admins=(people("admin").id,),
        approvers=(people("approver-1").id, people("approver-2").id),
    )
    async with running(house, settings) as bot:
        slack.app.request_url = bot.events_url
        yield


# --------------------------------------------------------------------------- using it


async def play_once(
    options: Options,
    outside: Outside,
    tell: Callable[[str], None],
    logs: Callable[[], str],
    seconds: Callable[[], float],
) -> Figures:
    """Set the stage, play the story, strike it; the figures."""
    async with set_stage(options, outside) as stage:
        pair = await stage.api.pair_by_id(stage.pair_id)
        talk = Conversation(stage.slack, CHANNEL, stage.api, stage.messages, stage.pair_id, tell)
        tell(f"{pair.crm.title} and {pair.books.title}, on local sandboxes with their rate limits switched off.")
        scene = Scene(
            conversation=talk,
            api=stage.api,
            pair=pair,
            crm=stage.crm,
            books=stage.books,
            today=options.today,
            data=stage.folder,
            secrets=stage.secrets,
            logs=logs,
            seconds=seconds,
            vendor_limits=stage.limits,
        )
        return await play(scene)


async def open_stage(options: Options, outside: Outside, ready: Callable[[Stage], None]) -> None:
    """Set the stage, greet the channel, and keep it up until cancelled."""
    async with set_stage(options, outside) as stage:
        await greet(stage)
        ready(stage)
        await asyncio.Event().wait()


async def greet(stage: Stage) -> None:
    """Say in the channel what there is and what to try first."""
    channel = stage.slack.world.channel(CHANNEL).id
    await stage.messages.say(stage.pair_id, channel, "greeting", "plain", {"text": greeting(stage.pages)})


def greeting(pages: Mapping[str, str]) -> str:
    """What there is and what to try first. `pages`: name -> address."""
    books = f"<{pages['QuickBooks']}|QuickBooks>"
    if "HubSpot" in pages:
        what = "This is a made-up company: HubSpot and QuickBooks are stand-ins on this machine."
        edit = f"Change a phone number in <{pages['HubSpot']}|HubSpot> and in {books}, wait ten seconds"
    else:
        what = "This is a copy of your export, beside a stand-in for QuickBooks on this machine."
        edit = f"Change a row of the export, or a customer in {books}"
    return (
        f"*Welcome to Tieout.* {what} Nothing leaves it, and nothing can break.\n"
        "1. `/tieout preview` shows what would change, and why. Nothing is written yet.\n"
        "2. Press *Apply*. You are admin; become somebody else in the sidebar, and see who may.\n"
        "3. What needs a decision has a card in a thread, if there is any: settle it with a button.\n"
        f"4. {edit}, then `/tieout sync`.\n"
        "5. `/tieout reconcile` says whether a month's money agrees. `/tieout help` lists the rest."
    )


def report(figures: Figures) -> list[str]:
    """What the story came to, in a few lines."""
    preview, found, second, calls = figures.preview, figures.reconciliation, figures.second_run, figures.calls
    return [
        "",
        f"{preview.creates} creates and {preview.updates} updates were previewed, {figures.applied} applied.",
        f"{figures.invoiced.documents} invoices posted, {Decimal(figures.invoiced.net):,} net.",
        f"{figures.conflicts_resolved} of {figures.conflicts_opened} questions settled.",
        f"{calls.made} calls for the first run; {calls.floor} is the least that could do it.",
        f"{found.month}: {found.agreed} deals and documents agree, {found.discrepancies} items open, "
        f"{found.unexplained} unexplained.",
        f"The last run: {second.changes} changes, {second.writes} writes.",
        "",
        *(f"  {'kept  ' if kept else 'BROKEN'}  {name.replace('_', ' ')}" for name, kept in figures.promises.items()),
        *(f"  {name.replace('_', ' ')}: {why}" for name, why in figures.broken.items()),
        f"{figures.seconds} seconds",
    ]


__all__ = ["CannotStart", "Login", "Options", "Outside", "Stage", "Vendor", "open_stage", "play_once", "report"]
