/* cmd_doctor.c: looks for what is wrong with this machine and with the broker, and says what to do. */
#include <iconv.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "gen/version.h"
#include "kit/clock.h"
#include "proto/msgpack.h"
#include "tools/mangactl/doctor.h"
#include "tools/mangactl/verbs.h"

#define TEXT_BYTES 512
#define DISK_WARN_BYTES (UINT64_C(2) << 30)
#define DISK_FAIL_BYTES (UINT64_C(256) << 20)
#define FILES_WARN 4096
#define SKEW_WARN_US 1000000
#define RTT_ROUNDS 5

/* -- saying ---------------------------------------------------------------------------------------- */
static void say_json(doctor_t *doctor, const char *verdict, const char *what, const char *text, const char *more)
{
    buf_t line = {0};
    buf_printf(&line, "{\"verdict\":\"%s\",\"check\":\"%s\",\"text\":", verdict, what);
    json_string_append(&line, bytes_cstr(text));
    fprintf(doctor->ctl->out, "%s%s}\n", buf_cstr(&line), more);
    buf_free(&line);
}

static void say_text(doctor_t *doctor, doctor_verdict_t verdict, const char *what, const char *more, const char *text)
{
    static const char *const names[] = {"ok", "warn", "FAIL"};
    static const char *const colors[] = {"\033[32m", "\033[33m", "\033[31m"};
    ctl_t *ctl = doctor->ctl;
    doctor->counts[verdict]++;
    if (ctl->json)
        say_json(doctor, names[verdict], what, text, more);
    else
        fprintf(ctl->out, "%s%-5s%s %-12s %s\n", ctl->color ? colors[verdict] : "", names[verdict], ctl_plain(ctl),
                what, text);
}

void doctor_say(doctor_t *doctor, doctor_verdict_t verdict, const char *what, const char *fmt, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    say_text(doctor, verdict, what, "", text);
}

void doctor_say_more(doctor_t *doctor, doctor_verdict_t verdict, const char *what, const char *more, const char *fmt,
                     ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    say_text(doctor, verdict, what, more, text);
}

/* -- this machine ---------------------------------------------------------------------------------- */
static void check_files(doctor_t *doctor)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    bool few = limit.rlim_cur < FILES_WARN;
    doctor_say(doctor, few ? DOCTOR_WARN : DOCTOR_FINE, "descriptors", "%llu open files allowed%s",
               (unsigned long long)limit.rlim_cur,
               few ? "; raise it with ulimit -n 65536 before starting the broker" : "");
}

static void check_iconv(doctor_t *doctor)
{
    iconv_t convert = iconv_open("UTF-8", "CP932");
    bool has = convert != (iconv_t)-1;
    doctor_say(doctor, has ? DOCTOR_FINE : DOCTOR_FAIL, "CP932", "%s",
               has ? "the C library converts it" : "the C library cannot convert it: install the libc's gconv modules");
    if (has)
        (void)iconv_close(convert);
}

static void check_environment(doctor_t *doctor)
{
    const char *dir = doctor->ctl->curve_dir;
    bool is_local = strstr(doctor->ctl->endpoint, "127.0.0.1") || strstr(doctor->ctl->endpoint, "localhost") ||
                    strncmp(doctor->ctl->endpoint, "ipc:", 4) == 0;
    if (!is_local && !dir[0])
        doctor_say(doctor, DOCTOR_WARN, "environment",
                   "%s is not this machine, and MANGABUS_CURVE_DIR is not set: no encryption", doctor->ctl->endpoint);
    struct stat info;
    char path[CTL_PATH_BYTES];
    if (dir[0] && snprintf(path, sizeof path, "%s/mangactl.key", dir) < (int)sizeof path && stat(path, &info) == 0 &&
        (info.st_mode & 077))
        doctor_say(doctor, DOCTOR_WARN, "environment", "%s can be read by others; chmod 600 it", path);
}

static void check_space(doctor_t *doctor)
{
    struct statvfs disk;
    if (statvfs(doctor->state, &disk) != 0) {
        doctor_say(doctor, DOCTOR_WARN, "disk", "the state folder %s cannot be looked at: %s", doctor->state,
                   strerror(errno));
        return;
    }
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    doctor_verdict_t verdict = free_bytes < DISK_FAIL_BYTES   ? DOCTOR_FAIL
                               : free_bytes < DISK_WARN_BYTES ? DOCTOR_WARN
                                                              : DOCTOR_FINE;
    doctor_say(doctor, verdict, "disk", "%.1f GiB free in %s%s", (double)free_bytes / (double)(1 << 30), doctor->state,
               verdict == DOCTOR_FINE ? "" : "; the broker refuses messages when it is full");
}

/* -- the broker ------------------------------------------------------------------------------------ */
static void check_clock(doctor_t *doctor)
{
    int64_t skew_us = doctor->ctl->skew_us;
    bool off = skew_us > SKEW_WARN_US || skew_us < -SKEW_WARN_US;
    doctor_say(doctor, off ? DOCTOR_WARN : DOCTOR_FINE, "clock", "the broker's differs by %.1f ms%s",
               (double)skew_us / 1000.0, off ? "; run a time service on both machines" : "");
}

static void check_version(doctor_t *doctor)
{
    char version[64];
    (void)bytes_to_cstr(bus_welcome(doctor->ctl->bus)->version, version, sizeof version);
    bool same = strcmp(version, MANGABUS_VERSION) == 0;
    doctor_say(doctor, same ? DOCTOR_FINE : DOCTOR_WARN, "version", "broker %s, mangactl %s%s", version,
               MANGABUS_VERSION, same ? "" : "; build and install both from one version");
}

static void check_services(doctor_t *doctor)
{
    static const char *const wanted[] = {"chat.send", "erp.stock.get", "fm.invoke", "search.query", "catalog.get"};
    buf_t list = {0};
    int code;
    if (!ctl_ask(doctor->ctl, WIRE_BROKER, "services", "", BYTES_NONE, BYTES_NONE, &list, &code)) {
        doctor_say(doctor, DOCTOR_WARN, "services", "the broker did not say which there are");
        buf_free(&list);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        mp_reader_t reader = mp_reader(buf_bytes(&list));
        uint32_t count = 0;
        bytes_t service;
        bool found = false;
        if (!mp_get_array(&reader, &count))
            count = 0;
        while (count-- > 0 && mp_get_raw(&reader, &service))
            found |= bytes_eq_cstr(ctl_map_text(service, "method", ""), wanted[i]);
        doctor_say(doctor, found ? DOCTOR_FINE : DOCTOR_WARN, "service", "%s is %s", wanted[i],
                   found ? "answered" : "answered by nobody: start its service (docs/architecture.md says which)");
    }
    buf_free(&list);
}

static void check_round_trip(doctor_t *doctor)
{
    double best_ms = 1e9;
    for (int i = 0; i < RTT_ROUNDS; i++) {
        buf_t answer = {0};
        int code;
        int64_t began_us = clock_mono_us();
        bool ok = ctl_ask(doctor->ctl, WIRE_BROKER, "status", "", BYTES_NONE, BYTES_NONE, &answer, &code);
        double took_ms = (double)(clock_mono_us() - began_us) / 1000.0;
        if (ok && i == 0)
            doctor_broker_disk(doctor, buf_bytes(&answer));
        buf_free(&answer);
        if (!ok) {
            doctor_say(doctor, DOCTOR_WARN, "broker", "it lets us in, but does not answer questions");
            return;
        }
        best_ms = took_ms < best_ms ? took_ms : best_ms;
    }
    doctor_say(doctor, DOCTOR_FINE, "broker", "%s answers in %.2f ms", doctor->ctl->endpoint, best_ms);
}

static int check_broker(doctor_t *doctor, bool deep)
{
    int code = CTL_OK;
    if (!ctl_connect(doctor->ctl, &code)) {
        doctor_say(doctor, DOCTOR_FAIL, "broker", "no session with %s", doctor->ctl->endpoint);
        return code;
    }
    check_round_trip(doctor);
    check_version(doctor);
    check_clock(doctor);
    check_services(doctor);
    doctor_broker_queues(doctor);
    if (deep)
        doctor_broker_counts(doctor);
    return CTL_OK;
}

static int run(ctl_t *ctl, const args_t *args)
{
    doctor_t doctor = {.ctl = ctl};
    ctl_state_dir(doctor.state, sizeof doctor.state);
    check_files(&doctor);
    check_iconv(&doctor);
    check_environment(&doctor);
    check_space(&doctor);
    if (!args_given(args, "no-disk"))
        doctor_disk(&doctor);
    int code = args_given(args, "offline") ? CTL_OK : check_broker(&doctor, args_given(args, "deep"));
    ctl_note(ctl, "%d fine, %d warnings, %d failures", doctor.counts[DOCTOR_FINE], doctor.counts[DOCTOR_WARN],
             doctor.counts[DOCTOR_FAIL]);
    if (code != CTL_OK)
        return code;
    return doctor.counts[DOCTOR_FAIL] ? CTL_NO : CTL_OK;
}

static const arg_option_t OPTIONS[] = {
    {"offline", ARG_FLAG, NULL, "this machine alone, not the broker"},
    {"deep", ARG_FLAG, NULL, "let the broker count again all that it keeps by counting"},
    {"no-disk", ARG_FLAG, NULL, "do not measure the disk: that takes three seconds, and slows what works on it"},
};

static const char *const EXAMPLES[] = {"mangactl doctor", "mangactl doctor --offline --json",
                                       "mangactl doctor --deep --no-disk", NULL};

const command_t command_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "look for what is wrong, and say what to do",
    .about = "Exit code 0 when nothing failed (warnings are no failures), 1 when a check failed, 69 without a broker.",
    .options = CTL_OPTIONS(OPTIONS),
    .examples = EXAMPLES,
    .run = run,
};
