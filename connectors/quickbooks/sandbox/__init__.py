"""A local stand-in for QuickBooks Online that follows its public documentation, quirks and limits included."""

from connectors.quickbooks.sandbox.company import Settings
from connectors.quickbooks.sandbox.faults import QuickBooksFault
from connectors.quickbooks.sandbox.server import QuickBooksSandbox

__all__ = ["QuickBooksFault", "QuickBooksSandbox", "Settings"]
