"""What the machine is good for: each mechanism broken on purpose is found, and in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import rule, run_state_machine_as_test
from sqlalchemy import update

from connectors.canon.records import Kind
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs
from tests.flows.rig import mapping, open_rig, told
from tests.machine.machine import PATH, WHO, PairMachine
from tests.machine.people import C, rules
from tests.machine.town import Town, open_town
from tests.machine.verdict import complaints
from worker.engine import merge
from worker.engine.match import Absent
from worker.store import mirror, plans
from worker.store.tables import audit, dirty
from worker.usecases import propose_plan, settle_doubts, still_true

Urls = Callable[[], str]


def red(found: list[str], word: str) -> bool:
    """Whether it was found: some complaint says so."""
    return any(word in complaint for complaint in found)


def looking(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=6,
        derandomize=True,
        report_multiple_bugs=False,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


async def judged(town: Town) -> list[str]:
    return await town.settle() or await complaints(town)


async def agreed(town: Town) -> None:
    """A customer whose every field is told, on both sides."""
    town.people.add("crm", 0, ("phone", "notes"))
    town.people.add("books", 0, ("emails.general", "addresses.billing"))
    assert [] == await judged(town)


@pytest.fixture
def calm(sqlite_urls: Urls, tmp_path: Path) -> Callable[..., Any]:
    """Opens a town of two vendors."""
    return lambda **how: open_town(sqlite_urls(), tmp_path, **how)


# --------------------------------------------------------------------------- found by the machine itself


def test_saboteur_whoever_plans_last_wins(sqlite_urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    """What both edited is overwritten: the machine comes to it by itself, sooner where people clash more often."""

    class Broken(PairMachine):
        make_url = staticmethod(sqlite_urls)

        @rule(who=WHO, path=PATH)
        def clash(self, who: int, path: str) -> None:
            self.here.people.collide(who, path, ("new", "new"))
            self.run(self.here.ask("preview"))
            self.run(self.here.apply())

    monkeypatch.setattr(merge, "_both_edited", lambda field, base: merge._take(field, "crm", "last", overwrites=True))
    with pytest.raises(AssertionError, match="is gone"):
        run_state_machine_as_test(Broken, settings=looking(60))


# --------------------------------------------------------------------------- found where it is looked for


async def test_saboteur_cursor_as_dirty_set(calm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a plan made of what the last pull brought, what was previewed and not applied would be forgotten."""
    real = propose_plan._store_decisions

    async def forgetful(tx: Any, *rest: Any) -> None:
        await real(tx, *rest)
        await tx.run(dirty.delete())

    async with calm() as town:
        await agreed(town)
        monkeypatch.setattr(propose_plan, "_store_decisions", forgetful)
        town.people.edit("crm", 0, "notes")
        await town.ask("preview")
        assert red(await judged(town), "without a word")


async def test_saboteur_base_of_one_value(sqlite_urls: Urls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two sides call the same thing differently: with one base for both, one of them has always changed."""
    segments = {"crm": "properties.segment", "books": "notes", "authority": "ask"}
    fields = [{**segments, "values": {"gold": "first", "iron": "second"}}]
    async with open_rig(sqlite_urls(), tmp_path) as rig:
        await rig.pair_up(mapping("customers", customers={"fields": fields}))
        crm = rig.crm.add(told("Acme", properties={"segment": "gold"}))
        books = rig.books.add(told("Acme", notes="first"))
        await rig.settled()
        monkeypatch.setattr(
            merge._Field,
            "changed",
            lambda field, side, base: not field.rule.conversion.unchanged(side, field.at(side), base.crm),
        )
        rig.crm.edit(C, crm, **{"properties.segment": "iron"})
        await rig.preview()
        assert 1 == len(await rig.conflicts())  # nobody touched the books
        assert "first" == rig.see(rig.books, books).notes


async def test_saboteur_what_moved_since_is_written_over(
    calm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan carried out as it was drawn, on a vendor without a lock: what somebody typed since is gone."""
    monkeypatch.setattr(still_true, "_field_moved", lambda *_: None)
    async with calm(books=Knobs(optimistic_lock=False)) as town:
        await agreed(town)
        town.people.edit("crm", 0, "notes")
        await town.ask("preview")
        town.people.edit("books", 0, "notes")
        await town.apply()
        assert red(await judged(town), "is gone")


async def test_saboteur_a_probe_too_early(calm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked for before the call can have landed, an invoice is not there; made again, there are two."""
    monkeypatch.setattr(settle_doubts, "_decidable", lambda _, stored: stored.call_until + timedelta(seconds=5))
    async with calm() as town:
        await agreed(town)
        town.people.win(0)
        await town.ask("preview")
        town.fault("books", Fault(what="late", kind=Kind.INVOICE, after_s=60))
        await town.apply()
        await town.resume()
        assert red(await judged(town), "2 invoices were made")


async def test_saboteur_made_again_blind(calm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the probes find, it is made again: a customer has two counterparts."""
    monkeypatch.setattr(settle_doubts, "adopt", lambda *_: Absent())
    async with calm(books=Knobs(unique_names=False)) as town:
        town.people.add("crm", 0, ("phone",))
        town.fault("books", Fault(what="lose", kind=Kind.CUSTOMER))
        assert [] == await judged(town)  # the fault is over before anything is sent
        town.people.add("crm", 1)
        await town.ask("preview")
        town.fault("books", Fault(what="lose", kind=Kind.CUSTOMER))
        await town.apply()
        assert red(await judged(town), "were made in the books")


async def test_saboteur_an_old_page_is_believed(calm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that lags tells the value from before our own write: believed, it travels back over the edit."""

    async def never(*_: Any) -> dict[Any, Any]:
        return {}

    async with calm() as town:
        await agreed(town)
        for believed in (False, True):
            if believed:
                monkeypatch.setattr(mirror, "_newer_known", never)
            town.people.edit("crm", 0, "notes")
            await town.ask("preview")
            await town.apply()
            town.lag("books")
            await town.ask("preview")
            plan = await town.rig.api.current_plan(town.rig.pair.id)
            assert believed == (plan is not None and plan.changes > 0)


async def test_saboteur_intents_are_forgotten(calm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what was sent and not answered: the next plan makes it again before it lands."""

    async def none(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(plans, "open_intents", none)
    async with calm() as town:
        await agreed(town)
        town.people.win(0)
        await town.ask("preview")
        town.fault("books", Fault(what="late", kind=Kind.INVOICE, after_s=60))
        await town.apply()
        await town.ask("preview")
        await town.apply()
        assert red(await judged(town), "2 invoices were made")


async def test_saboteur_a_changed_trail(calm: Callable[..., Any]) -> None:
    """Somebody changes what was recorded."""
    async with calm(text=rules("auto")) as town:
        await agreed(town)
        async with town.rig.db.write() as tx:
            await tx.run(update(audit).where(audit.c.seq == 2).values(entry="{}"))
        assert red(await complaints(town), "the audit chain")
