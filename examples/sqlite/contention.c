/* SPDX-License-Identifier: MIT */
#include "contention.h"

#include <inttypes.h>
#include <stdio.h>

static struct crew_use sum(const struct contention *contention)
{
    struct crew_use all = {0};

    for (int i = 0; i < contention->threads; i++) {
        all.tasks += contention->use[i].tasks;
        all.faults += contention->use[i].faults;
        all.task_seconds += contention->use[i].task_seconds;
        all.cpu_seconds += contention->use[i].cpu_seconds;
        all.voluntary += contention->use[i].voluntary;
        all.involuntary += contention->use[i].involuntary;
    }
    return all;
}

static void row(const char *name, const struct crew_use *use)
{
    printf("  %-12s %8" PRIu64 " %10" PRIu64 " %10.2f %10.2f %12" PRIu64 " %12" PRIu64 "\n", name, use->tasks,
           use->faults, use->task_seconds, use->cpu_seconds, use->voluntary, use->involuntary);
}

/*
 * The place for the library's own counters: waits for page, run, group and
 * space locks.  It has none yet, so the rows above must do: a thread that
 * waits for a lock for long gives its processor up, which counts as a
 * voluntary switch, or is taken for busy in "s in tasks" but not in "s cpu".
 */
static void library_rows(const struct contention *contention)
{
    (void)contention;
}

void contention_table(const struct contention *contention, uint64_t evictions)
{
    const struct crew_use all = sum(contention);
    const struct reclaimer_use *reclaim = &contention->work_reclaim;
    char name[32];

    printf("work by %d thread%s: %.2f s by the clock, %.2f s in tasks, %.2f s of processor (%.2f at a time)\n",
           contention->threads, contention->threads == 1 ? "" : "s", contention->work_seconds, all.task_seconds,
           all.cpu_seconds, contention->work_seconds > 0 ? all.cpu_seconds / contention->work_seconds : 0);
    printf("  %-12s %8s %10s %10s %10s %12s %12s\n", "thread", "tasks", "faults", "s in tasks", "s cpu", "waits",
           "preempted");
    for (int i = 0; i < contention->threads; i++) {
        snprintf(name, sizeof name, "%d", i + 1);
        row(name, &contention->use[i]);
    }
    if (contention->threads > 1) {
        row("reclaim", &reclaim->use);
        printf("  reclaim freed %" PRIu64 " frames in %" PRIu64 " calls, with the checks; of %" PRIu64
               " evictions, so the others came out of faults\n",
               contention->reclaim.frames, contention->reclaim.calls, evictions);
    }
    printf("  reference    %50.2f\n", contention->reference_cpu_seconds);
    library_rows(contention);
}

void contention_result(const struct contention *contention)
{
    const struct crew_use all = sum(contention);

    printf(",\"threads\":%d,\"work_seconds\":%.3f,\"task_seconds\":%.3f,\"work_cpu_seconds\":%.3f", contention->threads,
           contention->work_seconds, all.task_seconds, all.cpu_seconds);
    printf(",\"tasks\":%" PRIu64 ",\"faults\":%" PRIu64 ",\"waits\":%" PRIu64 ",\"preempted\":%" PRIu64, all.tasks,
           all.faults, all.voluntary, all.involuntary);
    printf(",\"tasks_by_thread\":");
    for (int i = 0; i < contention->threads; i++) printf("%c%" PRIu64, i ? ',' : '[', contention->use[i].tasks);
    printf("],\"faults_by_thread\":");
    for (int i = 0; i < contention->threads; i++) printf("%c%" PRIu64, i ? ',' : '[', contention->use[i].faults);
    printf("],\"reclaim_calls\":%" PRIu64 ",\"reclaim_frames\":%" PRIu64 ",\"reclaim_cpu_seconds\":%.3f",
           contention->reclaim.calls, contention->reclaim.frames, contention->work_reclaim.use.cpu_seconds);
    printf(",\"reference_cpu_seconds\":%.3f", contention->reference_cpu_seconds);
}
