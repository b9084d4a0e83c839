/* The tree of names: built from the initrd at boot, read-only afterwards but for what lies below /tmp. */
#include "guest/kernel/boot_info.h"
#include "guest/kernel/files/file.h"
#include "guest/kernel/files/ram.h"
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

/* Makes a node below a directory, or the root without one; NULL if out of memory. Its name is at its end. */
static struct node* new_node(struct node* directory, const char* name, size_t length, unsigned type) {
    struct node* node = kzalloc(sizeof(*node) + length + 1);
    if (node == NULL) {
        return NULL;
    }
    node->name = (char*)(node + 1);
    memcpy(node->name, name, length);
    node->type = type;
    node->inode = ++last_inode;
    node->parent = node;
    if (directory != NULL) {
        insert(directory, node);
    }
    return node;
}

/* The same at boot. Panics if out of memory, for nothing can start then. */
static struct node* make_node(struct node* directory, const char* name, size_t length, unsigned type) {
    struct node* node = new_node(directory, name, length, type);
    if (node == NULL) {
        panic("too little memory for the files of the initrd");
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
    ram_init();
    root = make_node(NULL, "", 0, FILE_DIRECTORY);
    if (boot_info.initrd_end > boot_info.initrd_start) {
        read_archive(phys_to_pointer(boot_info.initrd_start), phys_to_pointer(boot_info.initrd_end));
    }
    make_device("dev/null", DEVICE_NULL);
    make_device("dev/zero", DEVICE_ZERO);
    make_device("dev/console", DEVICE_CONSOLE);
    struct node* tmp = make_path(root, (struct tar_text){"tmp", 3}, FILE_DIRECTORY);
    tmp->in_ram = tmp->type == FILE_DIRECTORY;
}

struct node* node_root(void) {
    return root;
}

void node_share(struct node* node) { node->references++; }

void node_release(struct node* node) {
    KERNEL_ASSERT(node->references > 0);
    node->references--;
    node_drop(node);
}

void node_drop(struct node* node) {
    if (node->parent != NULL || node->open_files > 0 || node->references > 0) {
        return;
    }
    ram_free(node);
    if (node->name != (char*)(node + 1)) {
        kfree(node->name);
    }
    kfree(node);
}

/* Returns where a path begins. */
static struct node* start_of(const char* path) {
    return path[0] == '/' || current_process->working_directory == NULL ? root : current_process->working_directory;
}

int node_find(const char* path, struct node** found) {
    if (path[0] == '\0') {
        return -ENOENT;
    }
    return walk(start_of(path), path, path + strlen(path), found);
}

/* A place for a name: its directory, which can be changed, and what the name is now, if anything. */
struct place {
    struct node* directory;
    const char* name;
    size_t length;
    struct node* node;
};

/* Finds the place that a path names. 0, or -ENOENT, -ENOTDIR, -EINVAL, -ENAMETOOLONG. */
static int find_place(const char* path, struct place* place) {
    const char* end = path + strlen(path);
    while (end > path && end[-1] == '/') {
        end--;
    }
    place->name = end;
    while (place->name > path && place->name[-1] != '/') {
        place->name--;
    }
    place->length = (size_t)(end - place->name);
    if (path[0] == '\0') {
        return -ENOENT;
    }
    if (place->length == 0 || is_dot(place->name, place->length) || is_dot_dot(place->name, place->length)) {
        return -EINVAL;
    }
    int error = walk(start_of(path), path, place->name, &place->directory);
    if (error < 0) {
        return error;
    }
    if (place->directory->type != FILE_DIRECTORY) {
        return -ENOTDIR;
    }
    if (place->directory->parent == NULL) {
        return -ENOENT;
    }
    place->node = find_child(place->directory, place->name, place->length);
    return place->length > NAME_LENGTH ? -ENAMETOOLONG : 0;
}

/* Takes a node out of its directory. */
static void detach(struct node* node) {
    struct node** link = &node->parent->children;
    while (*link != node) {
        link = &(*link)->sibling;
    }
    *link = node->sibling;
    node->parent = node->sibling = NULL;
}

/* Says why what is at a place cannot be removed by a call for files or for directories, or 0. */
static int check_removal(const struct place* place, unsigned type) {
    if (place->node == NULL) {
        return -ENOENT;
    }
    if (!place->directory->in_ram || !place->node->in_ram) {
        return -EROFS;
    }
    if (place->node->type != type) {
        return type == FILE_DIRECTORY ? -ENOTDIR : -EISDIR;
    }
    return place->node->children != NULL ? -ENOTEMPTY : 0;
}

int node_create(const char* path, unsigned type, struct node** made) {
    struct place place;
    int error = find_place(path, &place);
    if (error < 0) {
        return error;
    }
    if (place.node != NULL) {
        return -EEXIST;
    }
    if (!place.directory->in_ram) {
        return -EROFS;
    }
    *made = new_node(place.directory, place.name, place.length, type);
    if (*made == NULL) {
        return -ENOMEM;
    }
    (*made)->in_ram = true;
    return 0;
}

int node_remove(const char* path, unsigned type) {
    struct place place;
    int error = find_place(path, &place);
    if (error == 0) {
        error = check_removal(&place, type);
    }
    if (error < 0) {
        return error;
    }
    detach(place.node);
    node_drop(place.node);
    return 0;
}

/* Says whether a directory lies in another, or is it. */
static bool lies_in(const struct node* directory, const struct node* other) {
    while (directory != other && directory != root) {
        directory = directory->parent;
    }
    return directory == other;
}

/* Says why a node cannot take over a place, or 0. */
static int check_target(const struct place* from, const struct place* to) {
    if (!to->directory->in_ram) {
        return -EROFS;
    }
    if (lies_in(to->directory, from->node)) {
        return -EINVAL;
    }
    return to->node != NULL ? check_removal(to, from->node->type) : 0;
}

int node_rename(const char* from, const char* to) {
    struct place source, target;
    int error = find_place(from, &source);
    if (error == 0) {
        error = find_place(to, &target);
    }
    if (error == 0 && source.node == NULL) {
        error = -ENOENT;
    }
    if (error < 0 || target.node == source.node) {
        return error;
    }
    if (!source.directory->in_ram || !source.node->in_ram) {
        return -EROFS;
    }
    error = check_target(&source, &target);
    if (error < 0) {
        return error;
    }
    char* name = kzalloc(target.length + 1);
    if (name == NULL) {
        return -ENOMEM;
    }
    memcpy(name, target.name, target.length);
    if (target.node != NULL) {
        detach(target.node);
        node_drop(target.node);
    }
    detach(source.node);
    if (source.node->name != (char*)(source.node + 1)) {
        kfree(source.node->name);
    }
    source.node->name = name;
    insert(target.directory, source.node);
    return 0;
}

int node_path(const struct node* node, char* path, size_t capacity) {
    char reversed[PATH_BYTES];
    size_t start = sizeof(reversed);
    reversed[--start] = '\0';
    for (const struct node* at = node; at != root; at = at->parent) {
        if (at->parent == NULL) {
            return -ENOENT;
        }
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
    if (node->type != FILE_REGULAR || node->in_ram || offset >= node->size) {
        return 0;
    }
    bytes = bytes < node->size - offset ? bytes : node->size - offset;
    memcpy(buffer, node->data + offset, bytes);
    return bytes;
}

void node_describe(const struct node* node, struct stat* description) {
    *description = (struct stat){node->type, node->size, node->inode, node->open_files};
}
