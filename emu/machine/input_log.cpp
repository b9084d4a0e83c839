#include "emu/machine/input_log.hpp"

#include <array>
#include <cstring>

namespace forkscope {

// Five words an input: fields of their own would cost a name each.
void serialize_inputs(Archive& ar, std::string_view name, std::vector<InputEvent>& inputs) {
    constexpr std::size_t kWords = 5;
    constexpr u64 kMost = u64{1} << 28;
    constexpr u64 kMostBytes = sizeof InputEvent::data;
    if (!ar.loading()) {
        std::vector<u64> words;
        words.reserve(inputs.size() * kWords);
        for (const InputEvent& input : inputs)
            words.insert(words.end(),
                         {static_cast<u64>(input.kind) | u64{input.size} << 8 | static_cast<u64>(input.order) << 16,
                          input.data, input.address, input.cycle, input.instructions});
        return ar.sequence(name, words, kMost);
    }
    const std::span<const u8> bytes = ar.words_in_place(name, kMost);
    std::array<u64, kWords> words{};
    if (!ar.good())
        return;
    if (bytes.size() % sizeof words != 0)
        return ar.fail("an input is cut short");
    inputs.clear();
    inputs.reserve(bytes.size() / sizeof words);
    for (std::size_t at = 0; at < bytes.size(); at += sizeof words) {
        std::memcpy(words.data(), bytes.data() + at, sizeof words);
        const u64 kind = words[0] & 0xFF;
        const u64 size = words[0] >> 8 & 0xFF;
        const u64 order = words[0] >> 16;
        if (kind > static_cast<u64>(kLastInputKind) || size == 0 || size > kMostBytes ||
            order > static_cast<u64>(InputOrder::Next))
            return ar.fail("an input is of no kind that this program knows");
        inputs.push_back({static_cast<InputKind>(kind), static_cast<u8>(size), static_cast<InputOrder>(order), words[1],
                          words[2], words[3], words[4]});
    }
}

} // namespace forkscope
