/* SPDX-License-Identifier: MIT */
/** @file fault/documented.c  See the header. */
#include "fault/documented.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t codes;
} table[] = {
#include "documented_table.h"
};

uint32_t documented_codes(const char *names)
{
    uint32_t codes = 0;
    for (const char *at = names; *at;) {
        const size_t length = strcspn(at, " ");
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
            if (strlen(table[i].name) == length && !memcmp(table[i].name, at, length)) codes |= table[i].codes;
        at += length + (at[length] == ' ');
    }
    return codes;
}
