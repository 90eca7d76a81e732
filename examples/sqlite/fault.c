/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include "memory.h"
#include "temporary.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static struct store *served;
static struct sigaction before_segv, before_bus;
static _Thread_local uint64_t faults_mine;
static atomic_uint_least64_t faults_all;

/*
 * The cause of a fault is in the signal's context; knowing a write for what
 * it is spares the second fault of "map for reading, then upgrade".
 */
static bool access_is_write(void *address, void *signal_context)
{
    ucontext_t *context = signal_context;

#if defined(__x86_64__)
    (void)address;
    return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#elif defined(__aarch64__)
    /* The syndrome lies among tagged records; bit 6 is "write, not read". */
    unsigned char *at = context->uc_mcontext.__reserved;
    struct _aarch64_ctx record;
    (void)address;
    for (;; at += record.size) {
        memcpy(&record, at, sizeof record);
        if (record.magic == ESR_MAGIC) {
            struct esr_context syndrome;
            memcpy(&syndrome, at, sizeof syndrome);
            return (syndrome.esr & 64) != 0;
        }
        if (record.magic == 0 || record.size == 0) return true;
    }
#else
    /* Not told: a read first; the same address again was a write. */
    static _Thread_local void *last;
    bool again = last == address;
    (void)context;
    last = again ? NULL : address;
    return again;
#endif
}

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
}

static void die_of_swap(int error)
{
    bool full = memory_swap_full(served);

    temporary_remove();
    say(isatty(STDERR_FILENO) ? "\r\033[K" : "");
    say("sqlite_branches: a page is out of reach: ");
    say(memory_error_text(error));
    say(full ? "; the swap is full: take fewer branches or more memory\n" : "\n");
    _exit(full ? EXIT_BAD_INPUT : EXIT_RUN_FAILED);
}

/*
 * Runs on the faulting thread's stack.  The fault is synchronous and hits
 * only memcpy-like accesses of projected memory, never the inside of malloc
 * or of the pager, so that the pager may allocate, reclaim and do I/O here.
 * Any number of threads may be here at once.
 */
static void handle(int signal_number, siginfo_t *info, void *context)
{
    int saved_errno = errno, error = 0;

    faults_mine++;
    atomic_fetch_add_explicit(&faults_all, 1, memory_order_relaxed);

    switch (memory_fault(served, info->si_addr, access_is_write(info->si_addr, context), &error)) {
    case MEMORY_FAULT_RESOLVED:
        break;
    case MEMORY_FAULT_FAILED:
        die_of_swap(error);
        break;
    case MEMORY_FAULT_FOREIGN:
        /* The retried access now kills the process at the guilty place. */
        temporary_remove();
        signal(signal_number, SIG_DFL);
        break;
    }
    errno = saved_errno;
}

void fault_handler_install(struct store *store)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};

    served = store;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &before_segv);
    sigaction(SIGBUS, &action, &before_bus);
}

void fault_handler_remove(void)
{
    sigaction(SIGSEGV, &before_segv, NULL);
    sigaction(SIGBUS, &before_bus, NULL);
    served = NULL;
}

uint64_t fault_count_mine(void)
{
    return faults_mine;
}

uint64_t fault_count_all(void)
{
    return atomic_load_explicit(&faults_all, memory_order_relaxed);
}
