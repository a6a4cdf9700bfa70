/* doctor_broker.c: what the broker has to say of itself: its disk, its queues, its counts. */
#include "proto/msgpack.h"
#include "tools/mangactl/doctor.h"

#define PROBLEM_BYTES 512

/* -- its disk -------------------------------------------------------------------------------------- */
void doctor_broker_disk(doctor_t *doctor, bytes_t status)
{
    bool is_full = false;
    if (mp_map_bool(status, "disk_full", &is_full) && is_full)
        doctor_say(doctor, DOCTOR_FAIL, "broker disk",
                   "full: messages are refused (DISK_FULL), settling goes on; give it room, or settle what waits: "
                   "mangactl queue ls");
}

/* -- dead letters ---------------------------------------------------------------------------------- */
/* Whether the queue sends its dead letters to the one of this name. */
static bool buries_in(bytes_t queue, bytes_t name)
{
    bytes_t attributes, policy;
    return mp_map_find(queue, "attributes", &attributes) && mp_map_find(attributes, "RedrivePolicy", &policy) &&
           bytes_eq(ctl_map_text(policy, "deadLetterTargetArn", ""), name);
}

static bool is_for_dead_letters(bytes_t list, bytes_t name)
{
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    bytes_t queue;
    if (!mp_get_array(&reader, &count))
        return false;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &queue); i++)
        if (buries_in(queue, name))
            return true;
    return false;
}

static void look_at_dead_letters(doctor_t *doctor, bytes_t list)
{
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0, full = 0;
    bytes_t queue;
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &queue); i++) {
        bytes_t name = ctl_map_text(queue, "name", "?");
        uint64_t letters = ctl_map_number(queue, "visible") + ctl_map_number(queue, "in_flight");
        if (letters == 0 || !is_for_dead_letters(list, name))
            continue;
        full++;
        doctor_say(doctor, DOCTOR_WARN, "dead letters", "%llu in %.*s; look at them: mangactl queue peek %.*s",
                   (unsigned long long)letters, BYTES_FMT(name), BYTES_FMT(name));
    }
    if (!full)
        doctor_say(doctor, DOCTOR_FINE, "dead letters", "none");
}

/* -- lost messages --------------------------------------------------------------------------------- */
static void look_at_lost(doctor_t *doctor, bytes_t list)
{
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    uint64_t all = 0;
    bytes_t queue;
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &queue); i++) {
        uint64_t lost = ctl_map_number(queue, "lost");
        all += lost;
        if (lost)
            doctor_say(doctor, DOCTOR_FAIL, "messages",
                       "the bytes of %llu messages in queue %.*s are lost: `mangactl journal verify` names their "
                       "records; send them again, and purge the queue when nothing else is in it",
                       (unsigned long long)lost, BYTES_FMT(ctl_map_text(queue, "name", "?")));
    }
    if (!all)
        doctor_say(doctor, DOCTOR_FINE, "messages", "the bytes of all are there, as far as a repair can tell");
}

void doctor_broker_queues(doctor_t *doctor)
{
    buf_t list = {0};
    int code;
    if (ctl_ask(doctor->ctl, WIRE_QUEUE, "list", "", BYTES_NONE, BYTES_NONE, &list, &code)) {
        look_at_dead_letters(doctor, buf_bytes(&list));
        look_at_lost(doctor, buf_bytes(&list));
    } else {
        doctor_say(doctor, DOCTOR_WARN, "queues", "the broker did not say which there are");
    }
    buf_free(&list);
}

/* -- its counts ------------------------------------------------------------------------------------ */
void doctor_broker_counts(doctor_t *doctor)
{
    uint64_t after = 0, checked = 0;
    char problem[PROBLEM_BYTES] = "";
    do {
        buf_t args = {0}, answer = {0};
        int code;
        mp_put_map(&args, 1);
        mp_put_cstr(&args, "after");
        mp_put_u64(&args, after);
        bool asked = ctl_ask(doctor->ctl, WIRE_BROKER, "check", "", buf_bytes(&args), BYTES_NONE, &answer, &code);
        bool ok = asked && mp_map_u64(buf_bytes(&answer), "next", &after);
        checked += ok ? ctl_map_number(buf_bytes(&answer), "checked") : 0;
        bytes_t why = ok ? ctl_map_text(buf_bytes(&answer), "problem", "") : bytes_cstr("it does not answer");
        (void)bytes_to_cstr(why, problem, sizeof problem);
        buf_free(&args);
        buf_free(&answer);
    } while (!problem[0] && after != 0);
    if (problem[0])
        doctor_say(doctor, DOCTOR_FAIL, "state", "what the broker counts does not agree: %s; keep its log and journal",
                   problem);
    else
        doctor_say(doctor, DOCTOR_FINE, "state", "counted again over %llu messages, everything agrees",
                   (unsigned long long)checked);
}
