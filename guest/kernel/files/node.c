/* The tree of names: built from the initrd at boot, read-only afterwards. */
#include "guest/kernel/boot_info.h"
#include "guest/kernel/files/file.h"
#include "guest/kernel/files/tar.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/print.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/string.h"

static struct node* root;
static unsigned last_inode;

/* Puts a node into its directory, whose entries are sorted by name. */
static void insert(struct node* directory, struct node* node) {
    struct node** place = &directory->children;
    while (*place != NULL && strcmp((*place)->name, node->name) < 0) {
        place = &(*place)->sibling;
    }
    node->parent = directory;
    node->sibling = *place;
    *place = node;
}

/* Makes a node below a directory, or the root without one; boot only. Panics if out of memory, for nothing can start
 * then. */
static struct node* make_node(struct node* directory, const char* name, size_t length, unsigned type) {
    struct node* node = kzalloc(sizeof(*node) + length + 1);
    if (node == NULL) {
        panic("too little memory for the files of the initrd");
    }
    memcpy(node->name, name, length);
    node->type = type;
    node->inode = ++last_inode;
    node->parent = node;
    if (directory != NULL) {
        insert(directory, node);
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

/* Returns the length of the name at the start of a path. */
static size_t component(const char* path, const char* end) {
    const char* at = path;
    while (at < end && *at != '/') {
        at++;
    }
    return (size_t)(at - path);
}

static bool is_dot(const char* name, size_t length) { return length == 1 && name[0] == '.'; }

static bool is_dot_dot(const char* name, size_t length) { return length == 2 && name[0] == '.' && name[1] == '.'; }

/* Goes from a node along a path. 0 and *found, or -ENOENT, -ENOTDIR. */
static int walk(struct node* at, const char* path, const char* end, struct node** found) {
    while (path < end) {
        size_t length = component(path, end);
        if (at->type != FILE_DIRECTORY) {
            return -ENOTDIR;
        }
        if (is_dot_dot(path, length)) {
            at = at->parent;
        } else if (length > 0 && !is_dot(path, length)) {
            at = find_child(at, path, length);
        }
        if (at == NULL) {
            return -ENOENT;
        }
        at = at->link != NULL ? at->link : at;
        path += length + (path + length < end ? 1 : 0);
    }
    *found = at;
    return 0;
}

/* Makes what a path of the archive names below a directory, and the directories on the way. NULL where a name is longer
 * than a directory entry can hold, or something on the way is no directory. */
static struct node* make_path(struct node* at, struct tar_text path, unsigned type) {
    const char* end = path.at + path.length;
    while (path.length > 0 && end[-1] == '/') {
        end--;
        path.length--;
    }
    for (const char* name = path.at; at != NULL && name < end;) {
        size_t length = component(name, end);
        bool last = name + length == end;
        if (at->type != FILE_DIRECTORY || length > NAME_LENGTH || is_dot_dot(name, length)) {
            return NULL;
        }
        if (length > 0 && !is_dot(name, length)) {
            struct node* child = find_child(at, name, length);
            at = child != NULL ? child : make_node(at, name, length, last ? type : FILE_DIRECTORY);
        }
        name += length + (last ? 0 : 1);
    }
    return at;
}

/* Makes the second name of a file that the archive has already. False if it has none, or a directory. */
static bool make_link(struct node* node, struct tar_text path) {
    struct node* target;
    if (walk(root, path.at, path.at + path.length, &target) < 0 || target->type != FILE_REGULAR) {
        return false;
    }
    node->link = target != node ? target : NULL;
    return true;
}

/* Makes the node of one member; its bytes stay where the loader put them. False if the tree cannot hold it. */
static bool make_entry(const struct tar_entry* entry) {
    struct node* at = make_path(root, entry->prefix, FILE_DIRECTORY);
    struct node* node;
    switch (entry->type) {
    case TAR_DIRECTORY:
        node = make_path(at, entry->name, FILE_DIRECTORY);
        return node != NULL && node->type == FILE_DIRECTORY;
    case TAR_FILE:
        node = make_path(at, entry->name, FILE_REGULAR);
        if (node == NULL || node->type != FILE_REGULAR) {
            return false;
        }
        node->link = NULL;
        node->data = entry->data;
        node->size = entry->size;
        return true;
    case TAR_HARD_LINK:
        node = make_path(at, entry->name, FILE_REGULAR);
        return node != NULL && node->type == FILE_REGULAR && make_link(node, entry->link);
    default:
        return false;
    }
}

/* Makes nodes for the members of the archive; says which are left out: symbolic links, devices, names too long. */
static void read_archive(const uint8_t* start, const uint8_t* end) {
    struct tar_reader reader = {start, end};
    struct tar_entry entry;
    enum tar_result result;
    while ((result = tar_next(&reader, &entry)) == TAR_ENTRY) {
        if (!make_entry(&entry)) {
            char name[64];
            size_t length = entry.name.length < sizeof(name) - 1 ? entry.name.length : sizeof(name) - 1;
            memcpy(name, entry.name.at, length);
            name[length] = '\0';
            printk("initrd: %s is left out\n", name);
        }
    }
    if (result == TAR_DAMAGED) {
        panic("the initrd is not a tar archive, or damaged: bad header checksum at offset %u", reader.at - start);
    }
    if (result == TAR_CUT_OFF) {
        panic("the initrd is cut off: what begins at offset %u is longer than the rest", reader.at - start);
    }
}

/* Makes one of the devices. */
static void make_device(const char* path, enum device device) {
    make_path(root, (struct tar_text){path, strlen(path)}, FILE_DEVICE)->device = device;
}

void files_init(void) {
    root = make_node(NULL, "", 0, FILE_DIRECTORY);
    if (boot_info.initrd_end > boot_info.initrd_start) {
        read_archive(phys_to_pointer(boot_info.initrd_start), phys_to_pointer(boot_info.initrd_end));
    }
    make_device("dev/null", DEVICE_NULL);
    make_device("dev/zero", DEVICE_ZERO);
    make_device("dev/console", DEVICE_CONSOLE);
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
    return walk(at, path, path + strlen(path), found);
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
