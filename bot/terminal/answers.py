"""Commands for what needs a person: conflicts, records held back, the reconciliation."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session

if TYPE_CHECKING:
    from bot.terminal.doors import Reconciles
    from worker.api import Api
    from worker.api.views import ConflictView, PairView, ReportView

conflicts = typer.Typer(help="List what needs your answer, and answer it.", invoke_without_command=True)


@conflicts.callback()
def conflicts_alone(ctx: typer.Context) -> None:
    """List what needs your answer, and answer it."""
    if ctx.invoked_subcommand is None:
        list_conflicts(ctx)


@conflicts.command("list")
def list_conflicts(ctx: typer.Context) -> None:
    """List open questions, with what both sides say and how to answer. Exit code 3 while there are any."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import conflicts as shown

        async with session.pair() as (api, pair):
            found = await api.conflicts(pair.id)
        session.screen.say(shown(found, pair))
        session.screen.document([view.json() for view in found])
        return Exit.PERSON if found else Exit.DONE

    session.run(work)


@conflicts.command()
def settle(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(help="The question's number.", metavar="NUMBER")],
    choice: Annotated[str, typer.Argument(help="One of the answers that it names.", metavar="CHOICE")],
    value: Annotated[str | None, typer.Argument(help="For an answer that takes one.", metavar="VALUE")] = None,
) -> None:
    """Answer a question. The next sync carries the answer out."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import choice_of, settled
        from bot.terminal.words import moment

        async with session.pair() as (api, pair):
            question = await _question(api, pair, number)
            view = await api.settle(pair.id, number, choice_of(question, choice), session.by, value)
        session.screen.say(settled(view, question, moment(datetime.now(UTC), pair.time_zone)))
        session.screen.document(view.json())
        return Exit.PERSON if view.moved else Exit.DONE

    session.run(work, means="Nothing was decided.")


async def _question(api: Api, pair: PairView, number: int) -> ConflictView:
    for question in await api.conflicts(pair.id):
        if question.number == number:
            return question
    raise Failure(f"There is no open question {number}", next_step="tieout conflicts lists what is open.")


def waiting(ctx: typer.Context) -> None:
    """List records that are held back, with the reason and, for files, the place."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import waiting as shown

        async with session.pair() as (api, pair):
            found = await api.waiting(pair.id)
        session.screen.say(shown(found, pair))
        session.screen.document([view.json() for view in found])
        return Exit.PERSON if found else Exit.DONE

    session.run(work)


def reconcile(
    ctx: typer.Context,
    month: Annotated[str | None, typer.Argument(help="Like 2026-10; the last whole month.", metavar="MONTH")] = None,
    xlsx: Annotated[Path | None, typer.Option(help="Also write the workbook.", metavar="FILE")] = None,
) -> None:
    """Prove that a month's deals, invoices and payments agree, or show where they do not."""
    session: Session = ctx.obj

    async def work() -> Exit:
        asked = month_asked(month)
        async with session.pair(work=True) as (api, pair):
            report = await cast("Reconciles", api).reconcile(pair.id, asked, session.by)
        session.screen.say(report.text)
        written = write_workbook(report, xlsx) if xlsx is not None else None
        if written is not None:
            session.screen.say(f"Written: {written}")
        session.screen.document(_report_json(report, written))
        return Exit.DONE if report.ties else Exit.PERSON

    session.run(work, means="No report was made; your books are as they were.")


def month_asked(text: str | None) -> str | None:
    """A month as `2026-10`. Raises Failure (wrong usage) for what is none."""
    if text is None or re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        return text
    raise Failure(f'"{text}" is no month', next_step="Write it like 2026-10.", code=Exit.USAGE)


def write_workbook(report: ReportView, path: Path) -> Path:
    """Raises Failure if there is no workbook, or it cannot be written."""
    if report.workbook is None:
        raise Failure("This report comes without a workbook", next_step="Leave --xlsx out.")
    try:
        path.write_bytes(report.workbook)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}", means="The report itself is stored.") from None
    return path


def _report_json(report: ReportView, written: Path | None) -> dict[str, Any]:
    return {
        "text": report.text,
        "ties": report.ties,
        "figures": report.figures,
        "workbook": str(written) if written is not None else None,
    }
