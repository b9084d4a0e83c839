/* Owns: reading a tar archive (v7, ustar, GNU's and pax's long names) in memory. files_init() calls, and a test on the
 * host, which compares it with emu/symbols/tar.cpp. Promises: any bytes are accepted without harm, nothing is
 * allocated, and what it returns points into the archive. */
#ifndef KERNEL_TAR_H
#define KERNEL_TAR_H

#include "guest/kernel/types.h"

/* Text in the archive, without a final zero. */
struct tar_text {
    const char* at;
    size_t length;
};

enum tar_type { TAR_FILE, TAR_DIRECTORY, TAR_HARD_LINK, TAR_OTHER };

/* One member. Its path is prefix/name, or name alone where the prefix is empty. */
struct tar_entry {
    enum tar_type type;
    struct tar_text prefix, name;
    struct tar_text link; /* the path of a hard link's target */
    const uint8_t* data;
    size_t size;
};

struct tar_reader {
    const uint8_t *at, *end;
};

enum tar_result { TAR_ENTRY, TAR_END, TAR_DAMAGED, TAR_CUT_OFF };

/* Reads the next member and moves on behind it. TAR_DAMAGED leaves the reader at a header with a wrong checksum,
 * TAR_CUT_OFF where a member or header is longer than the rest. */
enum tar_result tar_next(struct tar_reader* reader, struct tar_entry* entry);

#endif
