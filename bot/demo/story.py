"""The main job, played from the first preview to a run that finds nothing to do: commands typed and buttons pressed
in the Slack sandbox, edits typed in both systems, and every promise checked on what is there afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from bot import ids
from bot.demo import promises
from bot.demo.conversation import Conversation
from bot.demo.evidence import read_trail, stored_bytes
from bot.demo.figures import (
    CallCount,
    Figures,
    Invoiced,
    Preview,
    Reconciliation,
    SecondRun,
    floor_of,
    preview_of,
    reconciliation_of,
)
from bot.demo.hands import Crm, Edit, HubSpotHands, QuickBooksHands
from bot.demo.snapshots import ADDRESS, Calls, Deed, Snapshot, deeds
from bot.sandbox import Message
from worker.api import ChannelApi
from worker.api.views import ChangeView, ConflictView, PairView, PlanView

OPERATOR, APPROVER = "operator", "approver-1"
ALIKE = 4  # customers that both sides know alike, for people to work on
ROUNDS = 5  # more rounds than this of syncing and settling would be no settling


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What the story is played on. `secrets`: every token that was planted; `logs`: what was logged so far;
    `seconds`: since the demonstration was started."""

    conversation: Conversation
    api: ChannelApi
    pair: PairView
    crm: Crm
    books: QuickBooksHands
    today: date
    data: Path
    secrets: tuple[str, ...]
    logs: Callable[[], str]
    seconds: Callable[[], float]
    vendor_limits: bool = False


class Seen(msgspec.Struct, frozen=True):
    """Both sides at one moment, and the calls they had answered."""

    crm: Snapshot
    books: Snapshot
    calls: Calls


class NothingToPlay(RuntimeError):
    """The story cannot be played with this data."""


async def play(scene: Scene) -> Figures:
    """Play it; what it came to. Raises Stuck or NothingToPlay."""
    return await _Story(scene).play()


class _Story:
    """The acts, one after the other, and what is noted on the way."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.talk, self.api = scene, scene.conversation, scene.api
        self.edits: list[Edit] = []
        self.planned: list[ChangeView] = []
        self.asked: set[int] = set()
        self.settled: set[int] = set()
        self.broken: dict[str, str | None] = {}

    async def play(self) -> Figures:
        start = await self._look()
        preview, first = await self._first_preview(start)
        applied = await self._first_apply(start, first)
        await self._our_own_comes_back()
        await self._second_day()
        await self._until_settled()
        reconciliation = await self._reconcile()
        await self._something_terrible()
        second = await self._second_run()
        end = await self._look()
        done = await self._check(start, end)
        return self._figures(start, preview, applied, done, reconciliation, second)

    # ----------------------------------------------------------------- small things

    async def _look(self) -> Seen:
        crm, books = self.scene.crm, self.scene.books
        return Seen(await crm.look(), await books.look(), await crm.calls() + await books.calls())

    async def _seen_by_vendors(self) -> None:
        """Let both vendors' time pass until what was typed or written is found by their searches."""
        await self.scene.crm.wait(self.scene.crm.seen_after_s)
        await self.scene.books.wait(self.scene.crm.seen_after_s)

    async def _plan(self) -> PlanView | None:
        plan = await self.api.current_plan(self.scene.pair.id)
        return await self.api.plan(plan.id, None) if plan is not None else None

    async def _open_plan(self) -> Message | None:
        """The message whose Apply is there to be pressed."""
        found = self.talk.with_button(APPROVER, ids.APPLY)
        return found[-1] if found else None

    async def _conflicts(self) -> list[ConflictView]:
        found = await self.api.conflicts(self.scene.pair.id)
        self.asked |= {conflict.number for conflict in found}
        return found

    async def _apply_open(self, *, times: int = 1) -> bool:
        """Press Apply where it is offered, and keep what was shown."""
        message = await self._open_plan()
        plan = await self._plan()
        if message is None or plan is None or not plan.changes:
            return False
        self.planned += [change for change in plan.shown if change.state == "planned"]
        await self.talk.press(APPROVER, message, ids.APPLY, times=times)
        return True

    # ----------------------------------------------------------------- acts

    async def _first_preview(self, start: Seen) -> tuple[Preview, PlanView]:
        self.talk.tell("\n-- The first preview: nothing is written.")
        await self.talk.command(OPERATOR, f"{ids.COMMAND} preview")
        plan = await self._plan()
        if plan is None or not plan.changes:
            raise NothingToPlay("The first preview found nothing to do: the two systems have nothing to keep in step.")
        await self._conflicts()
        now = await self._look()
        if now.calls.writes != start.calls.writes:
            self.broken["what_you_saw_is_what_happens"] = "the preview wrote something"
        return preview_of(plan), plan

    async def _first_apply(self, start: Seen, plan: PlanView) -> int:
        """Apply, pressed twice at once; what happened is held against what was shown."""
        before = await self._look()
        await self._apply_open(times=2)
        after = await self._look()
        shown = [change for change in plan.shown if change.state == "planned"]
        self.first = CallCount(
            after.calls.since(start.calls).made,
            floor_of(start.crm, start.books, shown, crm_pages=isinstance(self.scene.crm, HubSpotHands)),
        )
        happened: Counter[Deed] = deeds(before.crm, after.crm) + deeds(before.books, after.books)
        self._note("what_you_saw_is_what_happens", promises.what_you_saw(shown, happened, after.crm, after.books))
        return sum(happened.values())

    async def _our_own_comes_back(self) -> None:
        """What Tieout wrote is read again, and is no news: at most the deals are marked with their invoices."""
        self.talk.tell("\n-- What was just written comes back with the next look.")
        await self._seen_by_vendors()
        known = len(await self._conflicts())
        await self.talk.command(OPERATOR, f"{ids.COMMAND} preview")
        plan = await self._plan()
        read = (await self.api.history(self.scene.pair.id, 1))[0].run.result.get("read", {})
        again = [change for change in plan.shown if change.kind != "deal"] if plan is not None else []
        asked = len(await self._conflicts()) - known
        self._note("no_echo", promises.no_echo(sum(read.values()), len(again), asked))

    async def _second_day(self) -> None:
        """People go on working in both systems."""
        self.talk.tell("\n-- People go on working, in both systems.")
        await self._seen_by_vendors()
        seen = await self._look()
        alike = _alike(seen)
        if len(alike) < ALIKE:
            raise NothingToPlay(f"The story needs {ALIKE} customers that both systems know; there are {len(alike)}.")
        if isinstance(self.scene.crm, HubSpotHands):
            await self._in_both(self.scene.crm, seen, alike)
        else:
            await self._in_books(seen, alike)
        await self._money_comes_in(seen)
        for edit in self.edits:
            self.talk.tell(f"  {self._where(edit.side)}: {edit.said}")
        await self._seen_by_vendors()

    def _where(self, side: str) -> str:
        return self.scene.crm.title if side == "crm" else self.scene.books.title

    async def _in_both(self, crm: HubSpotHands, seen: Seen, alike: Sequence[tuple[str, str]]) -> None:
        """One phone number is changed on both sides, one on one side, an address, a price; and a deal is won."""
        books, customers = self.scene.books, seen.crm.of("customer")
        (one, one_there), (two, _), (three, three_there), (four, _) = alike[:4]

        def name(ref: str) -> str:
            return str(customers[ref]["legal_name"])

        street, *rest = seen.books.of("customer")[three_there][ADDRESS]
        moved = ("12 Orchard Sq", *rest)
        kit = next(ref for ref, item in seen.books.of("item").items() if item["sku"] == "SP-SK1")
        self.edits += [
            await crm.edit_phone(one, f"{name(one)} has a new phone, +1 212 555 0188", "+1 212 555 0188"),
            await books.edit_customer(
                one_there, f"{name(one)} has a new phone, (212) 555-0199", "phone", "(212) 555-0199", gives_way=True
            ),
            await crm.edit_phone(two, f"{name(two)} has a new phone, +1 617 555 0177", "+1 617 555 0177"),
            await books.edit_customer(
                three_there, f"{name(three)} moved from {street} to 12 Orchard Sq", ADDRESS, moved
            ),
            await books.set_price(kit, "the seal kit costs 29.90 now", Decimal("29.90")),
            await crm.win_deal(four, self.scene.today - timedelta(days=1)),
        ]

    async def _in_books(self, seen: Seen, alike: Sequence[tuple[str, str]]) -> None:
        """An export has no second hand in it: a name is changed in the books, a note is written, a deal is won."""
        books = self.scene.books
        (_, one), (_, two) = alike[:2]
        name = seen.books.of("customer")[one]["legal_name"]
        renamed = f"{name} Holding"
        self.edits += [
            await books.edit_customer(one, f"{name} is renamed {renamed}", "legal_name", renamed, gives_way=True),
            await books.edit_customer(two, "a note is written", "notes", "Calls back on Fridays"),
            await self.scene.crm.win_deal("", self.scene.today - timedelta(days=1)),
        ]

    async def _money_comes_in(self, seen: Seen) -> None:
        """The first invoice that Tieout posted is paid in full."""
        ours = [(ref, i) for ref, i in seen.books.of("invoice").items() if i["marker"] is not None]
        if ours:
            ref, invoice = min(ours, key=lambda each: (each[1]["date"], each[0]))
            paid_on = max(invoice["date"], self.scene.today - timedelta(days=1))
            await self.scene.books.take_money(ref, invoice["customer"], invoice["total"], paid_on)
            self.talk.tell(f"  {self.scene.books.title}: invoice {invoice['number']} is paid, {invoice['total']:,.2f}")

    async def _until_settled(self) -> None:
        """Sync, apply what is left to a person, settle what needs one, and again, until nothing is left."""
        for _ in range(ROUNDS):
            self.talk.tell("\n-- Sync.")
            await self.talk.command(OPERATOR, f"{ids.COMMAND} sync")
            wrote = await self._apply_open()
            settled = await self._settle_all()
            await self._seen_by_vendors()
            if not wrote and not settled:
                return

    async def _settle_all(self) -> int:
        """Every open question is answered on its card."""
        number = 0
        while number < 50 and (found := await self._conflicts()):
            conflict = found[0]
            verb = _answer(conflict)
            name = conflict.title.rpartition(", ")[0] if conflict.what in ("field", "everywhere") else conflict.title
            cards = [m for m in self.talk.with_button(APPROVER, verb) if m.is_reply]
            card = next((m for m in cards if name in self.talk.text_of(m)), None)
            if card is None:
                raise NothingToPlay(f"The card of {conflict.title!r} is not in the thread.")
            await self.talk.press(APPROVER, card, verb)
            self.settled.add(conflict.number)
            number += 1
        return number

    async def _reconcile(self) -> Reconciliation:
        """The month that has most to say: the last one with invoices that is over."""
        self.talk.tell("\n-- Does the money agree?")
        books = (await self._look()).books
        month = max(
            (
                i["date"].isoformat()[:7]
                for i in books.of("invoice").values()
                if i["date"] < self.scene.today.replace(day=1)
            ),
            default=None,
        )
        await self.talk.command(OPERATOR, f"{ids.COMMAND} reconcile {month or ''}".strip())
        run = (await self.api.history(self.scene.pair.id, 1))[0].run
        if run.state != "done":
            raise NothingToPlay(run.error or "The report could not be made.")
        return reconciliation_of(await self.api.report(str(run.result["report_id"])))

    async def _something_terrible(self) -> None:
        """What changes an unusual share is held; pressing Apply all the same writes none of it."""
        crm = self.scene.crm
        said = await crm.spoil()
        self.talk.tell(f"\n-- By mistake {said}.")
        await self._seen_by_vendors()
        before = (await self._look()).books
        await self.talk.command(OPERATOR, f"{ids.COMMAND} preview")
        plan = await self._plan()
        message = await self._open_plan()
        if message is not None and plan is not None and plan.changes > plan.held:
            await self.talk.press(APPROVER, message, ids.APPLY)
        run = next(h.run for h in await self.api.history(self.scene.pair.id, 3) if h.run.what == "preview")
        case = promises.Guarded(
            held=plan.held if plan is not None else 0,
            refused=run.result.get("refused"),
            changes=plan.changes if plan is not None else 0,
            before=before,
            after=(await self._look()).books,
        )
        self._note("guard", promises.guarded(case))
        self.talk.tell("\n-- The mistake is mended.")
        await crm.mend()
        await self._seen_by_vendors()
        await self.talk.command(OPERATOR, f"{ids.COMMAND} preview")

    async def _second_run(self) -> SecondRun:
        """Nothing was typed since: what is read again is our own, and nothing comes of it."""
        self.talk.tell("\n-- Nobody typed anything since. Once more.")
        await self._seen_by_vendors()
        before = await self._look()
        await self.talk.command(OPERATOR, f"{ids.COMMAND} sync")
        after = await self._look()
        plan = await self._plan()
        changes = plan.changes + plan.held if plan is not None else 0
        writes, conflicts = after.calls.since(before.calls).writes, len(await self._conflicts())
        self._note("it_settles", promises.settles(changes, writes, conflicts))
        return SecondRun(changes, writes)

    # ----------------------------------------------------------------- what it came to

    def _note(self, promise: str, why: str | None) -> None:
        if self.broken.get(promise) is None:
            self.broken[promise] = why

    async def _check(self, start: Seen, end: Seen) -> int:
        """The promises that are seen at the end; how many changes were made in all."""
        scene = self.scene
        runs = [each.run for each in await self.api.history(scene.pair.id, 1_000)]
        done = sum(run.outcome.get("done", 0) for run in runs)
        trail, won = read_trail(scene.data), await scene.crm.won()
        planned = [*self.planned, *await self._written_alone()]
        self._note("no_duplicate", promises.no_duplicate(start.books, won, end.crm, end.books))
        self._note("no_lost_edit", promises.no_lost_edit(self.edits, end.crm, end.books, trail.values))
        self._note("money_is_exact", promises.money_exact(planned, won, end.books))
        self._note("guard", promises.nothing_before(date.fromisoformat(scene.pair.cut_over), end.books))
        self._note("on_record", promises.on_record(await self.api.verify_audit(), done, len(trail.changes)))
        places: dict[str, str | bytes] = {
            "a message": self.talk.everything(),
            "a log": scene.logs(),
            "the database": stored_bytes(scene.data),
        }
        self._note("secrets_stay_in", promises.secrets_stay_in(scene.secrets, places))
        return done

    async def _written_alone(self) -> list[ChangeView]:
        """Invoices that a settled question let go, beside those that Apply was pressed for."""
        known = {change.id for change in self.planned}
        plans = {each.run.plan_id for each in await self.api.history(self.scene.pair.id, 1_000) if each.run.outcome}
        found = [c for plan_id in plans if plan_id for c in await self.api.changes(plan_id, ["done"])]
        return [change for change in found if change.id not in known]

    def _figures(
        self, start: Seen, preview: Preview, applied: int, done: int, report: Reconciliation, second: SecondRun
    ) -> Figures:
        kinds = {"customers": ("customer",), "deals": ("deal",), "invoices": ("invoice",), "payments": ("payment",)}
        company = {
            name: max(sum(len(side.of(kind)) for kind in which) for side in (start.crm, start.books))
            for name, which in kinds.items()
        }
        nets = [c.net for c in self.planned if c.kind == "invoice" and c.net is not None]
        return Figures(
            company=company,
            preview=preview,
            applied=applied,
            invoiced=Invoiced(len(nets), f"{sum(nets, Decimal(0)):.2f}"),
            conflicts_opened=len(self.asked),
            conflicts_resolved=len(self.settled),
            second_run=second,
            calls=self.first,
            reconciliation=report,
            promises={name: why is None for name, why in sorted(self.broken.items())},
            broken={name: why for name, why in sorted(self.broken.items()) if why is not None},
            vendor_limits=self.scene.vendor_limits,
            seconds=round(self.scene.seconds(), 1),
        )


def _alike(seen: Seen) -> list[tuple[str, str]]:
    """Customers whose name, phone and address are the same on both sides, by name: (CRM's ref, books' ref)."""
    there = {record["legal_name"]: (ref, record) for ref, record in seen.books.of("customer").items()}
    found = []
    for ref, record in seen.crm.of("customer").items():
        name = record.get("legal_name", record.get("name"))
        if name in there and _agree(record, there[name][1]):
            found.append((str(name), ref, there[name][0]))
    return [(ref, other) for _, ref, other in sorted(found)]


def _agree(crm: dict[str, object], books: dict[str, object]) -> bool:
    if "legal_name" not in crm:  # an export that tells no phone: the name is all there is
        return True
    return bool(crm["phone"]) and crm["phone"] == books["phone"] and crm[ADDRESS] == books[ADDRESS]


def _answer(conflict: ConflictView) -> str:
    """What the approver presses: the CRM knows phones, the books addresses; names alike in two towns are two."""
    match conflict.what:
        case "field" | "everywhere":
            return ids.KEEP_BOOKS if "address" in conflict.title else ids.KEEP_CRM
        case "match":
            return ids.DIFFERENT if conflict.kind == "customer" else ids.SAME
        case "create":
            return ids.CREATE
        case _:
            return ids.LEAVE
