/* checkpointer.h: runs checkpoints in a thread of their own, at idle priority and with pauses, so that what is live
 * hardly notices.
 *
 * One at a time. The owner gives it a checkpoint, watches the descriptor, and calls checkpointer_poll when it is
 * readable; what only the owner may do (adopting) happens there. Nothing blocks but checkpointer_free, which waits for
 * the step under way. */
#ifndef BROKER_CHECKPOINTER_H
#define BROKER_CHECKPOINTER_H

#include "broker/checkpoint.h"

typedef struct checkpointer checkpointer_t;

/* Starts the thread. NULL on failure. */
MUST_USE checkpointer_t *checkpointer_new(error_t *err);
/* Ends the thread; a checkpoint under way is dropped, and what it left is cleared at the next start. */
void checkpointer_free(checkpointer_t **checkpointer);

int checkpointer_fd(const checkpointer_t *checkpointer);
bool checkpointer_is_busy(const checkpointer_t *checkpointer);

/* Takes the checkpoint over; none may be under way. */
void checkpointer_give(checkpointer_t *checkpointer, checkpoint_t *checkpoint);
/* From now on without pauses: the log grows faster than it is taken in. */
void checkpointer_hurry(checkpointer_t *checkpointer);

/* What became of it. READY is adopted here, and then it is WORKING. In any other state but WORKING it is over: *over is
 * the checkpoint, the caller's to free (not its thread's, its memory may be large: that was freed before). */
checkpoint_state_t checkpointer_poll(checkpointer_t *checkpointer, journal_t *journal, checkpoint_t **over);

#endif
