/* What a shared library adds to a dump (dump kind `callback:LIBRARY`, docs/formats/dump-kinds.md).
 *
 * The library exports `lastwords_dump_callback`. It is loaded and called while the process of which
 * a dump is made stands still, never in that process: in a child of the monitor, which is ended
 * after the time that is left for it, two seconds at most. Whatever it has added by then is in the
 * dump. It may crash, hang and leak; it may not count on anything of the process but its memory,
 * which it reads by `read_memory`.
 */
#ifndef LASTWORDS_DUMP_CALLBACK_H
#define LASTWORDS_DUMP_CALLBACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LASTWORDS_DUMP_CALLBACK_VERSION 1u

/* What the monitor offers. Functions answer 0, or an errno; `context` is their first argument. */
struct lastwords_dump {
    uint32_t version; /* LASTWORDS_DUMP_CALLBACK_VERSION; later ones only append fields */
    uint32_t size;    /* of this structure in bytes */
    int32_t pid;      /* the process */
    int32_t tid;      /* its crashing thread */
    int32_t signal;   /* -1 = nobody crashed, the dump was asked for */
    int32_t code;     /* si_code */
    uint64_t address; /* fault address, 0 = none */
    void *context;
    /* Copies memory of the process, wholly or not at all. EFAULT: it cannot be read. */
    int (*read_memory)(void *context, uint64_t address, void *buffer, size_t length);
    /* Puts a range of the process's memory into the dump. ENOSPC: 64 MiB, or 4096 ranges, are
     * added already. */
    int (*add_memory)(void *context, uint64_t address, uint64_t length);
    /* Puts a stream into the dump. Types from 0x10000 on are free, except those of Breakpad
     * (0x4767....), Crashpad (0x4350....), Mozilla (0x4D7A....) and lastwords (0x4C57....): EINVAL.
     * ENOSPC: 16 streams, or 64 MiB, are added already. */
    int (*add_stream)(void *context, uint32_t type, const void *bytes, size_t length);
};

/* Exported by the library. What it returns is told in the report unless it is 0. */
int lastwords_dump_callback(const struct lastwords_dump *dump);

#ifdef __cplusplus
}
#endif

#endif
