/* SPDX-License-Identifier: MIT */
/**
 * @file replay/rmap_replay.c  Replays a recorded trace of real programs on the pager, with fewer frames than they used.
 *
 * Three readings: is the trace well-formed, and how much can it need; a replay with ample frames, whose peak is 100 %; the
 * replay with the budget that was asked for, whose figures are printed. Contents and books are checked in both replays.
 */
#include "replay/figures.h"
#include "replay/player.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAST_FRAMES 16 /* of a pager */
#define QUIET_POINTS 8

enum { FINE, FOUND, MISUSE };

struct replay {
    const char *path;
    bool json;
    unsigned quiet_points;
    uint64_t percent;
    struct player_options options;
    struct book known; /* what the first reading came to */
    uint64_t events, lines;
    struct figures figures; /* of the last reading */
    struct figures_run run;
    struct trace_error error;
};

static const char help[] =
    "usage: rmap_replay TRACE [--memory PERCENT] [--move copy|track] [--swap lz4|file] [--checks N] [--check-all] "
    "[--json]\n"
    "Replays a recorded trace (of tests/replay/trace.h's format; .xz is unpacked) on the pager: faults, forks, moves, "
    "with\n"
    "stamped pages whose contents are checked at every fault, at exits and at quiet points, where the books are "
    "verified, too.\n"
    "  --memory PERCENT   frames, of those in use at the peak of a replay with ample memory: 1 ... 100 (default 100)\n"
    "  --move copy|track  what moves do with shared pages (default copy)\n"
    "  --swap lz4|file    pages go to memory, compressed, or to a file in $TMPDIR (default lz4 where the library has "
    "it)\n"
    "  --checks N         quiet points in a replay: 0 ... 10000 (default 8)\n"
    "  --check-all        at exits and quiet points read all pages, not a sample of 64 of each space\n"
    "  --json             print one JSON object\n"
    "Printed are counts of what the trace did, without what checks did. Private file mappings are replayed as "
    "zero-filled\n"
    "memory; shared mappings are counted and skipped.\n"
    "Status 0: all is as the trace says; 1: something is not; 2: misuse, or the trace is malformed.\n";

static int refuse(const char *why, const char *argument)
{
    fprintf(stderr, "rmap_replay: %s: %s (try --help)\n", why, argument);
    return MISUSE;
}

static int tell(const struct replay *r, int status)
{
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    if (r->error.line)
        fprintf(stderr, "%s:%" PRIu64 ": %s\n", r->path, r->error.line, r->error.text);
    else
        fprintf(stderr, "%s: %s\n", r->path, r->error.text);
    return status;
}

static void progress(const char *what, uint64_t done, uint64_t all)
{
    if (done % 2048 && done != all) return;
    if (!isatty(STDERR_FILENO)) return;
    if (done == all)
        fputs("\r\033[K", stderr);
    else
        fprintf(stderr, "\r%s: %" PRIu64 " %%\033[K", what, done * 100 / all);
}

static int read_once(struct replay *r)
{
    struct trace *t;
    if (trace_open_file(r->path, &t, &r->error)) return tell(r, MISUSE);
    const int rc = book_of_trace(t, &r->known, &r->error);
    trace_close(t);
    for (unsigned v = 0; v < TRACE_VERBS; v++) r->events += r->known.events[v];
    return rc ? tell(r, MISUSE) : FINE;
}

/* The quiet points cut the events into equal parts; the last is the end. */
static bool is_quiet_point(const struct replay *r, uint64_t done)
{
    const uint64_t n = r->quiet_points, all = r->events;
    return done * n / all != (done - 1) * n / all;
}

static int play_events(struct replay *r, struct trace *t, struct player *p, const char *what)
{
    struct trace_event e;
    int more;
    uint64_t done = 0;
    while ((more = trace_next(t, &e, &r->error)) > 0) {
        if (book_check(&p->book, &e, &r->error)) return MISUSE;
        if (player_play(p, &e)) return FOUND;
        progress(what, ++done, r->events);
        if (is_quiet_point(r, done) && player_check(p, e.line)) return FOUND;
    }
    if (more < 0) return MISUSE;
    return done == r->events ? FINE : (trace_wrong(&r->error, 0, "the file changes while it is read"), MISUSE);
}

static int take_figures(struct replay *r, struct player *p)
{
    struct rmap_pager_stats pager;
    struct rmap_swap_stats swap;
    if (player_figures(p, &r->figures)) return FOUND;
    if (rmap_pager_get_stats(p->pager, &pager) || rmap_swap_get_stats(rmap_pager_swap(p->pager), &swap)) {
        trace_wrong(&r->error, 0, "no statistics");
        return FOUND;
    }
    r->run.used_frames_peak = pager.frames_peak;
    r->run.slots_peak = swap.slots_peak;
    r->run.pages_checked = p->pages_checked;
    r->run.verifications = p->verifications;
    r->run.swap = p->swap_name;
    return FINE;
}

static int replay_once(struct replay *r, uint64_t frames, const char *what)
{
    struct trace *t;
    struct player p;
    r->options.frames = frames;
    if (trace_open_file(r->path, &t, &r->error)) return tell(r, MISUSE);
    int status = player_open(&p, &r->options, &r->error) ? FOUND : FINE;
    if (!status) {
        status = play_events(r, t, &p, what);
        if (!status) status = take_figures(r, &p);
        /* After a finding the pager may be in any state: it ends with the program. */
        if (!status && player_close(&p)) status = FOUND;
    }
    trace_close(t);
    return status ? tell(r, status) : FINE;
}

static int replay(struct replay *r)
{
    int status = read_once(r);
    if (status) return status;
    if (!r->events) return trace_wrong(&r->error, 0, "the trace has no events"), tell(r, MISUSE);
    r->options.slots = 2 * r->known.pages_peak + 1024;
    if ((status = replay_once(r, r->known.pages_peak + 64, "with ample memory"))) return status;
    if (r->figures.evictions) return trace_wrong(&r->error, 0, "evictions with ample memory"), tell(r, FOUND);

    r->run.peak_frames = r->run.used_frames_peak;
    r->run.budget_frames = (r->run.peak_frames * r->percent + 99) / 100;
    if (r->run.budget_frames < LEAST_FRAMES) r->run.budget_frames = LEAST_FRAMES;
    if ((status = replay_once(r, r->run.budget_frames, "with the budget"))) return status;

    r->run.trace = r->path;
    r->run.move = r->options.policy == RMAP_MOVE_POLICY_TRACK ? "track" : "copy";
    r->run.events = r->events;
    r->run.spaces = r->known.last;
    r->run.forks = r->known.events[TRACE_FORK];
    r->run.spaces_peak = r->known.live_peak;
    r->run.skipped_maps = r->known.skipped_maps;
    r->run.skipped_ranges = r->known.skipped_ranges;
    r->run.skipped_faults = r->known.skipped_faults;
    r->run.memory_percent = r->percent;
    (r->json ? figures_print_json : figures_print)(&r->figures, &r->run, stdout);
    return fflush(stdout) ? refuse("cannot write", "stdout") : FINE;
}

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    const size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 9 || text[digits]) return false;
    *out = strtoull(text, &end, 10);
    return *out >= least && *out <= most;
}

/* @return the option's complaint, or NULL */
static const char *take_option(struct replay *r, int name, const char *value)
{
    uint64_t n;
    switch (name) {
    case 'm':
        if (!number(value, 1, 100, &r->percent)) return "not a percentage of 1 ... 100";
        break;
    case 'p':
        if (strcmp(value, "copy") && strcmp(value, "track")) return "no such way to move";
        r->options.policy = *value == 't' ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY;
        break;
    case 's':
        if (strcmp(value, "lz4") && strcmp(value, "file")) return "no such swap device";
        r->options.swap = *value == 'l' ? PLAYER_LZ4 : PLAYER_FILE;
        break;
    case 'c':
        if (!number(value, 0, 10000, &n)) return "not a number of 0 ... 10000";
        r->quiet_points = (unsigned)n;
        break;
    case 'a':
        r->options.check_all = true;
        break;
    case 'j':
        r->json = true;
        break;
    default:
        return "unknown argument";
    }
    return NULL;
}

int main(int count, char **arguments)
{
    static const struct option names[] = {
        {"memory", required_argument, NULL, 'm'}, {"move", required_argument, NULL, 'p'},
        {"swap", required_argument, NULL, 's'},   {"checks", required_argument, NULL, 'c'},
        {"check-all", no_argument, NULL, 'a'},    {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    static struct replay r = {.percent = 100, .quiet_points = QUIET_POINTS};
    int name;

    opterr = 0;
    while ((name = getopt_long(count, arguments, ":", names, NULL)) != -1) {
        if (name == 'h') return fputs(help, stdout) < 0 ? MISUSE : FINE;
        if (name == ':') return refuse("needs a value", arguments[optind - 1]);
        const char *why = take_option(&r, name, optarg);
        if (why) return refuse(why, name == '?' || !optarg ? arguments[optind - 1] : optarg);
    }
    if (optind == count) return refuse("wants a trace", "none is given");
    if (optind + 1 < count) return refuse("one trace at a time", arguments[optind + 1]);
    r.path = arguments[optind];
    return replay(&r);
}
