/* SPDX-License-Identifier: MIT */
#include "crew.h"

#include "fault.h"
#include "progress.h"
#include "temporary.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define IDLE_NANOSECONDS 50000000

struct hand {
    struct crew *crew;
    pthread_t thread;
    struct crew_use before; /* what the caller had used when it became the crew */
    struct crew_use use;    /* mutex */
};

struct crew {
    void (*task)(void *context, int number);
    void (*idle)(void *context);
    void *context;
    int threads;
    struct hand hands[CREW_MOST];
    pthread_mutex_t mutex;
    pthread_cond_t given, done;
    int *queue; /* mutex, like all below; it only grows until all are done */
    int first, count, capacity;
    int undone; /* queued or being done */
    bool ending;
};

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

void crew_use_here(struct crew_use *use)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    use->faults = fault_count_mine();
    use->cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    use->voluntary = (uint64_t)usage.ru_nvcsw;
    use->involuntary = (uint64_t)usage.ru_nivcsw;
}

/* Mutex held, given up meanwhile; there is a task. */
static void do_one(struct crew *crew, struct hand *hand)
{
    struct crew_use use = {0};
    int number = crew->queue[crew->first++];
    double began = progress_seconds();

    pthread_mutex_unlock(&crew->mutex);
    crew->task(crew->context, number);
    crew_use_here(&use);
    pthread_mutex_lock(&crew->mutex);
    use.tasks = hand->use.tasks + 1;
    use.task_seconds = hand->use.task_seconds + progress_seconds() - began;
    hand->use = use;
    if (--crew->undone == 0) {
        crew->first = crew->count = 0;
        pthread_cond_broadcast(&crew->done);
    }
}

static void *work(void *argument)
{
    struct hand *hand = argument;
    struct crew *crew = hand->crew;

    pthread_mutex_lock(&crew->mutex);
    for (;;) {
        while (crew->first == crew->count && !crew->ending) pthread_cond_wait(&crew->given, &crew->mutex);
        if (crew->first == crew->count) break;
        do_one(crew, hand);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

struct crew *crew_start(int threads, void (*task)(void *context, int number), void (*idle)(void *context),
                        void *context)
{
    struct crew *crew = calloc(1, sizeof *crew);

    if (!crew) fail(EXIT_RUN_FAILED, "out of memory for threads");
    crew->task = task;
    crew->idle = idle;
    crew->context = context;
    crew->threads = threads;
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->given, NULL);
    pthread_cond_init(&crew->done, NULL);
    crew_use_here(&crew->hands[0].before);
    for (int i = 0; i < threads; i++) {
        crew->hands[i].crew = crew;
        if (threads == 1) break;
        crew->hands[i].before = (struct crew_use){0};
        if (pthread_create(&crew->hands[i].thread, NULL, work, &crew->hands[i]) != 0)
            fail(EXIT_RUN_FAILED, "cannot start a thread");
    }
    return crew;
}

void crew_give(struct crew *crew, int number)
{
    pthread_mutex_lock(&crew->mutex);
    if (crew->count == crew->capacity) {
        int capacity = 2 * crew->capacity + 64;
        int *queue = realloc(crew->queue, (size_t)capacity * sizeof *queue);

        if (!queue) fail(EXIT_RUN_FAILED, "out of memory for tasks");
        crew->queue = queue;
        crew->capacity = capacity;
    }
    crew->queue[crew->count++] = number;
    crew->undone++;
    pthread_cond_signal(&crew->given);
    pthread_mutex_unlock(&crew->mutex);
}

void crew_wait(struct crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    while (crew->undone) {
        if (crew->threads == 1) {
            do_one(crew, &crew->hands[0]);
        } else {
            struct timespec until;

            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += IDLE_NANOSECONDS;
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
            pthread_cond_timedwait(&crew->done, &crew->mutex, &until);
        }
        pthread_mutex_unlock(&crew->mutex);
        crew->idle(crew->context);
        pthread_mutex_lock(&crew->mutex);
    }
    pthread_mutex_unlock(&crew->mutex);
}

void crew_get_use(struct crew *crew, struct crew_use use[CREW_MOST])
{
    pthread_mutex_lock(&crew->mutex);
    for (int i = 0; i < crew->threads; i++) {
        const struct crew_use *before = &crew->hands[i].before;

        use[i] = crew->hands[i].use;
        if (!use[i].tasks) continue; /* it never had one, nor looked at the clock */
        use[i].faults -= before->faults;
        use[i].cpu_seconds -= before->cpu_seconds;
        use[i].voluntary -= before->voluntary;
        use[i].involuntary -= before->involuntary;
    }
    pthread_mutex_unlock(&crew->mutex);
}

void crew_stop(struct crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    crew->ending = true;
    pthread_cond_broadcast(&crew->given);
    pthread_mutex_unlock(&crew->mutex);
    for (int i = 0; crew->threads > 1 && i < crew->threads; i++) pthread_join(crew->hands[i].thread, NULL);
    pthread_cond_destroy(&crew->given);
    pthread_cond_destroy(&crew->done);
    pthread_mutex_destroy(&crew->mutex);
    free(crew->queue);
    free(crew);
}
