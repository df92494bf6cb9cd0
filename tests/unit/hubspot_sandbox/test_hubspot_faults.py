"""HubSpot's passing refusals, and answers that get lost."""

import aiohttp
import pytest

from connectors.hubspot.sandbox.faults import failing, locked, migrating
from connectors.kit.sandbox.faults import lose_answer

COMPANIES = "/crm/v3/objects/companies"


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [(locked(), 423, None), (migrating(3600), 477, "3600"), (failing(503), 503, None), (failing(524), 524, None)],
)
async def test_a_fault_answers_once_and_writes_nothing(api, sandbox, fault, status, retry_after):
    """Then the same call goes through."""
    sandbox.faults.add(fault)
    body = {"properties": {"name": "Acme"}}
    first, second = await api("POST", COMPANIES, body), await api("POST", COMPANIES, body)
    assert (first.status, first.headers.get("Retry-After"), second.status) == (status, retry_after, 201)
    assert len(sandbox.ids("companies")) == 1


async def test_a_lost_answer_leaves_the_record_behind(api, sandbox):
    """And nothing in HubSpot keeps a repeat from making a second one."""
    sandbox.faults.add(lose_answer("POST", COMPANIES))
    with pytest.raises(aiohttp.ClientError):
        await api("POST", COMPANIES, {"properties": {"name": "Acme"}})
    await api("POST", COMPANIES, {"properties": {"name": "Acme"}})
    assert len(sandbox.ids("companies")) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", {"filterGroups": 1}),
        ("/search", {"filterGroups": [{"filters": [1]}]}),
        ("/batch/create", {"inputs": [{"properties": 1}]}),
        ("/batch/read", {"inputs": [{"id": "1"}], "properties": "name"}),
        ("", {"properties": {"name": "A"}, "associations": [{"to": 1, "types": [{"associationTypeId": 342}]}]}),
        ("/merge", []),
    ],
)
async def test_bodies_of_the_wrong_shape_are_400(api, path, body):
    """Never a 500."""
    reply = await api("POST", f"{COMPANIES}{path}", body)
    assert (reply.status, reply.body["category"]) == (400, "VALIDATION_ERROR")
