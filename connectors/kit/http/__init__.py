"""The one way from here to a vendor: auth, pace, one table of verdicts, deadlines, no write sent twice."""

from connectors.kit.http.answer import Answer, Explanation
from connectors.kit.http.client import Http
from connectors.kit.http.pace import Budget, Limit, Pace, Told
from connectors.kit.http.verdict import verdict

__all__ = ["Answer", "Budget", "Explanation", "Http", "Limit", "Pace", "Told", "verdict"]
