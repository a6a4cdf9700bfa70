"""A schedule fires once for the moment it was due, however often the broker is killed around that moment."""
import random
import time
from datetime import datetime, timezone

import pytest
from lib.broker_fixtures import make_broker
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import unpack
from lib.wait import wait_until

__all__ = ["make_broker"]
AFTER_S = 3  # how long the killing goes on past the moment
SCHEDULES = [
    {"Name": "minutely", "ScheduleExpression": "cron(* * * * ? *)", "ScheduleExpressionTimezone": "Asia/Kathmandu",
     "Target": {"Arn": "plain"}},
    {"Name": "with-input", "ScheduleExpression": "cron(* * * * ? *)", "Target": {"Arn": "work", "Input": {"job": 1}}},
]


@pytest.mark.timeout(240)
def test_kills_around_the_moment_neither_skip_nor_repeat_it(make_broker):
    broker = make_broker(topology={**TOPOLOGY, "Schedules": SCHEDULES}).start()
    began = time.time()
    chance = random.Random(11)
    due = (int(began) // 60 + 1) * 60
    lives = 0
    while time.time() < due + AFTER_S:
        # Calm until shortly before the moment, then short lives: how long each lasts is what is being varied.
        time.sleep(max(due - time.time() - 1.5, 0) if time.time() < due - 2 else chance.uniform(0.01, 0.6))
        broker.restart()
        lives += 1
    client = broker.client()

    def fired(schedule):
        return schedule["fired_us"] >= due * 1_000_000
    wait_until(lambda: all(fired(s) for s in client.admin("RULE", "schedules")), "both schedules to have fired")
    moments = []
    for message in client.receive("plain", most=10):
        event = unpack(message["body"])
        assert event["source"] == "aws.events" and event["detail-type"] == "Scheduled Event" and event["detail"] == {}
        assert event["resources"] == ["arn:aws:events:local:000000000000:rule/minutely"]
        moments.append(datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp())
    inputs = [unpack(message["body"]) for message in client.receive("work", most=10)]
    # The test may itself have run into the minute behind.
    assert lives > 2 and moments == [due + 60 * n for n in range(len(moments))] and 1 <= len(moments) <= 2
    assert inputs == [{"job": 1}] * len(inputs) and 1 <= len(inputs) <= 2
