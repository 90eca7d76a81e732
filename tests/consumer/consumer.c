/* SPDX-License-Identifier: MIT */
/* A program of somebody else's, C and C++ alike: uses what was installed, of every tier that can be had without a world. */
#include <objrmap.h>

#include <stdio.h>
#include <string.h>

static int failed(const char *what, int error)
{
    fprintf(stderr, "%s: %s (%s)\n", what, rmap_error_name(error), rmap_strerror(error));
    return 1;
}

int main(void)
{
    struct rmap_radix_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.geometry = &rmap_radix_x86_64; /* a data symbol of the library */
    options.caps = RMAP_MMU_NO_TLB;

    struct rmap_mmu mmu;
    int error = rmap_radix_create(&options, &mmu);
    if (error) return failed("rmap_radix_create", error);
    if (rmap_radix_peek(&mmu, 5) != 0) return failed("rmap_radix_peek", 0);
    rmap_radix_destroy(&mmu);

    struct rmap_device *device;
    error = rmap_device_lz4_create(rmap_alloc_default(), 16, 12, 0, &device);
    if (error && error != RMAP_ERR_UNSUPPORTED) return failed("rmap_device_lz4_create", error);
    if (!error) rmap_device_destroy(device);

    error = rmap_create(NULL, NULL);
    if (error != RMAP_ERR_NULL_ARG) return failed("rmap_create without arguments", error);
    return 0;
}
