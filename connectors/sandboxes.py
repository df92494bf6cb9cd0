"""Systems with a local sandbox: slug -> sandbox. Beside the registry, so that work on real accounts loads none."""

from __future__ import annotations

from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.sandbox import Sandbox
from connectors.quickbooks.sandbox import QuickBooksSandbox

SANDBOXES: dict[str, type[Sandbox]] = {
    "hubspot": HubSpotSandbox,
    "quickbooks": QuickBooksSandbox,
}
