/* catalog.h: events of catalogue changes on the bus MangaAssist-AI-Events. */
#ifndef PROTO_CONTRACT_CATALOG_H
#define PROTO_CONTRACT_CATALOG_H

#include "proto/contract/ai.h"

#define CATALOG_SOURCE "mangaassist.catalog"
#define CATALOG_NEW_RELEASE "CatalogUpdate.new_release"
#define CATALOG_PRICE_CHANGE "CatalogUpdate.price_change"
#define CATALOG_DISCONTINUED "CatalogUpdate.discontinued"

/* clang-format off: one row, one member */

#define CATALOG_UPDATE_ROWS(X, T)                                                                                      \
    X(T, product_id, "product_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "the publisher's number, or the ISBN")         \
    X(T, isbn, "isbn", STR, OPT, FORMAT(ISBN13), "which book; absent for what is no book")                             \
    X(T, title, "title", STR, REQ, LEN(1, CONTRACT_TITLE_BYTES), "its title")                                          \
    X(T, update_type, "update_type", STR, REQ, ENUM("new_release", "price_change", "discontinued"),                    \
      "as in the detail-type")                                                                                         \
    X(T, version, "version", I64, OPT, RANGE(0, INT64_MAX), "of the catalogue entry: an older one never overwrites")   \
    X(T, data, "data", MAP, OPT, COUNT(0, 1000), "the entry, in the shape of `book` when it is ours")                  \
    X(T, actions, "actions", STRS, OPT,                                                                                \
      EACH_ENUM(0, 8, "regenerate_embedding", "update_search_index", "notify_subscribers"), "what it asks for")        \
    X(T, timestamp, "timestamp", STR, REQ, FORMAT(RFC3339), "when")

#define CATALOG_SCHEMAS(S) S(catalog_update, CATALOG_UPDATE_ROWS, "detail", "one catalogue entry changed")

#define CATALOG_EVENTS(E)                                                                                              \
    E(AI_BUS, CATALOG_SOURCE, CATALOG_NEW_RELEASE, catalog_update,                                                     \
      "a book is new in the catalogue, or its text changed")                                                           \
    E(AI_BUS, CATALOG_SOURCE, CATALOG_PRICE_CHANGE, catalog_update, "a book's price changed")                          \
    E(AI_BUS, CATALOG_SOURCE, CATALOG_DISCONTINUED, catalog_update, "a book is no longer sold")

/* clang-format on */

CATALOG_SCHEMAS(SCHEMA_DECLARE)

#endif
