/* SPDX-License-Identifier: MIT */
/** @file bench/kernel_child.c  Children of the measured process. */
#include "bench/kernel_work.h"
#include "bench/measure.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_ORDER '\0'

static void obey_all(int fd, kernel_obey *obey, void *ctx)
{
    char order;
    while (read(fd, &order, 1) == 1 && order != EXIT_ORDER) {
        double answer = obey(ctx, order);
        if (write(fd, &answer, sizeof answer) != (ssize_t)sizeof answer) break;
    }
    _exit(0);
}

bool kernel_child_start(struct kernel_child *child, kernel_obey *obey, void *ctx, double *ns)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return false;
    pid_t parent = getpid();
    double begin = cpu_ns();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(0);
        close(fds[0]);
        obey_all(fds[1], obey, ctx);
    }
    if (ns) *ns = cpu_ns() - begin;
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return false;
    }
    *child = (struct kernel_child){pid, fds[0]};
    return true;
}

double kernel_child_tell(struct kernel_child *child, char order)
{
    double answer;
    if (send(child->fd, &order, 1, MSG_NOSIGNAL) != 1) return -1;
    return read(child->fd, &answer, sizeof answer) == (ssize_t)sizeof answer ? answer : -1;
}

static double ns_of(struct timeval t)
{
    return (double)t.tv_sec * 1e9 + (double)t.tv_usec * 1e3;
}

double kernel_child_end(struct kernel_child *child)
{
    const char order = EXIT_ORDER;
    struct rusage used;
    memset(&used, 0, sizeof used);
    (void)!send(child->fd, &order, 1, MSG_NOSIGNAL); /* a child that is gone is reaped all the same */
    wait4(child->pid, NULL, 0, &used);
    close(child->fd);
    return ns_of(used.ru_utime) + ns_of(used.ru_stime);
}
