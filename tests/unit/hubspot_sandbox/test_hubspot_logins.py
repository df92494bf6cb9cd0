"""Tokens, scopes and rate limits."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from connectors.hubspot.sandbox import Account, HubSpotSandbox
from connectors.kit.sandbox import VirtualClock

DEALS = "/crm/v3/objects/deals"
REDIRECT = "http://127.0.0.1:9/callback"
CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}


async def code_of(api, scope="crm.objects.deals.read", **more):
    """Go through the authorize page as a browser would, up to the redirect."""
    query = {"client_id": CLIENT["client_id"], "redirect_uri": REDIRECT, "scope": scope, "state": "s1", **more}
    url = f"{api.sandbox.url}/oauth/authorize"
    async with api.session.get(url, params=query, allow_redirects=False) as answer:
        return answer.status, dict(parse_qsl(urlsplit(answer.headers.get("Location", "")).query))


async def token_call(api, version="v3", path="token", **form):
    url = f"{api.sandbox.url}/oauth/{version}/{path}"
    async with api.session.post(url, data={**CLIENT, **form}) as answer:
        return answer.status, await answer.json() if "json" in answer.content_type else None


async def logged_in(api, scope="crm.objects.deals.read", version="v3"):
    _, query = await code_of(api, scope)
    form = {"grant_type": "authorization_code", "code": query["code"], "redirect_uri": REDIRECT}
    return (await token_call(api, version, **form))[1]


async def test_a_private_token_has_everything(api):
    """pat-na1-sandbox."""
    assert (await api("GET", DEALS)).status == 200


@pytest.mark.parametrize("token", ["", "pat-na1-unknown", "nonsense"])
async def test_without_a_known_token_it_is_401(api, token):
    """INVALID_AUTHENTICATION, in the words of the documentation."""
    reply = await api.as_token(token)("GET", DEALS)
    assert (reply.status, reply.body["category"]) == (401, "INVALID_AUTHENTICATION")
    assert reply.body["message"].startswith("Authentication credentials not found. This API supports OAuth 2.0")


async def test_a_missing_scope_is_403_and_named(api_of):
    """Read does not write, and an association needs both ends."""
    tokens = {"pat-na1-reader": frozenset({"crm.objects.deals.read"})}
    async with HubSpotSandbox(account=Account(private_tokens=tokens)) as sandbox:
        api = api_of(sandbox).as_token("pat-na1-reader")
        write = await api("POST", DEALS, {"properties": {}})
        tie = await api("GET", "/crm/v4/objects/deals/1/associations/companies")
        schema = await api("POST", "/crm/v3/properties/deals", {})
        assert (write.status, write.body["category"]) == (403, "MISSING_SCOPES")
        named = [r.body["errors"][0]["context"]["requiredGranularScopes"] for r in (write, tie, schema)]
        assert named == [["crm.objects.deals.write"], ["crm.objects.companies.read"], ["crm.schemas.deals.write"]]
        assert (await api("GET", DEALS)).status == 200


async def test_the_authorize_page_goes_straight_back_with_a_code(api):
    """And with the state."""
    status, query = await code_of(api)
    assert (status, query["state"], "code" in query) == (302, "s1", True)


@pytest.mark.parametrize(
    "wrong", [{"client_id": "other"}, {"redirect_uri": "https://elsewhere.example/"}, {"scope": ""}]
)
async def test_the_authorize_page_refuses(api, wrong):
    """Unknown app, an address that is not loopback, no scope."""
    assert (await code_of(api, **wrong))[0] == 400


@pytest.mark.parametrize("version", ["v1", "v3", "2026-03", "2026-09"])
async def test_a_code_buys_a_token_for_30_minutes_once(api, version):
    """expires_in 1800; the code is spent."""
    _, query = await code_of(api)
    form = {"grant_type": "authorization_code", "code": query["code"], "redirect_uri": REDIRECT}
    status, body = await token_call(api, version, **form)
    again, refusal = await token_call(api, version, **form)
    assert (status, body["expires_in"], body["token_type"]) == (200, 1800, "bearer")
    assert (version != "v1") is ("hub_id" in body)
    assert (await api.as_token(body["access_token"])("GET", DEALS)).status == 200
    assert (again, refusal["status"]) == (400, "BAD_AUTH_CODE")


async def test_an_expired_token_is_401_of_another_category(api, sandbox):
    """EXPIRED_AUTHENTICATION with the time in the context."""
    token = (await logged_in(api))["access_token"]
    sandbox.clock.advance(1_875)
    reply = await api.as_token(token)("GET", DEALS)
    assert (reply.status, reply.body["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert reply.body["message"] == "The OAuth token used to make this call expired 75 second(s) ago."
    assert reply.body["context"] == {"expire time": ["2026-03-02T12:30:00Z"]}


async def test_a_refresh_keeps_the_refresh_token(api, sandbox):
    """It does not rotate; the new access token works."""
    first = await logged_in(api)
    sandbox.clock.advance(1_900)
    status, second = await token_call(api, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (200, first["refresh_token"]) == (status, second["refresh_token"])
    assert first["access_token"] != second["access_token"]
    assert (await api.as_token(second["access_token"])("GET", DEALS)).status == 200


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "BAD_REFRESH_TOKEN"),
        ({"grant_type": "password"}, "BAD_GRANT_TYPE"),
        ({"grant_type": "refresh_token", "client_id": "x"}, "BAD_CLIENT_ID"),
        ({"grant_type": "refresh_token", "client_secret": "x"}, "BAD_CLIENT_SECRET"),
    ],
)
async def test_the_token_endpoint_refuses_with_its_own_envelope(api, form, code):
    """400; the code stands in status."""
    status, body = await token_call(api, **form)
    assert (400, code) == (status, body["status"])


async def test_a_revoked_or_uninstalled_login_is_a_bad_refresh_token(api, sandbox):
    """After revoke the access token lives on; after uninstall nothing does."""
    login = await logged_in(api)
    revoked, _ = await token_call(api, path="token/revoke", token=login["refresh_token"])
    refresh = {"grant_type": "refresh_token", "refresh_token": login["refresh_token"]}
    assert (revoked, (await token_call(api, **refresh))[1]["status"]) == (204, "BAD_REFRESH_TOKEN")
    assert (await api.as_token(login["access_token"])("GET", DEALS)).status == 200
    sandbox.authority.uninstall()
    assert (await api.as_token(login["access_token"])("GET", DEALS)).status == 401


async def test_introspection_tells_what_a_token_is(api, sandbox):
    """Active with scopes; then not active."""
    login = await logged_in(api, "oauth crm.objects.deals.read")
    _, active = await token_call(api, "2026-03", "token/introspect", token=login["access_token"])
    sandbox.clock.advance(1_800)
    _, stale = await token_call(api, "2026-03", "token/introspect", token=login["access_token"])
    assert (
        active["active"],
        active["scopes"],
        active["hub_id"],
    ) == (True, ["crm.objects.deals.read", "oauth"], 62515)
    assert stale == {"active": False}


# --------------------------------------------------------------------------- rate limits


@pytest.fixture
async def limited(session):
    async with HubSpotSandbox(VirtualClock(fixed=True)) as serving:
        yield serving


async def test_the_101st_call_in_ten_seconds_is_429(limited, api_of):
    """Headers count down; the body has a policy and no category; ten seconds later it goes on."""
    api = api_of(limited)
    replies = [await api("GET", DEALS) for _ in range(101)]
    last = replies[-1]
    assert [r.status for r in replies] == [200] * 100 + [429]
    assert tuple(
        replies[0].headers[f"X-HubSpot-RateLimit-{name}"]
        for name in ("Max", "Remaining", "Interval-Milliseconds", "Daily", "Daily-Remaining")
    ) == ("100", "99", "10000", "250000", "249999")
    assert (
        last.body["message"],
        last.body["policyName"],
        last.body["errorType"],
    ) == ("You have reached your ten_secondly_rolling limit.", "TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    assert ("category" in last.body, "Retry-After" in last.headers) == (False, False)
    limited.clock.advance(10.1)
    assert (await api("GET", DEALS)).status == 200


async def test_the_sixth_search_in_a_second_is_429_without_headers(limited, api_of):
    """SECONDLY, for the whole account; other calls go on."""
    api = api_of(limited)
    replies = [await api.search("deals" if n % 2 else "contacts") for n in range(6)]
    assert [r.status for r in replies] == [200] * 5 + [429]
    assert replies[-1].body["policyName"] == "SECONDLY"
    assert [name for name in replies[0].headers if "ratelimit" in name.lower()] == []
    assert (await api("GET", DEALS)).status == 200
    limited.clock.advance(1.1)
    assert (await api.search("deals")).status == 200


async def test_the_days_budget_is_full_again_at_the_accounts_midnight(limited, api_of):
    """Not at midnight UTC, and not 24 hours later."""
    api = api_of(limited)
    limited.windows.daily.calls = 1
    first, second = await api("GET", DEALS), await api("GET", DEALS)
    limited.clock.advance(86_400)
    assert (first.status, second.status, second.body["policyName"]) == (200, 429, "DAILY")
    assert (await api("GET", DEALS)).status == 200


async def test_an_oauth_app_has_110_and_no_daily_headers(limited, api_of):
    """Per account, whichever of its tokens calls."""
    api = api_of(limited)
    tokens = [(await logged_in(api))["access_token"] for _ in range(2)]
    replies = [await api.as_token(tokens[n % 2])("GET", DEALS) for n in range(111)]
    assert [r.status for r in replies] == [200] * 110 + [429]
    assert (
        replies[0].headers["X-HubSpot-RateLimit-Max"],
        "X-HubSpot-RateLimit-Daily" in replies[0].headers,
    ) == ("110", False)


async def test_limits_can_be_switched_off(api):
    """For benchmarks."""
    assert {200} == {(await api("GET", DEALS)).status for _ in range(120)}
