"""The calls to HubSpot, one method each: paths, bodies, limits and types; no decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec

from connectors.hubspot import vendor
from connectors.hubspot.fields import to_ms
from connectors.hubspot.outcomes import explain
from connectors.hubspot.vendor import BATCH_LIMIT, LIST_LIMIT, SEARCH_LIMIT, CrmObject
from connectors.hubspot.wire import (
    AccountInfo,
    Associations,
    Batch,
    Owner,
    Owners,
    Pipeline,
    Pipelines,
    Property,
    Rec,
    Records,
    To,
)
from connectors.hubspot.wire import Properties as PropertyList
from connectors.kit.contract import Deps, Renew, Token
from connectors.kit.errors import Gone, TryLater
from connectors.kit.http import Answer, Http, Limit, Pace, Told, budget_for

Filter = Mapping[str, Any]
T = TypeVar("T")


def in_slices(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def authorise(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.access}"}


def told_limits(headers: Mapping[str, str]) -> Sequence[Told]:
    """The rolling window as HubSpot's headers count it; searches carry none."""
    try:
        remaining = int(headers["X-HubSpot-RateLimit-Remaining"])
        per_s = int(headers["X-HubSpot-RateLimit-Interval-Milliseconds"]) / 1000
        calls = int(headers["X-HubSpot-RateLimit-Max"])
    except (KeyError, ValueError):
        return ()
    return (Told(per_s=per_s, remaining=remaining, calls=calls),)


class Api:
    """One account's calls. `told_ms` is the vendor's time (ms) at the last answer."""

    def __init__(self, deps: Deps, *, base_url: str, burst: int, renew: Renew | None, deadline_s: float) -> None:
        def http(name: str, limit: Limit) -> Http:
            return Http(
                deps,
                system="hubspot",
                base_url=base_url,
                authorise=authorise,
                renew=renew,
                pace=Pace((), deps.clock, told=told_limits, budget=budget_for(deps, name, [limit])),
                explain=explain,
                request_id_header="X-HubSpot-Correlation-Id",
                deadline_s=deadline_s,
            )

        self._http = http("calls", Limit(burst, 10))
        self._search_http = http("searches", Limit(vendor.SEARCHES_PER_S, 1))
        self.told_ms: int | None = None

    def _heard(self, answer: Answer) -> Answer:
        """Take note of the vendor's clock. A header that is missing or no date changes nothing."""
        with suppress(KeyError, ValueError, TypeError):
            self.told_ms = to_ms(parsedate_to_datetime(answer.headers["Date"]))
        return answer

    async def _read(self, method: str, path: str, operation: str, **more: Any) -> Answer:
        return self._heard(await self._http.read(method, path, operation=operation, **more))

    # ----------------------------------------------------------------- records

    async def page(
        self,
        crm_object: CrmObject,
        names: Sequence[str],
        after: str | None,
        *,
        archived: bool = False,
        limit: int = LIST_LIMIT,
    ) -> Records:
        """A page of the listing, by id. Where the names make the URL too long, the page is read in two calls."""
        asked = ",".join(names)
        long = len(asked) > vendor.URL_LIMIT
        params: dict[str, str | int] = {"limit": limit}
        if not long and asked != "":
            params["properties"] = asked
        if after is not None:
            params["after"] = after
        if archived:
            params["archived"] = "true"
        path = f"{vendor.OBJECTS}/{crm_object.path}"
        answer = await self._read("GET", path, f"list_{crm_object.plural}", params=params)
        page: Records = answer.json(Records)
        if not long or not page.results:
            return page
        whole = await self.batch_read(crm_object, names, [rec.id for rec in page.results], archived=archived)
        return Records(whole, page.paging)

    async def search(
        self,
        crm_object: CrmObject,
        names: Sequence[str],
        groups: Sequence[Sequence[Filter]],
        after_id: str = "0",
    ) -> Records:
        """Up to 200 records of any of the groups, by ascending id, that come after an id. At most five groups.
        Where the names make the request too long, the records are read by id afterwards."""
        beyond = {"propertyName": "hs_object_id", "operator": "GT", "value": after_id}
        body: dict[str, Any] = {
            "filterGroups": [{"filters": [*filters, beyond]} for filters in groups],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": list(names),
            "limit": SEARCH_LIMIT,
            "after": "0",
        }
        path = f"{vendor.OBJECTS}/{crm_object.path}/search"
        long = len(msgspec.json.encode(body)) > vendor.SEARCH_BODY_LIMIT
        if long:
            body["properties"] = [crm_object.modified]
        answer = await self._search_http.read("POST", path, operation=f"search_{crm_object.plural}", json=body)
        found: Records = self._heard(answer).json(Records)
        if not long or not found.results:
            return found
        whole = await self.batch_read(crm_object, names, [rec.id for rec in found.results])
        return Records(whole, found.paging)

    async def search_all(
        self, crm_object: CrmObject, names: Sequence[str], groups: Sequence[Sequence[Filter]]
    ) -> list[Rec]:
        """All records of any of the groups."""
        found: list[Rec] = []
        last = "0"
        while True:
            page = await self.search(crm_object, names, groups, last)
            found += page.results
            if page.after is None or not page.results:
                return found
            last = highest_id(page.results, last)

    async def batch_read(
        self,
        crm_object: CrmObject,
        names: Sequence[str],
        ids: Sequence[str],
        *,
        archived: bool = False,
        id_property: str | None = None,
    ) -> list[Rec]:
        """Records by id, or by a unique property; a hundred in a call. What is not there is left out."""
        found: list[Rec] = []
        for some in in_slices(ids, BATCH_LIMIT):
            body: dict[str, Any] = {
                "inputs": [{"id": id_} for id_ in some],
                "properties": list(names),
                "propertiesWithHistory": [],
            }
            if id_property is not None:
                body["idProperty"] = id_property
            answer = await self._read(
                "POST",
                f"{vendor.OBJECTS}/{crm_object.path}/batch/read",
                f"read_{crm_object.plural}",
                json=body,
                params={"archived": "true"} if archived else None,
            )
            found += answer.json(Batch).results
        return found

    async def histories(self, crm_object: CrmObject, names: Sequence[str], ids: Sequence[str]) -> list[Rec]:
        """Records by id with what these properties hold and held before; fifty in a call."""
        found: list[Rec] = []
        path, operation = f"{vendor.OBJECTS}/{crm_object.path}/batch/read", f"read_{crm_object.name}_history"
        for some in in_slices(ids, vendor.HISTORY_LIMIT):
            body = {
                "inputs": [{"id": id_} for id_ in some],
                "properties": list(names),
                "propertiesWithHistory": list(names),
            }
            found += (await self._read("POST", path, operation, json=body)).json(Batch).results
        return found

    async def one(self, crm_object: CrmObject, names: Sequence[str], id_: str) -> Rec | None:
        """One record by id. The id of a merged record answers with its survivor, under the survivor's id."""
        path = f"{vendor.OBJECTS}/{crm_object.path}/{id_}"
        try:
            answer = await self._read(
                "GET", path, f"get_{crm_object.name}", params={"properties": ",".join(names)}, ref=id_
            )
        except Gone:
            return None
        rec: Rec = answer.json(Rec)
        return rec

    async def associations(self, start: CrmObject, end: CrmObject, ids: Sequence[str]) -> dict[str, list[To]]:
        """What each record is associated with, in HubSpot's order; a thousand records in a call."""
        found: dict[str, list[To]] = {}
        path = f"{vendor.ASSOCIATIONS}/{start.plural}/{end.plural}/batch/read"
        for some in in_slices(ids, vendor.ASSOCIATION_LIMIT):
            inputs: list[dict[str, str]] = [{"id": id_} for id_ in some]
            while inputs:
                answer = await self._read("POST", path, "read_associations", json={"inputs": inputs})
                inputs = []
                for one in answer.json(Associations).results:
                    found.setdefault(one.from_.id, []).extend(one.to)
                    if one.paging is not None and one.paging.next is not None:
                        inputs.append({"id": one.from_.id, "after": one.paging.next.after})
        return found

    async def write(self, crm_object: CrmObject, verb: str, inputs: Sequence[Mapping[str, Any]]) -> Answer:
        """One batch call that writes; at most a hundred inputs. Sent once."""
        path = f"{vendor.OBJECTS}/{crm_object.path}/batch/{verb}"
        operation = f"{verb}_{crm_object.plural}"
        return self._heard(await self._http.write("POST", path, operation=operation, json={"inputs": list(inputs)}))

    # ----------------------------------------------------------------- account

    async def account(self) -> AccountInfo:
        info: AccountInfo = (await self._read("GET", vendor.ACCOUNT, "account")).json(AccountInfo)
        return info

    async def pipelines(self) -> list[Pipeline]:
        answer = await self._read("GET", f"{vendor.PIPELINES}/deals", "pipelines")
        found: list[Pipeline] = answer.json(Pipelines).results
        return found

    async def owners(self) -> list[Owner]:
        """All owners, those who left included: their deals stay theirs."""
        found: list[Owner] = []
        for archived in ("false", "true"):
            after: str | None = None
            while True:
                params: dict[str, str | int] = {"limit": 100, "archived": archived}
                if after is not None:
                    params["after"] = after
                page: Owners = (await self._read("GET", vendor.OWNERS, "owners", params=params)).json(Owners)
                found += page.results
                if page.paging is None or page.paging.next is None:
                    break
                after = page.paging.next.after
        return found

    async def properties(self, crm_object: CrmObject) -> list[Property]:
        answer = await self._read("GET", f"{vendor.PROPERTIES}/{crm_object.plural}", "properties")
        found: list[Property] = answer.json(PropertyList).results
        return found

    async def make_property(self, crm_object: CrmObject, body: Mapping[str, Any]) -> None:
        """Make one property. Raises Refused with code Properties.PROPERTY_WITH_NAME_EXISTS if it is there."""
        path = f"{vendor.PROPERTIES}/{crm_object.plural}"
        self._heard(await self._http.write("POST", path, operation="make_property", json=body))


def highest_id(records: Sequence[Rec], before: str) -> str:
    """The id to go on from. A page that does not lie behind `before` is an answer to another question (a proxy's old
    one), and would make the walk go round: it is asked for later, from where the walk stood."""
    ids = [int(rec.id) for rec in records]
    if min(ids) <= int(before):
        said = f"the search answered id {min(ids)} although it was asked for ids above {before}"
        raise TryLater(said, system="hubspot", operation="search")
    return str(max(ids))
