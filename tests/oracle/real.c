/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/real.c  Driving the processes. Each space has a channel for whoever serves it; commands are answered before the
 * next is given, so the tree is still whenever we look. No process outlives the driver: they end when their channel does.
 */
#include "oracle/real.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_SECONDS 60 /* nothing takes that long: the process has died */

/* From Linux 6.4 on; a kernel that does not know it merges nothing of a process that did not ask. */
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

static void open_channels(int *ours, int *theirs)
{
    const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    for (unsigned i = 0; i < CHANNELS; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) trouble("no channel: %s", strerror(errno));
        setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ours[i] = pair[0];
        theirs[i] = pair[1];
    }
}

static void open_nursery(struct real *r)
{
    int theirs[CHANNELS];
    const pid_t driver = getpid();
    open_channels(r->channel, theirs);
    fflush(NULL);
    r->nursery = fork();
    if (r->nursery < 0) trouble("no process can be made: %s", strerror(errno));
    if (!r->nursery) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0);
        if (getppid() != driver) _exit(0);
        for (unsigned i = 0; i < CHANNELS; i++) close(r->channel[i]);
        worker_run(theirs);
    }
    for (unsigned i = 0; i < CHANNELS; i++) close(theirs[i]);
}

static void tell(struct real *r, unsigned channel, const struct command *c, struct answer *a)
{
    if (send(r->channel[channel], c, sizeof *c, MSG_NOSIGNAL) != sizeof *c ||
        recv(r->channel[channel], a, sizeof *a, 0) != sizeof *a)
        trouble("the process of channel %u is lost: %s", channel, strerror(errno));
}

static int open_file(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) trouble("%s: %s", path, strerror(errno));
    return fd;
}

static void fork_from(struct real *r, unsigned channel, unsigned child)
{
    const struct command c = {.kind = COMMAND_FORK, .child = (uint8_t)child};
    struct answer a;
    tell(r, channel, &c, &a);
    if (a.error) trouble("fork: %s", strerror(a.error));
    r->space[child].pid = a.child;
    r->space[child].pagemap = open_file(a.child, "pagemap");
    r->space[child].mem = open_file(a.child, "mem");
    r->space[child].maps = open_file(a.child, "maps");
}

void real_start(struct real *r, unsigned space)
{
    fork_from(r, NURSERY, space);
}

void real_fork(struct real *r, unsigned parent, unsigned child)
{
    fork_from(r, parent, child);
}

void real_do(struct real *r, unsigned space, const struct command *c, struct answer *a)
{
    tell(r, space, c, a);
}

void real_exit(struct real *r, unsigned space)
{
    const struct command c = {.kind = COMMAND_EXIT};
    struct answer a;
    tell(r, space, &c, &a);
    close(r->space[space].pagemap);
    close(r->space[space].mem);
    close(r->space[space].maps);
    for (unsigned i = 0; !kill(r->space[space].pid, 0); i++) {
        if (i > ANSWER_SECONDS * 10000u) trouble("a process does not end");
        usleep(i < 20 ? 20 : 100);
    }
    r->space[space].pid = 0;
}

/* The zero page is what an untouched page shows after a read. */
static uint64_t find_zero(struct real *r)
{
    const struct command map = {.kind = COMMAND_MAP, .count = 1, .prot = 1}, read = {.kind = COMMAND_READ, .count = 1};
    struct real_entry entry[PAGES];
    struct answer a;
    real_start(r, 0);
    real_do(r, 0, &map, &a);
    if (a.error) trouble("no page can be mapped at %p: %s", (void *)WINDOW, strerror(a.error));
    real_do(r, 0, &read, &a);
    real_look(r, 0, entry);
    real_exit(r, 0);
    if (entry[0].kind != REAL_PAGE) trouble("a page that was read is not present");
    return entry[0].pfn;
}

void real_open(struct real *r)
{
    *r = (struct real){.zero_pfn = 0};
    open_nursery(r);
    r->zero_pfn = find_zero(r);
}

void real_close(struct real *r)
{
    for (unsigned s = 0; s < SPACES; s++)
        if (r->space[s].pid) real_exit(r, s);
    for (unsigned i = 0; i < CHANNELS; i++) close(r->channel[i]);
    while (waitpid(r->nursery, NULL, 0) < 0 && errno == EINTR) {
    }
}
