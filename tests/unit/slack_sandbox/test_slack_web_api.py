"""The Web API through the real client, over HTTP: what it gives, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from slack_sandbox_blocks import actions, button, mrkdwn, section
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Fault, SandboxClock, SlackSandbox

Refusal = Callable[[Any], Any]


async def test_auth_test_says_who_and_where(client: AsyncWebClient, slack: SlackSandbox) -> None:
    """What Bolt asks first, with the scopes in a header."""
    said = await client.auth_test()
    assert (slack.world.team_id, slack.world.bot_user, slack.world.bot_id) == (
        said["team_id"],
        said["user_id"],
        said["bot_id"],
    )
    assert "chat:write" in said.headers["x-oauth-scopes"]


async def test_tokens_are_looked_at(slack: SlackSandbox, client: AsyncWebClient, refusal: Refusal) -> None:
    """No token, a wrong one, an app's, a revoked one."""
    assert "not_authed" == (await refusal(client.auth_test(token="")))["error"]
    assert "invalid_auth" == (await refusal(client.auth_test(token="xoxb-other")))["error"]
    assert "not_allowed_token_type" == (await refusal(client.auth_test(token=slack.app.app_token)))["error"]
    slack.app.revoked = True
    assert "token_revoked" == (await refusal(client.auth_test()))["error"]


async def test_a_missing_scope_is_named(
    slack: SlackSandbox, client: AsyncWebClient, refusal: Refusal, finance: str
) -> None:
    """`needed` says what the manifest has to ask for."""
    slack.app.scopes.discard("chat:write")
    said = await refusal(client.chat_postMessage(channel=finance, text="Hello"))
    assert ("missing_scope", "chat:write") == (said["error"], said["needed"])


async def test_an_unknown_method_is_said_to_be_one(client: AsyncWebClient, refusal: Refusal) -> None:
    """Nothing is quietly taken."""
    assert "unknown_method" == (await refusal(client.api_call("chat.shout")))["error"]


async def test_a_message_is_posted_read_and_changed(client: AsyncWebClient, finance: str, slack: SlackSandbox) -> None:
    """Ids are filled in, history is newest first, text alone takes the blocks away."""
    first = await client.chat_postMessage(channel=finance, text="One", blocks=[actions(button())])
    second = await client.chat_postMessage(channel=finance, text="Two")
    history = await client.conversations_history(channel=finance)
    assert ["Two", "One"] == [message["text"] for message in history["messages"]]
    assert history["messages"][1]["blocks"][0]["block_id"]
    assert float(first["ts"]) < float(second["ts"])
    await client.chat_update(channel=finance, ts=first["ts"], text="Done")
    changed = slack.messages("finance")[0]
    assert ("Done", [], None) == (changed.text, changed.blocks, changed.edited)


async def test_metadata_stays_until_it_is_named(client: AsyncWebClient, finance: str) -> None:
    """It comes back with include_all_metadata only, and an update without it keeps it."""
    metadata = {"event_type": "plan", "event_payload": {"id": "p1"}}
    posted = await client.chat_postMessage(channel=finance, text="One", metadata=metadata)
    await client.chat_update(channel=finance, ts=posted["ts"], text="Two")
    with_it = await client.conversations_history(channel=finance, include_all_metadata=True)
    without = await client.conversations_history(channel=finance)
    assert metadata == with_it["messages"][0]["metadata"]
    assert "metadata" not in without["messages"][0]


async def test_a_thread_has_its_own_history(client: AsyncWebClient, finance: str) -> None:
    """Replies stand in conversations.replies, not in the channel's history; a reply's ts leads to its root."""
    root = await client.chat_postMessage(channel=finance, text="Root")
    reply = await client.chat_postMessage(channel=finance, text="One", thread_ts=root["ts"])
    await client.chat_postMessage(channel=finance, text="Two", thread_ts=reply["ts"])
    replies = await client.conversations_replies(channel=finance, ts=root["ts"])
    history = await client.conversations_history(channel=finance)
    assert ["Root", "One", "Two"] == [message["text"] for message in replies["messages"]]
    assert ["Root"] == [message["text"] for message in history["messages"]]
    assert 2 == history["messages"][0]["reply_count"]


async def test_history_comes_in_pages(client: AsyncWebClient, finance: str, slack: SlackSandbox) -> None:
    """By cursor, until it is empty."""
    slack.door.limits.on = False
    for number in range(5):
        await client.chat_postMessage(channel=finance, text=str(number))
    texts: list[list[str]] = []
    async for page in await client.conversations_history(channel=finance, limit=2):
        texts.append([message["text"] for message in page["messages"]])
    assert [["4", "3"], ["2", "1"], ["0"]] == texts


async def test_channels_that_the_app_cannot_see_or_is_not_in(
    client: AsyncWebClient, refusal: Refusal, slack: SlackSandbox
) -> None:
    """Private ones do not exist for it; public ones can be joined."""
    sales, board = slack.world.channel("sales").id, slack.world.channel("board").id
    assert "not_in_channel" == (await refusal(client.chat_postMessage(channel=sales, text="x")))["error"]
    assert "channel_not_found" == (await refusal(client.chat_postMessage(channel=board, text="x")))["error"]
    assert "channel_not_found" == (await refusal(client.chat_postMessage(channel="C0NOTHING", text="x")))["error"]
    await client.conversations_join(channel=sales)
    assert (await client.chat_postMessage(channel=sales, text="x"))["ok"]
    slack.remove_bot("sales")
    assert "not_in_channel" == (await refusal(client.conversations_history(channel=sales)))["error"]


async def test_messages_that_cannot_be_posted(
    client: AsyncWebClient, refusal: Refusal, finance: str, slack: SlackSandbox
) -> None:
    """Each with Slack's code; the places are in response_metadata too."""
    slack.door.limits.on = False

    async def code(**said: Any) -> str:
        error: str = (await refusal(client.chat_postMessage(channel=finance, **said)))["error"]
        return error

    assert "no_text" == await code()
    assert "msg_too_long" == await code(text="x" * 40_001)
    assert "too_many_attachments" == await code(text="x", attachments=[{"text": "x"}] * 101)
    assert "msg_blocks_too_long" == await code(text="x", blocks=[section("x" * 2500)] * 5)
    assert "cannot_reply_to_message" == await code(text="x", thread_ts="1700000000.000000")
    assert "invalid_metadata_format" == await code(text="x", metadata={"event_type": "x"})
    said = await refusal(client.chat_postMessage(channel=finance, text="x", blocks=[section("")]))
    place = "must be more than 0 characters [json-pointer:/blocks/0/text/text]"
    assert ("invalid_blocks", [place]) == (said["error"], said["errors"])
    assert [f"[ERROR] {place}"] == said["response_metadata"]["messages"]


async def test_messages_that_cannot_be_changed(
    client: AsyncWebClient, refusal: Refusal, finance: str, slack: SlackSandbox, clock: SandboxClock
) -> None:
    """Other people's, ephemeral ones, too long ones, too old ones."""
    theirs = slack.say("operator", "finance", "Mine")
    operator = slack.world.user("operator").id
    own = await client.chat_postMessage(channel=finance, text="Ours")
    quiet = await client.chat_postEphemeral(channel=finance, user=operator, text="Psst")

    async def code(ts: str, text: str = "x") -> str:
        error: str = (await refusal(client.chat_update(channel=finance, ts=ts, text=text)))["error"]
        return error

    assert "cant_update_message" == await code(theirs.ts)
    assert "message_not_found" == await code(quiet["message_ts"])
    assert "message_not_found" == await code("1700000000.000000")
    assert "msg_too_long" == await code(own["ts"], "x" * 4001)
    assert "cant_delete_message" == (await refusal(client.chat_delete(channel=finance, ts=theirs.ts)))["error"]
    slack.world.edit_window_s = 60
    clock.advance(61)
    assert "edit_window_closed" == await code(own["ts"])


async def test_ephemeral_messages_are_for_one(
    client: AsyncWebClient, refusal: Refusal, finance: str, slack: SlackSandbox
) -> None:
    """The API never reads them back; a guest who is not in the channel cannot be told."""
    await client.chat_postEphemeral(channel=finance, user=slack.world.user("operator").id, text="Psst")
    assert ["Psst"] == [message.text for message in slack.messages("finance", user="operator")]
    assert [] == slack.messages("finance", user="viewer")
    assert [] == (await client.conversations_history(channel=finance))["messages"]
    guest = slack.world.user("guest").id
    said = await refusal(client.chat_postEphemeral(channel=finance, user=guest, text="x"))
    assert "user_not_in_channel" == said["error"]


async def test_more_than_one_message_a_second_is_too_many(
    client: AsyncWebClient, refusal: Refusal, finance: str, clock: SandboxClock
) -> None:
    """A short burst, then 429 with Retry-After; another channel is not held up; a second later it goes again."""
    for number in range(4):
        await client.chat_postMessage(channel=finance, text=str(number))
    with pytest.raises(Exception, match="ratelimited") as caught:
        await client.chat_postMessage(channel=finance, text="x")
    assert (429, "1") == (caught.value.response.status_code, caught.value.response.headers["Retry-After"])  # type: ignore[attr-defined]  # SlackApiError's
    await client.chat_postMessage(
        channel=(await client.conversations_open(users=await _someone(client)))["channel"]["id"], text="x"
    )
    clock.advance(1)
    assert (await client.chat_postMessage(channel=finance, text="x"))["ok"]


async def _someone(client: AsyncWebClient) -> str:
    members = (await client.users_list())["members"]
    user_id: str = next(member["id"] for member in members if not member["is_bot"])
    return user_id


async def test_a_tier_is_counted_by_the_minute(client: AsyncWebClient, refusal: Refusal, clock: SandboxClock) -> None:
    """users.list is tier 2: twenty a minute."""
    for _ in range(20):
        await client.users_list()
    assert "ratelimited" == (await refusal(client.users_list()))["error"]
    clock.advance(60)
    assert (await client.users_list())["ok"]


async def test_faults_strike_the_call_that_was_named(
    client: AsyncWebClient, refusal: Refusal, finance: str, slack: SlackSandbox
) -> None:
    """A 429 on the second post, which the SDK's own handler waits out; an error code; a 500; a lost answer."""
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    slack.faults.add(Fault(how="status", method="chat.postMessage", code=429, nth=2, wait_s=0))
    await client.chat_postMessage(channel=finance, text="One")
    await client.chat_postMessage(channel=finance, text="Two")
    assert 3 == slack.door.calls["chat.postMessage"]
    slack.faults.add(Fault(how="error", method="chat.update", error="fatal_error"))
    assert "fatal_error" == (await refusal(client.chat_update(channel=finance, ts="1", text="x")))["error"]
    slack.faults.add(Fault(how="status", method="auth.test", code=500))
    with pytest.raises(Exception, match="500"):
        await client.auth_test()
    slack.faults.add(Fault(how="lose_answer", method="chat.postMessage"))
    client.retry_handlers.clear()
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=finance, text="Three")
    assert ["One", "Two", "Three"] == [message.text for message in slack.messages("finance")]


async def test_a_file_goes_up_in_three_steps_and_comes_down(
    client: AsyncWebClient, finance: str, slack: SlackSandbox
) -> None:
    """Through the SDK's own files_upload_v2; the address is private to the token."""
    root = await client.chat_postMessage(channel=finance, text="Root")
    sent = await client.files_upload_v2(
        channel=finance,
        filename="plan.csv",
        content="a,b",
        title="The plan",
        thread_ts=root["ts"],
        initial_comment="Here",
    )
    assert [("plan.csv", "The plan", b"a,b")] == [(one.name, one.title, one.content) for one in slack.files]
    reply = slack.messages("finance", thread=root["ts"])[0]
    assert ("Here", [sent["file"]["id"]]) == (reply.text, reply.files)
    address = (await client.files_info(file=sent["file"]["id"]))["file"]["url_private_download"]
    async with aiohttp.ClientSession() as session:
        async with session.get(address, headers={"Authorization": f"Bearer {slack.app.bot_token}"}) as got:
            assert b"a,b" == await got.read()
        async with session.get(address) as stranger:
            assert (200, True) == (stranger.status, "Sign in" in await stranger.text())


async def test_files_that_never_arrived_cannot_be_shared(
    client: AsyncWebClient, refusal: Refusal, finance: str
) -> None:
    """file_not_found for one without bytes, and for bytes of another length than announced."""
    reserved = await client.files_getUploadURLExternal(filename="a.csv", length=3)
    async with aiohttp.ClientSession() as session, session.post(reserved["upload_url"], data=b"four") as got:
        assert 400 == got.status
    said = await refusal(
        client.files_completeUploadExternal(files=[{"id": reserved["file_id"], "title": "a"}], channel_id=finance)
    )
    assert "file_not_found" == said["error"]


async def test_views_open_once_within_three_seconds(
    client: AsyncWebClient, refusal: Refusal, slack: SlackSandbox, clock: SandboxClock
) -> None:
    """exchanged_trigger_id, expired_trigger_id, invalid_trigger_id; a refused view does not use the trigger up."""
    view = {"type": "modal", "title": {"type": "plain_text", "text": "M"}, "blocks": [section()]}
    operator = slack.world.user("operator").id
    trigger = slack.desk.triggers.issue(operator)
    said = await refusal(client.views_open(trigger_id=trigger, view={**view, "blocks": [section("")]}))
    assert "invalid_arguments" == said["error"]
    await client.views_open(trigger_id=trigger, view=view)
    assert "exchanged_trigger_id" == (await refusal(client.views_open(trigger_id=trigger, view=view)))["error"]
    late = slack.desk.triggers.issue(operator)
    clock.advance(3.1)
    assert "expired_trigger_id" == (await refusal(client.views_open(trigger_id=late, view=view)))["error"]
    assert "invalid_trigger_id" == (await refusal(client.views_open(trigger_id="1.2.3", view=view)))["error"]


async def test_views_have_hashes_sizes_and_a_stack_of_three(
    client: AsyncWebClient, refusal: Refusal, slack: SlackSandbox
) -> None:
    """hash_conflict, view_too_large, duplicate_external_id, push_limit_reached, not_found."""
    view: dict[str, Any] = {"type": "modal", "title": {"type": "plain_text", "text": "M"}, "blocks": [section()]}
    operator = slack.world.user("operator").id

    def trigger() -> str:
        top = slack.modal("operator")
        return slack.desk.triggers.issue(operator, top.id if top is not None else None)

    opened = (await client.views_open(trigger_id=trigger(), view={**view, "external_id": "one"}))["view"]
    await client.views_update(view_id=opened["id"], hash=opened["hash"], view=view)
    stale = client.views_update(view_id=opened["id"], hash=opened["hash"], view=view)
    assert "hash_conflict" == (await refusal(stale))["error"]
    await client.views_update(view_id=opened["id"], view={**view, "external_id": "one"})
    twice = client.views_push(trigger_id=trigger(), view={**view, "external_id": "one"})
    assert "duplicate_external_id" == (await refusal(twice))["error"]
    large = client.views_update(view_id=opened["id"], view={**view, "blocks": [section("é" * 3000)] * 100})
    assert "view_too_large" == (await refusal(large))["error"]
    await client.views_push(trigger_id=trigger(), view=view)
    await client.views_push(trigger_id=trigger(), view=view)
    assert "push_limit_reached" == (await refusal(client.views_push(trigger_id=trigger(), view=view)))["error"]
    assert "not_found" == (await refusal(client.views_update(view_id="V0NONE", view=view)))["error"]


async def test_the_home_tab_is_published_for_one(client: AsyncWebClient, slack: SlackSandbox) -> None:
    """And published again in its place."""
    operator = slack.world.user("operator").id
    first = await client.views_publish(user_id=operator, view={"type": "home", "blocks": [section("One")]})
    second = await client.views_publish(user_id=operator, view={"type": "home", "blocks": [section("Two")]})
    assert first["view"]["id"] == second["view"]["id"]
    assert "Home\nTwo" == slack.text_of(slack.world.homes[operator])


async def test_people_and_groups(client: AsyncWebClient, refusal: Refusal, slack: SlackSandbox) -> None:
    """users.info, bots.info, conversations.info and members, usergroups.users.list."""
    admin = slack.world.user("admin").id
    slack.world.groups["S01"] = [admin]
    assert (await client.users_info(user=admin))["user"]["is_admin"]
    assert "user_not_found" == (await refusal(client.users_info(user="U0NONE")))["error"]
    assert slack.app.name == (await client.bots_info(bot=slack.world.bot_id))["bot"]["name"]
    assert [admin] == (await client.usergroups_users_list(usergroup="S01"))["users"]
    channel = slack.world.channel("finance").id
    assert (await client.conversations_info(channel=channel))["channel"]["is_member"]
    assert slack.world.bot_user in (await client.conversations_members(channel=channel))["members"]


async def test_a_reaction_counts_once(client: AsyncWebClient, refusal: Refusal, finance: str) -> None:
    """already_reacted the second time."""
    posted = await client.chat_postMessage(channel=finance, text="x")
    await client.reactions_add(channel=finance, timestamp=posted["ts"], name="eyes")
    again = client.reactions_add(channel=finance, timestamp=posted["ts"], name="eyes")
    assert "already_reacted" == (await refusal(again))["error"]


async def test_a_permalink_leads_to_the_page(client: AsyncWebClient, finance: str, slack: SlackSandbox) -> None:
    """On loopback, to the message in its channel."""
    posted = await client.chat_postMessage(channel=finance, text="Find me")
    link = (await client.chat_getPermalink(channel=finance, message_ts=posted["ts"]))["permalink"]
    async with aiohttp.ClientSession() as session, session.get(link) as got:
        assert (200, True) == (got.status, "Find me" in await got.text())


async def test_forms_and_json_are_both_taken(slack: SlackSandbox, finance: str) -> None:
    """A form's blocks are JSON in text; a body that is no object is refused."""
    token = {"Authorization": f"Bearer {slack.app.bot_token}"}
    form = {"channel": finance, "text": "x", "blocks": '[{"type":"divider"}]', "token": slack.app.bot_token}
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{slack.api_url}chat.postMessage", data=form) as got:
            assert "divider" == (await got.json())["message"]["blocks"][0]["type"]
        async with session.post(f"{slack.api_url}chat.postMessage", json=[1], headers=token) as got:
            assert "json_not_object" == (await got.json())["error"]


async def test_oauth_gives_the_bots_token_for_a_code(
    client: AsyncWebClient, refusal: Refusal, slack: SlackSandbox
) -> None:
    """With the client's secret."""
    said = await client.oauth_v2_access(client_id=slack.app.client_id, client_secret=slack.app.client_secret, code="c")
    assert (slack.app.bot_token, slack.world.team_id) == (said["access_token"], said["team"]["id"])
    wrong = client.oauth_v2_access(client_id=slack.app.client_id, client_secret="no", code="c")
    assert "bad_client_secret" == (await refusal(wrong))["error"]


async def test_fields_of_a_message_are_read_as_text(client: AsyncWebClient, finance: str, slack: SlackSandbox) -> None:
    """`text_of` is what a printed conversation shows."""
    who = slack.world.user("approver-1").id
    blocks = [{"type": "section", "text": mrkdwn(f"*Hello* <@{who}>"), "fields": [mrkdwn("_a_"), mrkdwn("b")]}]
    await client.chat_postMessage(channel=finance, text="x", blocks=[*blocks, actions(button("Go"))])
    assert "Hello @approver-1\na\nb\n[Go]" == slack.text_of(slack.messages("finance")[0])
