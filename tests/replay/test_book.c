/* SPDX-License-Identifier: MIT */
/**
 * @file replay/test_book.c  What a hostile trace costs the book: a line may have the work of its space's regions, once, and
 * not once for each of them. Counted, as no time is a failure.
 */
#include "replay/book.h"
#include "support/test.h"

#include <stdlib.h>

#define PARTS 20000u /* regions in each half */
#define MOVES 20
#define LOW 0x100000u
#define ELSEWHERE 0x200000u
#define HIGH 0x300000u

/* A map of PARTS pages whose protections alternate. */
static void write_half(FILE *to, unsigned first)
{
    fprintf(to, "map 1 %x %x rw- a\n", first, PARTS);
    for (unsigned i = 0; i < PARTS; i += 2) fprintf(to, "prot 1 %x 1 r--\n", first + i);
}

/* Two halves; the lower one goes to and fro before the other, which must make room for it each time. */
static char *make_trace(size_t *bytes)
{
    char *text;
    FILE *to = open_memstream(&text, bytes);
    CHECK(to);
    fputs("# objrmap-trace 1\nnew 1\n", to);
    write_half(to, HIGH);
    write_half(to, LOW);
    for (unsigned i = 0; i < MOVES; i++)
        fprintf(to, "move 1 %x %x %x %x 1\n", i % 2 ? ELSEWHERE : LOW, PARTS, i % 2 ? LOW : ELSEWHERE, PARTS);
    fclose(to);
    return text;
}

/* 100000 [ 20000 regions ]   200000 [ where they go ]   300000 [ 20000 regions ] */
RMAP_TEST(replay_book, a_line_shifts_each_region_a_few_times_at_most)
{
    size_t bytes;
    char *text = make_trace(&bytes);
    struct trace *t;
    struct trace_event e;
    struct trace_error error = {0};
    struct book b = {0};
    unsigned moves = 0;
    CHECK_EQ(trace_open_memory(text, bytes, &t, &error), 0);
    while (trace_next(t, &e, &error) > 0) {
        const struct regions *rs = e.verb == TRACE_NEW ? NULL : &book_space(&b, 1)->regions;
        const uint64_t before = rs ? rs->shifted : 0;
        CHECK_EQ(book_check(&b, &e, &error), 0);
        book_apply(&b, &e);
        if (!rs) continue;
        CHECK(rs->shifted - before <= 3 * (uint64_t)rs->count); /* two cuts, or out of the way and back */
        if (e.verb != TRACE_MOVE) continue;
        CHECK_EQ(rs->count, 2 * PARTS);
        CHECK_EQ(regions_within(rs, e.to, e.to + PARTS), PARTS);
        CHECK_EQ(regions_within(rs, e.vpn, e.vpn + PARTS), 0);
        moves++;
    }
    CHECK_STR(error.text, "");
    CHECK_EQ(moves, MOVES);
    trace_close(t);
    book_fini(&b);
    free(text);
}

/* 10 [ rw- ] 18 [ r-- ] 1c [ shared ] 20, moved to 40 and one page longer */
RMAP_TEST(replay_book, what_moves_keeps_its_order_and_the_last_part_grows)
{
    static const char text[] = "# objrmap-trace 1\nnew 1\nmap 1 10 c rw- a\nprot 1 18 4 r--\nmap 1 1c 4 rw- s\n"
                               "map 1 0 8 rwx f\nmap 1 80 8 --- a\nmove 1 12 e 40 f 1\n";
    static const struct region wanted[] = {
        {0, 8, 7, 'f', true},       {0x10, 0x12, 3, 'a', true}, {0x40, 0x46, 3, 'a', true},
        {0x46, 0x4a, 1, 'a', true}, {0x4a, 0x4f, 3, 's', true}, {0x80, 0x88, 0, 'a', false},
    };
    struct trace *t;
    struct trace_event e;
    struct trace_error error = {0};
    struct book b = {0};
    CHECK_EQ(trace_open_memory(text, sizeof text - 1, &t, &error), 0);
    while (trace_next(t, &e, &error) > 0) {
        CHECK_EQ(book_check(&b, &e, &error), 0);
        book_apply(&b, &e);
    }
    CHECK_STR(error.text, "");
    const struct regions *rs = &book_space(&b, 1)->regions;
    CHECK_EQ(rs->count, 6);
    for (size_t i = 0; i < rs->count; i++) {
        CHECK(rs->at[i].first == wanted[i].first && rs->at[i].end == wanted[i].end);
        CHECK(rs->at[i].prot == wanted[i].prot && rs->at[i].kind == wanted[i].kind);
        CHECK_EQ(rs->at[i].writable_once, wanted[i].writable_once);
    }
    CHECK(!regions_any_shared(rs, 0, 0x4a) && regions_any_shared(rs, 0x49, 0x4b) &&
          !regions_any_shared(rs, 0x4f, 0x90));
    trace_close(t);
    book_fini(&b);
}
