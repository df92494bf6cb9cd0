"""What bot and terminal may know of the worker: verbs (`Api`) and views (frozen values that come back)."""

from worker.api.channel import ChannelApi
from worker.api.client import Api, Problem
from worker.api.messages import Messages
from worker.api.schedules import Schedules
from worker.api.trail import Trail
from worker.api.webhooks import Refusal, Webhooks
from worker.crash import crash
from worker.engine.field_names import field_name
from worker.house import House
from worker.store.trouble import BUSY, trouble

__all__ = [
    "BUSY",
    "Api",
    "ChannelApi",
    "House",
    "Messages",
    "Problem",
    "Refusal",
    "Schedules",
    "Trail",
    "Webhooks",
    "crash",
    "field_name",
    "trouble",
]
