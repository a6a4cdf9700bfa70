/* core_calls_rig.c: the caller, the workers and what they say. */
#include "tests/lib/core_calls_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

int calls_rig_open(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    rig_hello(rig, CALLER, "caller-000001", NULL);
    rig_hello(rig, WORKER, "worker-000002", NULL);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    *state = rig;
    return 0;
}

int calls_rig_close(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

void rig_serve(rig_t *rig, uint64_t peer, uint64_t capacity)
{
    wire_serve_t *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->methods.count = 1;
    s->methods.items[0] = (wire_serve_entry_t){BYTES_LIT("stock.get"), capacity};
    rig_send(rig, peer, WIRE_SERVE, 2, s);
    (void)rig_expect(rig, peer, WIRE_SERVED);
    rig->taken = 0;
    free(s);
}

void rig_serve_running(rig_t *rig, uint64_t peer, uint64_t number, uint64_t chunk)
{
    wire_serve_t *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->methods.count = 1;
    s->methods.items[0] = (wire_serve_entry_t){BYTES_LIT("stock.get"), 4};
    s->running.count = 1;
    s->running.items[0] = (wire_running_entry_t){BYTES_LIT("caller-000001"), number, chunk};
    rig_send(rig, peer, WIRE_SERVE, 2, s);
    free(s);
}

wire_call_t a_call(uint64_t number)
{
    return (wire_call_t){
        .caller = BYTES_LIT("caller-000001"),
        .number = number,
        .method = BYTES_LIT("stock.get"),
        .deadline_ms = 3000,
        .body = BYTES_LIT("\x01"),
    };
}

void rig_call(rig_t *rig, uint64_t number)
{
    const wire_call_t c = a_call(number);
    rig_send(rig, CALLER, WIRE_CALL, number, &c);
}

void rig_reply(rig_t *rig, uint64_t peer, uint64_t number, uint64_t chunk, bool final)
{
    rig_send(rig, peer, WIRE_REPLY, 0,
             &(wire_reply_t){.caller = BYTES_LIT("caller-000001"),
                             .number = number,
                             .chunk = chunk,
                             .final = final,
                             .body = BYTES_LIT("\x02")});
}

const wire_reply_t *rig_expect_final(rig_t *rig, uint64_t status)
{
    const wire_msg_t *msg = rig_expect(rig, CALLER, WIRE_REPLY);
    assert_true(msg->reply.final);
    assert_int_equal(msg->reply.status, status);
    return &msg->reply;
}

void rig_say_all(rig_t *rig, uint64_t first, uint64_t last)
{
    for (uint64_t peer = first; peer <= last; peer++)
        rig_send(rig, peer, WIRE_PING, 0, &(wire_ping_t){0});
}

void rig_resume(rig_t *rig, uint64_t peer, const char *name, const uint8_t token[CORE_RESUME_BYTES])
{
    rig_send(rig, peer, WIRE_HELLO, 1,
             &(wire_hello_t){
                 .protocol = WIRE_PROTOCOL, .name = bytes_cstr(name), .resume = bytes_from(token, CORE_RESUME_BYTES)});
    assert_true(rig_expect(rig, peer, WIRE_WELCOME)->welcome.resumed);
}
