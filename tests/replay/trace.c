/* SPDX-License-Identifier: MIT */
/** @file replay/trace.c  See the header. */
#include "replay/trace.h"
#include "replay/room.h"
#include "replay/source.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define HEADING "# objrmap-trace 1"
/* A move is the longest: 4 + 10 + 4 * 17 + 2 and blanks. */
#define LINE_MAX_BYTES 120
#define BUFFER_BYTES ((size_t)1 << 16)

struct trace {
    struct source *source;
    uint64_t line; /* of the last line that was given out */
    struct trace_error failed;
    size_t at, end;
    char buffer[BUFFER_BYTES];
};

/* A line's rest. */
struct words {
    const char *at, *end;
    uint64_t line;
    struct trace_error *error;
};

int trace_wrong(struct trace_error *error, uint64_t line, const char *text, ...)
{
    va_list arguments;
    va_start(arguments, text);
    error->line = line;
    vsnprintf(error->text, sizeof error->text, text, arguments);
    va_end(arguments);
    return -1;
}

/* Complain of a word; a stranger's bytes reach no terminal. */
static bool wrong_word(struct words *w, const char *what, const char *word, size_t n)
{
    char shown[24];
    const size_t most = n < sizeof shown - 1 ? n : sizeof shown - 1;
    for (size_t i = 0; i < most; i++) shown[i] = word[i] > ' ' && word[i] <= '~' ? word[i] : '?';
    shown[most] = 0;
    trace_wrong(w->error, w->line, "%s: '%s'%s", what, shown, most < n ? "..." : "");
    return false;
}

static bool next_word(struct words *w, const char *what, const char **word, size_t *n)
{
    if (w->at == w->end) {
        trace_wrong(w->error, w->line, "%s is missing", what);
        return false;
    }
    const char *blank = memchr(w->at, ' ', (size_t)(w->end - w->at));
    const char *end = blank ? blank : w->end;
    *word = w->at;
    *n = (size_t)(end - w->at);
    if (!*n || (blank && blank + 1 == w->end)) {
        trace_wrong(w->error, w->line, "words are parted by one blank");
        return false;
    }
    w->at = blank ? blank + 1 : w->end;
    return true;
}

static bool ended(struct words *w)
{
    return w->at == w->end || wrong_word(w, "too many words", w->at, (size_t)(w->end - w->at));
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return 99;
}

static bool out_of_range(struct words *w, const char *what, const char *word, size_t n)
{
    char text[48];
    snprintf(text, sizeof text, "%s out of range", what);
    return wrong_word(w, text, word, n);
}

static bool number(struct words *w, unsigned base, uint64_t least, uint64_t most, const char *what, uint64_t *out)
{
    const char *word;
    size_t n;
    if (!next_word(w, what, &word, &n)) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned d = (unsigned)digit(word[i]);
        if (d >= base) return wrong_word(w, base == 16 ? "not a hexadecimal number" : "not a decimal number", word, n);
        /* most is far from the top, so that this cannot wrap. */
        value = value * base + d;
        if (value > most) return out_of_range(w, what, word, n);
    }
    *out = value;
    return value >= least || out_of_range(w, what, word, n);
}

static bool space_id(struct words *w, uint32_t *out)
{
    uint64_t id;
    if (!number(w, 10, 1, TRACE_IDS - 1, "space id", &id)) return false;
    *out = (uint32_t)id;
    return true;
}

static bool page_number(struct words *w, uint64_t *out)
{
    return number(w, 16, 0, TRACE_PAGES - 1, "page number", out);
}

static bool range(struct words *w, uint64_t least, uint64_t *first, uint64_t *count)
{
    if (!page_number(w, first) || !number(w, 16, least, TRACE_PAGES, "number of pages", count)) return false;
    if (*count <= TRACE_PAGES - *first) return true;
    trace_wrong(w->error, w->line, "the range ends beyond page number %llx", (unsigned long long)TRACE_PAGES - 1);
    return false;
}

static bool protection(struct words *w, unsigned *out)
{
    static const char letters[] = "rwx";
    const char *word;
    size_t n;
    if (!next_word(w, "protection", &word, &n)) return false;
    *out = 0;
    bool good = n == 3;
    for (size_t i = 0; good && i < 3; i++) {
        if (word[i] == letters[i]) *out |= 1u << i;
        good = word[i] == letters[i] || word[i] == '-';
    }
    return good || wrong_word(w, "not a protection", word, n);
}

static bool kind(struct words *w, char *out)
{
    const char *word;
    size_t n;
    if (!next_word(w, "kind", &word, &n)) return false;
    *out = *word;
    return (n == 1 && memchr("afsk", *word, 4)) || wrong_word(w, "not a kind of mapping", word, n);
}

static bool move_flags(struct words *w, struct trace_event *e)
{
    uint64_t flags;
    if (!number(w, 16, 0, 7, "flags", &flags)) return false;
    e->flags = (unsigned)flags;
    const char *why = NULL;
    if ((flags & (TRACE_FIXED | TRACE_DONTUNMAP)) && !(flags & TRACE_MAYMOVE))
        why = "flags 2 and 4 of a move want 1";
    else if (e->to != e->vpn && !(flags & TRACE_MAYMOVE))
        why = "a move to elsewhere wants flag 1";
    else if ((flags & TRACE_DONTUNMAP) && (e->count != e->new_count || e->to == e->vpn))
        why = "a move that keeps the old range goes elsewhere and has one size";
    if (why) trace_wrong(w->error, w->line, "%s", why);
    return !why;
}

/* The words that follow the verb. */
static bool operands(struct words *w, struct trace_event *e)
{
    if (!space_id(w, &e->space)) return false;
    switch (e->verb) {
    case TRACE_FORK:
        return space_id(w, &e->child);
    case TRACE_MAP:
        return range(w, 1, &e->vpn, &e->count) && protection(w, &e->prot) && kind(w, &e->kind);
    case TRACE_PROT:
        return range(w, 1, &e->vpn, &e->count) && protection(w, &e->prot);
    case TRACE_UNMAP:
    case TRACE_DROP:
        return range(w, 1, &e->vpn, &e->count);
    case TRACE_MOVE:
        return range(w, 0, &e->vpn, &e->count) && range(w, 1, &e->to, &e->new_count) && move_flags(w, e);
    case TRACE_READ:
    case TRACE_WRITE:
        e->count = 1;
        return page_number(w, &e->vpn);
    default:
        return true;
    }
}

static bool parse(struct words *w, struct trace_event *e)
{
    static const char *const names[TRACE_VERBS] = {"new",  "fork", "exit", "map", "unmap",
                                                   "prot", "drop", "move", "r",   "w"};
    const char *word;
    size_t n;
    if (!next_word(w, "the event", &word, &n)) return false;
    for (unsigned v = 0; v < TRACE_VERBS; v++) {
        if (strlen(names[v]) != n || memcmp(names[v], word, n)) continue;
        *e = (struct trace_event){.line = w->line, .verb = (enum trace_verb)v};
        return operands(w, e) && ended(w);
    }
    return wrong_word(w, "unknown event", word, n);
}

static int fill(struct trace *t)
{
    memmove(t->buffer, t->buffer + t->at, t->end - t->at);
    t->end -= t->at;
    t->at = 0;
    const char *why = "";
    const long n = source_read(t->source, t->buffer + t->end, sizeof t->buffer - t->end, &why);
    if (n < 0) return trace_wrong(&t->failed, t->line + 1, "%s", why);
    t->end += (size_t)n;
    return n > 0;
}

/* @return 1 with the next line, without its end; 0 at the end; -1. */
static int next_line(struct trace *t, struct words *out)
{
    const char *newline;
    while (!(newline = memchr(t->buffer + t->at, '\n', t->end - t->at)) && t->end - t->at <= LINE_MAX_BYTES) {
        const int more = fill(t);
        if (more < 0) return -1;
        if (more) continue;
        if (t->at == t->end) return 0;
        return trace_wrong(&t->failed, t->line + 1, "the trace ends within a line");
    }
    out->at = t->buffer + t->at;
    if (!newline || newline - out->at > LINE_MAX_BYTES)
        return trace_wrong(&t->failed, t->line + 1, "the line is longer than %d bytes", LINE_MAX_BYTES);
    out->end = newline;
    out->line = ++t->line;
    out->error = &t->failed;
    t->at = (size_t)(newline + 1 - t->buffer);
    return t->line <= TRACE_LINES_MAX ? 1 : trace_wrong(&t->failed, t->line, "too many lines");
}

int trace_next(struct trace *t, struct trace_event *out, struct trace_error *error)
{
    struct words w;
    int rc = t->failed.text[0] ? -1 : next_line(t, &w);
    if (rc > 0 && !parse(&w, out)) rc = -1;
    if (rc < 0) *error = t->failed;
    return rc;
}

static int begin(struct source *source, struct trace **out, struct trace_error *error)
{
    struct trace *t = room_for(1, sizeof *t);
    struct words w;
    t->source = source;
    const int rc = next_line(t, &w);
    if (rc > 0 && w.end - w.at == sizeof HEADING - 1 && !memcmp(w.at, HEADING, sizeof HEADING - 1)) return *out = t, 0;
    if (rc >= 0) trace_wrong(&t->failed, 1, "the first line is not '" HEADING "'");
    *error = t->failed;
    trace_close(t);
    return -1;
}

int trace_open_file(const char *path, struct trace **out, struct trace_error *error)
{
    const char *why;
    struct source *source = source_open(path, &why);
    return source ? begin(source, out, error) : trace_wrong(error, 0, "%s", why);
}

int trace_open_memory(const void *bytes, size_t size, struct trace **out, struct trace_error *error)
{
    return begin(source_memory(bytes, size), out, error);
}

void trace_close(struct trace *t)
{
    if (!t) return;
    source_close(t->source);
    free(t);
}
