/* test_fm_formats.c: what models are asked and what they answer: Claude, Titan, OpenAI, server-sent events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/contract/ai.h"
#include "services/fm-invoker/fm_claude.h"
#include "services/fm-invoker/fm_openai.h"
#include "services/fm-invoker/fm_titan.h"
#include "services/fm-invoker/report.h"
#include "services/fm-invoker/sse.h"

#define ASSERT_JSON(expected, buffer)                                                                                  \
    do {                                                                                                               \
        assert_string_equal(buf_cstr(&(buffer)), expected);                                                            \
        buf_free(&(buffer));                                                                                           \
    } while (0)

static const fm_message_t turns[] = {{BYTES_LIT("user"), BYTES_LIT("こんにちは \"x\"")},
                                     {BYTES_LIT("assistant"), BYTES_LIT("はい")},
                                     {BYTES_LIT("user"), BYTES_LIT("a\nb")}};
static const bytes_t stops[] = {BYTES_LIT("END"), BYTES_LIT("。")};

static provider_chat_t full_chat(void)
{
    return (provider_chat_t){.model_id = "m",
                             .system = BYTES_LIT("be kind"),
                             .messages = turns,
                             .message_count = ARRAY_LEN(turns),
                             .max_tokens = 77,
                             .has_temperature = true,
                             .temperature = 0.5,
                             .stops = {stops, ARRAY_LEN(stops)}};
}

static provider_chat_t least_chat(void)
{
    return (provider_chat_t){.model_id = "m", .messages = turns, .message_count = 1, .max_tokens = 1};
}

static chat_progress_t nothing_yet(void)
{
    return (chat_progress_t){.input_tokens = -1, .output_tokens = -1, .stop = STOP_OTHER};
}

/* -- Claude -------------------------------------------------------------------------------------- */
static void claude_is_asked_in_its_form(void **state)
{
    (void)state;
    buf_t json = {0};
    provider_chat_t chat = full_chat();
    fm_claude_write(&chat, &json);
    ASSERT_JSON(
        "{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":77,\"system\":\"be kind\","
        "\"temperature\":0.5,\"stop_sequences\":[\"END\",\"。\"],\"messages\":[{\"role\":\"user\",\"content\":"
        "\"こんにちは \\\"x\\\"\"},{\"role\":\"assistant\",\"content\":\"はい\"},{\"role\":\"user\",\"content\":"
        "\"a\\nb\"}]}",
        json);
    chat = least_chat();
    fm_claude_write(&chat, &json);
    ASSERT_JSON("{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\","
                "\"content\":\"こんにちは \\\"x\\\"\"}]}",
                json);
}

static void claude_events_add_up_to_an_answer(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":11,\"output_tokens\":1}},\"p\":\"abcd\"}",
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}",
        "{\"type\":\"ping\"}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"はい、\"}}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"ございます\"}}",
        "{\"type\":\"content_block_stop\",\"index\":0}",
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":5}}",
        "{\"type\":\"something new\"}",
    };
    chat_progress_t progress = nothing_yet();
    buf_t text = {0};
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        assert_true(fm_claude_event(bytes_cstr(events[i]), &progress, &text, NULL));
    assert_string_equal(buf_cstr(&text), "はい、ございます");
    assert_false(progress.ended);
    assert_int_equal(progress.input_tokens, 11);
    assert_int_equal(progress.output_tokens, 5);
    assert_int_equal(progress.stop, STOP_MAX_TOKENS);
    assert_true(fm_claude_event(BYTES_LIT("{\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":"
                                          "{\"inputTokenCount\":12,\"outputTokenCount\":6}}"),
                                &progress, &text, NULL));
    assert_true(progress.ended);
    assert_int_equal(progress.input_tokens, 12);
    assert_int_equal(progress.output_tokens, 6);
    buf_free(&text);
}

static void claude_events_that_are_none_are_told(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{", "[]", "3", "{\"type\":\"error\",\"error\":{\"message\":\"tired\"}}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        chat_progress_t progress = nothing_yet();
        buf_t text = {0};
        error_t err;
        assert_false(fm_claude_event(bytes_cstr(bad[i]), &progress, &text, &err));
        assert_int_equal(err.code, i == 4 ? STATUS_UNAVAILABLE : STATUS_DATA_LOSS);
        assert_int_equal(text.len, 0);
        buf_free(&text);
    }
}

static void odd_numbers_of_tokens_are_not_believed(void **state)
{
    (void)state;
    chat_progress_t progress = nothing_yet();
    buf_t text = {0};
    assert_true(fm_claude_event(BYTES_LIT("{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":-4,"
                                          "\"input_tokens\":\"9\"},\"delta\":{\"text\":3,\"stop_reason\":1}}"),
                                &progress, &text, NULL));
    assert_int_equal(progress.output_tokens, -1);
    assert_int_equal(progress.input_tokens, -1);
    assert_int_equal(progress.stop, STOP_OTHER);
    assert_true(
        fm_claude_event(BYTES_LIT("{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":9223372036854775807,"
                                  "\"input_tokens\":100000001}}"),
                        &progress, &text, NULL));
    assert_true(fm_openai_event(BYTES_LIT("{\"choices\":[],\"usage\":{\"prompt_tokens\":9223372036854775807,"
                                          "\"completion_tokens\":1e18}}"),
                                &progress, &text, NULL));
    assert_int_equal(progress.output_tokens, -1);
    assert_int_equal(progress.input_tokens, -1);
    int64_t tokens = 7;
    assert_true(fm_titan_read(BYTES_LIT("{\"embedding\":[1],\"inputTextTokenCount\":9223372036854775807}"), &text,
                              &tokens, NULL));
    assert_int_equal(tokens, 0);
    buf_free(&text);
}

static void chunks_hold_events_in_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{}", "{\"bytes\":3}", "{\"bytes\":\"***\"}", "{\"bytes\":\"e30\"}", "[1]"};
    buf_t event = {0};
    error_t err;
    assert_true(fm_claude_chunk(BYTES_LIT("{\"bytes\":\"eyJhIjoxfQ==\",\"p\":\"abc\"}"), &event, NULL));
    ASSERT_JSON("{\"a\":1}", event);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(fm_claude_chunk(bytes_cstr(bad[i]), &event, &err));
        assert_int_equal(err.code, STATUS_DATA_LOSS);
    }
    buf_free(&event);
}

/* -- Titan --------------------------------------------------------------------------------------- */
static void titan_is_asked_in_its_form(void **state)
{
    (void)state;
    buf_t json = {0};
    fm_titan_write("amazon.titan-embed-text-v2:0", BYTES_LIT("漫画"), 512, false, &json);
    ASSERT_JSON("{\"inputText\":\"漫画\",\"dimensions\":512,\"normalize\":false}", json);
    fm_titan_write("amazon.titan-embed-text-v2:0", BYTES_LIT("x"), 0, true, &json);
    ASSERT_JSON("{\"inputText\":\"x\",\"normalize\":true}", json);
    fm_titan_write("amazon.titan-embed-text-v1", BYTES_LIT("x"), 512, true, &json);
    ASSERT_JSON("{\"inputText\":\"x\"}", json);
}

static void a_vector_is_read_whatever_its_numbers_look_like(void **state)
{
    (void)state;
    buf_t vector = {0};
    int64_t tokens;
    assert_true(
        fm_titan_read(BYTES_LIT("{\"embedding\":[1,-0.5,1e-3,0.12345678901234567890123],\"inputTextTokenCount\":4}"),
                      &vector, &tokens, NULL));
    float got[4];
    assert_int_equal(vector.len, sizeof got);
    memcpy(got, vector.data, sizeof got); /* little-endian, as this machine is */
    assert_true(got[0] == 1.0f && got[1] == -0.5f && got[2] == 1e-3f && got[3] == 0.12345679f);
    assert_int_equal(tokens, 4);
    buf_free(&vector);
}

static void what_is_no_vector_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{}",
                                      "{\"embedding\":[]}",
                                      "{\"embedding\":[\"1\"]}",
                                      "{\"embedding\":[1e39]}",
                                      "{\"embedding\":{}}",
                                      "{\"embedding\":[null]}"};
    buf_t vector = {0};
    int64_t tokens;
    error_t err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(fm_titan_read(bytes_cstr(bad[i]), &vector, &tokens, &err));
        assert_int_equal(err.code, STATUS_DATA_LOSS);
        assert_int_equal(vector.len, 0);
    }
    buf_free(&vector);
}

/* -- OpenAI -------------------------------------------------------------------------------------- */
static void openai_is_asked_in_its_form(void **state)
{
    (void)state;
    buf_t json = {0};
    provider_chat_t chat = full_chat();
    fm_openai_chat_write(&chat, &json);
    ASSERT_JSON(
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":77,"
        "\"temperature\":0.5,\"stop\":[\"END\",\"。\"],\"messages\":[{\"role\":\"system\",\"content\":\"be kind\"}"
        ",{\"role\":\"user\",\"content\":\"こんにちは \\\"x\\\"\"},{\"role\":\"assistant\",\"content\":\"はい\"},"
        "{\"role\":\"user\",\"content\":\"a\\nb\"}]}",
        json);
    chat = least_chat();
    fm_openai_chat_write(&chat, &json);
    ASSERT_JSON("{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":1,"
                "\"messages\":[{\"role\":\"user\",\"content\":\"こんにちは \\\"x\\\"\"}]}",
                json);
    const bytes_t texts[] = {BYTES_LIT("a"), BYTES_LIT("\"b\"")};
    fm_openai_embed_write("e", texts, 2, 256, &json);
    ASSERT_JSON("{\"model\":\"e\",\"encoding_format\":\"float\",\"dimensions\":256,\"input\":[\"a\",\"\\\"b\\\"\"]}",
                json);
}

static void openai_chunks_add_up_to_an_answer(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}",
        "{\"choices\":[{\"delta\":{\"content\":\"one \"}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"two\"}}]}",
        "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}",
        "[DONE]",
    };
    chat_progress_t progress = nothing_yet();
    buf_t text = {0};
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        assert_true(fm_openai_event(bytes_cstr(events[i]), &progress, &text, NULL));
    assert_string_equal(buf_cstr(&text), "one two");
    assert_true(progress.ended);
    assert_int_equal(progress.stop, STOP_END_TURN);
    assert_int_equal(progress.input_tokens, 3);
    assert_int_equal(progress.output_tokens, 2);
    error_t err;
    assert_false(fm_openai_event(BYTES_LIT("{\"error\":{\"message\":\"overloaded\"}}"), &progress, &text, &err));
    assert_string_equal(err.message, "overloaded");
    assert_false(fm_openai_event(BYTES_LIT("{"), &progress, &text, &err));
    assert_int_equal(err.code, STATUS_DATA_LOSS);
    buf_free(&text);
}

static void an_error_that_is_null_is_none(void **state)
{
    (void)state;
    chat_progress_t progress = nothing_yet();
    buf_t text = {0};
    assert_true(fm_openai_event(BYTES_LIT("{\"error\":null,\"choices\":[{\"delta\":{\"content\":\"x\"}}]}"), &progress,
                                &text, NULL));
    assert_string_equal(buf_cstr(&text), "x");
    assert_false(fm_openai_event(BYTES_LIT("{\"error\":\"no\",\"choices\":[]}"), &progress, &text, NULL));
    buf_free(&text);
}

static void openai_vectors_come_in_the_order_of_the_texts(void **state)
{
    (void)state;
    buf_t vectors = {0};
    int64_t dimension, tokens;
    assert_true(fm_openai_embed_read(BYTES_LIT("{\"data\":[{\"index\":1,\"embedding\":[3,4]},{\"index\":0,"
                                               "\"embedding\":[1,2]}],\"usage\":{\"prompt_tokens\":7}}"),
                                     2, &vectors, &dimension, &tokens, NULL));
    const float expected[] = {1, 2, 3, 4};
    assert_int_equal(dimension, 2);
    assert_int_equal(tokens, 7);
    assert_memory_equal(vectors.data, expected, sizeof expected);
    static const char *const bad[] = {"",
                                      "{}",
                                      "{\"data\":[]}",
                                      "{\"data\":[{\"index\":0,\"embedding\":[1]}]}",
                                      "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[1,2]}]}",
                                      "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}"};
    error_t err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(fm_openai_embed_read(bytes_cstr(bad[i]), 2, &vectors, &dimension, &tokens, &err));
        assert_int_equal(err.code, STATUS_DATA_LOSS);
    }
    buf_free(&vectors);
}

static void openai_errors_are_told_in_their_words(void **state)
{
    (void)state;
    char message[ERROR_MESSAGE_BYTES];
    fm_openai_error_message(BYTES_LIT("{\"error\":{\"message\":\"no such model\"}}"), message);
    assert_string_equal(message, "no such model");
    fm_openai_error_message(BYTES_LIT("{\"error\":\"plain\"}"), message);
    assert_string_equal(message, "plain");
    fm_openai_error_message(BYTES_LIT("<html>"), message);
    assert_non_null(strstr(message, "says no more"));
}

/* -- server-sent events -------------------------------------------------------------------------- */
static bool take(void *ctx, bytes_t data)
{
    buf_t *out = ctx;
    buf_printf(out, "[%.*s]", BYTES_FMT(data));
    return true;
}

static bool take_one(void *ctx, bytes_t data)
{
    (void)take(ctx, data);
    return false;
}

static const char stream[] = "\xEF\xBB\xBF"
                             "data: one\n\ndata:two\r\n\r\n: a comment\nevent: x\nid: 3\ndata\n\n"
                             "data: a\ndata: b\r\rretry: 5\n\ndata:  padded\n\ndata: unfinished\n";

static void events_come_out_wherever_the_pieces_are_cut(void **state)
{
    (void)state;
    for (size_t size = 1; size < sizeof stream; size++) {
        sse_t sse = {0};
        buf_t out = {0};
        for (size_t at = 0; at < sizeof stream - 1; at += size) {
            size_t left = sizeof stream - 1 - at;
            assert_true(sse_feed(&sse, bytes_from(stream + at, size < left ? size : left), take, &out));
        }
        assert_string_equal(buf_cstr(&out), "[one][two][][a\nb][ padded]");
        buf_free(&out);
        sse_free(&sse);
    }
}

static void who_has_enough_stops_the_events(void **state)
{
    (void)state;
    sse_t sse = {0};
    buf_t out = {0};
    assert_false(sse_feed(&sse, BYTES_LIT("data: 1\n\ndata: 2\n\n"), take_one, &out));
    assert_string_equal(buf_cstr(&out), "[1]");
    buf_free(&out);
    sse_free(&sse);
}

static void an_event_without_end_is_refused(void **state)
{
    (void)state;
    sse_t sse = {0};
    buf_t out = {0};
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    bool ok = sse_feed(&sse, BYTES_LIT("data: "), take, &out);
    for (size_t i = 0; ok && i < 2 * SSE_EVENT_MAX_BYTES / sizeof piece; i++)
        ok = sse_feed(&sse, bytes_from(piece, sizeof piece), take, &out);
    assert_false(ok);
    assert_false(sse_feed(&sse, BYTES_LIT("\n\n"), take, &out));
    assert_true(sse.line.cap <= 4 * SSE_EVENT_MAX_BYTES);
    assert_int_equal(out.len, 0);
    buf_free(&out);
    sse_free(&sse);
}

/* -- the event ----------------------------------------------------------------------------------- */
static void the_event_of_a_call_tells_all(void **state)
{
    (void)state;
    static model_t model = {.id = "model"};
    buf_t text = {0}, detail = {0};
    for (int i = 0; i < 600; i++)
        buf_append_cstr(&text, "漫");
    report_t report = {.inference_id = "i",
                       .session_id = BYTES_LIT("s"),
                       .purpose = BYTES_LIT("answer"),
                       .model = &model,
                       .fallback_from = "first",
                       .text = buf_bytes(&text),
                       .input_tokens = 1,
                       .output_tokens = 2,
                       .cost_usd_micros = 1234567,
                       .latency_us = 5500,
                       .first_token_us = 1500};
    error_t err = {.code = STATUS_UNAVAILABLE, .message = "why"};
    assert_true(report_detail(&report, 0, &detail, NULL));
    arena_t arena;
    arena_init(&arena, 0);
    inference_completed_t got;
    assert_true(inference_completed_unpack(buf_bytes(&detail), &arena, &got, NULL));
    assert_true(bytes_eq_cstr(got.status, "success") && bytes_eq_cstr(got.fallback_from, "first"));
    assert_int_equal(got.response_summary.len, 3 * REPORT_SUMMARY_CHARACTERS);
    assert_true(bytes_eq_cstr(got.metrics.estimated_cost_usd, "1.234567"));
    assert_int_equal(got.metrics.latency_ms, 5);
    assert_int_equal(got.metrics.first_token_ms, 1);
    report.err = &err;
    report.session_id = report.purpose = report.text = BYTES_NONE;
    report.fallback_from = NULL;
    report.first_token_us = -1;
    buf_clear(&detail);
    assert_true(report_detail(&report, 0, &detail, NULL));
    assert_true(inference_completed_unpack(buf_bytes(&detail), &arena, &got, NULL));
    assert_true(bytes_eq_cstr(got.status, "error") && bytes_eq_cstr(got.error, "why"));
    assert_false(got.has_session_id || got.has_purpose || got.has_response_summary || got.metrics.has_first_token_ms);
    arena_free(&arena);
    buf_free(&detail);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claude_is_asked_in_its_form),
        cmocka_unit_test(claude_events_add_up_to_an_answer),
        cmocka_unit_test(claude_events_that_are_none_are_told),
        cmocka_unit_test(odd_numbers_of_tokens_are_not_believed),
        cmocka_unit_test(chunks_hold_events_in_base64),
        cmocka_unit_test(titan_is_asked_in_its_form),
        cmocka_unit_test(a_vector_is_read_whatever_its_numbers_look_like),
        cmocka_unit_test(what_is_no_vector_is_refused),
        cmocka_unit_test(openai_is_asked_in_its_form),
        cmocka_unit_test(openai_chunks_add_up_to_an_answer),
        cmocka_unit_test(an_error_that_is_null_is_none),
        cmocka_unit_test(openai_vectors_come_in_the_order_of_the_texts),
        cmocka_unit_test(openai_errors_are_told_in_their_words),
        cmocka_unit_test(events_come_out_wherever_the_pieces_are_cut),
        cmocka_unit_test(who_has_enough_stops_the_events),
        cmocka_unit_test(an_event_without_end_is_refused),
        cmocka_unit_test(the_event_of_a_call_tells_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
