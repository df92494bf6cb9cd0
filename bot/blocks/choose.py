"""Choose...: a modal with one box for each kind of change in a plan."""

from __future__ import annotations

from slack_sdk.models.blocks import CheckboxesElement, InputBlock, Option
from slack_sdk.models.views import View

from bot import ids
from bot.blocks.parts import Json, clipped, plural, section
from bot.blocks.plan import MONEY_KINDS, Look, counted
from worker.api.views import PlanView

BOXES = 10  # docs.slack.dev, checkboxes element: at most 10 options


def choose_modal(plan: PlanView, look: Look, token: str) -> Json:
    """`token` is the sealed button, which the answer carries back."""
    options = []
    for (side, kind, operation), number in list(counted(plan).items())[:BOXES]:
        title = look.pair.crm.title if side == "crm" else look.pair.books.title
        words = _words(kind, operation, number)
        options.append(Option(text=clipped(f"{title}: {words}", 75), value=f"{side}.{kind}.{operation}"))
    first = [option for option in options if option.value.split(".")[1] not in MONEY_KINDS] or options
    boxes = CheckboxesElement(action_id=ids.CHOSEN, options=options, initial_options=first)
    view = View(
        type="modal",
        callback_id=ids.CHOOSE_VIEW,
        private_metadata=token,
        title="Apply a part",
        submit="Apply these",
        close="Cancel",
        blocks=[
            section("What the chosen ones need (a new customer for its first invoice) goes with them."),
            InputBlock(block_id=ids.CHOSEN, label="Which changes?", element=boxes).to_dict(),
        ],
    )
    found: Json = view.to_dict()
    return found


def _words(kind: str, operation: str, number: int) -> str:
    noun = kind.replace("_", " ")
    if operation == "create":
        return plural(number, noun if kind in MONEY_KINDS else f"new {noun}")
    return f"{plural(number, noun)} to {operation}"
