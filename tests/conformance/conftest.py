"""Fixtures of the conformance tests."""
from lib.broker_fixtures import broker, client, make_broker

__all__ = ["broker", "client", "make_broker"]
