"""`tieout run` and `tieout bot`: the bot in a real workspace."""

from __future__ import annotations

import asyncio

import typer

from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session


def run(ctx: typer.Context) -> None:
    """Bot and worker for a Slack workspace, until Ctrl-C. tieout check says what is missing."""
    _serve(ctx.obj, alone=False)


def bot(ctx: typer.Context) -> None:
    """The bot alone, until Ctrl-C; tieout worker does the work elsewhere."""
    _serve(ctx.obj, alone=True)


def _serve(session: Session, *, alone: bool) -> None:
    def ready(url: str) -> None:
        session.screen.say(f"In Slack. Health at {url}/readyz. Ctrl-C ends it; what is under way goes on afterwards.")

    async def work() -> Exit:
        missing = [said for said in session.doors.slack_missing() if "APPROVERS" not in said]
        if missing:
            raise _not_set_up(missing)
        try:
            await session.doors.serve_bot(ready, alone=alone)
        except asyncio.CancelledError:
            session.screen.note("Ended.")
        return Exit.DONE

    session.run(work)


def _not_set_up(missing: list[str]) -> Failure:
    return Failure(
        "Slack is not set up yet. Missing: " + "; ".join(missing),
        means="Nothing was started.",
        next_step="Set what is missing in the environment; tieout check shows the whole list.",
    )
