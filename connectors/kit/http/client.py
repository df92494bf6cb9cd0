"""The one request path that every connector uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import aiohttp
import msgspec
import stamina
import structlog
from yarl import URL

from connectors.kit import contract
from connectors.kit.errors import (
    ConnectorError,
    Doubtful,
    Gone,
    NotAllowed,
    Reconnect,
    Refused,
    TryLater,
)
from connectors.kit.http.answer import Answer, Explanation, is_whole, retry_after_s
from connectors.kit.http.once import HungUp, sent_once
from connectors.kit.http.pace import Pace
from connectors.kit.http.redaction import cleared, redacted
from connectors.kit.http.verdict import unanswered, verdict

Params: TypeAlias = Mapping[str, str | int] | Sequence[tuple[str, str | int]]

ATTEMPTS = 5
CONNECT_S = 10.0
BULK_WAIT_S = 5.0  # a bulk write that would wait longer for its turn is not sent, and holds up nobody meanwhile
RENEW_BEFORE = timedelta(seconds=30)

_log = structlog.get_logger()
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_NEXT: dict[str, type[ConnectorError]] = {
    "refuse": Refused,
    "wait": TryLater,
    "reconnect": Reconnect,
    "allow": NotAllowed,
    "gone": Gone,
}
_SAID: dict[type[ConnectorError], str] = {
    Reconnect: "the login is no longer accepted",
    TryLater: "busy or out of order",
    NotAllowed: "the connected account may not do this",
    Gone: "no such record",
    Refused: "refused",
    Doubtful: "no clear answer",
}


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, ready to be sent. Its repr shows no value."""

    write: bool
    method: str
    url: URL
    operation: str
    params: Params | None
    body: bytes | aiohttp.FormData | None
    headers: Mapping[str, str]
    ref: str | None

    def __repr__(self) -> str:
        return f"_Call({self.operation})"


class _Again(Exception):
    """A read that may be tried again; `error` is what it is if it may not. After a wait that the vendor named
    there is no backing off on top."""

    def __init__(self, error: TryLater) -> None:
        super().__init__(str(error))
        self.error = error


def _backoff(failure: Exception) -> bool | float:
    if not isinstance(failure, _Again):
        return False
    return True if failure.error.wait_s is None else 0.0


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + seconds

    def left(self) -> float:
        return max(0.0, self._at - self._loop.time())


def no_explanation(answer: Answer) -> Explanation | None:
    return None


class Http:
    """Calls to one account at one vendor.

    `base_url` is put before each path. `authorise` makes a request's auth headers from the token; `renew` gets a
    new token (None: tokens do not expire). `explain` reads a vendor's error answers, and its faults inside a 200;
    if it finds nothing or cannot read the body, the table of verdicts stands. `request_id_header` names the
    header in which the vendor tells the request's id. `deadline_s` bounds a call, retries and waits included.

    Bodies are JSON: a Decimal goes out as a JSON number with all its digits, UNSET struct fields are left out.

    Both calls raise, with `.answer` (None: no answer came):
    Reconnect (the token is refused, also after a renewal), TryLater(wait_s), Refused, Gone (404, 410), NotAllowed
    (402, 403), and for writes Doubtful. What tokens.renewed raises comes through as it is."""

    def __init__(  # noqa: PLR0913  one fact of a vendor each, all by name
        self,
        deps: contract.Deps,
        *,
        system: str,
        base_url: str,
        authorise: Callable[[contract.Token], Mapping[str, str]],
        renew: contract.Renew | None,
        pace: Pace,
        explain: Callable[[Answer], Explanation | None] = no_explanation,
        request_id_header: str | None = None,
        deadline_s: float = 30,
    ) -> None:
        self._deps = deps
        self._system = system
        self._base_url = base_url.rstrip("/")
        self._origin = URL(base_url).origin()
        self._authorise = authorise
        self._renew = renew
        self._pace = pace
        self._explain = explain
        self._request_id_header = request_id_header
        self._deadline_s = deadline_s

    async def read(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        params: Params | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        ref: str | None = None,
    ) -> Answer:
        """Ask something that changes nothing (also by POST). Tried up to five times within the deadline while the
        vendor is busy or broken; what is wrong then is TryLater. `operation` is a stable name for logs and counts;
        `path` may be a whole URL of the same origin (a next-page link)."""
        call = _Call(
            write=False,
            method=method,
            url=self._url(path, operation),
            operation=operation,
            params=params,
            body=aiohttp.FormData(dict(form)) if form is not None else _encoded(json),
            headers=_headers(json, headers),
            ref=ref,
        )
        deadline = _Deadline(self._deadline_s)
        try:
            async for attempt in stamina.retry_context(
                on=_backoff, attempts=ATTEMPTS, timeout=self._deadline_s, wait_initial=0.2, wait_jitter=0.5
            ):
                with attempt:
                    return await self._ask(call, deadline)
        except _Again as worn_out:
            raise worn_out.error from None
        raise AssertionError("a retry loop ends in an answer or an error")

    async def write(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        params: Params | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        ref: str | None = None,
    ) -> Answer:
        """Send something once. Never sent again by this layer or its library, but for a definite 401, after which
        the token is renewed and the request sent once more. Raises Doubtful whenever nobody can know. A
        cancellation is raised as it is: whether it was sent is unknown."""
        call = _Call(
            write=True,
            method=method,
            url=self._url(path, operation),
            operation=operation,
            params=params,
            body=_encoded(json),
            headers=_headers(json, headers),
            ref=ref,
        )
        longest_s = self._deadline_s / 3
        if self._deps.lane == "bulk":
            longest_s = min(longest_s, BULK_WAIT_S)
        outcome = await self._outcome(call, _Deadline(self._deadline_s), longest_s=longest_s)
        if isinstance(outcome, ConnectorError):
            raise outcome
        return outcome

    async def _ask(self, call: _Call, deadline: _Deadline) -> Answer:
        """One attempt of a read."""
        outcome = await self._outcome(call, deadline, longest_s=deadline.left())
        if isinstance(outcome, Answer):
            return outcome
        if not isinstance(outcome, TryLater):
            raise outcome
        if outcome.wait_s is not None:
            if outcome.wait_s > deadline.left():
                raise outcome
            await self._deps.clock.sleep(outcome.wait_s)
        raise _Again(outcome)

    async def _outcome(self, call: _Call, deadline: _Deadline, *, longest_s: float) -> Answer | ConnectorError:
        """The answer, if it is a yes, or the error that it, or its lack, means."""
        token = await self._token()
        outcome = await self._sent(call, token, deadline, longest_s)
        if isinstance(outcome, Reconnect) and outcome.answer is not None and self._renew is not None:
            token = await self._deps.tokens.renewed(token, self._renew)
            outcome = await self._sent(call, token, deadline, longest_s)
        return outcome

    async def _token(self) -> contract.Token:
        token = await self._deps.tokens.current()
        if self._renew is None or token.expires_at is None:
            return token
        if token.expires_at - self._deps.clock.now() > RENEW_BEFORE:
            return token
        return await self._deps.tokens.renewed(token, self._renew)

    async def _sent(
        self, call: _Call, token: contract.Token, deadline: _Deadline, longest_s: float
    ) -> Answer | ConnectorError:
        """Wait for a turn, send once, and judge what came back."""
        auth = self._authorise(token)
        secrets = (token.access, token.refresh, token.client_secret, *auth.values())
        try:
            async with self._pace.turn(self._deps.lane, longest_s=min(longest_s, deadline.left())):
                left = deadline.left()
                answer = await self._transfer(call, auth, left if call.write else min(left, self._deadline_s / 2))
        except TryLater as full:
            raise self._error(TryLater, full.message, call, wait_s=full.wait_s) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            return self._no_answer(call, failure)
        return await self._judged(call, msgspec.structs.replace(answer, body=cleared(answer.body, secrets)), secrets)

    async def _transfer(self, call: _Call, auth: Mapping[str, str], total_s: float) -> Answer:
        started = self._deps.clock.monotonic()
        status = 0
        self._deps.calls.count(call.operation, write=call.write)
        try:
            async with self._deps.session.request(
                call.method,
                call.url,
                params=call.params,
                data=call.body,
                headers={**call.headers, **auth},
                allow_redirects=False,
                raise_for_status=False,
                timeout=aiohttp.ClientTimeout(total=max(total_s, 0.001), connect=min(CONNECT_S, total_s)),
                middlewares=(sent_once,),
            ) as response:
                answer = Answer(response.status, response.headers, await response.read(), self._id(response))
                status = answer.status
                return answer
        finally:
            ms = round((self._deps.clock.monotonic() - started) * 1000)
            _log.debug("http.request", system=self._system, operation=call.operation, status=status, ms=ms)

    def _id(self, response: aiohttp.ClientResponse) -> str | None:
        return response.headers.get(self._request_id_header) if self._request_id_header is not None else None

    async def _judged(self, call: _Call, answer: Answer, secrets: Sequence[str | None]) -> Answer | ConnectorError:
        await self._pace.learn(answer.headers)
        whole = is_whole(answer) and (call.write or answer.body != b"" or answer.status not in (200, 201))
        kind = verdict(answer.status, answer.headers, whole, write=call.write)
        explanation = self._explained(answer)
        if kind is None and explanation is None:
            return answer
        kind = _overruled(kind, explanation, write=call.write)
        wait_s = _wait_s(answer, explanation, self._deps.clock.now()) if kind is TryLater else None
        if kind is TryLater and answer.status in (403, 429):
            await self._pace.rest(wait_s if wait_s is not None else 1.0)
        said = explanation.message if explanation is not None else f"{_SAID[kind]} ({answer.status})"
        code = explanation.code if explanation is not None else None
        return self._error(kind, redacted(said, secrets), call, wait_s=wait_s, code=code, answer=answer)

    def _explained(self, answer: Answer) -> Explanation | None:
        """What the vendor's connector reads in the answer; a body that it cannot read explains nothing."""
        with suppress(Doubtful):
            return self._explain(answer)
        return None

    def _no_answer(self, call: _Call, failure: BaseException) -> ConnectorError:
        """Only the kind of failure is told: a foreign message may carry an address with a secret in it."""
        kind = unanswered(failure, write=call.write)
        name = failure.args[0] if isinstance(failure, HungUp) else type(failure).__name__
        unsent = unanswered(failure, write=True) is TryLater
        said = "cannot be reached" if unsent else "the answer was lost"
        return self._error(kind, f"{said} ({name})", call)

    def _error(self, kind: type[ConnectorError], message: str, call: _Call, **more: Any) -> ConnectorError:
        answer: Answer | None = more.get("answer")
        request_id = answer.request_id if answer is not None else None
        return kind(message, system=self._system, operation=call.operation, ref=call.ref, request_id=request_id, **more)

    def _url(self, path: str, operation: str) -> URL:
        if not path.startswith(("http://", "https://")):
            return URL(self._base_url + path)
        url = URL(path)
        if url.origin() != self._origin:
            raise Refused("a link leads to another host", system=self._system, operation=operation)
        return url


def _encoded(json: Any) -> bytes | None:
    return None if json is None else _ENCODER.encode(json)


def _headers(json: Any, headers: Mapping[str, str] | None) -> dict[str, str]:
    own = {"Accept": "application/json"}
    if json is not None:
        own["Content-Type"] = "application/json"
    return {**own, **(headers or {})}


def _overruled(
    kind: type[ConnectorError] | None, explanation: Explanation | None, *, write: bool
) -> type[ConnectorError]:
    """The table's verdict, unless the vendor's connector knows better; an explained 200 is a refusal."""
    if explanation is None or explanation.next is None:
        return kind if kind is not None else Refused
    if explanation.next == "doubt":
        return Doubtful if write else TryLater
    return _NEXT[explanation.next]


def _wait_s(answer: Answer, explanation: Explanation | None, now: datetime) -> float | None:
    """What this answer tells, else how long the vendor usually wants peace."""
    told = retry_after_s(answer.headers.get("Retry-After"), now)
    return told if told is not None or explanation is None else explanation.wait_s
