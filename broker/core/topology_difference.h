/* topology_difference.h: what differs between two topology documents, entry by entry and member by member. */
#ifndef BROKER_CORE_TOPOLOGY_DIFFERENCE_H
#define BROKER_CORE_TOPOLOGY_DIFFERENCE_H

#include "proto/bytes.h"

/* One entry: `what` is "added", "removed", or "changed: " and the members that differ. */
typedef void (*topology_tell_fn)(void *ctx, const char *kind, bytes_t name, const char *what);

/* Tells of every bus, archive, rule, schedule and permit bucket in which the documents (msgpack, `from` may be empty)
 * differ. The order of members and of entries is none. Queues are not looked at: what a broker has of them is more
 * than its document. */
void topology_differ(bytes_t from, bytes_t to, topology_tell_fn tell, void *ctx);

/* Appends the names of the members in which two maps (either may be empty) differ: "EventPattern, Targets". */
void topology_members_differ(bytes_t from, bytes_t to, buf_t *names);

#endif
