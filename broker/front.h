/* front.h: the broker as a process: sockets, clock and disk around the pure core.
 *
 *     frames -> core_step -> records to the journal, frames to the gate -> sync -> frames leave
 *
 * One thread; the journal has a writer of its own. A turn drains what has arrived (bounded), gives it to the core,
 * appends all records that came of it, commits, and lets go what the disk has: group commit without a timer. A long
 * turn does not keep the disk waiting: what has gathered goes to it between two frames when it is idle, and answers
 * to what it had before leave then. */
#ifndef BROKER_FRONT_H
#define BROKER_FRONT_H

#include "broker/options.h"

#define FRONT_FRAMES_A_TURN 256
#define FRONT_EFFECTS_BYTES ((size_t)1 << 20)  /* records of a turn are appended before they grow past this */
#define FRONT_GATHER_BYTES ((size_t)128 << 10) /* of records: enough for an idle disk before the turn is over */

/* Exit codes, see docs/conventions.md. */
enum { FRONT_OK = 0, FRONT_UNAVAILABLE = 69, FRONT_BUG = 70, FRONT_DISK = 74, FRONT_LOCKED = 75, FRONT_CONFIG = 78 };

/* Recovers, listens, serves until SIGTERM or SIGINT, stops cleanly. Returns the exit code; failures are logged. */
MUST_USE int front_run(const options_t *options);

#endif
