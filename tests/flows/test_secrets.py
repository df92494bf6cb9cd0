"""Secrets stay in: after a whole job with planted ones, and vendors that quote them back, everything that Tieout wrote
anywhere is searched for them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis
from sqlalchemy import MetaData, select

from bot.sandbox import Room, SlackSandbox
from bot.serve import running
from bot.settings import BotSettings
from connectors.kit import oauth
from connectors.kit.contract import Token
from connectors.kit.errors import ConnectorError
from connectors.kit.http import client
from connectors.kit.sandbox.clock import VirtualClock
from connectors.kit.sandbox.faults import Fault, status
from connectors.registry import CONNECTORS
from connectors.sandboxes import SANDBOXES
from worker.api import ChannelApi, Messages, Problem, Trail
from worker.house import House, open_house
from worker.settings import WorkerSettings
from worker.usecases.rotate_keys import rotate_keys

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "docs" / "examples" / "seeds"
MAPPING = (ROOT / "docs" / "examples" / "hubspot_quickbooks.yaml").read_text()
ROOM = "finance"


class Told:
    """Everything that was written anywhere, by where; secrets are looked for in it."""

    def __init__(self) -> None:
        self.logs = io.StringIO()
        self.queue: list[str] = []
        self.errors: list[str] = []
        self.places: dict[str, bytes] = {}
        self.secrets: dict[str, str] = {}

    def plant(self, **secrets: str | None) -> None:
        """Later ones of the same name are looked for beside the first."""
        for name, secret in secrets.items():
            if secret is not None and secret not in self.secrets.values():
                self.secrets[name if name not in self.secrets else f"{name}_{len(self.secrets)}"] = secret

    def found(self) -> list[str]:
        """Which secret stands where."""
        places = {**self.places, "logs": self.logs.getvalue().encode(), "queue": "\n".join(self.queue).encode()}
        places["errors"] = "\n".join(self.errors).encode()
        return sorted(
            f"{name} in {place}"
            for name, secret in self.secrets.items()
            for place, data in places.items()
            if secret.encode() in data
        )


@pytest.fixture
def told_all() -> Iterator[Told]:
    """Logs of every kind go into one text: structlog's and the standard library's."""
    told, before = Told(), structlog.get_config()
    handler = logging.StreamHandler(told.logs)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)  # as with --verbose, the most that a person can ask for
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(told.logs),
        cache_logger_on_first_use=False,
    )
    yield told
    structlog.configure(**before)
    root.removeHandler(handler)
    root.setLevel(level)


# --------------------------------------------------------------------------- a vendor that quotes what it was sent


def quoting(secrets: dict[str, str]) -> str:
    said = ", ".join(f"{name} {secret}" for name, secret in secrets.items())
    return f"what you sent is not right: {said}; Authorization: Bearer {secrets.get('access', '')}"


def fault_body(text: str) -> dict[str, Any]:
    """QuickBooks' own shape of a refusal."""
    return {"Fault": {"Error": [{"Message": "no", "Detail": text, "code": "6000"}], "type": "ValidationFault"}}


def batch_body(text: str) -> dict[str, Any]:
    """Refused one by one, inside an answer that is a success."""
    return {"BatchItemResponse": [{"bId": str(n), **fault_body(text)} for n in range(2)]}


# --------------------------------------------------------------------------- the job


class Job:
    """Two sandboxes, a house with its own Redis and SQLite, the bot, and a channel."""

    def __init__(self, told: Told, house: House, vendors: dict[str, Any], slack: SlackSandbox) -> None:
        self.told, self.house, self.vendors, self.slack = told, house, vendors, slack
        self.api, self.messages = ChannelApi(house), Messages(house)
        self.pair = ""

    async def connect(self) -> None:
        for slug in ("hubspot", "quickbooks"):
            settings, token = self.login(slug)
            self.told.plant(**{f"{slug}_access": token.access, f"{slug}_refresh": token.refresh})
            self.told.plant(**{f"{slug}_client_secret": token.client_secret})
            await self.api.connect(slug, settings, token, "tests")

    def login(self, slug: str) -> tuple[dict[str, str], Token]:
        sandbox = self.vendors[slug]
        welcome = sandbox.welcome
        settings = {name: f"{sandbox.url}{path}" for name, path in welcome.settings.items()} | {"pace": "off"}
        if welcome.token is not None:
            return settings, Token(access=welcome.token)
        granted = sandbox.token()
        token = Token(
            access=granted["access_token"],
            refresh=granted["refresh_token"],
            expires_at=datetime.now(UTC) + timedelta(seconds=granted["expires_in"]),
            client_id=welcome.client_id,
            client_secret=welcome.client_secret,
        )
        return {**settings, "realm_id": sandbox.realm}, token

    async def says(self, line: str, pattern: str) -> Any:
        await self.slack.command("operator", ROOM, f"/tieout {line}")
        return await self.until(pattern)

    async def until(self, pattern: str) -> Any:
        def newest() -> Any:
            texts = [(m, self.slack.text_of(m)) for m in self.slack.messages(ROOM, user="operator")]
            return next((m for m, text in reversed(texts) if re.search(pattern, text)), None)

        return await self.slack.wait_for(newest, 15)

    async def fails(self, slug: str, fault: Fault, line: str, pattern: str) -> None:
        self.vendors[slug].faults.add(fault)
        await self.says(line, pattern)
        self.vendors[slug].faults.clear()

    async def hand(self, vendor: Any, what: str, **message: Any) -> None:
        """Somebody at work at a vendor."""
        async with self.house.office.session.post(f"{vendor.url}/_sandbox/{what}", json=message) as answer:
            assert 200 == answer.status, await answer.text()

    async def quiet(self) -> None:
        for _ in range(200):
            counts = await self.messages.counts()
            if not counts.get("pending") and not counts.get("sending"):
                return
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def a_job(told: Told, data: Path) -> AsyncIterator[Job]:
    clock = VirtualClock(datetime(2026, 11, 10, 15, tzinfo=UTC))
    async with contextlib.AsyncExitStack() as stack:
        vendors = {}
        for slug in ("hubspot", "quickbooks"):
            vendors[slug] = await stack.enter_async_context(SANDBOXES[slug](clock, limits=False))
            vendors[slug].load(SEEDS / slug)
        house = await stack.enter_async_context(open_house(WorkerSettings(data=data), CONNECTORS))
        slack = await stack.enter_async_context(SlackSandbox(rooms=[Room(name=ROOM)], limits=False))
        told.plant(bot=slack.app.bot_token, app=slack.app.app_token, signing=slack.app.signing_secret)
        told.plant(key=_key(data))
        settings = BotSettings(
            bot_token=slack.app.bot_token, signing_secret=slack.app.signing_secret, slack_url=slack.api_url, port=0,
            admins=(slack.world.user("operator").id,), approvers=(slack.world.user("operator").id,),
        )  # fmt: skip
        watching = asyncio.create_task(_watch(house, told))
        stack.push_async_callback(_ended, watching)
        bot = await stack.enter_async_context(running(house, settings))
        slack.app.request_url = bot.events_url
        yield Job(told, house, vendors, slack)


def _key(data: Path) -> str:
    return (data / "key").read_text().split()[0]


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _watch(house: House, told: Told) -> None:
    """Every command that the queue's Redis is sent, with its arguments."""
    redis = Redis(unix_socket_path=house.queue.settings.unix_socket_path)
    async with redis.monitor() as monitor:
        async for command in monitor.listen():
            told.queue.append(str(command["command"]))


async def whole_job(job: Job) -> None:
    """Connect, failing calls that quote secrets, preview, apply, a conflict, a report, audit, a new key."""
    told = job.told
    await job.connect()
    pair = await job.api.pair(MAPPING, "m.yaml", "tests")
    job.pair = pair.id
    await job.api.bind(pair.id, job.slack.world.channel(ROOM).id, "tests")
    hubspot = quoting({"access": told.secrets["hubspot_access"]})
    named = {name: told.secrets[f"quickbooks_{name}"] for name in ("access", "refresh", "client_secret")}
    books = quoting(named)
    await job.fails("hubspot", status(400, body={"message": hubspot, "category": "VALIDATION_ERROR"}, times=None),
                    "preview", "what you sent is not right")  # fmt: skip
    await _conflict(job)
    await _refused_in_words(job, books)
    await _login_refused(job, named)
    await job.says("reconcile 2026-10", "October 2026")
    await job.says("audit Cancity Ltd", "on record|Refused by|Made in|Linked|read")
    await _by_hand(job)
    await rotate_keys(job.house.db, job.house.settings.data / "key", None, "tests")
    told.plant(new_key=_key(job.house.settings.data))
    await job.says("preview", "Preview|In step|Nothing")
    await job.quiet()


async def _conflict(job: Job) -> None:
    """The plan is applied; then a phone is edited on both sides, and a person decides."""
    shown = await job.says("preview", r"^Preview   [\s\S]*\[Apply")
    await job.slack.press("operator", shown.ts, "plan.apply")
    await job.until("^Applied")
    crm, books = job.vendors["hubspot"], job.vendors["quickbooks"]
    company = next(c["id"] for c in crm.state()["companies"] if c["properties"]["name"] == "Betatech Inc")
    customer = next(c["Id"] for c in books.state()["entities"]["Customer"] if c["DisplayName"] == "Betatech Inc")
    await job.hand(crm, "edit", object="companies", id=company, properties={"phone": "+12025550999"})
    await job.hand(books, "edit", entity="Customer", id=customer, fields={"phone": "(202) 555-0888"})
    await job.hand(crm, "clock/advance", seconds=60)
    await job.says("preview", "needs? a decision")
    card = await job.until(r"\+12025550999[\s\S]*\[")
    await job.slack.press("operator", card.ts, "conflict.crm")
    await job.until("kept|settled|decided")


async def _refused_in_words(job: Job, words: str) -> None:
    """Two customers' changes are refused, one by one inside the answer to their batch."""
    crm, books = job.vendors["hubspot"], job.vendors["quickbooks"]
    for name in ("Betatech Inc", "Cancity Ltd"):
        company = next(c["id"] for c in crm.state()["companies"] if c["properties"]["name"] == name)
        await job.hand(crm, "edit", object="companies", id=company, properties={"name": f"{name} & Sons"})
    await job.hand(crm, "clock/advance", seconds=60)
    shown = await job.says("preview", r"^Preview   [\s\S]*Sons[\s\S]*\[Apply")
    books.faults.add(status(200, "POST", "/batch", body=batch_body(words)))
    books.faults.add(status(400, "POST", "/customer", body=fault_body(words)))
    await job.slack.press("operator", shown.ts, "plan.apply")
    await job.until("refused: ")
    books.faults.clear()


async def _login_refused(job: Job, named: dict[str, str]) -> None:
    """The login is refused in words that quote it; then somebody connects again."""
    books = job.vendors["quickbooks"]
    said = {"error": "invalid_grant", "error_description": quoting(named)}
    books.faults.add(status(401, "*", "/v3/", body=fault_body(quoting(named)), times=None))
    books.faults.add(status(400, "POST", "/oauth2/v1/tokens/bearer", body=said, times=None))
    await job.says("sync", "(?s)log ?in|[Cc]onnect")
    books.faults.clear()
    await job.connect()


async def _by_hand(job: Job) -> None:
    """What a terminal would print: an account that cannot be connected."""
    settings, token = job.login("hubspot")
    job.vendors["hubspot"].faults.add(status(400, body={"message": quoting({"access": token.access})}, times=None))
    try:
        await job.api.connect("hubspot", settings, token, "tests")
    except (Problem, ConnectorError) as error:
        job.told.errors += [str(error), repr(error), repr(error.__cause__), repr(token)]
    job.vendors["hubspot"].faults.clear()


async def gathered(job: Job) -> Told:
    """Everything that there is to be read afterwards."""
    told = job.told
    told.places |= await _tables(job.house)
    parts: list[str] = []
    await Trail(job.house).export(job.pair, parts.append)
    told.places["audit export"] = "".join(parts).encode()
    views = [job.slack.text_of(m) + repr(m) for m in job.slack.messages(ROOM, user="operator")]
    told.places["Slack"] = "\n".join(views).encode()
    told.places["Slack files"] = b"\n".join(_inside(file.content or b"") for file in job.slack.files)
    return told


async def _tables(house: House) -> dict[str, bytes]:
    """Every column of every table, as text."""
    found: dict[str, bytes] = {}
    async with house.db.engine.connect() as connection:
        known = MetaData()
        await connection.run_sync(known.reflect)
        for table in known.sorted_tables:
            rows = (await connection.execute(select(table))).all()
            found[f"table {table.name}"] = "\n".join(repr(tuple(row)) for row in rows).encode()
    return found


def _inside(content: bytes) -> bytes:
    """A file, and what a workbook has packed."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return b"\n".join(packed.read(name) for name in packed.namelist())


def raw_files(data: Path) -> dict[str, bytes]:
    """The data folder as somebody with a copy of it reads it; the key file alone holds the key."""
    return {
        f"file {path.name}": path.read_bytes()
        for path in data.rglob("*")
        if path.is_file() and path.name not in ("key", "redis.socket")
    }


async def played(told: Told, data: Path) -> Told:
    async with a_job(told, data) as job:
        await whole_job(job)
        await gathered(job)
        told.places |= raw_files(data)
    return told


async def test_no_secret_is_found_anywhere_but_sealed(told_all: Told, tmp_path: Path) -> None:
    """Logs, every text in the database and the file itself, errors, Slack and its files, the trail and its export, the
    queue; although vendors quoted tokens in four ways."""
    told = await played(told_all, tmp_path)
    assert [] == told.found()
    whole = b"".join(told.places.values()) + told.logs.getvalue().encode()
    assert (True, True, True, True) == (
        b"***" in told.places["table audit_values"],
        b"what you sent is not right" in told.places["Slack"],
        any("enqueue" in line or "ZADD" in line.upper() for line in told.queue),
        {"key", "new_key", "bot", "app", "signing", "quickbooks_refresh"} <= set(told.secrets),
    )
    assert b"what you sent is not right" in whole


async def test_saboteur_without_redaction_secrets_are_found(
    told_all: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the database, in Slack and in what a terminal prints."""
    for module in (client, oauth):
        monkeypatch.setattr(module, "redacted", lambda text, secrets=(): text)
    monkeypatch.setattr(client, "cleared", lambda body, secrets: body)
    found = (await played(told_all, tmp_path)).found()
    assert {"hubspot_access in Slack", "hubspot_access in errors", "quickbooks_access in table audit_values"} <= {
        *found
    }
