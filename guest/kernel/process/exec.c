#include "guest/kernel/process/exec.h"
#include "guest/abi/syscalls.h"
#include "guest/abi/trace.h"
#include "guest/kernel/layout.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"

#define ARGUMENT_BYTES 16384u
#define ARGUMENT_LIMIT 1024u
#define ELF_IDENT 0x464C457Fu     /* 0x7F "ELF" */
#define ELF_32_LITTLE 0x00000101u /* the next bytes: 32 bits, little-endian (and version 1 above them) */
#define ELF_EXECUTABLE 2
#define ELF_386 3
#define ELF_LOAD 1
#define ELF_EXECUTE 1u
#define ELF_WRITE 2u
#define ELF_READ 4u

struct elf_header {
    uint32_t ident, kind;
    uint8_t padding[8];
    uint16_t type, machine;
    uint32_t version, entry, program_headers, section_headers, flags;
    uint16_t header_bytes, program_header_bytes, program_header_count;
};
struct elf_program_header {
    uint32_t type, offset, virtual_address, physical_address, file_bytes, memory_bytes, flags, alignment;
};

/* Turns one load header into a segment. 0, or -ENOEXEC where it does not fit into the user half or the file. */
static int add_segment(struct executable* image, const struct elf_program_header* header) {
    uint32_t skew = header->virtual_address % PAGE_BYTES;
    if (image->segment_count == EXEC_SEGMENTS || header->offset % PAGE_BYTES != skew ||
        header->virtual_address < USER_BASE || header->virtual_address >= USER_MMAP_BASE ||
        header->memory_bytes > USER_MMAP_BASE - header->virtual_address || header->file_bytes > header->memory_bytes ||
        header->offset > image->node->size || header->file_bytes > image->node->size - header->offset) {
        return -ENOEXEC;
    }
    struct segment* segment = &image->segments[image->segment_count++];
    segment->start = header->virtual_address - skew;
    segment->memory_bytes = header->memory_bytes + skew;
    segment->file_bytes = header->file_bytes + skew;
    segment->file_offset = header->offset - skew;
    segment->protection = ((header->flags & ELF_READ) != 0 ? PROT_READ : 0) |
                          ((header->flags & ELF_WRITE) != 0 ? PROT_WRITE : 0) |
                          ((header->flags & ELF_EXECUTE) != 0 ? PROT_EXEC : 0);
    ptr_t end = segment->start + segment->memory_bytes;
    for (unsigned i = 0; i + 1 < image->segment_count; i++) {
        const struct segment* other = &image->segments[i];
        if (segment->start < page_up(other->start + other->memory_bytes) && other->start < page_up(end)) {
            return -ENOEXEC;
        }
    }
    image->end = end > image->end ? end : image->end;
    return 0;
}

int exec_read_image(struct executable* image) {
    struct elf_header header;
    if (node_read(image->node, 0, &header, sizeof(header)) != sizeof(header) || header.ident != ELF_IDENT ||
        (header.kind & 0xFFFF) != ELF_32_LITTLE || header.type != ELF_EXECUTABLE || header.machine != ELF_386 ||
        header.program_header_bytes != sizeof(struct elf_program_header)) {
        return -ENOEXEC;
    }
    for (unsigned i = 0; i < header.program_header_count; i++) {
        struct elf_program_header program;
        uint32_t offset = header.program_headers + i * sizeof(program);
        if (node_read(image->node, offset, &program, sizeof(program)) != sizeof(program)) {
            return -ENOEXEC;
        }
        if (program.type == ELF_LOAD && program.memory_bytes > 0 && add_segment(image, &program) < 0) {
            return -ENOEXEC;
        }
    }
    image->entry = header.entry;
    return image->segment_count > 0 && image->entry >= USER_BASE && image->entry < image->end ? 0 : -ENOEXEC;
}

/* Builds what a program finds on its stack: argc, argv[], NULL, an empty environment, the strings.
 * Returns kernel memory whose end belongs at USER_STACK_TOP, or NULL if out of memory. */
static uint32_t* build_stack(const char* strings, size_t bytes, unsigned count, size_t* stack_bytes) {
    size_t words = 1 + count + 1 + 1;
    size_t total = (words * sizeof(uint32_t) + bytes + 15) & ~15u;
    uint32_t* stack = kzalloc(total);
    if (stack == NULL) {
        return NULL;
    }
    memcpy((char*)stack + words * sizeof(uint32_t), strings, bytes);
    ptr_t at = USER_STACK_TOP - total + words * sizeof(uint32_t);
    stack[0] = count;
    for (unsigned i = 0; i < count; i++) {
        stack[1 + i] = at;
        size_t length = strlen(strings) + 1;
        strings += length;
        at += length;
    }
    *stack_bytes = total;
    return stack;
}

/* Joins the arguments to one command line in new memory; NULL if out of memory. */
static char* join_command(const char* strings, size_t bytes) {
    char* command = kmalloc(bytes + 1);
    if (command == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < bytes; i++) {
        command[i] = strings[i] == '\0' && i + 1 < bytes ? ' ' : strings[i];
    }
    command[bytes] = '\0';
    return command;
}

int exec_program(const char* path, const char* strings, size_t bytes, unsigned count, struct trap_frame* frame) {
    struct executable image = {0};
    size_t stack_bytes = 0;
    int error = node_find(path, &image.node);
    if (error < 0) {
        return error;
    }
    if (image.node->type != FILE_REGULAR || image.node->in_ram) {
        return -EACCES;
    }
    error = exec_read_image(&image);
    if (error < 0) {
        return error;
    }
    error = -ENOMEM;
    char* command = join_command(strings, bytes);
    if (command == NULL) {
        return error;
    }
    uint32_t* stack = build_stack(strings, bytes, count, &stack_bytes);
    if (stack == NULL) {
        goto fail_command;
    }
    void* vm = vm_exec_prepare(&image, stack, stack_bytes, &error);
    if (vm == NULL) {
        goto fail_stack;
    }
    error = thread_end_others();
    if (error < 0) {
        goto fail_vm;
    }
    vm_exec_commit(vm);
    kfree(stack);
    process_rename(path, command, bytes + 1);
    signal_reset(current_process);
    memset(frame, 0, sizeof(*frame));
    trap_prepare_user(frame, image.entry, USER_STACK_TOP - stack_bytes);
    trace(TP_PROCESS_EXEC, (uint32_t)current_process->pid, (uint32_t)current_thread->id,
          current_process->page_directory);
    return 0;

fail_vm:
    vm_exec_abandon(vm);
fail_stack:
    kfree(stack);
fail_command:
    kfree(command);
    return error;
}

/* Fetches the argument strings one after another. Their bytes, -EFAULT, or -E2BIG. */
static int fetch_arguments(ptr_t arguments, char* strings, unsigned* count) {
    size_t used = 0;
    for (*count = 0; arguments != 0; (*count)++) {
        ptr_t argument;
        if (copy_from_user(&argument, arguments + *count * sizeof(argument), sizeof(argument)) < 0) {
            return -EFAULT;
        }
        if (argument == 0) {
            break;
        }
        int length = copy_string_from_user(strings + used, argument, ARGUMENT_BYTES - used);
        if (length < 0 || *count == ARGUMENT_LIMIT) {
            return length == -EFAULT ? -EFAULT : -E2BIG;
        }
        used += (size_t)length + 1;
    }
    return (int)used;
}

int exec_from_user(ptr_t path, ptr_t arguments, struct trap_frame* frame) {
    char name[PATH_BYTES];
    unsigned count;
    int error = copy_string_from_user(name, path, sizeof(name));
    if (error < 0) {
        return error;
    }
    char* strings = kmalloc(ARGUMENT_BYTES);
    if (strings == NULL) {
        return -ENOMEM;
    }
    error = fetch_arguments(arguments, strings, &count);
    if (error >= 0) {
        error = exec_program(name, strings, (size_t)error, count, frame);
    }
    kfree(strings);
    return error;
}
