/* options.h: what the broker is told by its environment, and where it finds its documents. */
#ifndef BROKER_OPTIONS_H
#define BROKER_OPTIONS_H

#include "kit/config.h"

#define OPTIONS_PATH_BYTES 1024
#define OPTIONS_HTTP_DEFAULT "127.0.0.1:7480"

typedef struct {
    char *endpoint, *endpoint_local;
    char *curve_dir;
    bool insecure;
    char *http;
    char *log_level;
    int64_t drain_ms;
    char *state;
    char *topology, *roles; /* paths; empty: the shipped documents */
    char *tzdir;
    int64_t grace_ms, heartbeat_ms;
    int64_t max_frame_bytes;
    int64_t segment_bytes, tail_cache_bytes, checkpoint_bytes, retain_bytes, retain_ms;
    int64_t lag_records;
} options_t;

/* The table of all variables; static. */
config_table_t options_table(void);

/* Reads the environment. False with every complaint in `err`. */
MUST_USE bool options_load(options_t *out, error_t *err);
void options_free(options_t *options);

/* Where a shipped document is: beside an installed binary (../share/mangabus/NAME), or in the tree it was built
 * in (../../broker/NAME, from build/bin). False when neither is there. */
MUST_USE bool options_find_document(const char *name, char out[OPTIONS_PATH_BYTES], error_t *err);

/* The folder for state that belongs to this user: `state`, or /var/tmp/mangabus-USER when it is empty. */
MUST_USE bool options_state_dir(const options_t *options, char out[OPTIONS_PATH_BYTES], error_t *err);

#endif
