/* bus_monitor.c: what ZeroMQ says about the connection under the socket: that it broke, or was never let in.
 *
 * Heartbeats find a silent broker; this finds a dead one at once, so that a restarted broker has its clients back
 * while their calls still have time. */
#include <stdio.h>
#include <zmq.h>

#include "kit/bus_internal.h"

#define EVENTS                                                                                                         \
    (ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |                  \
     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
#define ADDRESS_BYTES 64

/* The number of the next event; 0 when there is none. */
static uint16_t next_event(void *monitor)
{
    uint8_t head[6], address[256]; /* libzmq: event u16, value u32; then the address, which we know */
    uint16_t event = 0;
    if (zmq_recv(monitor, head, sizeof head, ZMQ_DONTWAIT) != (int)sizeof head)
        return 0;
    memcpy(&event, head, sizeof event);
    (void)zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT);
    return event;
}

static const char *meaning(const bus_t *bus, uint16_t event)
{
    if (event == ZMQ_EVENT_DISCONNECTED)
        return "the connection was lost";
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return "the broker does not let this key in";
    return bus->has_curve ? "the handshake failed: is server.pub the broker's, and does the broker use keys?"
                          : "the handshake failed: the broker wants keys (MANGABUS_CURVE_DIR)";
}

/* What the connection still brought is read first: an answer may have come just before its end. */
static void on_event(void *ctx, int events)
{
    (void)events;
    bus_t *bus = ctx;
    uint16_t event = next_event(bus->monitor);
    if (event == 0)
        return;
    bus_link_drain(bus);
    if (bus->monitor)
        bus_link_lost(bus, meaning(bus, event));
}

bool bus_monitor_open(bus_t *bus)
{
    char address[ADDRESS_BYTES];
    (void)snprintf(address, sizeof address, "inproc://bus-%p", bus->socket);
    if (zmq_socket_monitor(bus->socket, address, EVENTS) != 0)
        return false;
    bus->monitor = zmq_socket(bus->zmq, ZMQ_PAIR);
    int linger = 0;
    if (!bus->monitor || zmq_setsockopt(bus->monitor, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_connect(bus->monitor, address) != 0)
        return false;
    bus->monitor_watch = loop_watch_zmq(bus->loop, bus->monitor, on_event, bus);
    return bus->monitor_watch != NULL;
}

void bus_monitor_close(bus_t *bus)
{
    if (bus->monitor_watch)
        loop_watch_end(&bus->monitor_watch);
    if (bus->socket)
        (void)zmq_socket_monitor(bus->socket, NULL, 0);
    if (bus->monitor)
        zmq_close(bus->monitor);
    bus->monitor = NULL;
}
