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

/* What the library itself counts of waiting; more belongs here when it counts more. */
static void library_rows(const struct store_stats *stats)
{
    printf("  locks found taken: %" PRIu64 " times a space's, %" PRIu64 " times that of who reclaims\n",
           stats->space_waits, stats->reclaim_waits);
}

static void library_result(const struct store_stats *stats)
{
    printf(",\"space_waits\":%" PRIu64 ",\"reclaim_waits\":%" PRIu64, stats->space_waits, stats->reclaim_waits);
}

void contention_table(const struct contention *contention, const struct store_stats *stats)
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
               contention->reclaim.frames, contention->reclaim.calls, stats->evictions);
    }
    printf("  reference    %50.2f\n", contention->reference_cpu_seconds);
    library_rows(stats);
}

void contention_result(const struct contention *contention, const struct store_stats *stats)
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
    library_result(stats);
}
