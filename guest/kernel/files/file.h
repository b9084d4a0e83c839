/* Owns: names, open files and descriptors. Names come from the initrd (tar) and never change; /dev has three devices.
 * System calls and personalities call. Promises: an open file lives as long as it has references; descriptors that
 * fork or dup copied share one offset. */
#ifndef KERNEL_FILE_H
#define KERNEL_FILE_H

#include "guest/abi/syscalls.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/types.h"

#define FILE_DESCRIPTORS 32
#define PATH_BYTES 256

struct process;

enum device { DEVICE_NONE, DEVICE_NULL, DEVICE_ZERO, DEVICE_CONSOLE };

/* One name in the tree. Nodes are made at boot and stay for ever. */
struct node {
    char name[56];
    unsigned type; /* FILE_* */
    unsigned size;
    unsigned inode;
    const uint8_t* data; /* in the initrd, where the loader put it */
    enum device device;
    struct node *parent, *children, *sibling;
    unsigned references; /* working directories */
    unsigned open_files;
};

/* One open file; descriptors point to it. */
struct file {
    unsigned references;
    unsigned type; /* FILE_* */
    int flags;     /* O_* */
    unsigned offset;
    struct mutex lock; /* whoever copies at the offset holds it, for the copy may sleep */
    struct node* node; /* not for pipes */
    struct pipe* pipe; /* only for pipes */
};

/* Reads the initrd and makes /dev. */
void files_init(void);

/* Finds a path, relative to the running process's directory. 0 and *found, or -ENOENT, -ENOTDIR, -ENAMETOOLONG. */
int node_find(const char* path, struct node** found);
/* Writes a node's path; the length without the final zero, or -ENAMETOOLONG. */
int node_path(const struct node* node, char* path, size_t capacity);
struct node* node_root(void);
/* References of working directories. */
void node_share(struct node* node);
void node_release(struct node* node);
/* Reads a regular file into kernel memory; returns the bytes there were. */
size_t node_read(const struct node* node, unsigned offset, void* buffer, size_t bytes);

/* Opens a path. 0 and *opened, or a negative error. */
int file_open(const char* path, int flags, struct file** opened);
/* Makes an open file without a name; NULL without memory. */
struct file* file_create(unsigned type, int flags);
void file_share(struct file* file);
/* Gives a reference back; the last one closes. */
void file_release(struct file* file);
/* Read and write user memory at the file's offset. Bytes done, or a negative error. */
int file_read(struct file* file, ptr_t buffer, size_t bytes);
int file_write(struct file* file, ptr_t buffer, size_t bytes);
int file_seek(struct file* file, int offset, int whence);
void file_describe(const struct file* file, struct stat* description);
void node_describe(const struct node* node, struct stat* description);
/* Describes the next entry of a directory. 1, 0 at the end, or a negative error. */
int file_next_entry(struct file* file, struct dirent* entry);

/* What a process's descriptors stand for. Processes made by rfork may share one table. */
struct descriptor_table {
    unsigned references;
    struct file* files[FILE_DESCRIPTORS];
};

/* Makes an empty table with one reference, or one with the same open files; NULL without memory. */
struct descriptor_table* descriptors_create(void);
struct descriptor_table* descriptors_copy(const struct descriptor_table* from);
/* Fills an empty table with references on the same open files. Cannot fail. */
void descriptors_fill(struct descriptor_table* table, const struct descriptor_table* from);
void descriptors_share(struct descriptor_table* table);
/* Gives a reference back; the last one closes all descriptors. */
void descriptors_release(struct descriptor_table* table);

/* Descriptors of the running process. Finds one's file; NULL where it is not open. */
struct file* descriptor_file(int descriptor);
/* Puts a file at the lowest free descriptor; the number, or -EMFILE. Takes over the caller's reference. */
int descriptor_add(struct file* file);
/* Empties a descriptor and leaves its reference to the caller. */
void descriptor_take_back(int descriptor);
int descriptor_close(int descriptor);
int descriptor_dup(int descriptor);
int descriptor_dup2(int from, int to);

#endif
