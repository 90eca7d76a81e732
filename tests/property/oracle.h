/* SPDX-License-Identifier: MIT */
/**
 * @file property/oracle.h  What the spaces of a pager must look like: a plain table of pages, copied whole by fork.
 *
 * Nothing here knows frames, sharing, page tables or swap. Each page of each space has the attributes of its region and
 * its contents, four words at odd places of an otherwise zero page. `oracle_*_check` says what a call must return, and
 * where a place is chosen, where; `oracle_<verb>` then does it. So a call that fails for want of a frame is checked,
 * too: it is not done, and everything must be as before.
 */
#ifndef RMAP_TESTS_PROPERTY_ORACLE_H
#define RMAP_TESTS_PROPERTY_ORACLE_H

#include <objrmap/space.h>

#define ORACLE_SPACES 10
#define ORACLE_PAGES 64
#define ORACLE_WORDS 4
#define ORACLE_PAGE_BYTES 4096
#define ORACLE_PAGE_SHIFT 12

/** Where the words lie in a page: the first and the last let a write cross the border to the next page. */
static const unsigned oracle_word_offset[ORACLE_WORDS] = {0, 1360, 2724, ORACLE_PAGE_BYTES - 8};

struct oracle_page {
    bool mapped;
    bool locked, accounted; /* of its region */
    unsigned prot;
    uint64_t word[ORACLE_WORDS]; /* all 0 unless mapped */
};
struct oracle_space {
    bool live;
    struct oracle_page page[ORACLE_PAGES];
};
struct oracle {
    struct oracle_space space[ORACLE_SPACES];
    uint64_t commit_limit; /* pages, 0: none */
};

uint64_t oracle_committed(const struct oracle *o);
unsigned oracle_locked(const struct oracle *o);
/** The regions that the pages form, merged. @return how many. */
size_t oracle_regions(const struct oracle_space *s, struct rmap_region_info out[ORACLE_PAGES]);
/** A page's bytes. */
void oracle_fill(const struct oracle_page *page, unsigned char out[ORACLE_PAGE_BYTES]);

/** @return 0; RANGE; ABSENT; ACCESS. */
int oracle_access_check(const struct oracle_space *s, rmap_vpn_t vpn, unsigned access);

/** *at becomes the place. */
int oracle_map_check(const struct oracle *o, unsigned s, rmap_vpn_t *at, uint64_t count, unsigned prot, unsigned flags);
void oracle_map(struct oracle_space *s, rmap_vpn_t at, uint64_t count, unsigned prot, unsigned flags);

int oracle_unmap_check(rmap_vpn_t first, uint64_t count);
void oracle_unmap(struct oracle_space *s, rmap_vpn_t first, uint64_t count);

int oracle_protect_check(const struct oracle *o, unsigned s, rmap_vpn_t first, uint64_t count, unsigned prot);
void oracle_protect(struct oracle_space *s, rmap_vpn_t first, uint64_t count, unsigned prot);

/** *to becomes the place; it equals `from` if the range stays. */
int oracle_move_check(const struct oracle *o, unsigned s, rmap_vpn_t from, uint64_t count, uint64_t new_count,
                      unsigned flags, rmap_vpn_t *to);
void oracle_move(struct oracle_space *s, rmap_vpn_t from, uint64_t count, uint64_t new_count, unsigned flags,
                 rmap_vpn_t to);

int oracle_lock_check(const struct oracle_space *s, rmap_vpn_t first, uint64_t count);
int oracle_unlock_check(const struct oracle_space *s, rmap_vpn_t first, uint64_t count);
void oracle_lock(struct oracle_space *s, rmap_vpn_t first, uint64_t count, bool locked);

int oracle_dontneed_check(const struct oracle_space *s, rmap_vpn_t first, uint64_t count);
void oracle_dontneed(struct oracle_space *s, rmap_vpn_t first, uint64_t count);

int oracle_fork_check(const struct oracle *o, unsigned parent);
void oracle_fork(struct oracle *o, unsigned parent, unsigned child);

#endif
