#include "emu/files/code_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace forkscope {

namespace {

struct Mapping {
    explicit Mapping(u64 bytes) : size(bytes) {}
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() {
        for (void* const view : {writable, executable})
            if (view != MAP_FAILED)
                munmap(view, size);
    }
    u64 size;
    void* writable = MAP_FAILED;
    void* executable = MAP_FAILED;
};

} // namespace

CodeMemory map_code_memory(u64 size) {
    const int file = memfd_create("forkscope-code", MFD_CLOEXEC);
    auto mapping = std::make_shared<Mapping>(size);
    if (file >= 0 && ftruncate(file, static_cast<off_t>(size)) == 0) {
        mapping->writable = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        mapping->executable = mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    }
    if (file >= 0)
        close(file);
    if (mapping->writable == MAP_FAILED || mapping->executable == MAP_FAILED)
        return {};
    return {static_cast<u8*>(mapping->writable), static_cast<const u8*>(mapping->executable), size, mapping};
}

} // namespace forkscope
