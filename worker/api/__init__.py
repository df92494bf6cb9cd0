"""What bot and terminal may know of the worker: verbs (`Api`) and views (frozen values that come back)."""

from worker.api.channel import ChannelApi
from worker.api.client import Api, Problem
from worker.api.messages import Messages
from worker.api.schedules import Schedules
from worker.engine.field_names import field_name

__all__ = ["Api", "ChannelApi", "Messages", "Problem", "Schedules", "field_name"]
