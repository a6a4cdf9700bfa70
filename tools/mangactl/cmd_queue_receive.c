/* cmd_queue_receive.c: receives messages by the operator's hand, and says later what became of them. */
#include <stdlib.h>

#include "proto/base64.h"
#include "proto/delivery_map.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/message_line.h"
#include "tools/mangactl/verbs.h"

#define MS_PER_S 1000
#define US_PER_MS 1000
#define RECEIPT_BYTES 64 /* no receipt is longer */
#define SELECT_SIGN ","  /* between names */

typedef struct {
    ctl_t *ctl;
    int64_t visibility_ms;
    bool is_ack;
    bool gives_back;  /* what is refused then is visible again already */
    int64_t until_us; /* the broker's clock */
    buf_t messages;   /* maps, one after the other */
    uint8_t receipts[FIELDS_LIST_MAX][RECEIPT_BYTES];
    wire_msg_t out; /* the frame that is sent */
    int code;
} hand_t;

static hand_t *hand_new(ctl_t *ctl)
{
    hand_t *hand = calloc(1, sizeof *hand);
    if (hand)
        hand->ctl = ctl;
    return hand;
}

static void hand_free(hand_t *hand)
{
    buf_free(&hand->messages);
    free(hand);
}

static int out_of_memory(ctl_t *ctl)
{
    return ctl_complain(ctl, CTL_TRY_AGAIN, "out of memory");
}

/* -- settling -------------------------------------------------------------------------------------- */
/* False when it changed nothing. */
static bool tell_result(ctl_t *ctl, const wire_status_entry_t *result)
{
    error_t err = {.code = (status_t)result->status};
    if (result->status == STATUS_OK && !result->message.len)
        return true;
    (void)bytes_to_cstr(result->aws, err.aws, sizeof err.aws);
    (void)bytes_to_cstr(result->message, err.message, sizeof err.message);
    (void)ctl_fail(ctl, &err);
    return false;
}

static void on_settled(void *ctx, const error_t *err, const wire_msg_t *answer)
{
    hand_t *hand = ctx;
    if (err)
        hand->code = ctl_fail(hand->ctl, err);
    for (uint32_t i = 0; !err && !hand->gives_back && i < answer->settled.results.count; i++) {
        const wire_status_entry_t *result = &answer->settled.results.items[i];
        if (!tell_result(hand->ctl, result))
            hand->code = result->status == STATUS_OK ? CTL_NO : ctl_exit_code((status_t)result->status);
    }
    ctl_done(hand->ctl);
}

/* Sends hand->out. */
static int settle(hand_t *hand)
{
    error_t err = {0};
    hand->code = CTL_OK;
    if (!bus_settle_once(hand->ctl->bus, &hand->out.settle, on_settled, hand, &err))
        return ctl_fail(hand->ctl, &err);
    ctl_wait(hand->ctl);
    return hand->ctl->interrupted ? CTL_TRY_AGAIN : hand->code;
}

/* The session ends with this program, and what it holds would return at once: so it is given back for later, when the
 * visibility would have ended. Until then its receipt can acknowledge or reject it, from anywhere. */
static int settle_received(hand_t *hand)
{
    wire_settle_t *frame = &hand->out.settle;
    int64_t left_ms = (hand->until_us - ctl_broker_now_us(hand->ctl)) / US_PER_MS;
    for (uint32_t i = 0; i < frame->entries.count; i++) {
        wire_settle_entry_t *entry = &frame->entries.items[i];
        entry->action = hand->is_ack ? WIRE_ACK : WIRE_RELEASE;
        entry->delay_ms = hand->is_ack || left_ms < 0 ? 0 : left_ms;
    }
    hand->gives_back = !hand->is_ack;
    return settle(hand);
}

/* -- receiving ------------------------------------------------------------------------------------- */
static void put_text(buf_t *out, const char *key, bytes_t value)
{
    mp_put_cstr(out, key);
    mp_put_str(out, value);
}

static void put_receipt(hand_t *hand, buf_t *out, bytes_t receipt)
{
    char until[TIMEFMT_MS_BYTES];
    buf_t text = {0};
    timefmt_ms(hand->until_us, until);
    base64_encode(&text, receipt);
    put_text(out, "receipt", buf_bytes(&text));
    put_text(out, "invisible_until", bytes_cstr(until));
    buf_free(&text);
}

/* As QUEUE peek has it, and the receipt. */
static void put_message(hand_t *hand, buf_t *out, const wire_delivery_t *m)
{
    mp_put_map(out, hand->is_ack ? DELIVERY_MAP_PAIRS : DELIVERY_MAP_PAIRS + 2);
    if (!hand->is_ack)
        put_receipt(hand, out, m->receipt);
    delivery_map_put(out, m);
}

/* Keeps the receipt for the frame that will settle it. */
static void take_receipt(hand_t *hand, bytes_t receipt)
{
    wire_settle_t *frame = &hand->out.settle;
    uint8_t *kept = hand->receipts[frame->entries.count];
    size_t len = receipt.len < RECEIPT_BYTES ? receipt.len : RECEIPT_BYTES;
    memcpy(kept, receipt.data, len);
    frame->entries.items[frame->entries.count++] = (wire_settle_entry_t){.receipt = bytes_from(kept, len)};
}

static void on_received(void *ctx, const error_t *err, const wire_msg_t *answer)
{
    hand_t *hand = ctx;
    hand->out.settle.entries.count = 0;
    hand->until_us = ctl_broker_now_us(hand->ctl) + hand->visibility_ms * US_PER_MS;
    if (err)
        hand->code = ctl_fail(hand->ctl, err);
    for (uint32_t i = 0; !err && i < answer->received.deliveries.count; i++) {
        take_receipt(hand, answer->received.deliveries.items[i].receipt);
        put_message(hand, &hand->messages, &answer->received.deliveries.items[i]);
    }
    ctl_done(hand->ctl);
}

static void print_receipt(ctl_t *ctl, bytes_t message)
{
    fprintf(ctl->out, "  %sreceipt %.*s%s\n", ctl_dim(ctl), BYTES_FMT(ctl_map_text(message, "receipt", "")),
            ctl_plain(ctl));
}

/* What was printed is settled; what was not returns to its queue when the session ends. */
static int print_received(hand_t *hand)
{
    ctl_t *ctl = hand->ctl;
    mp_reader_t reader = mp_reader(buf_bytes(&hand->messages));
    bytes_t message;
    int code = CTL_OK;
    if (hand->messages.failed)
        return out_of_memory(ctl);
    while (code == CTL_OK && reader.pos < reader.end && mp_get_raw(&reader, &message)) {
        code = message_line_print(ctl, message);
        if (!ctl->json && !hand->is_ack)
            print_receipt(ctl, message);
    }
    if (code == CTL_OK && fflush(ctl->out) != 0)
        code = ctl_complain(ctl, CTL_DISK, "cannot write: what was received returns to its queue");
    return code;
}

static void tell_what_follows(const hand_t *hand)
{
    char until[TIMEFMT_MS_BYTES];
    uint32_t count = hand->out.settle.entries.count;
    timefmt_ms(hand->until_us, until);
    if (hand->is_ack)
        ctl_note(hand->ctl, "%u acknowledged: gone from the queue", count);
    else
        ctl_note(hand->ctl, "%u invisible until %s; mangactl queue settle RECEIPT acknowledges one", count, until);
}

static int receive(hand_t *hand)
{
    ctl_t *ctl = hand->ctl;
    error_t err = {0};
    hand->code = CTL_OK;
    if (!bus_receive_once(ctl->bus, &hand->out.receive, on_received, hand, &err))
        return ctl_fail(ctl, &err);
    ctl_wait(ctl);
    if (ctl->interrupted || hand->code != CTL_OK)
        return ctl->interrupted ? CTL_TRY_AGAIN : hand->code;
    if (!hand->out.settle.entries.count) {
        ctl_note(ctl, "nothing came");
        return CTL_NO;
    }
    int code = print_received(hand);
    if (code == CTL_OK)
        code = settle_received(hand);
    if (code == CTL_OK)
        tell_what_follows(hand);
    return code;
}

/* -- options --------------------------------------------------------------------------------------- */
/* "a,b.*" as RECEIVE has selectors; nothing for none. */
static void put_select(buf_t *out, const char *names)
{
    uint32_t count = 0;
    if (!names)
        return;
    mp_put_map(out, 1);
    mp_put_cstr(out, "MessageAttributeNames");
    size_t at = mp_array_begin(out);
    for (const char *name = names; *name; count++) {
        size_t len = strcspn(name, SELECT_SIGN);
        mp_put_str(out, bytes_from(name, len));
        name += len + (name[len] != '\0');
    }
    mp_array_end(out, at, count);
}

/* How long the queue keeps what was received invisible. */
static bool ask_visibility(ctl_t *ctl, const char *queue, int64_t *ms, int *code)
{
    buf_t info = {0};
    bytes_t attributes;
    bool ok = ctl_ask(ctl, WIRE_QUEUE, "info", queue, BYTES_NONE, BYTES_NONE, &info, code);
    if (ok && mp_map_find(buf_bytes(&info), "attributes", &attributes))
        *ms = (int64_t)ctl_map_number(attributes, "VisibilityTimeout") * MS_PER_S;
    buf_free(&info);
    return ok;
}

static int receive_as_asked(hand_t *hand, const args_t *args, bytes_t select)
{
    int code = CTL_OK;
    hand->is_ack = args_given(args, "ack");
    hand->visibility_ms = args_number(args, "visibility", -1);
    if (hand->visibility_ms < 0 && !ask_visibility(hand->ctl, args->positional[0], &hand->visibility_ms, &code))
        return code;
    if (!hand->ctl->bus && !ctl_connect(hand->ctl, &code))
        return code;
    hand->out.receive = (wire_receive_t){.queue = bytes_cstr(args->positional[0]),
                                         .max = (uint64_t)args_number(args, "max", 1),
                                         .wait_ms = (uint64_t)args_number(args, "wait", 0),
                                         .visibility_ms = hand->visibility_ms,
                                         .attempt = bytes_cstr(args_text(args, "attempt", "")),
                                         .attributes = select};
    return receive(hand);
}

static int run_receive(ctl_t *ctl, const args_t *args)
{
    hand_t *hand = hand_new(ctl);
    buf_t select = {0};
    if (!hand)
        return out_of_memory(ctl);
    put_select(&select, args_text(args, "select", NULL));
    int code = receive_as_asked(hand, args, buf_bytes(&select));
    ctl_disconnect(ctl); /* no callback comes any more */
    buf_free(&select);
    hand_free(hand);
    return code;
}

static const arg_option_t RECEIVE_OPTIONS[] = {
    {"max", ARG_COUNT, "N", "at most so many messages, 1 to 10 (1)"},
    {"wait", ARG_DURATION, "TIME", "wait for a message, at most 20s (not at all)"},
    {"visibility", ARG_DURATION, "TIME", "invisible for so long, at most 12h (the queue's own)"},
    {"attempt", ARG_TEXT, "ID", "FIFO: the same messages as an attempt of this name that got no answer"},
    {"select", ARG_TEXT, "NAMES", "only these attributes: names, or prefixes such as app.*, between commas (all)"},
    {"ack", ARG_FLAG, NULL, "acknowledge what was printed: it is gone"},
};

static const char *const RECEIVE_EXAMPLES[] = {
    "mangactl queue receive manga-deferred-queue --visibility 5m",
    "mangactl queue receive manga-deferred-queue --max 2 --wait 1s --ack --json",
    NULL,
};

const command_t command_queue_receive = {
    .name = "queue receive",
    .arguments = "QUEUE",
    .summary = "receive messages, as a consumer would",
    .about = "The receive counts (mangactl queue peek only looks). What was received stays invisible until its\n"
             "visibility ends, also when this program has ended, and then comes again; until then its receipt can\n"
             "acknowledge or reject it: mangactl queue settle. With --ack it is acknowledged here, once it is\n"
             "printed. Exit code 1 when nothing came.",
    .options = CTL_OPTIONS(RECEIVE_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = RECEIVE_EXAMPLES,
    .run = run_receive,
};

/* -- settle ---------------------------------------------------------------------------------------- */
static bool read_receipts(hand_t *hand, const args_t *args, error_t *err)
{
    const char *reason = args_text(args, "reject", NULL);
    for (int i = 0; i < args->count; i++) {
        buf_t receipt = {0};
        bool ok = base64_decode(&receipt, bytes_cstr(args->positional[i]), err) ||
                  error_prefix(err, "\"%s\" is no receipt", args->positional[i]);
        if (ok)
            take_receipt(hand, buf_bytes(&receipt));
        buf_free(&receipt);
        if (!ok)
            return false;
        wire_settle_entry_t *entry = &hand->out.settle.entries.items[i];
        entry->action = reason ? WIRE_REJECT : WIRE_ACK;
        entry->reason = bytes_cstr(reason ? reason : "");
    }
    return true;
}

static int settle_as_asked(hand_t *hand, const args_t *args)
{
    error_t err = {0};
    int code = CTL_OK;
    if (!read_receipts(hand, args, &err))
        return ctl_fail(hand->ctl, &err);
    if (!ctl_connect(hand->ctl, &code))
        return code;
    code = settle(hand);
    if (code == CTL_OK)
        ctl_note(hand->ctl, "%d %s", args->count, args_given(args, "reject") ? "rejected" : "acknowledged");
    return code;
}

static int run_settle(ctl_t *ctl, const args_t *args)
{
    hand_t *hand = hand_new(ctl);
    if (!hand)
        return out_of_memory(ctl);
    int code = settle_as_asked(hand, args);
    ctl_disconnect(ctl);
    hand_free(hand);
    return code;
}

static const arg_option_t SETTLE_OPTIONS[] = {
    {"reject", ARG_TEXT, "REASON", "to the dead letters instead, with this reason"},
};

static const char *const SETTLE_EXAMPLES[] = {
    "mangactl queue receive manga-deferred-queue | sed -n 's/^  receipt //p' | xargs -r mangactl queue settle",
    NULL,
};

const command_t command_queue_settle = {
    .name = "queue settle",
    .arguments = "RECEIPT...",
    .summary = "acknowledge or reject what mangactl queue receive brought",
    .about = "An acknowledged message is gone, a rejected one moves to the dead letters of its queue (where it has\n"
             "none, it comes again). A receipt is good until its message was received again: then nothing is\n"
             "deleted, and the exit code is 1.",
    .options = CTL_OPTIONS(SETTLE_OPTIONS),
    .least = 1,
    .most = ARGS_POSITIONAL_MAX,
    .examples = SETTLE_EXAMPLES,
    .run = run_settle,
};
