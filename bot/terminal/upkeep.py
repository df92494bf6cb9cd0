"""Commands that keep the house: check, sandbox, worker, db, audit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session

db = typer.Typer(help="The database.", no_args_is_help=True)
audit = typer.Typer(help="The audit trail.", no_args_is_help=True)


def check(ctx: typer.Context) -> None:
    """Say what is configured, reachable and missing, and what to do about each. Changes nothing."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.check import examine, exit_code, text

        found = await examine(session.doors)
        session.screen.say(text(found))
        session.screen.document(
            [{"what": f.what, "state": f.state, "said": f.said, "do": f.do} for f in found],
        )
        return exit_code(found)

    session.run(work)


def sandbox(
    ctx: typer.Context,
    system: Annotated[str, typer.Argument(help="hubspot, quickbooks ...", metavar="SYSTEM")],
    port: Annotated[int, typer.Option(help="Where to serve on 127.0.0.1; 0 takes a free port.")] = 0,
    seed: Annotated[Path | None, typer.Option(help="A folder of records to begin with.", metavar="DIR")] = None,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Without the vendor's rate limits.")] = False,
) -> None:
    """Serve a local stand-in for a vendor until Ctrl-C. Everything in it is lost then."""
    session: Session = ctx.obj

    def ready(url: str) -> None:
        command = f"tieout connect {system} --sandbox {url}{' --setting pace=off' if no_limits else ''}"
        session.screen.say(f"{system} sandbox at {url}\nConnect to it: {command}\nCtrl-C ends it.")
        session.screen.document({"system": system, "url": url, "connect": command})

    async def work() -> Exit:
        if system not in session.doors.sandboxes():
            known = ", ".join(sorted(session.doors.sandboxes()))
            raise Failure(f'There is no sandbox "{system}"', next_step=f"Known: {known}.", code=Exit.USAGE)
        try:
            await session.doors.serve_sandbox(system, port, seed, not no_limits, ready)
        except asyncio.CancelledError:
            session.screen.note("Ended.")
        except OSError as error:
            raise Failure(f"Port {port} cannot be served: {error.strerror}", next_step="Choose another.") from None
        except ValueError as error:
            raise Failure(f"The seed cannot be read: {error}", next_step="Mend that row and start again.") from None
        return Exit.DONE

    session.run(work)


def worker(
    ctx: typer.Context,
    lane: Annotated[
        Literal["realtime", "bulk"] | None, typer.Option(help="Serve one lane alone; both by default.")
    ] = None,
) -> None:
    """Serve the queue until Ctrl-C: carries out runs that were asked for elsewhere or wait."""
    session: Session = ctx.obj
    lanes = (lane,) if lane is not None else ("realtime", "bulk")

    def ready(serves: bool) -> None:
        if not serves:
            raise Failure(
                f"Another process serves {session.doors.data()} already",
                means="Nothing is wrong: it does the work.",
                next_step="For several workers, give them a shared Redis with TIEOUT_REDIS_URL.",
                code=Exit.LATER,
            )
        session.screen.say(f"Serving {' and '.join(lanes)}. Ctrl-C ends it; what is under way goes on afterwards.")

    async def work() -> Exit:
        try:
            await session.doors.serve_queue(lanes, ready)
        except asyncio.CancelledError:
            session.screen.note("Ended.")
        session.screen.document({"served": list(lanes)})
        return Exit.DONE

    session.run(work)


@db.command("upgrade")
def upgrade(ctx: typer.Context) -> None:
    """Bring the database to the newest revision."""
    session: Session = ctx.obj

    async def work() -> Exit:
        before, after = await session.doors.upgrade()
        was = f"was at {before}" if before is not None else "was empty"
        session.screen.say(
            f"The database is at revision {after} already." if before == after else f"Revision {after}; it {was}."
        )
        session.screen.document({"before": before, "after": after})
        return Exit.DONE

    session.run(work, means="The database is as it was.")


@audit.command("verify")
def verify(ctx: typer.Context) -> None:
    """Check every pair's audit chain from its first entry."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import chains

        async with session.api() as api:
            found = await api.verify_audit()
        session.screen.say(chains(found))
        session.screen.document([view.json() for view in found])
        if any(chain.broken_at is not None for chain in found):
            raise Failure(
                "An audit trail does not hold",
                means="What it says from that entry on cannot be relied on.",
                next_step="Keep this database as evidence, and compare with the last backup.",
            )
        return Exit.DONE

    session.run(work)
