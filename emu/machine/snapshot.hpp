// Owns: Snapshot, a machine's state as named sections, each with the version of its layout; where sections come from.
// Callers: the Machine makes and takes them; emu/session keeps them in files. Promises: plain bytes; memory is in
// pieces of 1 MB, of which those of zeros are left out.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

struct SnapshotSection {
    std::string name;
    u32 version = 0;
    std::vector<u8> bytes;
};

// No section is larger: what is read from anybody's file takes so much memory at most.
inline constexpr u64 kMostSectionBytes = u64{32} << 20;

// Sections by number, in memory or in a file. Reading one twice gives the same bytes.
class SnapshotSource {
  public:
    struct Entry {
        std::string name;
        u32 version = 0;
    };
    virtual ~SnapshotSource() = default;
    virtual std::size_t count() const = 0;
    virtual Entry entry(std::size_t number) const = 0;
    // At most kMostSectionBytes.
    virtual Result<std::vector<u8>> read(std::size_t number) const = 0;
};

class Snapshot final : public SnapshotSource {
  public:
    void add(SnapshotSection section) { sections_.push_back(std::move(section)); }
    std::vector<SnapshotSection>& sections() { return sections_; }
    const std::vector<SnapshotSection>& sections() const { return sections_; }
    const SnapshotSection* find(std::string_view name) const {
        for (const SnapshotSection& section : sections_)
            if (section.name == name)
                return &section;
        return nullptr;
    }

    std::size_t count() const override { return sections_.size(); }
    Entry entry(std::size_t number) const override { return {sections_[number].name, sections_[number].version}; }
    Result<std::vector<u8>> read(std::size_t number) const override { return sections_[number].bytes; }

  private:
    std::vector<SnapshotSection> sections_;
};

} // namespace forkscope
