"""What people do reaches a real Bolt app, signed and in time; what the app answers reaches people."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sandbox_blocks import actions, asked, button, line, modal, option, plain, section
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import CannotDo, SandboxClock, SlackSandbox


async def test_a_command_is_answered_to_who_typed_it(slack: SlackSandbox, bolt: AsyncApp) -> None:
    """The form's fields, an ephemeral answer by ack, another by response_url."""
    heard: dict[str, Any] = {}

    @bolt.command("/tieout")
    async def command(ack: Any, respond: Any, command: Any) -> None:
        heard.update(command)
        await ack("Looking")
        await respond(text="For all", response_type="in_channel")

    await slack.command("operator", "finance", "/tieout preview  Acme")
    await slack.wait_for(lambda: any(m.text == "For all" for m in slack.messages("finance")))
    assert ("preview  Acme", slack.world.user("operator").id) == (heard["text"], heard["user_id"])
    assert "thread_ts" not in heard
    await slack.wait_for(lambda: len(slack.messages("finance", user="operator")) == 2)
    assert {"Looking", "For all"} == {message.text for message in slack.messages("finance", user="operator")}
    assert ["For all"] == [message.text for message in slack.messages("finance", user="viewer")]


async def test_a_command_nobody_has_and_a_channel_one_is_not_in(slack: SlackSandbox, bolt: AsyncApp) -> None:
    """Slack says so itself; the app hears nothing."""
    assert "unknown_command" == (await slack.command("operator", "finance", "/other")).trouble
    with pytest.raises(CannotDo, match="guest is not in #finance"):
        await slack.command("guest", "finance", "/tieout")
    assert [] == slack.postman.sent


async def test_an_app_that_does_not_answer_in_time(slack: SlackSandbox, bolt: AsyncApp) -> None:
    """The person reads operation_timeout."""
    slack.postman.ack_s = 0.05

    @bolt.command("/tieout")
    async def command(ack: Any) -> None:
        await asyncio.sleep(0.5)
        await ack()

    assert "operation_timeout" == (await slack.command("operator", "finance", "/tieout")).trouble
    notice = slack.messages("finance", user="operator")[-1]
    assert ('/tieout failed with the error "operation_timeout"', True) == (notice.text, notice.notice)


async def test_an_app_that_is_not_there(slack: SlackSandbox) -> None:
    """dispatch_failed."""
    assert "dispatch_failed" == (await slack.command("operator", "finance", "/tieout")).trouble


@pytest.mark.parametrize(("secret", "skew_s"), [("another secret", 0), (None, -301)])
async def test_a_wrong_or_old_signature_is_turned_away_by_bolt(
    slack: SlackSandbox, bolt: AsyncApp, secret: str | None, skew_s: int
) -> None:
    """So the signature is really looked at: 401 becomes http_client_error."""
    slack.app.signing_secret = secret or slack.app.signing_secret
    slack.postman.skew_s = skew_s
    assert "http_client_error" == (await slack.command("operator", "finance", "/tieout")).trouble


async def test_a_press_carries_the_value_and_changes_the_message(
    slack: SlackSandbox, bolt: AsyncApp, client: AsyncWebClient, finance: str
) -> None:
    """By what the button says, or by its action id."""
    heard: list[Any] = []

    @bolt.action("apply")
    async def apply(ack: Any, body: Any, respond: Any) -> None:
        await ack()
        heard.append(body)
        await respond(text="Applied", replace_original=True)

    posted = await client.chat_postMessage(channel=finance, text="x", blocks=[actions(button(value="plan-1"))])
    await slack.press("approver-1", posted["ts"], "Apply")
    await slack.wait_for(lambda: slack.messages("finance")[0].text == "Applied")
    action = heard[0]["actions"][0]
    assert ("plan-1", "apply", "button") == (action["value"], action["action_id"], action["type"])
    assert (posted["ts"], "approver-1") == (heard[0]["container"]["message_ts"], heard[0]["user"]["name"])
    with pytest.raises(CannotDo, match="there is no 'apply' to press"):
        await slack.press("approver-1", posted["ts"], "apply")


async def test_menus_say_what_was_picked(
    slack: SlackSandbox, bolt: AsyncApp, client: AsyncWebClient, finance: str
) -> None:
    """By value or by text; the message's state remembers it."""
    heard: list[Any] = []

    @bolt.action("menu")
    async def menu(ack: Any, body: Any) -> None:
        await ack()
        heard.append(body)

    offered = {"type": "overflow", "action_id": "menu", "options": [option("Assign", "a"), option("History", "h")]}
    posted = await client.chat_postMessage(channel=finance, text="x", blocks=[section(accessory=offered)])
    await slack.press("operator", posted["ts"], "menu", pick="History")
    assert "h" == heard[0]["actions"][0]["selected_option"]["value"]
    with pytest.raises(CannotDo, match="not among the options"):
        await slack.press("operator", posted["ts"], "menu", pick="Other")


async def test_a_press_can_be_delivered_twice(
    slack: SlackSandbox, bolt: AsyncApp, client: AsyncWebClient, finance: str
) -> None:
    """The same payload, for apps that must do things once."""
    heard: list[str] = []

    @bolt.action("apply")
    async def apply(ack: Any, body: Any) -> None:
        await ack()
        heard.append(body["actions"][0]["action_ts"])

    posted = await client.chat_postMessage(channel=finance, text="x", blocks=[actions(button())])
    slack.postman.twice = 1
    await slack.press("operator", posted["ts"], "apply")
    await slack.press("operator", posted["ts"], "apply")
    assert (3, 2) == (len(heard), len(set(heard)))


@pytest.fixture
def form(bolt: AsyncApp) -> list[Any]:
    """`/tieout` opens a form; what was submitted is listed."""
    submitted: list[Any] = []
    shown = modal(
        line("why", max_length=10),
        asked(
            "how", {"type": "radio_buttons", "action_id": "r", "options": [option("Crm", "crm"), option("Ask", "ask")]}
        ),
        asked("many", {"type": "multi_users_select", "action_id": "u"}, optional=True),
        asked("day", {"type": "datepicker", "action_id": "d", "initial_date": "2026-10-31"}),
        asked("sum", {"type": "number_input", "action_id": "n", "is_decimal_allowed": False, "min_value": "1"}),
        notify_on_close=True,
        private_metadata="p1",
    )

    @bolt.command("/tieout")
    async def command(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=shown)

    @bolt.view("m")
    async def view(ack: Any, view: Any) -> None:
        values = view["state"]["values"]
        submitted.append(values)
        match values["why"]["typed"]["value"]:
            case "wrong":
                await ack(response_action="errors", errors={"why": "Say it better"})
            case "again":
                await ack(response_action="update", view=modal(section("Thanks"), title=plain("Second")))
            case "more":
                await ack(response_action="push", view=modal(section("More"), title=plain("Pushed")))
            case "bad":
                await ack(response_action="update", view=modal(section("")))
            case _:
                await ack()

    @bolt.view_closed("m")
    async def closed(ack: Any, body: Any) -> None:
        await ack()
        submitted.append(body["is_cleared"])

    return submitted


ALL = {"typed": "because", "r": "crm", "n": "3"}


async def test_a_form_is_filled_in_and_closes(slack: SlackSandbox, form: list[Any]) -> None:
    """Each input's state in Slack's words; untouched ones keep what they began with."""
    await slack.command("operator", "finance", "/tieout")
    view = await slack.wait_for(lambda: slack.modal("operator"))
    admin = slack.world.user("admin").id
    outcome = await slack.submit("operator", view, {**ALL, "u": [admin]})
    assert ({}, None, None) == (outcome.errors, outcome.trouble, slack.modal("operator"))
    assert {"type": "plain_text_input", "value": "because"} == form[0]["why"]["typed"]
    assert "crm" == form[0]["how"]["r"]["selected_option"]["value"]
    assert [admin] == form[0]["many"]["u"]["selected_users"]
    assert "2026-10-31" == form[0]["day"]["d"]["selected_date"]
    assert "3" == form[0]["sum"]["n"]["value"]


async def test_slacks_own_form_refuses_first(slack: SlackSandbox, form: list[Any]) -> None:
    """Missing, too long, not a whole number, too small: the app never hears of it."""
    await slack.command("operator", "finance", "/tieout")
    view = await slack.wait_for(lambda: slack.modal("operator"))
    outcome = await slack.submit("operator", view, {"typed": "x" * 11, "n": "0.5"})
    assert {"why", "how", "sum"} == set(outcome.errors)
    outcome = await slack.submit("operator", view, {**ALL, "n": "0"})
    assert {"sum": "Please enter a number of at least 1."} == outcome.errors
    assert [] == form
    with pytest.raises(CannotDo, match="no input called nothing"):
        await slack.submit("operator", view, {"nothing": "x"})


async def test_the_app_answers_a_form_in_its_four_ways(slack: SlackSandbox, form: list[Any]) -> None:
    """Errors under the input, another view in place, a view on top; and back again."""
    await slack.command("operator", "finance", "/tieout")
    view = await slack.wait_for(lambda: slack.modal("operator"))
    assert {"why": "Say it better"} == (await slack.submit("operator", view, {**ALL, "typed": "wrong"})).errors
    await slack.submit("operator", view, {"typed": "more"})
    assert ["A modal", "Pushed"] == [v.said["title"]["text"] for v in slack.world.stack(view.user)]
    await slack.close("operator", slack.modal("operator") or view)
    assert "invalid_arguments" == (await slack.submit("operator", view, {"typed": "bad"})).trouble
    await slack.submit("operator", view, {"typed": "again"})
    assert "Second\nThanks\n[Go]" == slack.text_of(slack.modal("operator") or view)


async def test_a_file_is_put_into_a_form(slack: SlackSandbox, bolt: AsyncApp) -> None:
    """The app finds the whole file in the state, its private address too."""
    heard: list[Any] = []

    @bolt.command("/tieout")
    async def command(ack: Any, body: Any, client: Any) -> None:
        await ack()
        shown = modal(asked("csv", {"type": "file_input", "action_id": "f", "filetypes": ["csv"]}))
        await client.views_open(trigger_id=body["trigger_id"], view=shown)

    @bolt.view("m")
    async def view(ack: Any, view: Any) -> None:
        await ack()
        heard.extend(view["state"]["values"]["csv"]["f"]["files"])

    await slack.command("operator", "finance", "/tieout")
    opened = await slack.wait_for(lambda: slack.modal("operator"))
    stored = slack.hands.add_file("operator", "deals.csv", b"a,b")
    await slack.submit("operator", opened, {"f": [stored.id]})
    assert [(stored.id, "deals.csv", 3)] == [(one["id"], one["name"], one["size"]) for one in heard]
    assert heard[0]["url_private_download"].startswith(slack.url)


async def test_closing_is_told_if_the_view_asked_for_it(slack: SlackSandbox, form: list[Any]) -> None:
    """view_closed, with is_cleared."""
    await slack.command("operator", "finance", "/tieout")
    view = await slack.wait_for(lambda: slack.modal("operator"))
    await slack.close("operator", view)
    assert ([False], None) == (form, slack.modal("operator"))


async def test_a_response_address_takes_five_within_half_an_hour(
    slack: SlackSandbox, finance: str, clock: SandboxClock
) -> None:
    """Then 404 used_url; after thirty minutes 404 expired_url."""
    operator = slack.world.user("operator").id
    path = slack.desk.responses.issue(operator, finance)
    late = slack.desk.responses.issue(operator, finance)

    async def post(where: str, **said: Any) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.post(slack.url + where, json=said) as got:
            return got.status, await got.text()

    assert (400, "invalid_blocks") == await post(path, blocks=[section("")])
    assert [(200, "ok")] * 4 == [await post(path, text="x") for _ in range(4)]
    assert (404, "used_url") == await post(path, text="x")
    clock.advance(30 * 60 + 1)
    assert (404, "expired_url") == await post(late, text="x")


async def test_a_mention_is_an_event_and_comes_again_if_it_failed(
    slack: SlackSandbox, bolt: AsyncApp, clock: SandboxClock
) -> None:
    """At once, after a minute, after five; with the number and the reason; then no more."""
    seen: list[tuple[str | None, str | None]] = []

    @bolt.middleware
    async def fail(req: Any, resp: Any) -> Any:
        headers = req.headers
        seen.append((headers.get("x-slack-retry-num", [None])[0], headers.get("x-slack-retry-reason", [None])[0]))
        slack.world.bell.ring()
        resp.status = 500
        return resp

    slack.app.events.discard("message.channels")
    slack.say("operator", "finance", "@tieout hello")
    await slack.wait_for(lambda: len(seen) == 2)
    for count, seconds in ((3, 60), (4, 300)):
        await _settled(slack)
        clock.advance(seconds)
        await slack.wait_for(lambda count=count: len(seen) == count)  # type: ignore[misc]  # a bound default
    await _settled(slack)
    clock.advance(3600)
    assert [(None, None), ("1", "http_error"), ("2", "http_error"), ("3", "http_error")] == seen
    assert 1 == len({payload["event_id"] for _, payload in slack.postman.sent})


async def _settled(slack: SlackSandbox) -> None:
    """Until the postman has read the answer and waits on the clock (or has given up)."""
    await asyncio.sleep(0.1)


async def test_events_that_the_app_did_not_subscribe_to_stay_away(slack: SlackSandbox, bolt: AsyncApp) -> None:
    """And none comes from a channel that it is not in."""
    slack.say("operator", "sales", "@tieout hello")
    slack.app.events.clear()
    slack.say("operator", "finance", "@tieout hello")
    await _settled(slack)
    assert [] == slack.postman.sent


async def test_a_shared_file_and_an_opened_home_are_events(
    slack: SlackSandbox, bolt: AsyncApp, client: AsyncWebClient
) -> None:
    """file_shared leads to the file by files.info."""
    heard: list[Any] = []

    @bolt.event("file_shared")
    async def shared(event: Any) -> None:
        heard.append((await client.files_info(file=event["file_id"]))["file"]["name"])
        slack.world.bell.ring()

    @bolt.event("message")
    async def message() -> None:
        """Heard, and nothing to do."""

    @bolt.event("app_home_opened")
    async def opened(event: Any) -> None:
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section("Hi")]})

    slack.hands.share_file("operator", "finance", "deals.csv", b"a,b")
    slack.hands.open_home("operator")
    await slack.wait_for(lambda: heard and slack.world.homes)
    assert ["deals.csv"] == heard


async def test_a_shortcut_opens_a_modal_from_a_message(
    slack: SlackSandbox, bolt: AsyncApp, client: AsyncWebClient, finance: str
) -> None:
    """message_action, with the message in it."""

    @bolt.message_shortcut("explain")
    async def explain(ack: Any, shortcut: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=shortcut["trigger_id"], view=modal(section(shortcut["message"]["text"])))

    posted = await client.chat_postMessage(channel=finance, text="Why this?")
    await slack.hands.shortcut("operator", "explain", posted["ts"])
    view = await slack.wait_for(lambda: slack.modal("operator"))
    assert "A modal\nWhy this?\n[Go]" == slack.text_of(view)


async def test_an_external_select_asks_the_app(
    slack: SlackSandbox, bolt: AsyncApp, client: AsyncWebClient, finance: str
) -> None:
    """After three letters; the picked option comes back whole."""

    @bolt.options("who")
    async def offers(ack: Any, payload: Any) -> None:
        await ack(options=[option(payload["value"].title(), "c1")])

    heard: list[Any] = []

    @bolt.action("who")
    async def picked(ack: Any, action: Any) -> None:
        await ack()
        heard.append(action["selected_option"]["value"])

    blocks = [section(accessory={"type": "external_select", "action_id": "who"})]
    posted = await client.chat_postMessage(channel=finance, text="x", blocks=blocks)
    assert [] == await slack.hands.suggest("operator", posted["ts"], "who", "be")
    offered = await slack.hands.suggest("operator", posted["ts"], "who", "beta")
    await slack.press("operator", posted["ts"], "who", pick=offered[0])
    assert ("Beta", ["c1"]) == (offered[0]["text"]["text"], heard)


async def test_links_in_messages_are_never_followed(
    slack: SlackSandbox, bolt: AsyncApp, client: AsyncWebClient, finance: str
) -> None:
    """Posting a button with an address, or a link, presses nothing."""
    blocks = [actions(button(url="https://example.com/apply"))]
    await client.chat_postMessage(channel=finance, text="<https://example.com|x>", blocks=blocks, unfurl_links=True)
    await _settled(slack)
    assert [] == slack.postman.sent


async def test_people_only_press_what_they_see(slack: SlackSandbox, client: AsyncWebClient, finance: str) -> None:
    """Not an ephemeral message for somebody else, nor one in a channel they are not in."""
    operator = slack.world.user("operator").id
    quiet = await client.chat_postEphemeral(channel=finance, user=operator, text="x", blocks=[actions(button())])
    shared = await client.chat_postMessage(channel=finance, text="x", blocks=[actions(button())])
    for who, ts in (("viewer", quiet["message_ts"]), ("guest", shared["ts"])):
        with pytest.raises(CannotDo, match="sees no message"):
            await slack.press(who, ts, "apply")
