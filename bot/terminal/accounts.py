"""Commands that set up: connect an account, list accounts, pair two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from bot.terminal.doors import App
from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session

if TYPE_CHECKING:
    from bot.terminal.doors import SandboxLogin, System

CALLBACK_PORT = 8765


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a person gave to log in with. `welcome`: a sandbox is meant, which lets anybody in."""

    token: str | None
    app: App | None
    welcome: SandboxLogin | None
    port: int

    def __repr__(self) -> str:
        return "Given(***)"


def connect(  # noqa: PLR0913, PLR0917  # typer: each option of a command is an argument of its function
    ctx: typer.Context,
    system: Annotated[str, typer.Argument(help="hubspot, quickbooks, csv ...", metavar="SYSTEM")],
    setting: Annotated[
        list[str] | None, typer.Option("--setting", help="One of the system's settings.", metavar="NAME=VALUE")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="A token to log in with. Shells remember it: better use --token-file.", envvar="TIEOUT_TOKEN"
        ),
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="A file that holds the token.")] = None,
    sandbox: Annotated[
        str | None, typer.Option(help="A local sandbox's address, as tieout sandbox prints it.", metavar="URL")
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(help="Your OAuth app's client id.", envvar="TIEOUT_CLIENT_ID")
    ] = None,
    client_secret: Annotated[
        str | None, typer.Option(help="Your OAuth app's client secret; asked for.", envvar="TIEOUT_CLIENT_SECRET")
    ] = None,
    callback_port: Annotated[
        int, typer.Option(help="Where the login comes back to: http://localhost:PORT/callback.")
    ] = CALLBACK_PORT,
    folder: Annotated[Path | None, typer.Option(help="csv: the folder of the files.")] = None,
    columns: Annotated[Path | None, typer.Option(help="csv: a mapping file; its columns section.")] = None,
) -> None:
    """Connect an account: log in once to see that it works, and keep the login encrypted.

    Connecting an account again replaces its login; work that was held goes on.
    """
    session: Session = ctx.obj

    async def work() -> Exit:
        chosen = system_named(session.doors.systems(), system)
        welcome = _welcome(session, chosen, sandbox)
        settings = settings_of(chosen, setting or [], folder, columns)
        settings = {**sandbox_settings(welcome, sandbox), **settings}
        given = Given(
            token=_token_given(token, token_file),
            app=app_of(client_id, client_secret, welcome),
            welcome=welcome,
            port=callback_port,
        )
        settings, access = await _logged_in(session, chosen, settings, given)
        async with session.api() as api:
            view = await api.connect(chosen.slug, settings, access, session.by)
        from bot.terminal.tables import connected

        session.screen.say(connected(view))
        session.screen.document(view.json())
        return Exit.DONE

    session.run(work, means="Nothing was connected.")


def system_named(systems: Mapping[str, System], slug: str) -> System:
    """Raises Failure (wrong usage) for a system that is not known."""
    if slug in systems:
        return systems[slug]
    from difflib import get_close_matches

    near = get_close_matches(slug.casefold(), list(systems), n=1)
    hint = f'Did you mean "{near[0]}"? ' if near else ""
    raise Failure(
        f'There is no system "{slug}"', next_step=f"{hint}Known: {', '.join(sorted(systems))}.", code=Exit.USAGE
    )


def _welcome(session: Session, system: System, sandbox: str | None) -> SandboxLogin | None:
    if sandbox is None:
        return None
    known = session.doors.sandboxes()
    if system.slug not in known:
        raise Failure(f"{system.title} has no local sandbox", next_step="Leave --sandbox out.", code=Exit.USAGE)
    if not sandbox.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise Failure(
            f"{sandbox} is not on this machine, and a sandbox always is",
            next_step="Give the address that tieout sandbox prints.",
            code=Exit.USAGE,
        )
    return known[system.slug]


def sandbox_settings(welcome: SandboxLogin | None, url: str | None) -> dict[str, str]:
    """The settings that point a connection at a sandbox."""
    if welcome is None or url is None:
        return {}
    return {name: url.rstrip("/") + path for name, path in welcome.settings.items()}


def settings_of(
    system: System, given: Sequence[str], folder: Path | None = None, columns: Path | None = None
) -> dict[str, str]:
    """`NAME=VALUE` words, and the files of a folder. Raises Failure (wrong usage) for one that the system lacks."""
    settings = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals:
            raise Failure(f'"{word}" is no setting', next_step="Write --setting NAME=VALUE.", code=Exit.USAGE)
        settings[name.strip()] = text.strip()
    if folder is not None:
        settings["folder"] = str(folder.resolve())
    if columns is not None:
        settings["columns"] = columns_section(columns)
    known = [ask.name for ask in system.settings]
    for name in settings:
        if name not in known:
            raise Failure(
                f'{system.title} has no setting "{name}"', next_step=f"Known: {', '.join(known)}.", code=Exit.USAGE
            )
    return settings


def columns_section(path: Path) -> str:
    """A mapping file's `columns:` section, as YAML."""
    import yaml

    found = yaml.safe_load(_read(path, "mapping"))
    if not isinstance(found, dict) or "columns" not in found:
        raise Failure(f"{path} has no columns section", next_step="See docs/examples for one.", code=Exit.USAGE)
    text: str = yaml.safe_dump(found["columns"], sort_keys=False, allow_unicode=True)
    return text


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Failure(f"The {what} file {path} cannot be read: {reason}", code=Exit.USAGE) from None


def app_of(client_id: str | None, client_secret: str | None, welcome: SandboxLogin | None) -> App | None:
    """The OAuth app: the person's own, else the sandbox's. A secret that was not given is asked for later."""
    if client_id is not None:
        return App(client_id, client_secret or "")
    if welcome is not None and welcome.client_id is not None:
        return App(welcome.client_id, welcome.client_secret or "")
    return None


def _token_given(token: str | None, file: Path | None) -> str | None:
    return _read(file, "token").strip() if file is not None else token


async def _logged_in(
    session: Session, system: System, settings: dict[str, str], given: Given
) -> tuple[dict[str, str], Any]:
    """The settings, with the account that the login named, and the token. None: nothing to log in to."""
    pasted = given.token
    if pasted is None and given.welcome is not None:
        pasted = given.welcome.token
    if pasted is not None and system.token_hint is not None:
        return settings, session.doors.token(pasted)
    if system.oauth and (given.app is not None or system.token_hint is None):
        return await _by_oauth(session, system, settings, given)
    if system.token_hint is None:
        return settings, None
    if not session.screen.interactive:
        raise Failure(
            f"{system.title} needs a token",
            next_step=f"{system.token_hint} Give it with --token-file, or in TIEOUT_TOKEN.",
            code=Exit.USAGE,
        )
    session.screen.note(system.token_hint)
    return settings, session.doors.token(session.screen.secret(f"{system.title} token"))


def _whole(session: Session, system: System, app: App | None) -> App:
    """The app with its secret, which is asked for if it was not given."""
    if app is None:
        raise Failure(
            f"{system.title} logs in by OAuth, and that needs an app's client id and client secret",
            next_step="Give --client-id and --client-secret (or TIEOUT_CLIENT_ID and TIEOUT_CLIENT_SECRET).",
            code=Exit.USAGE,
        )
    if app.client_secret == "" and session.screen.interactive:
        return App(app.client_id, session.screen.secret("Client secret"))
    return app


async def _by_oauth(
    session: Session, system: System, settings: dict[str, str], given: Given
) -> tuple[dict[str, str], Any]:
    from bot.terminal.login import log_in

    def tell(url: str) -> None:
        session.screen.note(f"Log in to {system.title} in your browser. If it does not open, go to:\n{url}")

    by_itself = given.welcome is not None
    app = _whole(session, system, given.app)
    async with session.doors.consent(system.slug, settings, app) as consent:
        port = 0 if by_itself else given.port
        token, account = await log_in(consent, system.account_param, port=port, tell=tell, by_itself=by_itself)
    if account is not None and system.account_setting is not None:
        settings = {**settings, system.account_setting: account}
    return settings, token


def connections(ctx: typer.Context) -> None:
    """List the connected accounts."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import connections as shown

        async with session.api() as api:
            found = await api.connections()
        session.screen.say(shown(found))
        session.screen.document([view.json() for view in found])
        return Exit.DONE

    session.run(work)


def pair(
    ctx: typer.Context,
    mapping: Annotated[Path, typer.Argument(help="The mapping file.", metavar="MAPPING.yaml")],
    crm: Annotated[str | None, typer.Option(help="Which account, if a system has several.", metavar="ACCOUNT")] = None,
    books: Annotated[str | None, typer.Option(help="Which account, likewise.", metavar="ACCOUNT")] = None,
) -> None:
    """Pair a CRM account with a books account under a mapping, or give a pair a new mapping.

    Every problem in the mapping is named with its line, and nothing is saved until there is none.
    """
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import paired

        text = _read(mapping, "mapping")
        accounts: dict[Any, str] = {side: a for side, a in (("crm", crm), ("books", books)) if a is not None}
        async with session.api() as api:
            view = await api.pair(text, str(mapping), session.by, accounts)
        session.screen.say(paired(view))
        session.screen.document(view.json())
        return Exit.DONE

    session.run(work, means="Nothing was saved; a pair that was there goes on as before.")
