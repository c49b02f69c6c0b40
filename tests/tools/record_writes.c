/* Records what a process does to the files below one folder: writes, cuts, syncs, new names, lost names.
 *
 * Preloaded with LD_PRELOAD. RECORD_BELOW names the folder, RECORD_TO the file that gets one record a deed:
 *   kind (1 byte), offset (8), length of the path (4), length of the data (4), the path, the data.
 * Whoever reads it can say what would be on the disk had the power failed at any instant in between. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { FILES = 4096 };
static char *names[FILES]; /* what each open file is called; NULL where it is none of ours */
static char below[PATH_MAX];
static size_t below_len;
static int record = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, ...) \
    static type (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("RECORD_BELOW"), *to = getenv("RECORD_TO");
    if (!folder || !to) return;
    strncpy(below, folder, sizeof below - 1);
    below_len = strlen(below);
    record = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *data, size_t size) {
    const char *next = data;
    while (size) {
        ssize_t done = syscall(SYS_write, record, next, size);
        if (done <= 0) abort(); /* a record with a hole would prove nothing */
        next += done;
        size -= (size_t)done;
    }
}

/* Called with the turn taken, after the deed, so that the order of the records is the order of the deeds. */
static void note(char kind, uint64_t offset, const char *path, const void *data, size_t size) {
    uint32_t path_len = (uint32_t)strlen(path), data_len = (uint32_t)size;
    put(&kind, 1), put(&offset, 8), put(&path_len, 4), put(&data_len, 4);
    put(path, path_len), put(data, size);
}

static char *whole(int folder, const char *path, char *into) {
    if (record < 0) return NULL;
    if (path[0] == '/') strncpy(into, path, PATH_MAX - 1);
    else {
        if (folder != AT_FDCWD || !getcwd(into, PATH_MAX - 1)) return NULL;
        size_t used = strlen(into);
        if (used + strlen(path) + 2 > PATH_MAX) return NULL;
        into[used] = '/';
        strcpy(into + used + 1, path);
    }
    return strncmp(into, below, below_len) ? NULL : into;
}

static const char *name_of(int file) { return record >= 0 && file >= 0 && file < FILES ? names[file] : NULL; }

static int opened(int file, int folder, const char *path, int flags, int existed) {
    char room[PATH_MAX] = {0}, *name = file < 0 || file >= FILES ? NULL : whole(folder, path, room);
    if (!name) return file;
    free(names[file]);
    names[file] = strdup(name);
    if ((flags & O_CREAT) && !existed) note('c', 0, name, "", 0);
    if ((flags & O_TRUNC) && existed) note('t', 0, name, "", 0);
    return file;
}

#define OPEN(name, folder, call, ...) \
    int name(__VA_ARGS__, int flags, ...) { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        pthread_mutex_lock(&turn); \
        int existed = faccessat(folder, path, F_OK, 0) == 0; \
        int file = (int)syscall(SYS_openat, folder, path, flags, mode), wrong = errno; \
        opened(file, folder, path, flags, existed); \
        pthread_mutex_unlock(&turn); \
        errno = wrong; \
        return file; \
    }
OPEN(open, AT_FDCWD, open, const char *path)
OPEN(open64, AT_FDCWD, open, const char *path)
OPEN(openat, at, openat, int at, const char *path)
OPEN(openat64, at, openat, int at, const char *path)

int close(int file) {
    REAL(int, close, int);
    pthread_mutex_lock(&turn);
    if (name_of(file)) free(names[file]), names[file] = NULL;
    int done = real_close(file);
    pthread_mutex_unlock(&turn);
    return done;
}

#define DEED(type, kind, offset, data, size, call) \
    pthread_mutex_lock(&turn); \
    type done = call; \
    int wrong = errno; \
    if (done >= 0 && name_of(file)) note(kind, (uint64_t)(offset), name_of(file), data, (size_t)(size)); \
    pthread_mutex_unlock(&turn); \
    errno = wrong; \
    return done

ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    DEED(ssize_t, 'w', at, data, done, real_pwrite(file, data, size, at));
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    DEED(ssize_t, 'w', at, data, done, real_pwrite64(file, data, size, at));
}
ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    DEED(ssize_t, 'w', lseek(file, 0, SEEK_CUR) - done, data, done, real_write(file, data, size));
}
int ftruncate(int file, off_t size) {
    REAL(int, ftruncate, int, off_t);
    DEED(int, 't', size, "", 0, real_ftruncate(file, size));
}
int ftruncate64(int file, off64_t size) {
    REAL(int, ftruncate64, int, off64_t);
    DEED(int, 't', size, "", 0, real_ftruncate64(file, size));
}
int fsync(int file) {
    REAL(int, fsync, int);
    DEED(int, 's', 0, "", 0, real_fsync(file));
}
int fdatasync(int file) {
    REAL(int, fdatasync, int);
    DEED(int, 's', 0, "", 0, real_fdatasync(file));
}
int unlink(const char *path) {
    REAL(int, unlink, const char *);
    char room[PATH_MAX] = {0}, *name = whole(AT_FDCWD, path, room);
    pthread_mutex_lock(&turn);
    int done = real_unlink(path), wrong = errno;
    if (done == 0 && name) note('u', 0, name, "", 0);
    pthread_mutex_unlock(&turn);
    errno = wrong;
    return done;
}
int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    char old[PATH_MAX] = {0}, new[PATH_MAX] = {0}, *was = whole(AT_FDCWD, from, old), *is = whole(AT_FDCWD, to, new);
    pthread_mutex_lock(&turn);
    int done = real_rename(from, to), wrong = errno;
    if (done == 0 && was && is) note('r', 0, was, is, strlen(is));
    pthread_mutex_unlock(&turn);
    errno = wrong;
    return done;
}
