"""What every vendor's local stand-in is built on: a clock that can be moved, rate limits, scripted faults, control
from outside. Names no vendor, and shares no code with the request path that it is there to test."""

from connectors.kit.sandbox.clock import VirtualClock
from connectors.kit.sandbox.faults import Fault, Faults
from connectors.kit.sandbox.limiter import RateLimiter
from connectors.kit.sandbox.server import Sandbox, Seen, Welcome, read_json, reply

__all__ = ["Fault", "Faults", "RateLimiter", "Sandbox", "Seen", "VirtualClock", "Welcome", "read_json", "reply"]
