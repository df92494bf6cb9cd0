"""HubSpot's local stand-in. It shares no code with the connector."""

from connectors.hubspot.sandbox.catalogue import Account, Owner, Pipeline, Stage, TaxRate
from connectors.hubspot.sandbox.server import HubSpotSandbox

__all__ = ["Account", "HubSpotSandbox", "Owner", "Pipeline", "Stage", "TaxRate"]
