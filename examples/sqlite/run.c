/* SPDX-License-Identifier: MIT */
#include "run.h"

#include "progress.h"
#include "random.h"

#include <stdio.h>

/* Branches are made in the first BIRTH_ROUNDS rounds, so that even the last ones work. */
#define ROUNDS 10
#define BIRTH_ROUNDS 7
/* One branch in eight grows, another one is closed early, another one reopens. */
#define ROLES 8
#define ROLE_GROW 0
#define ROLE_REOPEN 3
#define ROLE_CLOSE 5
#define CLOSE_AFTER_ROUNDS 2

void run_note_failure(struct run *run, bool failed, const char *what, const char *why)
{
    if (!failed) return;
    pthread_mutex_lock(&run->mutex);
    if (!run->failure[0]) snprintf(run->failure, sizeof run->failure, "%s: %s", what, why);
    pthread_mutex_unlock(&run->mutex);
}

void run_tick(struct run *run)
{
    double seconds = progress_seconds();
    struct svg_sample sample = {.seconds = seconds};
    int checked;

    pthread_mutex_lock(&run->mutex);
    sample.open_branches = run->open;
    checked = run->checked;
    pthread_mutex_unlock(&run->mutex);
    if (svg_due(&run->series, seconds)) {
        store_sample(run->store, &sample.gauges);
        svg_add(&run->series, &sample);
        run->gauges = sample.gauges;
    }
    progress_show("round %d: %d of %d branches made, %d open, %d checked; %.1f MiB resident, %.1f MiB on swap",
                  run->round + 1, run->count, run->options.branches, sample.open_branches, checked,
                  (double)run->gauges.resident_frames * MEMORY_PAGE_BYTES / (1 << 20),
                  (double)run->gauges.swap_bytes / (1 << 20));
}

/* Number 0 is the root. */
static struct branch *branch_of(struct run *run, int number)
{
    return number ? &run->branches[number - 1] : &run->root;
}

/* Equality is judged later, by the reference's thread. */
static void check(struct run *run, int number)
{
    struct branch *branch = branch_of(run, number);
    struct tablehash hash;
    char *message = NULL, name[32];
    bool right = branch_check(branch, &hash, &message);

    if (right) {
        reference_submit(run->reference, number, &branch->log, hash);
    } else {
        snprintf(name, sizeof name, "branch %d", number);
        run_note_failure(run, true, name, message ? message : "out of memory");
    }
    sqlite3_free(message);
    pthread_mutex_lock(&run->mutex);
    run->checked++;
    run->submitted += right;
    pthread_mutex_unlock(&run->mutex);
}

/* ---- one round, in as many threads as there are ---- */

static void transact(struct run *run, struct branch *branch, enum workload_size size)
{
    struct script script;

    workload_transaction(&run->image.schema, &branch->random, size, &script);
    branch_run(branch, &script);
    script_fini(&script);
}

/* The branches that are due to be forked from this one in this round; they then have a task of their own. */
static void fork_children(struct run *run, int parent)
{
    for (int i = run->born_before; i < run->count; i++) {
        if (run->born[i].parent != parent) continue;
        branch_init_fork(&run->branches[i], branch_of(run, parent));
        run->branches[i].random = run->options.seed * UINT64_C(1000003) + (uint64_t)i;
        pthread_mutex_lock(&run->mutex);
        run->open++;
        pthread_mutex_unlock(&run->mutex);
        crew_give(run->crew, i + 1);
    }
}

static void close_early(struct run *run, int number)
{
    check(run, number);
    branch_fini(branch_of(run, number));
    pthread_mutex_lock(&run->mutex);
    run->open--;
    pthread_mutex_unlock(&run->mutex);
}

/* A task: everything that a branch does in a round.  Nobody else touches it meanwhile. */
static void work_on(void *context, int number)
{
    struct run *run = context;
    struct branch *branch = branch_of(run, number);
    const int role = number ? (number - 1) % ROLES : -1;

    if (role == ROLE_REOPEN && run->round % 3 == 0) branch_reopen(branch);
    transact(run, branch, role == ROLE_GROW ? WORKLOAD_GROW : WORKLOAD_SMALL);
    fork_children(run, number);
    if (role == ROLE_CLOSE && run->round >= run->born[number - 1].round + CLOSE_AFTER_ROUNDS) close_early(run, number);
}

/* Half of the branches are forks of a branch that has worked, where there is one that will not be closed first. */
static int choose_parent(struct run *run, int index)
{
    if (index % 4 < 2 || !run->born_before) return 0;
    for (int try = 0; try < 8; try++) {
        int other = (int)random_below(&run->random, (uint64_t)run->born_before);
        if (is_open(&run->branches[other])) return other + 1;
    }
    return 0;
}

static void plan_births(struct run *run)
{
    /* Rounded up: a single branch is born at once. */
    int due = (run->options.branches * (run->round + 1) + BIRTH_ROUNDS - 1) / BIRTH_ROUNDS;

    run->born_before = run->count;
    for (; run->count < due && run->count < run->options.branches; run->count++) {
        int parent = choose_parent(run, run->count);
        run->born[run->count] = (struct birth){run->round, parent};
        run->report.forks_of_forks += parent != 0;
    }
}

static void tick(void *context)
{
    run_tick(context);
}

/* The root, and those of the first `count` branches that are open.  Later ones are their parents' business meanwhile. */
static void give_open(struct run *run, int count)
{
    crew_give(run->crew, 0);
    for (int i = 0; i < count; i++)
        if (is_open(&run->branches[i])) crew_give(run->crew, i + 1);
}

static void begin_phase(struct run *run, void (*task)(void *, int))
{
    const int threads = run->options.threads;

    if (threads > 1) run->reclaimer = reclaimer_start(run->store, run->report.budget_bytes);
    run->crew = crew_start(threads, task, tick, run);
}

static void end_phase(struct run *run)
{
    crew_stop(run->crew);
    if (run->reclaimer) reclaimer_stop(run->reclaimer, &run->report.contention.reclaim);
    run->reclaimer = NULL;
}

void run_work(struct run *run)
{
    struct contention *contention = &run->report.contention;
    double began = progress_seconds(), judged = reference_cpu_seconds(run->reference);

    begin_phase(run, work_on);
    for (run->round = 0; run->round < ROUNDS; run->round++) {
        plan_births(run);
        give_open(run, run->born_before);
        crew_wait(run->crew);
    }
    run->round--;
    contention->threads = run->options.threads;
    contention->work_seconds = progress_seconds() - began;
    contention->reference_cpu_seconds = reference_cpu_seconds(run->reference) - judged;
    crew_get_use(run->crew, contention->use);
    end_phase(run);
    contention->work_reclaim = contention->reclaim;
}

static void check_task(void *context, int number)
{
    check(context, number);
}

void run_check(struct run *run)
{
    begin_phase(run, check_task);
    give_open(run, run->count);
    crew_wait(run->crew);
    end_phase(run);
}
