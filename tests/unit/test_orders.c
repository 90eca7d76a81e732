/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_orders.c  Two or three tiny programs of forks, faults, walks, evictions, moves and exits, in every order.
 *
 * A fork is three steps (begin, copy, commit or abort), everything else is one: every order that the space locks allow is
 * played, and after each step all invariants hold and everybody reads what he wrote. test_schedules.c looks into single walks
 * instead. The cases are those of the Python model (../shared/model: `dfs`).
 */
#include "support/world.h"

enum op { END, BEGIN, COPY, COMMIT, ABORT, REF, WP, UNMAP, EVICT, ZAP, WRITE, READ, EXIT, MOVE };
struct step {
    enum op op;
    unsigned space;
};
#define FORK(s) {BEGIN, s}, {COPY, s}, {COMMIT, s}
#define FAILED_FORK(s) {BEGIN, s}, {COPY, s}, {ABORT, s}

/* S is 0, X its child 1, Y the child of X 2; all have page 0. A thread is its steps in order. */
struct tiny {
    const char *name;
    unsigned spaces;
    bool on_swap; /* everything is, when it begins */
    struct step thread[3][5];
};
static const struct tiny cases[] = {
    {"fork + ref", 1, false, {{FORK(0)}, {{REF, 0}, {REF, 0}}}},
    {"fork + wp", 1, false, {{FORK(0)}, {{WP, 0}, {REF, 0}}}},
    {"fork + unmap", 1, false, {{FORK(0)}, {{UNMAP, 0}, {REF, 0}}}},
    {"fork + evict + read", 1, false, {{FORK(0), {READ, 0}}, {{UNMAP, 0}, {EVICT, 0}}}},
    {"fork + ref + zap other", 2, false, {{FORK(0)}, {{REF, 0}}, {{ZAP, 1}}}},
    {"fork + unmap + zap other", 2, false, {{FORK(0)}, {{UNMAP, 0}}, {{ZAP, 1}}}},
    {"three mappers, zap one", 3, false, {{{REF, 0}, {UNMAP, 0}}, {{ZAP, 0}}}},
    {"cow + ref", 2, false, {{{WRITE, 1}}, {{REF, 0}, {REF, 0}}}},
    {"cow + unmap", 2, false, {{{WRITE, 1}}, {{UNMAP, 0}}, {{WRITE, 0}}}},
    {"cow + cow", 2, false, {{{WRITE, 1}}, {{WRITE, 0}}}},
    {"swap-in twice", 2, true, {{{READ, 1}, {WRITE, 1}}, {{READ, 0}, {WRITE, 0}}}},
    {"swap-in + ref", 3, true, {{{READ, 0}}, {{READ, 2}}, {{REF, 0}, {UNMAP, 0}}}},
    {"swap-in + fork", 2, true, {{FORK(0)}, {{READ, 1}, {REF, 0}}}},
    {"(fork; zap) + ref", 1, false, {{FORK(0), {ZAP, 0}}, {{REF, 0}, {REF, 0}}}},
    {"(fork; zap) + unmap", 1, false, {{FORK(0), {ZAP, 0}}, {{UNMAP, 0}, {REF, 0}}}},
    {"move + unmap", 2, false, {{{MOVE, 1}}, {{UNMAP, 0}, {REF, 0}}, {{READ, 0}}}},
    {"exit + fork of the child + ref", 2, false, {{{EXIT, 0}}, {FORK(1)}, {{REF, 0}}}},
    {"fork X; cow Y; wp", 3, false, {{FORK(1)}, {{WRITE, 2}}, {{WP, 0}, {REF, 0}}}},
    {"fork S; exit X; unmap", 3, false, {{FORK(0)}, {{EXIT, 1}}, {{UNMAP, 0}}}},
    {"fork S; fork Y; ref", 3, false, {{FORK(0)}, {FORK(2)}, {{REF, 0}}}},
    {"fork S aborts; zap Y; ref", 3, false, {{FAILED_FORK(0)}, {{ZAP, 2}}, {{REF, 0}, {REF, 0}}}},
    {"exit S; exit X; ref", 3, false, {{{EXIT, 0}}, {{EXIT, 1}}, {{REF, 0}, {REF, 0}}}},
    {"move X; fork Y; unmap", 3, false, {{{MOVE, 1}}, {FORK(2)}, {{UNMAP, 0}}}},
    {"swap-in; exit; move", 3, true, {{{READ, 2}, {UNMAP, 0}}, {{EXIT, 0}}, {{MOVE, 1}, {READ, 1}}}},
};

#define SPACES 8
#define VPNS 2
struct play {
    struct world w;
    struct world_space *s[SPACES]; /* NULL: gone */
    unsigned spaces;
    bool locked[SPACES]; /* space lock held by a fork under way */
    uint64_t value[SPACES][VPNS], version;
    struct rmap_page *page; /* the page of the case, with a reference */
    struct {
        struct rmap_fork f;
        struct world_space *child;
    } fork[SPACES];
};

/* `inherited`: page 0 comes from a space before S, which has dropped it: owners are wider than needed and tightening works. */
static void play_begin(struct play *p, const struct tiny *t, bool inherited)
{
    memset(p, 0, sizeof *p);
    world_init(&p->w, &(struct world_options){.frames = 16, .slots = 16});
    struct world_space *g = world_space(&p->w);
    world_write(g, 0, ++p->version);
    p->page = world_page(g, 0);
    rmap_page_get(p->page);
    p->s[0] = inherited ? world_fork(g) : g;
    if (inherited) world_zap(g, 0, 1);
    for (p->spaces = 1; p->spaces < t->spaces; p->spaces++) p->s[p->spaces] = world_fork(p->s[p->spaces - 1]);
    for (unsigned i = 0; i < t->spaces; i++) p->value[i][0] = p->version;
    if (t->on_swap) CHECK_EQ(world_unmap(&p->w, p->page, 0).outcome, RMAP_DONE);
}

static void play_step(struct play *p, const struct step *x)
{
    struct world_space *s = p->s[x->space];
    struct rmap_result res;
    switch (x->op) {
    case BEGIN:
        p->fork[x->space].child = world_space_blank(&p->w);
        CHECK_OK(rmap_fork_begin(&s->m, &p->fork[x->space].child->m, &p->fork[x->space].child->mmu, &p->fork[x->space].f));
        p->locked[x->space] = true;
        break;
    case COPY: CHECK_OK(rmap_fork_copy(&p->fork[x->space].f, 0, s->mmu.pages, 0)); break;
    case COMMIT:
        rmap_fork_commit(&p->fork[x->space].f);
        p->locked[x->space] = false;
        memcpy(p->value[p->spaces], p->value[x->space], sizeof p->value[0]);
        p->s[p->spaces++] = world_space_adopt(p->fork[x->space].child);
        break;
    case ABORT:
        rmap_fork_abort(&p->fork[x->space].f);
        p->locked[x->space] = false;
        world_space_free(p->fork[x->space].child);
        break;
    case REF:
        res = world_referenced(&p->w, p->page);
        CHECK_EQ(res.outcome, RMAP_DONE);
        break;
    case WP: CHECK_EQ(world_protect(&p->w, p->page).outcome, RMAP_DONE); break;
    case UNMAP:
        if (!rmap_page_is_anon(p->page) || !rmap_page_mapcount(p->page)) break;
        CHECK_EQ(world_unmap(&p->w, p->page, 0).outcome, RMAP_DONE);
        CHECK_EQ(rmap_page_mapcount(p->page), 0);
        break;
    case EVICT:
        if (rmap_page_mapcount(p->page) == 0 && rmap_page_flags(p->page) & RMAP_PAGE_SWAPCACHE) world_swap_out(&p->w, p->page);
        break;
    case ZAP:
        world_zap(s, 0, 1);
        p->value[x->space][0] = 0;
        break;
    case WRITE: world_write(s, 0, p->value[x->space][0] = ++p->version); break;
    case READ: CHECK_EQ(world_read(s, 0), p->value[x->space][0]); break;
    case EXIT:
        world_exit(s);
        p->s[x->space] = NULL;
        break;
    case MOVE:
        world_move(s, 0, 1, 1);
        p->value[x->space][1] = p->value[x->space][0];
        p->value[x->space][0] = 0;
        break;
    case END: break;
    }
    world_check(&p->w);
}

static void play_end(struct play *p)
{
    rmap_page_put(p->w.r, p->page);
    for (unsigned round = 0; round < 2; round++) { /* the second time also forks of all */
        for (unsigned i = 0; i < p->spaces; i++)
            for (rmap_vpn_t v = 0; p->s[i] && v < VPNS; v++) CHECK_EQ(world_read(p->s[i], v), p->value[i][v]);
        for (unsigned i = 0, n = p->spaces; round == 0 && i < n && p->spaces < SPACES; i++) {
            if (!p->s[i]) continue;
            memcpy(p->value[p->spaces], p->value[i], sizeof p->value[0]);
            p->s[p->spaces++] = world_fork(p->s[i]);
            world_check(&p->w);
        }
    }
    world_check(&p->w);
    world_fini(&p->w);
}

/* May thread t of the case go on? *over is cleared if it has steps left. */
static bool ready(const struct play *p, const struct step *x, bool *over)
{
    if (x->op == END) return false;
    *over = false;
    bool walks = x->op == REF || x->op == WP || x->op == UNMAP || x->op == EVICT;
    bool in_fork = x->op == COPY || x->op == COMMIT || x->op == ABORT;
    return walks || in_fork || !p->locked[x->space];
}

/* Play one order: where several threads could go on, `choice` says which. @return the number of decisions made. */
static unsigned play(const struct tiny *t, bool inherited, unsigned *choice, unsigned *width, unsigned known)
{
    struct play p;
    unsigned at[3] = {0}, depth = 0;
    play_begin(&p, t, inherited);
    for (;;) {
        unsigned can[3], n = 0;
        bool over = true;
        for (unsigned i = 0; i < 3; i++)
            if (ready(&p, &t->thread[i][at[i]], &over)) can[n++] = i;
        if (over) break;
        CHECK_NE(n, 0);
        if (depth == known) choice[known++] = 0;
        width[depth] = n;
        unsigned i = can[choice[depth++]];
        play_step(&p, &t->thread[i][at[i]++]);
    }
    play_end(&p);
    return depth;
}

RMAP_TEST(orders, every_order_of_the_steps_of_tiny_programs)
{
    unsigned orders = 0;
    for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (unsigned inherited = 0; inherited < 2; inherited++) {
            unsigned choice[16], width[16], known = 0;
            do {
                known = play(&cases[c], inherited, choice, width, known);
                orders++;
                while (known && ++choice[known - 1] == width[known - 1]) known--;
            } while (known);
        }
    }
    fprintf(stderr, "%u orders of %zu cases\n", orders, sizeof cases / sizeof *cases);
    CHECK_LE(500, orders);
}
