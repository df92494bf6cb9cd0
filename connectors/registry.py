"""Every system that Tieout knows: slug -> connector, and slug -> local sandbox where there is one."""

from __future__ import annotations

from connectors.csv.connector import Csv
from connectors.kit.contract import Connector
from connectors.memory.connector import Memory

CONNECTORS: dict[str, type[Connector]] = {
    "memory": Memory,
    "csv": Csv,
}
