#include "guest/kernel/files/file.h"
#include "guest/kernel/files/pipe.h"
#include "guest/kernel/files/ram.h"
#include "guest/kernel/files/terminal.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/string.h"

#define ACCESS_MODE 3

struct file* file_create(unsigned type, int flags) {
    struct file* file = kzalloc(sizeof(*file));
    if (file != NULL) {
        file->references = 1;
        file->type = type;
        file->flags = flags & ACCESS_MODE;
        mutex_init(&file->lock);
    }
    return file;
}

/* Says whether the flags make sense. */
static bool flags_are_known(int flags) {
    return (flags & ACCESS_MODE) <= O_RDWR && (flags & ~(ACCESS_MODE | O_CREAT | O_TRUNC | O_APPEND)) == 0;
}

/* Says why a node cannot be opened so, or 0. */
static int check_access(const struct node* node, int flags) {
    if (!flags_are_known(flags)) {
        return -EINVAL;
    }
    if ((flags & ACCESS_MODE) == O_RDONLY || node->type == FILE_DEVICE) {
        return 0;
    }
    return node->type == FILE_DIRECTORY ? -EISDIR : node->in_ram ? 0 : -EROFS;
}

int file_open(const char* path, int flags, struct file** opened) {
    bool writes = (flags & ACCESS_MODE) != O_RDONLY;
    struct file* file = file_create(FILE_REGULAR, flags);
    if (file == NULL) {
        return -ENOMEM;
    }
    int error = node_find(path, &file->node);
    if (error == -ENOENT && (flags & O_CREAT) != 0 && flags_are_known(flags)) {
        error = node_create(path, FILE_REGULAR, &file->node);
    }
    if (error == 0) {
        error = check_access(file->node, flags);
    }
    if (error < 0) {
        kfree(file);
        return error;
    }
    file->type = file->node->type;
    file->append = (flags & O_APPEND) != 0;
    file->node->open_files++;
    if (writes && (flags & O_TRUNC) != 0 && file->node->in_ram) {
        ram_truncate(file->node);
    }
    *opened = file;
    return 0;
}

void file_share(struct file* file) { file->references++; }

void file_release(struct file* file) {
    KERNEL_ASSERT(file->references > 0);
    if (--file->references > 0) {
        return;
    }
    if (file->type == FILE_PIPE) {
        pipe_close(file->pipe, file->flags);
    } else {
        file->node->open_files--;
        node_drop(file->node);
    }
    kfree(file);
}

/* Fills user memory with zeroes. Bytes done, or -EFAULT. */
static int read_zeroes(ptr_t buffer, size_t bytes) {
    static const char zeroes[256];
    for (size_t done = 0; done < bytes;) {
        size_t piece = bytes - done < sizeof(zeroes) ? bytes - done : sizeof(zeroes);
        if (copy_to_user(buffer + done, zeroes, piece) < 0) {
            return -EFAULT;
        }
        done += piece;
    }
    return (int)bytes;
}

/* Reads a device. Bytes done, or a negative error. */
static int device_read(enum device device, ptr_t buffer, size_t bytes) {
    switch (device) {
    case DEVICE_CONSOLE:
        return terminal_read(buffer, bytes);
    case DEVICE_ZERO:
        return read_zeroes(buffer, bytes);
    default:
        return 0;
    }
}

/* Reads a file of the initrd at an offset. Bytes done, 0 at the end, or -EFAULT. */
static int initrd_read(const struct node* node, unsigned offset, ptr_t buffer, size_t bytes) {
    size_t left = offset < node->size ? node->size - offset : 0;
    bytes = bytes < left ? bytes : left;
    return copy_to_user(buffer, node->data + offset, bytes) < 0 ? -EFAULT : (int)bytes;
}

/* Reads a regular file at its offset, which moves by what was read. Bytes done, 0 at the end, or -EFAULT. */
static int regular_read(struct file* file, ptr_t buffer, size_t bytes) {
    mutex_lock(&file->lock);
    int result = file->node->in_ram ? ram_read(file->node, file->offset, buffer, bytes)
                                    : initrd_read(file->node, file->offset, buffer, bytes);
    file->offset += result > 0 ? (unsigned)result : 0;
    mutex_unlock(&file->lock);
    return result;
}

/* Writes a file in RAM at its offset or end; the offset is behind what was written then. Bytes done, or a negative
 * error. */
static int regular_write(struct file* file, ptr_t buffer, size_t bytes) {
    mutex_lock(&file->lock);
    int result = ram_write(file->node, &file->offset, file->append, buffer, bytes);
    mutex_unlock(&file->lock);
    return result;
}

int file_read(struct file* file, ptr_t buffer, size_t bytes) {
    if (file->flags == O_WRONLY) {
        return -EBADF;
    }
    switch (file->type) {
    case FILE_REGULAR:
        return regular_read(file, buffer, bytes);
    case FILE_PIPE:
        return pipe_read(file->pipe, buffer, bytes);
    case FILE_DEVICE:
        return device_read(file->node->device, buffer, bytes);
    default:
        return -EISDIR;
    }
}

int file_write(struct file* file, ptr_t buffer, size_t bytes) {
    if (file->flags == O_RDONLY) {
        return -EBADF;
    }
    if (file->type == FILE_PIPE) {
        return pipe_write(file->pipe, buffer, bytes);
    }
    if (file->type == FILE_REGULAR) {
        return regular_write(file, buffer, bytes);
    }
    if (file->node->device == DEVICE_CONSOLE) {
        return terminal_write(buffer, bytes);
    }
    return (int)bytes;
}

int file_seek(struct file* file, int offset, int whence) {
    if (file->type != FILE_REGULAR && file->type != FILE_DIRECTORY) {
        return -ESPIPE;
    }
    unsigned base = 0;
    switch (whence) {
    case SEEK_SET:
        break;
    case SEEK_CUR:
        base = file->offset;
        break;
    case SEEK_END:
        base = file->node->size;
        break;
    default:
        return -EINVAL;
    }
    int64_t place = (int64_t)base + offset;
    if (place < 0 || place > INT32_MAX) {
        return -EINVAL;
    }
    file->offset = (unsigned)place;
    return (int)place;
}

void file_describe(const struct file* file, struct stat* description) {
    if (file->type == FILE_PIPE) {
        *description = (struct stat){FILE_PIPE, pipe_bytes(file->pipe), 0, file->references};
    } else {
        node_describe(file->node, description);
    }
}

int file_next_entry(struct file* file, struct dirent* entry) {
    if (file->type != FILE_DIRECTORY) {
        return -ENOTDIR;
    }
    const struct node* child = file->node->children;
    for (unsigned i = 0; i < file->offset && child != NULL; i++) {
        child = child->sibling;
    }
    if (child == NULL) {
        return 0;
    }
    memset(entry, 0, sizeof(*entry));
    entry->type = child->type;
    entry->size = child->link != NULL ? child->link->size : child->size;
    string_copy(entry->name, child->name, sizeof(entry->name));
    file->offset++;
    return 1;
}

struct descriptor_table* descriptors_create(void) {
    struct descriptor_table* table = kzalloc(sizeof(*table));
    if (table != NULL) {
        table->references = 1;
    }
    return table;
}

void descriptors_fill(struct descriptor_table* table, const struct descriptor_table* from) {
    for (unsigned i = 0; i < FILE_DESCRIPTORS; i++) {
        table->files[i] = from->files[i];
        if (table->files[i] != NULL) {
            file_share(table->files[i]);
        }
    }
}

struct descriptor_table* descriptors_copy(const struct descriptor_table* from) {
    struct descriptor_table* table = descriptors_create();
    if (table != NULL) {
        descriptors_fill(table, from);
    }
    return table;
}

void descriptors_share(struct descriptor_table* table) { table->references++; }

void descriptors_release(struct descriptor_table* table) {
    KERNEL_ASSERT(table->references > 0);
    if (--table->references > 0) {
        return;
    }
    for (unsigned i = 0; i < FILE_DESCRIPTORS; i++) {
        if (table->files[i] != NULL) {
            file_release(table->files[i]);
        }
    }
    kfree(table);
}

struct file* descriptor_file(int descriptor) {
    bool in_table = descriptor >= 0 && descriptor < FILE_DESCRIPTORS;
    return in_table ? current_process->descriptors->files[descriptor] : NULL;
}

bool descriptor_left(void) {
    for (int i = 0; i < FILE_DESCRIPTORS; i++) {
        if (current_process->descriptors->files[i] == NULL) {
            return true;
        }
    }
    return false;
}

int descriptor_add(struct file* file) {
    struct file** files = current_process->descriptors->files;
    for (int i = 0; i < FILE_DESCRIPTORS; i++) {
        if (files[i] == NULL) {
            files[i] = file;
            return i;
        }
    }
    return -EMFILE;
}

void descriptor_take_back(int descriptor) { current_process->descriptors->files[descriptor] = NULL; }

int descriptor_close(int descriptor) {
    struct file* file = descriptor_file(descriptor);
    if (file == NULL) {
        return -EBADF;
    }
    descriptor_take_back(descriptor);
    file_release(file);
    return 0;
}

int descriptor_dup(int descriptor) {
    struct file* file = descriptor_file(descriptor);
    if (file == NULL) {
        return -EBADF;
    }
    int copy = descriptor_add(file);
    if (copy >= 0) {
        file_share(file);
    }
    return copy;
}

int descriptor_dup2(int from, int to) {
    struct file* file = descriptor_file(from);
    if (file == NULL || to < 0 || to >= FILE_DESCRIPTORS) {
        return -EBADF;
    }
    if (from != to) {
        descriptor_close(to);
        current_process->descriptors->files[to] = file;
        file_share(file);
    }
    return to;
}
