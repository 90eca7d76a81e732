/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_pager_device.c  H6: the pager's swap file is cut by somebody else while pages are on it.
 *
 * What was cut off is an error for whoever needs it, each time, and never zeroes, wrong data or a signal; all else goes on,
 * and what is dropped is new again.
 */
#include "unit/pager_world.h"

#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 100
#define PAGES 8

static struct world w;
static struct rmap_device *device;
static int fd;

/* S: [0,8) = 10… all on swap, in a file that the test can reach. C, its child: the same entries. */
static struct rmap_space *everything_on_a_file(struct rmap_space **child)
{
    world_init(&w, 32, 0, 0);
    fd = memfd_create("swap", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_OK(rmap_device_file_create(&w.alloc.a, fd, true, SLOTS, 12, &device));
    CHECK_OK(rmap_pager_add_swap(w.p, device));
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, PAGES, RW);
    fill(s, 0, PAGES, 10);
    *child = space_fork(&w, s);
    evict_all(&w);
    for (rmap_vpn_t v = 0; v < PAGES; v++) CHECK_EQ(kind(s, v), RMAP_PTE_SWAP);
    return s;
}

static uint32_t slot_of(struct rmap_space *s, rmap_vpn_t v)
{
    return rmap_swp_slot(rmap_pte_swp(&rmap_pte_format_soft, entry(s, v)));
}

/* Three whole pages stay, and half of the fourth. @return a bit for each page whose slot is lost. */
static unsigned cut_file(struct rmap_space *s)
{
    unsigned lost = 0;
    CHECK_EQ(ftruncate(fd, 3 * PAGE + PAGE / 2), 0);
    for (rmap_vpn_t v = 0; v < PAGES; v++) lost |= (unsigned)(slot_of(s, v) >= 3) << v;
    CHECK_EQ(__builtin_popcount(lost), PAGES - 3);
    return lost;
}

static void check_access(struct rmap_space *s, unsigned lost, int error)
{
    for (rmap_vpn_t v = 0; v < PAGES; v++) {
        uint64_t word = 77;
        size_t done = 1;
        if (!(lost >> v & 1)) {
            CHECK_EQ(get(s, v), 10 + v);
            continue;
        }
        CHECK_ERR(rmap_space_read(s, v * PAGE, &word, sizeof word, &done), error);
        CHECK_EQ(word, 77);
        CHECK_EQ(done, 0);
        CHECK_ERR(rmap_space_fault(s, v, RMAP_READ), error);
        CHECK_ERR(try_put(s, v, 1), error);
        CHECK_EQ(kind(s, v), RMAP_PTE_SWAP);
    }
    world_verify(&w);
}

RMAP_TEST(pager_device, H6_a_cut_swap_file_is_a_read_error_of_the_lost_pages_alone)
{
    struct rmap_space *child, *s = everything_on_a_file(&child);
    const unsigned lost = cut_file(s);
    const uint64_t used = stats(&w).frames_used;
    check_access(s, lost, RMAP_ERR_IO_READ);
    check_access(child, lost, RMAP_ERR_IO_READ);
    CHECK_EQ(stats(&w).frames_used, used + 3); /* the pages that are there; failed reads gave their frames back */
    CHECK_ERR(rmap_space_lock(s, 0, PAGES), RMAP_ERR_IO_READ);
    CHECK_EQ(space_stats(s).locked_pages, 0);
    struct rmap_space *late = space_fork(&w, s); /* a fork needs no contents */
    check_access(late, lost, RMAP_ERR_IO_READ);
    world_fini(&w);
}

/* Made long again by somebody else: what is read is zeroes, and they are not ours. */
RMAP_TEST(pager_device, H6_a_swap_file_that_grew_again_has_no_zeroes_for_us)
{
    struct rmap_space *child, *s = everything_on_a_file(&child);
    const unsigned lost = cut_file(s);
    CHECK_EQ(ftruncate(fd, SLOTS * PAGE), 0);
    check_access(s, lost, RMAP_ERR_CORRUPT);
    check_access(child, lost, RMAP_ERR_CORRUPT);
    world_fini(&w);
}

RMAP_TEST(pager_device, H6_swapoff_stops_at_what_is_lost_and_goes_on_when_it_is_dropped)
{
    struct rmap_space *child, *s = everything_on_a_file(&child);
    struct rmap_swapoff done;
    const unsigned lost = cut_file(s);
    CHECK_ERR(rmap_pager_remove_swap(w.p, device, &done), RMAP_ERR_IO_READ);
    CHECK_EQ(done.slots_left, PAGES - 3);
    check_access(s, lost, RMAP_ERR_IO_READ);
    /* The device takes part again: what is evicted now is written, the file grows over the lost slots, which stay lost. */
    for (rmap_vpn_t v = 0; v < PAGES; v++)
        if (!(lost >> v & 1)) put(s, v, 10 + v);
    evict_all(&w);
    for (rmap_vpn_t v = 0; v < PAGES; v++) {
        int rc = rmap_space_fault(child, v, RMAP_READ);
        CHECK(lost >> v & 1 ? rc == RMAP_ERR_IO_READ || rc == RMAP_ERR_CORRUPT : rc == 0);
    }
    for (rmap_vpn_t v = 0; v < PAGES; v++) {
        if (!(lost >> v & 1)) continue;
        CHECK_OK(rmap_space_advise(s, v, 1, RMAP_ADVISE_DONTNEED));
        CHECK_OK(rmap_space_unmap(child, v, 1));
        CHECK_EQ(get(s, v), 0);
    }
    CHECK_OK(rmap_pager_remove_swap(w.p, device, &done));
    CHECK_EQ(done.slots_left, 0);
    rmap_device_destroy(device);
    for (rmap_vpn_t v = 0; v < PAGES; v++) CHECK_EQ(get(s, v), lost >> v & 1 ? 0 : 10 + v);
    world_fini(&w);
}
