"""The page on loopback that shows the workspace as Slack would."""
