/* SPDX-License-Identifier: MIT */
#include "reclaimer.h"

#include "fault.h"
#include "progress.h"
#include "temporary.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Below LOW free frames it reclaims until there are HIGH: shares of the budget. */
#define LOW_SHARE 32
#define HIGH_SHARE 16
/* A look at the free frames costs time in proportion to all of them: no look before so many faults have come. Each may
 * bring in a block of 16. */
#define FAULTS_BETWEEN_LOOKS 64
#define PAUSE_MICROSECONDS 500
#define CHUNK_FRAMES 64

struct reclaimer {
    struct store *store;
    uint64_t low, high;
    atomic_bool ending;
    pthread_t thread;
    struct reclaimer_use use; /* the thread's own, until it has ended */
};

/*
 * From below LOW to HIGH, always by whole chunks: a few frames at a time would cost as many walks and flushes as a chunk, for
 * less.  What the faults take meanwhile is the next look's business, or a busy program would be met at HIGH for ever.
 */
static void refill(struct reclaimer *reclaimer)
{
    uint64_t free_frames = store_free_frames(reclaimer->store);

    reclaimer->use.use.tasks++;
    while (free_frames < reclaimer->low && !reclaimer->ending) {
        for (uint64_t freed; free_frames < reclaimer->high; free_frames += freed) {
            freed = store_reclaim(reclaimer->store, CHUNK_FRAMES);
            reclaimer->use.calls++;
            reclaimer->use.frames += freed;
            if (!freed) return;
        }
        free_frames = store_free_frames(reclaimer->store);
    }
}

static void *work(void *argument)
{
    struct reclaimer *reclaimer = argument;
    uint64_t seen = 0;

    while (!reclaimer->ending) {
        uint64_t faults = fault_count_all();

        if (faults - seen >= FAULTS_BETWEEN_LOOKS) {
            double began = progress_seconds();
            seen = faults;
            refill(reclaimer);
            reclaimer->use.use.task_seconds += progress_seconds() - began;
        }
        usleep(PAUSE_MICROSECONDS);
    }
    crew_use_here(&reclaimer->use.use);
    return NULL;
}

struct reclaimer *reclaimer_start(struct store *store, size_t budget_bytes)
{
    struct reclaimer *reclaimer = calloc(1, sizeof *reclaimer);
    uint64_t frames = budget_bytes / MEMORY_PAGE_BYTES;

    if (!reclaimer) fail(EXIT_RUN_FAILED, "out of memory for the thread that reclaims");
    reclaimer->store = store;
    reclaimer->low = frames / LOW_SHARE + 1;
    reclaimer->high = frames / HIGH_SHARE + 1;
    if (pthread_create(&reclaimer->thread, NULL, work, reclaimer) != 0)
        fail(EXIT_RUN_FAILED, "cannot start the thread that reclaims");
    return reclaimer;
}

void reclaimer_stop(struct reclaimer *reclaimer, struct reclaimer_use *use)
{
    const struct crew_use *its = &reclaimer->use.use;

    reclaimer->ending = true;
    pthread_join(reclaimer->thread, NULL);
    use->calls += reclaimer->use.calls;
    use->frames += reclaimer->use.frames;
    use->use.tasks += its->tasks;
    use->use.faults += its->faults;
    use->use.task_seconds += its->task_seconds;
    use->use.cpu_seconds += its->cpu_seconds;
    use->use.voluntary += its->voluntary;
    use->use.involuntary += its->involuntary;
    free(reclaimer);
}
