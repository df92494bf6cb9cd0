"""Logs of a command: to the error stream, warnings only, without stack traces; what happens with --verbose."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import stamina
import structlog


def set_up(*, verbose: bool) -> None:
    """Send every log to standard error. Standard output belongs to the answer."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(stream=sys.stderr, level=level if verbose else logging.ERROR, format="%(name)s: %(message)s")
    if not verbose:  # a retry that helped is no news, and one that did not ends in an error that says so
        stamina.instrumentation.set_on_retry_hooks([])
    processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    processors += [structlog.processors.format_exc_info] if verbose else [without_trace]
    structlog.configure(
        processors=[*processors, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def without_trace(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What went wrong stays; where in the program does not concern a person."""
    event.pop("exc_info", None)
    event.pop("stack_info", None)
    return event
