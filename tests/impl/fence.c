/* Memory that ends where it was asked to end: the page behind it is not there. For LD_PRELOAD. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

extern void __libc_free(void *);

/* Room for as many blocks as the test asks for; a freed one is not there either. */
static struct { void *at; void *from; size_t size; } blocks[4096];
static size_t used;
size_t fence_blocks(void) { return used; }

int posix_memalign(void **out, size_t alignment, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    char *from;
    (void)alignment;  /* What is read in words needs no more than a word's. */
    if (used == sizeof blocks / sizeof *blocks) return ENOMEM;
    from = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (from == MAP_FAILED) return ENOMEM;
    if (mprotect(from + room, page, PROT_NONE)) return ENOMEM;
    blocks[used].at = *out = from + room - bytes;
    blocks[used].from = from;
    blocks[used++].size = room;
    return 0;
}

void free(void *at) {
    size_t i;
    for (i = used; at && i-- > 0;)
        if (blocks[i].at == at) {
            (void)mprotect(blocks[i].from, blocks[i].size, PROT_NONE);
            blocks[i].at = NULL;
            return;
        }
    __libc_free(at);
}
