/* SPDX-License-Identifier: MIT */
/*
 * sqlite_branches.c - a real SQLite database branched many ways, copy on
 * write, inside a fixed memory budget, in one ordinary process; and the
 * proof that every branch still holds exactly what plain SQLite would hold.
 *
 * The image lies in a space of the pager, SQLite opens it in place, a branch
 * is a fork of the space.  Branches work in rounds, so that many are open
 * and share pages while the budget presses; some are forks of forks, some
 * are closed early, some outgrow their range and are moved.  See sqlite/ for
 * the parts; the pager is known to sqlite/memory.c alone.
 */
#include "sqlite/attribution.h"
#include "sqlite/branch.h"
#include "sqlite/fault.h"
#include "sqlite/image.h"
#include "sqlite/options.h"
#include "sqlite/progress.h"
#include "sqlite/random.h"
#include "sqlite/reference.h"
#include "sqlite/report.h"
#include "sqlite/svg.h"
#include "sqlite/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BUILT_IMAGE_BYTES ((size_t)32 << 20)

/* Branches are made in the first BIRTH_ROUNDS rounds, so that even the last ones work. */
#define ROUNDS 10
#define BIRTH_ROUNDS 7
/* One branch in eight grows, another one is closed early, another one reopens. */
#define ROLES 8
#define ROLE_GROW 0
#define ROLE_REOPEN 3
#define ROLE_CLOSE 5
#define CLOSE_AFTER_ROUNDS 2

struct birth {
    int round;
    int parent; /* number of the branch, 0 is the root */
};

struct run {
    struct options options;
    struct image image;
    struct store *store;
    struct reference *reference;
    struct branch root;
    struct branch *branches; /* [options.branches], in the order of birth */
    struct birth *born;      /* of each */
    int count;               /* how many were made */
    int open;
    int checked;
    int submitted; /* of those, to the reference */
    uint64_t random;
    struct svg_series series;
    struct store_gauges gauges;     /* at the last sample */
    struct attribution attribution; /* when the work ended */
    struct report report;
    char failure[512]; /* the first one */
};

static bool is_open(const struct branch *branch)
{
    return branch->db != NULL;
}

/* The first failure is the one to tell; the others may follow from it. */
static void note_failure(struct run *run, bool failed, const char *what, const char *why)
{
    if (failed && !run->failure[0]) snprintf(run->failure, sizeof run->failure, "%s: %s", what, why);
}

static void tick(struct run *run, const char *activity)
{
    double seconds = progress_seconds();
    struct svg_sample sample = {.seconds = seconds, .open_branches = run->open};

    if (svg_due(&run->series, seconds)) {
        store_sample(run->store, &sample.gauges);
        svg_add(&run->series, &sample);
        run->gauges = sample.gauges;
    }
    progress_show("%s: %d of %d branches made, %d open, %d checked; %.1f MiB resident, %.1f MiB on swap", activity,
                  run->count, run->options.branches, run->open, run->checked,
                  (double)run->gauges.resident_frames * MEMORY_PAGE_BYTES / (1 << 20),
                  (double)run->gauges.swap_bytes / (1 << 20));
}

/* Number 0 is the root.  Equality is judged later, by the reference's thread. */
static void check(struct run *run, struct branch *branch, int number)
{
    struct tablehash hash;
    char *message = NULL, name[32];

    if (branch_check(branch, &hash, &message)) {
        reference_submit(run->reference, number, &branch->log, hash);
        run->submitted++;
    } else {
        snprintf(name, sizeof name, "branch %d", number);
        note_failure(run, true, name, message ? message : "out of memory");
    }
    sqlite3_free(message);
    run->checked++;
    tick(run, "checking");
}

/* Half of the branches are forks of a branch that has worked, where there is one. */
static void make_branch(struct run *run, int round)
{
    int number = run->count, parent = 0;
    struct branch *branch = &run->branches[number];

    if (number % 4 >= 2)
        for (int try = 0; try < 8 && !parent; try++) {
            int other = (int)random_below(&run->random, (uint64_t)number);
            if (is_open(&run->branches[other])) parent = other + 1;
        }
    branch_init_fork(branch, parent ? &run->branches[parent - 1] : &run->root);
    branch->random = run->options.seed * UINT64_C(1000003) + (uint64_t)number;
    run->report.forks_of_forks += parent != 0;
    run->born[number] = (struct birth){round, parent};
    run->count++;
    run->open++;
}

static void work_on(struct run *run, struct branch *branch, enum workload_size size)
{
    struct script script;

    workload_transaction(&run->image.schema, &branch->random, size, &script);
    branch_run(branch, &script);
    script_fini(&script);
    tick(run, "working");
}

static void work_round(struct run *run, int round)
{
    /* Rounded up: a single branch is born at once. */
    int due = (run->options.branches * (round + 1) + BIRTH_ROUNDS - 1) / BIRTH_ROUNDS;

    work_on(run, &run->root, WORKLOAD_SMALL);
    while (run->count < due && run->count < run->options.branches) make_branch(run, round);
    for (int i = 0; i < run->count; i++) {
        struct branch *branch = &run->branches[i];
        if (!is_open(branch)) continue;
        if (i % ROLES == ROLE_REOPEN && round % 3 == 0) branch_reopen(branch);
        work_on(run, branch, i % ROLES == ROLE_GROW ? WORKLOAD_GROW : WORKLOAD_SMALL);
        if (i % ROLES == ROLE_CLOSE && round >= run->born[i].round + CLOSE_AFTER_ROUNDS) {
            check(run, branch, i + 1);
            branch_fini(branch);
            run->open--;
        }
    }
}

/* What two branches say may agree while the books beneath do not. */
static void verify(struct run *run)
{
    int error = store_verify(run->store);

    note_failure(run, error, "the pager's books", memory_error_text(error));
}

/* Before the checks, which read every page of every branch. */
static void attribute(struct run *run)
{
    attribution_init(&run->attribution, run->count + 1);
    attribution_add(&run->attribution, 0, -1, run->root.memory);
    for (int i = 0; i < run->count; i++)
        if (is_open(&run->branches[i]))
            attribution_add(&run->attribution, i + 1, run->born[i].parent, run->branches[i].memory);
    note_failure(run, !attribution_holds(&run->attribution, &run->report.gauges), "attribution",
                 "the branches' proportions do not add up to the pages that are there");
}

static void check_all(struct run *run)
{
    verify(run);
    run->series.checks_begin = progress_seconds();
    store_sample(run->store, &run->report.gauges);
    attribute(run);
    check(run, &run->root, 0);
    run->report.virtual_bytes = memory_size(run->root.memory);
    for (int i = 0; i < run->count; i++)
        if (is_open(&run->branches[i])) {
            check(run, &run->branches[i], i + 1);
            run->report.virtual_bytes += memory_size(run->branches[i].memory);
        }
    verify(run);
}

static void prepare(struct run *run)
{
    int reset;

    temporary_create();
    if (run->options.image)
        image_adopt(&run->image, run->options.image);
    else
        image_build(&run->image, BUILT_IMAGE_BYTES);
    run->report.budget_bytes = options_settle_budget(&run->options, run->image.bytes);
    options_settle_picture(&run->options);
    run->branches = calloc((size_t)run->options.branches, sizeof *run->branches);
    run->born = calloc((size_t)run->options.branches, sizeof *run->born);
    if (!run->branches || !run->born) fail(EXIT_RUN_FAILED, "out of memory for %d branches", run->options.branches);
    run->random = run->options.seed;
    /* Building must not count as a cost of running. */
    sqlite3_memory_highwater(1);
    reset = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (reset >= 0 && write(reset, "5", 1) != 1)
        progress_show("the peak of the resident set includes the image's preparation");
    if (reset >= 0) close(reset);
}

static void start(struct run *run)
{
    const size_t range_limit = 2 * run->image.bytes + ((size_t)64 << 20);
    const struct store_options options = {
        .budget_bytes = run->report.budget_bytes,
        .range_bytes_max = range_limit - range_limit % MEMORY_PAGE_BYTES,
        .swap = run->options.swap,
        .move = run->options.move,
    };
    struct script script;
    int error = store_open(&options, &run->store);

    if (error) fail(EXIT_RUN_FAILED, "cannot start the pager: %s", memory_error_text(error));
    fault_handler_install(run->store);
    run->reference = reference_start(run->image.path);
    /* Room for the tables of ours and a few transactions: a grower is soon out of it. */
    branch_init_root(&run->root, run->store, run->image.path, run->image.bytes, run->image.bytes / 32,
                     options.range_bytes_max);
    run->root.random = run->options.seed ^ UINT64_C(0x726f6f74);
    workload_setup(&run->image.schema, &script);
    branch_run(&run->root, &script);
    script_fini(&script);
}

static void judge(struct run *run)
{
    struct report *report = &run->report;
    char message[400];
    struct rusage usage;

    for (int judged; (judged = reference_judged(run->reference)) < run->submitted; usleep(20000))
        progress_show("waiting for the reference: %d of %d judged", judged, run->submitted);
    report->branches_checked = reference_finish(run->reference, message, sizeof message);
    note_failure(run, message[0], "against plain SQLite", message);
    store_stats(run->store, &report->stats);
    note_failure(run, report->stats.peak_frame_bytes > report->budget_bytes, "frames", "above the budget");
    note_failure(run, report_lone_visits(report) > REPORT_LONE_VISITS_MOST, "unmap of single-mapper pages",
                 "too many spaces visited");
    report->ok = !run->failure[0] && report->branches_checked == run->count;
    report->seed = run->options.seed;
    report->move = run->options.move;
    report->branches = run->count;
    report->image_bytes = run->image.bytes;
    report->sqlite_heap_peak = (uint64_t)sqlite3_memory_highwater(0);
    getrusage(RUSAGE_SELF, &usage);
    report->peak_rss = (uint64_t)usage.ru_maxrss * 1024;
    report->seconds = progress_seconds();
}

static int stop(struct run *run)
{
    int error;

    for (int i = 0; i < run->count; i++)
        if (is_open(&run->branches[i])) branch_fini(&run->branches[i]);
    branch_fini(&run->root);
    fault_handler_remove();
    error = store_close(run->store);
    image_fini(&run->image);
    free(run->branches);
    free(run->born);
    return error;
}

static bool draw(struct run *run)
{
    char title[128];

    if (!run->options.svg) return true;
    snprintf(title, sizeof title, "%d branches of a %.0f MiB SQLite database in %.1f MiB of frames", run->count,
             (double)run->image.bytes / (1 << 20), (double)run->report.budget_bytes / (1 << 20));
    return svg_write(&run->series, run->options.svg, title, run->report.budget_bytes);
}

int main(int count, char **arguments)
{
    static struct run run;
    int error;

    progress_seconds();
    options_parse(&run.options, count, arguments);
    prepare(&run);
    start(&run);
    for (int round = 0; round < ROUNDS; round++) work_round(&run, round);
    check_all(&run);
    judge(&run);
    error = memory_measure_mapping(&run.report.bytes_per_mapping);
    note_failure(&run, error, "bytes per mapping", memory_error_text(error));
    error = stop(&run);
    note_failure(&run, error, "the pager does not end", memory_error_text(error));
    progress_end();
    note_failure(&run, !draw(&run), run.options.svg, strerror(errno));
    run.report.ok = run.report.ok && !run.failure[0];
    report_table(&run.report);
    if (run.options.per_branch) attribution_print(&run.attribution);
    attribution_fini(&run.attribution);
    if (run.failure[0]) fprintf(stderr, "sqlite_branches: %s\n", run.failure);
    if (!report_result(&run.report)) fail(EXIT_RUN_FAILED, "the result cannot be written: %s", strerror(errno));
    return run.report.ok ? EXIT_SUCCESS : EXIT_RUN_FAILED;
}
