"""What every vendor's sandbox is built on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

import connectors.kit.sandbox
from connectors.kit.sandbox import Fault, Faults, RateLimiter, VirtualClock
from connectors.kit.sandbox.faults import (
    cut_body,
    cut_chunks,
    delay,
    drop_before,
    expire_token,
    html_502,
    lose_answer,
    repeat,
    rotate_token,
    stale,
    status,
)

BASE = datetime(2026, 11, 30, 8, tzinfo=UTC)


def test_a_fixed_clock_moves_only_when_told() -> None:
    """Reproducible tests: time stands until it is advanced."""
    clock = VirtualClock(BASE, fixed=True)
    clock.advance(90)
    assert (BASE + timedelta(seconds=90), 90) == (clock.now(), clock.monotonic())


async def test_sleeping_moves_a_fixed_clock() -> None:
    """Nobody waits for real."""
    clock = VirtualClock(BASE, fixed=True)
    await clock.sleep(3600)
    assert BASE + timedelta(hours=1) == clock.now()


def test_a_running_clock_runs_on() -> None:
    """A fast clock is never behind its base plus what was advanced."""
    clock = VirtualClock(BASE, speed=1000)
    clock.advance(5)
    assert BASE + timedelta(seconds=5) <= clock.now() <= clock.now()


@pytest.mark.parametrize("make", [lambda: VirtualClock(BASE.replace(tzinfo=None)), lambda: VirtualClock(speed=0)])
def test_a_clock_that_cannot_be(make: Any) -> None:
    """No base without a zone, no speed of zero; and time does not go back."""
    with pytest.raises(ValueError, match=r"zone|speed"):
        make()
    with pytest.raises(ValueError, match="back"):
        VirtualClock().advance(-1)


def test_a_window_slides() -> None:
    """Calls leave the window one by one, as they grow old; refused ones were never in it."""
    clock = VirtualClock(BASE, fixed=True)
    limiter = RateLimiter("ten seconds", 2, 10, clock)
    first = limiter.take()
    clock.advance(6)
    second, third, wait = limiter.take(), limiter.take(), limiter.wait_s
    clock.advance(4)
    assert (
        first,
        second,
        third,
        wait,
        limiter.take(),
        limiter.take(),
        limiter.refused,
    ) == (True, True, False, 4, True, False, 2)


async def get(url: str, method: str = "GET", **more: Any) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **more) as response:
        return response.status, await response.read()


async def test_limits_refuse_and_can_be_turned_off(notes) -> None:
    """The fourth call in a minute is refused, until the minute is over; without limits none is."""
    codes = [(await get(notes.url + "/limited"))[0] for _ in range(4)]
    notes.clock.advance(60)
    codes.append((await get(notes.url + "/limited"))[0])
    notes.limits = False
    codes += [(await get(notes.url + "/limited"))[0] for _ in range(4)]
    assert codes == [200, 200, 200, 429, 200, 200, 200, 200, 200]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "8.8.8.8", "example.test"])
async def test_only_this_machine(notes, host: str) -> None:
    """A sandbox is not served to the network."""
    await notes.stop()
    with pytest.raises(ValueError):
        await notes.start(host)


@pytest.mark.parametrize(("fault", "kept"), [(lose_answer(), 1), (drop_before(), 0)])
async def test_the_connection_closes(notes, fault: Fault, kept: int) -> None:
    """A lost answer was committed, a dropped request was not; neither gets a byte back."""
    notes.faults.add(fault)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await get(notes.url + "/write", "POST", json={})
    assert (kept, 0) == (len(notes.notes), notes.requests[-1].status)


async def test_half_a_body(notes) -> None:
    """The whole length is announced, half of it arrives."""
    notes.notes = ["x" * 1000]
    notes.faults.add(cut_body())
    with pytest.raises(aiohttp.ClientPayloadError):
        await get(notes.url + "/notes")
    assert notes.requests[-1].status == 0


async def test_answers_instead(notes) -> None:
    """Status and proxy page come without the handler having run."""
    notes.faults.add(status(418, "POST", headers={"X-A": "b"}, body={"a": 1}), html_502("POST", nth=2))
    answers = [await get(notes.url + "/write", "POST", json={}) for _ in range(3)]
    assert [
        answers[0],
        (answers[1][0], answers[1][1].count(b"<h1>")),
        answers[2],
    ] == [(418, b'{"a":1}'), (502, 1), (200, b'{"id":0}')]


async def test_a_late_answer_was_committed_before(notes) -> None:
    """During a delay the handler has run already."""
    notes.faults.add(delay(5))
    asking = asyncio.create_task(get(notes.url + "/write", "POST", json={}))
    await notes.written.wait()
    asking.cancel()
    assert notes.notes == [{}]


async def test_the_same_answer_again(notes) -> None:
    """A proxy that repeats an old answer shows the state of then."""
    notes.faults.add(repeat("GET", "^/notes$", nth=2))
    answers = []
    for note in ("a", "b", "c"):
        notes.notes.append(note)
        answers.append(msgspec.json.decode((await get(notes.url + "/notes"))[1])["notes"])
    assert answers == [["a"], ["a"], ["a", "b", "c"]]


async def test_the_state_before_the_last_write(notes) -> None:
    """A read behind its writes, for one request only."""
    notes.notes = ["a", "b"]
    notes.faults.add(stale("GET"))
    answers = [msgspec.json.decode((await get(notes.url + "/notes"))[1])["notes"] for _ in range(2)]
    assert answers == [["a"], ["a", "b"]]


def test_which_requests_a_fault_strikes() -> None:
    """Method and path with query must match; `nth` and `times` count only those that do."""
    faults = Faults(status(500, "POST", r"/x\?a=", nth=2, times=2))
    asked = [
        ("POST", "/x?a=1"),
        ("GET", "/x?a=1"),
        ("POST", "/x?a=2"),
        ("POST", "/y"),
        ("POST", "/x?a=3"),
        ("POST", "/x?a=4"),
    ]
    assert [faults.striking(*request) is not None for request in asked] == [False, False, True, False, True, False]


def test_a_fault_that_never_happened_is_told() -> None:
    """A test that scripts a fault can see that it missed."""
    faults = Faults(status(500), status(500, path="/elsewhere"))
    faults.striking("GET", "/x")
    assert faults.script[1:] == faults.unfired


async def test_it_can_be_driven_from_another_process(notes) -> None:
    """Clock, faults, requests, state and reset over HTTP; control is neither counted nor harmed by faults."""
    control = notes.url + "/_sandbox/"
    began = notes.clock.now()
    await get(control + "clock/advance", "POST", json={"seconds": 30})
    await get(control + "faults", "POST", json=[{"how": "status", "code": 503, "times": None}])
    await get(control + "state", "POST", json={"notes": ["a"]})
    code, _ = await get(notes.url + "/notes/0")
    _, requests = await get(control + "requests")
    _, state = await get(control + "state")
    seen = msgspec.json.decode(requests)
    assert (timedelta(seconds=30), 503, {"notes": ["a"]}) == (
        notes.clock.now() - began,
        code,
        msgspec.json.decode(state),
    )
    assert (
        seen["calls"],
        seen["by_path"],
        seen["requests"][0]["path"],
        seen["requests"][0]["status"],
    ) == (1, {"GET /notes/{id}": 1}, "/notes/0", 503)
    await get(control + "reset", "POST")
    assert (notes.notes, notes.faults.script, notes.calls, len(notes.requests)) == ([], [], 0, 0)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"how": "explode"}),
        ("faults", {"how": "delay", "sec": 1}),
        ("clock/advance", {"seconds": -1}),
        ("clock/advance", {}),
        ("clock/advance", []),
    ],
)
async def test_nonsense_is_refused(notes, path: str, body: Any) -> None:
    """A misspelt fault would never happen, so it is not taken."""
    assert (await get(f"{notes.url}/_sandbox/{path}", "POST", json=body))[0] == 400


async def test_it_starts_again_with_what_it_had(notes) -> None:
    """A vendor that is away for a while has lost nothing."""
    await get(notes.url + "/write", "POST", json={"a": 1})
    await notes.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(notes.url + "/notes")
    assert await get(await notes.start() + "/notes/0") == (200, b'{"a":1}')


async def test_serving_until_cancelled(notes) -> None:
    """The command line's way: told where it serves, gone when it is stopped."""
    await notes.stop()
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(notes.serve_forever(ready=told.set_result))
    url = await told
    code, _ = await get(url + "/notes")
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert code == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(url + "/notes")


def test_it_shares_no_code_with_the_request_path() -> None:
    """A mistake in the request path must not be the sandbox's too."""
    folder = Path(connectors.kit.sandbox.__file__).parent
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    assert ("connectors.kit.sandbox" in source, "connectors.kit.http" in source) == (True, False)


async def test_half_of_the_chunks(notes) -> None:
    """Nothing tells the length; the chunk that ends the body never comes."""
    notes.notes = ["x" * 1000]
    notes.faults.add(cut_chunks())
    with pytest.raises(aiohttp.ClientPayloadError):
        await get(notes.url + "/notes")
    assert notes.requests[-1].status == 0


async def test_too_many_calls_with_and_without_a_time(notes) -> None:
    """A vendor may say how long to wait, or leave it to the caller."""
    notes.faults.add(status(429, headers={"Retry-After": "7"}, body={}), status(429, body={}, nth=2))
    async with aiohttp.ClientSession() as session:
        answers = [await session.get(notes.url + "/notes") for _ in range(3)]
    assert [(a.status, a.headers.get("Retry-After")) for a in answers] == [(429, "7"), (429, None), (200, None)]


async def test_a_token_expires_between_two_calls(notes) -> None:
    """The call that meets the fault is refused, and so is every later one with that token; another token is good."""
    notes.faults.add(expire_token("GET", nth=2))
    old, new = {"Authorization": "Bearer old"}, {"Authorization": "Bearer new"}
    codes = [(await get(notes.url + "/notes", headers=by))[0] for by in (old, old, old, new, old)]
    await get(notes.url + "/_sandbox/reset", "POST")
    codes.append((await get(notes.url + "/notes", headers=old))[0])
    assert codes == [200, 401, 401, 200, 401, 200]


async def test_a_refresh_token_that_is_good_once(notes) -> None:
    """The handler is told to give another one, for one request only."""
    notes.faults.add(rotate_token("POST", "/token", nth=2))
    given = [msgspec.json.decode((await get(notes.url + "/token", "POST"))[1])["refresh"] for _ in range(3)]
    assert given == ["r-0", "r-1", "r-1"]


async def test_webhooks_are_disturbed_where_there_are_any(notes) -> None:
    """Telling twice and in the wrong order is the vendor's own to do."""
    with pytest.raises(ValueError, match="no webhooks"):
        notes.disturb_webhooks(twice=True)
