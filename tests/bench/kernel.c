/* SPDX-License-Identifier: MIT */
/** @file bench/kernel.c  The process that is measured, and the bench's end of the socket. */
#include "bench/kernel.h"

#include "bench/kernel_work.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
    enum kernel_work work;
    size_t pages;
};

static struct {
    pid_t pid; /* 0: there is none */
    int fd;
} worker;

static void serve(int fd)
{
    struct request r;
    while (read(fd, &r, sizeof r) == (ssize_t)sizeof r) {
        double ns = kernel_do(r.work, r.pages);
        if (write(fd, &ns, sizeof ns) != (ssize_t)sizeof ns) break;
    }
    _exit(0);
}

void kernel_open(void)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return;
    fflush(NULL);
    pid_t bench = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != bench) _exit(0);
        close(fds[0]);
        serve(fds[1]);
    }
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return;
    }
    worker.pid = pid;
    worker.fd = fds[0];
}

void kernel_close(void)
{
    if (!worker.pid) return;
    close(worker.fd);
    waitpid(worker.pid, NULL, 0);
    worker.pid = 0;
}

static double ask(void *ctx)
{
    struct request r = *(const struct request *)ctx;
    double ns;
    if (!worker.pid) return -1;
    /* MSG_NOSIGNAL: a worker that died is an answer too. */
    if (send(worker.fd, &r, sizeof r, MSG_NOSIGNAL) != (ssize_t)sizeof r) return -1;
    if (read(worker.fd, &ns, sizeof ns) != (ssize_t)sizeof ns) return -1;
    return ns == KERNEL_BELOW_NOISE ? cannot("below the noise") : ns;
}

#define CONTESTANT(name, which, how_many)                                                                              \
    struct contestant kernel_##name(void)                                                                              \
    {                                                                                                                  \
        static struct request r = {which, how_many};                                                                   \
        return (struct contestant){"kernel", ask, &r};                                                                 \
    }
CONTESTANT(fork, KERNEL_FORK, 65536)
CONTESTANT(fork_first, KERNEL_FORK_FIRST, 65536)
CONTESTANT(exit, KERNEL_EXIT, 65536)
CONTESTANT(fault, KERNEL_FAULT, 8192)
CONTESTANT(cow, KERNEL_COW, 8192)
CONTESTANT(mremap, KERNEL_MREMAP, 65536)
CONTESTANT(mkclean, KERNEL_MKCLEAN, 4096)
