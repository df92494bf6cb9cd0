"""Commands for what needs a person: conflicts, records held back, the reconciliation."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session

if TYPE_CHECKING:
    from worker.api import Api
    from worker.api.views import AgainVerb, ConflictView, PairView

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
        from bot.terminal.tables import settled
        from bot.terminal.words import moment

        async with session.pair() as (api, pair):
            question = await _question(api, pair, number)
            view = await api.settle(pair.id, number, chosen(question, choice), session.by, value)
        session.screen.say(settled(view, question, moment(datetime.now(UTC), pair.time_zone), value))
        session.screen.document(view.json())
        return Exit.PERSON if view.moved else Exit.DONE

    session.run(work, means="Nothing was decided.")


async def _question(api: Api, pair: PairView, number: int) -> ConflictView:
    for question in await api.conflicts(pair.id):
        if question.number == number:
            return question
    raise Failure(f"There is no open question {number}", next_step="tieout conflicts lists what is open.")


def chosen(question: ConflictView, said: str) -> str:
    """The choice that somebody typed. Raises Failure (wrong usage) for one that the question does not take."""
    from bot.terminal.tables import answers, choice_of

    choice = choice_of(question, said)
    if choice not in question.choices:
        raise Failure(
            f'"{said}" does not answer question {question.number}',
            next_step=f"Answer with one of: {', '.join(answers(question))}.",
            code=Exit.USAGE,
        )
    return choice


WHY = Annotated[str | None, typer.Option(help="For the audit trail.", metavar="TEXT")]


def bill_again(
    ctx: typer.Context,
    deal: Annotated[str, typer.Argument(help="A deal, or one of its invoices: name, number or id.", metavar="DEAL")],
    why: WHY = None,
) -> None:
    """Bill a deal once more whose document was taken back, voided or credited. The next preview shows it."""
    _lift(ctx, "bill", deal, why)


def make_again(
    ctx: typer.Context,
    record: Annotated[str, typer.Argument(help="A customer or item: name or id.", metavar="RECORD")],
    why: WHY = None,
) -> None:
    """Make a counterpart again that was taken back, or said to be not needed. The next preview shows it."""
    _lift(ctx, "make", record, why)


def _lift(ctx: typer.Context, verb: AgainVerb, text: str, why: str | None) -> None:
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.story import lifted

        async with session.pair() as (api, pair):
            view = await api.again(pair.id, verb, text, session.by, why)
        session.screen.say(f"{lifted(view)} tieout preview shows what comes of it.")
        session.screen.document(view.json())
        return Exit.DONE

    session.run(work, means="Nothing was decided.")


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
    everything: Annotated[bool, typer.Option("--all", help="Every line of every bridge.")] = False,
    xlsx: Annotated[Path | None, typer.Option(help="Also write the workbook.", metavar="FILE")] = None,
) -> None:
    """Prove that a month's deals, invoices and payments agree, or show where they do not."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.runs import PATIENCE_S, succeeded
        from bot.terminal.tables import reconciliation

        asked = month_asked(month)
        async with session.pair(work=True) as (api, pair):
            run_id = await api.ask(pair.id, "reconcile", session.by, {"month": asked})
            run = await succeeded(session, api, run_id, PATIENCE_S)
            report = await api.report(str(run.result["report_id"]))
            session.screen.say(reconciliation(report, everything=everything))
            if xlsx is not None:
                written(xlsx, await api.workbook(report.id))
                session.screen.say(f"Written: {xlsx}")
        session.screen.document({**report.json(), "workbook": str(xlsx) if xlsx is not None else None})
        return Exit.DONE if report.ties else Exit.PERSON

    session.run(work, means="Your books are as they were.")


def month_asked(text: str | None) -> str | None:
    """A month as `2026-10`. Raises Failure (wrong usage) for what is none."""
    if text is None or re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        return text
    raise Failure(f'"{text}" is no month', next_step="Write it like 2026-10.", code=Exit.USAGE)


def written(path: Path, workbook: bytes) -> None:
    """Raises Failure if the file cannot be written."""
    try:
        path.write_bytes(workbook)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}", means="The report itself is stored.") from None
