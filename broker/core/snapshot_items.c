/* snapshot_items.c: the layouts of a snapshot's items. */
#include "broker/core/snapshot_items.h"

#include <stddef.h>

#define SNAPSHOT_ROW_LIST(entry, member, text) /* no item holds a list */
#define SNAPSHOT_ITEM_LAYOUT(number, NAME, name, ROWS, text)                                                           \
    FIELDS_LAYOUT(layout_##name, snapshot_##name##_t, number, #NAME, text, ROWS, SNAPSHOT_ROW_LIST)

SNAPSHOT_ITEMS(SNAPSHOT_ITEM_LAYOUT)

const fields_layout_t *snapshot_layout(uint64_t kind)
{
    switch (kind) {
#define SNAPSHOT_CASE(number, NAME, name, ROWS, text)                                                                  \
    case number:                                                                                                       \
        return layout_##name();
        SNAPSHOT_ITEMS(SNAPSHOT_CASE)
    default:
        return NULL;
    }
}
