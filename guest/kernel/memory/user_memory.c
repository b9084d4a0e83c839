#include "guest/kernel/memory/user_memory.h"
#include "guest/abi/syscalls.h"
#include "guest/kernel/layout.h"
#include "guest/kernel/traps/trap.h"

int user_copy(void* destination, const void* source, size_t bytes);
extern char user_copy_begin[], user_copy_end[], user_copy_failed[];

/* Says whether a range lies in the user half. */
static bool is_user_range(ptr_t start, size_t bytes) { return start < USER_TOP && bytes <= USER_TOP - start; }

int copy_from_user(void* destination, ptr_t source, size_t bytes) {
    if (!is_user_range(source, bytes) || user_copy(destination, (const void*)source, bytes) < 0) {
        return -EFAULT;
    }
    return 0;
}

int copy_to_user(ptr_t destination, const void* source, size_t bytes) {
    if (!is_user_range(destination, bytes) || user_copy((void*)destination, source, bytes) < 0) {
        return -EFAULT;
    }
    return 0;
}

int copy_string_from_user(char* destination, ptr_t source, size_t capacity) {
    /* In pieces that never extend into the next page before the zero was looked for in this one. */
    size_t length = 0;
    while (length < capacity) {
        size_t piece = PAGE_BYTES - (source + length) % PAGE_BYTES;
        piece = piece < 64 ? piece : 64;
        piece = piece < capacity - length ? piece : capacity - length;
        if (copy_from_user(destination + length, source + length, piece) < 0) {
            return -EFAULT;
        }
        for (size_t end = length + piece; length < end; length++) {
            if (destination[length] == '\0') {
                return (int)length;
            }
        }
    }
    return -ENAMETOOLONG;
}

bool user_memory_is_copying(ptr_t eip) { return eip >= (ptr_t)user_copy_begin && eip < (ptr_t)user_copy_end; }

void user_memory_give_up(struct trap_frame* frame) { frame->eip = (ptr_t)user_copy_failed; }
