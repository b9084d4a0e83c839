// Owns: one archive as the host and as the guest read it, in one form, so that they can be compared.
// Callers: tests and the fuzzer of archives; they compile guest/kernel/files/tar.c for the host. Promises: what is bad
// for a reader is not good and has no entries.
#pragma once

#include <map>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "emu/symbols/tar.hpp"

extern "C" {
#include "guest/kernel/files/tar.h"
}

namespace forkscope::tar_reading {

struct Entry {
    std::string name;
    bool directory;
    std::string data;

    bool operator==(const Entry& other) const {
        return name == other.name && directory == other.directory && data == other.data;
    }
};

inline void PrintTo(const Entry& entry, std::ostream* out) {
    *out << entry.name << (entry.directory ? "/" : "") << " with " << entry.data.size() << " bytes";
}

struct Reading {
    bool good = false;
    std::vector<Entry> entries;
};

inline Reading read_as_host(std::span<const u8> archive) {
    Reading reading;
    const auto entries = read_tar(archive);
    reading.good = entries.ok();
    if (entries.ok())
        for (const TarEntry& entry : *entries)
            reading.entries.push_back({entry.name, entry.directory, {entry.data.begin(), entry.data.end()}});
    return reading;
}

inline std::string text(const tar_text& text) { return {text.at, text.length}; }

inline Reading read_as_guest(std::span<const u8> archive) {
    Reading reading;
    std::map<std::string, std::string> files;
    tar_reader reader{archive.data(), archive.data() + archive.size()};
    tar_entry entry{};
    tar_result result = TAR_ENTRY;
    while ((result = tar_next(&reader, &entry)) == TAR_ENTRY) {
        const std::string path =
            entry.prefix.length != 0 ? text(entry.prefix) + "/" + text(entry.name) : text(entry.name);
        const auto target = files.find(plain_tar_name(text(entry.link)));
        std::string data(entry.data, entry.data + entry.size);
        if (entry.type == TAR_OTHER || (entry.type == TAR_HARD_LINK && target == files.end()))
            continue;
        if (entry.type == TAR_HARD_LINK)
            data = target->second;
        if (entry.type != TAR_DIRECTORY)
            files[plain_tar_name(path)] = data;
        reading.entries.push_back({plain_tar_name(path), entry.type == TAR_DIRECTORY, data});
    }
    reading.good = result == TAR_END;
    if (!reading.good)
        reading.entries.clear(); // the host gives all or nothing, and the guest does not start
    return reading;
}

} // namespace forkscope::tar_reading
