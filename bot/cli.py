"""The `tieout` command's composition root: the one module that knows the bot, the worker and the connectors.

What is heavy is imported where it is used, so that `tieout --help` answers at once."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bot.demo.command import demo_command
from bot.terminal.app import build
from bot.terminal.doors import App, Ask, Consent, Machine, Rotation, SandboxLogin, System
from bot.terminal.screen import Exit, Failure

if TYPE_CHECKING:
    from bot.demo.stage import Vendor
    from connectors.kit.contract import Facts, Token
    from worker.api import Api, Trail, Webhooks
    from worker.house import House
    from worker.settings import WorkerSettings
    from worker.store.runs import Lane


def main() -> None:
    app = build(Tieout())
    app.command(name="demo")(demo_command(DemoOutside))
    app()


class Tieout:
    """The doors of the terminal, opened on the real house."""

    def __init__(self) -> None:
        self._houses: dict[int, House] = {}

    # ----------------------------------------------------------------- systems

    def systems(self) -> Mapping[str, System]:
        from connectors.registry import CONNECTORS

        return {slug: _system(slug, connector.facts) for slug, connector in CONNECTORS.items()}

    def sandboxes(self) -> Mapping[str, SandboxLogin]:
        from connectors.sandboxes import SANDBOXES

        return {
            slug: SandboxLogin(
                settings=each.welcome.settings,
                token=each.welcome.token,
                client_id=each.welcome.client_id,
                client_secret=each.welcome.client_secret,
            )
            for slug, each in SANDBOXES.items()
        }

    def token(self, access: str) -> Token:
        from connectors.kit.contract import Token

        return Token(access=access)

    @contextlib.asynccontextmanager
    async def consent(self, slug: str, settings: Mapping[str, str], app: App) -> AsyncIterator[Consent]:
        import aiohttp

        from connectors.kit.oauth import Login
        from connectors.kit.timers import SystemClock
        from connectors.registry import CONNECTORS

        oauth = CONNECTORS[slug].login(settings)
        if oauth is None:
            raise Failure(f"{CONNECTORS[slug].facts.title} does not log in by OAuth", code=Exit.USAGE)
        async with aiohttp.ClientSession() as session:
            login = Login(
                oauth,
                system=slug,
                session=session,
                clock=SystemClock(),
                client_id=app.client_id,
                client_secret=app.client_secret,
            )
            yield _LoginConsent(login)

    async def serve_sandbox(
        self, slug: str, port: int, seed: Path | None, limits: bool, ready: Callable[[str], None]
    ) -> None:
        from connectors.sandboxes import SANDBOXES

        sandbox = SANDBOXES[slug](limits=limits)
        if seed is not None:
            sandbox.load(_folder(seed))
        await sandbox.serve_forever(port=port, ready=ready)

    # ----------------------------------------------------------------- the house

    def data(self) -> Path:
        return _settings().data

    @contextlib.asynccontextmanager
    async def house(self, *, work: bool = True) -> AsyncIterator[Api]:
        from connectors.registry import CONNECTORS
        from worker.api import Api
        from worker.house import open_house

        _quiet_logs()
        async with open_house(_settings(), CONNECTORS, work=work) as house:
            api = Api(house)
            self._houses[id(api)] = house
            try:
                yield api
            finally:
                del self._houses[id(api)]

    async def log_in(self, api: Api, connection_id: str) -> None:
        office = self._houses[id(api)].office
        await (await office.connector(connection_id)).catalogue()

    async def serve_queue(self, lanes: Sequence[str], ready: Callable[[bool], None]) -> None:
        import asyncio

        from connectors.registry import CONNECTORS
        from worker.house import open_house, require_redis, working
        from worker.queue import FolderLock

        settings = _settings()
        _quiet_logs()
        if settings.embedded and not _folder_is_free(FolderLock, settings.data):
            ready(False)
            return
        async with open_house(settings, CONNECTORS, work=False) as house:
            await require_redis(house.queue.settings)
            office = house.office
            async with working(house, office.session, office.clock, tuple(cast("list[Lane]", list(lanes)))):
                ready(True)
                await asyncio.Event().wait()

    def slack_missing(self) -> list[str]:
        from bot.settings import BotSettings

        return BotSettings().missing()

    async def serve_bot(self, ready: Callable[[str], None], *, alone: bool) -> None:
        from bot.serve import serve
        from bot.settings import BotSettings
        from connectors.registry import CONNECTORS
        from worker.house import open_house
        from worker.queue import FolderLock

        settings = _settings()
        _quiet_logs()
        free = not settings.embedded or _folder_is_free(FolderLock, settings.data)
        if not alone and not free:
            raise Failure(
                f"Another Tieout serves {settings.data} already",
                means="Nothing was started.",
                next_step="If it is tieout worker, start tieout bot beside it; else there is nothing to do.",
                code=Exit.LATER,
            )
        if alone and settings.embedded and free:
            raise Failure(
                "Nobody does the work yet",
                means="Nothing was started.",
                next_step="Start tieout worker first, or tieout run, which is both.",
            )
        async with contextlib.AsyncExitStack() as stack:
            if not alone:
                await stack.enter_async_context(_worker_beside())
            house = await stack.enter_async_context(open_house(settings, CONNECTORS, work=False))
            await serve(house, BotSettings(), ready)

    async def upgrade(self) -> tuple[str | None, str | None]:
        from worker.store.migrate import current_revision, upgrade

        settings = _settings()
        settings.data.mkdir(parents=True, exist_ok=True)
        before = await current_revision(settings.database)
        await upgrade(settings.database)
        return before, await current_revision(settings.database)

    def trail(self, api: Api) -> Trail:
        from worker.api import Trail

        return Trail(self._houses[id(api)])

    def webhooks(self, api: Api) -> Webhooks:
        from worker.api import Webhooks

        return Webhooks(self._houses[id(api)])

    async def rotate_keys(self, by: str) -> Rotation:
        from worker.store.database import open_database
        from worker.store.migrate import upgrade
        from worker.usecases.rotate_keys import rotate_keys
        from worker.vault import load_keys

        settings = _settings()
        path = settings.data / "key"
        given = load_keys(settings.key, path) if settings.key is not None else None
        settings.data.mkdir(parents=True, exist_ok=True)
        await upgrade(settings.database)
        db = open_database(settings.database)
        try:
            done = await rotate_keys(db, path, given, by)
        finally:
            await db.close()
        return Rotation(
            resealed=done.resealed, resumed=done.resumed, lost=done.lost, given=done.given, keys=done.keys,
            path=str(path),
        )  # fmt: skip

    # ----------------------------------------------------------------- a look at the machine

    async def machine(self) -> Machine:
        from worker.queue import FolderLock

        settings = _settings()
        exists = settings.data.is_dir()
        revision, newest, database_error = await _database(settings, exists)
        redis, reachable = await _redis(settings)
        key, key_problem = _key(settings)
        return Machine(
            data=str(settings.data),
            data_exists=exists,
            data_writable=exists and os.access(settings.data, os.W_OK),
            database="SQLite in the data folder" if settings.database_url is None else "TIEOUT_DATABASE_URL",
            revision=revision,
            newest=newest,
            database_error=database_error,
            redis=redis,
            redis_reachable=reachable,
            key=key,
            key_problem=key_problem,
            served=exists and settings.embedded and not _folder_is_free(FolderLock, settings.data),
        )

    # ----------------------------------------------------------------- errors

    def explain(self, error: BaseException) -> Failure | None:
        from sqlalchemy.exc import DBAPIError

        from connectors.kit.errors import ConnectorError, TryLater
        from worker.api import Problem
        from worker.house import FolderBusy
        from worker.queue import NoRedis
        from worker.store.migrate import NewerDatabase
        from worker.store.trouble import passes, trouble
        from worker.vault import BadKey, LooseKeyFile

        if isinstance(error, Problem) and isinstance(error.__cause__, ConnectorError):
            error = error.__cause__
        if isinstance(error, Problem):
            return Failure(error.message, next_step=error.next_step, details=error.details)
        if isinstance(error, ConnectorError):
            later = isinstance(error, TryLater)
            said = f"{_title(error.system)}: {error.message}" if error.system else error.message
            next_step = "Try again later." if later else error.next_step
            return Failure(said, next_step=next_step, code=Exit.LATER if later else Exit.FAILED)
        if isinstance(error, FolderBusy):
            return Failure(str(error), next_step="Try again in a moment.", code=Exit.LATER)
        if isinstance(error, NoRedis):
            next_step = "Start it, or correct TIEOUT_REDIS_URL; tieout check says what it looked for."
            return Failure(str(error), means="Nothing was started.", next_step=next_step, code=Exit.LATER)
        if isinstance(error, LooseKeyFile):
            return Failure(str(error), means="Whoever reads that file can read the stored logins.")
        if isinstance(error, BadKey):
            return Failure(
                str(error), next_step="Put back the key of that time; tieout keys rotate says how to change it."
            )
        if isinstance(error, NewerDatabase):
            return Failure(str(error), means="Nothing was read or written.")
        found = trouble(error)
        if found is not None:
            return Failure(found.message, next_step=found.next_step, code=Exit.LATER if passes(found) else Exit.FAILED)
        if isinstance(error, DBAPIError):
            said = str(error.orig).strip() or type(error).__name__
            return Failure(f"The database cannot be used: {said}", next_step="tieout check", code=Exit.LATER)
        if isinstance(error, OSError) and error.filename is not None:
            return Failure(
                f"{error.filename} cannot be used: {error.strerror}",
                next_step="Give yourself the right to write there, or name another folder with --data.",
            )
        return None


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}")
    return path


def _title(slug: str) -> str:
    """What people call a system."""
    from connectors.registry import CONNECTORS

    return CONNECTORS[slug].facts.title if slug in CONNECTORS else slug


class DemoOutside:
    """What the demonstration is played on: vendors' sandboxes, and a house of its own."""

    @contextlib.asynccontextmanager
    async def vendor(self, slug: str, *, paced: bool, old_s: float) -> AsyncIterator[Vendor]:
        from connectors.kit.sandbox import VirtualClock
        from connectors.sandboxes import SANDBOXES

        clock = VirtualClock(datetime.now(UTC) - timedelta(seconds=old_s))
        async with SANDBOXES[slug](clock, limits=False) as sandbox:
            yield _vendor(sandbox, paced)

    @contextlib.asynccontextmanager
    async def house(self, data: Path) -> AsyncIterator[House]:
        from connectors.registry import CONNECTORS
        from worker.house import open_house
        from worker.settings import WorkerSettings

        settings = WorkerSettings(data=data, database_url=None, redis_url=None, key=None)
        async with open_house(settings, CONNECTORS) as house:
            yield house


def _vendor(sandbox: Any, paced: bool) -> Vendor:
    """How the demonstration connects to a sandbox: with its private token, else as a login has just left it."""
    from bot.demo.stage import Login, Vendor
    from connectors.kit.contract import Token

    welcome = sandbox.welcome
    settings = {name: f"{sandbox.url}{path}" for name, path in welcome.settings.items()}
    settings |= {} if paced else {"pace": "off"}

    def log_in() -> Login:
        if welcome.token is not None:
            return Login(settings, Token(access=welcome.token), (welcome.token,))
        granted = sandbox.token()
        token = Token(
            access=granted["access_token"],
            refresh=granted["refresh_token"],
            expires_at=datetime.now(UTC) + timedelta(seconds=granted["expires_in"]),
            client_id=welcome.client_id,
            client_secret=welcome.client_secret,
        )
        secrets = (granted["access_token"], granted["refresh_token"], welcome.client_secret)
        return Login({**settings, "realm_id": sandbox.realm}, token, secrets)

    def set_limits(on: bool) -> None:
        sandbox.limits = on

    return Vendor(sandbox.url, log_in, set_limits)


class _LoginConsent:
    """A connector's OAuth login, as the terminal asks for it."""

    def __init__(self, login: Any) -> None:
        self._login = login

    def url(self, redirect_uri: str, state: str) -> str:
        return str(self._login.authorization_url(redirect_uri, state))

    async def exchange(self, code: str, redirect_uri: str) -> Any:
        return await self._login.exchange(code, redirect_uri)


@contextlib.asynccontextmanager
async def _worker_beside() -> AsyncIterator[None]:
    """A worker process of our own: on one event loop a big sync would delay what Slack wants acknowledged within
    three seconds. One that dies is started again; what it did goes on from the database."""
    import asyncio

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.cli", "worker", stdout=asyncio.subprocess.PIPE
        )
        if process.stdout is not None:
            await process.stdout.readline()  # its first line: it serves, or somebody else does
        return process

    async def keep() -> None:
        while await running[0].wait() != 0:
            await asyncio.sleep(1)
            running[0] = await start()

    running = [await start()]
    keeper = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeper.cancel()
        with contextlib.suppress(ProcessLookupError):
            running[0].terminate()
        await running[0].wait()


def _system(slug: str, facts: Facts) -> System:
    from connectors.kit.contract import OAuth, PrivateToken

    oauth = next((each for each in facts.logins if isinstance(each, OAuth)), None)
    hint = next((each.hint for each in facts.logins if isinstance(each, PrivateToken)), None)
    return System(
        slug=slug,
        title=facts.title,
        settings=tuple(Ask(name=s.name, help=s.help, default=s.default, secret=s.secret) for s in facts.settings),
        token_hint=hint,
        oauth=oauth is not None,
        account_param=oauth.account_param if oauth is not None else None,
        account_setting=oauth.account_setting if oauth is not None else None,
    )


def _settings() -> WorkerSettings:
    from worker.settings import WorkerSettings

    return WorkerSettings()


def _quiet_logs() -> None:
    """Logs go to the error stream: warnings, or everything with --verbose; stack traces only then."""
    from bot.terminal.logs import set_up

    set_up(verbose="TIEOUT_VERBOSE" in os.environ)


def _folder_is_free(lock: Any, folder: Path) -> bool:
    """Whether no process serves the folder; the lock is given back at once."""
    held = lock(folder)
    free: bool = held.taken
    held.release()
    return free


async def _database(settings: WorkerSettings, exists: bool) -> tuple[str | None, str | None, str | None]:
    """The database's revision, the newest one, and why it cannot be asked."""
    from alembic.script import ScriptDirectory
    from sqlalchemy.exc import SQLAlchemyError

    from worker.store import migrate

    newest = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations")).get_current_head()
    if settings.database_url is None and not (exists and (settings.data / "tieout.db").exists()):
        return None, newest, None
    try:
        return await migrate.current_revision(settings.database), newest, None
    except (SQLAlchemyError, OSError) as error:
        return None, newest, f"cannot be reached ({type(error).__name__})"


async def _redis(settings: WorkerSettings) -> tuple[str, bool]:
    from worker.queue import NoRedis, from_url, reachable, redis_binary

    if settings.redis_url is None:
        try:
            return f"the program's own ({Path(redis_binary()).name}), started when needed", True
        except NoRedis as error:
            return str(error), False
    found = await reachable(from_url(settings.redis_url))
    return f"TIEOUT_REDIS_URL {'answers' if found else 'does not answer'}", found


def _key(settings: WorkerSettings) -> tuple[str, str | None]:
    path = settings.data / "key"
    if settings.key is not None:
        return "TIEOUT_KEY", None
    if not path.exists():
        return f"{path}, made when it is first needed", None
    if path.stat().st_mode & 0o077:
        return str(path), f"{path} can be read by others"
    return str(path), None


if __name__ == "__main__":
    main()
