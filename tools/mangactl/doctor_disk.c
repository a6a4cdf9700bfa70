/* doctor_disk.c: the disk of the journal, in plain words. */
#include <sys/stat.h>

#include "proto/bytes.h"
#include "tools/mangactl/disk_probe.h"
#include "tools/mangactl/doctor.h"

#define SYNC_WARN_US 20000.0
#define SYNC_DOUBT_US 15.0 /* no disk that keeps what it is told is so fast */

/* The journal's folder, or the one that will hold it. */
static void folder_of(const doctor_t *doctor, char out[CTL_PATH_BYTES])
{
    struct stat info;
    if (snprintf(out, CTL_PATH_BYTES, "%s/journal", doctor->state) < CTL_PATH_BYTES && stat(out, &info) == 0)
        return;
    (void)snprintf(out, CTL_PATH_BYTES, "%s", doctor->state);
}

static void say_filesystem(doctor_t *doctor, const char *folder, const disk_probe_t *probe)
{
    const char *words = "what is acknowledged survives a power cut, if the disk keeps what it says is written";
    if (probe->is_memory)
        words = "this is memory, no disk: what is acknowledged is gone when the machine stops";
    else if (probe->is_network)
        words =
            "a file system of somebody else: a sync is worth what that server makes of it, and a lock may not keep a "
            "second broker out; put the journal on a local disk";
    else if (probe->is_overlay)
        words = "a container's own layer: what is acknowledged is gone with the container; mount a volume there";
    bool fine = !probe->is_memory && !probe->is_network && !probe->is_overlay;
    buf_t more = {0};
    buf_printf(&more, ",\"filesystem\":\"%s\"", probe->filesystem);
    doctor_say_more(doctor, fine ? DOCTOR_FINE : DOCTOR_WARN, "filesystem", buf_cstr(&more), "%s is on %s: %s", folder,
                    probe->filesystem, words);
    buf_free(&more);
}

static void say_syncs(doctor_t *doctor, const disk_probe_t *probe)
{
    const disk_syncs_t *one = &probe->record, *batch = &probe->batch;
    buf_t more = {0};
    buf_printf(&more,
               ",\"record\":{\"syncs_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f},\"batch\":{\"bytes\":%u,"
               "\"syncs_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f},\"write_bytes_per_s\":%.0f",
               one->per_s, one->p50_us, one->p99_us, DISK_BATCH_BYTES, batch->per_s, batch->p50_us, batch->p99_us,
               probe->write_bytes_per_s);
    bool slow = one->p50_us > SYNC_WARN_US, doubtful = one->p50_us < SYNC_DOUBT_US && !probe->is_memory;
    doctor_say_more(
        doctor, slow || doubtful ? DOCTOR_WARN : DOCTOR_FINE, "sync", buf_cstr(&more),
        "fdatasync works: %.0f a second with one record (p50 %.0f us, p99 %.0f us), %.0f with 64 KiB (p50 %.0f "
        "us, p99 %.0f us); writing %.0f MB/s%s",
        one->per_s, one->p50_us, one->p99_us, batch->per_s, batch->p50_us, batch->p99_us,
        probe->write_bytes_per_s / 1e6,
        slow       ? "; put MANGABUS_STATE on a faster disk"
        : doubtful ? "; too fast to be true: a cache answers that may forget at a power cut"
                   : "");
    buf_free(&more);
}

static void say_expected(doctor_t *doctor, const disk_probe_t *probe)
{
    double one = disk_publishes_per_s(probe, 1), some = disk_publishes_per_s(probe, 64),
           many = disk_publishes_per_s(probe, 1000);
    buf_t more = {0};
    buf_printf(&more, ",\"publishes_per_s\":{\"1\":%.0f,\"64\":%.0f,\"1000\":%.0f}", one, some, many);
    doctor_say_more(
        doctor, DOCTOR_FINE, "publishing", buf_cstr(&more),
        "for durable events of 512 bytes the disk allows %.0f a second one by one, %.0f with 64 outstanding, "
        "%.0f with 1,000; the processor may allow less (make bench)",
        one, some, many);
    buf_free(&more);
}

void doctor_disk(doctor_t *doctor)
{
    char folder[CTL_PATH_BYTES];
    disk_probe_t probe;
    error_t err = {0};
    folder_of(doctor, folder);
    if (!disk_probe(folder, &probe, &err)) {
        doctor_say(doctor, DOCTOR_WARN, "sync", "cannot be measured: %s", err.message);
        return;
    }
    say_filesystem(doctor, folder, &probe);
    say_syncs(doctor, &probe);
    say_expected(doctor, &probe);
}
