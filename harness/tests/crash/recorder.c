// Writes down what a process changes below CRASH_ROOT, in order, into CRASH_LOG, and makes call number CRASH_FAIL fail with
// CRASH_ERRNO. Preloaded into the processes that the test starts. One call at a time is carried out, so that the order in
// the log is the order in which it happened.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static long calls;

static const char *root(void) {
    static const char *value;
    static int asked;
    if (!asked) {
        value = getenv("CRASH_ROOT");
        asked = 1;
    }
    return value;
}

static int is_below(const char *path) {
    const char *top = root();
    size_t length = top ? strlen(top) : 0;
    return length && strncmp(path, top, length) == 0 && (path[length] == '/' || path[length] == 0);
}

// The absolute path that a call means, or nothing where it is not below the root.
static int meant(int folder, const char *path, char *out) {
    if (!root()) return 0;
    if (path[0] == '/') {
        snprintf(out, 4096, "%s", path);
    } else {
        char link[64], base[4096];
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length < 0) return 0;
            base[length] = 0;
        }
        if (snprintf(out, 4096, "%s/%s", base, path) >= 4096) return 0;
    }
    return is_below(out);
}

// The same for an open file.
static int open_path(int file, char *out) {
    char link[64];
    if (!root()) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, out, 4095);
    if (length < 0) return 0;
    out[length] = 0;
    return is_below(out);
}

static unsigned long inode(int file) {
    struct stat found;
    return fstat(file, &found) == 0 ? found.st_ino : 0;
}

static unsigned long inode_at(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0 ? found.st_ino : 0;
}

static int log_file(void) {
    static int file = -2;
    if (file == -2) {
        const char *path = getenv("CRASH_LOG");
        file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    }
    return file;
}

static void note(const char *text, const void *bytes, size_t count) {
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(text);
    char *line = malloc(length + 2 * count + 2);
    if (!line) return;
    memcpy(line, text, length);
    for (size_t at = 0; at < count; at++) {
        unsigned char byte = ((const unsigned char *)bytes)[at];
        line[length++] = digits[byte >> 4];
        line[length++] = digits[byte & 15];
    }
    line[length++] = '\n';
    (void)!syscall(SYS_write, log_file(), line, length);
    free(line);
}

// Is it the turn of this call to fail? Then errno says how.
static int fails(const char *what) {
    const char *at = getenv("CRASH_FAIL"), *how = getenv("CRASH_ERRNO");
    calls++;
    if (at && how && calls == atol(at)) {
        errno = atoi(how);
        char text[64];
        snprintf(text, sizeof text, "failed\t%s\t", what);
        note(text, "", 0);
        return 1;
    }
    return 0;
}

#define BEGIN pthread_mutex_lock(&one_at_a_time)
#define END(result)                               \
    do {                                          \
        __typeof__(result) kept = (result);       \
        int error = errno;                        \
        pthread_mutex_unlock(&one_at_a_time);     \
        errno = error;                            \
        return kept;                              \
    } while (0)

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char full[4096], text[8300];
    int changes = flags & (O_CREAT | O_TRUNC);
    if (!changes || !meant(folder, path, full)) return (int)syscall(SYS_openat, folder, path, flags, mode);
    BEGIN;
    if (fails("open")) END(-1);
    unsigned long before = inode_at(full);
    int file = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (file >= 0) {
        if (!before) {
            snprintf(text, sizeof text, "create\t%lu\t%s\t", inode(file), full);
            note(text, "", 0);
        } else if (flags & O_TRUNC) {
            snprintf(text, sizeof text, "truncate\t%lu\t0\t", inode(file));
            note(text, "", 0);
        }
    }
    END(file);
}

#define MODE(flags, last)                            \
    mode_t mode = 0;                                 \
    if ((flags) & (O_CREAT | O_TMPFILE)) {           \
        va_list list;                                \
        va_start(list, last);                        \
        mode = va_arg(list, mode_t);                 \
        va_end(list);                                \
    }

int open(const char *path, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags, flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags, flags) return opened(folder, path, flags, mode); }

static void wrote(int file, long long offset, const void *bytes, ssize_t count) {
    char text[80];
    if (count <= 0) return;
    snprintf(text, sizeof text, "write\t%lu\t%lld\t", inode(file), offset);
    note(text, bytes, (size_t)count);
}

ssize_t write(int file, const void *bytes, size_t count) {
    char path[4096];
    if (!open_path(file, path)) return syscall(SYS_write, file, bytes, count);
    BEGIN;
    if (fails("write")) END((ssize_t)-1);
    int appends = fcntl(file, F_GETFL) & O_APPEND;
    long long offset = lseek(file, 0, appends ? SEEK_END : SEEK_CUR);
    ssize_t done = syscall(SYS_write, file, bytes, count);
    wrote(file, offset, bytes, done);
    END(done);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    char path[4096];
    if (!open_path(file, path)) return syscall(SYS_writev, file, parts, count);
    return count > 0 ? write(file, parts[0].iov_base, parts[0].iov_len) : 0;
}

static ssize_t written_at(int file, const void *bytes, size_t count, off_t offset) {
    char path[4096];
    if (!open_path(file, path)) return syscall(SYS_pwrite64, file, bytes, count, offset);
    BEGIN;
    if (fails("write")) END((ssize_t)-1);
    ssize_t done = syscall(SYS_pwrite64, file, bytes, count, offset);
    wrote(file, offset, bytes, done);
    END(done);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) { return written_at(file, bytes, count, offset); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off_t offset) { return written_at(file, bytes, count, offset); }

// Copies inside the kernel are made by reading and writing instead, which can be seen.
ssize_t copy_file_range(int from, off_t *at, int to, off_t *there, size_t count, unsigned flags) {
    (void)from, (void)at, (void)to, (void)there, (void)count, (void)flags;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile(int to, int from, off_t *at, size_t count) {
    (void)to, (void)from, (void)at, (void)count;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int to, int from, off_t *at, size_t count) { return sendfile(to, from, at, count); }

static int cut(int file, off_t length) {
    char path[4096], text[80];
    if (!open_path(file, path)) return (int)syscall(SYS_ftruncate, file, length);
    BEGIN;
    if (fails("truncate")) END(-1);
    int done = (int)syscall(SYS_ftruncate, file, length);
    if (done == 0) {
        snprintf(text, sizeof text, "truncate\t%lu\t%lld\t", inode(file), (long long)length);
        note(text, "", 0);
    }
    END(done);
}

int ftruncate(int file, off_t length) { return cut(file, length); }
int ftruncate64(int file, off_t length) { return cut(file, length); }

static int flushed(int file, long call) {
    char path[4096], text[4300];
    if (!open_path(file, path)) return (int)syscall(call, file);
    BEGIN;
    if (fails("flush")) END(-1);
    int done = (int)syscall(call, file);
    if (done == 0) {
        struct stat found;
        if (fstat(file, &found) == 0 && S_ISDIR(found.st_mode)) {
            snprintf(text, sizeof text, "folder\t0\t%s\t", path);
        } else {
            snprintf(text, sizeof text, "flush\t%lu\t", inode(file));
        }
        note(text, "", 0);
    }
    END(done);
}

int fsync(int file) { return flushed(file, SYS_fsync); }
int fdatasync(int file) { return flushed(file, SYS_fdatasync); }

static int two_names(const char *what, int from_folder, const char *from, int to_folder, const char *to, unsigned flags, long call) {
    char full_from[4096], full_to[4096], text[8300];
    int below = meant(to_folder, to, full_to), from_below = meant(from_folder, from, full_from);
    if (!below && !from_below) return (int)syscall(call, from_folder, from, to_folder, to, flags);
    BEGIN;
    if (fails(what)) END(-1);
    unsigned long number = inode_at(full_from);
    int done = (int)syscall(call, from_folder, from, to_folder, to, flags);
    if (done == 0) {
        snprintf(text, sizeof text, "%s\t%lu\t%s\t%s\t", what, number, full_from, full_to);
        note(text, "", 0);
    }
    END(done);
}

int rename(const char *from, const char *to) { return two_names("rename", AT_FDCWD, from, AT_FDCWD, to, 0, SYS_renameat2); }
int renameat(int a, const char *from, int b, const char *to) { return two_names("rename", a, from, b, to, 0, SYS_renameat2); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return two_names("rename", a, from, b, to, flags, SYS_renameat2); }
int link(const char *from, const char *to) { return two_names("link", AT_FDCWD, from, AT_FDCWD, to, 0, SYS_linkat); }
int linkat(int a, const char *from, int b, const char *to, int flags) { return two_names("link", a, from, b, to, (unsigned)flags, SYS_linkat); }

static int one_name(const char *what, int folder, const char *path, long argument, long call) {
    char full[4096], text[4300];
    if (!meant(folder, path, full)) return (int)syscall(call, folder, path, argument);
    BEGIN;
    if (fails(what)) END(-1);
    int done = (int)syscall(call, folder, path, argument);
    if (done == 0) {
        snprintf(text, sizeof text, "%s\t0\t%s\t", what, full);
        note(text, "", 0);
    }
    END(done);
}

int unlink(const char *path) { return one_name("remove", AT_FDCWD, path, 0, SYS_unlinkat); }
int unlinkat(int folder, const char *path, int flags) { return one_name("remove", folder, path, flags, SYS_unlinkat); }
int mkdir(const char *path, mode_t mode) { return one_name("mkdir", AT_FDCWD, path, (long)mode, SYS_mkdirat); }
int mkdirat(int folder, const char *path, mode_t mode) { return one_name("mkdir", folder, path, (long)mode, SYS_mkdirat); }
