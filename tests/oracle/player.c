/* SPDX-License-Identifier: MIT */
/** @file oracle/player.c  Starting and watching players. A player that dies or hangs is a finding: the report says where it was. */
#include "oracle/player.h"
#include "oracle/play.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS 120 /* without a step's end */

static struct both both;

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_tick(int signal)
{
    (void)signal; /* it interrupts waitpid */
}

bool player_init(void)
{
    const struct sigaction tick = {.sa_handler = on_tick};
    void *at = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return false;
    report = at;
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* a player's processes are ours when it has ended */
    sigaction(SIGALRM, &tick, NULL);
    return true;
}

/* In the child: as if there had been no parent but the report. */
static void become_player(pid_t parent, const struct slackness *slack, bool quiet)
{
    const int nowhere = quiet ? open("/dev/null", O_WRONLY) : -1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(PLAYER_TROUBLE);
    if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
    both.slack = *slack;
}

/* Wait, and kill what hangs; until none of its processes is left, either. @return the wait status. */
static int watch(pid_t player)
{
    const struct itimerval every = {{1, 0}, {1, 0}}, never = {{0, 0}, {0, 0}};
    uint64_t last = 0;
    double since = seconds_now();
    int status = 0;
    setitimer(ITIMER_REAL, &every, NULL);
    while (waitpid(player, &status, 0) < 0 && errno == EINTR) {
        const uint64_t now = report->steps + report->step + report->seed;
        if (now != last) last = now, since = seconds_now();
        if (seconds_now() - since < HANG_SECONDS) continue;
        snprintf(report->text, sizeof report->text, "nothing has happened for %d seconds", HANG_SECONDS);
        kill(player, SIGKILL);
    }
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) { /* their channels are closed: they end */
    }
    setitimer(ITIMER_REAL, &never, NULL);
    return status;
}

static enum verdict verdict_of(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == PLAYER_FINE) return NOTHING_FOUND;
    if (WIFEXITED(status) && WEXITSTATUS(status) == PLAYER_TROUBLE) return TROUBLE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == PLAYER_GAVE_UP) return GAVE_UP;
    if (report->text[0]) return FOUND;
    if (WIFSIGNALED(status))
        snprintf(report->text, sizeof report->text, "the library ended the program: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(report->text, sizeof report->text, "the program ended with status %d", WEXITSTATUS(status));
    return FOUND;
}

static pid_t fork_player(void)
{
    report->text[0] = 0;
    fflush(NULL);
    return fork();
}

static enum verdict no_player(void)
{
    snprintf(report->text, sizeof report->text, "no process can be made: %s", strerror(errno));
    return TROUBLE;
}

enum verdict player_draw(const struct span *span, const struct slackness *slack)
{
    static struct program p;
    const pid_t parent = getpid();
    const double begin = seconds_now();
    const uint64_t before = report->steps;
    const pid_t player = fork_player();
    if (player < 0) return no_player();
    if (player) return verdict_of(watch(player));
    become_player(parent, slack, false);
    for (uint64_t seed = span->seed;
         span->steps ? report->steps - before < span->steps : seconds_now() - begin < span->seconds; seed++) {
        report->seed = seed;
        program_draw(&p, seed, span->length);
        play(&both, &p);
    }
    exit(0);
}

enum verdict player_play(const struct program *p, const struct slackness *slack, bool quiet)
{
    const pid_t parent = getpid(), player = fork_player();
    if (player < 0) return no_player();
    if (player) return verdict_of(watch(player));
    become_player(parent, slack, quiet);
    play(&both, p);
    exit(0);
}
