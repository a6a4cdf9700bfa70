/* coalescer.c: a hash table of books, each with its list of askers, in one of two queues or in a batch. */
#include "services/acl-erp/coalescer.h"

#include <stdlib.h>

typedef struct book book_entry_t;

struct coalescer_wait {
    book_entry_t *book;
    coalescer_wait_t *next, *previous;
    int64_t deadline_us;
    coalescer_fn fn;
    void *ctx;
    bool is_live;
};

typedef struct queue queue_t;

struct book {
    char isbn[ISBN13_TEXT_BYTES];
    book_entry_t *chain;           /* of the table's slot */
    book_entry_t *next, *previous; /* in its queue */
    queue_t *queue;                /* NULL: in a batch */
    coalescer_wait_t *waits;
    int64_t added_us;
};

struct queue {
    book_entry_t *first, *last;
    size_t count;
};

struct coalescer_batch {
    book_entry_t *books[COALESCER_BATCH_MAX];
    size_t count;
    int64_t sent_us;
    coalescer_batch_t *next, *previous;
};

struct coalescer {
    coalescer_options_t options;
    book_entry_t *slots[COALESCER_TABLE_SLOTS];
    queue_t live, other;
    coalescer_batch_t *batches;
    coalescer_stats_t stats;
};

/* -- the table --------------------------------------------------------------------------------------------- */
static book_entry_t **slot_of(coalescer_t *self, bytes_t isbn)
{
    uint64_t number = 0;
    for (size_t i = 0; i < isbn.len; i++)
        number = number * 10 + (uint64_t)(isbn.data[i] - '0');
    /* The last digit is a check digit: it says nothing new. */
    return &self->slots[number / 10 % COALESCER_TABLE_SLOTS];
}

static book_entry_t *book_find(coalescer_t *self, bytes_t isbn)
{
    book_entry_t *book = *slot_of(self, isbn);
    while (book && !bytes_eq_cstr(isbn, book->isbn))
        book = book->chain;
    return book;
}

static void book_unchain(coalescer_t *self, book_entry_t *book)
{
    book_entry_t **link = slot_of(self, bytes_cstr(book->isbn));
    while (*link != book)
        link = &(*link)->chain;
    *link = book->chain;
}

/* -- queues -------------------------------------------------------------------------------------------------- */
static void queue_push(queue_t *queue, book_entry_t *book)
{
    book->queue = queue;
    book->next = NULL;
    book->previous = queue->last;
    if (queue->last)
        queue->last->next = book;
    else
        queue->first = book;
    queue->last = book;
    queue->count++;
}

static void queue_remove(book_entry_t *book)
{
    queue_t *queue = book->queue;
    if (book->previous)
        book->previous->next = book->next;
    else
        queue->first = book->next;
    if (book->next)
        book->next->previous = book->previous;
    else
        queue->last = book->previous;
    queue->count--;
    book->queue = NULL;
}

/* -- asking --------------------------------------------------------------------------------------------------- */
coalescer_t *coalescer_new(const coalescer_options_t *options)
{
    coalescer_t *self = calloc(1, sizeof(*self));
    if (self)
        self->options = *options;
    return self;
}

static book_entry_t *book_new(coalescer_t *self, bytes_t isbn, int64_t now_us)
{
    book_entry_t *book = calloc(1, sizeof(*book));
    if (!book)
        return NULL;
    (void)bytes_to_cstr(isbn, book->isbn, sizeof(book->isbn));
    book->added_us = now_us;
    book_entry_t **slot = slot_of(self, isbn);
    book->chain = *slot;
    *slot = book;
    queue_push(&self->other, book);
    return book;
}

static void wait_link(book_entry_t *book, coalescer_wait_t *wait)
{
    wait->book = book;
    wait->next = book->waits;
    if (book->waits)
        book->waits->previous = wait;
    book->waits = wait;
}

coalescer_wait_t *coalescer_add(coalescer_t *self, bytes_t isbn, bool is_live, int64_t deadline_us, int64_t now_us,
                                coalescer_fn fn, void *ctx, error_t *err)
{
    coalescer_wait_t *wait = self->stats.waits < COALESCER_WAITS_MAX ? calloc(1, sizeof(*wait)) : NULL;
    book_entry_t *book = wait ? book_find(self, isbn) : NULL;
    self->stats.joined += book != NULL;
    if (wait && !book)
        book = book_new(self, isbn, now_us);
    if (!book) {
        free(wait);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "too many questions wait for the ERP");
        return NULL;
    }
    *wait = (coalescer_wait_t){.deadline_us = deadline_us, .fn = fn, .ctx = ctx, .is_live = is_live};
    wait_link(book, wait);
    if (is_live && book->queue == &self->other) {
        queue_remove(book);
        queue_push(&self->live, book);
    }
    self->stats.waits++;
    self->stats.asked++;
    return wait;
}

static void wait_unlink(coalescer_t *self, coalescer_wait_t *wait)
{
    if (wait->previous)
        wait->previous->next = wait->next;
    else
        wait->book->waits = wait->next;
    if (wait->next)
        wait->next->previous = wait->previous;
    self->stats.waits--;
    free(wait);
}

void coalescer_cancel(coalescer_t *self, coalescer_wait_t *wait)
{
    book_entry_t *book = wait->book;
    wait_unlink(self, wait);
    if (book->waits || !book->queue)
        return;
    queue_remove(book);
    book_unchain(self, book);
    free(book);
}

/* -- batches --------------------------------------------------------------------------------------------------- */
int64_t coalescer_due_us(const coalescer_t *self, bool is_live)
{
    const queue_t *queue = is_live ? &self->live : &self->other;
    if (!queue->first)
        return INT64_MAX;
    if (queue->count >= COALESCER_BATCH_MAX)
        return queue->first->added_us;
    return queue->first->added_us + (self->batches ? self->options.gather_busy_us : self->options.gather_idle_us);
}

static void batch_fill(coalescer_batch_t *batch, queue_t *queue)
{
    while (queue->first && batch->count < COALESCER_BATCH_MAX) {
        book_entry_t *book = queue->first;
        queue_remove(book);
        batch->books[batch->count++] = book;
    }
}

coalescer_batch_t *coalescer_take(coalescer_t *self, bool only_live, int64_t now_us)
{
    bool has_any = self->live.first || (!only_live && self->other.first);
    coalescer_batch_t *batch = has_any ? calloc(1, sizeof(*batch)) : NULL;
    if (!batch)
        return NULL;
    batch_fill(batch, &self->live);
    batch_fill(batch, &self->other);
    batch->sent_us = now_us;
    batch->next = self->batches;
    if (self->batches)
        self->batches->previous = batch;
    self->batches = batch;
    self->stats.batches++;
    return batch;
}

size_t coalescer_batch_count(const coalescer_batch_t *batch)
{
    return batch->count;
}

const char *coalescer_batch_isbn(const coalescer_batch_t *batch, size_t index)
{
    return batch->books[index]->isbn;
}

int64_t coalescer_batch_deadline_us(const coalescer_batch_t *batch)
{
    int64_t latest = 0;
    for (size_t i = 0; i < batch->count; i++)
        for (const coalescer_wait_t *wait = batch->books[i]->waits; wait; wait = wait->next)
            latest = wait->deadline_us > latest ? wait->deadline_us : latest;
    return latest;
}

/* -- ending ------------------------------------------------------------------------------------------------------ */
/* One asker after another: a callback may cancel others of the same book, so none is remembered across it; who asks
 * for the book anew must not join what has ended, so it leaves the table first. */
static void book_end(coalescer_t *self, book_entry_t *book, const coalescer_result_t *result)
{
    book_unchain(self, book);
    while (book->waits) {
        coalescer_wait_t *wait = book->waits;
        coalescer_fn fn = wait->fn;
        void *ctx = wait->ctx;
        wait_unlink(self, wait);
        fn(ctx, book->isbn, result);
    }
    free(book);
}

static void batch_unlink(coalescer_t *self, coalescer_batch_t *batch)
{
    if (batch->previous)
        batch->previous->next = batch->next;
    else
        self->batches = batch->next;
    if (batch->next)
        batch->next->previous = batch->previous;
    self->stats.batches--;
}

static void batch_end(coalescer_t *self, coalescer_batch_t *batch, const void *const *answers,
                      coalescer_result_t *result)
{
    batch_unlink(self, batch);
    result->batch_isbns = batch->count;
    result->sent_us = batch->sent_us;
    for (size_t i = 0; i < batch->count; i++) {
        result->answer = answers ? answers[i] : NULL;
        book_end(self, batch->books[i], result);
    }
    free(batch);
}

void coalescer_settle(coalescer_t *self, coalescer_batch_t *batch, const void *const *answers, int64_t now_us)
{
    coalescer_result_t result = {.done_us = now_us};
    batch_end(self, batch, answers, &result);
}

void coalescer_fail(coalescer_t *self, coalescer_batch_t *batch, const error_t *err, int64_t now_us)
{
    coalescer_result_t result = {.err = err, .done_us = now_us};
    batch_end(self, batch, NULL, &result);
}

static void queue_fail(coalescer_t *self, queue_t *queue, const coalescer_result_t *result)
{
    /* What callbacks add anew goes to the end and is not for this round. */
    for (size_t left = queue->count; left && queue->first; left--) {
        book_entry_t *book = queue->first;
        queue_remove(book);
        book_end(self, book, result);
    }
}

void coalescer_fail_waiting(coalescer_t *self, const error_t *err, int64_t now_us)
{
    coalescer_result_t result = {.err = err, .done_us = now_us};
    queue_fail(self, &self->live, &result);
    queue_fail(self, &self->other, &result);
}

static void book_drop(coalescer_t *self, book_entry_t *book)
{
    while (book->waits)
        wait_unlink(self, book->waits);
    free(book);
}

void coalescer_free(coalescer_t **coalescer)
{
    coalescer_t *self = *coalescer;
    if (!self)
        return;
    for (size_t i = 0; i < COALESCER_TABLE_SLOTS; i++)
        while (self->slots[i]) {
            book_entry_t *book = self->slots[i];
            self->slots[i] = book->chain;
            book_drop(self, book);
        }
    while (self->batches) {
        coalescer_batch_t *batch = self->batches;
        self->batches = batch->next;
        free(batch);
    }
    free(self);
    *coalescer = NULL;
}

coalescer_stats_t coalescer_stats(const coalescer_t *self)
{
    coalescer_stats_t stats = self->stats;
    stats.pending_live = self->live.count;
    stats.pending_other = self->other.count;
    return stats;
}
