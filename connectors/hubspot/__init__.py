"""HubSpot: companies, contacts, products and deals of one account."""

from connectors.hubspot.connector import HubSpot

__all__ = ["HubSpot"]
