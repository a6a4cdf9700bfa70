/* app.c: what makes the parts one process. */
#include "services/fm-invoker/app.h"

#include "kit/clock.h"

#define BUSY_RETRY_MS 500

void app_id(char out[APP_ID_BYTES])
{
    uint8_t random[UUID_RANDOM_BYTES];
    clock_random(random, sizeof random);
    uuid_format(uuid_v7((uint64_t)(clock_wall_us() / 1000), random), out);
}

bool app_admit(app_t *app, error_t *err)
{
    const char *why;
    if (app->in_flight >= app->settings->in_flight_max) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "%lld model calls are under way already",
                        (long long)app->in_flight);
        if (err)
            err->retry_after_ms = BUSY_RETRY_MS;
        return false;
    }
    return provider_is_ready(app->provider, &why) || error_set(err, STATUS_UNAVAILABLE, NULL, "%s", why);
}
