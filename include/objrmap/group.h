/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/group.h  Members: address spaces in the fork tree of their anon group.
 *
 * Vocabulary. An *anon group* is the set of address spaces related by fork since exec. Each space is a *member*; its
 * *node* in the *fork tree* carries an ordered list of *epochs*, the newest one open. A page instantiated by a member is
 * owned by the member's open epoch; fork closes the epoch (if anything refers to it) and hangs the child below it, so
 * that the child is a candidate for older pages and not for younger ones. Pages and swap slots point at an epoch's *tag*,
 * a union-find element, so that dead generations merge without touching a page.
 *
 *        P: [epoch 0]──────[epoch 1]────[open]      a page of epoch 0 may be in P, A, B, C;
 *             │  │             │                    a page of epoch 1 in P, C; of the open one in P alone
 *             A  B             C
 *
 * Nothing is stored per mapping or per region. Source: H. Dickins' anonmm (2004); the tree is ours (docs/design/fork-tree.md).
 */
#ifndef OBJRMAP_GROUP_H
#define OBJRMAP_GROUP_H

#include <objrmap/error.h>
#include <objrmap/mmu.h>
#include <objrmap/types.h>

struct rmap;
struct rmap__group;
struct rmap__node;
struct rmap__group;
struct rmap__tag;
struct rmap__track;

/** What a move does with pages that other spaces map, too. */
enum rmap_move_policy {
    RMAP_MOVE_POLICY_COPY = 0,  /**< take a private copy: early copy on write (S9, S10) */
    RMAP_MOVE_POLICY_TRACK = 1, /**< leave the page shared and record where else the space may map it (S12) */
};

/**
 * An address space as the reverse map sees it. Embedder's memory, usually embedded in its own space object; fields are
 * private except where a comment says otherwise. It must not move while it is a member.
 * Letters: [S] space lock, [G] group lock, [a] atomic, [c] constant while a member.
 */
struct rmap_member {
    /* What a look-up reads of each space that it passes: one cache line, if the member begins with one. */
    struct rmap *r;                          /**< [c] public, read-only */
    struct rmap_mmu mmu;                     /**< [c] public, read-only */
    struct rmap__node *node;                 /**< [S][G] written under both, exclusive; read under either */
    RMAP_ATOMIC(struct rmap__track *) track; /**< [S][G] tracked ranges, shared with forked members; NULL: none */
    RMAP_ATOMIC(uint32_t) forking;           /**< [a] set while this member's entries are being copied to a child */
    RMAP_ATOMIC(uint32_t) newborn;           /**< [a] set while a fork is copying to it */
    struct rmap__group *group;               /**< [c] */
    struct rmap__tag *open_tag;              /**< [S] counted hold on the open epoch's tag */
    struct rmap__tag *home_tag;              /**< [S] open_tag; while forking the newest closed epoch's, counted */
    void *user;                              /**< public: the embedder's */
    enum rmap_move_policy policy;            /**< [S] set by rmap_member_set_policy; public, read-only */
    RMAP_ATOMIC(uint64_t) mapped;            /**< [a] entries that count as mappings; public, read-only */
    RMAP_ATOMIC(uint64_t) swapped;           /**< [a] swap entries; public, read-only */
    RMAP_ATOMIC(uint64_t) moved;             /**< [a] swap entries that are not at their slot's index */
};

/** The shape of the group a member is in; see rmap_group_get_shape(). */
struct rmap_group_shape {
    uint64_t members, nodes, epochs, tags;
    uint64_t bytes; /**< of all fork-tree objects */
};

RMAP_BEGIN_DECLS

/**
 * Become the first member of a new group (a fresh space, or exec after rmap_member_leave).
 * => `m` is caller's memory, zeroed before its first use; `m->user` is kept. The MMU's tables must be empty.
 * @return 0; NULL_ARG; EXISTS (a member already); STRUCT_SIZE (mmu ops); INVALID (format inconsistent, pages 0 or > RMAP_VPN_MAX); NOMEM. Allocates.
 */
RMAP_API int rmap_member_init(struct rmap *r, struct rmap_member *m, const struct rmap_mmu *mmu);

/**
 * Leave the group (exit). Everything must be zapped before (rmap_zap).
 * => Space lock held exclusively. Takes the group lock exclusively for O(epochs merged + look-ups under way that rest), then
 *    the instance mutex if this was the last member or groups without members are left. Frees dead tree objects.
 * @return 0; NULL_ARG; BUSY (mappings or swap entries are left, or a fork is going on); DEAD (not a member).
 */
RMAP_API int rmap_member_leave(struct rmap_member *m);

/**
 * Let the MMU free the tables inside [first, first + count) that hold no entry (ops->trim), while no walk can be in them.
 * => Space lock held exclusively. Takes the group lock exclusively for all of it, O(tables that the range has): the MMU
 *    looks through them, flushes and frees under it. Trim large ranges part by part.
 * @return 0 (also if the MMU has no trim); NULL_ARG; DEAD; RANGE.
 */
RMAP_API int rmap_member_trim(struct rmap_member *m, rmap_vpn_t first, uint64_t count);

/** True if `m` is one of the members that can have inherited the page (the walk would visit it). Page lock held. Takes the
 *  group lock shared. Cost: O(depth). */
RMAP_API bool rmap_member_is_candidate(struct rmap_member *m, const struct rmap_page *page);

/** How later moves in `m` treat shared pages; COPY at first, forked children inherit it. What was tracked stays tracked.
 *  => Space lock held exclusively. @return 0; NULL_ARG; DEAD; INVALID. */
RMAP_API int rmap_member_set_policy(struct rmap_member *m, enum rmap_move_policy policy);

/** May `m` map a page (or a slot) of `index` at `vpn`: is it the index, or has a tracked move brought it there? A swap-in asks
 *  before it maps a cached page at another page number than the slot's; where the answer is no it takes a private copy.
 *  => Space lock held. Takes the group lock shared if the numbers differ. Cost: O(log records + fan-out). */
RMAP_API bool rmap_member_may_map(struct rmap_member *m, rmap_vpn_t index, rmap_vpn_t vpn);

/** Fill in the shape of m's group. Cost: O(1), group lock shared. @return 0; NULL_ARG; DEAD. */
RMAP_API int rmap_group_get_shape(struct rmap_member *m, struct rmap_group_shape *out);

/** Number of members in m's group, 0 if m is no member. */
RMAP_API uint64_t rmap_group_members(struct rmap_member *m);

/* ---- owners: counted references to an epoch's tag, for swap maps ---- */

/** One more reference to `owner` (no-op for 0). Lock-free; the caller has a reference or a lock that keeps one. */
RMAP_API void rmap_owner_get(rmap_owner_t owner);
/** Drop a reference. The tag is freed later, by a holder of the exclusive group lock. Lock-free; callable anywhere. */
RMAP_API void rmap_owner_put(rmap_owner_t owner);
/** Owner of a page, without reference: valid while its page lock is held. 0 if it is not anonymous. */
RMAP_API rmap_owner_t rmap_page_owner(const struct rmap_page *page);
/** The member's home: where a page that only it maps belongs (open epoch; newest closed one while forking). No reference.
 *  Space lock held. */
RMAP_API rmap_owner_t rmap_member_home(struct rmap_member *m);

/* ---- the fork transaction ---- */

/** A fork under way. Caller's memory; fields private. */
struct rmap_fork {
    struct rmap_member *parent, *child;
    struct rmap_gather gather;
    uint64_t copied_present, copied_swap; /**< public, read-only: entries copied so far */
    int state;
};

/** What rmap_fork_copy does with writable entries. */
enum rmap_fork_flag {
    RMAP_FORK_COW = 0, /**< write permission is withdrawn on both sides */
};

/**
 * Begin: `child` joins the parent's group, below the parent's newest closed epoch, before any entry is copied (INV-4).
 * => Parent's space lock held exclusively from here to commit or abort; nobody may use the child meanwhile.
 * => Allocates tree objects before taking the group lock.
 * @return 0; NULL_ARG; DEAD; STRUCT_SIZE; EXISTS (the child is a member); INVALID (child MMU
 *         inconsistent, with another format, smaller, or the parent's own); BUSY (already forking);
 *         NOMEM. On failure nothing happened.
 */
RMAP_API int rmap_fork_begin(struct rmap_member *parent, struct rmap_member *child, const struct rmap_mmu *child_mmu,
                             struct rmap_fork *f);
/**
 * Copy the entries of [first, first + count) from parent to child at the same page numbers. Counts are raised before the
 * child's entries are set; the locked attribute is not inherited (D9). Entries that exist in the child are not allowed.
 * Of a pinned page the child gets a private copy instead (E2): what the parent's threads had written at one moment of this
 * call, during which they could not write; what a device writes meanwhile is in it or not. The parent's entry is as before.
 * => Takes run locks (source, then child) and allocates child tables before them; for pinned pages also frames
 *    (frame_ops->alloc, which may reclaim), before their page lock.
 * @return 0; NULL_ARG; RANGE; INVALID (flags, not open); NOMEM; OVERFLOW; BLOCK; EXISTS; BAD_FRAME; for a pinned page
 *         POISON (lost, and still mapped), NO_FRAME and whatever else rmap_page_alloc says. After an error only rmap_fork_abort is allowed.
 */
RMAP_API int rmap_fork_copy(struct rmap_fork *f, rmap_vpn_t first, uint64_t count, unsigned flags);
/** Flush the parent's withdrawn write permissions; afterwards the child may be seen. Cannot fail. */
RMAP_API void rmap_fork_commit(struct rmap_fork *f);
/** Undo: zap the child, take it out of the group. The parent is as before (its pages stay write-protected until their
 *  next write fault finds them exclusive). Cannot fail. */
RMAP_API void rmap_fork_abort(struct rmap_fork *f);

RMAP_END_DECLS
#endif
