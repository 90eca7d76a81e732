/* SPDX-License-Identifier: MIT */
/** @file replay/player.c  See the header: each event as the verb of the pager that does it. */
#include "replay/player.h"
#include "replay/player_check.h"

#include <inttypes.h>
#include <objrmap/radix.h>
#include <stdlib.h>

/* The library has refused what it must do. */
static int refused(struct player *p, const struct trace_event *e, const char *verb, int error)
{
    return trace_wrong(p->error, e->line, "%s in space %u: %s", verb, e->space, rmap_strerror(error));
}

/* What a page-table entry can say: who may write may read. */
static unsigned access_of(unsigned prot)
{
    unsigned access = RMAP_NONE;
    if (prot & (TRACE_R | TRACE_W)) access |= RMAP_READ;
    if (prot & TRACE_W) access |= RMAP_WRITE;
    if (prot & TRACE_X) access |= RMAP_EXEC;
    return access;
}

bool player_readable(const struct region *r)
{
    return access_of(r->prot) & RMAP_READ;
}

static int play_map(struct player *p, struct rmap_space *space, const struct trace_event *e)
{
    rmap_vpn_t at = e->vpn;
    if (e->kind == 's') return 0;
    const int rc = rmap_space_map(space, &at, e->count, access_of(e->prot), RMAP_MAP_FIXED | RMAP_MAP_NOREPLACE);
    return rc ? refused(p, e, "map", rc) : 0;
}

/* Those parts of the range that the pager has. */
static int play_range(struct player *p, struct book_space *s, const struct trace_event *e)
{
    static const char *const names[TRACE_VERBS] = {
        [TRACE_UNMAP] = "unmap", [TRACE_PROT] = "protect", [TRACE_DROP] = "DONTNEED"};
    struct region r;
    const uint64_t end = e->vpn + e->count;
    for (uint64_t at = e->vpn; regions_held(&s->regions, at, end, &r); at = r.end) {
        int rc = 0;
        if (e->verb == TRACE_UNMAP) rc = rmap_space_unmap(s->user, r.first, r.end - r.first);
        if (e->verb == TRACE_PROT) rc = rmap_space_protect(s->user, r.first, r.end - r.first, access_of(e->prot));
        if (e->verb == TRACE_DROP) rc = rmap_space_advise(s->user, r.first, r.end - r.first, RMAP_ADVISE_DONTNEED);
        if (rc) return refused(p, e, names[e->verb], rc);
    }
    return 0;
}

/* One part of a moved range: it may end with the range, and then grows; it may reach beyond what is kept, or lie there. */
static int move_part(struct rmap_space *space, const struct trace_event *e, const struct region *r)
{
    const uint64_t kept_end = e->vpn + e->new_count;
    rmap_vpn_t to = r->first + (e->to - e->vpn);
    const rmap_vpn_t wanted = to;
    uint64_t end = r->end;
    unsigned flags = e->to == e->vpn ? 0 : RMAP_MOVE_FIXED;
    if (r->first >= kept_end) return rmap_space_unmap(space, r->first, r->end - r->first);
    if (end > kept_end || end == e->vpn + e->count) end = kept_end;
    if (e->flags & TRACE_DONTUNMAP) flags |= RMAP_MOVE_KEEP_OLD;
    const int rc = rmap_space_move(space, r->first, r->end - r->first, end - r->first, flags, &to);
    return rc ? rc : to == wanted ? 0 : RMAP_ERR_VERIFY;
}

static int play_move(struct player *p, struct book_space *s, const struct trace_event *e)
{
    struct region r;
    const uint64_t end = e->vpn + e->count;
    for (uint64_t at = e->vpn; regions_held(&s->regions, at, end, &r); at = r.end) {
        const int rc = move_part(s->user, e, &r);
        if (rc) return refused(p, e, "move", rc);
    }
    return 0;
}

static int play_fault(struct player *p, struct book_space *s, const struct trace_event *e)
{
    const struct region *r = regions_find(&s->regions, e->vpn);
    const bool write = e->verb == TRACE_WRITE;
    if (!region_is_held(r)) return 0;
    int rc = rmap_space_fault(s->user, e->vpn, write ? RMAP_WRITE : player_readable(r) ? RMAP_READ : RMAP_EXEC);
    if (rc) return refused(p, e, write ? "a write fault" : "a read fault", rc);
    if (player_readable(r)) {
        p->looks++;
        if (player_look(p, s, e->vpn, e->line)) return -1;
    }
    if (!write) return 0;
    const struct stamp stamp = {e->line, e->vpn, e->space};
    unsigned char page[STAMP_PAGE_BYTES];
    stamp_fill(page, &stamp);
    p->looks++;
    rc = rmap_space_write(s->user, e->vpn << STAMP_PAGE_SHIFT, page, sizeof page, NULL);
    return rc ? refused(p, e, "a write", rc) : 0;
}

/* A space that comes, by itself or by a fork, is known to the book afterwards. */
static int play_birth(struct player *p, struct book_space *parent, const struct trace_event *e)
{
    struct rmap_space *space;
    const int rc = parent ? rmap_space_fork(parent->user, &space) : rmap_space_create(p->pager, &space);
    if (rc) return refused(p, e, parent ? "fork" : "create", rc);
    book_apply(&p->book, e);
    book_space(&p->book, parent ? e->child : e->space)->user = space;
    return 0;
}

static int play_exit(struct player *p, struct book_space *s, const struct trace_event *e)
{
    if (player_check_space(p, s, e->line)) return -1;
    const int rc = rmap_space_destroy(s->user);
    return rc ? refused(p, e, "exit", rc) : 0;
}

int player_play(struct player *p, const struct trace_event *e)
{
    struct book_space *s = book_space(&p->book, e->space);
    int rc;
    switch (e->verb) {
    case TRACE_NEW:
    case TRACE_FORK:
        return play_birth(p, s, e);
    case TRACE_EXIT:
        rc = play_exit(p, s, e);
        break;
    case TRACE_MAP:
        rc = play_map(p, s->user, e);
        break;
    case TRACE_MOVE:
        rc = play_move(p, s, e);
        break;
    case TRACE_READ:
    case TRACE_WRITE:
        rc = play_fault(p, s, e);
        break;
    default:
        rc = play_range(p, s, e);
        break;
    }
    if (!rc) book_apply(&p->book, e);
    return rc;
}

static int make_swap(struct player *p, struct rmap_device **out)
{
    const char *directory = getenv("TMPDIR");
    int rc = RMAP_ERR_UNSUPPORTED;
    p->swap_name = "lz4";
    if (p->options.swap != PLAYER_FILE) rc = rmap_device_lz4_create(NULL, p->options.slots, STAMP_PAGE_SHIFT, 0, out);
    if (rc != RMAP_ERR_UNSUPPORTED || p->options.swap == PLAYER_LZ4) return rc;
    p->swap_name = "file";
    return rmap_device_temp_create(NULL, directory && *directory ? directory : "/tmp", p->options.slots,
                                   STAMP_PAGE_SHIFT, out);
}

int player_open(struct player *p, const struct player_options *options, struct trace_error *error)
{
    struct rmap_radix_options tables = {
        .struct_size = sizeof tables, .geometry = &rmap_radix_x86_64, .caps = RMAP_MMU_NO_TLB};
    struct rmap_device *swap = NULL;
    *p = (struct player){.options = *options, .error = error};
    int rc = make_swap(p, &swap);
    if (rc) return trace_wrong(error, 0, "no swap device: %s", rmap_strerror(rc));
    if ((rc = rmap_radix_provider_init(&tables, &p->provider))) {
        rmap_device_destroy(swap);
        return trace_wrong(error, 0, "no page tables: %s", rmap_strerror(rc));
    }
    struct rmap_pager_options pager = {
        .struct_size = sizeof pager,
        .provider = &p->provider,
        .frames = options->frames,
        .page_shift = STAMP_PAGE_SHIFT,
        .swap = swap,
        .move_policy = options->policy,
    };
    if (!(rc = rmap_pager_create(&pager, &p->pager))) return 0;
    rmap_device_destroy(swap);
    rmap_radix_provider_fini(&p->provider);
    return trace_wrong(error, 0, "no pager of %" PRIu64 " frames: %s", options->frames, rmap_strerror(rc));
}

int player_close(struct player *p)
{
    int rc = 0;
    for (size_t i = 0; i < p->book.live && !rc; i++) rc = rmap_space_destroy(p->book.spaces[i]->user);
    if (!rc) rc = player_left(p);
    if (!rc) rc = rmap_pager_destroy(p->pager);
    rmap_radix_provider_fini(&p->provider);
    book_fini(&p->book);
    return rc ? trace_wrong(p->error, 0, "at the end: %s", rmap_strerror(rc)) : 0;
}
