/* question_resolve.c: which book is meant: held against the catalogue, and against the ERP's where that is empty. */
#include "kit/text.h"
#include "proto/msgpack.h"
#include "services/chat-router/question_internal.h"

#define CATALOG_LIMIT 50
#define LIKENESS_MORE 20 /* volumes of the very book come first, and are passed over */

static const mention_t *mention_of(const question_t *q)
{
    return &q->meaning.mention;
}

/* -- asking ------------------------------------------------------------------------------------------ */
static void catalog_ask(question_t *q, ask_kind_t kind, const catalog_get_request_t *request)
{
    buf_t body = {0};
    error_t err;
    if (catalog_get_request_pack(&body, request, &err))
        ask_start(q, kind, CALL_CATALOG_GET, &body, ask_budget_ms(q, QUESTION_CATALOG_MS, QUESTION_CATALOG_PERCENT));
    else
        q->asks[kind].state = ASK_FAILED;
    buf_free(&body);
}

static void catalog_ask_title(question_t *q, ask_kind_t kind, bytes_t title, bool has_volume, int64_t volume)
{
    catalog_get_request_t request = {0};
    SCHEMA_SET(&request, title, title);
    if (has_volume)
        SCHEMA_SET(&request, volume, volume);
    SCHEMA_SET(&request, limit, CATALOG_LIMIT);
    catalog_ask(q, kind, &request);
}

static void catalog_ask_isbns(question_t *q, bytes_list_t isbns)
{
    catalog_get_request_t request = {0};
    SCHEMA_SET(&request, isbns, isbns);
    catalog_ask(q, ASK_CATALOG, &request);
}

static void search_ask(question_t *q, bytes_t text)
{
    const mention_t *m = mention_of(q);
    bool wants_book = question_wants_book(q);
    if (q->asks[ASK_SEARCH].state != ASK_IDLE)
        return; /* begun while a model was asked what is wanted */
    search_query_request_t request = {.text = text};
    size_t limit = q->input.limit ? q->input.limit : FACTS_HITS_WANTED;
    SCHEMA_SET(&request, limit, (int64_t)limit + 1); /* one more: the book that likeness is sought to */
    if (wants_book && m->has_volume) {
        request.has_filters = true;
        SCHEMA_SET(&request.filters, volume, m->volume);
    }
    buf_t body = {0};
    error_t err;
    if (search_query_request_pack(&body, &request, &err))
        ask_start(q, ASK_SEARCH, CALL_SEARCH_QUERY, &body,
                  ask_budget_ms(q, QUESTION_RESOLVE_MS, QUESTION_RESOLVE_PERCENT));
    else
        q->asks[ASK_SEARCH].state = ASK_FAILED;
    buf_free(&body);
}

static void book_ask(question_t *q)
{
    const mention_t *m = mention_of(q);
    if (m->isbn[0]) {
        bytes_t isbn = bytes_cstr(m->isbn);
        catalog_ask_isbns(q, (bytes_list_t){.items = &isbn, .count = 1});
        return;
    }
    if (m->title.len == 0)
        return;
    catalog_ask_title(q, ASK_CATALOG, m->title, m->has_volume, m->volume);
    if (m->whole_title.len)
        catalog_ask_title(q, ASK_CATALOG_WHOLE, m->whole_title, false, 0);
    search_ask(q, m->title);
}

void resolve_start(question_t *q)
{
    bool wants_book = question_wants_book(q);
    if (wants_book)
        book_ask(q);
    else if (q->meaning.intent == INTENT_RECOMMEND && q->input.isbns.count)
        catalog_ask_isbns(q, q->input.isbns);
    else if ((q->meaning.intent == INTENT_SEARCH || q->meaning.intent == INTENT_RECOMMEND) &&
             q->asks[ASK_SEARCH].state == ASK_IDLE && q->input.text.len)
        search_ask(q, q->input.text);
}

/* -- matching ---------------------------------------------------------------------------------------- */
static bool folds_to(bytes_t title, const buf_t *wanted, bool is_prefix)
{
    buf_t folded = {0};
    text_key(&folded, title);
    bool ok = !folded.failed && wanted->len > 0 &&
              (is_prefix ? bytes_has_prefix(buf_bytes(&folded), buf_bytes(wanted))
                         : bytes_eq(buf_bytes(&folded), buf_bytes(wanted)));
    buf_free(&folded);
    return ok;
}

static bool book_matches(const book_t *book, const buf_t *wanted, bool is_prefix)
{
    return folds_to(book->title, wanted, is_prefix) ||
           (book->has_title_kana && folds_to(book->title_kana, wanted, is_prefix)) ||
           (book->has_title_en && folds_to(book->title_en, wanted, is_prefix));
}

static bool volume_fits(const book_t *book, bool has_volume, int64_t volume)
{
    return !has_volume || (book->has_volume && book->volume == volume);
}

static void book_add(question_t *q, const book_t *book)
{
    facts_t *f = &q->facts;
    for (size_t i = 0; i < f->book_count; i++)
        if (bytes_eq(f->books[i]->isbn, book->isbn))
            return;
    if (f->book_count < FACTS_BOOKS_MAX)
        f->books[f->book_count++] = book;
    else
        f->has_more_volumes = true;
}

/* With the title matched: the newest alone where that is asked for, else those of the volume, in order. */
static void books_take(question_t *q, const book_list_t *items, const buf_t *wanted, bool is_prefix, bool has_volume,
                       int64_t volume)
{
    const book_t *first = NULL, *latest = NULL;
    for (uint32_t i = 0; i < items->count; i++) {
        const book_t *book = &items->items[i];
        if (!book_matches(book, wanted, is_prefix) || !volume_fits(book, has_volume, volume))
            continue;
        if (!first)
            first = book;
        if (!bytes_eq(book->title, first->title))
            continue; /* another work that begins alike */
        if (book->has_volume && (!latest || book->volume > latest->volume))
            latest = book;
        if (!mention_of(q)->wants_latest)
            book_add(q, book);
    }
    if (mention_of(q)->wants_latest && (latest || first))
        book_add(q, latest ? latest : first);
}

static void titles_match(question_t *q, const book_list_t *items, bytes_t title, bool has_volume, int64_t volume)
{
    buf_t wanted = {0};
    text_key(&wanted, title);
    if (!wanted.failed) {
        books_take(q, items, &wanted, false, has_volume, volume);
        if (q->facts.book_count == 0)
            books_take(q, items, &wanted, true, has_volume, volume);
    }
    buf_free(&wanted);
}

static bool items_of(question_t *q, ask_kind_t kind, book_list_t *out)
{
    catalog_get_response_t response;
    if (!ask_ok(q, kind) || !catalog_get_response_unpack(q->asks[kind].reply, &q->arena, &response, NULL))
        return false;
    *out = response.items;
    return true;
}

static void catalog_take(question_t *q)
{
    const mention_t *m = mention_of(q);
    book_list_t items;
    if (items_of(q, ASK_CATALOG, &items)) {
        if (m->isbn[0] || m->title.len == 0)
            for (uint32_t i = 0; i < items.count; i++)
                book_add(q, &items.items[i]);
        else
            titles_match(q, &items, m->title, m->has_volume, m->volume);
    }
    if (q->facts.book_count == 0 && items_of(q, ASK_CATALOG_WHOLE, &items)) {
        titles_match(q, &items, m->whole_title, false, 0);
        if (q->facts.book_count) {
            q->facts.title = m->whole_title;
            q->facts.has_volume = false;
        }
    }
}

static const book_t *book_of_hit(question_t *q, const search_hit_t *hit)
{
    book_t *book = arena_alloc(&q->arena, sizeof(*book));
    if (!book)
        return NULL;
    *book = (book_t){.isbn = hit->isbn,
                     .title = hit->title,
                     .has_volume = hit->has_volume,
                     .volume = hit->volume,
                     .has_creators = hit->has_creators,
                     .creators = hit->creators,
                     .has_price_jpy = hit->has_price_jpy,
                     .price_jpy = hit->price_jpy};
    return book;
}

static void hit_add(question_t *q, const search_hit_t *hit, size_t limit)
{
    for (size_t i = 0; i < q->facts.book_count; i++)
        if (bytes_eq(q->facts.books[i]->isbn, hit->isbn) ||
            (q->meaning.intent == INTENT_RECOMMEND && bytes_eq(q->facts.books[i]->title, hit->title)))
            return;
    if (q->facts.hit_count < limit)
        q->facts.hits[q->facts.hit_count++] = hit;
}

/* A hit is the book only when title and volume are the very ones; else it is merely near. */
static void hits_take(question_t *q)
{
    const mention_t *m = mention_of(q);
    bool wants_book = question_wants_book(q);
    size_t wanted_count = q->input.limit ? q->input.limit : FACTS_HITS_WANTED;
    size_t limit = wanted_count < FACTS_HITS_MAX ? wanted_count : FACTS_HITS_MAX;
    search_query_response_t response;
    buf_t wanted = {0};
    text_key(&wanted, m->title);
    if (!ask_ok(q, ASK_SEARCH) ||
        !search_query_response_unpack(q->asks[ASK_SEARCH].reply, &q->arena, &response, NULL) || wanted.failed)
        response.hits.count = 0;
    bool had_books = q->facts.book_count > 0;
    for (uint32_t i = 0; i < response.hits.count; i++) {
        const search_hit_t *hit = &response.hits.items[i];
        bool is_same = folds_to(hit->title, &wanted, false);
        const book_t *book = NULL;
        if (wants_book && !had_books && is_same && m->has_volume && hit->has_volume && hit->volume == m->volume)
            book = book_of_hit(q, hit);
        if (book)
            book_add(q, book);
        else if (!(q->meaning.intent == INTENT_RECOMMEND && is_same))
            hit_add(q, hit, limit);
    }
    buf_free(&wanted);
}

bool resolve_is_done(const question_t *q)
{
    bool wants_book = question_wants_book(q);
    if (ask_runs(q, ASK_CATALOG) || ask_runs(q, ASK_CATALOG_WHOLE))
        return false;
    /* Who wants a book does not wait for the search: the ERP's pages are read meanwhile. */
    return wants_book || !ask_runs(q, ASK_SEARCH);
}

void resolve_take(question_t *q)
{
    catalog_take(q);
    if (ask_failed(q, ASK_CATALOG))
        q->facts.missing |= PART_CATALOG;
}

/* A recommendation by likeness to books asks the search once the catalogue has said what they are. */
void likeness_begin(question_t *q)
{
    const book_t *book = q->facts.book_count ? q->facts.books[0] : NULL;
    if (q->meaning.intent != INTENT_RECOMMEND || !book || q->asks[ASK_SEARCH].state != ASK_IDLE)
        return;
    search_query_request_t request = {.text = book->title};
    buf_t body = {0};
    error_t err;
    SCHEMA_SET(&request, limit, (int64_t)(q->input.limit ? q->input.limit : FACTS_HITS_WANTED) + LIKENESS_MORE);
    if (search_query_request_pack(&body, &request, &err))
        ask_start(q, ASK_SEARCH, CALL_SEARCH_QUERY, &body,
                  ask_budget_ms(q, QUESTION_RESOLVE_MS, QUESTION_RESOLVE_PERCENT));
    buf_free(&body);
}

void search_take(question_t *q)
{
    bool wants_book = question_wants_book(q);
    bool is_known = wants_book && q->facts.book_count > 0;
    if (is_known)
        ask_drop(q, ASK_SEARCH, "not needed: the book is known");
    hits_take(q);
    if (ask_failed(q, ASK_SEARCH) && !is_known && q->asks[ASK_SEARCH].status != STATUS_CANCELLED)
        q->facts.missing |= PART_SEARCH;
}

/* -- the ERP's catalogue ------------------------------------------------------------------------------ */
static void page_ask(question_t *q)
{
    erp_catalog_page_request_t request = {0};
    int64_t left_ms = q->scan_pages ? (q->asks[ASK_SCAN].limit_us - q->ports.now_us(q->ports.ctx)) / 1000
                                    : ask_budget_ms(q, QUESTION_SCAN_MS, QUESTION_SCAN_PERCENT);
    if (q->scan_cursor.len)
        SCHEMA_SET(&request, cursor, q->scan_cursor);
    SCHEMA_SET(&request, page_size, ERP_CATALOG_PAGE_MAX);
    buf_t body = {0};
    error_t err;
    q->scan_pages++;
    if (erp_catalog_page_request_pack(&body, &request, &err))
        ask_start(q, ASK_SCAN, CALL_ERP_CATALOG_PAGE, &body, left_ms);
    else
        q->asks[ASK_SCAN].state = ASK_FAILED;
    buf_free(&body);
}

static void summary_ask(question_t *q)
{
    erp_product_summary_request_t request = {.isbn = bytes_cstr(mention_of(q)->isbn)};
    buf_t body = {0};
    error_t err;
    if (erp_product_summary_request_pack(&body, &request, &err))
        ask_start(q, ASK_SUMMARY, CALL_ERP_PRODUCT_SUMMARY, &body,
                  ask_budget_ms(q, QUESTION_SCAN_MS, QUESTION_SCAN_PERCENT));
    buf_free(&body);
}

void scan_start(question_t *q)
{
    if (mention_of(q)->isbn[0])
        summary_ask(q);
    else if (mention_of(q)->title.len)
        page_ask(q);
}

static void summary_take(question_t *q)
{
    erp_product_summary_response_t *response = arena_alloc(&q->arena, sizeof(*response));
    if (!response || !erp_product_summary_response_unpack(q->asks[ASK_SUMMARY].reply, &q->arena, response, NULL))
        return;
    if (response->has_book)
        book_add(q, &response->book);
    if (response->has_lines && q->facts.line_count == 0) {
        q->facts.lines = response->lines.items;
        q->facts.line_count = response->lines.count;
    }
    if (response->has_book || response->has_lines)
        q->facts.missing &= ~(unsigned)PART_CATALOG;
}

static void page_match(question_t *q, const book_list_t *items)
{
    const mention_t *m = mention_of(q);
    titles_match(q, items, m->title, m->has_volume, m->volume);
    if (q->facts.book_count || m->whole_title.len == 0)
        return;
    titles_match(q, items, m->whole_title, false, 0);
    if (q->facts.book_count) {
        q->facts.title = m->whole_title;
        q->facts.has_volume = false;
    }
}

bool scan_go_on(question_t *q)
{
    erp_catalog_page_response_t response;
    if (ask_ok(q, ASK_SUMMARY))
        summary_take(q);
    if (!ask_ok(q, ASK_SCAN) || !erp_catalog_page_response_unpack(q->asks[ASK_SCAN].reply, &q->arena, &response, NULL))
        return false;
    page_match(q, &response.items);
    if (q->facts.book_count) {
        q->facts.missing &= ~(unsigned)PART_CATALOG;
        return false;
    }
    if (!response.has_next_cursor) { /* the whole list was read: it is not there */
        q->facts.missing &= ~(unsigned)PART_CATALOG;
        return false;
    }
    q->scan_cursor = response.next_cursor;
    if (q->scan_pages >= QUESTION_SCAN_PAGES_MAX)
        return false;
    page_ask(q);
    return ask_runs(q, ASK_SCAN);
}
