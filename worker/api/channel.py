"""What a channel asks of the worker beyond the common verbs: its pair, approvals, one conflict, the keys that buttons
are signed with."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import func, select

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from connectors.kit.errors import ConnectorError
from worker.api import views
from worker.api.client import SHOWN, Api, Problem, _conflict
from worker.api.how_it_is_read import how_it_is_read
from worker.crash import crash
from worker.engine.mapping import Mapping as PairMapping
from worker.engine.mapping import MappingError, parse
from worker.engine.own_value import may_prefer, takes_own_value
from worker.engine.plan import Sum
from worker.engine.reissue import ANSWERS
from worker.house import House
from worker.outside import new_id
from worker.store import approvals, audit, conflicts, connections, links, mirror, outbox, plans, runs, schedules
from worker.store.conflicts import Conflict
from worker.store.database import Unit
from worker.store.runs import Lane
from worker.store.tables import cursors
from worker.usecases.approve_plan import needs_two
from worker.usecases.connect import Refused
from worker.usecases.post_messages import Tell, card_message, run_message, tell_conflict, tell_plan
from worker.usecases.prefer_side import NotOffered, prefer_side


class ChannelApi(Api):
    """The verbs of a Slack channel."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self._db = house.db

    def button_keys(self) -> tuple[bytes, ...]:
        """Keys to sign buttons with, the newest first; older ones still verify."""
        return self._house.vault.derived("slack buttons")

    # ----------------------------------------------------------------- channels

    async def pair_of(self, channel: str) -> views.PairView | None:
        async with self._db.read() as tx:
            found = await connections.pairs_of_channel(tx, channel)
        return await self._pair_view(found[0]) if found else None

    async def pair_by_id(self, pair_id: str) -> views.PairView:
        async with self._db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
        return await self._pair_view(pair)

    async def bind(self, name: str, channel: str, by: str) -> views.PairView:
        """The pair of that name speaks in this channel from now on."""
        view = await self.find_pair(name)
        async with self._db.write() as tx:
            await connections.bind_channel(tx, view.id, channel)
            entry = audit.Entry(action="pair.bound", actor=by, subject=view.id, detail={"channel": channel})
            await audit.append(tx, view.id, [entry])
        return view

    # ----------------------------------------------------------------- plans

    async def plan(self, plan_id: str, limit: int | None = SHOWN) -> views.PlanView:
        """A plan, with who agreed to it and how many have to."""
        view = await super().plan(plan_id, limit)
        async with self._db.read() as tx:
            row = await plans.get_plan(tx, plan_id)
            if row is None:
                raise Problem(f"There is no plan {plan_id}.")
            mapping = await _mapping(tx, row.pair_id, row.mapping_version)
            agreed = await approvals.given(tx, plan_id)
        limits = mapping.guards.approvals
        summed = row.summary
        over = limits is not None and _moved(summed, limits.currency) > limits.over
        needed = limits.approvers if over and limits is not None else 1
        return msgspec.structs.replace(
            view,
            pair_id=row.pair_id,
            run_id=row.run_id,
            mapping_version=row.mapping_version,
            agreed=agreed,
            approvers_needed=max(needed, 2 if needs_two(summed.by_kind, mapping) else 1),
            limit=f"{limits.currency} {limits.over:,}" if over and limits is not None else None,
        )

    async def discard(self, plan_id: str, by: str) -> None:
        await super().discard(plan_id, by)
        async with self._db.write() as tx:
            row = await plans.get_plan(tx, plan_id)
            if row is not None:
                await tell_plan(tx, row.pair_id, plan_id)

    async def ask_run(
        self,
        pair_id: str,
        what: str,
        by: str,
        channel: str,
        request: Mapping[str, Any] | None = None,
        *,
        once: str | None = None,
    ) -> views.AskedView:
        """Ask for a run and say so in the channel, in one go. The same `once` again is the same run, so that a
        second press starts nothing."""
        run_id = f"run_{once}" if once is not None else new_id("run")
        lane: Lane = "bulk" if what in ("sync", "reconcile") else "realtime"
        async with self._db.write() as tx:
            known = await runs.get(tx, run_id)
            if known is not None:
                return views.AskedView(run_id=run_id, message=run_message(run_id), new=False, by=known.requested_by)
            tell = msgspec.to_builtins(Tell(channel=channel, user=by))
            await runs.ask(tx, pair_id, what, {**(request or {}), "tell": tell}, by, lane, run_id)
            await outbox.put(tx, pair_id, channel, run_message(run_id), "run", {"run": run_id, "user": by})
        crash("request.committed")
        await self._house.queue.wake(run_id, lane)
        return views.AskedView(run_id=run_id, message=run_message(run_id), new=True, by=by)

    # ----------------------------------------------------------------- conflicts

    async def conflict(self, pair_id: str, number: int) -> views.ConflictView:
        """One conflict, open or over, and how it may be answered."""
        async with self._db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
            found = await conflicts.get(tx, pair_id, number)
            mapping = await _mapping(tx, pair_id, pair.mapping_version)
        if found is None:
            raise Problem(f"There is no conflict {number}.", "/tieout conflicts lists what is open.")
        return _answerable(_conflict(found, await self._titles(pair)), found, mapping)

    async def conflicts(self, pair_id: str) -> list[views.ConflictView]:
        async with self._db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
            found = await conflicts.open_conflicts(tx, pair_id)
            mapping = await _mapping(tx, pair_id, pair.mapping_version)
        titles = await self._titles(pair)
        return [_answerable(_conflict(conflict, titles), conflict, mapping) for conflict in found]

    async def settle_and_write(
        self,
        pair_id: str,
        number: int,
        choice: str,
        by: str,
        value: str | None = None,
        shown: str | None = None,
    ) -> views.SettledView:
        """Settle a conflict and carry the answer out at once, alone: the rest of what is planned stays a plan. What an
        answer for many records, or about a document, comes to is shown first, as a preview."""
        asked: list[str] = []

        async def carry_out(tx: Unit) -> None:
            asked.append(await self._ask_settle(tx, pair_id, number, by))

        is_money = choice in ANSWERS
        settled = await self.settle(pair_id, number, choice, by, value, shown, also=None if is_money else carry_out)
        of_many = settled.records > 1 and choice in ("crm", "books")
        if settled.first and not settled.moved and (of_many or is_money):
            await self._show_plan(pair_id, by)
        for run_id in asked:
            await self._house.queue.wake(run_id, "realtime")
        return settled

    async def _ask_settle(self, tx: Unit, pair_id: str, number: int, by: str) -> str:
        """The run that carries one answer out, in the answer's own unit: neither is there without the other."""
        pair = await connections.get_pair(tx, pair_id)
        request: dict[str, Any] = {"conflict": number}
        if pair.channel is not None:
            tell = Tell(channel=pair.channel, message=card_message(pair_id, number), user=by, quiet=True)
            request["tell"] = msgspec.to_builtins(tell)
        return await runs.ask(tx, pair_id, "settle", request, by)

    async def _show_plan(self, pair_id: str, by: str) -> None:
        async with self._db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
        if pair.channel is None:
            await self.ask(pair_id, "preview", by)
        else:
            await self.ask_run(pair_id, "preview", by, pair.channel)

    async def put_off(self, pair_id: str, number: int, note: str) -> None:
        """Leave a conflict open, and say on its card who did."""
        async with self._db.write() as tx:
            await tell_conflict(tx, await connections.get_pair(tx, pair_id), number, note)

    async def prefer(self, pair_id: str, number: int, side: Side, by: str) -> views.SettledView:
        """Give a side the authority over this conflict's field from now on, and settle this one that way."""
        async with self._db.read() as tx:
            found = await conflicts.get(tx, pair_id, number)
        if found is None or found.question.what not in ("field", "everywhere"):
            raise Problem(f"There is no field in conflict {number}.", "/tieout conflicts lists what is open.")
        try:
            await prefer_side(self._house.office, pair_id, found.question.kind, found.question.rule, side, by)
        except (NotOffered, LookupError) as error:
            raise Problem(f"{str(error.args[0]).capitalize()}.", "Settle this one by itself.") from error
        except (MappingError, Refused) as error:
            raise Problem("The mapping would not stand with that rule; nothing was saved.", None) from error
        except ConnectorError as error:
            raise Problem(str(error), error.next_step) from error
        if found.question.what == "field":
            return await self.settle_and_write(pair_id, number, side, by)
        return await self._preferred(pair_id, number, side, by)

    async def _preferred(self, pair_id: str, number: int, side: Side, by: str) -> views.SettledView:
        """The saved mapping answers for all records; where the preferred side tells nothing, they stay asked about."""
        await self._show_plan(pair_id, by)
        conflict = await self.conflict(pair_id, number)
        return views.SettledView(
            number=number,
            title=conflict.title,
            decision=conflict.decision or side,
            by=conflict.decided_by or by,
            first=conflict.decided_by in (None, by),
            moved=False,
            records=conflict.records,
        )

    async def _titles(self, pair: connections.Pair) -> dict[str, str]:
        """As people call the two systems; told apart where they are two of one kind."""
        titles = await super()._titles(pair)
        if titles["crm"] != titles["books"]:
            return titles
        return {"crm": f"{titles['crm']} (CRM)", "books": f"{titles['books']} (books)"}

    # ----------------------------------------------------------------- how it stands

    async def status(self, pair_id: str) -> views.StatusView:
        pair = await self.pair_by_id(pair_id)
        async with self._db.read() as tx:
            sides = {side: await _side(tx, view) for side, view in (("crm", pair.crm), ("books", pair.books))}
            _, alive = await links.linked_and_alive(tx, pair_id, {"crm": pair.crm.id, "books": pair.books.id})
            open_now = await conflicts.count_open(tx, pair_id)
            waiting = sum((await connections.waiting_counts(tx, pair_id)).values())
            lines = [line.next_due for line in await schedules.all_of(tx, pair_id) if not line.paused]
            titles: dict[Side, str] = {"crm": pair.crm.title, "books": pair.books.title}
            notes = await how_it_is_read(tx, await connections.get_pair(tx, pair_id), titles)
        history = await self.history(pair_id, 1)
        due = [at for at in lines if at is not None]
        return views.StatusView(
            pair=pair,
            sides=sides,
            linked=alive.get(("crm", Kind.CUSTOMER), 0),
            conflicts=open_now,
            waiting=waiting,
            plan=await self.current_plan(pair_id),
            last_run=history[0].run if history else None,
            next_due=min(due) if due else None,
            notes=tuple(notes),
        )


def _moved(summed: Sum, currency: str) -> Decimal:
    """What counts against the limit: what is posted and what is credited."""
    return summed.net.get(currency, Decimal(0)) + summed.credited.get(currency, Decimal(0))


async def _mapping(tx: Unit, pair_id: str, version: int) -> PairMapping:
    return parse(await connections.mapping_text(tx, pair_id, version))


def _answerable(view: views.ConflictView, conflict: Conflict, mapping: PairMapping) -> views.ConflictView:
    question = conflict.question
    rule = next((r for r in mapping.rules(question.kind) if r.key == question.rule), None)
    own = rule is not None and takes_own_value(rule)
    kind = rule.crm_type if rule is not None and own else None
    return msgspec.structs.replace(
        view,
        pair_id=conflict.pair_id,
        field=rule.path("books") if rule is not None else "",
        typed_as=kind.value if kind is not None else None,
        may_prefer=rule is not None and may_prefer(rule),
        choices=tuple(c for c in view.choices if c != "value" or own),
        decision=conflict.decision,
        decided_at=conflict.decided_at,
        fingerprint=question.fingerprint,
    )


async def _side(tx: Unit, connection: views.ConnectionView) -> views.SideView:
    read_at = await tx.first(
        select(func.max(cursors.c.moved_at).label("at")).where(cursors.c.connection_id == connection.id)
    )
    counted = await mirror.counts(tx, connection.id)
    return views.SideView(
        title=connection.title,
        name=connection.name,
        state=connection.state,
        records={kind.value: number for kind, number in counted.items()},
        read_at=read_at["at"] if read_at is not None else None,
    )
