/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/migrate.h  Moving the contents of pages to other frames, under all their mappings at once.
 *
 * Why: to empty a range of frames (compaction, a bank of memory that is to go), or to bring a page nearer to whom it
 * serves. A page on its way has the flag MIGRATING; its present entries are *migration entries*: not present for the
 * hardware, still counted, with all attributes, so that nobody writes the frame while it is copied.
 *
 *     old frame 40                begin: 40 is MIGRATING          copy, end: the target, 90, is the page now
 *     P  present 40, rw, dirty    P  migration 40, rw, dirty      P  present 90, rw, dirty
 *     C  no-access 40             C  no-access 40                 C  no-access 90
 *
 * What others meet meanwhile, and do: a fault and a move drop the run, wait for the page lock, and look again; fork
 * copies migration entries; zap and exit drop them; rmap_protect changes their attributes, and that holds after the
 * end; rmap_unmap and rmap_discard say MIGRATING. A no-access entry stays what it is: nothing can be done through it,
 * and nothing has to remember what it was. Should rmap_protect give access back meanwhile, it gives it read-only, to a
 * frame that nobody can write: harmless, too.
 *
 * The usual embedder calls rmap_migrate alone:
 *
 *     for (i = 0; i < n; i++)                   pages are referenced; allocating may reclaim, so none is locked yet
 *         rmap_page_alloc(r, wish, &target[i]);
 *     rmap_migrate(r, page, target, n, RMAP_LOCK_PAGES, result);
 *     for (i = 0; i < n; i++) {
 *         rmap_page_put(r, page[i]);            DONE: the old frame comes free …
 *         rmap_page_put(r, target[i]);          … else the target does
 *     }
 */
#ifndef OBJRMAP_MIGRATE_H
#define OBJRMAP_MIGRATE_H

#include <objrmap/rmap.h>

RMAP_BEGIN_DECLS

/**
 * Every present mapping becomes a migration entry, flushed on return; a dirty attribute goes to the DIRTY flag, too.
 * mapcount stays.
 * => The contract of page verbs (rmap.h). The page locks stay held until rmap_migrate_end, so that even RMAP_LOCK_PAGES
 *    is INVALID.
 * results[i]: DONE: the page is MIGRATING. Anything else: every entry is as before (INV-7: accessed and dirty may have
 *   been set): INCOMPLETE, also for a page that is not anonymous; PARTIAL with PINNED, POISON, or MIGRATING (begun
 *   before).
 * @return as every page verb.
 */
RMAP_API int rmap_migrate_begin(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                                struct rmap_result *results);

/**
 * The way on, or back. Where targets[i] is NULL or pages[i] (or `targets` is NULL) the entries lead to the old frame
 * again. Otherwise the target becomes the page: owner, index, DIRTY, REFERENCED, DISCARDABLE, its place in the swap
 * cache (rmap_swap_ops.replace), and then every entry. The target's count is raised before an entry is set, the old
 * one's lowered after it. The old page is left without identity: nothing maps it, and its frame comes free with its
 * last reference.
 * => A target is new: referenced and locked by the caller, known to nobody. Its contents are the caller's business.
 * => Pages that are not MIGRATING are left alone, and so are their results: pass on what rmap_migrate_begin said.
 * => Both locks stay the caller's; no flag is known. Complete however many forks came between: docs/design/migrate.md.
 * results[i] of a MIGRATING page: DONE; PARTIAL with NO_SLOT (cached, and the swap map has no `replace`): back at the
 *   old frame, the target unused. INCOMPLETE with UNTRACKABLE (somebody set that flag meanwhile), PARTIAL with BUSY (the
 *   target's count is full, at 2^31 mappings): MIGRATING still, to be ended again the same way.
 * @return as every page verb; UNKNOWN_PAGE and INVALID (not new) for a target, too. Then nothing was done.
 */
RMAP_API int rmap_migrate_end(struct rmap *r, struct rmap_page *const *pages, struct rmap_page *const *targets,
                              size_t n, unsigned flags, struct rmap_result *results);

/**
 * begin, frame_ops->copy, end. results[i] DONE: the target is the page now. INCOMPLETE with UNTRACKABLE, PARTIAL with BUSY
 * of a page that is MIGRATING: it came half-way, and rmap_migrate_end says how it goes on. Anything else: the page is at its
 * old frame exactly as before (accessed and dirty may be set), the target unused. A locked mapping stops nothing, and stays
 * locked.
 * => Pages and targets as for the two halves, but no target may be NULL. With RMAP_LOCK_PAGES neither is locked by the
 *    caller; the first page is waited for, every other one and all targets are tried: INCOMPLETE, BUSY where that fails. Copies under the page locks, no other lock held.
 * Cost: two walks and a copy a page.
 */
RMAP_API int rmap_migrate(struct rmap *r, struct rmap_page *const *pages, struct rmap_page *const *targets, size_t n,
                          unsigned flags, struct rmap_result *results);

RMAP_END_DECLS
#endif
