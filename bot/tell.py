"""A letter of the outbox -> what Slack is to be sent: asks the worker how things stand now, and renders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from bot.blocks import answers, conflict, plan, report, run
from bot.blocks.parts import Say, plural, quiet
from bot.blocks.plan import Look
from bot.changes_file import changes_file
from bot.errors import explain
from bot.gate import Gate
from bot.metadata import Buttons
from bot.story import headline
from worker.api import ChannelApi, Problem, Schedules, Trail
from worker.api.views import LetterView, PlanView, RunView

HISTORY = 15


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """Post or edit the letter's message. `thread`: the name of the message it answers."""

    say: Say
    thread: str | None = None


class Whisper(msgspec.Struct, frozen=True, kw_only=True):
    """Say something to one person. `thread_ts`: where they look."""

    user: str
    say: Say
    thread_ts: str | None = None


class Remove(msgspec.Struct, frozen=True):
    """Take the letter's message away, if it was posted."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """Attach a file in the thread of the message of that name; None: in the channel."""

    name: str
    title: str
    content: bytes
    comment: str
    thread: str | None = None


Sending: TypeAlias = Post | Whisper | Remove | Upload


class Teller:
    """Puts letters into words at the moment they are sent."""

    def __init__(self, api: ChannelApi, schedules: Schedules, trail: Trail, gate: Gate, buttons: Buttons) -> None:
        self._api, self._schedules, self._trail, self._gate, self._buttons = api, schedules, trail, gate, buttons
        self._by_what: dict[str, Callable[[LetterView, Look], Awaitable[list[Sending]]]] = {
            "run": self._run,
            "progress": self._progress,
            "plan_over": self._plan_over,
            "needs": self._needs,
            "card": self._card,
            "digest": self._digest,
            "report_file": self._report_file,
            "changes_file": self._changes_file,
            "audit_file": self._audit_file,
            "answer": self._answer,
            "plain": self._plain,
        }

    async def look(self, pair_id: str) -> Look:
        return Look(pair=await self._api.pair_by_id(pair_id), gate=self._gate, buttons=self._buttons)

    async def tell(self, letter: LetterView) -> list[Sending]:
        """What is to be sent; nothing, if there is nothing to say any more. Raises Problem if what it is about is
        gone."""
        return await self._by_what[letter.what](letter, await self.look(letter.pair_id))

    # ----------------------------------------------------------------- runs and plans

    async def _run(self, letter: LetterView, look: Look) -> list[Sending]:
        body = letter.body
        found = await self._api.run(str(body["run"]))
        if not found.over:
            say = run.waits(found) if found.state == "waiting" else run.progress(found, look)
            return [] if body.get("quiet") else [Post(say=say)]
        if found.state == "failed":
            return [Post(say=run.failed(found, look))]
        if found.what == "reconcile":
            return [Post(say=report.report(await self._api.report(str(found.result["report_id"])), found, look))]
        return await self._ended(letter, found, look)

    async def _progress(self, letter: LetterView, look: Look) -> list[Sending]:
        """Once the run is over its own letter says so, to who asked too; a doubtful one is still looked up."""
        found = await self._api.run(str(letter.body["run"]))
        return [] if found.over and not letter.doubt else await self._run(letter, look)

    async def _ended(self, letter: LetterView, found: RunView, look: Look) -> list[Sending]:
        """An apply says what it did; a preview or sync shows the plan that is left, or that there is nothing."""
        outcome = await self._outcome(found, look) if found.outcome else None
        left = await self._left(found)
        if left is None:
            return [Post(say=outcome)] if outcome is not None else await self._nothing(letter, look)
        shown = plan.preview(left, found, look)
        if outcome is None:
            return [Post(say=shown)]
        both = Say(text=f"{outcome.text} {shown.text}", blocks=[*outcome.blocks, *shown.blocks][:50])
        return [Post(say=both)]

    async def _outcome(self, found: RunView, look: Look) -> Say:
        plan_id = found.plan_id or str(found.result["plan_id"])
        trouble = await self._api.changes(plan_id, plan.TROUBLE)  # type: ignore[arg-type]  # states by name
        return plan.outcome(await self._api.plan(plan_id), found, trouble, look)

    async def _left(self, found: RunView) -> PlanView | None:
        """The plan that a preview or sync leaves to be looked at; None: there is nothing in it."""
        plan_id = found.result.get("plan_id")
        if found.what == "apply" or plan_id is None:
            return None
        left = await self._api.plan(str(plan_id), limit=40)
        return left if _says_something(left) else None

    async def _nothing(self, letter: LetterView, look: Look) -> list[Sending]:
        """Nothing happened: nothing is said in the channel, only to who asked."""
        user = str(letter.body.get("user", ""))
        if letter.body.get("quiet") or not user:
            return [Remove()]
        return [Remove(), Whisper(user=user, say=run.in_step(await self._api.status(look.pair.id)))]

    async def _plan_over(self, letter: LetterView, look: Look) -> list[Sending]:
        found = await self._api.run(str(letter.body["run"]))
        if found.outcome:
            return [Post(say=await self._outcome(found, look))]
        gone = await self._api.plan(str(letter.body["plan"]))
        return [Post(say=plan.replaced(gone, look))] if _says_something(gone) else [Remove()]

    # ----------------------------------------------------------------- conflicts

    async def _needs(self, letter: LetterView, look: Look) -> list[Sending]:
        open_now = await self._api.conflicts(look.pair.id)
        if not open_now and letter.ts is None:
            return []
        return [Post(say=conflict.needs(len(open_now), look))]

    async def _card(self, letter: LetterView, look: Look) -> list[Sending]:
        body = letter.body
        found = await self._api.conflict(look.pair.id, int(body["number"]))
        if found.state != "open" and letter.ts is None:
            return []
        carried = await self._api.run(str(body["run"])) if body.get("run") else None
        say = conflict.card(found, look, note=str(body.get("note", "")), run=carried)
        return [Post(say=say, thread=str(body["thread"]))]

    # ----------------------------------------------------------------- files

    async def _report_file(self, letter: LetterView, look: Look) -> list[Sending]:
        view = await self._api.report(str(letter.body["report"]))
        name = f"reconciliation-{view.period}-v{view.version}.xlsx"
        content = await self._api.workbook(view.id)
        return [
            Upload(name=name, title=name, content=content, comment=view.headline, thread=str(letter.body["thread"]))
        ]

    async def _changes_file(self, letter: LetterView, look: Look) -> list[Sending]:
        plan_id = str(letter.body["plan"])
        view = await self._api.plan(plan_id)
        file = await changes_file(view.changes + view.held, self._api.each_change(plan_id))
        name = f"changes-{view.created_at:%Y-%m-%d}-{plan_id[-6:]}.{file.ending}"
        thread = str(letter.body["thread"])
        return [Upload(name=name, title=name, content=file.content, comment=file.comment, thread=thread)]

    async def _audit_file(self, letter: LetterView, look: Look) -> list[Sending]:
        file = await self._trail.export_story(look.pair.id, str(letter.body["record"]))
        comment = f"{headline(file.record)}: {plural(file.entries, 'entry')} on record."
        return [Upload(name=file.name, title=file.name, content=file.content, comment=quiet(comment))]

    # ----------------------------------------------------------------- answers

    async def _digest(self, letter: LetterView, look: Look) -> list[Sending]:
        return [Post(say=answers.digest(await self._api.status(look.pair.id)))]

    async def _plain(self, letter: LetterView, look: Look) -> list[Sending]:
        return [Post(say=answers.plain(str(letter.body["text"])))]

    async def _answer(self, letter: LetterView, look: Look) -> list[Sending]:
        body = letter.body
        say = await self._answered(str(body["about"]), str(body.get("text", "")), look)
        return [Whisper(user=str(body["user"]), say=say, thread_ts=body.get("thread_ts"))]

    async def _answered(self, about: str, text: str, look: Look) -> Say:
        pair_id = look.pair.id
        match about:
            case "status":
                return answers.status(await self._api.status(pair_id))
            case "history":
                return answers.history(await self._api.history(pair_id, HISTORY), look.pair.time_zone)
            case "conflicts":
                return conflict.listed(await self._api.conflicts(pair_id), look)
            case "audit":
                return await self._story(text, look)
            case "schedules":
                return answers.schedules(await self._schedules.list(pair_id), look)
            case _:
                return answers.plain(text)

    async def _story(self, record: str, look: Look) -> Say:
        """None, or several: that is the answer, and whoever asked reads it."""
        try:
            return answers.story(await self._trail.story(look.pair.id, record), look)
        except Problem as error:
            return answers.plain(quiet(explain(error)))


def _says_something(view: PlanView) -> bool:
    """Whether a plan is worth a message of its own."""
    return view.changes > 0 or view.held > 0 or view.refused is not None or view.undoes is not None
