/* Owns: the kernel's access to user memory. Every pointer that comes from a user goes through here. Promises: a page
 * that is to be copied, zeroed or read first goes through the same fault path as the user's own access; a wild pointer
 * gives -EFAULT, never a panic. */
#ifndef KERNEL_USER_MEMORY_H
#define KERNEL_USER_MEMORY_H

#include "guest/kernel/types.h"

struct trap_frame;

/* Copies from user memory. 0, or -EFAULT with a part perhaps copied. */
int copy_from_user(void* destination, ptr_t source, size_t bytes);
/* Copies to user memory. 0, or -EFAULT with a part perhaps copied. */
int copy_to_user(ptr_t destination, const void* source, size_t bytes);
/* Copies a string with its final zero. Returns its length, -EFAULT, or -ENAMETOOLONG where it does not fit. */
int copy_string_from_user(char* destination, ptr_t source, size_t capacity);

/* Says whether a kernel address is in the one copy loop that may fault; the page-fault handler asks. */
bool user_memory_is_copying(ptr_t eip);
/* Makes the copy loop that faulted return -EFAULT; the page-fault handler calls it if the personality refused the
 * access. */
void user_memory_give_up(struct trap_frame* frame);

#endif
