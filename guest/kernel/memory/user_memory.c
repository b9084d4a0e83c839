#include "guest/kernel/memory/user_memory.h"
#include "guest/abi/syscalls.h"
#include "guest/kernel/layout.h"
#include "guest/kernel/traps/trap.h"

int user_copy(void* destination, const void* source, size_t bytes);
extern char user_copy_begin[], user_copy_end[], user_copy_failed[];

/* Says whether a range lies in the user half. */
static bool is_user_range(ptr_t start, size_t bytes) { return start < USER_TOP && bytes <= USER_TOP - start; }

/* Copies from user memory; every system call calls it. Returns 0 or -EFAULT. */
int copy_from_user(void* destination, ptr_t source, size_t bytes) {
    if (!is_user_range(source, bytes) || user_copy(destination, (const void*)source, bytes) < 0) {
        return -EFAULT;
    }
    return 0;
}

/* Copies to user memory; every system call calls it. Returns 0 or -EFAULT. */
int copy_to_user(ptr_t destination, const void* source, size_t bytes) {
    if (!is_user_range(destination, bytes) || user_copy((void*)destination, source, bytes) < 0) {
        return -EFAULT;
    }
    return 0;
}

/* Copies a string in pieces that never reach into the next page before the zero was looked for in this one.
 * Returns its length, -EFAULT, or -ENAMETOOLONG where it does not fit. */
int copy_string_from_user(char* destination, ptr_t source, size_t capacity) {
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

/* Says whether a kernel address lies in the one copy loop that may fault; page faults ask. */
bool user_memory_is_copying(ptr_t eip) { return eip >= (ptr_t)user_copy_begin && eip < (ptr_t)user_copy_end; }

/* Lets the copy loop that faulted fail; a page fault calls it when the personality refused the access. */
void user_memory_give_up(struct trap_frame* frame) { frame->eip = (ptr_t)user_copy_failed; }
