#include "emu/symbols/elf_lines.hpp"

#include <algorithm>

#include "emu/base/archive.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostWords = u64{64} << 20;
// In a row's file number.
constexpr u32 kEndBit = u32{1} << 31, kNoStatementBit = u32{1} << 30, kPrologueBit = u32{1} << 29;
constexpr u32 kFlagBits = kEndBit | kNoStatementBit | kPrologueBit;

// Records as words, `Words` to a record: a name for each field would take ten times their place.
template <std::size_t Words, class Record, class Pack, class Unpack>
void serialize_words(Archive& ar, std::string_view what, std::vector<Record>& records, Pack pack, Unpack unpack) {
    std::vector<u32> words;
    words.reserve(records.size() * Words);
    for (const Record& record : records)
        for (const u32 word : pack(record))
            words.push_back(word);
    ar.sequence(what, words, kMostWords);
    if (!ar.loading())
        return;
    records.clear();
    for (std::size_t i = 0; i + Words <= words.size(); i += Words)
        records.push_back(unpack(&words[i]));
}

} // namespace

void LineTable::serialize(Archive& ar) {
    serialize_words<3>(
        ar, "rows", rows,
        [](const LineRow& row) {
            return std::array{row.address, row.line,
                              row.file | (row.end ? kEndBit : 0) | (row.statement ? 0 : kNoStatementBit) |
                                  (row.prologue_end ? kPrologueBit : 0)};
        },
        [](const u32* word) {
            return LineRow{word[0],
                           word[1],
                           word[2] & ~kFlagBits,
                           (word[2] & kEndBit) != 0,
                           (word[2] & kNoStatementBit) == 0,
                           (word[2] & kPrologueBit) != 0};
        });
    ar.sequence("files", files, kMostWords);
    ar.sequence("included", included, kMostWords);
    serialize_words<2>(
        ar, "inlines", inlines,
        [](const InlineRow& row) {
            return std::array{row.start, row.site};
        },
        [](const u32* word) {
            return InlineRow{word[0], word[1]};
        });
    ar.sequence("names", names, kMostWords);
    serialize_words<4>(
        ar, "sites", sites,
        [](const InlineSite& site) {
            return std::array{site.name, site.file, site.line, site.around};
        },
        [](const u32* word) {
            return InlineSite{word[0], word[1], word[2], word[3]};
        });
    const auto strange = [this](const InlineSite& site) {
        return site.name >= names.size() || site.file >= files.size();
    };
    if (ar.loading() && ar.good() && std::any_of(sites.begin(), sites.end(), strange))
        ar.fail("an inlined call has no name");
}

const LineRow* LineTable::find(u32 address) const {
    const auto after = std::upper_bound(rows.begin(), rows.end(), address,
                                        [](u32 value, const LineRow& row) { return value < row.address; });
    return after == rows.begin() || std::prev(after)->end ? nullptr : &*std::prev(after);
}

const LineRow* LineTable::find_statement(u32 address) const {
    const LineRow* const last = find(address);
    if (last == nullptr)
        return nullptr;
    for (const LineRow* row = last; row->address == last->address && !row->end; --row) {
        if (row->statement)
            return row;
        if (row == rows.data())
            break;
    }
    return last;
}

const InlineSite* LineTable::inlined_at(u32 address) const {
    const auto after = std::upper_bound(inlines.begin(), inlines.end(), address,
                                        [](u32 value, const InlineRow& row) { return value < row.start; });
    const u32 site = after == inlines.begin() ? kNoSite : std::prev(after)->site;
    return site < sites.size() ? &sites[site] : nullptr;
}

} // namespace forkscope
