/* SPDX-License-Identifier: MIT */
/** @file oracle/compare.c  The rules of compare.h. Nothing is remembered from one comparison to the next but the shadows. */
#include "oracle/compare.h"

#include <objrmap/verify.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define LOOKS 6
#define TABLE 2048 /* > 2 * SPACES * PAGES */

struct report *report;

/* ---- ends: each at once. The real processes see their channels close, and end; player.c waits for that. ---- */

void trouble(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (report)
        vsnprintf(report->text, sizeof report->text, format, args);
    else
        vfprintf(stderr, format, args);
    va_end(args);
    _exit(PLAYER_TROUBLE);
}

void found(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(report->text, sizeof report->text, format, args);
    va_end(args);
    _exit(PLAYER_FOUND);
}

static _Noreturn void give_up(const char *why)
{
    snprintf(report->text, sizeof report->text, "%s", why);
    _exit(PLAYER_GAVE_UP);
}

/* ---- classes: a table from a class of one side to its first page ---- */

struct class_table {
    uint64_t key[TABLE];
    uint16_t page[TABLE]; /* 0: free, else 1 + space * PAGES + page */
};

static unsigned table_enter(struct class_table *t, uint64_t key, unsigned page)
{
    uint64_t i = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 53;
    while (t->page[i] && t->key[i] != key) i = (i + 1) % TABLE;
    if (!t->page[i]) {
        t->page[i] = (uint16_t)(1 + page);
        t->key[i] = key;
    }
    return t->page[i] - 1u;
}

static uint64_t real_class(const struct both *b, unsigned s, unsigned v)
{
    return b->seen[s][v].pfn << 20 | b->shadow[s][v].copy;
}

unsigned class_size(const struct both *b, unsigned space, unsigned page)
{
    unsigned n = 0;
    if (b->seen[space][page].kind != REAL_PAGE) return 0;
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned v = 0; b->live[s] && v < PAGES; v++)
            n += b->seen[s][v].kind == REAL_PAGE && real_class(b, s, v) == real_class(b, space, page);
    return n;
}

bool held_shared(const struct both *b, unsigned space, unsigned page)
{
    unsigned n = 0;
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned v = 0; b->live[s] && v < PAGES; v++)
            n += b->held[s][v].kind >= HELD_PAGE && b->held[s][v].key == b->held[space][page].key;
    return n > 1;
}

/* ---- the comparison: each says what differs, or nothing ---- */

struct comparison {
    struct both *b;
    struct class_table real, held;
    char wrong[256];
    bool away; /* a page of the kernel's is not to be told */
    uint64_t classes, pages, swapped, contents;
};

static void compare_presence(struct comparison *c, unsigned s, unsigned v)
{
    static const char *const seen[] = {"absent", "the zero page", "a page"};
    static const char *const held[] = {"none", "the zero page", "a page", "on swap"};
    const struct both *b = c->b;
    const unsigned is = b->seen[s][v].kind, has = b->held[s][v].kind;
    const bool dropped = b->shadow[s][v].zero_dropped;
    bool good;
    if (is == REAL_AWAY) {
        c->away = true;
        return;
    }
    if (is == REAL_PAGE)
        good = has == HELD_PAGE || has == HELD_SLOT;
    else if (is == REAL_ZERO)
        good = has == HELD_ZERO && !dropped;
    else
        good = dropped ? has == HELD_ZERO : has == HELD_NONE;
    if (!good)
        snprintf(c->wrong, sizeof c->wrong, "s%u:%u is %s in the kernel%s, %s in the library", s, v, seen[is],
                 dropped ? " (dropped by a fork)" : "", held[has]);
    else if (has == HELD_ZERO && b->held[s][v].pfn != b->lib.zero_pfn)
        snprintf(c->wrong, sizeof c->wrong, "s%u:%u has a zero page of its own in the library", s, v);
}

static void compare_contents(struct comparison *c, unsigned s, unsigned v)
{
    unsigned char is[PAGE_BYTES], buffer[PAGE_BYTES];
    struct both *b = c->b;
    real_contents(&b->real, s, v, is);
    const unsigned char *has = library_contents(&b->lib, &b->held[s][v], buffer);
    c->contents++;
    if (!has) {
        snprintf(c->wrong, sizeof c->wrong, "the contents of s%u:%u cannot be had from the library", s, v);
        return;
    }
    if (!memcmp(is, has, PAGE_BYTES)) return;
    unsigned at = 0;
    uint64_t x, y;
    while (is[at] == has[at]) at++;
    at -= at % 8;
    memcpy(&x, is + at, 8);
    memcpy(&y, has + at, 8);
    snprintf(c->wrong, sizeof c->wrong, "s%u:%u byte %u: %#llx in the kernel, %#llx in the library", s, v, at,
             (unsigned long long)x, (unsigned long long)y);
}

/* Enter the page on both sides; its first page there must be the same, or two pages share on one side only. */
static void compare_class(struct comparison *c, unsigned s, unsigned v)
{
    const unsigned page = s * PAGES + v;
    const unsigned a = table_enter(&c->real, real_class(c->b, s, v), page);
    const unsigned h = table_enter(&c->held, c->b->held[s][v].key, page);
    c->pages++;
    c->swapped += c->b->held[s][v].kind == HELD_SLOT;
    if (a != h) {
        const unsigned other = a == page ? h : a;
        snprintf(c->wrong, sizeof c->wrong, "s%u:%u and s%u:%u share %s", other / PAGES, other % PAGES, s, v,
                 a == page ? "in the library, and must not" : "in the kernel, and not in the library");
    } else if (a == page) {
        c->classes++;
        compare_contents(c, s, v);
    }
}

/* Whoever wrote to it did so wherever it is mapped. */
static void compare_zero(struct comparison *c)
{
    static const unsigned char zeroes[PAGE_BYTES];
    unsigned char buffer[PAGE_BYTES];
    const struct held zero = {.kind = HELD_ZERO, .pfn = c->b->lib.zero_pfn};
    const unsigned char *has = library_contents(&c->b->lib, &zero, buffer);
    if (!has || memcmp(has, zeroes, PAGE_BYTES))
        snprintf(c->wrong, sizeof c->wrong, "the library's zero page is not all zeroes");
}

static void compare_all(struct comparison *c)
{
    compare_zero(c);
    for (unsigned s = 0; s < SPACES; s++) {
        for (unsigned v = 0; c->b->live[s] && v < PAGES && !c->wrong[0]; v++) {
            compare_presence(c, s, v);
            if (c->b->seen[s][v].kind == REAL_PAGE && !c->wrong[0]) compare_class(c, s, v);
        }
    }
}

void compare_look(struct both *b)
{
    for (unsigned s = 0; s < SPACES; s++) {
        if (!b->live[s]) continue;
        real_look(&b->real, s, b->seen[s]);
        library_look(&b->lib, s, b->held[s]);
    }
}

/* Whoever reads a page brings it back. */
static void bring_back(struct both *b)
{
    unsigned char bytes[PAGE_BYTES];
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned v = 0; b->live[s] && v < PAGES; v++)
            if (b->seen[s][v].kind == REAL_AWAY) real_contents(&b->real, s, v, bytes);
}

void compare(struct both *b)
{
    static struct comparison c;
    for (unsigned look = 1;; look++) {
        c.b = b;
        memset(c.real.page, 0, sizeof c.real.page);
        memset(c.held.page, 0, sizeof c.held.page);
        c.wrong[0] = 0;
        c.away = false;
        c.classes = c.pages = c.swapped = c.contents = 0;
        compare_look(b);
        compare_all(&c);
        if (!c.wrong[0] && !c.away) break;
        if (look == LOOKS && c.away)
            give_up("the machine swaps its memory out, again and again: frames cannot be compared");
        if (look == LOOKS) found("%s", c.wrong);
        report->again++;
        usleep(500u << look);
        bring_back(b);
    }
    report->classes += c.classes;
    report->contents += c.contents;
    report->shared += c.pages - c.classes;
    report->on_swap += c.swapped;
}

/* ---- layouts, forks, books ---- */

void compare_layout(struct both *b, unsigned space)
{
    struct layout *a = b->areas[space], *r = b->regions[space];
    real_layout(&b->real, space, a);
    library_layout(&b->lib, space, r);
    for (unsigned v = 0; v < PAGES; v++)
        if (a[v].prot != r[v].prot)
            found("s%u:%u is mapped with protection %d in the kernel, %d in the library (-1: not mapped)", space, v,
                  a[v].prot - 1, r[v].prot - 1);
}

void compare_forked(struct both *b, unsigned parent, unsigned child)
{
    for (unsigned v = 0; v < PAGES; v++) {
        struct shadow *x = &b->shadow[child][v];
        const bool had = b->seen[parent][v].kind == REAL_ZERO;
        x->zero_dropped |= had && b->seen[child][v].kind == REAL_ABSENT;
        if (!had || !x->zero_dropped) continue;
        report->zero_dropped++;
        for (unsigned n = 0; n < PAGES; n++)
            if (b->areas[child][n].area == b->areas[child][v].area && b->seen[child][n].kind != REAL_ABSENT)
                found("the kernel's fork lost the zero page of s%u:%u, and not the whole area's", child, v);
    }
}

static void count_mappings(struct both *b)
{
    for (unsigned s = 0; s < SPACES; s++) {
        for (unsigned v = 0; b->live[s] && v < PAGES; v++) {
            uint64_t n, same = 0;
            if (b->seen[s][v].kind != REAL_PAGE || !real_mappings(b->seen[s][v].pfn, &n)) continue;
            for (unsigned o = 0; o < SPACES; o++)
                for (unsigned p = 0; b->live[o] && p < PAGES; p++)
                    same += b->seen[o][p].kind == REAL_PAGE && b->seen[o][p].pfn == b->seen[s][v].pfn;
            *(n == same ? &report->kpage_same : &report->kpage_other) += 1;
            v += 7; /* a sample */
        }
    }
}

void compare_books(struct both *b)
{
    struct rmap_verify_report r;
    const int rc = b->slack.no_books ? 0 : rmap_pager_verify(b->lib.pager, &r);
    if (rc == RMAP_ERR_VERIFY) found("rmap_pager_verify: %s: %s", r.invariant, r.text);
    if (rc) found("rmap_pager_verify: %s", rmap_strerror(rc));
    count_mappings(b);
}
