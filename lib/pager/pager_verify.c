/* SPDX-License-Identifier: MIT */
/** @file pager/pager_verify.c  The pager's own books: frames, lists, regions, entries, charges. Quiet points only. */
#include <pager/pager_internal.h>

#include <inttypes.h>
#include <objrmap/verify.h>
#include <stdarg.h>
#include <stdio.h>

static int __attribute__((format(printf, 3, 4)))
broken(struct rmap_verify_report *report, const char *what, const char *format, ...)
{
    if (report) {
        report->invariant = what;
        va_list args;
        va_start(args, format);
        vsnprintf(report->text, sizeof report->text, format, args);
        va_end(args);
    }
    return RMAP_ERR_VERIFY;
}

static uint64_t count_free_clusters(const struct rmap__frames *fs)
{
    uint64_t found = 0;
    for (rmap_pfn_t pfn = 0; pfn + RMAP__CLUSTER <= fs->total; pfn += RMAP__CLUSTER) {
        unsigned n = 0;
        while (n < RMAP__CLUSTER && rmap__frame_is_free(fs, pfn + n)) n++;
        found += n == RMAP__CLUSTER;
    }
    return found;
}

static int verify_frames(struct rmap_pager *p, struct rmap_verify_report *report)
{
    const struct rmap__frames *fs = &p->frames;
    uint64_t used = 0, lost = 0, listed = 0;
    for (rmap_pfn_t pfn = 0; pfn < fs->total; pfn++) {
        const struct rmap__frame *f = &fs->frame[pfn];
        bool is_free = rmap__frame_is_free(fs, pfn), zero = &f->page == p->zero;
        bool is_lost = (rmap_page_flags(&f->page) & RMAP_PAGE_POISON) && f->page.refcount == 0;
        if (is_lost && is_free) return broken(report, "frames", "frame %" PRIu64 " is lost and free", pfn);
        if ((is_free || is_lost) != (f->page.refcount == 0))
            return broken(report, "frames", "frame %" PRIu64 " is %s but has %u references", pfn,
                          is_free ? "free" : "in use", f->page.refcount);
        if ((f->list == RMAP__LIST_NONE) != (is_free || is_lost || zero))
            return broken(report, "lists", "frame %" PRIu64 " is %s on list %u", pfn,
                          is_free   ? "free"
                          : is_lost ? "lost"
                                    : "in use",
                          f->list);
        used += !is_free && !is_lost;
        lost += is_lost;
    }
    for (unsigned i = 0; i < RMAP__LISTS; i++) {
        const struct rmap__frame *f;
        uint64_t n = 0;
        TAILQ_FOREACH(f, &fs->list[i], link) n += f->list == i;
        if (n != fs->listed[i])
            return broken(report, "lists", "list %u: %" PRIu64 " frames, count %" PRIu64, i, n, fs->listed[i]);
        listed += n;
    }
    if (lost != fs->lost || used != fs->total - fs->free - lost || listed + 1 != used || used > fs->used_peak)
        return broken(report, "frames",
                      "%" PRIu64 " used, %" PRIu64 " free, %" PRIu64 " lost of %" PRIu64 ", %" PRIu64
                      " listed, peak %" PRIu64,
                      used, fs->free, lost, fs->total, listed, fs->used_peak);
    const uint64_t clusters = count_free_clusters(fs);
    if (clusters != fs->free_clusters)
        return broken(report, "frames", "%" PRIu64 " clusters are wholly free, counted %" PRIu64, clusters,
                      fs->free_clusters);
    return 0;
}

/* One entry against the region that it lies in. @return what is wrong, or NULL. */
static const char *entry_fault(const struct rmap_space *s, const struct rmap__region *r, rmap_pte_t e)
{
    const struct rmap_pte_format *f = s->mmu.ops->format;
    if (!r) return "lies outside all regions";
    if (!rmap_pte_present(f, e)) return NULL;
    const struct rmap_page *page = rmap_page_find(s->p->r, rmap_pte_pfn(f, e));
    const bool write = rmap_pte_get(f, e, RMAP_ATTR_WRITE);
    if (!page) return "names an unknown frame";
    if (r->prot == RMAP_NONE) return "is present where nothing may be accessed";
    if (write && !(r->prot & RMAP_WRITE)) return "is writable in a read-only region";
    if (f->attr[RMAP_ATTR_EXEC].mask && rmap_pte_get(f, e, RMAP_ATTR_EXEC) && !(r->prot & RMAP_EXEC))
        return "is executable in a region that is not";
    if (rmap_pte_get(f, e, RMAP_ATTR_LOCKED) && !r->locked) return "is locked in a region that is not";
    if (write && page == s->p->zero) return "lets the zero page be written";
    if (write && rmap_page_mapcount(page) != 1) return "lets a shared page be written";
    if (write && (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE)) return "lets a page be written that has a clean copy";
    return NULL;
}

static int verify_entries(const struct rmap_space *s, struct rmap_verify_report *report)
{
    const struct rmap_mmu_ops *o = s->mmu.ops;
    struct rmap_mmu_run run;
    const char *wrong = NULL;
    for (rmap_vpn_t at = 0; at < s->mmu.pages && !o->run_find(s->mmu.ctx, at, s->mmu.pages, &run);
         at = run.first + run.count) {
        rmap_vpn_t vpn = run.first;
        rmap_pte_t e = 0;
        for (uint32_t i = 0; i < run.count && !wrong; i++) {
            if (!(e = rmap_run_get(&s->mmu, &run, i))) continue;
            vpn = run.first + i;
            wrong = entry_fault(s, rmap__region_find(&s->regions, vpn), e);
        }
        o->run_unlock(s->mmu.ctx, &run);
        if (wrong) return broken(report, "entries", "entry 0x%" PRIx64 " at page %" PRIu64 " %s", e, vpn, wrong);
    }
    return 0;
}

static int verify_space(const struct rmap_space *s, struct rmap_verify_report *report)
{
    if (!rmap__regions_sound(&s->regions)) return broken(report, "regions", "not ordered, disjoint and merged");
    uint64_t charged = rmap__regions_pages(&s->regions, 0, s->regions.end, true);
    if (charged != s->charged)
        return broken(report, "charges", "regions charge %" PRIu64 " pages, the space %" PRIu64, charged, s->charged);
    return verify_entries(s, report);
}

static int verify_locked(struct rmap_pager *p, struct rmap_verify_report *report)
{
    int rc = rmap_verify(p->r, report);
    if (rc) return rc;
    char text[128] = "";
    if ((rc = rmap_swap_verify(p->swap, text, sizeof text))) return broken(report, "swap", "%s", text);
    if ((rc = verify_frames(p, report))) return rc;
    uint64_t charged = 0, spaces = 0;
    const struct rmap_space *s;
    LIST_FOREACH(s, &p->spaces, link)
    {
        if ((rc = verify_space(s, report))) return rc;
        charged += s->charged;
        spaces++;
    }
    if (charged != p->stats.committed || (p->commit_limit && charged > p->commit_limit) || spaces != p->stats.spaces)
        return broken(report, "charges",
                      "%" PRIu64 " spaces charge %" PRIu64 " pages, the pager counts %" PRIu64 " and %" PRIu64
                      ", limit %" PRIu64,
                      spaces, charged, p->stats.spaces, p->stats.committed, p->commit_limit);
    return 0;
}

int rmap_pager_verify(struct rmap_pager *p, struct rmap_verify_report *report)
{
    if (!p) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__call_begin(&c, p);
    if (rc) return rc;
    if (report) *report = (struct rmap_verify_report){.invariant = NULL};
    rc = verify_locked(p, report);
    rmap__call_end(&c);
    return rc;
}
