/* event_line.h: one event as a line: for people, or as a JSON object. */
#ifndef MANGACTL_EVENT_LINE_H
#define MANGACTL_EVENT_LINE_H

#include "tools/mangactl/ctl.h"

#define EVENT_DETAIL_BYTES 240 /* of the detail in a line for people */

typedef struct {
    uint64_t record;
    int64_t ingest_us;
    bytes_t bus, replay_name, attrs, body;
} event_line_t;

event_line_t event_line_of(const bus_delivery_t *delivery);
/* By ctl->json. False when the event cannot be shown as JSON (the complaint is printed). */
MUST_USE bool event_line_print(ctl_t *ctl, const event_line_t *event);

#endif
