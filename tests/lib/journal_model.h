/* journal_model.h: what a journal says, read by somebody who knows no core: an account of messages, and the order of
 * groups. */
#ifndef TESTS_LIB_JOURNAL_MODEL_H
#define TESTS_LIB_JOURNAL_MODEL_H

#include "tests/lib/core_rig.h"

/* Messages that are there, in whatever state. */
uint64_t journal_model_alive(rig_t *rig);
/* Fails the test when a FIFO queue delivered a message before an older one of its group that it may not pass; returns
 * how many pairs were looked at. */
uint64_t journal_model_fifo_checks(rig_t *rig);

#endif
