/* model_internal.h: what the files of the model share: growing arrays, and looking things up. */
#ifndef TESTS_SIM_MODEL_INTERNAL_H
#define TESTS_SIM_MODEL_INTERNAL_H

#include <stdlib.h>

#include "tests/sim/model.h"

#define PUSH(array, ...)                                                                                               \
    do {                                                                                                               \
        if ((array).count == (array).cap) {                                                                            \
            (array).cap = (array).cap ? (array).cap * 2 : 64;                                                          \
            (array).items = reallocarray((array).items, (array).cap, sizeof *(array).items);                           \
            if (!(array).items)                                                                                        \
                abort();                                                                                               \
        }                                                                                                              \
        (array).items[(array).count++] = __VA_ARGS__;                                                                  \
    } while (0)

int model_queue_index(const model_t *model, uint64_t incarnation); /* -1 for none */
model_message_t *model_message_find(const model_t *model, uint64_t incarnation, uint64_t record);
void model_message_remove(model_t *model, model_message_t *m);
/* The newest settlement of this kind that a client asked for and that concerns this delivery; NULL for none. */
const model_asked_t *model_asked_find(const model_t *model, uint64_t queue, const model_message_t *m, uint64_t action);

/* model_move.c */
MUST_USE bool model_fold_move(model_t *model, const record_t *record);
MUST_USE bool model_fold_task(model_t *model, const record_t *record);
MUST_USE bool model_fold_purge(model_t *model, const record_t *record);
void model_fold_note(model_t *model, const record_t *record);

/* model_schedule.c */
MUST_USE bool model_fold_schedule(model_t *model, const record_t *record);
/* A topology took effect. */
void model_schedules_topology(model_t *model, int topology, int64_t now_us);

/* model_replay.c */
MUST_USE bool model_fold_replay(model_t *model, const record_t *record);
/* A PUBLISH that a replay brought. */
MUST_USE bool model_fold_replayed(model_t *model, const record_t *record);

#endif
