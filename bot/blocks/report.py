"""A reconciliation in the channel: the short bridge, Slack's own chart, buttons that open a plan."""

from __future__ import annotations

from bot import ids
from bot.blocks.parts import Json, Say, actions, button, code, context, quiet, said, section, when
from bot.blocks.plan import Look
from worker.api.views import ReportView, RunView

OPENS = {"missing": "Plan the invoices"}


def report(view: ReportView, run: RunView, look: Look) -> Say:
    """The headline is enough by itself; the table is for a phone; the workbook follows in the thread."""
    blocks: list[Json | None] = [section(f"*{quiet(view.headline)}*"), code(view.text), _chart(view)]
    at = run.finished_at if run.finished_at is not None else run.created_at
    blocks.append(context(f"Version {view.version}, {when(at, look.pair.time_zone)}. The workbook is in the thread."))
    if view.trail:
        blocks.append(context(f"Audit trail: {quiet(view.trail)}"))
    blocks.append(_buttons(view, look))
    return said(view.headline, blocks)


def _chart(view: ReportView) -> Json | None:
    """Slack's block data_visualization, which slack_sdk has no model for yet. One without a value is left out."""
    series = view.chart.get("chart", {}).get("series", [])
    some = any(point["value"] for each in series for point in each["data"])
    return view.chart if some else None


def _buttons(view: ReportView, look: Look) -> Json | None:
    """Buttons in a report open a plan; they never write past a preview."""
    found = {item.get("category") for item in view.figures.get("items", ())}
    elements = [
        button(text, ids.PLAN, look.buttons.seal(ids.PLAN, look.pair.id, view.id))
        for category, text in OPENS.items()
        if category in found
    ]
    return actions(elements)
