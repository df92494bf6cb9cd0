"""What bot and terminal may know of the worker: verbs (`Api`) and views (frozen values that come back)."""

from worker.api.client import Api, Problem

__all__ = ["Api", "Problem"]
