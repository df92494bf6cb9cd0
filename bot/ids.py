"""The names that Slack hands back: the command, action ids, callback ids, inputs."""

from __future__ import annotations

import re

COMMAND = "/tieout"

APPLY = "plan.apply"
APPLY_WITHOUT_MONEY = "plan.apply_without_money"
APPLY_HELD = "plan.apply_held"
CHOOSE = "plan.choose"
DISCARD = "plan.discard"
SHOW = "plan.show"

KEEP_CRM = "conflict.crm"
KEEP_BOOKS = "conflict.books"
EDIT = "conflict.edit"
ONE_BY_ONE = "conflict.one_by_one"
LATER = "conflict.later"
MORE = "conflict.more"
PREFER_CRM = "conflict.prefer_crm"
PREFER_BOOKS = "conflict.prefer_books"
SAME = "conflict.same"
DIFFERENT = "conflict.different"
CREATE = "conflict.create"
NOT_NEEDED = "conflict.not_needed"
LEAVE = "conflict.leave"
ARCHIVE = "conflict.archive"
REISSUE = "conflict.reissue"
CREDIT = "conflict.credit"

BILL_AGAIN = "lift.bill"
MAKE_AGAIN = "lift.make"

EXPORT = "audit.export"

AGAIN = "run.again"
PLAN = "run.plan"
UNDO = "run.undo"
EMPTIED = "run.emptied"

PAUSE = "schedule.pause"
RESUME = "schedule.resume"
REMOVE = "schedule.remove"

# A message can show several buttons of one kind, and Slack wants their action ids to differ: "conflict.same:2".
ANY_PLAN = re.compile(r"plan\.[a-z_]+(:\d+)?")
ANY_CONFLICT = re.compile(r"conflict\.[a-z_]+(:\d+)?")
ANY_RUN = re.compile(r"run\.[a-z_]+(:\d+)?")
ANY_LIFT = re.compile(r"lift\.[a-z_]+(:\d+)?")
ANY_AUDIT = re.compile(r"audit\.[a-z_]+(:\d+)?")
ANY_SCHEDULE = re.compile(r"schedule\.[a-z_]+(:\d+)?")

CHOOSE_VIEW = "view.choose"
EDIT_VIEW = "view.edit"

CHOSEN = "chosen"
TYPED = "typed"
ADDRESS_PARTS = ("lines", "city", "region", "postcode", "country")


def verb_of(action_id: str) -> str:
    """`conflict.same:2` -> `conflict.same`."""
    return action_id.partition(":")[0]
