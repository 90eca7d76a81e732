/* SPDX-License-Identifier: MIT */
/* Loads libobjrmap-jemalloc at run time, as a host of plug-ins would. argv[1]: the library. */
#include <objrmap/alloc.h>

#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library) {
        fprintf(stderr, "%s\n", argc > 1 ? dlerror() : "no library named");
        return 1;
    }
    int (*init)(struct rmap_allocator *) = (int (*)(struct rmap_allocator *))dlsym(library, "rmap_alloc_jemalloc_init");
    struct rmap_allocator a;
    if (!init || init(&a) != 0) return 2;
    void *p = a.alloc(a.ctx, 100, 16);
    if (!p) return 3;
    a.free(a.ctx, p, 100, 16);
    return 0;
}
