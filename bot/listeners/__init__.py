"""What Slack calls: each handler acknowledges, asks the worker, and leaves the answer to the outbox."""
