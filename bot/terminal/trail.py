"""Commands that read the audit trail: verify, record, export, erase."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TextIO

import typer

from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session

audit = typer.Typer(help="The audit trail.", no_args_is_help=True)
RECORD = typer.Argument(
    help="A name, a number, an id, or side:kind:id like crm:customer:51.", metavar="RECORD", show_default=False
)


@audit.command("verify")
def verify(
    ctx: typer.Context,
    head: Annotated[
        list[str] | None,
        typer.Option(help="A head that was posted with a report, like 120:9f2c...; with one pair.", metavar="HEAD"),
    ] = None,
) -> None:
    """Check the audit trail from its first entry, and against the heads that reports carry. With --pair, that pair's
    alone."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import chains

        async with session.api() as api:
            pair = await api.find_pair(session.pair_name) if session.pair_name is not None or head else None
            found = await session.doors.trail(api).verify(pair.id if pair is not None else None, head or [])
        session.screen.say(chains(found))
        session.screen.document([view.json() for view in found])
        if any(chain.reason is not None for chain in found):
            raise Failure(
                "An audit trail does not hold",
                means="What it says from that entry on cannot be relied on. Work goes on, and every report says so.",
                next_step="Keep a copy of this database as evidence, and compare it with the last backup.",
            )
        return Exit.DONE

    session.run(work)


@audit.command("record")
def record(ctx: typer.Context, record: Annotated[str, RECORD]) -> None:
    """Tell one record's story: who or what changed it, when, why, from what to what."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import story

        async with session.pair() as (api, pair):
            found = await session.doors.trail(api).story(pair.id, record)
        session.screen.say(story(found))
        session.screen.document(found.json())
        return Exit.DONE

    session.run(work)


@audit.command("export")
def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A CSV file that is not there yet.", metavar="FILE.csv")],
) -> None:
    """Write the whole trail into a CSV file. It holds personal values, and is readable by its owner alone."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.words import count

        async with session.pair() as (api, pair):
            try:
                with owned(file) as out:
                    number = await session.doors.trail(api).export(pair.id, out.write)
            except FileExistsError:
                raise Failure(f"{file} is there already", next_step="Name a new file.", code=Exit.USAGE) from None
            except OSError as error:
                raise Failure(f"{file} cannot be written: {error.strerror}") from None
        session.screen.say(f"Written: {file}, {count(number, 'entry', 'entries')} of {pair.name}.")
        session.screen.document({"file": str(file), "entries": number})
        return Exit.DONE

    session.run(work, means="The trail is as it was.")


@audit.command("erase")
def erase(
    ctx: typer.Context,
    record: Annotated[str, RECORD],
    still_there: Annotated[
        bool, typer.Option("--still-there", help="A system still shows the record: forget only what was.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget a person that was deleted in both systems: in the trail, in plans, questions, reports and messages that
    Tieout keeps. That it was done is on record; the chain still holds."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.story import headline
        from bot.terminal.tables import forgotten

        async with session.pair() as (api, pair):
            trail = session.doors.trail(api)
            found = (await trail.story(pair.id, record)).record
            if not yes and not (session.screen.interactive and session.screen.confirm(_question(headline(found)))):
                more = " --still-there" if still_there else ""
                raise Failure(
                    "Nothing was erased", next_step=f"tieout audit erase {found.address}{more} --yes", code=Exit.PERSON
                )
            erased = await trail.erase(pair.id, found.address, session.by, still_there=still_there)
        session.screen.say(forgotten(headline(found), erased))
        session.screen.document(erased.json())
        return Exit.DONE

    session.run(work, means="The trail is as it was.")


def _question(what: str) -> str:
    return f"Erase what Tieout keeps of {what}? This cannot be undone."


def owned(path: Path) -> TextIO:
    """A new text file that only its owner can read. Raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(handle, "w", encoding="utf-8", newline="")
