/* SPDX-License-Identifier: MIT */
/*
 * sqlite_branches.c - a real SQLite database branched many ways, copy on
 * write, inside a fixed memory budget, in one ordinary process; and the
 * proof that every branch still holds exactly what plain SQLite would hold.
 *
 * The image lies in a space of the pager, SQLite opens it in place, a branch
 * is a fork of the space.  Branches work in rounds, so that many are open
 * and share pages while the budget presses, and in several threads, while
 * another one reclaims; some are forks of forks, some are closed early, some
 * outgrow their range and are moved.  See sqlite/ for the parts; the pager is
 * known to sqlite/memory.c alone.
 */
#include "sqlite/fault.h"
#include "sqlite/progress.h"
#include "sqlite/run.h"
#include "sqlite/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BUILT_IMAGE_BYTES ((size_t)32 << 20)

/* What two branches say may agree while the books beneath do not. */
static void verify(struct run *run)
{
    int error = store_verify(run->store);

    run_note_failure(run, error, "the pager's books", memory_error_text(error));
}

/* Before the checks, which read every page of every branch. */
static void attribute(struct run *run)
{
    attribution_init(&run->attribution, run->count + 1);
    attribution_add(&run->attribution, 0, -1, run->root.memory);
    for (int i = 0; i < run->count; i++)
        if (is_open(&run->branches[i]))
            attribution_add(&run->attribution, i + 1, run->born[i].parent, run->branches[i].memory);
    run_note_failure(run, !attribution_holds(&run->attribution, &run->report.gauges), "attribution",
                     "the branches' proportions do not add up to the pages that are there");
}

static void check_all(struct run *run)
{
    verify(run);
    run->series.checks_begin = progress_seconds();
    store_sample(run->store, &run->report.gauges);
    attribute(run);
    run_check(run);
    run->report.virtual_bytes = memory_size(run->root.memory);
    for (int i = 0; i < run->count; i++)
        if (is_open(&run->branches[i])) run->report.virtual_bytes += memory_size(run->branches[i].memory);
    verify(run);
}

static void prepare(struct run *run)
{
    int reset;

    pthread_mutex_init(&run->mutex, NULL);
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
    run_note_failure(run, message[0], "against plain SQLite", message);
    store_stats(run->store, &report->stats);
    run_note_failure(run, report->stats.peak_frame_bytes > report->budget_bytes, "frames", "above the budget");
    run_note_failure(run, report_lone_visits(report) > REPORT_LONE_VISITS_MOST, "unmap of single-mapper pages",
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
    run_work(&run);
    check_all(&run);
    judge(&run);
    error = memory_measure_mapping(&run.report.bytes_per_mapping);
    run_note_failure(&run, error, "bytes per mapping", memory_error_text(error));
    error = stop(&run);
    run_note_failure(&run, error, "the pager does not end", memory_error_text(error));
    progress_end();
    run_note_failure(&run, !draw(&run), run.options.svg, strerror(errno));
    run.report.ok = run.report.ok && !run.failure[0];
    report_table(&run.report);
    if (run.options.per_branch) attribution_print(&run.attribution);
    attribution_fini(&run.attribution);
    if (run.failure[0]) fprintf(stderr, "sqlite_branches: %s\n", run.failure);
    if (!report_result(&run.report)) fail(EXIT_RUN_FAILED, "the result cannot be written: %s", strerror(errno));
    return run.report.ok ? EXIT_SUCCESS : EXIT_RUN_FAILED;
}
