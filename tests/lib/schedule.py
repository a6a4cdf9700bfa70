"""When a cron() is due, written anew and as slowly as can be: every minute of a stretch of time is looked at by itself."""
import calendar
from datetime import datetime, timedelta, timezone

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()


def number(text, names, first):
    return names.index(text.upper()) + first if text.upper() in names else int(text)


def in_list(text, value, least, most, names=()):
    for item in text.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            low, high = least, most
        elif "-" in span:
            low, high = (number(part, names, least) for part in span.split("-"))
        else:
            low = number(span, names, least)
            high = most if step else low
        if value in range(low, high + 1, int(step or 1)):
            return True
    return False


def fits_day_of_month(text, day):
    last = calendar.monthrange(day.year, day.month)[1]
    if text == "L":
        return day.day == last
    if text.endswith("W"):
        wanted = int(text[:-1])
        if wanted > last:
            return False
        weekdays = [d for d in range(1, last + 1) if day.replace(day=d).weekday() < 5]
        return day.day == min(weekdays, key=lambda d: abs(d - wanted))
    return in_list(text, day.day, 1, 31)


def fits_day_of_week(text, day):
    today = day.isoweekday() % 7 + 1
    last = calendar.monthrange(day.year, day.month)[1]
    if text == "L":
        return today == 7
    if text.endswith("L"):
        return today == number(text[:-1], DAYS, 1) and day.day > last - 7
    if "#" in text:
        wanted, nth = text.split("#")
        return today == number(wanted, DAYS, 1) and (day.day + 6) // 7 == int(nth)
    return in_list(text, today, 1, 7, DAYS)


def fits_date(fields, day):
    return (in_list(fields[3], day.month, 1, 12, MONTHS) and in_list(fields[5], day.year, 1970, 2199)
            and (fields[2] == "?" or fits_day_of_month(fields[2], day))
            and (fields[4] == "?" or fits_day_of_week(fields[4], day)))


def due(expression, zone, begin, end):
    """The moments of [begin, end) at which a cron() is due: of a time that clocks show twice, the first."""
    fields = expression[len("cron("):-1].split()
    found = []
    moment = begin.astimezone(timezone.utc)
    while moment < end:
        wall = moment.astimezone(zone)
        if (not wall.fold and in_list(fields[0], wall.minute, 0, 59) and in_list(fields[1], wall.hour, 0, 23)
                and fits_date(fields, wall)):
            found.append(moment)
        moment += timedelta(minutes=1)
    return found


def due_days(expression, begin, end):
    """The same in UTC for an expression of one time a day, day by day."""
    fields = expression[len("cron("):-1].split()
    days = (begin + timedelta(days=n) for n in range((end - begin).days))
    return [datetime(d.year, d.month, d.day, int(fields[1]), int(fields[0]), tzinfo=timezone.utc)
            for d in days if fits_date(fields, d)]


def random_field(chance, least, most, names=(), steps=True):
    def value():
        n = chance.randint(least, most)
        return chance.choice([names[n - least], names[n - least].lower()]) if names and chance.random() < 0.5 else str(n)

    def item():
        kind = chance.random()
        if kind < 0.2:
            return "*" + (f"/{chance.randint(1, most - least)}" if steps and chance.random() < 0.7 else "")
        if kind < 0.5:
            low, high = sorted(chance.sample(range(least, most + 1), 2))
            return f"{low}-{high}" + (f"/{chance.randint(1, 9)}" if steps and most >= 9 and chance.random() < 0.3 else "")
        return value() + (f"/{chance.randint(1, 9)}" if steps and most >= 9 and chance.random() < 0.2 else "")
    return ",".join(item() for _ in range(chance.choice([1, 1, 1, 2, 3])))


def random_days(chance):
    """day-of-month and day-of-week."""
    kind = chance.randrange(8)
    one = chance.choice([str(chance.randint(1, 7)), chance.choice(DAYS)])
    if kind < 3:
        return random_field(chance, 1, 31), "?"
    if kind < 5:
        return "?", random_field(chance, 1, 7, DAYS, steps=False)
    return [("L", "?"), (f"{chance.randint(1, 31)}W", "?"),
            ("?", chance.choice(["L", f"{one}L", f"{one}#{chance.randint(1, 5)}"]))][kind - 5]


def random_cron(chance, minute=None, hour=None, month=None, year="*"):
    days, weekdays = random_days(chance)
    return (f"cron({random_field(chance, 0, 59) if minute is None else minute} "
            f"{random_field(chance, 0, 23) if hour is None else hour} {days} "
            f"{random_field(chance, 1, 12, MONTHS) if month is None else month} {weekdays} {year})")
