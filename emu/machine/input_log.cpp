#include "emu/machine/input_log.hpp"

namespace forkscope {

// Four words an input: fields of their own would cost a name each.
void serialize_inputs(Archive& ar, std::string_view name, std::vector<InputEvent>& inputs) {
    constexpr std::size_t kWords = 4;
    constexpr u64 kMost = u64{1} << 28;
    constexpr u64 kMostBytes = sizeof InputEvent::data;
    std::vector<u64> words;
    for (const InputEvent& input : inputs)
        words.insert(words.end(), {static_cast<u64>(input.kind) | u64{input.size} << 8, input.data, input.cycle,
                                   input.instructions});
    ar.sequence(name, words, kMost);
    if (!ar.loading() || !ar.good())
        return;
    if (words.size() % kWords != 0)
        return ar.fail("an input is cut short");
    inputs.clear();
    for (std::size_t i = 0; i < words.size(); i += kWords) {
        const u64 kind = words[i] & 0xFF;
        const u64 size = words[i] >> 8;
        if (kind > static_cast<u64>(InputKind::SerialByte) || size == 0 || size > kMostBytes)
            return ar.fail("an input is of no kind that this program knows");
        inputs.push_back(
            {static_cast<InputKind>(kind), static_cast<u8>(size), words[i + 1], words[i + 2], words[i + 3]});
    }
}

} // namespace forkscope
