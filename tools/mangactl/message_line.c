/* message_line.c: one message of a queue. */
#include "tools/mangactl/message_line.h"

#include "proto/msgpack.h"
#include "proto/timefmt.h"

static void print_value(ctl_t *ctl, bytes_t message, const char *key)
{
    buf_t text = {0};
    bytes_t raw;
    if (mp_map_find(message, key, &raw) && json_from_msgpack(raw, JSON_COMPACT, &text, NULL))
        ctl_print_text(ctl->out, buf_bytes(&text));
    buf_free(&text);
}

static void print_origin(ctl_t *ctl, bytes_t message)
{
    bytes_t group = ctl_map_text(message, "group", "");
    uint64_t sent_us = ctl_map_number(message, "sent_us");
    char time[TIMEFMT_S_BYTES];
    timefmt_s((int64_t)sent_us, time);
    if (sent_us)
        fprintf(ctl->out, "sent %s ", time);
    if (group.len) {
        fputs("group ", ctl->out);
        ctl_print_text(ctl->out, group);
        fputc(' ', ctl->out);
    }
}

int message_line_print(ctl_t *ctl, bytes_t message)
{
    if (ctl->json)
        return ctl_print_json(ctl, message, JSON_COMPACT);
    fprintf(ctl->out, "%srecord %llu, received %llu times%s ", ctl_bold(ctl),
            (unsigned long long)ctl_map_number(message, "record"),
            (unsigned long long)ctl_map_number(message, "receives"), ctl_plain(ctl));
    print_origin(ctl, message);
    print_value(ctl, message, "attrs");
    fputs("\n  ", ctl->out);
    print_value(ctl, message, "body");
    fputc('\n', ctl->out);
    return CTL_OK;
}
