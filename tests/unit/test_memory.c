/* SPDX-License-Identifier: MIT */
/** @file unit/test_memory.c  Frame memory: file and view are one thing, bad arguments and refusals leave nothing
 * behind. */
#include <objrmap/memory.h>

#include "support/test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* 64 frames of 4 KiB. */
static const uint64_t FRAMES = 64;

static struct rmap_memory made(void)
{
    struct rmap_memory mem;
    CHECK_OK(rmap_memory_init(&mem, FRAMES, 12));
    return mem;
}

/* The lowest descriptor that is free: if it is the same later, none was left open. */
static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

RMAP_TEST(memory, view_and_file_show_the_same_frames)
{
    struct rmap_memory mem = made();
    CHECK_EQ(mem.frames, 64);
    CHECK_EQ(mem.page_shift, 12);
    mem.view[(5 << 12) + 7] = 0xa5;
    unsigned char byte = 0;
    CHECK_EQ(pread(mem.fd, &byte, 1, (5 << 12) + 7), 1);
    CHECK_EQ(byte, 0xa5);

    /* Another mapping of frame 5, as a host MMU makes it. */
    unsigned char *other = mmap(NULL, 1 << 12, PROT_READ | PROT_WRITE, MAP_SHARED, mem.fd, 5 << 12);
    CHECK(other != MAP_FAILED);
    other[8] = 0x5a;
    CHECK_EQ(mem.view[(5 << 12) + 8], 0x5a);
    munmap(other, 1 << 12);
    rmap_memory_fini(&mem);
}

RMAP_TEST(memory, frames_read_as_zero_and_all_are_there)
{
    struct rmap_memory mem = made();
    for (uint64_t i = 0; i < FRAMES << 12; i++) CHECK_EQ(mem.view[i], 0);
    CHECK_EQ(lseek(mem.fd, 0, SEEK_END), (off_t)(FRAMES << 12));
    rmap_memory_fini(&mem);
}

RMAP_TEST(memory, untouched_frames_cost_nothing)
{
    struct rmap_memory mem;
    CHECK_OK(rmap_memory_init(&mem, (uint64_t)1 << 24, 12)); /* 64 GiB */
    uint64_t empty = rmap_memory_resident_bytes(&mem);
    for (uint64_t frame = 0; frame < 3; frame++) mem.view[(frame * 1000) << 12] = 1;
    uint64_t three = rmap_memory_resident_bytes(&mem);
    CHECK_EQ(empty, 0);
    CHECK_LE(3 << 12, three);
    CHECK_LE(three, 16 << 20); /* a system may use huge pages */
    rmap_memory_fini(&mem);
}

RMAP_TEST(memory, the_file_is_closed_on_exec)
{
    struct rmap_memory mem = made();
    CHECK(fcntl(mem.fd, F_GETFD) & FD_CLOEXEC);
    rmap_memory_fini(&mem);
}

RMAP_TEST(memory, larger_pages_are_counted_in_their_own_size)
{
    struct rmap_memory mem;
    CHECK_OK(rmap_memory_init(&mem, 3, 16));
    mem.view[(3 << 16) - 1] = 9;
    CHECK_EQ(lseek(mem.fd, 0, SEEK_END), 3 << 16);
    rmap_memory_fini(&mem);
}

/* H1, H5: the caller's struct is untouched by a failure. */
RMAP_TEST(memory, bad_arguments_are_refused_and_change_nothing)
{
    const int next = next_descriptor();
    struct rmap_memory mem = {.fd = 77, .frames = 88};
    CHECK_ERR(rmap_memory_init(NULL, 64, 12), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_memory_init(&mem, 64, 11), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_memory_init(&mem, 64, 17), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_memory_init(&mem, 0, 12), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_memory_init(&mem, (uint64_t)1 << 51, 12), RMAP_ERR_RANGE); /* 2^63 bytes */
    CHECK_ERR(rmap_memory_init(&mem, UINT64_MAX, 12), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_memory_init(&mem, (uint64_t)1 << 50, 12), RMAP_ERR_SYSTEM); /* no address space is so large */
    CHECK_EQ(mem.fd, 77);
    CHECK_EQ(mem.frames, 88);
    CHECK_EQ(next_descriptor(), next);
}

RMAP_TEST(memory, fini_gives_back_file_and_view_once)
{
    const int next = next_descriptor();
    struct rmap_memory mem = made();
    rmap_memory_fini(&mem);
    CHECK_EQ(next_descriptor(), next);
    CHECK_EQ(mem.view, NULL);
    rmap_memory_fini(&mem); /* nothing left to do: descriptor -1 names nobody else's file */
    rmap_memory_fini(NULL);
    CHECK_EQ(rmap_memory_resident_bytes(&mem), 0);
    CHECK_EQ(rmap_memory_resident_bytes(NULL), 0);
}

/* The system refuses: in a child, whose limits may be ruined. */
RMAP_TEST(memory, a_refused_mapping_or_file_is_a_system_error)
{
    const int next = next_descriptor();
    pid_t child = fork();
    if (child == 0) {
        struct rmap_memory mem;
        struct rlimit none = {1, 1}, file = {100, 100};
        setrlimit(RLIMIT_AS, &none);
        if (rmap_memory_init(&mem, FRAMES, 12) != RMAP_ERR_SYSTEM || next_descriptor() != next) _exit(1);
        setrlimit(RLIMIT_NOFILE, &file);
        while (dup(STDERR_FILENO) >= 0) continue;
        if (rmap_memory_init(&mem, FRAMES, 12) != RMAP_ERR_SYSTEM) _exit(2);
        _exit(0);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
}
