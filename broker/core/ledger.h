/* ledger.h: the one way by which durable state changes: write a record, then apply it.
 *
 * A caller fills core->record's member of the kind (every field; of lists, the items it counts) and calls
 * ledger_write, which numbers it, encodes it into the step's effects and applies it exactly as recovery
 * will. Slices in it need to live only until the call returns. */
#ifndef BROKER_CORE_LEDGER_H
#define BROKER_CORE_LEDGER_H

#include "broker/core/state.h"

/* Returns the record's sequence. */
uint64_t ledger_write(core_t *core, record_kind_t kind);
/* For settlements, which are applied one by one before their common record is written. */
uint64_t ledger_write_applied(core_t *core, record_kind_t kind);

/* What a frame produced now must wait for (CORE_OUT's `after`). */
uint64_t ledger_after(const core_t *core);

/* Applies core_apply's records and ledger_write's. False (DATA_LOSS) when it does not fit the state. */
MUST_USE bool ledger_apply(core_t *core, const record_t *record, error_t *err);

/* True for records of before a repair of the journal, which may speak of records that it lost (journal_repair.h):
 * what does not fit is then passed over, and counted. */
bool ledger_forgives(core_t *core, const record_t *record);

/* True for the note that stands in the place of a lost record. */
bool ledger_notes_loss(const record_t *record);

/* For apply functions. Returns false. */
bool ledger_misfit(error_t *err, const record_t *record, const char *what, uint64_t number);

#endif
