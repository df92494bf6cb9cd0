"""QuickBooks' calls, one method each: query, change data capture, reports, entities, batch.

Remembers the vendor's own time, which is the only time that cursors and marks are made of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.kit.contract import Clock, Deps, Renew, Token
from connectors.kit.errors import Doubtful, Refused, TryLater
from connectors.kit.http import Answer, Budget, Http, Limit, Pace, budget_for
from connectors.kit.http import Told as TheirCount
from connectors.kit.http.pace import Lane
from connectors.quickbooks import query as q
from connectors.quickbooks.faults import explain, explained, faults_in
from connectors.quickbooks.vendor import (
    BATCHES_PER_MINUTE,
    CALL_DEADLINE_S,
    CALLS_PER_MINUTE,
    CALLS_PER_SECOND,
    MARK_FRESH_S,
    MINOR_VERSION,
    REALTIME_SHARE,
    REQUEST_ID_HEADER,
    SYSTEM,
)
from connectors.quickbooks.wire import Wire, instant, part, parts, text


def bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.access}"}


def _http(deps: Deps, address: str, renew: Renew, budget: Budget) -> Http:
    return Http(
        deps,
        system=SYSTEM,
        base_url=address,
        authorise=bearer,
        renew=renew,
        pace=Pace([], deps.clock, budget=budget),
        explain=explain,
        request_id_header=REQUEST_ID_HEADER,
        deadline_s=CALL_DEADLINE_S,
    )


class Told:
    """The vendor's time, as the last response told it, and how long ago that was by our own count."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._time: datetime | None = None
        self._heard_at = 0.0

    def hear(self, data: Wire) -> None:
        when = instant(text(data, "time"))
        if when is not None:
            self._time, self._heard_at = when, self._clock.monotonic()

    def fresh(self) -> datetime | None:
        """The last time told, if it was told within the last minute. It is never later than now, so what is made
        from now on is after it."""
        if self._time is None or self._clock.monotonic() - self._heard_at > MARK_FRESH_S:
            return None
        return self._time


class BatchBudget:
    """A batch counts against the company's calls and against its batches. A turn that the batches refuse is lost to
    the calls, which have twelve times as many."""

    def __init__(self, calls: Budget, batches: Budget) -> None:
        self._calls = calls
        self._batches = batches

    async def take(self, lane: Lane) -> float:
        wait = await self._calls.take(lane)
        if wait > 0:
            return wait
        wait = await self._batches.take(lane)
        if wait > 0:
            await self._calls.arrived()
        return wait

    async def arrived(self) -> None:
        await self._calls.arrived()
        await self._batches.arrived()

    async def rest(self, seconds: float) -> None:
        await self._calls.rest(seconds)

    async def told(self, told: TheirCount) -> None:
        await self._calls.told(told)


class Api:
    """One company's calls. Raises what `Http` raises."""

    def __init__(self, deps: Deps, *, base_url: str, realm_id: str, renew: Renew, page: int) -> None:
        self.told = Told(deps.clock)
        self.page = page
        per_calls = [Limit(*CALLS_PER_SECOND), Limit(*CALLS_PER_MINUTE)]
        calls = budget_for(deps, "calls", per_calls, REALTIME_SHARE)
        batches = budget_for(deps, "batches", [Limit(*BATCHES_PER_MINUTE)], REALTIME_SHARE)
        address = f"{base_url.rstrip('/')}/v3/company/{realm_id}"
        self._http = _http(deps, address, renew, calls)
        self._batches = _http(deps, address, renew, BatchBudget(calls, batches))

    async def _get(self, path: str, operation: str, params: Mapping[str, str] = {}) -> Wire:
        answer = await self._http.read(
            "GET", path, operation=operation, params={**params, "minorversion": MINOR_VERSION}
        )
        return self._heard(answer, operation)

    def _heard(self, answer: Answer, operation: str) -> Wire:
        data = answer.json()
        if not isinstance(data, dict):
            raise TryLater("an answer of no known shape", system=SYSTEM, operation=operation)
        self.told.hear(data)
        return data

    async def one(self, path: str, name: str) -> Wire:
        """A single object: companyinfo, preferences."""
        return part(await self._get(path, f"read {name}"), name)

    async def query(self, statement: str, entity: str) -> list[Wire]:
        """The rows of a query; none where QuickBooks leaves the key out."""
        data = await self._get("/query", f"query {entity}", {"query": statement})
        response = part(data, "QueryResponse")
        if entity not in response and any(isinstance(rows, list) for rows in response.values()):
            said = f"it was asked for {entity} and answered another question"  # a proxy's old answer: no end of a list
            raise TryLater(said, system=SYSTEM, operation=f"query {entity}")
        return parts(response, entity)

    async def count(self, statement: str, entity: str) -> int:
        data = await self._get("/query", f"count {entity}", {"query": statement})
        total = part(data, "QueryResponse").get("totalCount")
        return int(total) if total is not None else 0

    async def pages(self, entity: str, *conditions: str, order: str = "Id") -> AsyncIterator[list[Wire]]:
        """All rows in pages, by position over an order that no edit moves.

        Each page begins with the last row of the one before. If it does not, rows were deleted meanwhile and the
        rest moved up: then it begins again, so that none is skipped. Rows may come twice, none is lost."""
        start, last, restarts = 1, None, 0
        while True:
            rows = await self.query(q.select(entity, *conditions, order=order, start=start, limit=self.page), entity)
            if last is not None and (not rows or rows[0].get("Id") != last):
                restarts += 1
                if restarts > 3:
                    raise TryLater("rows keep moving while they are listed", system=SYSTEM, operation=entity)
                start, last = 1, None
                continue
            yield rows if last is None else rows[1:]
            if len(rows) < self.page:
                return
            start, last = start + len(rows) - 1, str(rows[-1]["Id"])

    async def all(self, entity: str, *conditions: str) -> list[Wire]:
        return [row async for rows in self.pages(entity, *conditions) for row in rows]

    async def changed(self, entities: Sequence[str], since: str) -> dict[str, list[Wire]]:
        """Change data capture: objects by entity, the deleted ones with `status` "Deleted" behind the others."""
        data = await self._get("/cdc", "changes", {"entities": ",".join(entities), "changedSince": since})
        found: dict[str, list[Wire]] = {entity: [] for entity in entities}
        for answer in parts(data, "CDCResponse"):
            _raise_fault(answer)
            for response in parts(answer, "QueryResponse"):
                for entity in entities:
                    found[entity] += parts(response, entity)
        return found

    async def report(self, name: str, **params: str) -> Wire:
        """A report. It has no `time` of its own kind, so it moves no mark."""
        return await self._get(f"/reports/{name}", f"report {name}", params)

    async def batch(self, items: list[dict[str, Any]], request_id: str) -> tuple[dict[str, Wire], str | None]:
        """Send a batch once: each item's answer by its bId, and the request's id. Raises Doubtful for an answer
        that is no batch answer."""
        answer = await self._batches.write(
            "POST",
            "/batch",
            operation="batch",
            params={"requestid": request_id, "minorversion": MINOR_VERSION},
            json={"BatchItemRequest": items},
        )
        data = self._heard_write(answer, "batch")
        if not isinstance(data.get("BatchItemResponse"), list):
            raise Doubtful("an answer to a batch without its items", system=SYSTEM, request_id=answer.request_id)
        answers = {str(each.get("bId")): each for each in parts(data, "BatchItemResponse")}
        return answers, answer.request_id

    async def post(
        self, path: str, body: Any, params: Mapping[str, str], *, operation: str, octets: bool = False
    ) -> tuple[Wire, str | None]:
        """Send one write once."""
        headers = {"Content-Type": "application/octet-stream"} if octets else None
        answer = await self._http.write(
            "POST",
            path,
            operation=operation,
            params={**params, "minorversion": MINOR_VERSION},
            json=body,
            headers=headers,
        )
        return self._heard_write(answer, operation), answer.request_id

    def _heard_write(self, answer: Answer, operation: str) -> Wire:
        data = answer.json()
        if not isinstance(data, dict):
            raise Doubtful("an answer of no known shape", system=SYSTEM, operation=operation)
        self.told.hear(data)
        return data


def _raise_fault(data: Wire) -> None:
    """Change data capture puts a fault inside a 200 (an entity that it does not cover)."""
    faults = faults_in(data)
    if faults:
        said = explained(faults[0], 200)
        raise Refused(said.message, system=SYSTEM, operation="changes", code=said.code)
