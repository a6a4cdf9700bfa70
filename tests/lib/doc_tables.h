/* doc_tables.h: the tables of proto/wire.h and proto/record.h as Markdown, for docs/protocol.md and
 * docs/journal-format.md. */
#ifndef TESTS_LIB_DOC_TABLES_H
#define TESTS_LIB_DOC_TABLES_H

#include "proto/bytes.h"

void doc_verbs(buf_t *out);
void doc_records(buf_t *out);
void doc_snapshot_items(buf_t *out); /* of snapshots of the core */

#endif
