/* SPDX-License-Identifier: MIT */
/** @file replay/source.c  See the header. Built without liblzma it refuses compressed files. */
#include "replay/source.h"
#include "replay/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef RMAP_REPLAY_XZ
#include <lzma.h>
#endif

/* `xz -9` needs 65 MiB to unpack. */
#define XZ_MEMORY_MAX ((uint64_t)128 << 20)

struct source {
    int fd; /* -1: memory */
    const unsigned char *bytes;
    size_t left;
#ifdef RMAP_REPLAY_XZ
    bool packed;
    lzma_stream xz;
    lzma_action action;
    unsigned char in[1 << 16];
#endif
};

#ifdef RMAP_REPLAY_XZ
static bool unpack_begin(struct source *s)
{
    s->packed = true;
    s->xz = (lzma_stream)LZMA_STREAM_INIT;
    s->action = LZMA_RUN;
    return lzma_stream_decoder(&s->xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) == LZMA_OK;
}

static const char *unpack_error(lzma_ret ret)
{
    switch (ret) {
    case LZMA_MEM_ERROR:
        return "no memory to unpack it";
    case LZMA_MEMLIMIT_ERROR:
        return "unpacking it would take more than 128 MiB of memory";
    case LZMA_FORMAT_ERROR:
        return "not compressed by xz";
    case LZMA_OPTIONS_ERROR:
        return "compressed in a way that this xz does not know";
    case LZMA_DATA_ERROR:
        return "the compressed data is corrupt";
    case LZMA_BUF_ERROR:
        return "the compressed data is cut short";
    default:
        return "it cannot be unpacked";
    }
}

static long unpack(struct source *s, void *to, size_t room, const char **why)
{
    s->xz.next_out = to;
    s->xz.avail_out = room;
    while (s->xz.avail_out == room) {
        if (!s->xz.avail_in && s->action == LZMA_RUN) {
            const ssize_t n = read(s->fd, s->in, sizeof s->in);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return *why = strerror(errno), -1;
            s->xz.next_in = s->in;
            s->xz.avail_in = (size_t)n;
            if (!n) s->action = LZMA_FINISH;
        }
        const lzma_ret ret = lzma_code(&s->xz, s->action);
        if (ret == LZMA_STREAM_END) break;
        if (ret != LZMA_OK) return *why = unpack_error(ret), -1;
    }
    return (long)(room - s->xz.avail_out);
}
#endif

static bool is_packed(const char *path)
{
    const size_t n = strlen(path);
    return n > 3 && !strcmp(path + n - 3, ".xz");
}

static struct source *give_up(struct source *s)
{
    source_close(s);
    return NULL;
}

struct source *source_open(const char *path, const char **why)
{
    struct source *s = room_for(1, sizeof *s);
    struct stat about;

    /* A pipe could be played once, and would be waited for. */
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0 || fstat(s->fd, &about)) {
        *why = strerror(errno);
        return give_up(s);
    }
    if (!S_ISREG(about.st_mode)) {
        *why = "not a regular file";
        return give_up(s);
    }
    if (is_packed(path)) {
#ifdef RMAP_REPLAY_XZ
        if (!unpack_begin(s)) {
            *why = "no memory to unpack it";
            return give_up(s);
        }
#else
        *why = "this program was built without liblzma: unpack it first (xz -d)";
        return give_up(s);
#endif
    }
    return s;
}

struct source *source_memory(const void *bytes, size_t size)
{
    struct source *s = room_for(1, sizeof *s);
    s->fd = -1;
    s->bytes = bytes;
    s->left = size;
    return s;
}

void source_close(struct source *s)
{
    if (!s) return;
#ifdef RMAP_REPLAY_XZ
    if (s->packed) lzma_end(&s->xz);
#endif
    if (s->fd >= 0) close(s->fd);
    free(s);
}

long source_read(struct source *s, void *to, size_t room, const char **why)
{
    if (s->fd < 0) {
        const size_t n = room < s->left ? room : s->left;
        if (n) memcpy(to, s->bytes, n);
        s->bytes += n;
        s->left -= n;
        return (long)n;
    }
#ifdef RMAP_REPLAY_XZ
    if (s->packed) return unpack(s, to, room, why);
#endif
    for (;;) {
        const ssize_t n = read(s->fd, to, room);
        if (n >= 0) return (long)n;
        if (errno != EINTR) return *why = strerror(errno), -1;
    }
}
