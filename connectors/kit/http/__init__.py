"""The one way from here to a vendor: auth, pace, one table of verdicts, deadlines, no write sent twice."""

from connectors.kit.http.answer import Answer, Explanation
from connectors.kit.http.client import Http
from connectors.kit.http.pace import Budget, Budgets, Limit, Pace, Told, budget_for
from connectors.kit.http.verdict import verdict

__all__ = [
    "Answer",
    "Budget",
    "Budgets",
    "Explanation",
    "Http",
    "Limit",
    "Pace",
    "Told",
    "budget_for",
    "verdict",
]
