/* SPDX-License-Identifier: MIT */
/*
 * image.h - the database that is branched, as a private file: either a copy
 * of the user's, once it has proved harmless, or one built from the text
 * that every Debian machine has.
 */
#ifndef EXAMPLES_SQLITE_IMAGE_H
#define EXAMPLES_SQLITE_IMAGE_H

#include "schema.h"

#include <stddef.h>

struct image {
    const char *path; /* the private file */
    size_t bytes;
    bool was_wal; /* the user's file is in WAL mode, which the copy is not */
    struct schema schema;
};

#define IMAGE_WHY_BYTES 4608 /* a path and a sentence */

/*
 * Copies and checks the user's file, which is only read.  False with the
 * reason in `why`, IMAGE_WHY_BYTES long, if anything is wrong with it; then
 * there is nothing to give back.
 */
bool image_try(struct image *image, const char *user_path, char *why);

/* The same; anything wrong is one line on stderr and EXIT_BAD_INPUT. */
void image_adopt(struct image *image, const char *user_path);

/* Builds at least `bytes` of database; the same on every run of one machine. */
void image_build(struct image *image, size_t bytes);

/* False with errno; the file `to` is replaced. */
bool image_copy(const char *from, const char *to);

void image_fini(struct image *image);

#endif
