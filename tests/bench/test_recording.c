/* SPDX-License-Identifier: MIT */
/**
 * @file bench/test_recording.c  Recorded traces become calls that systems can take: regions are free and touch none, what is
 * written, moved and unmapped lies in one, nothing lives at the end. Each rule is looked at from the calls alone.
 */
#include "bench/recording.h"
#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#define SPACES 256
#define REGIONS 4096

struct range {
    uint64_t first, end;
};

/* What the calls until now amount to. */
struct space {
    bool live;
    size_t regions;
    struct range region[REGIONS]; /* in no order */
};

static struct space *spaces;

static struct range *region_of(struct space *s, uint64_t first, uint64_t end)
{
    for (size_t i = 0; i < s->regions; i++)
        if (s->region[i].first <= first && end <= s->region[i].end) return &s->region[i];
    return NULL;
}

static bool touches(const struct space *s, uint64_t first, uint64_t end)
{
    for (size_t i = 0; i < s->regions; i++)
        if (s->region[i].first <= end && first <= s->region[i].end) return true;
    return false;
}

static void enter(struct space *s, uint64_t first, uint64_t end)
{
    CHECK(first < end && end <= (uint64_t)1 << 36);
    CHECK(!touches(s, first, end));
    CHECK(s->regions < REGIONS);
    s->region[s->regions++] = (struct range){first, end};
}

/* In one region, which may be cut into two. */
static void leave(struct space *s, uint64_t first, uint64_t end)
{
    struct range *r = region_of(s, first, end);
    CHECK(r && first < end);
    const struct range front = {r->first, first}, back = {end, r->end};
    *r = s->region[--s->regions];
    if (front.first < front.end) s->region[s->regions++] = front;
    if (back.first < back.end) s->region[s->regions++] = back;
}

static void follow(const struct step *step)
{
    struct space *s = &spaces[step->space], *child = &spaces[step->child];
    CHECK(s->live == (step->verb != STEP_CREATE));
    switch (step->verb) {
    case STEP_CREATE:
        s->live = true;
        break;
    case STEP_FORK:
        CHECK(!child->live);
        *child = *s;
        break;
    case STEP_EXIT:
        *s = (struct space){0};
        break;
    case STEP_MAP:
        enter(s, step->vpn, step->vpn + step->count);
        break;
    case STEP_UNMAP:
        leave(s, step->vpn, step->vpn + step->count);
        break;
    case STEP_MOVE:
        CHECK(!touches(s, step->to, step->to + step->count));
        leave(s, step->vpn, step->vpn + step->count);
        enter(s, step->to, step->to + step->count);
        break;
    default:
        CHECK(region_of(s, step->vpn, step->vpn + 1));
        break;
    }
}

static void read_and_follow(const char *path, struct recording *r)
{
    struct trace_error error;
    if (recording_read(path, r, &error)) {
        fprintf(stderr, "%s:%" PRIu64 ": %s\n", path, error.line, error.text);
        if (strstr(error.text, "liblzma")) TEST_SKIP("built without liblzma");
        TEST_FAIL("%s cannot be read", path);
    }
    CHECK(r->spaces <= SPACES);
    spaces = calloc(SPACES, sizeof *spaces);
    CHECK(spaces);
    for (size_t i = 0; i < r->steps; i++) follow(&r->step[i]);
    for (unsigned i = 0; i < SPACES; i++) CHECK(!spaces[i].live);
    free(spaces);
}

static void write_file(char *path, const char *text)
{
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ((size_t)write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* One space, numbers hexadecimal:  a 10-1f, beside it b 20-2f (which must make way), c 40-4f, and shared ones. */
RMAP_TEST(recording, every_event_becomes_the_calls_that_it_means)
{
    static const uint64_t own = ((uint64_t)1 << 35) + 1; /* places.h: the first place for who makes way */
    static const struct step wanted[] = {
        {STEP_CREATE, 1, 0, 0, 0, 0},
        {STEP_MAP, 1, 0, 0x10, 0x10, 0},
        {STEP_MAP, 1, 0, own, 0x10, 0},
        {STEP_MAP, 1, 0, 0x40, 0x10, 0},
        {STEP_WRITE, 1, 0, own + 1, 0, 0},
        {STEP_UNMAP, 1, 0, 0x1e, 2, 0}, /* one range of the trace, two of ours */
        {STEP_UNMAP, 1, 0, own, 2, 0},
        {STEP_FORK, 1, 2, 0, 0, 0},
        {STEP_MOVE, 2, 0, 0x40, 0x10, 0x80}, /* and grows */
        {STEP_MAP, 2, 0, own + 0x11, 0x10, 0},
        {STEP_WRITE, 2, 0, own + 0x12, 0, 0},
        {STEP_UNMAP, 2, 0, 0x84, 0xc, 0}, /* shrinks, over what it grew by, where it is */
        {STEP_UNMAP, 2, 0, own + 0x11, 0x10, 0},
        {STEP_UNMAP, 1, 0, 0x48, 1, 0}, /* contents dropped in the middle */
        {STEP_MAP, 1, 0, own + 0x11, 1, 0},
        {STEP_WRITE, 1, 0, own + 0x11, 0, 0},
        {STEP_MOVE, 1, 0, 0x10, 0xe, 0x200}, /* and stays mapped */
        {STEP_MAP, 1, 0, 0x10, 0xe, 0},
        {STEP_MOVE, 1, 0, 0x204, 2, 0x300}, /* from the middle, which is cut into three */
        {STEP_UNMAP, 1, 0, 0x206, 8, 0},
        {STEP_EXIT, 1, 0, 0, 0, 0},
        {STEP_EXIT, 2, 0, 0, 0, 0},
    };
    char path[] = "/tmp/recording-XXXXXX";
    struct recording r;
    write_file(path,
               "# objrmap-trace 1\nnew 1\nmap 1 10 10 rw- a\nmap 1 20 10 rw- a\nmap 1 40 10 rw- f\nmap 1 60 10 rw- s\n"
               "w 1 21\nr 1 11\nw 1 61\nprot 1 10 2 r--\nunmap 1 1e 4\nfork 1 2\nmove 2 40 10 80 20 1\nw 2 91\n"
               "move 2 80 20 80 4 1\ndrop 1 48 1\nw 1 48\nmove 1 10 e 200 e 7\nmove 1 204 2 300 2 1\n"
               "unmap 1 206 8\nexit 1\n");
    read_and_follow(path, &r);
    unlink(path);
    CHECK_EQ(r.steps, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < r.steps; i++) {
        const struct step *a = &r.step[i], *b = &wanted[i];
        if (a->verb == b->verb && a->space == b->space && a->child == b->child && a->vpn == b->vpn &&
            a->count == b->count && a->to == b->to)
            continue;
        fprintf(stderr, "step %zu is verb %d of %u (child %u): %" PRIx64 ", %" PRIx64 ", to %" PRIx64 "\n", i, a->verb,
                a->space, a->child, a->vpn, a->count, a->to);
        TEST_FAIL("step %zu is another", i);
    }
    recording_fini(&r);
}

static void replays(const char *name, uint64_t forks, uint64_t moves)
{
    char path[512];
    struct recording r;
    snprintf(path, sizeof path, "%s/tests/replay/%s", getenv("OBJRMAP_SOURCE_ROOT"), name);
    read_and_follow(path, &r);
    CHECK_EQ(r.counts[STEP_FORK], forks);
    CHECK(r.counts[STEP_MOVE] >= moves);
    CHECK(r.counts[STEP_WRITE] > 0);
    CHECK_EQ(r.counts[STEP_CREATE] + r.counts[STEP_FORK], r.counts[STEP_EXIT]);
    recording_fini(&r);
}

RMAP_TEST(recording, a_server_that_forks_and_moves)
{
    replays("python-small.trace.xz", 12, 1);
}

RMAP_TEST(recording, a_server_that_forks_to_save)
{
    replays("redis-small.trace.xz", 24, 0);
}

RMAP_TEST(recording, a_malformed_trace_is_refused_by_its_line)
{
    char path[] = "/tmp/recording-XXXXXX";
    struct trace_error error = {0};
    struct recording r;
    write_file(path, "# objrmap-trace 1\nnew 1\nw 1 20\n");
    CHECK_EQ(recording_read(path, &r, &error), -1);
    CHECK_EQ(error.line, 3);
    CHECK(!r.step);
    unlink(path);
}
