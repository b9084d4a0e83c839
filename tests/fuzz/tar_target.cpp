// Archives from anybody: the guest's reader and the host's say the same, and no name in one does harm.
#include "emu/symbols/symbolizer.hpp"
#include "targets.hpp"
#include "tests/unit/observe/tar_reading.hpp"

namespace forkscope::fuzz {

namespace {

constexpr std::size_t kBlock = 512, kSum = 148, kSumBytes = 8;

void put_sum(std::span<u8> head) {
    u32 sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i)
        sum += i >= kSum && i < kSum + kSumBytes ? ' ' : head[i];
    for (std::size_t i = 0; i < 6; ++i)
        head[kSum + i] = static_cast<u8>('0' + (sum >> 3 * (5 - i) & 7));
    head[kSum + 6] = 0;
    head[kSum + 7] = ' ';
}

// The input as it is, but with right sums in the blocks that a mask names.
std::vector<u8> mended(InputReader input) {
    const u32 which = input.take<u32>();
    std::vector<u8> archive(input.rest().begin(), input.rest().end());
    for (std::size_t at = 0; at + kBlock <= archive.size(); at += kBlock)
        if ((which >> at / kBlock % 32 & 1) != 0)
            put_sum(std::span(archive).subspan(at, kBlock));
    return archive;
}

// Members by their fields, each as long as its first byte says: name, link, prefix, magic, size, data.
std::vector<u8> made(InputReader input) {
    struct Field {
        std::size_t at, bytes;
    };
    constexpr Field kFields[] = {{0, 100}, {157, 100}, {345, 155}, {257, 8}, {124, 12}};
    constexpr u32 kMostMembers = 64; // more of them only take time
    std::vector<u8> archive;
    for (u32 member = 0; member < kMostMembers && !input.empty(); ++member) {
        std::vector<u8> head(kBlock);
        head[156] = input.take<u8>();
        const u8 given = input.take<u8>();
        for (std::size_t i = 0; i < std::size(kFields); ++i)
            if ((given >> i & 1) != 0) {
                const std::size_t size = input.take<u8>() % (kFields[i].bytes + 1);
                const std::span<const u8> field = input.part(size).rest();
                std::copy(field.begin(), field.end(), head.begin() + static_cast<std::ptrdiff_t>(kFields[i].at));
            }
        const std::span<const u8> data = input.part((given & 0x80) != 0 ? input.take<u8>() * 8u : 0).rest();
        if ((given & 0x10) == 0) // the size that is right
            for (std::size_t i = 0; i < 11; ++i)
                head[124 + i] = static_cast<u8>('0' + (data.size() >> 3 * (10 - i) & 7));
        put_sum(head);
        archive.insert(archive.end(), head.begin(), head.end());
        archive.insert(archive.end(), data.begin(), data.end());
        if ((given & 0x40) == 0)
            archive.resize((archive.size() + kBlock - 1) / kBlock * kBlock);
    }
    return archive;
}

} // namespace

void tar(std::span<const u8> input) {
    InputReader reader(input);
    const bool whole = (reader.take<u8>() & 1) != 0;
    const std::vector<u8> archive = whole ? mended(reader) : made(reader);
    const auto host = tar_reading::read_as_host(archive);
    const auto guest = tar_reading::read_as_guest(archive);
    if (host.good != guest.good)
        report(host.good ? "an archive that only the host reads" : "an archive that only the guest reads");
    if (!(host.entries == guest.entries))
        report("host and guest read an archive differently");
    Symbolizer symbols;
    const auto programs = symbols.add_programs_of_initrd(archive);
    if (programs.ok() != host.good || (programs.ok() && *programs > host.entries.size()))
        report("programs come of an archive that has none");
    for (const auto& entry : host.entries)
        if (entry.name.starts_with("/") || entry.name.starts_with("./") || entry.name.ends_with("/"))
            report("a name that is not plain");
}

} // namespace forkscope::fuzz
