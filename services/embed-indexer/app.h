/* app.h: what the parts of embed-indexer share. */
#ifndef EMBED_INDEXER_APP_H
#define EMBED_INDEXER_APP_H

#include "kit/service.h"
#include "services/embed-indexer/shelf.h"
#include "services/embed-indexer/store.h"

#define APP_ASKS_BYTES 300

typedef struct intake intake_t;
typedef struct follow follow_t;
typedef struct embedder embedder_t;
typedef struct query_cache query_cache_t;

typedef struct {
    char *model;        /* alias or name for fm.embed; "": its default */
    int64_t dimensions; /* asked for */
} embed_settings_t;

typedef struct {
    service_t *service;
    embed_settings_t *settings;
    shelf_t *shelf;
    store_space_t space;       /* whose vectors are on the shelf */
    char asks[APP_ASKS_BYTES]; /* what is asked for: "embed/256" */
    int64_t last_indexed_us;   /* when the newest book on the shelf changed; 0: none */
    arena_t arena;             /* for one message at a time */
    intake_t *intake;
    follow_t *follow;
    embedder_t *embedder;
    query_cache_t *cache;
} app_t;

#endif
