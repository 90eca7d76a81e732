/* SPDX-License-Identifier: MIT */
/**
 * @file support/counting_alloc.h  An allocator that counts what lives and can fail a chosen allocation.
 *
 *     struct test_alloc t;
 *     test_alloc_init(&t);
 *     t.fail_at = t.calls + 3;       the third allocation from here fails, once
 *     rmap_create(&(struct rmap_options){..., .alloc = &t.a}, &r);
 *     CHECK_EQ(t.live_blocks, 0);    after everything is destroyed
 *
 * Thread-safe: a mutex guards the counters; a test reads them, and sets the fail fields, at quiet points. Aborts with a
 * word when a block is released with another size or alignment than it was asked for, twice, or without being ours.
 */
#ifndef RMAP_TESTS_SUPPORT_COUNTING_ALLOC_H
#define RMAP_TESTS_SUPPORT_COUNTING_ALLOC_H

#include <objrmap/alloc.h>

#include <pthread.h>

struct test_alloc {
    struct rmap_allocator a;
    size_t live_bytes;  /**< as asked for */
    size_t live_blocks;
    size_t calls;       /**< allocations tried so far, failed ones included */
    size_t fail_at;     /**< the call with this number (first: 1) fails; 0: none */
    bool fail_forever;  /**< every call after it fails, too */
    size_t peak_bytes;  /**< highest live_bytes */
    size_t failed;      /**< calls that were made to fail */
    pthread_mutex_t lock;
};

/** `t` is the caller's memory; it must not move, and needs no fini. */
void test_alloc_init(struct test_alloc *t);

#endif
