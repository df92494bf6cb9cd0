"""Commands that run: preview, sync, undo, history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from bot.terminal.screen import Exit, Failure
from bot.terminal.session import Session

if TYPE_CHECKING:
    from worker.api import Api
    from worker.api.views import ChangeView, ConflictView, PairView, PlanView, RunView

PATIENCE_S = 20.0
APPLY_PATIENCE_S = 90.0  # longer than a vendor's minute of calls
EVERY_S = 0.1
LOOKED_AT = 2_000  # changes read so that the first twenty can be the ones with money
NOTHING_WRITTEN = "Nothing was written to either side."

All = Annotated[bool, typer.Option("--all", help="Show every change, not only the first 20.")]
Patience = Annotated[
    float | None,
    typer.Option(help="Seconds to stay while a vendor makes us wait; 20, and 90 to apply.", metavar="SECONDS"),
]

Emptied = Annotated[
    bool, typer.Option("--confirm-emptied", help="A side that looks empty really is; removals stay guarded.")
]


def preview(
    ctx: typer.Context, everything: All = False, patience: Patience = None, confirm_emptied: Emptied = False
) -> None:
    """Show what a sync would change, and why. Writes nothing."""
    session: Session = ctx.obj

    async def work() -> Exit:
        async with session.pair(work=True) as (api, pair):
            plan = await _fresh_plan(session, api, pair, everything, patience, confirm_emptied)
            _show(session, plan, pair, everything)
        session.screen.document(_plan_json(plan, everything))
        return needs_a_person(plan)

    session.run(work, means=NOTHING_WRITTEN)


async def _fresh_plan(
    session: Session, api: Api, pair: PairView, everything: bool, patience: float | None, emptied: bool
) -> PlanView:
    request = {"confirm_emptied": True} if emptied else {}
    run_id = await api.ask(pair.id, "preview", session.by, request)
    run = await succeeded(session, api, run_id, _stay(patience, PATIENCE_S))
    if run.plan_id is None:
        raise Failure("The preview made no plan", next_step="Preview again.")
    return await api.plan(run.plan_id, limit=None if everything else LOOKED_AT)


def _stay(said: float | None, default: float) -> float:
    return said if said is not None else default


class Standstill:
    """For how long a run that waits has not come to anything new. Trying again and failing again is nothing new."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._seen: set[tuple[str, int]] = set()

    def seconds(self, run: RunView, now_s: float) -> float:
        """0 while it works; `now_s` is a clock that does not go back."""
        if run.progress is not None and (reached := (run.progress.step, run.progress.done)) not in self._seen:
            self._seen.add(reached)
            self._since_s = now_s
        return now_s - self._since_s if run.state == "waiting" else 0


async def waited(session: Session, api: Api, run_id: str, patience_s: float) -> RunView:
    """A run that is over, or gets no further for longer than one stays; meanwhile a bar shows how far it is."""
    from bot.terminal.progress import bar

    started = Standstill(asyncio.get_running_loop().time())
    async with bar(session.screen.err) as tell:
        while True:
            run = await api.run(run_id)
            await tell(run)
            if run.over or started.seconds(run, asyncio.get_running_loop().time()) > patience_s:
                return run
            await asyncio.sleep(EVERY_S)


async def succeeded(session: Session, api: Api, run_id: str, patience_s: float) -> RunView:
    """A run that is done. Raises Failure with what it says if it did not come to that."""
    run = await waited(session, api, run_id, patience_s)
    failure = ended(run)
    if failure is not None:
        raise failure
    return run


def ended(run: RunView) -> Failure | None:
    """A run that did not end well, in words; None: it did. Pure."""
    if run.state == "done":
        return None
    if run.state == "failed":
        return Failure(
            run.error or f"The {run.what} failed",
            next_step=run.next_step or "Mend what the message names; run it again.",
        )
    return Failure(
        f"The {run.what} waits: {run.error or 'the other side is busy'}",
        next_step=_GOES_ON
        if run.what == "apply"
        else f"Try again later; nothing is lost by asking for a new {run.what}.",
        code=Exit.LATER,
    )


_GOES_ON = "It goes on by itself while tieout worker or tieout run is running, else with the next tieout command."


def _show(session: Session, plan: PlanView, pair: PairView, everything: bool) -> None:
    from bot.terminal.tables import preview as shown

    session.screen.say(shown(plan, pair, everything=everything))


def _plan_json(plan: PlanView, everything: bool) -> dict[str, Any]:
    from bot.terminal.tables import SHOWN

    data: dict[str, Any] = plan.json()
    if not everything:
        data["shown"] = data["shown"][:SHOWN]
    return data


def needs_a_person(plan: PlanView) -> Exit:
    """PERSON while a plan waits for approval, a question is open, or something is held. Pure."""
    if plan.refused is not None or plan.changes or plan.held or plan.conflicts:
        return Exit.PERSON
    return Exit.DONE


# --------------------------------------------------------------------------- sync


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody wants to sync."""

    yes: bool
    confirm_held: bool
    without_money: bool
    everything: bool
    patience_s: float


def sync(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking.")] = False,
    confirm_held: Annotated[
        bool, typer.Option("--confirm-held", help="Also apply what a guard holds; look at the preview first.")
    ] = False,
    without_money: Annotated[
        bool, typer.Option("--without-money", help="Leave out invoices, credit notes and payments.")
    ] = False,
    everything: All = False,
    patience: Patience = None,
    confirm_emptied: Emptied = False,
) -> None:
    """Preview afresh, ask, and apply: only what was shown is written."""
    session: Session = ctx.obj
    wish = Wish(
        yes=yes,
        confirm_held=confirm_held,
        without_money=without_money,
        everything=everything,
        patience_s=_stay(patience, APPLY_PATIENCE_S),
    )

    async def work() -> Exit:
        async with session.pair(work=True) as (api, pair):
            plan = await _fresh_plan(session, api, pair, everything, patience, confirm_emptied)
            _show(session, plan, pair, everything)
            chosen = await _chosen(api, plan, wish)
            if chosen and _agreed(session, len(chosen), yes):
                return await _applied(session, api, pair, plan, wish)
        if chosen:
            session.screen.say("Nothing was applied.")
        session.screen.document({"plan": _plan_json(plan, everything), "run": None, "changes": []})
        return needs_a_person(plan)

    session.run(work, means=NOTHING_WRITTEN)


async def _chosen(api: Api, plan: PlanView, wish: Wish) -> list[str]:
    """The ids of what would be applied."""
    from bot.terminal.tables import MONEY_KINDS

    found = await api.changes(plan.id, ["planned", "held"] if wish.confirm_held else ["planned"])
    return [change.id for change in found if not (wish.without_money and change.kind in MONEY_KINDS)]


def _agreed(session: Session, number: int, yes: bool, command: str = "tieout sync") -> bool:
    from bot.terminal.words import count

    if yes:
        return True
    if not session.screen.interactive:
        raise Failure(
            f"{count(number, 'change')} wait{'s' if number == 1 else ''} for approval, and nobody can be asked here",
            next_step=f"Look at the preview, then say {command} --yes.",
            code=Exit.PERSON,
        )
    return session.screen.confirm(f"Apply {count(number, 'change')}?")


async def _applied(session: Session, api: Api, pair: PairView, plan: PlanView, wish: Wish) -> Exit:
    """Apply, and say how it ended."""
    part: Literal["all", "without_money"] = "without_money" if wish.without_money else "all"
    run_id = await api.apply(plan.id, plan.fingerprint, session.by, part, confirm_held=wish.confirm_held)
    run = await waited(session, api, run_id, wish.patience_s)
    changes = await api.changes(plan.id)
    questions = await api.conflicts(pair.id)
    session.screen.say(f"\n{report(run, changes, questions, pair)}")
    ended = await api.plan(plan.id, limit=1)
    notes = ended.notes
    for note in notes:
        session.screen.say(note)
    if ended.settles:
        session.screen.say("tieout bill-again DEAL and tieout make-again RECORD lift that.")
    session.screen.document(
        {
            "run": run.json(),
            "changes": [change.json() for change in changes],
            "conflicts": [question.json() for question in questions],
            **({"notes": list(notes)} if plan.undoes is not None or notes else {}),
        }
    )
    return how_it_ended(run, changes, questions)


def report(run: RunView, changes: Sequence[ChangeView], questions: Sequence[ConflictView], pair: PairView) -> str:
    """What was done and what was not; why it stopped, and how it goes on; what needs somebody. Pure."""
    from bot.terminal.tables import conflicts, outcome

    blocks = [outcome(changes)]
    failure = ended(run)
    if failure is not None:
        blocks.append(failure.text())
    if questions:
        blocks.append(conflicts(questions, pair))
    return "\n\n".join(blocks)


def how_it_ended(run: RunView, changes: Sequence[ChangeView], questions: Sequence[ConflictView]) -> Exit:
    """The exit code of a sync. Pure."""
    failure = ended(run)
    if failure is not None:
        return failure.code
    states = {change.state for change in changes}
    if "rejected" in states:
        return Exit.FAILED
    return Exit.PERSON if questions or states & {"held", "stale", "unknown", "intended"} else Exit.DONE


def undo(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="The run's id or how it ends, as tieout history lists it; or last.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking.")] = False,
    confirm_held: Annotated[
        bool, typer.Option("--confirm-held", help="Also apply what a guard holds; look at the preview first.")
    ] = False,
    everything: All = False,
    patience: Patience = None,
) -> None:
    """Take a run back: preview its reverse, ask, and apply. What moved since is left as it is."""
    session: Session = ctx.obj
    wish = Wish(
        yes=yes,
        confirm_held=confirm_held,
        without_money=False,
        everything=everything,
        patience_s=_stay(patience, APPLY_PATIENCE_S),
    )

    async def work() -> Exit:
        async with session.pair(work=True) as (api, pair):
            plan = await _reverse(session, api, pair, run, everything, patience)
            _show(session, plan, pair, everything)
            chosen = await _chosen(api, plan, wish)
            if chosen and _agreed(session, len(chosen), yes, f"tieout undo {run}"):
                return await _applied(session, api, pair, plan, wish)
        if chosen:
            session.screen.say("Nothing was taken back.")
        session.screen.document({"plan": _plan_json(plan, everything), "run": None, "changes": []})
        return Exit.PERSON if chosen or plan.held or plan.refused is not None else Exit.DONE

    session.run(work, means=NOTHING_WRITTEN)


async def _reverse(
    session: Session, api: Api, pair: PairView, said: str, everything: bool, patience: float | None
) -> PlanView:
    """The plan that takes a run back."""
    request = {"undoes": await api.run_meant(pair.id, said)}
    drawn = await succeeded(
        session, api, await api.ask(pair.id, "undo", session.by, request), _stay(patience, PATIENCE_S)
    )
    if drawn.plan_id is None:
        raise Failure("The undo made no plan", next_step="Try again.")
    return await api.plan(drawn.plan_id, limit=None if everything else LOOKED_AT)


def history(
    ctx: typer.Context, number: Annotated[int, typer.Option("--number", "-n", help="How many runs.", min=1)] = 20
) -> None:
    """List the last runs, the newest first."""
    session: Session = ctx.obj

    async def work() -> Exit:
        from bot.terminal.tables import history as shown

        async with session.pair() as (api, pair):
            found = await api.history(pair.id, number)
        session.screen.say(shown(found, pair))
        session.screen.document([view.json() for view in found])
        return Exit.DONE

    session.run(work)
