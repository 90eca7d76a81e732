/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/program.c  Programs as text. One table says how each kind of step is written, for the printer and the reader:
 *
 *     s space   o another one   r first+count   t to+new   n new count   p protection   f, c flags   v value   x count alone
 */
#include "oracle/program.h"

#include <objrmap/types.h>
#include <string.h>

static const struct {
    const char *name, *form;
} kinds[STEP_KINDS] = {
    [STEP_START] = {"start", "s"},       [STEP_FORK] = {"fork", "so"},         [STEP_EXIT] = {"exit", "s"},
    [STEP_EXEC] = {"exec", "s"},         [STEP_MAP] = {"map", "srpf"},         [STEP_UNMAP] = {"unmap", "sr"},
    [STEP_PROTECT] = {"protect", "srp"}, [STEP_DONTNEED] = {"dontneed", "sr"}, [STEP_WRITE] = {"write", "srv"},
    [STEP_READ] = {"read", "srv"},       [STEP_MOVE] = {"move", "srt"},        [STEP_KEEP] = {"keep", "srt"},
    [STEP_RESIZE] = {"resize", "srn"},   [STEP_GROW] = {"grow", "srt"},        [STEP_POLICY] = {"policy", "sc"},
    [STEP_RECLAIM] = {"reclaim", "v"},   [STEP_VACATE] = {"vacate", "r"},
};
static const char *const mmus[MMU_KINDS] = {"soft", "x86-64", "sv39", "sv48", "aarch64", "host"};
static const char *const swaps[SWAP_KINDS] = {"none", "file", "lz4"};
static const char *const policies[] = {"copy", "track"};
static const char *const places[] = {"over", "new", "any"};
static const char *const prots[] = {"none", "r", "w", "rw"};

/* ---- out ---- */

void step_print(const struct step *s, char *text, size_t bytes)
{
    size_t at = (size_t)snprintf(text, bytes, "%s", kinds[s->kind].name);
#define PUT(...) at += (size_t)snprintf(text + at, bytes - at, __VA_ARGS__)
    for (const char *f = kinds[s->kind].form; *f && at < bytes; f++) {
        switch (*f) {
        case 's':
            PUT(" s%u", s->space);
            break;
        case 'o':
            PUT(" s%u", s->other);
            break;
        case 'r':
            PUT(" %u+%u", s->first, s->count);
            break;
        case 't':
            PUT(" %u+%u", s->to, s->new_count);
            break;
        case 'n':
            PUT(" %u", s->new_count);
            break;
        case 'p':
            PUT(" %s", prots[s->prot & 3]);
            break;
        case 'f':
            PUT(" %s", places[s->flag % 3]);
            break;
        case 'c':
            PUT(" %s", policies[s->flag != 0]);
            break;
        default:
            PUT(" %u", s->value);
        }
    }
#undef PUT
}

void program_print(const struct program *p, FILE *to)
{
    const struct world *w = &p->world;
    fprintf(to, "world %s %s %s %u %u\n", policies[w->track != 0], mmus[w->mmu], swaps[w->swap], w->frames, w->batch);
    for (size_t i = 0; i < p->count; i++) {
        char text[96];
        step_print(&p->step[i], text, sizeof text);
        fprintf(to, "%s\n", text);
    }
}

/* ---- in ---- */

static bool read_name(const char *word, const char *const *names, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, names[i])) continue;
        *out = (uint8_t)i;
        return true;
    }
    return false;
}

static bool read_space(const char *word, uint8_t *out)
{
    unsigned n;
    char end;
    if (sscanf(word, "s%u%c", &n, &end) != 1 || n >= SPACES) return false;
    *out = (uint8_t)n;
    return true;
}

static bool read_number(const char *word, uint32_t most, uint32_t *out)
{
    unsigned n;
    char end;
    if (word[0] < '0' || word[0] > '9' || sscanf(word, "%u%c", &n, &end) != 1 || n > most) return false;
    *out = n;
    return true;
}

/* `limit`: what may not be exceeded by the range's end. */
static bool read_range(const char *word, unsigned limit, uint8_t *first, uint8_t *count)
{
    unsigned a, n;
    char end;
    if (sscanf(word, "%u+%u%c", &a, &n, &end) != 2 || !n || a >= limit || n > limit - a) return false;
    *first = (uint8_t)a;
    *count = (uint8_t)n;
    return true;
}

static bool read_field(struct step *s, char form, const char *word)
{
    uint32_t n = 0;
    switch (form) {
    case 's':
        return read_space(word, &s->space);
    case 'o':
        return read_space(word, &s->other);
    case 'r':
        return read_range(word, s->kind == STEP_VACATE ? 255 : PAGES, &s->first, &s->count);
    case 't':
        return read_range(word, PAGES, &s->to, &s->new_count);
    case 'n':
        if (!read_number(word, PAGES - s->first, &n) || !n) return false;
        s->new_count = (uint8_t)n;
        return true;
    case 'p':
        return read_name(word, prots, 4, &s->prot) && s->prot != RMAP_WRITE;
    case 'f':
        return read_name(word, places, 3, &s->flag);
    case 'c':
        return read_name(word, policies, 2, &s->flag);
    default:
        return read_number(word, UINT32_MAX / 128, &s->value);
    }
}

enum step_kind step_kind_named(const char *name)
{
    unsigned kind = 0;
    while (kind < STEP_KINDS && strcmp(name, kinds[kind].name)) kind++;
    return (enum step_kind)kind;
}

static bool read_step(struct step *s, char *line)
{
    char *rest, *word = strtok_r(line, " \t\n", &rest);
    *s = (struct step){.kind = (uint8_t)step_kind_named(word)};
    if (s->kind == STEP_KINDS) return false;
    for (const char *f = kinds[s->kind].form; *f; f++)
        if (!(word = strtok_r(NULL, " \t\n", &rest)) || !read_field(s, *f, word)) return false;
    return !strtok_r(NULL, " \t\n", &rest);
}

static bool read_world(struct world *w, const char *line)
{
    char policy[16], mmu[16], swap[16], end;
    *w = (struct world){0};
    if (sscanf(line, "world %15s %15s %15s %u %u %c", policy, mmu, swap, &w->frames, &w->batch, &end) != 5)
        return false;
    return read_name(policy, policies, 2, &w->track) && read_name(mmu, mmus, MMU_KINDS, &w->mmu) &&
           read_name(swap, swaps, SWAP_KINDS, &w->swap) && w->frames >= 16 && w->frames <= 100000 && w->batch <= 256;
}

unsigned program_read(struct program *p, FILE *from)
{
    char line[256];
    unsigned number = 0;
    bool world = false;
    p->count = 0;
    while (fgets(line, sizeof line, from)) {
        number++;
        if (line[strspn(line, " \t\n")] == 0 || line[0] == '#') continue;
        if (!world) {
            if (!read_world(&p->world, line)) return number;
            world = true;
        } else if (p->count == STEPS_MAX || !read_step(&p->step[p->count], line)) {
            return number;
        } else {
            p->count++;
        }
    }
    return world ? 0 : number + 1;
}
