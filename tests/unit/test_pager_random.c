/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_pager_random.c  Random programs on a pager that is always short of frames, against a model that
 * copies everything: what each page of each space says, and what each may do.
 */
#include "support/prng.h"
#include "unit/pager_world.h"

#define PAGES 40 /* of the 262,144 that the tables cover: enough to collide */
#define BASE 500 /* first of them; the window straddles the border of two tables at 512 */
#define SPACES 7

struct model {
    bool mapped[PAGES], locked[PAGES];
    unsigned prot[PAGES];
    uint64_t says[PAGES];
};

struct game {
    struct world w;
    struct prng rng;
    struct rmap_space *space[SPACES]; /* not in w.space: ended here */
    struct model model[SPACES];
    uint64_t next; /* value to write */
    unsigned locked_pages;
};

static uint64_t below(struct game *g, uint64_t n) { return prng_below(&g->rng, n); }

static bool all_mapped(const struct model *m, unsigned a, unsigned n)
{
    for (unsigned i = a; i < a + n; i++)
        if (!m->mapped[i]) return false;
    return true;
}

static void do_map(struct game *g, struct rmap_space *s, struct model *m, unsigned a, unsigned n)
{
    static const unsigned prots[] = {RW, RW, RW, RMAP_READ, RWX};
    unsigned prot = prots[below(g, 5)];
    rmap_vpn_t at = BASE + a;
    CHECK_OK(rmap_space_map(s, &at, n, prot, RMAP_MAP_FIXED));
    for (unsigned i = a; i < a + n; i++) {
        m->mapped[i] = true;
        m->locked[i] = false;
        m->prot[i] = prot;
        m->says[i] = 0;
    }
}

static void do_unmap(struct rmap_space *s, struct model *m, unsigned a, unsigned n)
{
    CHECK_OK(rmap_space_unmap(s, BASE + a, n));
    for (unsigned i = a; i < a + n; i++) m->mapped[i] = m->locked[i] = false;
}

static void do_protect(struct game *g, struct rmap_space *s, struct model *m, unsigned a, unsigned n)
{
    static const unsigned prots[] = {RW, RMAP_READ, RMAP_NONE, RW, RW, RWX, RMAP_READ | RMAP_EXEC};
    unsigned prot = prots[below(g, 7)];
    CHECK_ERR(rmap_space_protect(s, BASE + a, n, prot), all_mapped(m, a, n) ? 0 : RMAP_ERR_ABSENT);
    for (unsigned i = a; i < a + n && all_mapped(m, a, n); i++) m->prot[i] = prot;
}

static void do_lock(struct game *g, struct rmap_space *s, struct model *m, unsigned a, unsigned n)
{
    if (n > 2) n = 2;
    if (g->locked_pages > 4) return;
    bool some_none = false;
    for (unsigned i = a; i < a + n; i++) some_none |= m->prot[i] == RMAP_NONE;
    int want = !all_mapped(m, a, n) ? RMAP_ERR_ABSENT : some_none ? RMAP_ERR_ACCESS : 0;
    CHECK_ERR(rmap_space_lock(s, BASE + a, n), want);
    for (unsigned i = a; i < a + n && !want; i++) m->locked[i] = true;
}

static void do_unlock(struct rmap_space *s, struct model *m, unsigned a, unsigned n)
{
    CHECK_ERR(rmap_space_unlock(s, BASE + a, n), all_mapped(m, a, n) ? 0 : RMAP_ERR_ABSENT);
    for (unsigned i = a; i < a + n && all_mapped(m, a, n); i++) m->locked[i] = false;
}

static void do_dontneed(struct rmap_space *s, struct model *m, unsigned a, unsigned n)
{
    int want = all_mapped(m, a, n) ? 0 : RMAP_ERR_ABSENT;
    for (unsigned i = a; i < a + n && !want; i++)
        if (m->locked[i]) want = RMAP_ERR_BUSY;
    CHECK_ERR(rmap_space_advise(s, BASE + a, n, RMAP_ADVISE_DONTNEED), want);
    for (unsigned i = a; i < a + n && !want; i++) m->says[i] = 0;
}

/* Fixed target of the same or another size; the source must be one region, which the model finds by comparing pages. */
static void do_move(struct game *g, struct rmap_space *s, struct model *m, unsigned a, unsigned n)
{
    unsigned new_n = (unsigned)below(g, 3) ? n : 1 + (unsigned)below(g, 8);
    if (new_n > PAGES) new_n = PAGES;
    unsigned b = (unsigned)below(g, PAGES - new_n + 1);
    bool keep = new_n == n && below(g, 4) == 0;
    if (a < b + new_n && b < a + n) return;
    for (unsigned i = a; i < a + n; i++)
        if (m->locked[i]) return; /* keeps the number of locked pages in hand */
    rmap_vpn_t to = BASE + b;
    int rc = rmap_space_move(s, BASE + a, n, new_n, RMAP_MOVE_FIXED | (keep ? RMAP_MOVE_KEEP_OLD : 0), &to);
    if (rc == RMAP_ERR_ABSENT) return; /* a hole, or more than one region: checked where it succeeds */
    CHECK_OK(rc);
    CHECK(all_mapped(m, a, n));
    for (unsigned i = 0; i < n; i++) CHECK_EQ(m->prot[a + i], m->prot[a]);
    for (unsigned i = 0; i < new_n; i++) {
        m->mapped[b + i] = true;
        m->locked[b + i] = false;
        m->prot[b + i] = m->prot[a];
        m->says[b + i] = i < n ? m->says[a + i] : 0;
    }
    for (unsigned i = a; i < a + n; i++) {
        m->mapped[i] = keep;
        m->says[i] = 0;
    }
}

static void do_fork(struct game *g, unsigned from)
{
    unsigned to = (unsigned)below(g, SPACES);
    if (g->space[to]) return;
    CHECK_OK(rmap_space_fork(g->space[from], &g->space[to]));
    g->model[to] = g->model[from];
    memset(g->model[to].locked, 0, sizeof g->model[to].locked);
}

static void do_end(struct game *g, unsigned i)
{
    unsigned alive = 0;
    for (unsigned k = 0; k < SPACES; k++) alive += g->space[k] != NULL;
    if (alive < 2) return;
    CHECK_OK(rmap_space_destroy(g->space[i]));
    g->space[i] = NULL;
    memset(&g->model[i], 0, sizeof g->model[i]);
}

static void do_exec(struct game *g, unsigned i)
{
    CHECK_OK(rmap_space_exec(g->space[i]));
    memset(&g->model[i], 0, sizeof g->model[i]);
}

static void do_write(struct game *g, struct rmap_space *s, struct model *m, unsigned a)
{
    int want = !m->mapped[a] ? RMAP_ERR_ABSENT : m->prot[a] & RMAP_WRITE ? 0 : RMAP_ERR_ACCESS;
    CHECK_ERR(try_put(s, BASE + a, ++g->next), want);
    if (!want) m->says[a] = g->next;
}

static void do_read(struct rmap_space *s, const struct model *m, unsigned a)
{
    uint64_t value = 0;
    int want = !m->mapped[a] ? RMAP_ERR_ABSENT : m->prot[a] & RMAP_READ ? 0 : RMAP_ERR_ACCESS;
    CHECK_ERR(rmap_space_read(s, (BASE + a) * PAGE, &value, sizeof value, NULL), want);
    if (!want) CHECK_EQ(get(s, BASE + a), m->says[a]);
}

static void step(struct game *g)
{
    unsigned i = (unsigned)below(g, SPACES);
    struct rmap_space *s = g->space[i];
    struct model *m = &g->model[i];
    if (!s) return;
    unsigned a = (unsigned)below(g, PAGES), n = 1 + (unsigned)below(g, 8);
    if (below(g, 3) == 0) n = 1;
    if (a + n > PAGES) n = PAGES - a;
    g->locked_pages = 0;
    for (unsigned k = 0; k < SPACES; k++)
        for (unsigned j = 0; j < PAGES; j++) g->locked_pages += g->model[k].locked[j];
    switch (below(g, 64)) {
    case 0:
    case 1: do_map(g, s, m, a, n); break;
    case 2:
        if (below(g, 2)) do_unmap(s, m, a, n);
        break;
    case 3: do_protect(g, s, m, a, n); break;
    case 4: do_lock(g, s, m, a, n); break;
    case 5: do_unlock(s, m, a, n); break;
    case 6:
        if (below(g, 2)) do_dontneed(s, m, a, n);
        break;
    case 7:
    case 8:
    case 9:
    case 10: do_move(g, s, m, a, n); break;
    case 11:
    case 12: do_fork(g, i); break;
    case 13:
        if (below(g, 3) == 0) do_end(g, i);
        break;
    case 14:
        if (below(g, 40) == 0) do_exec(g, i);
        break;
    case 15: CHECK(rmap_reclaim(g->w.p, below(g, 20)) >= 0); break;
    default:
        if (below(g, 2)) do_write(g, s, m, a);
        else do_read(s, m, a);
    }
}

static void check_everything(struct game *g)
{
    world_verify(&g->w);
    for (unsigned k = 0; k < SPACES; k++)
        for (unsigned a = 0; g->space[k] && a < PAGES; a++) do_read(g->space[k], &g->model[k], a);
    world_verify(&g->w);
}

static void play(uint64_t seed, unsigned frames, unsigned steps)
{
    static struct game g;
    memset(&g, 0, sizeof g);
    world_init(&g.w, frames, 2000, 0);
    prng_init(&g.rng, seed);
    CHECK_OK(rmap_space_create(g.w.p, &g.space[0]));
    for (unsigned i = 0; i < steps; i++) {
        step(&g);
        CHECK_LE(stats(&g.w).frames_used, frames);
        if (i % 256 == 0) check_everything(&g);
    }
    check_everything(&g);
    struct rmap_pager_stats st = stats(&g.w);
    CHECK(st.evictions > 0 && st.shared_evictions > 0 && st.swap_ins > 0 && st.cow_copies > 0 &&
          st.moves_reindexed > 0);
    CHECK(st.moves_copied > 0 && st.moves_swap > 0 && st.swap_in_copies > 0 && st.cow_reuses > 0);
    for (unsigned k = 0; k < SPACES; k++)
        if (g.space[k]) CHECK_OK(rmap_space_destroy(g.space[k]));
    world_fini(&g.w);
}

/* Seven spaces of 40 pages in 24 frames: nearly every touch evicts. */
RMAP_TEST(pager_random, short_of_frames) { play(prng_seed_of_run(1), 24, 60000); }
/* The same in 80 frames: pages stay long enough to be shared, reused and re-shared. */
RMAP_TEST(pager_random, some_room) { play(prng_seed_of_run(2), 80, 60000); }
