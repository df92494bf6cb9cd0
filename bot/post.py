"""The sender: letters out of the outbox into Slack, in order for each channel, each once as far as anybody can tell.

A post whose answer was lost is looked up by its metadata before it is repeated. A refused letter is set aside and
blocks nothing. 429 and 5xx come again later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.blocks.parts import Say, clipped
from bot.errors import explain_refusal
from bot.patience import Patience
from bot.tell import Post, Remove, Sending, Teller, Upload, Whisper
from worker.api import ChannelApi, Messages, Problem, crash, trouble
from worker.api.views import LetterView

EVENT = "tieout_message"
LOOK_S = 0.25
PROGRESS_S = 1.5
STORE_S = 1.0
AUTH_WAIT_S = 60.0
TRIES = 100  # an hour and a half of gateway errors for one letter
# https://docs.slack.dev/reference/methods/chat.postMessage: what may be told otherwise a minute later
_PASSING = frozenset(("internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited",
                      "rate_limited", "accesslimited", "team_added_to_org"))  # fmt: skip
_LOGIN = frozenset(("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
                    "missing_scope"))  # fmt: skip
_TOO_MUCH = frozenset(("invalid_blocks", "msg_too_long", "msg_blocks_too_long", "invalid_attachments",
                       "invalid_blocks_format"))  # fmt: skip
_GONE = frozenset(("message_not_found", "cant_update_message", "edit_window_closed"))

log = structlog.get_logger()
Reply = Callable[[str], Awaitable[Any]]


class Later(Exception):
    """Not now. `doubt`: it may have arrived."""

    def __init__(self, wait_s: float, reason: str, *, doubt: bool) -> None:
        super().__init__(reason)
        self.wait_s, self.reason, self.doubt = wait_s, reason, doubt


class Refused(Exception):
    """Slack will not take it, ever."""


class Figures(msgspec.Struct):
    """What the sender did, for /metrics."""

    sent: int = 0
    repeated: int = 0
    later: int = 0
    refused: int = 0


class Sender:
    """One bot's sender. Several bots may run one each: a letter belongs to who claimed it."""

    def __init__(self, api: ChannelApi, messages: Messages, client: AsyncWebClient, teller: Teller) -> None:
        self._api, self._messages, self._client, self._teller = api, messages, client, teller
        self._poked = asyncio.Event()
        self._replies: dict[str, Reply] = {}
        self._watched: dict[str, asyncio.Task[None]] = {}
        self._patience = Patience("sender")
        self.figures = Figures()

    # ----------------------------------------------------------------- the loop

    def poke(self) -> None:
        """Something was put into the outbox: look now."""
        self._poked.set()

    async def run(self) -> None:
        """Until cancelled. A store that cannot be reached is tried again; nothing is lost meanwhile."""
        try:
            while True:
                try:
                    busy = await self.send_due()
                    self._patience.found()
                except Exception as error:  # noqa: BLE001  # the loop must outlive whatever the store says
                    self._patience.lost(error)
                    busy = 0
                if not busy:
                    await self._rest()
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop watching runs."""
        watched = [*self._watched.values()]
        for task in watched:
            task.cancel()
        await asyncio.gather(*watched, return_exceptions=True)

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), LOOK_S)
        self._poked.clear()

    async def send_due(self) -> int:
        """One letter for each channel that has one due; how many."""
        letters = await self._messages.next()
        await asyncio.gather(*(self._deliver(letter) for letter in letters))
        return len(letters)

    async def _deliver(self, letter: LetterView) -> None:
        try:
            crash("slack.posting")
            ts = await self._send(letter)
            crash("slack.answered")
        except Later as error:
            self.figures.later += 1
            if error.doubt and letter.attempts >= TRIES:
                await self._set_aside(letter, f"given up: {error.reason}")
                return
            await self._put_off(letter, error)
        except Refused as error:
            await self._set_aside(letter, str(error))
        except Problem as error:
            await self._set_aside(letter, error.message)
        except Exception as error:  # one letter that cannot be put into words must not stop the others
            if trouble(error) is not None:  # the store's, while it was put into words: that passes
                await self._put_off(letter, Later(STORE_S, type(error).__name__, doubt=True))
                return
            log.exception("sender.unforeseen", letter=letter.id)
            await self._set_aside(letter, f"{type(error).__name__}: {error}")
        else:
            self.figures.sent += 1
            await self._patience.until_done(lambda: self._messages.sent(letter.id, ts))

    async def _put_off(self, letter: LetterView, later: Later) -> None:
        log.info("sender.later", letter=letter.id, reason=later.reason, wait_s=later.wait_s)
        await self._patience.until_done(
            lambda: self._messages.later(letter.id, later.wait_s, later.reason, doubt=later.doubt)
        )

    async def _set_aside(self, letter: LetterView, reason: str) -> None:
        self.figures.refused += 1
        log.warning("sender.refused", letter=letter.id, message=letter.message, channel=letter.channel, reason=reason)
        await self._patience.until_done(lambda: self._messages.refused(letter.id, reason))
        await self._say_why(letter.message, reason)

    # ----------------------------------------------------------------- who asked

    def remember(self, message: str, reply: Reply) -> None:
        """How to reach who asked for a message, should Slack refuse it: their response address, for a while."""
        self._replies[message] = reply
        while len(self._replies) > 500:
            del self._replies[next(iter(self._replies))]

    async def _say_why(self, message: str, code: str) -> None:
        reply, words = self._replies.pop(message, None), explain_refusal(code)
        if reply is not None and words is not None:
            with contextlib.suppress(SlackApiError, aiohttp.ClientError, TimeoutError):
                await reply(words)

    def watch(self, run_id: str, pair_id: str, channel: str, message: str) -> None:
        """Edit the message while the run goes on. Its end is said by the worker, whatever becomes of this."""
        task = asyncio.create_task(self._watch(run_id, pair_id, channel, message), name=f"watch {run_id}")
        self._watched[run_id] = task
        task.add_done_callback(lambda _: self._watched.pop(run_id, None))

    async def _watch(self, run_id: str, pair_id: str, channel: str, message: str) -> None:
        shown: object = None
        patience, said = Patience("watch"), {"run": run_id}
        while True:
            await asyncio.sleep(PROGRESS_S)
            try:
                run = await patience.until_done(lambda: self._api.run(run_id))
            except Problem:
                return
            if run.over:
                self.poke()
                return
            if (run.state, run.progress) != shown and run.state == "running":
                shown = (run.state, run.progress)
                await patience.until_done(lambda: self._messages.say(pair_id, channel, message, "progress", said))
                self.poke()

    # ----------------------------------------------------------------- one letter

    async def _send(self, letter: LetterView) -> str | None:
        """Put the letter into words and send it; where its message stands afterwards."""
        ts = letter.ts
        for sending in await self._teller.tell(letter):
            ts = await self._one(letter, sending, ts)
        return ts

    async def _one(self, letter: LetterView, sending: Sending, ts: str | None) -> str | None:
        try:
            match sending:
                case Post():
                    return await self._post(letter, sending, ts)
                case Whisper():
                    await self._whisper(letter, sending)
                    return ts
                case Remove():
                    await self._remove(letter, ts)
                    return None
                case Upload():
                    await self._upload(letter, sending)
                    return ts
        except SlackApiError as error:
            raise _judged(error, letter) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # ValueError: an answer that is no JSON, as a gateway's error page is
            raise Later(_backoff(letter), type(error).__name__, doubt=True) from error

    async def _post(self, letter: LetterView, post: Post, ts: str | None) -> str | None:
        if ts is None and letter.doubt:
            ts = await self._look_up(letter, post)
        if ts is not None:
            try:
                await self._said(self._client.chat_update, post.say, channel=letter.channel, ts=ts)
                return ts
            except SlackApiError as error:
                if _code(error) not in _GONE:
                    raise
        thread = await self._messages.ts(letter.channel, post.thread) if post.thread is not None else None
        answer = await self._said(
            self._client.chat_postMessage,
            post.say,
            channel=letter.channel,
            thread_ts=thread,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": EVENT, "event_payload": {"message": letter.message, "letter": letter.id}},
        )
        return str(answer["ts"])

    async def _said(self, method: Callable[..., Awaitable[Any]], say: Say, **where: Any) -> Any:
        """Blocks and text; the text alone if Slack does not take the blocks."""
        try:
            return await method(text=say.text, blocks=say.blocks, **where)
        except SlackApiError as error:
            if _code(error) not in _TOO_MUCH:
                raise
            log.error("sender.blocks_refused", code=_code(error), says=_lines(error))
            return await method(text=clipped(say.text, 3_900), blocks=[], **where)

    async def _whisper(self, letter: LetterView, whisper: Whisper) -> None:
        where = {"channel": letter.channel, "user": whisper.user, "thread_ts": whisper.thread_ts}
        await self._said(self._client.chat_postEphemeral, whisper.say, **where)

    async def _remove(self, letter: LetterView, ts: str | None) -> None:
        if ts is None:
            return
        try:
            await self._client.chat_delete(channel=letter.channel, ts=ts)
        except SlackApiError as error:
            if _code(error) != "message_not_found":
                raise

    async def _upload(self, letter: LetterView, upload: Upload) -> None:
        thread = await self._messages.ts(letter.channel, upload.thread) if upload.thread is not None else None
        if letter.doubt and thread is not None and await self._is_attached(letter.channel, thread, upload.name):
            return
        await self._client.files_upload_v2(
            filename=upload.name,
            title=upload.title,
            content=upload.content,
            channel=letter.channel,
            thread_ts=thread,
            initial_comment=upload.comment,
        )

    # ----------------------------------------------------------------- after doubt

    async def _look_up(self, letter: LetterView, post: Post) -> str | None:
        """Where an earlier attempt put the message, by its metadata. If Slack does not say, it is repeated: a repeat
        beats a loss, and it carries the same metadata."""
        self.figures.repeated += 1
        oldest = f"{letter.created_at.timestamp() - 60:.6f}"
        thread = await self._messages.ts(letter.channel, post.thread) if post.thread is not None else None
        where: dict[str, Any] = {
            "channel": letter.channel,
            "oldest": oldest,
            "include_all_metadata": True,
            "limit": 200,
        }
        try:
            if thread is not None:
                answer = await self._client.conversations_replies(ts=thread, **where)
            else:
                answer = await self._client.conversations_history(**where)
        except SlackApiError as error:
            if _code(error) in _PASSING or error.response.status_code in (429, 500, 502, 503):
                raise
            return None
        for message in answer.get("messages") or []:
            said = message.get("metadata") or {}
            if said.get("event_type") == EVENT and said.get("event_payload", {}).get("message") == letter.message:
                return str(message["ts"])
        return None

    async def _is_attached(self, channel: str, thread: str, name: str) -> bool:
        answer = await self._client.conversations_replies(channel=channel, ts=thread, limit=200)
        files = [file for message in answer.get("messages") or [] for file in message.get("files") or []]
        return any(file.get("name") == name for file in files)


def _code(error: SlackApiError) -> str:
    data = error.response.data if hasattr(error.response, "data") else error.response
    return str(data.get("error", "")) if isinstance(data, dict) else ""


def _lines(error: SlackApiError) -> object:
    data = error.response.data if hasattr(error.response, "data") else {}
    return data.get("response_metadata", {}).get("messages") if isinstance(data, dict) else None


def _judged(error: SlackApiError, letter: LetterView) -> Exception:
    """What an error of Slack's means for a letter (https://docs.slack.dev/apis/web-api/rate-limits for 429)."""
    status = getattr(error.response, "status_code", 200)
    code = _code(error)
    if status == 429 or code in ("ratelimited", "rate_limited"):
        wait = float((getattr(error.response, "headers", None) or {}).get("Retry-After", 1))
        return Later(wait + 0.1, "rate limited", doubt=False)
    if status >= 500 or code in _PASSING:
        return Later(_backoff(letter), code or f"HTTP {status}", doubt=True)
    if code in _LOGIN:
        return Later(AUTH_WAIT_S, code, doubt=False)
    return Refused(code or f"HTTP {status}")


def _backoff(letter: LetterView) -> float:
    return float(min(60.0, 0.5 * 2 ** min(letter.attempts, 7)))
