"""Fixtures: a broker with the small topology of lib.mangabus_broker, and a session at it."""
import pytest
from lib.mangabus_broker import Broker


@pytest.fixture
def make_broker(start, state_dir):
    """make_broker(topology=…, env=…) gives a Broker that is not started yet."""
    made = []

    def make(**options):
        made.append(Broker(start, state_dir, **options))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def broker(make_broker):
    """A running broker with the small topology of lib.mangabus_broker."""
    return make_broker().start()


@pytest.fixture
def client(broker):
    """A session at that broker."""
    return broker.client()
