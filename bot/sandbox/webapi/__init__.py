"""The Web API methods that an app calls, with Slack's refusals."""
