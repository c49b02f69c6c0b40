/* Counts the fsync and fdatasync calls of a process, and can make each of them slow.
 *
 * Preloaded with LD_PRELOAD. COUNT_FSYNCS names a file that holds one 64-bit count, mapped shared, so that a parent
 * can read it while its child runs. COUNT_FSYNCS_SLEEP_US, where given, is slept in each call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *count;
static useconds_t pause_us;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *pause = getenv("COUNT_FSYNCS_SLEEP_US");
    pause_us = pause ? (useconds_t)atoi(pause) : 0;
    const char *path = getenv("COUNT_FSYNCS");
    if (!path) return;
    int file = open(path, O_RDWR);
    if (file < 0) return;
    void *map = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) count = map;
    close(file);
}

static void note(void) {
    if (count) atomic_fetch_add(count, 1);
    if (pause_us) usleep(pause_us);
}

int fsync(int file) {
    note();
    return real_fsync(file);
}

int fdatasync(int file) {
    note();
    return real_fdatasync(file);
}
