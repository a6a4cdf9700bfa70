/* bus_key.c: reads CURVE keys from the files that hold them. */
#include <errno.h>
#include <stdio.h>

#include "kit/bus.h"

#define BLANKS " \t\r\n"

bool bus_key_read(const char *path, char out[BUS_KEY_CHARS + 1], error_t *err)
{
    char line[BUS_KEY_CHARS + 16] = "";
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(err, STATUS_NOT_FOUND, NULL, "cannot read the key file %s: %s; mangactl keygen makes one",
                         path, strerror(errno));
    size_t len = fread(line, 1, sizeof line - 1, file);
    (void)fclose(file);
    while (len > 0 && strchr(BLANKS, line[len - 1]))
        len--;
    if (len != BUS_KEY_CHARS)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s does not hold a key: one line of %d characters is due",
                         path, BUS_KEY_CHARS);
    memcpy(out, line, BUS_KEY_CHARS);
    out[BUS_KEY_CHARS] = '\0';
    explicit_bzero(line, sizeof line);
    return true;
}
