/* story.h: what an outbox row of inventory-events tells the bus. */
#ifndef INVENTORY_EVENTS_STORY_H
#define INVENTORY_EVENTS_STORY_H

#include "kit/outbox.h"

extern const outbox_options_t story_outbox;

#endif
