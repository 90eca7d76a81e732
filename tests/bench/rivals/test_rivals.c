/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/test_rivals.c  smoke */
#include "bench/system.h"
#include "support/test.h"
RMAP_TEST(rivals, smoke)
{
    for (const struct bench_system *const *p = bench_systems; *p; p++) {
        const struct bench_system *s = *p;
        struct bench_world *w = s->open(&(struct bench_options){.frames = 1024});
        struct bench_space *a = s->create(w), *c;
        struct bench_tally t = {0, 0};
        struct rmap_page *page;
        s->map(a, 0, 512);
        for (unsigned i = 0; i < 512; i++) s->write(a, i);
        c = s->fork(a);
        s->write(c, 7);
        page = s->page(a, 8);
        s->verb(w, BENCH_LOOK, &page, 1, &t);
        CHECK_EQ(t.hits, 2);
        page = s->page(c, 7);
        s->verb(w, BENCH_UNMAP, &page, 1, &t);
        CHECK_EQ(t.hits, 3);
        s->read(c, 7);
        page = s->page(c, 7);
        s->verb(w, BENCH_MIGRATE, &page, 1, &t);
        s->move(c, 0, 1024, 512);
        s->exit(a);
        s->exit(c);
        CHECK_EQ(s->frames_free(w), 1024);
        s->close(w);
    }
}
