"""Commands about how the two sides are read: verify, webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.terminal.runs import PATIENCE_S, succeeded
from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session

if TYPE_CHECKING:
    from worker.api.views import RunView, WebhookView

webhooks = typer.Typer(help="Vendors' webhooks.", no_args_is_help=True)
NAME = typer.Argument(help="hubspot, quickbooks ..., or an account's id.", metavar="SYSTEM", show_default=False)


def verify(
    ctx: typer.Context,
    records: Annotated[int, typer.Option("--records", "-n", help="How many records to read again.", min=2)] = 200,
) -> None:
    """Read again what was verified longest ago. What changed unannounced is planned like any edit. Writes nothing."""
    session: Session = ctx.obj

    async def work() -> Exit:
        async with session.pair(work=True) as (api, pair):
            run_id = await api.ask(pair.id, "verify", session.by, {"records": records})
            run = await succeeded(session, api, run_id, PATIENCE_S)
        session.screen.say(said(run, {"crm": pair.crm.title, "books": pair.books.title}))
        session.screen.document(run.json())
        return Exit.DONE

    session.run(work, means="Nothing was written to either side.")


def said(run: RunView, titles: dict[str, str]) -> str:
    """What a verification found, a line a side. Pure."""
    lines = []
    for side, found in run.result.get("verified", {}).items():
        words = [f"{found['read']:,} read again"]
        named = {"silent": "changed unannounced", "gone": "gone unannounced", "unseen": "not to be seen any more"}
        words += [f"{found[name]:,} {what}" for name, what in named.items() if found.get(name)]
        lines.append(f"{titles[side]}: {', '.join(words if len(words) > 1 else [*words, 'all as known'])}")
    return "\n".join(lines)


@webhooks.command("list")
def listed(ctx: typer.Context) -> None:
    """List the accounts that webhooks are taken from, and whether they come."""
    session: Session = ctx.obj

    async def work() -> Exit:
        async with session.api() as api:
            found = await session.doors.webhooks(api).list()
        session.screen.say("\n".join(_line(each) for each in found) or "No account sends webhooks; changes are polled.")
        session.screen.document([each.json() for each in found])
        return Exit.DONE

    session.run(work)


def _line(view: WebhookView) -> str:
    heard = f"heard {view.heard_at:%Y-%m-%d %H:%M} UTC" if view.heard_at is not None else "nothing heard yet"
    state = "" if view.state == "live" else "; three reads found what none announced: check address and secret"
    return f"{view.title}: {view.path}, {heard}{state}"


@webhooks.command("take")
def take(
    ctx: typer.Context,
    name: Annotated[str, NAME],
    secret_file: Annotated[
        Path | None, typer.Option(help="A file that holds what the vendor signs with; asked for otherwise.")
    ] = None,
    client_secret: Annotated[
        bool, typer.Option("--client-secret", help="It signs with the client secret of the login (HubSpot's OAuth).")
    ] = False,
) -> None:
    """Take an account's webhooks from now on, and say which address to give to the vendor."""
    session: Session = ctx.obj

    async def work() -> Exit:
        secret = None if client_secret else _secret(session, secret_file)
        async with session.api() as api:
            made = await session.doors.webhooks(api).expect(name, secret)
        session.screen.say(
            f"{made.title}'s webhooks are taken at {made.path}\n"
            "Give the vendor that path below the bot's public address (TIEOUT_PUBLIC_URL)."
        )
        session.screen.document(made.json())
        return Exit.DONE

    session.run(work)


def _secret(session: Session, file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise Failure(f"{file} cannot be read: {error.strerror}", next_step="Name a file that can.") from None
    return session.screen.secret("What the vendor signs with")


@webhooks.command("end")
def end(ctx: typer.Context, name: Annotated[str, NAME]) -> None:
    """Take no webhooks of an account any more; its changes are polled."""
    session: Session = ctx.obj

    async def work() -> Exit:
        async with session.api() as api:
            hooks = session.doors.webhooks(api)
            found = [each for each in await hooks.list() if name in (each.connection, each.system, each.account)]
            if not found:
                raise Failure(f'No webhooks are taken from "{name}"', next_step="tieout webhooks list shows them.")
            for each in found:
                await hooks.end(each.connection)
        session.screen.say("Ended. Changes are polled.")
        session.screen.document([each.json() for each in found])
        return Exit.DONE

    session.run(work)
