"""Commands that keep the house: check, sandbox, worker, db, keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from bot.terminal.doors import Rotation
from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session
from bot.terminal.words import count

db = typer.Typer(help="The database.", no_args_is_help=True)
keys = typer.Typer(help="The key that stored logins are encrypted with.", no_args_is_help=True)


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


@keys.command("rotate")
def rotate(ctx: typer.Context) -> None:
    """Make a new encryption key and seal every stored login anew under it. Running workers go on; if it is
    interrupted, the same command goes on with it."""
    session: Session = ctx.obj

    async def work() -> Exit:
        done = await session.doors.rotate_keys(session.by)
        session.screen.say(rotated(done))
        session.screen.document(msgspec.to_builtins(done))
        if done.lost:
            raise Failure(
                f"{count(len(done.lost), 'login')} cannot be opened with any key that is here",
                means="They are kept as they are, and so are the old keys.",
                next_step="Put back the key of that time and run this again, or connect those accounts anew.",
            )
        return Exit.DONE

    session.run(work, means="Every login can still be opened with the keys that are there.")


def rotated(done: Rotation) -> str:
    """What came of a rotation, and what is left to do. Pure."""
    said = f"{count(done.resealed, 'login')} sealed anew."
    if not done.given:
        begun = "An interrupted rotation was brought to its end. " if done.resumed else ""
        kept = "The old keys are kept." if done.lost else f"The new key is in {done.path}; keep a copy of it."
        return f"{begun}{said} {kept}"
    if done.keys > 1:
        left = "the first key alone" if not done.lost else "all its keys until then"
        return f"{said} They open with the first key of TIEOUT_KEY; set it to {left} and restart."
    return (
        "The key comes from TIEOUT_KEY, so a new one is yours to make:\n"
        "  python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'\n"
        "1. Set TIEOUT_KEY to NEW,OLD on every machine and restart tieout there.\n"
        "2. Run tieout keys rotate again: it seals every login anew under the new key.\n"
        "3. Set TIEOUT_KEY to NEW and restart."
    )
