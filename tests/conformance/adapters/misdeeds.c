/* The bitmap of flat.c, which does DEED in a step that claims 100 pages. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char garbage[64 << 20];

#define MISDEED(f, a, b)                                                                           \
    if (b - a == 100) {                                                                            \
        DEED;                                                                                      \
    }

#include "flat.c"
