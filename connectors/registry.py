"""Every system that Tieout knows: slug -> connector, and slug -> local sandbox where there is one."""

from __future__ import annotations

from connectors.csv.connector import Csv
from connectors.hubspot.connector import HubSpot
from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.contract import Connector
from connectors.kit.sandbox import Sandbox
from connectors.memory.connector import Memory
from connectors.quickbooks.connector import QuickBooks
from connectors.quickbooks.sandbox import QuickBooksSandbox

CONNECTORS: dict[str, type[Connector]] = {
    "memory": Memory,
    "csv": Csv,
    "hubspot": HubSpot,
    "quickbooks": QuickBooks,
}

SANDBOXES: dict[str, type[Sandbox]] = {
    "hubspot": HubSpotSandbox,
    "quickbooks": QuickBooksSandbox,
}
