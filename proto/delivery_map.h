/* delivery_map.h: a delivery as a map, for people and their tools: as QUEUE peek answers it, and mangactl prints it. */
#ifndef PROTO_DELIVERY_MAP_H
#define PROTO_DELIVERY_MAP_H

#include "proto/wire.h"

#define DELIVERY_MAP_PAIRS 10

/* Appends the pairs, without the map's beginning: others may stand beside them. */
void delivery_map_put(buf_t *out, const wire_delivery_t *delivery);

#endif
