"""Requests to the app over HTTP, signed as Slack signs (https://docs.slack.dev/authentication/verifying-requests-from-slack)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.deliver.answer import Answer
from bot.sandbox.world import Json


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`v0=` and the HMAC-SHA256 of `v0:timestamp:body`."""
    return "v0=" + hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()


def encode(kind: str, payload: Json) -> tuple[bytes, str]:
    """Body and content type: events are JSON, commands a form, interactions a form with one field `payload`."""
    if kind == "events_api":
        return json.dumps(payload).encode(), "application/json"
    fields = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
    return urlencode(fields).encode(), "application/x-www-form-urlencoded"


async def deliver(
    session: aiohttp.ClientSession,
    url: str,
    request: tuple[str, Json],
    *,
    secret: str,
    at: int,
    headers: Mapping[str, str],
    ack_s: float,
) -> Answer:
    """Send one signed request (its kind and payload) and wait `ack_s` real seconds for the acknowledgement."""
    body, content_type = encode(*request)
    signed = {
        "Content-Type": content_type,
        "X-Slack-Request-Timestamp": str(at),
        "X-Slack-Signature": signature(secret, str(at), body),
        "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        **headers,
    }
    try:
        timeout = aiohttp.ClientTimeout(total=ack_s)
        async with session.post(url, data=body, headers=signed, timeout=timeout, allow_redirects=False) as got:
            return read(got.status, await got.text(), got.headers)
    except TimeoutError:
        return Answer(trouble="operation_timeout", reason="http_timeout")
    except aiohttp.ClientError:
        return Answer(trouble="dispatch_failed", reason="connection_failed")


def read(status: int, text: str, headers: Mapping[str, str]) -> Answer:
    no_retry = headers.get("X-Slack-No-Retry") == "1"
    if status >= 500:
        return Answer(trouble="http_service_error", reason="http_error", no_retry=no_retry)
    if not 200 <= status < 300:
        return Answer(trouble="http_client_error", reason="http_error", no_retry=no_retry)
    body: Any = text
    if text and headers.get("Content-Type", "").startswith("application/json"):
        body = json.loads(text)
    return Answer(body=body or None)
