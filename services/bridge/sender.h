/* sender.h: deliveries in, PutEvents requests out; a delivery is settled when EventBridge has answered for it.
 *
 * Requests are filled up to EventBridge's bounds, and sent when full or after SENDER_LINGER_MS. Several are
 * under way at once, up to the deliveries that the queue's credit allows. */
#ifndef BRIDGE_SENDER_H
#define BRIDGE_SENDER_H

#include "kit/aws.h"
#include "kit/service.h"

#define SENDER_LINGER_MS 20
#define SENDER_TIMEOUT_MS 10000
#define SENDER_RETRY_MS 1000 /* first pause after a failure; doubled for each receive of the message */
#define SENDER_RETRY_MAX_MS 300000

typedef struct sender sender_t;

typedef struct {
    const char *bus; /* EventBusName of all; "" for the bus's own name */
    bool replays;    /* replayed events are sent too */
} sender_options_t;

typedef struct {
    uint64_t sent, looped, refused, in_flight;
    char endpoint[512];
    char last_error[512];
    int64_t last_error_us;   /* Unix; 0 for none */
    int64_t last_success_us; /* when a request was last answered; Unix; 0 for never */
    bool is_failing;         /* the latest request failed */
    bool is_configured;
} sender_status_t;

/* `aws` may be NULL: everything is then released again after a while, and the status says unconfigured. */
MUST_USE sender_t *sender_new(service_t *service, aws_t *aws, const sender_options_t *options, error_t *err);
void sender_free(sender_t **sender);

/* Takes the delivery over. */
void sender_take(sender_t *sender, bus_delivery_t *delivery);
void sender_status(const sender_t *sender, sender_status_t *out);

#endif
