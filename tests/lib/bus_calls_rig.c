/* bus_calls_rig.c: a bus client and its scripted broker. */
#include "tests/lib/bus_calls_rig.h"

#include <stdlib.h>

#include "kit/log.h"

int fixture_new(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    log_start("test", "test-000001", LOG_ERROR + 1);
    peer_start(&f->peer);
    *state = f;
    return 0;
}

int fixture_free(void **state)
{
    fixture_t *f = *state;
    bus_free(&f->bus);
    peer_stop(&f->peer);
    free(f);
    return 0;
}

void fixture_begin(fixture_t *f, uint64_t reply_window_bytes)
{
    wire_welcome_t welcome = peer_welcome("t");
    welcome.reply_window_bytes = reply_window_bytes;
    welcome.call_window = 2;
    f->bus = peer_client(&f->peer, NULL);
    peer_greet(&f->peer, &welcome);
}

void fixture_greet_again(fixture_t *f)
{
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    wire_welcome_t welcome = peer_welcome("t");
    welcome.resumed = true;
    peer_greet(&f->peer, &welcome);
}
