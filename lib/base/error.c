/* SPDX-License-Identifier: MIT */
/** @file base/error.c  Texts and names of the one error table. */
#include <objrmap/error.h>

const char *rmap_strerror(int error)
{
    switch (error) {
    case RMAP_OK:
        return "no error";
#define TEXT(name, number, text)                                                                                       \
    case RMAP_ERR_##name:                                                                                              \
        return text;
        RMAP_ERRORS(TEXT)
#undef TEXT
    default:
        return "unknown error";
    }
}

const char *rmap_error_name(int error)
{
    switch (error) {
    case RMAP_OK:
        return "RMAP_OK";
#define NAME(name, number, text)                                                                                       \
    case RMAP_ERR_##name:                                                                                              \
        return "RMAP_ERR_" #name;
        RMAP_ERRORS(NAME)
#undef NAME
    default:
        return "?";
    }
}
