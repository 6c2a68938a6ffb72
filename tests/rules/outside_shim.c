/* Writes down what a process does beyond its own machine and its own files: preloaded into a program under test.
 *
 * FLOWER_OUTSIDE_LOG: a file that gets a line each for
 *   name N       a name that was looked up (numbers are not looked up)
 *   connect A    a connection or datagram to an address that is not loopback
 *   file P       a file or folder that was made or opened for writing
 * Nothing is changed: calls go on as they were made.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void note(const char *what, const char *which) {
    const char *log = getenv("FLOWER_OUTSIDE_LOG");
    char line[PATH_MAX + 32];
    if (!log) return;
    int length = snprintf(line, sizeof line, "%s %s\n", what, which);
    int out = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (out < 0) return;
    syscall(SYS_write, out, line, length);
    syscall(SYS_close, out);
}

static void note_path(int folder, const char *path) {
    char link[64], whole[2 * PATH_MAX];
    if (path[0] == '/') {
        note("file", path);
        return;
    }
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, PATH_MAX - 1);
    snprintf(whole + (length < 0 ? 0 : length), PATH_MAX, "/%s", path);
    note("file", whole);
}

static void note_address(const struct sockaddr *address) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (!address) return;
    if (address->sa_family == AF_INET) {
        const struct in_addr *in = &((const struct sockaddr_in *)address)->sin_addr;
        if (ntohl(in->s_addr) >> 24 == 127) return;
        inet_ntop(AF_INET, in, text, sizeof text);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *in = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_LOOPBACK(in)) return;
        inet_ntop(AF_INET6, in, text, sizeof text);
    } else {
        return;
    }
    note("connect", text);
}

/* --- names ------------------------------------------------------------------------------------------- */

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    unsigned char number[sizeof(struct in6_addr)];
    if (name && inet_pton(AF_INET, name, number) != 1 && inet_pton(AF_INET6, name, number) != 1) note("name", name);
    return NEXT(getaddrinfo)(name, service, hints, found);
}

struct hostent *gethostbyname(const char *name) {
    note("name", name);
    return NEXT(gethostbyname)(name);
}

/* --- connections --------------------------------------------------------------------------------------- */

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    note_address(address);
    return NEXT(connect)(fd, address, length);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length) {
    note_address(address);
    return NEXT(sendto)(fd, data, size, flags, address, length);
}

/* --- files --------------------------------------------------------------------------------------------- */

#define WRITING(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT))

#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...) {                       \
        va_list rest;                                                  \
        va_start(rest, flags);                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                  \
        if (WRITING(flags)) note_path(AT_FDCWD, path);                 \
        return NEXT(name)(path, flags, mode);                          \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                   \
    int name(int folder, const char *path, int flags, ...) {           \
        va_list rest;                                                  \
        va_start(rest, flags);                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                  \
        if (WRITING(flags)) note_path(folder, path);                   \
        return NEXT(name)(folder, path, flags, mode);                  \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                    \
    FILE *name(const char *path, const char *mode) {                   \
        if (strpbrk(mode, "wa+")) note_path(AT_FDCWD, path);           \
        return NEXT(name)(path, mode);                                 \
    }
FOPEN(fopen)
FOPEN(fopen64)

int mkdir(const char *path, mode_t mode) {
    note_path(AT_FDCWD, path);
    return NEXT(mkdir)(path, mode);
}
