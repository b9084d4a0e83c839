/* Owns: names, open files and descriptors. Names come from the initrd (tar) and never change, but for those below /tmp,
 * whose files are in RAM; /dev has three devices. System calls and personalities call. Promises: an open file lives as
 * long as it has references; descriptors that fork or dup copied share one offset. */
#ifndef KERNEL_FILE_H
#define KERNEL_FILE_H

#include "guest/abi/syscalls.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/types.h"

#define FILE_DESCRIPTORS 32
#define PATH_BYTES 256

struct process;

enum device { DEVICE_NONE, DEVICE_NULL, DEVICE_ZERO, DEVICE_CONSOLE };

/* One name in the tree. Nodes that are made at boot stay for ever. Those below /tmp stay as long as they have a name,
 * are open or are somebody's working directory; so that nothing else refers to them, they can be neither mapped nor
 * run. */
struct node {
    char* name;
    unsigned type; /* FILE_* */
    unsigned size;
    unsigned inode;
    const uint8_t* data; /* in the initrd, where the loader put it */
    bool in_ram;         /* /tmp, and what lies below: can be written, removed and renamed */
    uint8_t** pages;     /* the contents of a file in RAM; NULL where nothing was written */
    unsigned page_slots;
    enum device device;
    struct node *parent, *children, *sibling; /* no parent: the name was removed */
    unsigned references;                      /* working directories */
    unsigned open_files;
    struct node* link; /* a second name of a file: the node that has its bytes */
};

/* One open file; descriptors point to it. */
struct file {
    unsigned references;
    unsigned type; /* FILE_* */
    int flags;     /* O_RDONLY, O_WRONLY or O_RDWR */
    bool append;   /* each write goes to the end */
    unsigned offset;
    struct mutex lock; /* held while copying at the offset, because the copy may sleep */
    struct node* node; /* not for pipes */
    struct pipe* pipe; /* only for pipes */
};

/* Reads the initrd and makes /dev. Panics if the archive is broken or memory is short. */
void files_init(void);

/* Finds a path, relative to the running process's directory. 0 and *found, or -ENOENT, -ENOTDIR, -ENAMETOOLONG. */
int node_find(const char* path, struct node** found);
/* Writes a node's path from the root. Returns its length without the final zero, or -ENAMETOOLONG. */
int node_path(const struct node* node, char* path, size_t capacity);
/* Makes a file or directory below /tmp. 0 and *made, or -EEXIST, -EROFS, -ENOENT, -ENOTDIR, -EINVAL, -ENAMETOOLONG,
 * -ENOMEM. */
int node_create(const char* path, unsigned type, struct node** made);
/* Removes the name of a file, or of an empty directory, below /tmp. 0, or -EROFS, -ENOTEMPTY, -EISDIR, -ENOTDIR,
 * -ENOENT, -EINVAL. */
int node_remove(const char* path, unsigned type);
/* Gives a file or directory below /tmp another name there; a file or empty directory that had it loses it. 0, or an
 * error as above, -EINVAL for a directory that would come to lie in itself. */
int node_rename(const char* from, const char* to);
/* Frees a node whose name was removed, unless it is still in use. */
void node_drop(struct node* node);
/* Returns the root of the tree. */
struct node* node_root(void);
/* Takes a reference for a working directory. */
void node_share(struct node* node);
/* Releases a working directory's reference. */
void node_release(struct node* node);
/* Reads a regular file into kernel memory; exec and the fault path call it. Returns how many bytes there were. */
size_t node_read(const struct node* node, unsigned offset, void* buffer, size_t bytes);

/* Opens a path, or makes the file (O_CREAT). May sleep with O_TRUNC. 0 and *opened, or -ENOENT, -ENOTDIR, -EISDIR,
 * -EROFS, -EINVAL, -ENAMETOOLONG, -ENOMEM. */
int file_open(const char* path, int flags, struct file** opened);
/* Makes an open file with one reference and no name yet; open and pipe call it. NULL if out of memory. */
struct file* file_create(unsigned type, int flags);
/* Takes one more reference on an open file. */
void file_share(struct file* file);
/* Releases a reference; the last one closes the file, and the other end of a pipe notices. */
void file_release(struct file* file);
/* Reads into user memory at the file's offset. Returns the bytes read, 0 at the end, or a negative error. */
int file_read(struct file* file, ptr_t buffer, size_t bytes);
/* Writes from user memory to a pipe, a device or a file in RAM. Returns the bytes written or an error. */
int file_write(struct file* file, ptr_t buffer, size_t bytes);
/* Moves the offset of a regular file or directory. Returns the new offset, -ESPIPE or -EINVAL. */
int file_seek(struct file* file, int offset, int whence);
/* Describes an open file for fstat. */
void file_describe(const struct file* file, struct stat* description);
/* Describes a node for stat. */
void node_describe(const struct node* node, struct stat* description);
/* Describes the next entry of an open directory, whose offset counts entries. 1, 0 at the end, or -ENOTDIR. */
int file_next_entry(struct file* file, struct dirent* entry);

/* The open files that a process's descriptors refer to. Processes made by rfork may share one table. */
struct descriptor_table {
    unsigned references;
    struct file* files[FILE_DESCRIPTORS];
};

/* Makes an empty table with one reference. NULL if out of memory. */
struct descriptor_table* descriptors_create(void);
/* Makes a table that refers to the same open files; their offsets are shared. fork calls it. NULL if out of memory. */
struct descriptor_table* descriptors_copy(const struct descriptor_table* from);
/* Fills an empty table with references to the same open files as another's; their offsets are shared. Cannot fail. */
void descriptors_fill(struct descriptor_table* table, const struct descriptor_table* from);
/* Takes one more reference on a table, so that two processes use one. */
void descriptors_share(struct descriptor_table* table);
/* Releases a reference; the last one closes all descriptors. */
void descriptors_release(struct descriptor_table* table);

/* Finds the file of a descriptor of the running process; NULL if it is not open. */
struct file* descriptor_file(int descriptor);
/* Returns whether the running process has a free descriptor. */
bool descriptor_left(void);
/* Puts a file at the lowest free descriptor and takes over the caller's reference. Returns the number, or -EMFILE with
 * the reference left to the caller. */
int descriptor_add(struct file* file);
/* Empties a descriptor and leaves its reference to the caller; pipe() calls it if only one end found a place. */
void descriptor_take_back(int descriptor);
/* Closes a descriptor. 0 or -EBADF. */
int descriptor_close(int descriptor);
/* Makes a second descriptor for the same open file. Returns its number, -EBADF or -EMFILE. */
int descriptor_dup(int descriptor);
/* Makes a chosen descriptor refer to the same open file; what it referred to is closed. Returns its number or -EBADF.
 */
int descriptor_dup2(int from, int to);

#endif
