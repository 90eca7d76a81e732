/* SPDX-License-Identifier: MIT */
/**
 * @file bench/measure.h  Rows: what systems cost, taken in turn, so that a noisy machine is noisy to all of them.
 *
 * A *contestant* is one system in one scenario. measure() asks each for a sample in turn, round after round (A B C, C B A, …),
 * and keeps all samples: a row's `ns` is their median, its `spread` half the distance between the quartiles; a ratio of two
 * rows is the median of the ratios round by round (tests/bench/report.py).
 */
#ifndef RMAP_TESTS_BENCH_MEASURE_H
#define RMAP_TESTS_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct contestant {
    const char *system; /**< of bench_systems; or "kernel", "raw", "memcpy", … NULL ends a list */
    /**
     * ns of one unit of the row (an entry, a page, a call). What is not to be timed it does outside its own pair of
     * readings. < 0: this contestant cannot, here; see cannot().
     */
    double (*sample)(void *ctx);
    void *ctx;
};

/** A monotonic clock. */
double clock_ns(void);
/** The processor's time that this thread has had: what others on the machine take is not in it. Costs a system call. */
double cpu_ns(void);

/** --quick: smaller worlds, fewer rounds. --only NAME: scenarios whose name begins so. Set by bench.c. */
extern struct bench_settings {
    bool quick;
    const char *only;
    unsigned rounds;
} bench_settings;

/** Is any row below this scenario wanted? */
bool wanted(const char *scenario);

/** Take rounds of samples and print a row for each contestant, if --only wants it. One unmeasured round comes first. */
void measure(const char *name, const char *unit, const struct contestant *list);
/** The same with a number of rounds of its own, for samples that take long. */
void measure_rounds(const char *name, const char *unit, const struct contestant *list, unsigned rounds);
/** A row without a time: bytes. */
void print_bytes(const char *name, const char *system, const char *unit, double bytes);
/** A contestant that is not there, and why: to stderr and, as a row without figures, to the JSON. */
void print_absent(const char *name, const char *system, const char *why);
/** No row has a name that --only wants: neither misuse, which is 2, nor a failure, which is 1 or a signal. */
#define STATUS_NO_ROW 3
/**
 * All rows are printed: have them written.
 * @return the status to exit with: 0; 1: they could not all be written; STATUS_NO_ROW. What is not 0 is said on stderr.
 */
int rows_end(const char *program);
/** For a sample that cannot: remember why, for the row. @return -1. */
double cannot(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** One line to stderr: what is going on. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
