/* test_contract.c: every table of the contract, walked: what is valid comes back, what breaks a limit is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/contract.h"
#include "proto/msgpack.h"
#include "tests/lib/schema_random.h"

#define ROUNDS 20

/* -- what is valid comes back ---------------------------------------------------------------------- */

static void round_trip(const char *name, const schema_t *schema, random_t *random, bool all)
{
    arena_t arena;
    arena_init(&arena, 0);
    const void *value = schema_random(random, schema, all, &arena);
    void *again = calloc(1, schema->struct_bytes ? schema->struct_bytes : 1);
    buf_t first = {0};
    buf_t second = {0};
    error_t err = {0};
    if (!schema_pack(schema, &first, value, &err) || !schema_validate(schema, buf_bytes(&first), &err) ||
        !schema_unpack(schema, buf_bytes(&first), &arena, again, &err) || !schema_pack(schema, &second, again, &err))
        fail_msg("%s: %s", name, err.message);
    assert_true(first.len > 0 && bytes_eq(buf_bytes(&first), buf_bytes(&second)));
    buf_free(&first);
    buf_free(&second);
    free(again);
    arena_free(&arena);
}

static void each_comes_back(void *ctx, const char *name, const schema_t *schema)
{
    for (int i = 0; i < ROUNDS; i++)
        round_trip(name, schema, ctx, i == 0);
}

static void every_schema_comes_back_as_it_was_packed(void **state)
{
    (void)state;
    random_t random = {7};
    schema_each(each_comes_back, &random);
}

/* -- what breaks a limit is named ------------------------------------------------------------------ */

typedef struct {
    const char *name;
    const schema_t *schema;
    char *value; /* all members there, valid */
    arena_t *arena;
    int broken; /* limits tried */
} victim_t;

/* The value as it is now is refused, and the message begins with the member's path. */
static void assert_refused(victim_t *v, const schema_field_t *f, const char *entry)
{
    buf_t out = {0};
    error_t err = {0};
    char path[256];
    snprintf(path, sizeof path, "%s.%s%s: ", v->schema->root, f->name, entry);
    if (schema_pack(v->schema, &out, v->value, &err))
        fail_msg("%s: %s was taken", v->name, path);
    if (strncmp(err.message, path, strlen(path)) != 0)
        fail_msg("%s: the message \"%s\" does not begin with \"%s\"", v->name, err.message, path);
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    assert_int_equal(out.len, 0);
    buf_free(&out);
    v->broken++;
}

static bytes_t text_of(victim_t *v, size_t len)
{
    char *text = arena_alloc(v->arena, len + 1);
    assert_non_null(text);
    memset(text, '~', len);
    return bytes_from(text, len);
}

static void set(victim_t *v, const schema_field_t *f, const void *value, size_t size, const char *entry)
{
    char kept[64];
    assert_true(size <= sizeof kept);
    memcpy(kept, v->value + f->offset, size);
    memcpy(v->value + f->offset, value, size);
    assert_refused(v, f, entry);
    memcpy(v->value + f->offset, kept, size);
}

static void set_i64(victim_t *v, const schema_field_t *f, int64_t value)
{
    set(v, f, &value, sizeof value, "");
}

static void set_f64(victim_t *v, const schema_field_t *f, double value)
{
    set(v, f, &value, sizeof value, "");
}

static void set_text(victim_t *v, const schema_field_t *f, bytes_t text, bool is_list)
{
    struct {
        const bytes_t *items;
        uint32_t count;
    } list = {&text, 1};
    if (!is_list)
        set(v, f, &text, sizeof text, "");
    else if (f->count_min <= 1)
        set(v, f, &list, sizeof list, "[0]");
}

static void break_text(victim_t *v, const schema_field_t *f, bool is_list)
{
    bool is_binary = f->kind == SCHEMA_BIN || f->kind == SCHEMA_BINS;
    if (f->enum_values || f->format != SCHEMA_FORMAT_NONE)
        set_text(v, f, text_of(v, 13), is_list);
    else
        set_text(v, f, text_of(v, (size_t)(f->bounded ? f->max : SCHEMA_LEN_DEFAULT_BYTES) + 1), is_list);
    if (f->bounded && f->min > 0)
        set_text(v, f, text_of(v, (size_t)f->min - 1), is_list);
    if (!is_binary)
        set_text(v, f, BYTES_LIT("\xff\xfe"), is_list);
}

static void break_number(victim_t *v, const schema_field_t *f)
{
    if (f->bounded && f->max < INT64_MAX)
        set_i64(v, f, f->max + 1);
    if (f->bounded && f->min > INT64_MIN)
        set_i64(v, f, f->min - 1);
}

static void break_count(victim_t *v, const schema_field_t *f)
{
    struct {
        const void *items;
        uint32_t count;
    } list = {v->value, (f->count_max ? f->count_max : SCHEMA_COUNT_DEFAULT) + 1};
    set(v, f, &list, sizeof list, "");
    list.count = f->count_min - 1;
    if (f->count_min > 0)
        set(v, f, &list, sizeof list, "");
}

static void break_double(victim_t *v, const schema_field_t *f)
{
    set_f64(v, f, __builtin_nan(""));
    if (f->bounded)
        set_f64(v, f, f->fmax + 1);
}

static void break_map(victim_t *v, const schema_field_t *f)
{
    bytes_t not_a_map = BYTES_LIT("\x91\xc0");
    bytes_t number_as_key = BYTES_LIT("\x81\x01\x02");
    bytes_t cut = BYTES_LIT("\x81\xa1");
    set(v, f, &cut, sizeof cut, "");
    if (f->kind == SCHEMA_ANY)
        return;
    set(v, f, &not_a_map, sizeof not_a_map, "");
    set(v, f, &number_as_key, sizeof number_as_key, "");
}

static void break_field(victim_t *v, const schema_field_t *f)
{
    switch (f->kind) {
    case SCHEMA_STR:
    case SCHEMA_BIN:
        break_text(v, f, false);
        break;
    case SCHEMA_STRS:
    case SCHEMA_BINS:
        break_text(v, f, true);
        break_count(v, f);
        break;
    case SCHEMA_I64:
    case SCHEMA_U64:
        break_number(v, f);
        break;
    case SCHEMA_F64:
        break_double(v, f);
        break;
    case SCHEMA_OBJS:
    case SCHEMA_I64S:
        break_count(v, f);
        break;
    case SCHEMA_ANY:
    case SCHEMA_MAP:
        break_map(v, f);
        break;
    default:
        break;
    }
}

static void each_limit_holds(void *ctx, const char *name, const schema_t *schema)
{
    random_t random = {11};
    arena_t arena;
    arena_init(&arena, 0);
    victim_t v = {.name = name, .schema = schema, .arena = &arena};
    v.value = schema_random(&random, schema, true, &arena);
    for (uint32_t i = 0; i < schema->field_count; i++)
        break_field(&v, &schema->fields[i]);
    *(int *)ctx += v.broken;
    arena_free(&arena);
}

static void every_limit_broken_is_refused_with_the_path(void **state)
{
    (void)state;
    int broken = 0;
    schema_each(each_limit_holds, &broken);
    assert_true(broken > 500);
}

/* -- what is missing is named ---------------------------------------------------------------------- */

/* Copies the map without one of its members. */
static void without(bytes_t map, const char *left_out, buf_t *out)
{
    mp_reader_t r = mp_reader(map);
    uint32_t count;
    assert_true(mp_get_map(&r, &count));
    mp_put_map(out, count - 1);
    for (uint32_t i = 0; i < count; i++) {
        bytes_t key;
        bytes_t value;
        assert_true(mp_get_str(&r, &key) && mp_get_raw(&r, &value));
        if (bytes_eq_cstr(key, left_out))
            continue;
        mp_put_str(out, key);
        mp_put_raw(out, value);
    }
}

static void assert_missed(const schema_t *schema, bytes_t packed, const schema_field_t *f)
{
    buf_t less = {0};
    error_t err = {0};
    char wanted[256];
    without(packed, f->name, &less);
    snprintf(wanted, sizeof wanted, "%s.%s: is missing", schema->root, f->name);
    assert_false(schema_validate(schema, buf_bytes(&less), &err));
    assert_string_equal(err.message, wanted);
    buf_free(&less);
}

static void each_member_is_missed(void *ctx, const char *name, const schema_t *schema)
{
    (void)name;
    random_t random = {13};
    arena_t arena;
    arena_init(&arena, 0);
    buf_t packed = {0};
    error_t err = {0};
    assert_true(schema_pack(schema, &packed, schema_random(&random, schema, true, &arena), &err));
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!schema->fields[i].required)
            continue;
        assert_missed(schema, buf_bytes(&packed), &schema->fields[i]);
        ++*(int *)ctx;
    }
    buf_free(&packed);
    arena_free(&arena);
}

static void every_required_member_is_missed_by_its_path(void **state)
{
    (void)state;
    int missed = 0;
    schema_each(each_member_is_missed, &missed);
    assert_true(missed > 150);
}

/* -- the tables themselves ------------------------------------------------------------------------- */

static void check_table(const schema_t *schema)
{
    assert_true(schema->field_count <= 64);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const schema_field_t *f = &schema->fields[i];
        assert_true(f->name[0] && f->doc[0]);
        assert_true(f->count_min <= (f->count_max ? f->count_max : SCHEMA_COUNT_DEFAULT));
        assert_true(!f->bounded || f->min <= f->max);
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(f->name, schema->fields[k].name);
        if (f->object)
            check_table(f->object);
    }
}

static void each_table(void *ctx, const char *name, const schema_t *schema)
{
    (void)ctx;
    (void)name;
    check_table(schema);
}

static void every_table_is_sound(void **state)
{
    (void)state;
    schema_each(each_table, NULL);
}

static void every_response_can_say_where_the_time_went(void **state)
{
    (void)state;
    size_t count;
    const schema_call_t *calls = schema_calls(&count);
    for (size_t i = 0; i < count; i++) {
        bool has_hops = false;
        for (uint32_t k = 0; k < calls[i].response->field_count; k++)
            has_hops |= calls[i].response->fields[k].object == &hop_schema;
        if (!has_hops)
            fail_msg("%s has no hops", calls[i].method);
    }
}

static void names_find_what_they_name_and_nothing_else(void **state)
{
    (void)state;
    const schema_event_t *event =
        schema_find_event(BYTES_LIT("manga-assist.inventory"), BYTES_LIT("inventory.depleted"));
    assert_non_null(event);
    assert_string_equal(event->bus, "manga-assist-inventory");
    assert_ptr_equal(event->detail, &inventory_change_schema);
    assert_null(schema_find_event(BYTES_LIT("manga-assist.orders"), BYTES_LIT("inventory.depleted")));
    assert_null(schema_find_event(BYTES_NONE, BYTES_NONE));

    const schema_call_t *call = schema_find_call(BYTES_LIT("chat.send"));
    assert_non_null(call);
    assert_ptr_equal(call->chunk, &chat_send_chunk_schema);
    assert_null(schema_find_call(BYTES_LIT("chat.sen")));

    const schema_message_t *message = schema_find_message(BYTES_LIT("manga-inventory-cdc"));
    assert_non_null(message);
    assert_ptr_equal(message->body, &dms_record_schema);
    assert_null(schema_find_message(BYTES_LIT("")));
}

static void names_are_given_once(void **state)
{
    (void)state;
    size_t count;
    const schema_event_t *events = schema_events(&count);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(schema_find_event(bytes_cstr(events[i].source), bytes_cstr(events[i].detail_type)),
                         &events[i]);
    const schema_call_t *calls = schema_calls(&count);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(schema_find_call(bytes_cstr(calls[i].method)), &calls[i]);
    const schema_message_t *messages = schema_messages(&count);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(schema_find_message(bytes_cstr(messages[i].queue)), &messages[i]);
}

static void a_stock_event_with_a_wrong_check_digit_is_refused(void **state)
{
    (void)state;
    inventory_change_t change = {
        .event_type = BYTES_LIT(INVENTORY_DEPLETED),
        .isbn = BYTES_LIT("9784088827516"),
        .warehouse_code = BYTES_LIT("TK01"),
        .version = 1,
        .change_source = BYTES_LIT("erp_cdc"),
        .timestamp_utc = BYTES_LIT("2026-01-30T20:15:12Z"),
        .correlation_id = BYTES_LIT("c-1"),
    };
    buf_t out = {0};
    error_t err = {0};
    assert_false(inventory_change_pack(&out, &change, &err));
    assert_string_equal(err.message, "detail.isbn: expected 13 digits with a valid check digit");
    change.isbn = BYTES_LIT("9784088827513");
    assert_true(inventory_change_pack(&out, &change, &err));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schema_comes_back_as_it_was_packed),
        cmocka_unit_test(every_limit_broken_is_refused_with_the_path),
        cmocka_unit_test(every_required_member_is_missed_by_its_path),
        cmocka_unit_test(every_table_is_sound),
        cmocka_unit_test(every_response_can_say_where_the_time_went),
        cmocka_unit_test(names_find_what_they_name_and_nothing_else),
        cmocka_unit_test(names_are_given_once),
        cmocka_unit_test(a_stock_event_with_a_wrong_check_digit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
