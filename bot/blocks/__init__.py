"""View -> Block Kit, through slack_sdk.models, inside Slack's limits. Pure."""
