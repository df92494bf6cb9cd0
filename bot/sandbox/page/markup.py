"""Slack's mrkdwn, rich text and markdown blocks as HTML. Everything is escaped before anything is marked up.
Source: https://docs.slack.dev/messaging/formatting-message-text."""

from __future__ import annotations

import re
from html import unescape

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from bot.sandbox import plain
from bot.sandbox.world import Json, World

EMOJI = {
    "white_check_mark": "✅", "x": "❌", "warning": "⚠️", "rotating_light": "🚨", "hourglass": "⌛",
    "hourglass_flowing_sand": "⏳", "moneybag": "💰", "receipt": "🧾", "mag": "🔍", "bell": "🔔", "eyes": "👀",
    "tada": "🎉", "lock": "🔒", "arrow_right": "➡️", "leftwards_arrow_with_hook": "↩️", "memo": "📝",
    "chart_with_upwards_trend": "📈", "bar_chart": "📊", "large_green_circle": "🟢", "large_yellow_circle": "🟡",
    "red_circle": "🔴", "question": "❓", "information_source": "ℹ️", "calendar": "📅", "paperclip": "📎",
    "+1": "👍", "wave": "👋", "no_entry": "⛔", "point_right": "👉", "gear": "⚙️", "link": "🔗", "zzz": "💤",
}  # fmt: skip
_TOKENS = re.compile(r"```(?P<fence>.+?)```|`(?P<code>[^`\n]+)`|<(?P<angle>[^<>\n]+)>", re.DOTALL)
_MARKS = (("*", "strong"), ("_", "em"), ("~", "s"))
# Raw HTML in a markdown block is shown, not run; links and code keep their escaping.
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])


def emoji(text: str) -> str:
    return re.sub(r":([a-z0-9_+\-]+):", lambda found: EMOJI.get(found[1], found[0]), text)


def mrkdwn(world: World, text: str) -> Markup:
    """One mrkdwn text as HTML, lines and quotes included."""
    held: list[Markup] = []

    def hold(found: re.Match[str]) -> str:
        held.append(_token(world, found))
        return f"\x00{len(held) - 1}\x00"

    masked = _TOKENS.sub(hold, text.replace("\x00", ""))
    said = _lines(_styled(emoji(str(escape(unescape(masked))))))
    return Markup(re.sub(r"\x00(\d+)\x00", lambda found: str(held[int(found[1])]), said))  # noqa: S704 - escaped above


def _token(world: World, found: re.Match[str]) -> Markup:
    if found["fence"] is not None:
        return Markup("<pre>{}</pre>").format(unescape(found["fence"]).strip("\n"))
    if found["code"] is not None:
        return Markup("<code>{}</code>").format(unescape(found["code"]))
    inner = found["angle"]
    shown = unescape(plain.mrkdwn(world, f"<{inner}>"))
    if inner[0] in "@#!":
        kind = "mention" if inner[0] != "!" or not inner.startswith("!date") else "date"
        return Markup('<span class="{}">{}</span>').format(kind, shown)
    return link(unescape(inner.partition("|")[0]), shown)


def link(target: str, shown: str) -> Markup:
    """A link, if it leads to somewhere that a link may lead to."""
    if not re.match(r"(https?://|mailto:|tel:)", target):
        return escape(shown)
    return Markup('<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>').format(target, shown)


def _styled(text: str) -> str:
    for mark, tag in _MARKS:
        sign = re.escape(mark)
        pattern = rf"(?<![\w{sign}]){sign}(?=\S)([^{sign}\n]+?)(?<=\S){sign}(?![\w{sign}])"
        text = re.sub(pattern, rf"<{tag}>\1</{tag}>", text)
    return text


def _lines(text: str) -> str:
    """Line ends, and quotes put together."""
    out: list[str] = []
    for quoted, lines in _runs(text.split("\n")):
        body = "<br>".join(lines)
        out.append(f"<blockquote>{body}</blockquote>" if quoted else body)
    joined = "<br>".join(out)
    return re.sub(r"(<br>)?(</?blockquote>)(<br>)?", r"\2", joined)


def _runs(lines: list[str]) -> list[tuple[bool, list[str]]]:
    runs: list[tuple[bool, list[str]]] = []
    for line in lines:
        quoted = line.startswith("&gt;")
        said = line[4:].lstrip() if quoted else line
        if runs and runs[-1][0] == quoted:
            runs[-1][1].append(said)
        else:
            runs.append((quoted, [said]))
    return runs


def text_object(world: World, one: Json | None) -> Markup:
    if one is None:
        return Markup("")
    if one["type"] == "mrkdwn":
        return mrkdwn(world, one["text"])
    return Markup("<br>").join(escape(emoji(line)) for line in one["text"].split("\n"))


def markdown(text: str) -> Markup:
    return Markup(_MARKDOWN.render(text))  # noqa: S704 - the renderer escapes, and html is off


def rich_text(world: World, parts: list[Json]) -> Markup:
    return Markup("").join(_rich(world, part) for part in parts)


def _rich(world: World, part: Json) -> Markup:
    match part["type"]:
        case "rich_text_section":
            return Markup("<p>{}</p>").format(rich_text(world, part["elements"]))
        case "rich_text_list":
            tag = Markup("ol") if part.get("style") == "ordered" else Markup("ul")
            rows = (Markup("<li>{}</li>").format(rich_text(world, [one])) for one in part["elements"])
            return Markup("<{}>{}</{}>").format(tag, Markup("").join(rows), tag)
        case "rich_text_quote":
            return Markup("<blockquote>{}</blockquote>").format(rich_text(world, part["elements"]))
        case "rich_text_preformatted":
            return Markup("<pre>{}</pre>").format(rich_text(world, part["elements"]))
        case "link":
            return link(part["url"], part.get("text") or part["url"])
        case "user" | "channel" | "usergroup":
            return Markup('<span class="mention">{}</span>').format(plain.rich_text(world, [part]))
        case "emoji":
            return escape(emoji(f":{part['name']}:"))
    return _worded(part)


def _worded(part: Json) -> Markup:
    said = Markup("<br>").join(escape(line) for line in part.get("text", "").split("\n"))
    for style, tag in (("bold", "strong"), ("italic", "em"), ("strike", "s"), ("code", "code")):
        if part.get("style", {}).get(style):
            said = Markup("<{}>{}</{}>").format(Markup(tag), said, Markup(tag))  # noqa: S704 - one of four words
    return said


def cell(world: World, one: Json) -> Markup:
    if one["type"] == "rich_text":
        return rich_text(world, one["elements"])
    return escape(plain.cell(one))
