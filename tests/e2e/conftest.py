"""Fixtures of the end-to-end tests."""
import shutil
import tempfile

import pytest
from lib.broker_fixtures import make_broker
from lib.whole_house import House

__all__ = ["house", "make_broker"]


@pytest.fixture(scope="module")
def house(postgres_cluster):
    """A running house that the tests of a module share, in the order they stand in the file."""
    folder = tempfile.mkdtemp(prefix="mb.")
    database = postgres_cluster.create()
    running = House(folder, database)
    try:
        yield running.up()
    finally:
        try:
            running.close()
        finally:
            postgres_cluster.drop(database)
            shutil.rmtree(folder, ignore_errors=True)
