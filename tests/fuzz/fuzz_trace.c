/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/fuzz_trace.c  The input is a trace file (H4): refused with a line and a word, or played without a difference.
 *
 * The reader's promises are checked for each event, and that writing the event down and reading it again gives the same. What
 * the book takes is played twice, with ample frames and with the fewest that a pager can have, contents and books checked:
 * a trace that is well-formed must play to its end, whatever it says.
 */
#include "fuzz/fuzz.h"
#include "replay/player.h"

#include <inttypes.h>
#include <string.h>

#define PAGES_MAX 512  /* touched at a time: a stranger's trace may ask for more, but then it is not played here */
#define EVENTS_MAX 512 /* played */
#define SPACES_MAX 32

static void write_event(const struct trace_event *e, char *line, size_t room)
{
    static const char *const names[TRACE_VERBS] = {"new",  "fork", "exit", "map", "unmap",
                                                   "prot", "drop", "move", "r",   "w"};
    const char prot[] = {e->prot & TRACE_R ? 'r' : '-', e->prot & TRACE_W ? 'w' : '-', e->prot & TRACE_X ? 'x' : '-',
                         0};
    int n = snprintf(line, room, "# objrmap-trace 1\n%s %u", names[e->verb], e->space);
    char *at = line + n;
    room -= (size_t)n;
    switch (e->verb) {
    case TRACE_NEW:
    case TRACE_EXIT:
        snprintf(at, room, "\n");
        break;
    case TRACE_FORK:
        snprintf(at, room, " %u\n", e->child);
        break;
    case TRACE_MAP:
        snprintf(at, room, " %" PRIx64 " %" PRIx64 " %s %c\n", e->vpn, e->count, prot, e->kind);
        break;
    case TRACE_PROT:
        snprintf(at, room, " %" PRIx64 " %" PRIx64 " %s\n", e->vpn, e->count, prot);
        break;
    case TRACE_MOVE:
        snprintf(at, room, " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %x\n", e->vpn, e->count, e->to,
                 e->new_count, e->flags);
        break;
    case TRACE_READ:
    case TRACE_WRITE:
        snprintf(at, room, " %" PRIx64 "\n", e->vpn);
        break;
    default:
        snprintf(at, room, " %" PRIx64 " %" PRIx64 "\n", e->vpn, e->count);
    }
}

static void check_event(const struct trace_event *e)
{
    char text[200];
    struct trace *t;
    struct trace_event again;
    struct trace_error error;
    CHECK(e->verb < TRACE_VERBS && e->space >= 1 && e->space < TRACE_IDS && e->child < TRACE_IDS);
    CHECK(e->vpn < TRACE_PAGES && e->count <= TRACE_PAGES - e->vpn);
    CHECK(e->to < TRACE_PAGES && e->new_count <= TRACE_PAGES - e->to);
    CHECK(e->count || e->verb == TRACE_NEW || e->verb == TRACE_FORK || e->verb == TRACE_EXIT || e->verb == TRACE_MOVE);
    write_event(e, text, sizeof text);
    CHECK_EQ(trace_open_memory(text, strlen(text), &t, &error), 0);
    CHECK_EQ(trace_next(t, &again, &error), 1);
    again.line = e->line;
    CHECK(again.verb == e->verb && again.space == e->space && again.child == e->child && again.vpn == e->vpn &&
          again.count == e->count && again.to == e->to && again.new_count == e->new_count && again.flags == e->flags &&
          again.prot == e->prot && again.kind == e->kind);
    CHECK_EQ(trace_next(t, &again, &error), 0);
    trace_close(t);
}

/* @return events, or -1: malformed */
static int read_all(struct trace *t)
{
    struct trace_event e;
    struct trace_error error, same;
    int more, n = 0;
    while ((more = trace_next(t, &e, &error)) > 0) {
        check_event(&e);
        n++;
    }
    if (!more) return n;
    CHECK(error.text[0] && error.line);
    CHECK_EQ(trace_next(t, &e, &same), -1);
    CHECK_STR(same.text, error.text);
    return -1;
}

static void play(const uint8_t *bytes, size_t n, const struct player_options *options)
{
    struct trace *t;
    struct trace_event e;
    struct trace_error error = {0};
    struct player p;
    unsigned done = 0;
    CHECK_EQ(trace_open_memory(bytes, n, &t, &error), 0);
    int rc = player_open(&p, options, &error);
    while (!rc && trace_next(t, &e, &error) > 0) {
        CHECK_EQ(book_check(&p.book, &e, &error), 0);
        rc = player_play(&p, &e);
        if (!rc && ++done % 16 == 0) rc = player_check(&p, e.line);
    }
    if (!rc) rc = player_check(&p, e.line);
    if (!rc) rc = player_close(&p);
    if (rc)
        TEST_FAIL("with %u frames, line %llu: %s", (unsigned)options->frames, (unsigned long long)error.line,
                  error.text);
    trace_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct trace *t;
    struct trace_error error = {0};
    struct book book;
    if (trace_open_memory(bytes, n, &t, &error)) {
        CHECK(error.text[0]);
        return 0;
    }
    const int events = read_all(t);
    trace_close(t);
    if (events <= 0 || events > EVENTS_MAX) return 0;
    CHECK_EQ(trace_open_memory(bytes, n, &t, &error), 0);
    const int rc = book_of_trace(t, &book, &error);
    trace_close(t);
    if (rc) {
        CHECK(error.text[0] && error.line);
        return 0;
    }
    if (book.pages_peak > PAGES_MAX || book.live_peak > SPACES_MAX) return 0;
    const struct player_options ample = {.policy = n & 1 ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY,
                                         .frames = book.pages_peak + 64,
                                         .slots = 2 * book.pages_peak + 1024,
                                         .check_all = true};
    struct player_options few = ample;
    few.frames = 16;
    play(bytes, n, &ample);
    play(bytes, n, &few);
    return 0;
}
