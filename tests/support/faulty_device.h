/* SPDX-License-Identifier: MIT */
/**
 * @file support/faulty_device.h  A swap device in memory that fails or spoils a chosen page, and keeps a log.
 *
 *     struct faulty_device f;
 *     faulty_device_init(&f, 100, 12);              100 slots of 4,096 bytes
 *     rmap_swap_add(s, &f.base);                    destroying the map ends it
 *     f.fail_write_at = f.writes + 3;               the third page written from here fails, once, with f.write_error
 *
 * Page numbers count from 1 over the device's life. Any number of threads; what is to fail, and the hooks, are set at quiet points.
 */
#ifndef RMAP_TESTS_SUPPORT_FAULTY_DEVICE_H
#define RMAP_TESTS_SUPPORT_FAULTY_DEVICE_H

#include <objrmap/device.h>
#include <pthread.h>

struct faulty_device {
    struct rmap_device base;
    unsigned char **slot; /**< contents, NULL where there is none */
    pthread_mutex_t lock; /**< guards them */
    _Atomic uint64_t writes, reads, discards; /**< pages so far */
    _Atomic uint64_t calls;                   /**< of write */
    uint64_t fail_write_at, fail_read_at; /**< this page fails; 0: none */
    bool fail_all_writes, fail_all_reads;
    int write_error, read_error; /**< RMAP_ERR_IO_WRITE, RMAP_ERR_IO_READ unless changed; 0: say nothing at all */
    uint64_t spoil_read_at;   /**< a bit of this page's data is flipped on its way */
    void (*during_read)(struct faulty_device *f); /**< called once, after the data were fetched */
    void (*during_write)(struct faulty_device *f); /**< called once, before the data are stored */
    void *user;
    uint32_t last_first; /**< first slot and number of pages of the last write call */
    size_t last_n;
    bool destroyed;
};

/** `f` is the caller's memory, its contents are released by destroy. */
void faulty_device_init(struct faulty_device *f, uint64_t slots, unsigned page_shift);

#endif
