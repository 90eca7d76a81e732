/* SPDX-License-Identifier: MIT */
/** @file testing/core.h  The small world in which the core runs on the MMU under test: frames, a parent, a child. */
#ifndef RMAP_TESTING_CORE_H
#define RMAP_TESTING_CORE_H

#include <testing/kit.h>

#include <objrmap/group.h>
#include <objrmap/instance.h>
#include <objrmap/rmap.h>

enum { CORE_PARENT, CORE_CHILD, CORE_SPACES };

struct rmap__kit_core {
    struct rmap__kit *k;
    struct rmap *r;
    struct rmap_frame_ops frames;
    struct rmap_page page[RMAP_TESTING_FRAMES_MIN]; /* of frames [first_frame, …) */
    struct rmap_member m[CORE_SPACES];
    struct rmap__kit_mmu *mmu[CORE_SPACES];
    struct rmap_fork fork;
    const char *step; /* for texts */
};

/** "core: <step>: …" and false unless the error is 0. */
bool rmap__kit_core_ok(struct rmap__kit_core *c, int error, const char *what);
/** The next step begins: its name, and every invariant as the last one left it. */
bool rmap__kit_core_step(struct rmap__kit_core *c, const char *step);

/** @return NULL if the instance cannot be made: k->error. The parent's member is there, the child's MMU too. */
struct rmap__kit_core *rmap__kit_core_new(struct rmap__kit *k);
/** Everything exits, whatever the scenario left. What a broken MMU does not give back stays where it is. */
void rmap__kit_core_free(struct rmap__kit_core *c);

/** First touch: a page of its own for vpn, writable. @return the number of its frame; < 0: failed. */
int rmap__kit_core_new_page(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn);
/** A write fault on a read-only entry: the page is reused if `space` is its only user, else copied. @return as above. */
int rmap__kit_core_write_fault(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn);
/** An access: by touch(), or as touch() would by looking at the entry. It reaches frame n, or faults. */
bool rmap__kit_core_reaches(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn, unsigned access, int n);
bool rmap__kit_core_faults(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn, unsigned access);

/* ---- core_verbs.c: page n is locked by these ---- */
/** As rmap_page_reuse, for a page that is locked already. */
bool rmap__kit_core_reuse(struct rmap__kit_core *c, unsigned space, struct rmap_page *page, rmap_vpn_t vpn);
int rmap__kit_core_referenced(struct rmap__kit_core *c, int n, struct rmap_result *result);
int rmap__kit_core_unmap(struct rmap__kit_core *c, int n, struct rmap_result *result);
int rmap__kit_core_write_protect(struct rmap__kit_core *c, int n, struct rmap_result *result);
/** each_mapping must find as many as `hits`, in as many spaces, and say DONE. */
bool rmap__kit_core_mapped(struct rmap__kit_core *c, int n, uint32_t hits);

#endif
