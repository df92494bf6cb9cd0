"""The request path against a server that misbehaves as told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import structlog

from connectors.kit.contract import Token
from connectors.kit.errors import Doubtful, Gone, NotAllowed, Reconnect, Refused, TryLater
from connectors.kit.http import Answer, Explanation, Limit
from connectors.kit.http.answer import is_whole, retry_after_s
from connectors.kit.sandbox.faults import cut_body, cut_chunks, delay, drop_before, html_502, lose_answer, status

SECRET = "sk-" + "q7" * 12


async def test_numbers_stay_exact(make_http, notes) -> None:
    """A Decimal goes out as a number with all its digits and comes back as the same Decimal."""
    http = make_http(notes.url)
    await http.write("POST", "/write", operation="note.create", json={"net": Decimal("90071992547409.93")})
    answer = await http.read("GET", "/notes", operation="note.list", params={"q": "a b+c@d"})
    assert {"notes": [{"net": Decimal("90071992547409.93")}], "asked": {"q": "a b+c@d"}} == answer.json()


async def test_calls_are_counted_and_ids_read(make_http, notes, calls) -> None:
    """Every call that is sent is counted under its operation, and the vendor's request id is kept."""
    http = make_http(notes.url)
    answer = await http.write("PUT", "/write", operation="note.create", json={})
    await http.read("GET", "/notes", operation="note.list")
    assert (answer.request_id, dict(calls.counted)) == ("r-1", {("note.create", True): 1, ("note.list", False): 1})


@pytest.mark.parametrize(
    "fault",
    [
        status(503),
        html_502(),
        drop_before(),
        cut_body(),
        cut_chunks(),
        lose_answer(),
        status(200, body="<html>"),
        status(200, body=""),
    ],
)
async def test_a_read_gets_over_it(make_http, notes, fault) -> None:
    """A read whose first tries fail is asked again until it is answered."""
    fault.times = 4
    notes.faults.add(fault)
    answer = await make_http(notes.url).read("GET", "/notes", operation="note.list")
    assert (answer.status, notes.calls) == (200, 5)


@pytest.mark.parametrize("fault", [status(500), html_502(), drop_before(), cut_body()])
async def test_a_read_gives_up_with_try_later(make_http, notes, fault) -> None:
    """After five attempts a read is for later; it is never a doubt."""
    fault.times = None
    notes.faults.add(fault)
    with pytest.raises(TryLater):
        await make_http(notes.url).read("GET", "/notes", operation="note.list")
    assert notes.calls == 5


@pytest.mark.parametrize(
    "fault",
    [
        status(500),
        status(503, headers={"Retry-After": "1"}),
        html_502(),
        drop_before(),
        cut_body(),
        lose_answer(),
        status(408),
        status(200, body="<html>maintenance"),
        status(302, headers={"Location": "/notes"}),
    ],
    ids=["500", "503", "html", "drop", "cut", "lost", "408", "html 200", "redirect"],
)
async def test_a_write_in_doubt_is_sent_once(make_http, notes, fault) -> None:
    """Whatever leaves a write in doubt raises Doubtful after one request."""
    notes.faults.add(fault)
    with pytest.raises(Doubtful):
        await make_http(notes.url).write("PUT", "/write", operation="note.create", json={})
    assert notes.calls == 1


async def test_a_write_that_takes_too_long_is_in_doubt(make_http, notes) -> None:
    """The deadline ends the waiting, not the vendor's work."""
    notes.faults.add(delay(5))
    with pytest.raises(Doubtful):
        await make_http(notes.url, deadline_s=0.2).write("PUT", "/write", operation="note.create", json={})
    assert len(notes.notes) == 1


async def test_a_cancelled_write_is_raised_as_it_is(make_http, notes) -> None:
    """A cancellation is not swallowed, and the request is not repeated."""
    notes.faults.add(delay(5))
    writing = asyncio.create_task(make_http(notes.url).write("PUT", "/write", operation="note.create", json={}))
    await notes.written.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert len(notes.notes) == 1


async def test_nobody_there_is_a_definite_no(make_http, notes) -> None:
    """A refused connection was surely not sent: later, not doubtful."""
    await notes.stop()
    with pytest.raises(TryLater, match=r"cannot be reached \(ClientConnectorError\)"):
        await make_http(notes.url).write("POST", "/write", operation="note.create", json={})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, Refused),
        (409, Refused),
        (412, Refused),
        (404, Gone),
        (403, NotAllowed),
        (429, TryLater),
        (423, TryLater),
    ],
)
async def test_a_definite_no_carries_the_answer(make_http, notes, code, kind) -> None:
    """An error says what happens next and carries the vendor's answer for the connector to read."""
    notes.faults.add(status(code, body={"why": "because"}))
    with pytest.raises(kind) as raised:
        await make_http(notes.url).write("POST", "/write", operation="note.create", json={}, ref="9")
    assert (
        raised.value.answer.json(),
        raised.value.ref,
        raised.value.operation,
    ) == ({"why": "because"}, "9", "note.create")


async def test_retry_after_is_waited_for_on_the_clock(make_http, notes, clock) -> None:
    """A 429 with Retry-After is waited out, then the read goes on."""
    notes.faults.add(status(429, headers={"Retry-After": "4"}))
    began = clock.monotonic()
    await make_http(notes.url).read("GET", "/notes", operation="note.list")
    assert (clock.monotonic() - began, notes.calls) == (4, 2)


async def test_what_the_answer_tells_comes_before_what_is_usual(make_http, notes, clock) -> None:
    """A vendor's connector knows how long it usually wants peace; an answer that says for how long is believed."""

    def usual(answer: Answer) -> Explanation | None:
        return Explanation(message="slow down", next="wait", wait_s=4) if answer.status == 429 else None

    http, waited = make_http(notes.url, explain=usual), []
    for headers in ({"Retry-After": "2"}, {}):
        notes.faults.add(status(429, headers=headers))
        began = clock.monotonic()
        await http.read("GET", "/notes", operation="note.list")
        waited.append(clock.monotonic() - began)
    assert waited == [2, 4]


async def test_a_wait_beyond_the_deadline_is_not_slept(make_http, notes, clock) -> None:
    """A daily limit is the caller's to park, with the wait that the vendor named; other calls stay away too."""
    notes.faults.add(status(429, headers={"Retry-After": "3600"}))
    http = make_http(notes.url)
    for _ in range(2):
        with pytest.raises(TryLater) as raised:
            await http.read("GET", "/notes", operation="note.list")
        assert raised.value.wait_s == 3600
    assert notes.calls == 1


async def test_a_write_over_the_pace_is_not_sent(make_http, notes) -> None:
    """If a turn would come too late, the write is surely not sent."""
    http = make_http(notes.url, limits=(Limit(1, 600),))
    await http.write("POST", "/write", operation="note.create", json={})
    with pytest.raises(TryLater) as raised:
        await http.write("POST", "/write", operation="note.create", json={})
    assert (raised.value.wait_s, notes.calls, raised.value.system) == (600, 1, "notes")


async def test_401_renews_once_and_sends_again(make_http, notes) -> None:
    """A refused token is a definite no: renewed once, and the write sent once more."""
    notes.accepted = "t-2"
    renewals = []

    async def renew(token: Token) -> Token:
        renewals.append(token.access)
        return Token(access="t-2")

    answer = await make_http(notes.url, renew=renew).write("POST", "/write", operation="note.create", json={})
    assert (answer.status, renewals, notes.calls, len(notes.notes)) == (200, ["t-1"], 2, 1)


async def test_401_twice_asks_to_reconnect(make_http, notes) -> None:
    """A token that is refused also after its renewal ends in Reconnect, after two requests."""
    notes.accepted = "nobody has it"

    async def renew(token: Token) -> Token:
        return Token(access="t-2")

    with pytest.raises(Reconnect):
        await make_http(notes.url, renew=renew).read("GET", "/notes", operation="note.list")
    assert notes.calls == 2


async def test_a_token_about_to_expire_is_renewed_first(make_http, notes, clock) -> None:
    """No request is wasted on a token that ends within half a minute."""

    async def renew(token: Token) -> Token:
        return Token(access="t-2", expires_at=clock.now() + timedelta(hours=1))

    notes.accepted = "t-2"
    token = Token(access="t-1", expires_at=clock.now() + timedelta(seconds=20))
    http = make_http(notes.url, token=token, renew=renew)
    await http.read("GET", "/notes", operation="note.list")
    assert notes.calls == 1


def fault_inside(answer: Answer) -> Explanation | None:
    said = answer.json()
    if "fault" not in said:
        return None
    return Explanation(message=said["fault"], code="7", next=said.get("next"), wait_s=said.get("wait"))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, Refused),
        ({"next": "refuse"}, Refused),
        ({"next": "gone"}, Gone),
        ({"next": "allow"}, NotAllowed),
        ({"next": "wait", "wait": 60}, TryLater),
        ({"next": "reconnect"}, Reconnect),
        ({"next": "doubt"}, Doubtful),
    ],
)
async def test_a_fault_inside_a_200(make_http, notes, body, kind) -> None:
    """The vendor's connector may find a fault in a 200 and say what happens next; by itself it is a refusal."""
    notes.faults.add(status(200, body={"fault": "bad", **body}))
    with pytest.raises(kind) as raised:
        await make_http(notes.url, explain=fault_inside).write("POST", "/write", operation="note.create", json={})
    assert ("bad", "7", body.get("wait"), 1) == (
        raised.value.message,
        raised.value.code,
        raised.value.wait_s,
        notes.calls,
    )


async def test_an_explanation_without_next_leaves_the_table(make_http, notes) -> None:
    """Words and code come from the vendor, the verdict from the table."""
    notes.faults.add(status(500, body={"fault": "boom"}))
    with pytest.raises(Doubtful, match="boom"):
        await make_http(notes.url, explain=fault_inside).write("POST", "/write", operation="note.create", json={})


async def test_an_explainer_that_cannot_read_explains_nothing(make_http, notes) -> None:
    """A page instead of JSON is judged by the table, not by the explainer's stumbling."""
    notes.faults.add(status(400, body="<html>"))
    with pytest.raises(Refused):
        await make_http(notes.url, explain=fault_inside).write("POST", "/write", operation="note.create", json={})


@pytest.mark.parametrize("body", [b"<html></html>", b'{"a": 1', b"", b"\xff\xfe"])
def test_unreadable_bodies_are_doubtful(body: bytes) -> None:
    """A page, a cut body and nothing at all cannot be read as an answer."""
    with pytest.raises(Doubtful):
        Answer(200, {"Content-Type": "text/html"}, body).json()


@pytest.mark.parametrize(
    ("code", "headers", "body", "whole"),
    [
        (200, {}, b"", False),
        (200, {"Content-Length": "0"}, b"", True),
        (204, {}, b"", True),
        (404, {}, b"", True),
        (200, {}, b'{"a":[1', False),
        (200, {}, b'{"a":[1]}', True),
        (200, {}, b"<html>", False),
    ],
)
def test_which_bodies_are_whole(code: int, headers: dict[str, str], body: bytes, whole: bool) -> None:
    """A cut body is told from a whole one, and an empty one from one that may be."""
    assert whole == is_whole(Answer(code, headers, body))


def test_retry_after_in_both_forms(clock) -> None:
    """Seconds, a date, and nonsense."""
    later = (clock.now() + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    now = clock.now().replace(microsecond=0)
    assert (
        retry_after_s("2.5", now),
        retry_after_s(later, now),
        retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", now),
        retry_after_s("soon", now),
        retry_after_s(None, now),
    ) == (2.5, 90, 0, None, None)


async def test_a_link_to_another_host_is_not_followed(make_http, notes) -> None:
    """A next-page link of the same origin is; the token never goes elsewhere."""
    http = make_http(notes.url + "/v1")
    answer = await http.read("GET", notes.url + "/notes?after=2", operation="note.list")
    with pytest.raises(Refused):
        await http.read("GET", "http://127.0.0.1:9/notes", operation="note.list")
    assert (answer.json()["asked"], notes.calls) == ({"after": "2"}, 1)


LEAKS: list[Any] = [
    status(400, body={"fault": f"token {SECRET} is bad"}),
    status(400, body={"fault": f"Authorization: Bearer {SECRET}"}),
    status(400, body={"fault": "see /contacts/jane%40acacia.test?code=abcdefgh and client_secret=hush-hush"}),
    status(400, body=f"<html>{SECRET} jane@acacia.test"),
    status(500, body={"fault": f'{{"access_token":"{SECRET}"}}'}),
    drop_before(),
    cut_body(),
    delay(5),
]


@pytest.mark.parametrize("fault", LEAKS)
async def test_secrets_stay_in(make_http, notes, fault, capsys) -> None:
    """Whatever goes wrong, neither message nor log holds a token, a secret or an e-mail from an address."""
    notes.faults.add(fault)
    token = Token(access=SECRET, refresh="refresh-" + SECRET, client_secret="hush-hush")
    http = make_http(notes.url, token=token, explain=fault_inside, deadline_s=0.3)
    with structlog.testing.capture_logs() as logged, pytest.raises((Refused, Doubtful)) as raised:
        await http.write("POST", "/write", operation="note.create", params={"email": "jane@acacia.test"}, json={})
    seen = f"{raised.value!s} {raised.value!r} {raised.value.answer!r} {logged} {raised.getrepr(style='value')}"
    for secret in (SECRET, "hush-hush", "jane", "abcdefgh"):
        assert secret not in seen
    assert raised.value.__cause__ is None


async def test_the_log_tells_what_was_asked(make_http, notes) -> None:
    """One debug event a request, with fixed fields and no address."""
    with structlog.testing.capture_logs() as logged:
        await make_http(notes.url).read("GET", "/notes", operation="note.list")
    fields = {"event": "http.request", "log_level": "debug", "system": "notes", "operation": "note.list"}
    assert [{**fields, "status": 200, "ms": 0}] == logged


async def test_the_planted_secret_would_be_seen(notes, session: aiohttp.ClientSession) -> None:
    """Saboteur: the same fault, asked without our path, does show the secret."""
    notes.faults.add(status(400, body={"fault": f"token {SECRET} is bad"}))
    async with session.post(notes.url + "/write", json={}) as response:
        explanation = fault_inside(Answer(response.status, response.headers, await response.read()))
    assert explanation is not None
    assert SECRET in explanation.message
