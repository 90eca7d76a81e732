/* SPDX-License-Identifier: MIT */
/**
 * @file fault/gates_system.c  Gates before the system calls of the host MMU, frame memory and file devices. The library calls
 * the names that go with 64-bit file offsets where there are such names, and the plain ones elsewhere: both are wrapped.
 */
#include "fault/gates.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#undef MAP_FAILED
#define MAP_FAILED ((void *)-1)
#define MAP_FIXED_BIT 0x10

static struct gate_balance balance;

struct gate_balance gate_balance(void)
{
    return balance;
}

static bool refuse(enum fault_kind kind, int error)
{
    if (!fault_now(kind)) return false;
    errno = error;
    return true;
}

static int opened(int fd)
{
    balance.files += fd >= 0;
    return fd;
}

static void *mapped(void *at, size_t length, int flags)
{
    if (at != MAP_FAILED && !(flags & MAP_FIXED_BIT)) balance.bytes += (int64_t)length;
    return at;
}

/* GATE(name, result, (parameters), (arguments), what the gate does): name and name64 */
#define GATE_ONE(name, result, parameters, arguments, body)                                                            \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        body(__real_##name arguments)                                                                                  \
    }
#define GATE(name, result, parameters, arguments, body)                                                                \
    GATE_ONE(name, result, parameters, arguments, body)                                                                \
    GATE_ONE(name##64, result, parameters, arguments, body)

#define MMAP_BODY(call) return refuse(FAULT_MMAP, ENOMEM) ? MAP_FAILED : mapped(call, length, flags);
GATE(mmap, void *, (void *at, size_t length, int prot, int flags, int fd, off_t offset),
     (at, length, prot, flags, fd, offset), MMAP_BODY)

#define MPROTECT_BODY(call) return refuse(FAULT_MPROTECT, ENOMEM) ? -1 : call;
GATE_ONE(mprotect, int, (void *at, size_t length, int prot), (at, length, prot), MPROTECT_BODY)

#define MUNMAP_BODY(call)                                                                                              \
    if (refuse(FAULT_MUNMAP, ENOMEM)) return -1;                                                                       \
    balance.bytes -= (int64_t)length;                                                                                  \
    return call;
GATE_ONE(munmap, int, (void *at, size_t length), (at, length), MUNMAP_BODY)

#define OPEN_BODY(call) return refuse(FAULT_FILES, EMFILE) ? -1 : opened(call);
GATE_ONE(memfd_create, int, (const char *name, unsigned flags), (name, flags), OPEN_BODY)
GATE(mkostemp, int, (char *path, int flags), (path, flags), OPEN_BODY)
/* The last argument is a variable one; where none was given, what is read and passed on is ignored. */
#define OPEN_MODE_BODY(call)                                                                                           \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    const unsigned mode = va_arg(rest, unsigned);                                                                      \
    va_end(rest);                                                                                                      \
    OPEN_BODY(call)
GATE(open, int, (const char *path, int flags, ...), (path, flags, mode), OPEN_MODE_BODY)

#define CLOSE_BODY(call)                                                                                               \
    balance.files--;                                                                                                   \
    return call;
GATE_ONE(close, int, (int fd), (fd), CLOSE_BODY)

#define FILE_BODY(call) return refuse(FAULT_FILES, EIO) ? -1 : call;
GATE(ftruncate, int, (int fd, off_t length), (fd, length), FILE_BODY)
GATE(fstat, int, (int fd, struct stat *out), (fd, out), FILE_BODY)
#define FCNTL_BODY(call)                                                                                               \
    va_list rest;                                                                                                      \
    va_start(rest, command);                                                                                           \
    const long argument = va_arg(rest, long);                                                                          \
    va_end(rest);                                                                                                      \
    FILE_BODY(call)
GATE(fcntl, int, (int fd, int command, ...), (fd, command, argument), FCNTL_BODY)

#define PWRITE_BODY(call) return refuse(FAULT_PWRITE, EIO) ? -1 : call;
GATE(pwritev, ssize_t, (int fd, const struct iovec *iov, int n, off_t offset), (fd, iov, n, offset), PWRITE_BODY)
#define PREAD_BODY(call) return refuse(FAULT_PREAD, EIO) ? -1 : call;
GATE(preadv, ssize_t, (int fd, const struct iovec *iov, int n, off_t offset), (fd, iov, n, offset), PREAD_BODY)
