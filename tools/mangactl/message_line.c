/* message_line.c: one message of a queue. */
#include "tools/mangactl/message_line.h"

#include "proto/msgpack.h"

static void print_value(ctl_t *ctl, bytes_t message, const char *key)
{
    buf_t text = {0};
    bytes_t raw;
    if (mp_map_find(message, key, &raw) && json_from_msgpack(raw, JSON_COMPACT, &text, NULL))
        ctl_print_text(ctl->out, buf_bytes(&text));
    buf_free(&text);
}

int message_line_print(ctl_t *ctl, bytes_t message)
{
    if (ctl->json)
        return ctl_print_json(ctl, message, JSON_COMPACT);
    fprintf(ctl->out, "%srecord %llu, received %llu times%s ", ctl_bold(ctl),
            (unsigned long long)ctl_map_number(message, "record"),
            (unsigned long long)ctl_map_number(message, "receives"), ctl_plain(ctl));
    print_value(ctl, message, "attrs");
    fputs("\n  ", ctl->out);
    print_value(ctl, message, "body");
    fputc('\n', ctl->out);
    return CTL_OK;
}
