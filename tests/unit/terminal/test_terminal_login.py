"""A login that comes back to this machine: only the answer to the question that was asked counts."""

from __future__ import annotations

import aiohttp
import pytest

from bot.terminal.login import Callback, log_in, read_return
from bot.terminal.screen import Exit, Failure
from connectors.quickbooks.sandbox import QuickBooksSandbox


async def test_the_code_and_the_account_come_back() -> None:
    async with Callback("realmId").open(0) as callback, aiohttp.ClientSession() as browser:
        query = {"code": "c1", "state": callback.state, "realmId": "934"}
        async with browser.get(callback.redirect_uri, params=query) as answer:
            assert 200 == answer.status
        returned = await callback.came_back(1)
    assert ("c1", "934") == (returned.code, returned.account)


async def test_somebody_else_s_answer_is_refused_and_the_login_goes_on() -> None:
    async with Callback(None).open(0) as callback, aiohttp.ClientSession() as browser:
        async with browser.get(callback.redirect_uri, params={"code": "evil", "state": "guessed"}) as answer:
            assert 400 == answer.status
        async with browser.get(callback.redirect_uri, params={"code": "good", "state": callback.state}):
            returned = await callback.came_back(1)
    assert "good" == returned.code


def test_a_callback_that_does_not_compare_the_state_would_be_caught() -> None:
    """Saboteur: the same reading with the state taken from the answer itself lets the forged code in."""
    forged = {"code": "evil", "state": "guessed"}
    with pytest.raises(Failure):
        read_return(forged, "the real one", None)
    assert "evil" == read_return(forged, forged["state"], None).code


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"error": "access_denied"}, "The login was not granted: access_denied"),
        ({"code": "c1"}, "The login came back without realmId, so the account is not known"),
    ],
)
def test_a_no_and_a_missing_account_end_the_login_with_words(query: dict[str, str], said: str) -> None:
    with pytest.raises(Failure) as caught:
        read_return({**query, "state": "s"}, "s", "realmId")
    assert (said, Exit.FAILED) == (caught.value.message, caught.value.code)


async def test_what_a_vendor_writes_is_shown_as_text() -> None:
    """The page quotes an answer from outside: it must not become markup."""
    async with Callback(None).open(0) as callback, aiohttp.ClientSession() as browser:
        query = {"state": callback.state, "error": "<script>alert(1)</script>"}
        async with browser.get(callback.redirect_uri, params=query) as answer:
            text = await answer.text()
        with pytest.raises(Failure):
            await callback.came_back(1)
    assert (False, True) == ("<script>" in text, "&lt;script&gt;" in text)


async def test_a_taken_port_is_said_with_the_option_that_helps() -> None:
    async with Callback(None).open(0) as first:
        port = int(first.redirect_uri.rpartition(":")[2].partition("/")[0])
        with pytest.raises(Failure) as caught:
            async with Callback(None).open(port):
                pass
    assert "--callback-port" in (caught.value.next_step or "")


async def test_a_login_at_the_sandbox_goes_all_the_way() -> None:
    """Consent page, redirect, callback, code for token: nothing of it is played."""
    from bot.cli import Tieout
    from bot.terminal.accounts import sandbox_settings
    from bot.terminal.doors import App

    doors = Tieout()
    async with QuickBooksSandbox() as sandbox:
        welcome = doors.sandboxes()["quickbooks"]
        settings = sandbox_settings(welcome, sandbox.url)
        app = App(welcome.client_id or "", welcome.client_secret or "")
        async with doors.consent("quickbooks", settings, app) as consent:
            token, account = await log_in(consent, "realmId", port=0, tell=lambda url: None, by_itself=True)
    assert (sandbox.realm, True) == (account, token.refresh is not None)
    assert app.client_secret not in repr(app)


async def test_a_sandbox_that_refuses_is_quoted() -> None:
    from bot.cli import Tieout
    from bot.terminal.accounts import sandbox_settings
    from bot.terminal.doors import App

    doors = Tieout()
    async with QuickBooksSandbox() as sandbox:
        settings = sandbox_settings(doors.sandboxes()["quickbooks"], sandbox.url)
        async with doors.consent("quickbooks", settings, App("nobody", "x")) as consent:
            with pytest.raises(Failure) as caught:
                await log_in(consent, "realmId", port=0, tell=lambda url: None, by_itself=True)
    assert "unknown client_id" in caught.value.message
