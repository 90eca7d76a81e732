/* SPDX-License-Identifier: MIT */
/**
 * @file support/test.h  One vocabulary for every test, over one of two runners.
 *
 *     RMAP_TEST(suite, name) { ... CHECK_EQ(page.mapcount, 2); ... }
 *
 * Default: Criterion, each test in a process of its own. With RMAP_TEST_PLAIN: a registry and the `main` of plain_main.c,
 * all tests in one process, which is what TSan, valgrind and leak checks need (Criterion's fixed-address arena upsets them).
 * A failed CHECK ends the test by a long jump, so: checks belong on the thread that runs the test (helper functions are
 * fine), never in a worker thread or a forked child. Tests print to stderr only: stdout is TAP.
 */
#ifndef RMAP_TESTS_SUPPORT_TEST_H
#define RMAP_TESTS_SUPPORT_TEST_H

#include <objrmap/error.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TEST__TEXT_BYTES 512

#ifdef RMAP_TEST_PLAIN

/** One test, linked into the registry before main. Static storage. */
struct test__case {
    const char *suite, *name, *file;
    int line;
    void (*run)(void);
    struct test__case *next;
};
void test__register(struct test__case *c);
_Noreturn void test__end_failed(const char *file, int line, const char *text);
_Noreturn void test__end_skipped(const char *reason);

#define RMAP_TEST(suite_, name_)                                                                                 \
    static void test__run_##suite_##_##name_(void);                                                              \
    __attribute__((constructor)) static void test__register_##suite_##_##name_(void)                             \
    {                                                                                                            \
        static struct test__case c = {#suite_, #name_, __FILE__, __LINE__, test__run_##suite_##_##name_, NULL};  \
        test__register(&c);                                                                                      \
    }                                                                                                            \
    static void test__run_##suite_##_##name_(void)

#else

#include <criterion/criterion.h>

#define RMAP_TEST(suite_, name_) Test(suite_, name_)

_Noreturn static inline void test__end_failed(const char *file, int line, const char *text)
{
    struct criterion_assert_stats failed;
    memset(&failed, 0, sizeof failed);
    failed.file = file;
    failed.line = (unsigned)line;
    failed.message = text;
    criterion_send_assert(&failed);
    criterion_abort_test();
}
_Noreturn static inline void test__end_skipped(const char *reason)
{
    criterion_skip_test("%s", reason);
}

#endif

_Noreturn static inline void __attribute__((format(printf, 3, 4))) test__fail(const char *file, int line, const char *format,
                                                                              ...)
{
    char text[TEST__TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    test__end_failed(file, line, text);
}

/** How the two values of a failed comparison are shown: decimal, signed where that reads better, and hexadecimal. */
static inline void test__compare_failed(const char *file, int line, const char *relation, const char *a_text,
                                        const char *b_text, uint64_t a, uint64_t b)
{
    test__fail(file, line, "expected %s %s %s, but the values are %" PRId64 " (0x%" PRIx64 ") and %" PRId64 " (0x%" PRIx64 ")",
               a_text, relation, b_text, (int64_t)a, a, (int64_t)b, b);
}
static inline void test__check_eq(const char *file, int line, const char *a_text, const char *b_text, uint64_t a, uint64_t b)
{
    if (a != b) test__compare_failed(file, line, "==", a_text, b_text, a, b);
}
static inline void test__check_ne(const char *file, int line, const char *a_text, const char *b_text, uint64_t a, uint64_t b)
{
    if (a == b) test__compare_failed(file, line, "!=", a_text, b_text, a, b);
}
static inline void test__check_le(const char *file, int line, const char *a_text, const char *b_text, uint64_t a, uint64_t b)
{
    if (a > b) test__compare_failed(file, line, "<=", a_text, b_text, a, b);
}
static inline void test__check_err(const char *file, int line, const char *call, int got, int want)
{
    if (got != want)
        test__fail(file, line, "%s returned %s (%d), expected %s (%d)", call, rmap_error_name(got), got, rmap_error_name(want),
                   want);
}
static inline void test__check_str(const char *file, int line, const char *a_text, const char *b_text, const char *a,
                                   const char *b)
{
    if (!a || !b || strcmp(a, b) != 0)
        test__fail(file, line, "expected %s and %s to be the same text, but they are \"%s\" and \"%s\"", a_text, b_text,
                   a ? a : "(null)", b ? b : "(null)");
}

#define CHECK(cond)                                                                \
    do {                                                                           \
        if (!(cond)) test__fail(__FILE__, __LINE__, "expected: %s", #cond);        \
    } while (0)
/** Integers, enums, bools and pointers, compared as 64 bits; each side is evaluated once. LE compares unsigned. */
#define CHECK_EQ(a, b) test__check_eq(__FILE__, __LINE__, #a, #b, (uint64_t)(a), (uint64_t)(b))
#define CHECK_NE(a, b) test__check_ne(__FILE__, __LINE__, #a, #b, (uint64_t)(a), (uint64_t)(b))
#define CHECK_LE(a, b) test__check_le(__FILE__, __LINE__, #a, #b, (uint64_t)(a), (uint64_t)(b))
#define CHECK_OK(call) test__check_err(__FILE__, __LINE__, #call, (call), RMAP_OK)
#define CHECK_ERR(call, error) test__check_err(__FILE__, __LINE__, #call, (call), (error))
#define CHECK_STR(a, b) test__check_str(__FILE__, __LINE__, #a, #b, (a), (b))
/** End the test as skipped, with a reason that says what is missing. */
#define TEST_SKIP(reason) test__end_skipped(reason)
/** End the test as failed, with a text of its own: TEST_FAIL("step %u: %s", step, report.text). */
#define TEST_FAIL(...) test__fail(__FILE__, __LINE__, __VA_ARGS__)

#endif
