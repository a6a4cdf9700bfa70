"""rate() and cron() through `mangactl rule next`, against lib.schedule, which looks at every minute by itself."""
import json
import os
import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from lib.mangactl import mangactl
from lib.schedule import due, due_days, random_cron

SEED = int(os.environ.get("SCHEDULE_SEED", "4"))
MINUTE_EXPRESSIONS = int(os.environ.get("SCHEDULE_EXPRESSIONS", "40"))
DAY_EXPRESSIONS = 150
# Around changes of the clocks: an hour forward, an hour back, half an hour, at midnight, a day that was left out.
STRETCHES = [
    ("Europe/Berlin", "2026-03-27"), ("Europe/Berlin", "2026-10-23"), ("America/New_York", "2027-03-12"),
    ("America/New_York", "2027-11-05"), ("Australia/Lord_Howe", "2026-10-02"), ("Australia/Lord_Howe", "2026-04-03"),
    ("Africa/Cairo", "2026-04-22"), ("Pacific/Apia", "2011-12-28"), ("Asia/Tokyo", "2026-05-01"),
    ("Asia/Kathmandu", "2026-05-01"), ("America/St_Johns", "2045-03-10"), ("UTC", "2026-02-27"),
    ("Africa/Casablanca", "2027-02-05"), ("America/Santiago", "2026-04-02"),
]
STRETCH_DAYS = 5


def text(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def told(expression, zone, begin, count):
    """What `rule next` says from (not after) `begin` on."""
    done = mangactl("rule", "next", expression, "--time-zone", zone, "--count", str(max(count, 1)), "--from",
                    text(begin - timedelta(seconds=1)), "--json")
    return [json.loads(line)["time"] for line in done.stdout.splitlines()]


def test_every_minute_around_changes_of_the_clocks_is_judged_alike():
    chance = random.Random(SEED)
    hits = 0
    for nth in range(MINUTE_EXPRESSIONS):
        zone, day = STRETCHES[nth % len(STRETCHES)]
        begin = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        end = begin + timedelta(days=STRETCH_DAYS)
        expression = random_cron(chance, hour=chance.choice([None, "0-4", "*"]), month="*")
        expected = [text(moment) for moment in due(expression, ZoneInfo(zone), begin, end)]
        got = [moment for moment in told(expression, zone, begin, len(expected) + 1) if moment < text(end)]
        assert got == expected, f"seed {SEED}: {expression} in {zone}"
        hits += len(expected)
    assert hits > MINUTE_EXPRESSIONS, "hardly anything was due: the comparison says little"


def test_days_of_many_years_are_judged_alike():
    chance = random.Random(SEED + 1)
    begin, end = datetime(2023, 1, 1, tzinfo=timezone.utc), datetime(2034, 1, 1, tzinfo=timezone.utc)
    hits = 0
    for _ in range(DAY_EXPRESSIONS):
        year = chance.choice(["*", "*", "2024-2031/3", "2025,2028", "*/4"])
        expression = random_cron(chance, minute=chance.randrange(60), hour=chance.randrange(24), year=year)
        expected = [text(moment) for moment in due_days(expression, begin, end)]
        got = [moment for moment in told(expression, "UTC", begin, min(len(expected) + 1, 10000)) if moment < text(end)]
        assert got == expected, f"seed {SEED}: {expression}"
        hits += len(expected)
    assert hits > DAY_EXPRESSIONS


def test_a_rate_counts_on_from_where_it_began():
    begin = datetime(2026, 10, 24, 12, 0, 1, tzinfo=timezone.utc)
    assert told("rate(1 day)", "Europe/Berlin", begin, 3) == [
        "2026-10-25T12:00:00Z", "2026-10-26T12:00:00Z", "2026-10-27T12:00:00Z"], "24 hours, whatever the clocks do"
    assert told("rate(90 minutes)", "UTC", begin, 2) == ["2026-10-24T13:30:00Z", "2026-10-24T15:00:00Z"]


def test_times_are_told_by_the_clocks_of_the_place():
    done = mangactl("rule", "next", "cron(30 2 ? * SUN#4 *)", "--time-zone", "America/St_Johns", "--from",
                    "2026-01-01T00:00:00Z", "--count", "1")
    assert done.stdout == "2026-01-25T06:00:00Z  2026-01-25T02:30:00-03:30\n"


@pytest.mark.parametrize("expression,said", [
    ("daily", "it must be rate(value unit) or cron("),
    ("rate(0 minutes)", "a whole number from 1"),
    ("rate(1 minutes)", "singular for 1"),
    ("rate(2 minute)", "singular for 1"),
    ("rate(5 fortnights)", "minute, minutes, hour, hours, day or days"),
    ("rate(5minutes)", "a whole number"),
    ("cron(0 12 * * ?)", "has 5 fields and must have 6"),
    ("cron(60 12 * * ? *)", 'field 1 of cron (minutes), "60": a value is out of range'),
    ("cron(0 24 * * ? *)", "field 2 of cron (hours)"),
    ("cron(0 12 32 * ? *)", "field 3 of cron (day-of-month)"),
    ("cron(0 12 * 13 ? *)", "field 4 of cron (month)"),
    ("cron(0 12 * JANUARY ? *)", "field 4 of cron (month)"),
    ("cron(0 12 ? * 8 *)", "field 5 of cron (day-of-week)"),
    ("cron(0 12 ? * 2/2 *)", "it takes no steps"),
    ("cron(0 12 * * ? 1969)", "field 6 of cron (year)"),
    ("cron(0 12 * * * *)", "one of the two, and only one, must be ?"),
    ("cron(0 12 ? * ? *)", "one of the two, and only one, must be ?"),
    ("cron(? 12 * * ? *)", "field 1 of cron (minutes)"),
    ("cron(*/0 12 * * ? *)", "a step (/) must be"),
    ("cron(5-1 12 * * ? *)", "a range ends before it begins"),
    ("cron(1, 12 * * ? *)", "a value is missing"),
    ("cron(0 12 LW * ? *)", "field 3 of cron"),
    ("cron(0 12 1-5W * ? *)", "W stands behind one single day"),
    ("cron(0 12 ? * 3#6 *)", "# stands alone"),
    ("cron(0 12 ? * 3#1,6#3 *)", "# stands alone"),
    ("cron(0 12 31 2 ? *)", "it would never fire"),
])
def test_a_wrong_expression_is_refused_by_what_and_where(expression, said):
    done = mangactl("rule", "next", expression)
    assert (done.returncode, done.stdout) == (65, "")
    assert "Parameter ScheduleExpression is not valid. Reason: " in done.stderr and said in done.stderr


def test_what_is_over_is_said_to_be_over():
    done = mangactl("rule", "next", "cron(0 12 * * ? 1999)")
    assert (done.returncode, done.stdout) == (1, "") and "never due again" in done.stderr


def test_a_place_that_there_is_not_is_refused():
    for name in ("Mars/Olympus", "../etc/passwd", "right/UTC", ""):
        done = mangactl("rule", "next", "rate(1 day)", "--time-zone", name)
        assert done.returncode == 65 and "no time zone" in done.stderr
