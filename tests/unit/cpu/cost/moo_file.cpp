#include "moo_file.hpp"

#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <span>
#include <string_view>

namespace forkscope::test {

namespace {

using Bytes = std::span<const u8>;

u32 word(Bytes bytes, std::size_t at) {
    u32 value = 0;
    if (at + 4 <= bytes.size())
        std::memcpy(&value, bytes.data() + at, 4);
    return value;
}

// Calls `take` with the name and the content of each chunk.
void for_each_chunk(Bytes bytes, const std::function<void(std::string_view, Bytes)>& take) {
    while (bytes.size() >= 8) {
        const std::size_t size = word(bytes, 4);
        if (size > bytes.size() - 8)
            return;
        take({reinterpret_cast<const char*>(bytes.data()), 4}, bytes.subspan(8, size));
        bytes = bytes.subspan(8 + size);
    }
}

void read_registers(Bytes bytes, std::array<u32, kMooRegisters>& registers) {
    const u32 mask = word(bytes, 0);
    std::size_t at = 4;
    for (u32 i = 0; i < kMooRegisters; ++i) {
        if ((mask >> i & 1) == 0)
            continue;
        registers[i] = word(bytes, at);
        at += 4;
    }
}

void read_memory(Bytes bytes, std::vector<MooByte>& memory) {
    for (std::size_t at = 4; at + 5 <= bytes.size(); at += 5)
        memory.push_back({word(bytes, at), bytes[at + 4]});
}

void read_state(Bytes bytes, std::array<u32, kMooRegisters>& registers, std::vector<MooByte>& memory) {
    for_each_chunk(bytes, [&](std::string_view name, Bytes content) {
        if (name == "RG32")
            read_registers(content, registers);
        else if (name == "RAM ")
            read_memory(content, memory);
    });
}

void read_clocks(Bytes bytes, std::vector<MooClock>& clocks) {
    constexpr std::size_t kSize = 15;
    for (std::size_t at = 4; at + kSize <= bytes.size(); at += kSize)
        clocks.push_back({word(bytes, at + 1), bytes[at + 11], bytes[at + 12]});
}

MooTest read_test(Bytes bytes) {
    MooTest test;
    test.number = word(bytes, 0);
    for_each_chunk(bytes.subspan(4), [&](std::string_view name, Bytes content) {
        if (name == "NAME" && content.size() >= 4)
            test.name.assign(content.begin() + 4, content.end());
        else if (name == "BYTS" && content.size() >= 4)
            test.bytes.assign(content.begin() + 4, content.end());
        else if (name == "INIT")
            read_state(content, test.before, test.memory_before);
        else if (name == "EXCP" && !content.empty())
            test.exception = content[0];
        else if (name == "CYCL")
            read_clocks(content, test.clocks);
        if (name == "INIT")
            test.after = test.before;
        else if (name == "FINA")
            read_state(content, test.after, test.memory_after);
    });
    return test;
}

} // namespace

std::vector<MooTest> read_moo_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<u8> bytes{std::istreambuf_iterator<char>(file), {}};
    std::vector<MooTest> tests;
    for_each_chunk(bytes, [&](std::string_view name, Bytes content) {
        if (name == "TEST" && content.size() >= 4)
            tests.push_back(read_test(content));
    });
    return tests;
}

} // namespace forkscope::test
