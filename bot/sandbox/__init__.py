"""The Slack sandbox: a local stand-in for Slack that follows its public documentation, limits and refusals included,
and a page that shows its channels. It serves on loopback only and knows nothing of the app it is talking to."""

from bot.sandbox.clock import SandboxClock
from bot.sandbox.faults import Fault
from bot.sandbox.hands import Outcome
from bot.sandbox.installation import Installation, Shortcut, SlashCommand
from bot.sandbox.refusal import CannotDo, Refusal
from bot.sandbox.rules import block_findings, view_findings
from bot.sandbox.server import SlackSandbox
from bot.sandbox.world import Message, Person, Room, StoredFile, View

__all__ = [
    "CannotDo",
    "Fault",
    "Installation",
    "Message",
    "Outcome",
    "Person",
    "Refusal",
    "Room",
    "SandboxClock",
    "Shortcut",
    "SlackSandbox",
    "SlashCommand",
    "StoredFile",
    "View",
    "block_findings",
    "view_findings",
]
