"""A town with two offices and Tieout between them: its worker is driven by hand, through all weathers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec
from sqlalchemy import and_, func, select

from connectors.canon.fields import from_json
from connectors.kit.contract import Side
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs
from tests.flows.rig import NOW, Rig, open_rig
from tests.machine.people import C, People, rules
from tests.machine.typed import OTHER, SIDES, Record, type_of
from tests.machine.weather import CALM, Killed, Storm, Stormy, Weather, watch, watch_database
from worker.api import Problem
from worker.engine.questions import ONE_BY_ONE, Question
from worker.jobs import runner
from worker.store import runs
from worker.store.conflicts import Conflict, open_conflicts
from worker.store.tables import bases, link_members
from worker.store.tables import runs as runs_table
from worker.usecases.ask_about_fields import under_question

HOUR = 3_600.0
Edit: TypeAlias = Callable[[], None]
_ANSWERS = {
    "field": ("crm", "books"),
    "everywhere": ("crm", ONE_BY_ONE, "books"),
    "match": ("different", "same"),
    "create": ("create", "not-needed"),
}


class Town:
    """`people` type; the verbs are what Tieout does for them. `rough`: something else than typing went wrong."""

    def __init__(self, rig: Rig, weather: Weather) -> None:
        self.rig, self.weather = rig, weather
        self.people = People(rig.crm, rig.books)
        self.decided: set[tuple[str, str]] = set()  # (crm ref, path) about which somebody decided
        self.rough = False
        self._workers = itertools.count(1)

    # ----------------------------------------------------------------- what goes wrong

    def fault(self, side: Side, fault: Fault) -> None:
        self.rough = True
        self.people.world(side).script.add(fault)

    def lag(self, side: Side) -> None:
        """The next page that this vendor tells is old."""
        self.rough = True
        vars(self.people.world(side))["lags"] = True

    def clear_up(self) -> None:
        """Nothing goes wrong any more."""
        self.weather.clear()
        for side in SIDES:
            self.people.world(side).script.clear()
            vars(self.people.world(side))["lags"] = False

    # ----------------------------------------------------------------- what Tieout does

    async def ask(self, what: str, storm: Storm = CALM, edit: Edit | None = None) -> None:
        """A preview, or a sync."""
        await self._work(await self.rig.api.ask(self.rig.pair.id, what, "tests"), storm, edit)

    async def apply(self, storm: Storm = CALM, edit: Edit | None = None, *, part: int | None = None) -> None:
        """Apply the open plan, if there is one: all of it with what guards held back, or one kind of its changes."""
        plan = await self.rig.api.current_plan(self.rig.pair.id)
        if plan is None:
            return
        groups = sorted(plan.counts)
        chosen = "all" if part is None or not groups else (groups[part % len(groups)],)
        with contextlib.suppress(Problem):  # it expired, or is on its way
            run_id = await self.rig.api.apply(plan.id, plan.fingerprint, "tests", chosen, confirm_held=part is None)
            await self._work(run_id, storm, edit)

    async def resume(self, storm: Storm = CALM, edit: Edit | None = None) -> None:
        """Some time later another worker goes on with whatever is due."""
        self.rig.pass_time(20)
        async with self.rig.db.read() as tx:
            due = await runs.due(tx)
        for run_id in due:
            await self._work(run_id, storm, edit)

    async def _work(self, run_id: str, storm: Storm, edit: Edit | None) -> None:
        """Be the worker of a run, until it is over, waits, or the worker is no more."""
        task = asyncio.ensure_future(runner.advance(self.rig.office, run_id, f"worker {next(self._workers)}"))
        self.rough = self.rough or storm is not CALM
        self.weather.begin(storm, task, edit)
        try:
            await task
        except (Killed, asyncio.CancelledError):
            self.rough = True
        finally:
            self.weather.clear()
        await self.look_up()

    # ----------------------------------------------------------------- what people answer

    async def questions(self) -> list[Conflict]:
        async with self.rig.db.read() as tx:
            return await open_conflicts(tx, self.rig.pair.id)

    async def answer(self, which: int, choice: int) -> None:
        """Somebody answers one of the open questions, from what it shows."""
        found = await self.questions()
        if found:
            await self._answered(found[which % len(found)], choice)

    async def answer_all(self) -> None:
        """Somebody answers everything that is open."""
        for number, asked in enumerate(await self.questions()):
            await self._answered(asked, {"match": 0, "create": 1}.get(asked.question.what, number))

    async def _answered(self, asked: Conflict, choice: int) -> None:
        question = asked.question
        choices = _ANSWERS.get(question.what, ("leave",))
        said = choices[choice % len(choices)]
        same = question.named[0] if said == "same" and question.named else None
        about = await self._about(question)
        try:
            settled = await self.rig.api.settle(self.rig.pair.id, asked.number, said, "tests", same)
        except Problem:
            return
        if settled.first and not settled.moved and said in SIDES:
            for each in about:
                self._decided(each, "books" if said == "crm" else "crm")

    async def _about(self, question: Question) -> list[Question]:
        """Of a question about a field, that of each record which it is about."""
        if question.what != "everywhere":
            return [question]
        desk = await self.rig.desk()
        rule = next(rule for rule in desk.mapping.rules(C) if rule.key == question.rule)
        async with self.rig.db.read() as tx:
            return list(await under_question(tx, desk, rule, question))

    def _decided(self, question: Question, loser: Side) -> None:
        path = question.rule.partition(":")[0]
        self.decided.add((question.ref, path))
        crm: Record = ("crm", question.ref)
        record = crm if loser == "crm" else self.people.typed.partners[crm]
        shown = question.crm if loser == "crm" else question.books
        self.people.typed.end(record, path, from_json(type_of(path), shown))

    # ----------------------------------------------------------------- it settles

    async def settle(self) -> list[str]:
        """Faults are over and time passes; previews and applies repeat until nothing moves. What is wrong, if that
        does not come to an end."""
        self.clear_up()
        quiet, said = 0, ""
        for _ in range(14):
            self.rig.pass_time(2 * HOUR)
            await self._finish_runs()
            before = self.rig.writes()
            view = await self.rig.run("preview", confirm_emptied=True)
            if view.state != "done" or view.plan_id is None:
                return [f"a calm preview is {view.state}: {view.error}"]
            plan = await self.rig.api.plan(view.plan_id)
            said = f"{plan.counts}, {plan.held} held, {plan.refused or ''}"
            await self.look_up()
            quiet = quiet + 1 if plan.changes + plan.held == 0 and plan.refused is None else 0
            if quiet == 2:
                return [] if self.rig.writes() == before else ["an empty plan wrote"]
            await self.apply()
        return [f"it does not settle: {said}"]

    async def _finish_runs(self) -> None:
        """Let whatever is still under way come to its end."""
        for _ in range(8):
            async with self.rig.db.read() as tx:
                under_way = runs_table.c.state.in_(("queued", "running", "waiting"))
                left = await tx.scalar(select(func.count()).select_from(runs_table).where(under_way))
                due = await runs.due(tx)
            if not left:
                return
            for run_id in due:
                await self._work(run_id, CALM, None)
            self.rig.pass_time(400)

    async def look_up(self) -> None:
        """Bring the model up to date: who is linked with whom, and what they agreed on."""
        mine = and_(link_members.c.pair_id == self.rig.pair.id, link_members.c.kind == C.value)
        async with self.rig.db.read() as tx:
            members = await tx.rows(select(link_members.c.link_id, link_members.c.side, link_members.c.ref).where(mine))
            agreed = await tx.rows(select(bases.c.link_id, bases.c.rule, bases.c.crm, bases.c.books))
        links: dict[str, dict[Side, str]] = {}
        for link_id, side, ref in members:
            links.setdefault(link_id, {})[side] = ref
        typed = self.people.typed
        typed.partners = {
            (side, refs[side]): (OTHER[side], refs[OTHER[side]]) for refs in links.values() for side in refs
        }
        typed.bases = {
            ((side, links[link_id][side]), rule.partition(":")[0]): from_json(
                type_of(rule.partition(":")[0]), msgspec.json.decode(text)
            )
            for link_id, rule, *both in agreed
            if link_id in links
            for side, text in zip(SIDES, both, strict=True)
        }


def _seconds(rig: Rig) -> float:
    """Only what the test lets pass. On a busy machine a worker must not say more often how far it is: each word is one
    more point to die at."""
    return (NOW + rig.db.shift).timestamp()


@contextlib.asynccontextmanager
async def open_town(
    url: str, folder: Path, *, crm: Knobs | None = None, books: Knobs | None = None, text: str | None = None
) -> AsyncIterator[Town]:
    """A town on a database of its own, paired under `text` (default: people apply, and are asked about removals)."""
    async with open_rig(url, folder, crm=crm, books=books) as rig:
        weather = Weather()
        rig.office.registry = {"memory": Stormy}
        for world in (rig.crm, rig.books):
            watch(world, weather)
        watch_database(rig.db, weather)
        vars(rig.office.clock)["monotonic"] = partial(_seconds, rig)
        await rig.pair_up(text if text is not None else rules("ask"))
        yield Town(rig, weather)
