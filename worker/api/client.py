"""The verbs: everything that bot and terminal ask of the worker goes through here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.canon.fields import to_json
from connectors.canon.values import ABSENT
from connectors.kit.contract import Side, Token
from connectors.kit.errors import ConnectorError
from worker.api import views
from worker.api.how_long import how_long
from worker.api.undoing import LAST, NOT_AGAIN, left_out, run_meant, what_stays
from worker.crash import crash
from worker.engine.mapping import MappingError, parse
from worker.engine.reconcile import Report
from worker.house import House
from worker.reports import chart, record, tables, workbook
from worker.store import audit, conflicts, connections, mirror, plans, reports, runs
from worker.store.connections import Connection, Pair
from worker.store.database import Unit
from worker.store.plans import StoredChange
from worker.store.runs import Lane, Run
from worker.usecases.approve_plan import NotThatPlan, OwnRules, Part, approve_plan
from worker.usecases.connect import Refused, connect, pair_up
from worker.usecases.lift_settled import Again, NotLifted, bill_again, make_again
from worker.usecases.office import SIDES, open_desk
from worker.usecases.post_messages import run_message
from worker.usecases.settle_conflict import Also, NotAChoice, choices_of, settle_conflict
from worker.usecases.verify_trail import verify_trail

SHOWN = 20
PAGE = 1_000  # changes read at a time where all of a plan are wanted
OVER = {
    "superseded": "replaced by a newer preview",
    "applying": "being applied",
    "applied": "applied",
    "discarded": "discarded",
    "expired": "too old: a preview is good for a day",
}


class Problem(Exception):
    """Something a person can mend: what happened, and what to do next. `by`: who the message names, as the one who
    was first."""

    def __init__(
        self, message: str, next_step: str | None = None, details: Sequence[str] = (), *, by: str | None = None
    ) -> None:
        super().__init__("\n".join((message, *details)))
        self.message, self.next_step, self.details = message, next_step, tuple(details)
        self.by = by


class Api:
    """One process' way to the worker."""

    def __init__(self, house: House) -> None:
        self._house = house

    # ----------------------------------------------------------------- set up

    async def connect(
        self, system: str, settings: Mapping[str, str], token: Token | None = None, by: str = "tieout"
    ) -> views.ConnectionView:
        try:
            return self._connection(await connect(self._house.office, system, settings, token, by))
        except ConnectorError as error:
            raise Problem(str(error), error.next_step) from error

    async def connections(self) -> list[views.ConnectionView]:
        async with self._house.db.read() as tx:
            return [self._connection(c) for c in await connections.all_connections(tx)]

    async def pair(
        self, mapping: str, source: str, by: str, accounts: Mapping[Side, str] | None = None
    ) -> views.PairView:
        try:
            saved = await pair_up(self._house.office, mapping, source, by, accounts)
            return msgspec.structs.replace(await self._pair_view(saved.pair), asked=saved.asked)
        except (MappingError, Refused) as error:
            found = [str(problem) for problem in error.problems]
            count = "one problem" if len(found) == 1 else f"{len(found)} problems"
            raise Problem(f"The mapping has {count}; nothing was saved.", "Mend it and try again.", found) from error
        except connections.Taken as error:
            raise Problem(str(error), "Leave the field to one of the two pairs.") from error
        except ConnectorError as error:
            raise Problem(str(error), error.next_step) from error
        except LookupError as error:
            raise Problem(str(error)) from error

    async def pairs(self) -> list[views.PairView]:
        async with self._house.db.read() as tx:
            known = await connections.all_pairs(tx)
        return [await self._pair_view(pair) for pair in known]

    async def find_pair(self, name: str | None) -> views.PairView:
        """The pair of that name, or the only one."""
        known = await self.pairs()
        if name is not None:
            known = [pair for pair in known if name in (pair.name, pair.id)]
        if len(known) == 1:
            return known[0]
        if not known:
            raise Problem("There is no such pair yet." if name else "There is no pair yet.", "tieout pair MAPPING.yaml")
        raise Problem("There are several pairs: " + ", ".join(p.name for p in known), "Say which with --pair.")

    # ----------------------------------------------------------------- runs

    async def ask(
        self, pair_id: str, what: str, by: str, request: Mapping[str, Any] | None = None, lane: Lane = "realtime"
    ) -> str:
        """Write down a run and wake a worker; its id comes back at once."""
        async with self._house.db.write() as tx:
            run_id = await runs.ask(tx, pair_id, what, request or {}, by, lane)
        crash("request.committed")
        await self._house.queue.wake(run_id, lane)
        return run_id

    async def run(self, run_id: str) -> views.RunView:
        async with self._house.db.read() as tx:
            run = await runs.get(tx, run_id)
        if run is None:
            raise Problem(f"There is no run {run_id}.")
        return _run(run)

    async def wait(
        self,
        run_id: str,
        tell: Callable[[views.RunView], Awaitable[None]] | None = None,
        every_s: float = 0.1,
        *,
        patience_s: float | None = None,
    ) -> views.RunView:
        """Until the run is over; `tell` hears of each look. With `patience_s`, also when it waits longer."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            view = await self.run(run_id)
            if tell is not None:
                await tell(view)
            if view.over:
                return view
            if patience_s is not None and view.state == "waiting" and loop.time() - started > patience_s:
                return view
            await asyncio.sleep(every_s)

    async def plan(self, plan_id: str, limit: int | None = SHOWN) -> views.PlanView:
        async with self._house.db.read() as tx:
            row = await plans.get_plan(tx, plan_id)
            if row is None:
                raise Problem(f"There is no plan {plan_id}.")
            shown = await plans.read_changes(tx, plan_id, limit=limit, money_first=True)
            waiting = await connections.waiting_counts(tx, row.pair_id)
            asked_about = await conflicts.count_records(tx, row.pair_id)
            pair = await connections.get_pair(tx, row.pair_id)
            run = await runs.get(tx, row.run_id)
            held = await plans.held_reasons(tx, plan_id)
            stays = await what_stays(tx, row)
        titles = await self._titles(pair)
        return views.PlanView(
            id=row.id,
            pair=pair.name,
            state=row.state,
            fingerprint=row.fingerprint,
            created_at=row.created_at,
            expires_at=row.expires_at,
            approved_by=row.approved_by,
            changes=row.summary.changes,
            held=row.summary.held,
            counts=row.summary.by_kind,
            documents=row.summary.documents,
            net=row.summary.net,
            tax=row.summary.tax,
            credited=row.summary.credited,
            conflicts=row.summary.conflicts,
            asked_about=asked_about,
            waiting=waiting,
            shown=tuple(_change(stored, titles) for stored in shown),
            refused=(run.result or {}).get("refused") if run is not None else None,
            emptied=bool((run.result or {}).get("emptied")) if run is not None else False,
            held_reasons={reason.removeprefix(plans.GUARD): number for reason, number in held.items()},
            confirmable=sum(number for reason, number in held.items() if reason.startswith(plans.GUARD)),
            undoes=row.undoes,
            notes=stays,
            settles=NOT_AGAIN in stays,
            takes=await how_long(self._house.office, pair, row, titles),
            **left_out(run, titles),
        )

    async def current_plan(self, pair_id: str) -> views.PlanView | None:
        async with self._house.db.read() as tx:
            row = await plans.current_plan(tx, pair_id)
        return await self.plan(row.id) if row is not None else None

    async def apply(
        self,
        plan_id: str,
        fingerprint: str,
        by: str,
        part: Part = "all",
        *,
        confirm_held: bool = False,
        lane: Lane = "realtime",
    ) -> str:
        """Agree to the plan that was shown and carry it out; the run's id comes back. Raises Problem if it is no
        longer that plan, or others have to agree too."""
        approved = await self.approve(plan_id, fingerprint, by, part, confirm_held=confirm_held, lane=lane)
        if approved.run_id is None:
            raise Problem(
                f"{len(approved.by)} of {approved.needed} people agreed: {', '.join(approved.by)}.",
                "Somebody else has to apply the same plan; nothing was written yet.",
            )
        return approved.run_id

    async def approve(
        self,
        plan_id: str,
        fingerprint: str,
        by: str,
        part: Part,
        *,
        confirm_held: bool = False,
        lane: Lane = "realtime",
        tell: Mapping[str, Any] | None = None,
    ) -> views.ApprovedView:
        """Agree to a plan as it was shown. Raises Problem if it is not that plan any more, naming who was first.
        `tell`: where its run speaks."""
        try:
            async with self._house.db.write() as tx:
                request = await told_in(tx, plan_id, tell) if tell is not None else {}
                approved = await approve_plan(
                    tx, plan_id, fingerprint, by, part, request, confirm_held=confirm_held, lane=lane
                )
        except NotThatPlan as error:
            first = error.by if error.state in ("applying", "applied") else None
            who = f" by {first}" if first is not None else ""
            state = OVER.get(error.state, "not the one that was shown")
            raise Problem(f"This plan is {state}{who}.", "Preview again.", by=first) from error
        except OwnRules as error:
            message = "You saved the mapping that this plan follows, so somebody else has to approve it."
            raise Problem(message, "Ask another approver to apply it.") from error
        except LookupError as error:
            raise Problem(f"{error.args[0]}.", "Preview again.") from error
        crash("request.committed")
        if approved.run_id is not None:
            await self._house.queue.wake(approved.run_id, lane)
        return views.ApprovedView(**msgspec.structs.asdict(approved))

    async def discard(self, plan_id: str, by: str) -> None:
        async with self._house.db.write() as tx:
            row = await plans.get_plan(tx, plan_id)
            if row is None or row.state != "open":
                raise Problem("This plan is not open any more.", "Preview again.")
            await plans.close_plan(tx, plan_id, "discarded")
            await audit.append(tx, row.pair_id, [audit.Entry(action="plan.discarded", actor=by, subject=plan_id)])

    async def changes(self, plan_id: str, states: Sequence[plans.State] | None = None) -> list[views.ChangeView]:
        async with self._house.db.read() as tx:
            row = await plans.get_plan(tx, plan_id)
            if row is None:
                raise Problem(f"There is no plan {plan_id}.")
            pair = await connections.get_pair(tx, row.pair_id)
            stored = await plans.read_changes(tx, plan_id, states)
        titles = await self._titles(pair)
        return [_change(s, titles) for s in stored]

    async def each_change(self, plan_id: str) -> AsyncIterator[list[views.ChangeView]]:
        """All changes in order, a page at a time, however many they are; each as it stands when its page is read."""
        async with self._house.db.read() as tx:
            row = await plans.get_plan(tx, plan_id)
            if row is None:
                raise Problem(f"There is no plan {plan_id}.")
            pair = await connections.get_pair(tx, row.pair_id)
        titles, after = await self._titles(pair), -1
        while True:
            async with self._house.db.read() as tx:
                stored = await plans.read_changes(tx, plan_id, after_seq=after, limit=PAGE)
            if not stored:
                return
            yield [_change(s, titles) for s in stored]
            after = stored[-1].seq

    async def run_meant(self, pair_id: str, said: str) -> str:
        """The run that somebody names by its id, the id's ending, or as `last`. Raises Problem if it is none, or not
        clear which."""
        async with self._house.db.read() as tx:
            found = await run_meant(tx, pair_id, said)
        if len(found) == 1:
            return found[0]
        if not found and said == LAST:
            raise Problem("No run has written anything yet.")
        if not found:
            raise Problem(f"There is no run {said}.", "The history lists them.")
        raise Problem(f"{len(found)} runs end with {said}.", "Give more of its id; the history lists them.")

    async def history(self, pair_id: str, limit: int = 20) -> list[views.HistoryView]:
        async with self._house.db.read() as tx:
            found = await runs.recent(tx, pair_id, limit)
            counted = {
                run.id: sum((await plans.count_states(tx, run.plan_id)).values()) if run.plan_id is not None else 0
                for run in found
            }
        return [views.HistoryView(run=_run(run), changes=counted[run.id]) for run in found]

    # ----------------------------------------------------------------- reconciliation

    async def reconcile(
        self,
        pair_id: str,
        month: str | None,
        by: str,
        tell: Callable[[views.RunView], Awaitable[None]] | None = None,
    ) -> views.ReportView:
        """Make the report of a month (None: the last whole one) and wait for it."""
        run = await self.wait(await self.ask(pair_id, "reconcile", by, {"month": month}), tell, patience_s=60)
        if run.state != "done":
            raise Problem(run.error or "The report could not be made.", run.next_step)
        return await self.report(str(run.result["report_id"]))

    async def report(self, report_id: str) -> views.ReportView:
        report = await self._report(report_id)
        return views.ReportView(
            id=report_id,
            period=report.header.period.start.isoformat()[:7],
            version=report.header.version,
            headline=tables.headline(report),
            text=tables.short(report),
            tables=tables.bridges(report),
            figures=msgspec.json.decode(record.encode(report)),
            chart=chart.block(chart.chart(report)),
            ties=report.ties,
            trail=tables.trail(report),
            trail_holds=report.header.trail_break is None,
            open_items=len(report.open_items),
        )

    async def workbook(self, report_id: str) -> bytes:
        """The report as XLSX."""
        return workbook.workbook(await self._report(report_id))

    async def _report(self, report_id: str) -> Report:
        async with self._house.db.read() as tx:
            row = await reports.get(tx, report_id)
        if row is None:
            raise Problem(f"There is no report {report_id}.")
        return record.decode(row["body"])

    # ----------------------------------------------------------------- what needs a person

    async def conflicts(self, pair_id: str) -> list[views.ConflictView]:
        async with self._house.db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
            found = await conflicts.open_conflicts(tx, pair_id)
        titles = await self._titles(pair)
        return [_conflict(conflict, titles) for conflict in found]

    async def settle(
        self,
        pair_id: str,
        number: int,
        choice: str,
        by: str,
        value: str | None = None,
        shown: str | None = None,
        *,
        also: Also | None = None,
    ) -> views.SettledView:
        """Answer a question. `shown`: its fingerprint as the person saw it; `also` stores what follows from the
        answer with it."""
        try:
            desk = await open_desk(self._house.office, pair_id)
            settled = await settle_conflict(desk, number, choice, by, value, shown, also)
        except LookupError as error:
            raise Problem(str(error.args[0]), "tieout conflicts lists what is open.") from error
        except NotAChoice as error:
            raise Problem(str(error)) from error
        except ConnectorError as error:
            raise Problem(str(error), error.next_step) from error
        return views.SettledView(**msgspec.structs.asdict(settled))

    async def again(
        self, pair_id: str, verb: views.AgainVerb, text: str, by: str, why: str | None = None
    ) -> views.AgainView:
        """Lift what settled a record: *Bill again* a deal or an invoice, *Make again* a customer or an item. `text`
        names it as a story's does. The next preview shows what comes of it. Raises Problem if it is not settled."""
        try:
            desk = await open_desk(self._house.office, pair_id)
            lift = bill_again if verb == "bill" else make_again
            return _again(await lift(desk, text, by, why), verb)
        except NotLifted as error:
            raise Problem(error.message, error.next_step, error.details) from error
        except ConnectorError as error:
            raise Problem(str(error), error.next_step) from error

    async def waiting(self, pair_id: str) -> list[views.WaitingView]:
        """Records that wait for somebody, and what could not be read at all."""
        found = []
        async with self._house.db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
            for side in SIDES:
                for row in await mirror.bad(tx, pair.connection(side)):
                    found.append(
                        views.WaitingView(
                            side=side, kind=row["kind"], ref=row["ref"] or "", reason=row["reason"], place=row["place"]
                        )
                    )
            for row in await connections.waiting(tx, pair_id):
                places = await mirror.sources(tx, pair.connection(row["side"]), row["kind"], [row["ref"]])
                found.append(views.WaitingView(**row, place=places.get(row["ref"])))
        return found

    async def verify_audit(
        self, pair_id: str | None = None, posted: Sequence[audit.Posted] = ()
    ) -> list[views.ChainView]:
        """Every pair's trail, or one's, walked from its first entry and compared with the heads that its reports know
        and with those in `posted`."""
        found = []
        async with self._house.db.read() as tx:
            for pair in await connections.all_pairs(tx):
                if pair_id not in (None, pair.id):
                    continue
                broken = await verify_trail(tx, pair.id, posted)
                seq, head = await audit.head(tx, pair.id)
                found.append(
                    views.ChainView(
                        pair=pair.name,
                        entries=seq,
                        head=head,
                        broken_at=broken.seq if broken is not None else None,
                        reason=broken.reason if broken is not None else None,
                    )
                )
        return found

    # ----------------------------------------------------------------- views

    def _connection(self, connection: Connection) -> views.ConnectionView:
        facts = self._house.registry[connection.system].facts
        return views.ConnectionView(
            id=connection.id,
            system=connection.system,
            title=facts.title,
            account=connection.account,
            name=connection.name,
            state=connection.state,
            sides=tuple(sorted(facts.sides)),
        )

    async def _pair_view(self, pair: Pair) -> views.PairView:
        async with self._house.db.read() as tx:
            crm = await connections.get_connection(tx, pair.crm)
            books = await connections.get_connection(tx, pair.books)
            text = await connections.mapping_text(tx, pair.id, pair.mapping_version)
        mapping = parse(text)
        return views.PairView(
            id=pair.id,
            name=pair.name,
            crm=self._connection(crm),
            books=self._connection(books),
            mapping_version=pair.mapping_version,
            time_zone=mapping.time_zone,
            cut_over=mapping.cut_over.isoformat(),
        )

    async def _titles(self, pair: Pair) -> dict[str, str]:
        view = await self._pair_view(pair)
        return {"crm": view.crm.title, "books": view.books.title}


async def told_in(tx: Unit, plan_id: str, tell: Mapping[str, Any]) -> dict[str, Any]:
    """Applying goes on in the message that showed the plan."""
    row = await plans.get_plan(tx, plan_id)
    return {"tell": {**tell, "message": run_message(row.run_id)} if row is not None else dict(tell)}


def _run(run: Run) -> views.RunView:
    result = run.result or {}
    error = run.error or {}
    progress = run.progress
    return views.RunView(
        id=run.id,
        what=run.what,
        state=run.state,
        requested_by=run.requested_by,
        created_at=run.created_at,
        finished_at=run.finished_at,
        progress=views.ProgressView(**progress) if progress else None,
        plan_id=run.plan_id,
        outcome=result.get("states", {}),
        calls=result.get("calls", {}),
        error=error.get("message"),
        next_step=error.get("next"),
        result=result,
    )


def _again(lifted: Again, verb: views.AgainVerb) -> views.AgainView:
    return views.AgainView(
        verb=verb,
        address=lifted.address,
        title=lifted.title,
        kind=lifted.kind.value,
        was=lifted.was,
        documents=lifted.documents,
        along=tuple(lifted.along.values()),
        inactive=lifted.inactive,
    )


def _shown(value: Any) -> Any:
    return None if value is ABSENT else to_json(value)


def _change(stored: StoredChange, titles: Mapping[str, str]) -> views.ChangeView:
    change = stored.change
    return views.ChangeView(
        id=change.id,
        side=change.side,
        system=titles[change.side],
        kind=change.kind.value,
        operation=change.operation,
        title=change.title,
        why=change.why,
        ref=change.ref,
        state=stored.state,
        reason=stored.reason,
        net=change.net.amount if change.net is not None else None,
        total=change.total,
        currency=change.net.currency if change.net is not None else None,
        fields=tuple(
            views.FieldView(
                path=f.path, before=_shown(f.before), after=_shown(f.after), overwrites=_shown(f.overwrites)
            )
            for f in change.fields
        ),
    )


def _conflict(conflict: conflicts.Conflict, titles: Mapping[str, str]) -> views.ConflictView:
    question = conflict.question
    return views.ConflictView(
        number=conflict.number,
        what=question.what,
        kind=question.kind.value,
        title=question.title,
        reason=question.reason,
        crm_title=titles["crm"],
        books_title=titles["books"],
        crm=question.crm,
        books=question.books,
        base=question.base if question.what == "field" else None,
        candidates=tuple(
            views.CandidateView(
                ref=str(c.get("ref", "")),
                title=str(c.get("title", c.get("ref", ""))),
                score=c.get("score"),
                reasons=tuple(c.get("reasons", ())),
                crm=c.get("crm"),
                books=c.get("books"),
            )
            for c in question.candidates
        ),
        choices=choices_of(question),
        state=conflict.state,
        decided_by=conflict.decided_by,
        opened_at=conflict.opened_at,
        records=question.records,
        lost_at=question.lost_at,
    )
