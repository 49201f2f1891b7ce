/* SPDX-License-Identifier: Apache-2.0 */
/* tidy.c - malloc_trim, and madvise on what the files behind the process are mapped to. */
#include "reactor/tidy.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

void reactor_tidy_init(void)
{
#ifdef __GLIBC__
    /* Fixed, or they grow with the largest piece that was ever freed; one heap is enough for one thread. */
    mallopt(M_MMAP_THRESHOLD, REACTOR_TIDY_MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, REACTOR_TIDY_MMAP_BYTES);
    mallopt(M_ARENA_MAX, 1);
#endif
}

/* Segments that nobody may write have nothing but what the file has. */
static int drop_pages(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t to = (info->dlpi_addr + p->p_vaddr + p->p_memsz) & ~(page - 1);

        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) && to > from)
            madvise((void *)from, to - from, MADV_DONTNEED); /* fails: they stay, no harm */
    }
    return 0;
}

bool reactor_tidy(uint64_t work, uint64_t *last)
{
    if (work - *last < REACTOR_TIDY_WORK)
        return false;
    *last = work;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    dl_iterate_phdr(drop_pages, NULL);
    return true;
}
