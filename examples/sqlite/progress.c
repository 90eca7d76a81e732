/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_SECONDS 0.1
#define PLAIN_SECONDS 2.0

static bool line_open;

double progress_seconds(void)
{
    static struct timespec start;
    static bool started;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!started) {
        start = now;
        started = true;
    }
    return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) * 1e-9;
}

void progress_show(const char *format, ...)
{
    static double next;
    bool terminal = isatty(STDERR_FILENO) == 1;
    double seconds = progress_seconds();
    va_list arguments;

    if (seconds < next) return;
    next = seconds + (terminal ? REDRAW_SECONDS : PLAIN_SECONDS);
    fprintf(stderr, "%s[%5.1f s] ", terminal ? "\r\033[K" : "", seconds);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (!terminal) fputc('\n', stderr);
    line_open = terminal;
    fflush(stderr);
}

void progress_end(void)
{
    if (line_open) fputs("\r\033[K", stderr);
    line_open = false;
}
