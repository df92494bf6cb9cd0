"""Every system that Tieout knows: slug -> connector. Where there is a local sandbox: `connectors/sandboxes.py`."""

from __future__ import annotations

from connectors.csv.connector import Csv
from connectors.hubspot.connector import HubSpot
from connectors.kit.contract import Connector
from connectors.memory.connector import Memory
from connectors.quickbooks.connector import QuickBooks

CONNECTORS: dict[str, type[Connector]] = {
    "memory": Memory,
    "csv": Csv,
    "hubspot": HubSpot,
    "quickbooks": QuickBooks,
}
