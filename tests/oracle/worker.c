/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/worker.c  A real process: it does to its window what it is told. Loads and stores are the program's own; what
 * the kernel answers to one that may not be is caught, and told apart by the signal's code.
 */
#include "oracle/worker.h"

#include <errno.h>
#include <objrmap/types.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static sigjmp_buf out_of_touch;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    siglongjmp(out_of_touch, signal != SIGSEGV              ? 1 + TOUCH_STRANGE
                             : info->si_code == SEGV_MAPERR ? 1 + TOUCH_ABSENT
                             : info->si_code == SEGV_ACCERR ? 1 + TOUCH_ACCESS
                                                            : 1 + TOUCH_STRANGE);
}

static void catch_faults(void)
{
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
}

static uint8_t touch(volatile uint64_t *at, const uint64_t *written, uint64_t *found)
{
    const int fault = sigsetjmp(out_of_touch, 0);
    if (fault) return (uint8_t)(fault - 1);
    if (written)
        *at = *written;
    else
        *found = *at;
    return TOUCH_DONE;
}

static unsigned char *address(unsigned page)
{
    return WINDOW + (size_t)page * PAGE_BYTES;
}

static int prot_of(unsigned prot)
{
    return (prot & RMAP_READ ? PROT_READ : 0) | (prot & RMAP_WRITE ? PROT_WRITE : 0);
}

static int map(const struct command *c)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (c->flag ? MAP_FIXED_NOREPLACE : MAP_FIXED);
    const size_t bytes = (size_t)c->count * PAGE_BYTES;
    void *at = mmap(address(c->first), bytes, prot_of(c->prot), flags, -1, 0);
    if (at == MAP_FAILED) return errno;
    /* A kernel without huge pages does not know the advice. */
    return madvise(at, bytes, MADV_NOHUGEPAGE) && errno != EINVAL ? errno : 0;
}

static int remap(const struct command *c)
{
    const int flags =
        (c->flag & REMAP_FIXED ? MREMAP_MAYMOVE | MREMAP_FIXED : 0) | (c->flag & REMAP_KEEP ? MREMAP_DONTUNMAP : 0);
    void *at = mremap(address(c->first), (size_t)c->count * PAGE_BYTES, (size_t)c->new_count * PAGE_BYTES, flags,
                      address(c->to));
    return at == MAP_FAILED ? errno : 0;
}

static int touch_all(const struct command *c, struct answer *a)
{
    for (unsigned i = 0; i < c->count; i++) {
        uint64_t value = word_value(c->value, i);
        volatile uint64_t *at = (volatile uint64_t *)(address(c->first + i) + word_offset(c->value));
        a->touch[i] = touch(at, c->kind == COMMAND_WRITE ? &value : NULL, &a->word[i]);
    }
    return 0;
}

static int obey(const struct command *c, struct answer *a)
{
    const size_t bytes = (size_t)c->count * PAGE_BYTES;
    switch (c->kind) {
    case COMMAND_MAP:
        return map(c);
    case COMMAND_UNMAP:
        return munmap(address(c->first), bytes) ? errno : 0;
    case COMMAND_PROTECT:
        return mprotect(address(c->first), bytes, prot_of(c->prot)) ? errno : 0;
    case COMMAND_DONTNEED:
        return madvise(address(c->first), bytes, MADV_DONTNEED) ? errno : 0;
    case COMMAND_REMAP:
        return remap(c);
    case COMMAND_WRITE:
    case COMMAND_READ:
        return touch_all(c, a);
    default:
        return ENOSYS;
    }
}

_Noreturn void worker_run(const int *channel)
{
    unsigned space = NURSERY;
    static struct command c; /* static: a child's copy must survive the fork's answer */
    static struct answer a;
    signal(SIGCHLD, SIG_IGN); /* nobody becomes a zombie */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    catch_faults();
    while (recv(channel[space], &c, sizeof c, 0) == sizeof c) {
        a = (struct answer){0};
        if (c.kind == COMMAND_FORK) {
            a.child = fork();
            if (!a.child) {
                space = c.child;
                continue;
            }
            a.error = a.child < 0 ? errno : 0;
        } else if (c.kind != COMMAND_EXIT) {
            a.error = obey(&c, &a);
        }
        if (send(channel[space], &a, sizeof a, MSG_NOSIGNAL) != sizeof a || c.kind == COMMAND_EXIT) break;
    }
    _exit(0);
}
