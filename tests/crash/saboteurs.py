"""Mechanisms broken on purpose, in the process that dies and in the one that goes on: the matrix must see it.

Each names where it shows: a scenario, a shape and the deaths that bring it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.crash.trap import Stop


class Saboteur(msgspec.Struct, frozen=True, kw_only=True):
    """`break_it` puts the broken mechanism in the place of the real one, for this process. `shows` is a part of what
    the matrix then says."""

    break_it: Callable[[], None]
    scenario: str
    stops: tuple[Stop, ...]
    shows: str
    shape: str = "one by one"


def _put(owner: object, name: str, broken: Any) -> None:
    """Put it in the place of the real one."""
    setattr(owner, name, broken)


def _intent_after_call() -> None:
    """The intent is written down together with the outcome: a worker that dies in between leaves no trace of its
    call."""
    from worker.usecases import apply_plan as module

    record, intend = module._record, module._intend
    held: list[tuple[Any, ...]] = []

    async def no_intent(*words: Any) -> Any:
        held.append(words)
        return await words[0].db.now()

    async def both(*words: Any) -> None:
        await intend(*held.pop())
        await record(*words)

    _put(module, "_intend", no_intent)
    _put(module, "_record", both)


def _resent_without_a_look() -> None:
    """What was on its way when a worker died is sent again at once."""
    from worker.store import plans
    from worker.store.plans import Step
    from worker.usecases import apply_plan
    from worker.usecases.settle_doubts import Doubts

    async def blind(desk: Any, run_id: str, actor: str) -> Doubts:
        async with desk.db.write() as tx:
            opened = await plans.open_intents(tx, desk.pair.id)
            await plans.step(tx, [Step(id=s.change.id, to="planned") for s in opened])
        return Doubts(left=0, not_before=None)

    _put(apply_plan, "settle_doubts", blind)


def _done_without_a_look() -> None:
    """What was on its way when a worker died is believed to have arrived."""
    from worker.store import plans
    from worker.store.plans import Step
    from worker.usecases import apply_plan
    from worker.usecases.settle_doubts import Doubts

    async def believing(desk: Any, run_id: str, actor: str) -> Doubts:
        async with desk.db.write() as tx:
            opened = await plans.open_intents(tx, desk.pair.id)
            await plans.step(tx, [Step(id=s.change.id, to="done") for s in opened])
        return Doubts(left=0, not_before=None)

    _put(apply_plan, "settle_doubts", believing)


def _absent_too_early() -> None:
    """Not found at once counts as not there, although the call may still land."""
    from worker.usecases import settle_doubts as module

    _put(module, "_decidable", lambda desk, stored: stored.call_until)


def _cursor_before_page() -> None:
    """The cursor moves in a unit of its own, before the page is stored."""
    from worker.store import mirror

    store, move = mirror.store_pages, mirror._move_cursors

    async def moved_first(tx: Any, connection_id: str, pages: Sequence[Any], listeners: Any) -> Any:
        await move(tx, connection_id, pages, await tx.now())
        await _commit_now(tx)
        return await store(tx, connection_id, pages, listeners)

    async def nothing(*words: Any) -> None:
        return None

    _put(mirror, "store_pages", moved_first)
    _put(mirror, "_move_cursors", nothing)


async def _commit_now(tx: Any) -> None:
    """Commit what the unit did so far and go on in a new one."""
    await tx.connection.exec_driver_sql("COMMIT")
    await tx.connection.exec_driver_sql("BEGIN IMMEDIATE" if tx.dialect == "sqlite" else "BEGIN")


def _approval_apart_from_its_run() -> None:
    """The approval is committed before the run is asked for."""
    from worker.store import runs
    from worker.usecases import approve_plan as module

    class Apart:
        def __getattr__(self, name: str) -> Any:
            return getattr(runs, name)

        async def ask(self, tx: Any, *words: Any, **named: Any) -> str:
            await _commit_now(tx)
            return await runs.ask(tx, *words, **named)

    _put(module, "runs", Apart())


def _token_used_before_it_is_stored() -> None:
    """The renewed login is used at once, and stored when the next one is asked for."""
    from worker import vault as module

    renewed, waiting = module.StoredTokens.renewed, {}

    async def unstored(self: Any, stored: Any, generation: int, renew: Any) -> Any:
        waiting[self] = await renew(stored)
        await self._unmark(generation)
        return waiting[self]

    async def stored_late(self: Any, stale: Any, renew: Any) -> Any:
        if self in waiting:
            await module.save_token(self._db, self._vault, self._id, waiting.pop(self))
        return await renewed(self, stale, renew)

    _put(module.StoredTokens, "_asked_and_stored", unstored)
    _put(module.StoredTokens, "renewed", stored_late)


def _outcome_in_two_units() -> None:
    """State first, link and document in a unit of their own."""
    from worker.store import plans
    from worker.usecases import outcomes as module

    class Apart:
        def __getattr__(self, name: str) -> Any:
            return getattr(plans, name)

        async def step(self, tx: Any, moves: Sequence[Any]) -> list[str]:
            moved = await plans.step(tx, moves)
            await _commit_now(tx)
            return moved

    _put(module, "plans", Apart())


SABOTEURS: dict[str, Saboteur] = {
    "intent after the call": Saboteur(
        break_it=_intent_after_call,
        scenario="apply",
        stops=(Stop("call.answered", 10),),
        shows="books account: +1 invoice",
    ),
    "sent again without a look": Saboteur(
        break_it=_resent_without_a_look,
        scenario="apply",
        stops=(Stop("call.answered", 10),),
        shows="books account: +1 invoice",
    ),
    "done without a look": Saboteur(
        break_it=_done_without_a_look,
        scenario="apply",
        stops=(Stop("intent.committed", 10),),
        shows="books account: -1 invoice",
    ),
    "absent too early": Saboteur(
        break_it=_absent_too_early,
        scenario="apply",
        stops=(Stop("vendor.sent", 10),),
        shows="books account: +1 invoice",
    ),
    "cursor before the page": Saboteur(
        break_it=_cursor_before_page, scenario="preview", stops=(Stop("page.stored"),), shows="mirror: -1"
    ),
    "approval apart from its run": Saboteur(
        break_it=_approval_apart_from_its_run,
        scenario="apply",
        stops=(Stop("approval.consumed"),),
        shows="books account: -1 invoice",
    ),
    "token used before it is stored": Saboteur(
        break_it=_token_used_before_it_is_stored,
        scenario="login",
        stops=(Stop("intent.committed", 3),),
        shows="a person had to log in anew",
        shape="marker searchable",
    ),
    "outcome in two units": Saboteur(
        break_it=_outcome_in_two_units,
        scenario="apply",
        stops=(Stop("outcome.stored", 10),),
        shows="documents: -1",
    ),
}
