"""The verbs: everything that bot and terminal ask of the worker goes through here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.canon.fields import to_json
from connectors.canon.values import ABSENT
from connectors.kit.contract import Side, Token
from connectors.kit.errors import ConnectorError
from worker.api import views
from worker.engine.mapping import MappingError, parse
from worker.engine.reconcile import Report
from worker.house import House
from worker.reports import chart, record, tables, workbook
from worker.store import audit, conflicts, connections, mirror, plans, reports, runs
from worker.store.connections import Connection, Pair
from worker.store.plans import StoredChange
from worker.store.runs import Lane, Run
from worker.usecases.connect import Refused, connect, pair_up
from worker.usecases.office import SIDES, open_desk
from worker.usecases.settle_conflict import CHOICES, NotAChoice, settle_conflict

SHOWN = 20


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
        self, system: str, settings: Mapping[str, str], token: Token | None = None
    ) -> views.ConnectionView:
        try:
            return self._connection(await connect(self._house.office, system, settings, token))
        except ConnectorError as error:
            raise Problem(str(error), error.next_step) from error

    async def connections(self) -> list[views.ConnectionView]:
        async with self._house.db.read() as tx:
            return [self._connection(c) for c in await connections.all_connections(tx)]

    async def pair(
        self, mapping: str, source: str, by: str, accounts: Mapping[Side, str] | None = None
    ) -> views.PairView:
        try:
            return await self._pair_view(await pair_up(self._house.office, mapping, source, by, accounts))
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
            pair = await connections.get_pair(tx, row.pair_id)
            run = await runs.get(tx, row.run_id)
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
            conflicts=row.summary.conflicts,
            waiting=waiting,
            shown=tuple(_change(stored, titles) for stored in shown),
            refused=(run.result or {}).get("refused") if run is not None else None,
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
        *,
        only: Sequence[str] | None = None,
        confirm_held: bool = False,
        lane: Lane = "realtime",
    ) -> str:
        """Approve the plan that was shown and carry it out; the run's id comes back. Raises Problem if it is no
        longer that plan."""
        async with self._house.db.write() as tx:
            row = await plans.get_plan(tx, plan_id)
            if row is None:
                raise Problem(f"There is no plan {plan_id}.")
            if not await plans.approve(tx, plan_id, fingerprint, by, only):
                raise Problem(f"This plan is {_why_not(row.state)}.", "Preview again.")
            if confirm_held:
                await plans.release(tx, plan_id, None, by)
            await audit.append(
                tx,
                row.pair_id,
                [audit.Entry(action="plan.approved", actor=by, subject=plan_id, detail={"fingerprint": fingerprint})],
            )
            run_id = await runs.ask(tx, row.pair_id, "apply", {"plan_id": plan_id}, by, lane)
        await self._house.queue.wake(run_id, lane)
        return run_id

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
        self, pair_id: str, number: int, choice: str, by: str, value: str | None = None, shown: str | None = None
    ) -> views.SettledView:
        """Answer a question. `shown`: its fingerprint as the person saw it."""
        try:
            desk = await open_desk(self._house.office, pair_id)
            settled = await settle_conflict(desk, number, choice, by, value, shown)
        except LookupError as error:
            raise Problem(str(error.args[0]), "tieout conflicts lists what is open.") from error
        except NotAChoice as error:
            raise Problem(str(error)) from error
        except ConnectorError as error:
            raise Problem(str(error), error.next_step) from error
        return views.SettledView(**msgspec.structs.asdict(settled))

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

    async def verify_audit(self) -> list[views.ChainView]:
        found = []
        async with self._house.db.read() as tx:
            for pair in await connections.all_pairs(tx):
                broken = await audit.verify(tx, pair.id)
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


def _why_not(state: str) -> str:
    return {
        "superseded": "replaced by a newer preview",
        "applying": "being applied already",
        "applied": "applied already",
        "discarded": "discarded",
        "expired": "too old",
    }.get(state, "not the one that was shown, or too old")


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
        base=question.base,
        candidates=tuple(
            views.CandidateView(
                ref=str(c.get("ref", "")),
                title=str(c.get("title", c.get("ref", ""))),
                score=c.get("score"),
                reasons=tuple(c.get("reasons", ())),
            )
            for c in question.candidates
        ),
        choices=CHOICES[question.what],
        state=conflict.state,
        decided_by=conflict.decided_by,
        opened_at=conflict.opened_at,
    )
