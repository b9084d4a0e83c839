/* The tree of names: built from the initrd at boot, read-only afterwards. */
#include "guest/kernel/boot_info.h"
#include "guest/kernel/files/file.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/string.h"

#define TAR_BLOCK 512u
#define TAR_NAME 100u
#define TAR_SIZE 124u
#define TAR_SIZE_BYTES 12u
#define TAR_TYPE 156u
#define TAR_MAGIC 257u
#define TAR_DIRECTORY '5'
#define TAR_FILE '0'
#define TAR_OLD_FILE '\0'

static struct node* root;
static unsigned last_inode;

/* Makes a node below a parent; boot only. Panics if out of memory, for nothing can start then. */
static struct node* make_node(struct node* parent, const char* name, size_t length, unsigned type) {
    struct node* node = kzalloc(sizeof(*node));
    if (node == NULL) {
        panic("too little memory for the files of the initrd");
    }
    length = length < sizeof(node->name) - 1 ? length : sizeof(node->name) - 1;
    memcpy(node->name, name, length);
    node->type = type;
    node->inode = ++last_inode;
    node->parent = parent != NULL ? parent : node;
    if (parent != NULL) {
        struct node** place = &parent->children;
        while (*place != NULL && strcmp((*place)->name, node->name) < 0) {
            place = &(*place)->sibling;
        }
        node->sibling = *place;
        *place = node;
    }
    return node;
}

/* Finds a directory's child by a name of given length; NULL if there is none. */
static struct node* find_child(struct node* directory, const char* name, size_t length) {
    for (struct node* child = directory->children; child != NULL; child = child->sibling) {
        if (strlen(child->name) == length && memcmp(child->name, name, length) == 0) {
            return child;
        }
    }
    return NULL;
}

/* Makes the node of one archive member and the directories above it. */
static struct node* make_path(const char* path, unsigned type) {
    struct node* at = root;
    while (*path != '\0') {
        size_t length = 0;
        while (path[length] != '\0' && path[length] != '/') {
            length++;
        }
        bool last = path[length] == '\0' || path[length + 1] == '\0';
        if (length > 0 && !(length == 1 && path[0] == '.')) {
            struct node* child = find_child(at, path, length);
            at = child != NULL ? child : make_node(at, path, length, last ? type : FILE_DIRECTORY);
        }
        path += length + (path[length] == '/' ? 1 : 0);
    }
    return at;
}

/* Reads an octal number of an archive header. */
static unsigned octal(const uint8_t* text, size_t bytes) {
    unsigned value = 0;
    for (size_t i = 0; i < bytes && text[i] != '\0'; i++) {
        value = text[i] >= '0' && text[i] <= '7' ? value * 8 + (text[i] - '0') : value;
    }
    return value;
}

/* Makes nodes for every file and directory of the archive; their bytes stay where the loader put them. */
static void read_archive(const uint8_t* at, const uint8_t* end) {
    while ((size_t)(end - at) >= TAR_BLOCK && at[0] != '\0') {
        char name[TAR_NAME + 1];
        if (memcmp(at + TAR_MAGIC, "ustar", 5) != 0) {
            panic("the initrd is not a ustar archive, or damaged");
        }
        memcpy(name, at, TAR_NAME);
        name[TAR_NAME] = '\0';
        unsigned size = octal(at + TAR_SIZE, TAR_SIZE_BYTES);
        uint8_t type = at[TAR_TYPE];
        at += TAR_BLOCK;
        if (size > (size_t)(end - at)) {
            panic("the initrd is cut off inside %s", name);
        }
        if (type == TAR_DIRECTORY) {
            make_path(name, FILE_DIRECTORY);
        } else if (type == TAR_FILE || type == TAR_OLD_FILE) {
            struct node* node = make_path(name, FILE_REGULAR);
            node->data = at;
            node->size = size;
        }
        size_t padded = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        at = padded < (size_t)(end - at) ? at + padded : end;
    }
}

void files_init(void) {
    root = make_node(NULL, "", 0, FILE_DIRECTORY);
    if (boot_info.initrd_end > boot_info.initrd_start) {
        read_archive(phys_to_pointer(boot_info.initrd_start), phys_to_pointer(boot_info.initrd_end));
    }
    make_path("dev/null", FILE_DEVICE)->device = DEVICE_NULL;
    make_path("dev/zero", FILE_DEVICE)->device = DEVICE_ZERO;
    make_path("dev/console", FILE_DEVICE)->device = DEVICE_CONSOLE;
}

struct node* node_root(void) {
    return root;
}

void node_share(struct node* node) { node->references++; }

void node_release(struct node* node) {
    KERNEL_ASSERT(node->references > 0);
    node->references--;
}

int node_find(const char* path, struct node** found) {
    struct node* at =
        path[0] == '/' || current_process->working_directory == NULL ? root : current_process->working_directory;
    if (path[0] == '\0') {
        return -ENOENT;
    }
    while (*path != '\0') {
        size_t length = 0;
        while (path[length] != '\0' && path[length] != '/') {
            length++;
        }
        if (at->type != FILE_DIRECTORY) {
            return -ENOTDIR;
        }
        if (length == 2 && path[0] == '.' && path[1] == '.') {
            at = at->parent;
        } else if (length > 0 && !(length == 1 && path[0] == '.')) {
            at = find_child(at, path, length);
        }
        if (at == NULL) {
            return -ENOENT;
        }
        path += length + (path[length] == '/' ? 1 : 0);
    }
    *found = at;
    return 0;
}

int node_path(const struct node* node, char* path, size_t capacity) {
    char reversed[PATH_BYTES];
    size_t start = sizeof(reversed);
    reversed[--start] = '\0';
    for (const struct node* at = node; at != root; at = at->parent) {
        size_t length = strlen(at->name);
        if (length + 1 > start) {
            return -ENAMETOOLONG;
        }
        start -= length;
        memcpy(&reversed[start], at->name, length);
        reversed[--start] = '/';
    }
    if (node == root) {
        reversed[--start] = '/';
    }
    if (sizeof(reversed) - start > capacity) {
        return -ENAMETOOLONG;
    }
    memcpy(path, &reversed[start], sizeof(reversed) - start);
    return (int)(sizeof(reversed) - start - 1);
}

size_t node_read(const struct node* node, unsigned offset, void* buffer, size_t bytes) {
    if (node->type != FILE_REGULAR || offset >= node->size) {
        return 0;
    }
    bytes = bytes < node->size - offset ? bytes : node->size - offset;
    memcpy(buffer, node->data + offset, bytes);
    return bytes;
}

void node_describe(const struct node* node, struct stat* description) {
    *description = (struct stat){node->type, node->size, node->inode, node->open_files};
}
