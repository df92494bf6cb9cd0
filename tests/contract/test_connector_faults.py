"""Faults times operations, on every connector that speaks HTTP: what each cell must come to stands in `fault_cells`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stamina

from connectors.canon.records import Kind
from connectors.kit.contract import Connector, Create, Done, InDoubt, NotSent, Outcome, Write
from connectors.kit.errors import ConnectorError, Doubtful, NotAllowed, Reconnect, Refused, TryLater
from connectors.kit.http import Answer, Http, client
from tests.contract.clauses import lost
from tests.contract.fault_cells import (
    READS,
    SYSTEMS,
    TOLD_WAIT_S,
    TROUBLES,
    Meets,
    Stands,
    Trouble,
    a_write,
    calls_of,
    count,
    harness,
    is_done,
    said,
    standing,
)

READ_KINDS = {"hubspot": (Kind.CUSTOMER, Kind.DEAL), "quickbooks": (Kind.CUSTOMER, Kind.INVOICE)}
WRITE_KINDS = {
    "hubspot": (Kind.CUSTOMER, Kind.ITEM, Kind.DEAL),
    "quickbooks": (Kind.CUSTOMER, Kind.INVOICE, Kind.PAYMENT),
}
OPERATIONS = ("create", "update", "void", "archive")


@pytest.fixture(autouse=True)
def _no_backing_off() -> Iterator[None]:
    """Retries follow at once, five attempts at most as in real life."""
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


async def outcome_of(reading: Any) -> tuple[Any, ConnectorError | None]:
    try:
        return await reading, None
    except ConnectorError as error:
        return None, error


# --------------------------------------------------------------------------- reads


def _read_rows() -> list[tuple[str, Kind, str]]:
    once = {"catalogue", "figures"}
    return [
        (system, kind, operation)
        for system, kinds in READ_KINDS.items()
        for kind in kinds
        for operation in READS
        if operation not in once or kind is kinds[0]
    ]


@pytest.mark.parametrize(("system", "kind", "operation"), _read_rows(), ids=str)
async def test_a_read_is_right_or_says_why_not(system: str, kind: Kind, operation: str) -> None:
    """Whatever happens, and to whichever of its calls: the answer is the undisturbed one, or the named error."""
    async with harness(system) as h:
        stands = await standing(h, kind)
        wanted, calls = await calls_of(h, READS[operation](h, await h.reopened(), kind, stands))
        assert calls or not wanted, "an answer without a call"
        for trouble in TROUBLES.values():
            for call in calls:
                await _reads(h, kind, operation, trouble, call, (stands, wanted))


async def _reads(h: Any, kind: Kind, operation: str, trouble: Trouble, call: Meets, known: tuple[Stands, Any]) -> None:
    stands, wanted = known
    connector, began = await h.reopened(), h.clock.monotonic()
    fault = trouble.fault(h.manners, call.method, call.pattern, call.nth)
    h.sandbox.faults.add(fault)
    got, error = await outcome_of(READS[operation](h, connector, kind, stands))
    waited = h.clock.monotonic() - began
    h.sandbox.faults.script.remove(fault)
    assert fault.fired > 0, call
    match trouble.reads:
        case "right":
            assert (wanted, None) == (got, error), call
            assert h.tokens.renewals == (fault.how == "expire_token")
        case "waits":
            _waited(h, fault, (wanted, got), error, waited)
        case "try later":
            assert isinstance(error, TryLater), (call, error)
            assert fault.fired <= 5
        case "not allowed":  # what can be done without is left out
            assert isinstance(error, NotAllowed) or got == wanted, (call, error)


def _waited(h: Any, fault: Any, results: tuple[Any, Any], error: ConnectorError | None, waited: float) -> None:
    """As long as the vendor says, and where it says nothing as long as it usually wants."""
    wait_s = TOLD_WAIT_S if "Retry-After" in fault.headers else h.manners.peace_s
    assert (results[0], None) == (results[1], error)
    assert wait_s <= waited < wait_s + 5


# --------------------------------------------------------------------------- writes


def _write_rows() -> list[tuple[str, Kind, str]]:
    return [
        (system, kind, operation)
        for system, kinds in WRITE_KINDS.items()
        for kind in kinds
        for operation in OPERATIONS
        if operation in SYSTEMS[system]().of(kind).operations
    ]


@pytest.mark.parametrize(("system", "kind", "operation"), _write_rows(), ids=str)
async def test_a_write_is_sent_once_and_settled_by_looking(system: str, kind: Kind, operation: str) -> None:
    """The write's own call: its outcome is what the table says, it arrived as often as that says, and what a probe
    finds is what the vendor did. The calls around it: done, or surely not sent."""
    async with harness(system) as h:
        calls = await _calls_of_a_write(h, kind, operation)
        for row, trouble in enumerate(TROUBLES.values()):
            for number, call in enumerate(calls):
                write = await a_write(h, kind, operation, f"Cell {row} {number}")
                assert write is not None
                await _writes(h, kind, write, trouble, call)


async def _calls_of_a_write(h: Any, kind: Kind, operation: str) -> list[Meets]:
    quiet = await a_write(h, kind, operation, "Quiet")
    assert quiet is not None
    connector = await h.reopened()
    (outcome,), calls = await calls_of(h, connector.write([quiet], quiet.key))
    assert isinstance(outcome, Done), outcome
    assert 1 == sum(call.writes for call in calls)
    return calls


async def _writes(h: Any, kind: Kind, write: Write, trouble: Trouble, call: Meets) -> None:
    await h.advance(max(60, h.of(kind).overlap_s))
    before, mark = await count(h, kind), await (await h.reopened()).mark(kind)
    connector = await h.reopened()
    fault = trouble.fault(h.manners, call.method, call.pattern, call.nth)
    h.sandbox.faults.add(fault)
    h.sandbox.requests.clear()
    (outcome,) = await connector.write([write], write.key)
    arrived = h.write_calls()
    h.sandbox.faults.clear()
    renewals = h.tokens.renewals
    await h.advance(h.of(kind).search_delay_s + 1)
    done = await is_done(h, kind, write, before)
    if call.writes and call.bare and fault.how in ("cut_body", "cut_chunks"):
        assert isinstance(outcome, Done)  # there is nothing to cut
    elif call.writes:
        assert (trouble.says, trouble.calls, trouble.commits) == (said(outcome), arrived, done), outcome
        assert renewals == (fault.how == "expire_token")
        _waits_as_told(h, fault, outcome)
    else:
        _around(outcome, arrived, done)
    if isinstance(write, Create) and isinstance(outcome, InDoubt):
        await _probes_tell(h, kind, write, mark, done)


def _waits_as_told(h: Any, fault: Any, outcome: Outcome) -> None:
    if isinstance(outcome, NotSent) and outcome.next == "wait":
        assert outcome.wait_s == (TOLD_WAIT_S if "Retry-After" in fault.headers else h.manners.peace_s)


def _around(outcome: Outcome, arrived: int, done: bool) -> None:
    """Trouble before or behind the write is never a doubt about it."""
    assert isinstance(outcome, Done | NotSent), outcome
    wanted = (1, True) if isinstance(outcome, Done) else (0, False)
    assert wanted == (arrived, done), outcome


async def _probes_tell(h: Any, kind: Kind, write: Create, mark: str, done: bool) -> None:
    """First by marker where it can be searched, then among what was made since the mark."""
    probing: Connector = await h.reopened()
    facts = probing.kinds_for(await probing.catalogue())[kind]
    made = await probing.created_since(kind, mark)
    assert [write.marker] * done == [known.marker or write.marker for known in made]
    if facts.marker_searchable:
        found = (await probing.by_marker(kind, [write.marker])).get(write.marker, [])
        assert [record.ref for record in found] == [record.ref for record in made]
    assert [] == [lost(kind, write.record, record) for record in made if lost(kind, write.record, record)]


def test_updates_are_among_the_cells() -> None:
    """And creates and voids, of both vendors."""
    assert {("hubspot", "update"), ("quickbooks", "update"), ("quickbooks", "void"), ("hubspot", "create")} <= {
        (system, operation) for system, _, operation in _write_rows()
    }


# --------------------------------------------------------------------------- the checks can fail


async def test_saboteur_a_retry_of_writes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request path that sends a write again after a doubt: the create arrives twice."""
    honest = Http.write

    async def again(self: Http, *told: Any, **more: Any) -> Any:
        try:
            return await honest(self, *told, **more)
        except Doubtful:
            return await honest(self, *told, **more)

    monkeypatch.setattr(Http, "write", again)
    await _turns_red("quickbooks", Kind.PAYMENT, "create", "500")


async def test_saboteur_no_answer_taken_for_a_yes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is no 204."""
    monkeypatch.setattr(Http, "_no_answer", lambda self, call, failure: Answer(204, {}, b""))
    await _turns_red("hubspot", Kind.CUSTOMER, "archive", "the line is cut before")


async def test_saboteur_a_500_taken_for_a_no_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes a lost answer for a refusal would plan it anew, and make it twice."""
    monkeypatch.setattr(client, "unanswered", lambda failure, *, write: Refused)
    await _turns_red("hubspot", Kind.ITEM, "create", "the answer is lost")


async def test_saboteur_a_401_taken_for_doubt_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that was turned away at the door surely did not happen: it is renewed and sent, not probed."""

    async def unrenewed(self: Http, call: Any, deadline: Any, *, longest_s: float) -> Any:
        outcome = await self._sent(call, await self._token(), deadline, longest_s)
        if isinstance(outcome, Reconnect):
            return Doubtful(outcome.message)
        return outcome

    monkeypatch.setattr(Http, "_outcome", unrenewed)
    await _turns_red("quickbooks", Kind.CUSTOMER, "create", "the token expires")


async def _turns_red(system: str, kind: Kind, operation: str, trouble: str) -> None:
    """The cell fails under the sabotage."""
    async with harness(system) as h:
        calls = await _calls_of_a_write(h, kind, operation)
        (call,) = [call for call in calls if call.writes]
        write = await a_write(h, kind, operation, "Sabotage")
        assert write is not None
        with pytest.raises((AssertionError, ConnectorError)):
            await _writes(h, kind, write, TROUBLES[trouble], call)
