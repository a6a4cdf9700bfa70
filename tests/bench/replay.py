"""What a replay does: how fast it is beside live publishing, and what live publishing notices of it."""
import json
import os
import statistics
import subprocess
import time

from servers import BIN, BUILD, Broker

SEGMENT = 8 << 20
FILL_S = float(os.environ.get("BENCH_REPLAY_FILL", "4"))  # of live publishing before
LOOK_S = 1.0
ARCHIVE_PATIENCE_S = 60


class Replayed:
    """A broker whose bus has an archive, filled by live publishing at full speed."""

    def __init__(self, archived):
        small = {"MANGABUS_SEGMENT": SEGMENT, "MANGABUS_JOURNAL_CHECKPOINT_BYTES": SEGMENT,
                 "MANGABUS_JOURNAL_RETAIN_BYTES": 0} if archived else {}
        self.broker = Broker(archives=[{"ArchiveName": "bench", "EventSourceArn": "bench"}], **small)
        self.live = self.load(outstanding=1000, seconds=FILL_S)
        if archived:
            self.wait_for_archive()

    def wait_for_archive(self):
        """Till most of it has left the log."""
        until = time.monotonic() + ARCHIVE_PATIENCE_S
        while time.monotonic() < until and self.archived() < 0.8 * self.live["messages"]:
            time.sleep(0.1)

    def archived(self):
        return sum(json.loads(line)["archived"] for line in self.broker.log.read_text().splitlines()
                   if '"message":"snapshot taken"' in line)

    def load(self, seconds, outstanding=1):
        done = subprocess.run([BUILD / "bench/bench_load", "bus", "publish", self.broker.endpoint,
                               f"outstanding={outstanding}", f"seconds={seconds}"],
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def ctl(self, *words):
        done = subprocess.run([BIN / "mangactl", *words, "--json"], capture_output=True, text=True, check=True,
                              env={**os.environ, "MANGABUS_ENDPOINT": self.broker.endpoint})
        return json.loads(done.stdout)

    def replay(self, name, target, *options):
        """Beside nothing: events a second."""
        told = self.ctl("replay", "start", "--bus", "bench", *target, "--name", name, *options)
        return told["replayed"] / max(1, told["ended_us"] - told["began_us"]) * 1e6

    def beside(self, name, target):
        """(p99 of live publishing alone, beside a replay at full speed; how many looks lay within it)."""
        alone = statistics.median(self.load(LOOK_S)["p99_us"] for _ in range(3))
        self.ctl("replay", "start", "--bus", "bench", *target, "--name", name, "--detach")
        looks = []
        while True:
            look = self.load(LOOK_S)
            if self.ctl("replay", "info", name)["state"] != "RUNNING":
                break
            looks.append(look["p99_us"])
        return alone, statistics.median(looks or [look["p99_us"]]), len(looks)


def measure(archived):
    world = Replayed(archived)
    try:
        row = {"from": "archive" if archived else "log", "live_per_s": world.live["per_s"],
               "live_one_per_s": world.load(LOOK_S)["per_s"], "events": world.live["messages"]}
        row["to_rules_per_s"] = world.replay("rules", ["--to-bus"])
        row["to_nobody_per_s"] = world.replay("dry", ["--to-bus"], "--dry-run")
        row["p99_alone_us"], row["p99_beside_us"], row["looks"] = world.beside("beside", ["--to-bus"])
    finally:
        world.broker.stop()
    return row


def run(write):
    rows = [measure(archived) for archived in (True, False)]
    print(f"  {'from':8} {'events':>8} {'live/s, 1000':>13} {'live/s, 1':>10} {'replay/s':>10} {'dry/s':>10} "
          f"{'live p99 alone':>15} {'beside, us':>11} {'looks':>6}")
    for r in rows:
        print(f"  {r['from']:8} {r['events']:8.0f} {r['live_per_s']:13,.0f} {r['live_one_per_s']:10,.0f} "
              f"{r['to_rules_per_s']:10,.0f} {r['to_nobody_per_s']:10,.0f} {r['p99_alone_us']:15,.0f} "
              f"{r['p99_beside_us']:11,.0f} {r['looks']:6d}")
    write("replay", {"rows": rows})
