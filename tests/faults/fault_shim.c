/* Makes a disk fail on demand: preloaded into an engine under test.
 *
 * FLOWER_FAULT_MATCH: part of the path of the files that are on the failing disk.
 * FLOWER_FAULT_FILE: what to do now. Empty or missing: nothing. Else a letter
 *   N writes fail with ENOSPC        W writes fail with EIO
 *   S fsync fails with EIO           R writes fail with EROFS
 *   H writes stop half way, the rest with ENOSPC
 * and optionally @k: only the k-th such call from now on, and only once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;
static char current[32];

static int on_failing_disk(int fd) {
    const char *match = getenv("FLOWER_FAULT_MATCH");
    char link[64], path[4096];
    if (!match) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, match) != NULL;
}

/* Returns the letter that applies to this call, 0 for none. */
static char wanted(int fd, const char *letters) {
    const char *name = getenv("FLOWER_FAULT_FILE");
    char order[32] = {0};
    if (!name || !on_failing_disk(fd)) return 0;
    int control = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
    if (control < 0) return 0;
    ssize_t length = syscall(SYS_read, control, order, sizeof order - 1);
    syscall(SYS_close, control);
    if (length <= 0 || !strchr(letters, order[0])) return 0;
    if (strcmp(order, current)) { /* a new order starts counting anew */
        strcpy(current, order);
        atomic_store(&calls, 0);
    }
    char *at = strchr(order, '@');
    if (at && atomic_fetch_add(&calls, 1) + 1 != atol(at + 1)) return 0;
    return order[0];
}

static int code(char letter) {
    return letter == 'R' ? EROFS : letter == 'W' || letter == 'S' ? EIO : ENOSPC;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    char letter = wanted(fd, "NWRH");
    if (letter == 'H' && size > 1) return NEXT(pwrite64)(fd, data, size / 2, offset);
    if (letter) { errno = code(letter); return -1; }
    return NEXT(pwrite64)(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return pwrite64(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size) {
    char letter = wanted(fd, "NWRH");
    if (letter) { errno = code(letter); return -1; }
    return NEXT(write)(fd, data, size);
}

int fsync(int fd) {
    if (wanted(fd, "S")) { errno = EIO; return -1; }
    return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
    if (wanted(fd, "S")) { errno = EIO; return -1; }
    return NEXT(fdatasync)(fd);
}
