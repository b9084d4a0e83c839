#include "guest/kernel/files/tar.h"
#include "guest/kernel/string.h"

#define BLOCK 512u

/* The fields of a header. */
#define NAME 0u
#define NAME_BYTES 100u
#define SIZE 124u
#define SIZE_BYTES 12u
#define CHECKSUM 148u
#define CHECKSUM_BYTES 8u
#define TYPE 156u
#define LINK 157u
#define LINK_BYTES 100u
#define MAGIC 257u
#define MAGIC_END 262u
#define PREFIX 345u
#define PREFIX_BYTES 155u

/* Reads a numeric field: octal digits, or base 256 where the top bit of its first byte is set. False if it is neither,
 * or too large for any archive in memory. */
static bool read_number(const uint8_t* field, size_t bytes, uint64_t* value) {
    *value = 0;
    if ((field[0] & 0x80) != 0) {
        for (size_t i = 0; i < bytes; i++) {
            if (*value >> 55 != 0) {
                return false;
            }
            *value = *value << 8 | (i == 0 ? field[i] & 0x7Fu : field[i]);
        }
        return true;
    }
    for (size_t i = 0; i < bytes; i++) {
        bool blank = field[i] == '\0' || field[i] == ' ';
        if (blank && *value != 0) {
            break;
        }
        if (!blank && (field[i] < '0' || field[i] > '7' || *value >> 60 != 0)) {
            return false;
        }
        *value = blank ? 0 : *value << 3 | (unsigned)(field[i] - '0');
    }
    return true;
}

/* Says whether the header's bytes add up to its checksum, for which its own field counts as blanks. */
static bool checksum_fits(const uint8_t* header) {
    uint64_t sum = 0, expected;
    for (size_t i = 0; i < BLOCK; i++) {
        sum += i >= CHECKSUM && i < CHECKSUM + CHECKSUM_BYTES ? ' ' : header[i];
    }
    return read_number(header + CHECKSUM, CHECKSUM_BYTES, &expected) && sum == expected;
}

static bool is_zero(const uint8_t* block) {
    size_t i = 0;
    while (i < BLOCK && block[i] == 0) {
        i++;
    }
    return i == BLOCK;
}

/* Returns the text up to the first zero, or all of it. */
static struct tar_text text(const uint8_t* field, size_t bytes) {
    size_t length = 0;
    while (length < bytes && field[length] != '\0') {
        length++;
    }
    return (struct tar_text){(const char*)field, length};
}

/* Finds the value of a key in the records "LENGTH KEY=VALUE\n" of a pax header; the last one wins. Returns `otherwise`
 * if there is none. */
static struct tar_text pax_value(const uint8_t* data, size_t bytes, const char* key, struct tar_text otherwise) {
    size_t key_bytes = strlen(key);
    while (bytes > 0) {
        size_t length = 0, at = 0;
        while (at < bytes && data[at] >= '0' && data[at] <= '9' && length < bytes) {
            length = length * 10 + (size_t)(data[at++] - '0');
        }
        if (length <= at + 1 || length > bytes || data[at] != ' ') {
            break;
        }
        const uint8_t* record = data + at + 1;
        size_t record_bytes = length - at - 2;
        if (record_bytes > key_bytes && memcmp(record, key, key_bytes) == 0 && record[key_bytes] == '=') {
            otherwise = text(record + key_bytes + 1, record_bytes - key_bytes - 1);
        }
        data += length;
        bytes -= length;
    }
    return otherwise;
}

/* Says what a header stands for. Before ustar, a directory was a file whose name ends with a slash. */
static enum tar_type entry_type(uint8_t type, struct tar_text name) {
    switch (type) {
    case '\0':
    case '0':
        return name.length > 0 && name.at[name.length - 1] == '/' ? TAR_DIRECTORY : TAR_FILE;
    case '7':
        return TAR_FILE;
    case '5':
        return TAR_DIRECTORY;
    case '1':
        return TAR_HARD_LINK;
    default:
        return TAR_OTHER;
    }
}

/* Fills in a member from its header; names that were given ahead of it replace the header's. */
static void describe(const uint8_t* header, struct tar_text long_name, struct tar_text long_link,
                     struct tar_entry* entry) {
    *entry = (struct tar_entry){.name = long_name, .link = long_link};
    if (long_name.length == 0) {
        entry->name = text(header + NAME, NAME_BYTES);
        /* GNU's own format has other things in the prefix; its magic ends with blanks. */
        if (memcmp(header + MAGIC, "ustar", MAGIC_END - MAGIC + 1) == 0) {
            entry->prefix = text(header + PREFIX, PREFIX_BYTES);
        }
    }
    if (long_link.length == 0) {
        entry->link = text(header + LINK, LINK_BYTES);
    }
    entry->type = entry_type(header[TYPE], entry->name);
}

enum tar_result tar_next(struct tar_reader* reader, struct tar_entry* entry) {
    struct tar_text long_name = {0}, long_link = {0};
    while ((size_t)(reader->end - reader->at) >= BLOCK) {
        const uint8_t* header = reader->at;
        uint64_t size;
        if (is_zero(header)) {
            return TAR_END;
        }
        if (!checksum_fits(header)) {
            return TAR_DAMAGED;
        }
        size_t left = (size_t)(reader->end - header) - BLOCK;
        if (!read_number(header + SIZE, SIZE_BYTES, &size) || size > left) {
            return TAR_CUT_OFF;
        }
        const uint8_t* data = header + BLOCK;
        uint64_t padded = (size + BLOCK - 1) / BLOCK * BLOCK;
        reader->at = padded > left ? reader->end : data + padded;
        switch (header[TYPE]) {
        case 'L':
            long_name = text(data, (size_t)size);
            break;
        case 'K':
            long_link = text(data, (size_t)size);
            break;
        case 'x':
            long_name = pax_value(data, (size_t)size, "path", long_name);
            long_link = pax_value(data, (size_t)size, "linkpath", long_link);
            break;
        default:
            describe(header, long_name, long_link, entry);
            entry->data = data;
            entry->size = (size_t)size;
            return TAR_ENTRY;
        }
    }
    return reader->at == reader->end ? TAR_END : TAR_CUT_OFF;
}
