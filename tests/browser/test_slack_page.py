"""The Slack sandbox's page in a real browser: type, press, fill in, download; by keyboard; at two widths."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright, expect
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Installation, Room, Shortcut, SlackSandbox, SlashCommand

ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


CONFIRM = {"title": plain("Apply 14 changes?"), "text": mrkdwn("*Sure?*"), "confirm": plain("Yes"), "deny": plain("No")}
FORM = {
    "type": "modal",
    "callback_id": "edit",
    "title": plain("Edit"),
    "submit": plain("Write"),
    "close": plain("Cancel"),
    "blocks": [
        {
            "type": "input",
            "block_id": "phone",
            "label": plain("Phone"),
            "element": {"type": "plain_text_input", "action_id": "p"},
        },
        {
            "type": "input",
            "block_id": "rule",
            "label": plain("Next time"),
            "element": {
                "type": "radio_buttons",
                "action_id": "r",
                "options": [{"text": plain("Ask"), "value": "ask"}, {"text": plain("HubSpot"), "value": "crm"}],
            },
        },
        {
            "type": "input",
            "block_id": "tell",
            "label": plain("Tell"),
            "optional": True,
            "element": {"type": "multi_users_select", "action_id": "u"},
        },
    ],
}


def button(text: str, action_id: str, **more: Any) -> Json:
    return {"type": "button", "text": plain(text), "action_id": action_id, **more}


OVERFLOW = {"type": "overflow", "action_id": "more", "options": [{"text": plain("History"), "value": "history"}]}
PREVIEW = [
    {"type": "header", "text": plain("Preview")},
    {"type": "section", "text": mrkdwn("*4 invoices*, `USD 18,240.00` &lt;script&gt; <b>"), "accessory": OVERFLOW},
    {"type": "actions", "elements": [button("Apply 14", "apply", confirm=CONFIRM), button("Edit...", "edit")]},
]
WEEKS = ["02 Oct - 08 Oct", "09 Oct - 15 Oct"]
REPORT = [
    {
        "type": "table",
        "rows": [[{"type": "raw_text", "text": t} for t in row] for row in (("won", "1.00"), ("paid", "2"))],
    },
    {
        "type": "data_visualization",
        "title": "By week",
        "chart": {
            "type": "bar",
            "series": [{"name": "Won", "data": [{"label": week, "value": 5} for week in WEEKS]}],
            "axis_config": {"categories": WEEKS, "y_label": "USD"},
        },
    },
]


@pytest.fixture
async def slack() -> AsyncIterator[SlackSandbox]:
    """A workspace with a small Bolt app that previews, applies, edits and reports."""
    command = SlashCommand("/tieout", "Keep CRM and books tied out", "help", ("/tieout preview  What would change",))
    installation = Installation(commands=(command,), shortcuts=(Shortcut("Explain", "explain", "message"),))
    async with SlackSandbox(
        installation=installation, rooms=[Room(name="finance"), Room(name="sales")], limits=False
    ) as made:
        client = AsyncWebClient(token=made.app.bot_token, base_url=made.api_url)
        runner = web.AppRunner(small_app(made, client).web_app(), shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.app.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
        yield made
        await runner.cleanup()


def small_app(slack: SlackSandbox, client: AsyncWebClient) -> AsyncApp:
    quiet = logging.getLogger("slack_bolt.quiet")
    quiet.setLevel(logging.CRITICAL)
    app = AsyncApp(client=client, signing_secret=slack.app.signing_secret, logger=quiet)

    @app.command("/tieout")
    async def command(ack: Any, command: Any, client: Any) -> None:
        if command["text"] != "preview":
            await ack("I don't know that. Did you mean `/tieout preview`?")
            return
        await ack()
        posted = await client.chat_postMessage(channel=command["channel_id"], text="Preview", blocks=PREVIEW)
        await client.chat_postMessage(channel=command["channel_id"], text="All 14", thread_ts=posted["ts"])

    @app.action("apply")
    async def apply(ack: Any, body: Any, client: Any) -> None:
        await ack()
        channel = body["channel"]["id"]
        await client.chat_update(channel=channel, ts=body["message"]["ts"], text=f"Applied by {body['user']['name']}")
        await client.chat_postMessage(channel=channel, text="Report", blocks=REPORT)
        await client.files_upload_v2(channel=channel, filename="report.csv", content="a,b", title="The report")

    @app.action("edit")
    async def edit(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=FORM)

    @app.action("more")
    async def more(ack: Any, action: Any, respond: Any) -> None:
        await ack()
        await respond(f"Picked {action['selected_option']['value']}")

    @app.view("edit")
    async def written(ack: Any, view: Any, client: Any) -> None:
        values = view["state"]["values"]
        if values["phone"]["p"]["value"] == "wrong":
            await ack(response_action="errors", errors={"phone": "Not a phone number"})
            return
        await ack()
        told = len(values["tell"]["u"]["selected_users"])
        said = f"{values['phone']['p']['value']}, {values['rule']['r']['selected_option']['value']}, {told}"
        await client.chat_postMessage(channel=slack.world.channel("finance").id, text=said)

    @app.event("app_home_opened")
    async def home(event: Any, client: Any) -> None:
        view = {"type": "home", "blocks": [{"type": "section", "text": mrkdwn("In step")}]}
        await client.views_publish(user_id=event["user"], view=view)

    return app


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        started = await driver.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        yield started
        await started.close()


@pytest.fixture
async def page(browser: Browser, slack: SlackSandbox) -> AsyncIterator[Page]:
    """The page as operator, in #finance. Nothing may be logged as an error, nothing fetched from elsewhere."""
    context = await browser.new_context(viewport={"width": 1280, "height": 860}, accept_downloads=True)
    opened = await context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on("request", lambda sent: None if sent.url.startswith(slack.url) else wrong.append(sent.url))
    await opened.goto(f"{slack.url}/?user=operator&at=finance")
    await opened.wait_for_selector("body[data-ready]")
    yield opened
    assert [] == wrong
    await context.close()


async def preview(page: Page) -> None:
    await page.fill("#text", "/tieout preview")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Apply 14")).to_be_visible()


def read(path: Path) -> bytes:
    return path.read_bytes()


async def shot(page: Page, name: str) -> None:
    """Kept where TIEOUT_SHOTS says, for eyes."""
    if where := os.environ.get("TIEOUT_SHOTS"):
        await page.screenshot(path=Path(where) / f"{name}.png")


async def test_a_command_typed_becomes_a_message(page: Page) -> None:
    """Live, with markup drawn and nothing of it run."""
    await preview(page)
    await expect(page.locator("#messages strong", has_text="4 invoices")).to_be_visible()
    await expect(page.locator("#messages code")).to_have_text("USD 18,240.00")
    await expect(page.locator("#messages .text", has_text="<script>")).to_be_visible()
    await expect(page.locator("#text")).to_have_value("")


async def test_a_wrong_verb_is_answered_to_who_typed_it(page: Page) -> None:
    """Marked so."""
    await page.fill("#text", "/tieout recon")
    await page.keyboard.press("Enter")
    message = page.locator(".message.only", has_text="Did you mean")
    await expect(message.get_by_text("Only visible to you")).to_be_visible()


async def test_slash_offers_commands_by_keyboard(page: Page) -> None:
    """Arrows choose, Tab takes, Escape puts away."""
    await page.focus("#text")
    await page.keyboard.type("/")
    offers = page.get_by_role("listbox", name="Commands")
    await expect(offers.get_by_role("option")).to_have_count(2)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Tab")
    await expect(page.locator("#text")).to_have_value("/tieout preview")
    await page.fill("#text", "/")
    await page.keyboard.press("Escape")
    await expect(offers).to_be_hidden()


async def test_a_confirmed_press_changes_the_message_and_brings_a_report(page: Page, slack: SlackSandbox) -> None:
    """No first, then Yes; a table, a chart that says its figures, a file that comes down."""
    await preview(page)
    await page.get_by_role("button", name="Apply 14").click()
    await page.get_by_role("button", name="No", exact=True).click()
    assert [] == [kind for kind, _ in slack.postman.sent if kind == "interactive"]
    await page.get_by_role("button", name="Apply 14").click()
    await page.get_by_role("button", name="Yes").click()
    await expect(page.get_by_text("Applied by operator")).to_be_visible()
    await expect(page.get_by_role("columnheader", name="won")).to_be_visible()
    await expect(page.get_by_role("img", name="By week: bar chart")).to_be_visible()
    await expect(page.locator(".chart path.mark")).to_have_count(2)
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="The report").click()
    download = await coming.value
    arrived = await download.path()
    assert ("report.csv", b"a,b") == (download.suggested_filename, read(arrived))
    await shot(page, "test-report")


async def test_a_form_by_keyboard_alone(page: Page) -> None:
    """Focus goes into the modal, errors are said, what was typed stays, focus comes back."""
    await preview(page)
    await page.get_by_role("button", name="Edit...").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Phone")).to_be_focused()
    await page.keyboard.type("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Please complete this required field.")
    await page.get_by_label("HubSpot").focus()
    await page.keyboard.press("Space")
    await page.get_by_label("approver-1").focus()
    await page.keyboard.press("Space")
    await page.get_by_label("Phone").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Not a phone number")
    await expect(page.get_by_label("Phone")).to_have_value("wrong")
    await expect(page.get_by_label("approver-1")).to_be_checked()
    await shot(page, "test-modal-error")
    await page.get_by_label("Phone").fill("+254")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("+254, crm, 1")).to_be_visible()
    await expect(page.locator("#modal")).to_be_hidden()


async def test_escape_closes_a_modal(page: Page, slack: SlackSandbox) -> None:
    """For the sandbox too, not only on the screen."""
    await preview(page)
    await page.get_by_role("button", name="Edit...").click()
    await expect(page.get_by_label("Phone")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("#modal")).to_be_hidden()
    assert None is slack.modal("operator")


async def test_an_overflow_menu_opens_and_picks(page: Page) -> None:
    """By keyboard: Enter opens, Tab goes in, Enter picks."""
    await preview(page)
    await page.locator("summary[aria-label='More actions']").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Picked history")).to_be_visible()


async def test_a_thread_opens_beside_the_channel(page: Page, slack: SlackSandbox) -> None:
    """Replies are read and written there; Escape closes it; a command there is refused as Slack does."""
    await preview(page)
    await page.get_by_role("link", name="1 reply").click()
    await expect(page.locator("#thread").get_by_text("All 14")).to_be_visible()
    await expect(page.get_by_label("Reply", exact=True)).to_be_focused()
    await page.keyboard.type("Fine by me")
    await page.keyboard.press("Enter")
    await expect(page.locator("#thread").get_by_text("Fine by me")).to_be_visible()
    await page.keyboard.type("/tieout preview")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("don't work in threads")
    await page.keyboard.press("Escape")
    await expect(page.locator("#side")).to_be_hidden()
    assert 2 == len(slack.messages("finance", thread=slack.messages("finance")[0].ts))


async def test_one_can_be_somebody_else(page: Page) -> None:
    """What only the operator saw is gone; the address keeps who one is."""
    await page.fill("#text", "/tieout recon")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Did you mean")).to_be_visible()
    await page.get_by_label("You are").select_option(label="viewer")
    await expect(page.get_by_label("You are")).to_have_value(await _id_of(page, "viewer"))
    await expect(page.get_by_text("Did you mean")).to_have_count(0)


async def _id_of(page: Page, name: str) -> str:
    value = await page.locator("#user option", has_text=name).get_attribute("value")
    assert value is not None
    return value


async def test_the_home_tab_is_drawn_when_it_is_opened(page: Page) -> None:
    """The app hears of it, and publishes."""
    await page.get_by_role("link", name="Tieout").click()
    await expect(page.get_by_text("In step")).to_be_visible()


async def test_it_works_without_the_script(browser: Browser, slack: SlackSandbox) -> None:
    """Forms reload the page instead."""
    context = await browser.new_context(java_script_enabled=False)
    bare = await context.new_page()
    await bare.goto(f"{slack.url}/?user=operator&at=finance")
    await bare.fill("#text", "/tieout preview")
    async with bare.expect_navigation():
        await bare.get_by_role("button", name="Send").first.click()
    await slack.wait_for(lambda: len(slack.messages("finance")) == 2)
    await bare.reload()
    await bare.get_by_role("button", name="Edit...").click()
    await expect(bare.get_by_text("Preview").first).to_be_visible()
    assert "Edit" == (await slack.wait_for(lambda: slack.modal("operator"))).said["title"]["text"]
    await context.close()


@pytest.mark.parametrize(
    ("name", "width", "height"), [("desktop", 1280, 860), ("phone", 390, 844), ("narrow", 320, 640)]
)
async def test_nothing_runs_out_of_the_window(
    browser: Browser, slack: SlackSandbox, name: str, width: int, height: int
) -> None:
    """At desktop and phone width, with a report in it; on a phone the channels are behind a button."""
    context = await browser.new_context(viewport={"width": width, "height": height})
    opened = await context.new_page()
    await opened.goto(f"{slack.url}/?user=operator&at=finance")
    await preview(opened)
    await slack.press("operator", slack.messages("finance")[0].ts, "apply")
    await expect(opened.get_by_role("link", name="The report")).to_be_visible()
    assert width >= await opened.evaluate("document.documentElement.scrollWidth")
    await shot(opened, f"test-{name}")
    if width < 760:
        await opened.get_by_role("button", name="Show channels").click()
        await expect(opened.get_by_role("link", name="sales")).to_be_visible()
    await context.close()


async def test_focus_is_seen_and_everything_has_a_name(page: Page) -> None:
    """Every control can be reached by Tab, is outlined there, and says what it is."""
    await preview(page)
    nameless = await page.evaluate(
        """[...document.querySelectorAll('main button, main a, main input:not([type=hidden]), main textarea, nav a')]
        .filter(e => e.offsetParent && !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
        .map(e => e.outerHTML)"""
    )
    assert [] == nameless
    await page.get_by_role("button", name="Apply 14").focus()
    await page.keyboard.press("Tab")
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ("Edit...", "solid") == (await page.evaluate("document.activeElement.innerText"), outline)


async def test_a_page_from_elsewhere_cannot_reach_in(page: Page, slack: SlackSandbox) -> None:
    """Another origin's form is turned away, and so is another host's name."""
    forged = await page.request.post(
        f"{slack.url}/page/say", headers={"Origin": "https://example.com"}, form={"user": "operator", "at": "finance"}
    )
    rebound = await page.request.get(slack.url, headers={"Host": "example.com"})
    assert (403, 421) == (forged.status, rebound.status)
