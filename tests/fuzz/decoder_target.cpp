// Any bytes decode to something that says its own length, reads nothing beyond it, and has a text.
#include <memory>

#include "cpu/decode/decoder.hpp"
#include "targets.hpp"

namespace forkscope::fuzz {

namespace {

constexpr u32 kMostBytes = 15;

// In memory of exactly that size, so that a sanitizer sees any byte read beyond.
DecodeStatus decode_exactly(std::span<const u8> bytes, CodeMode mode, Instruction& in) {
    const auto copy = std::make_unique<u8[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.get());
    return decode({copy.get(), bytes.size()}, mode, in);
}

void check(std::span<const u8> bytes, CodeMode mode) {
    Instruction in;
    const DecodeStatus status = decode_exactly(bytes, mode, in);
    if (status == DecodeStatus::Truncated) {
        if (bytes.size() >= kMostBytes)
            report("fifteen bytes are called too few");
        return;
    }
    if (status == DecodeStatus::TooLong)
        return;
    if (in.length == 0 || in.length > kMostBytes || in.length > bytes.size())
        report("a length that cannot be");
    if ((status == DecodeStatus::Ok) != (in.form != 0) || in.form >= form_count())
        report("a status that does not fit the form");
    if (to_text(in, 0x1000).empty())
        report("an instruction without a text");
    Instruction again;
    if (decode_exactly(bytes.first(in.length), mode, again) != status || again.form != in.form ||
        again.length != in.length)
        report("bytes behind the instruction change it");
    if (status == DecodeStatus::Ok &&
        decode_exactly(bytes.first(in.length - 1u), mode, again) != DecodeStatus::Truncated)
        report("an instruction is complete without its last byte");
}

} // namespace

void decoder(std::span<const u8> input) {
    for (std::size_t at = 0; at < input.size(); ++at)
        for (const bool wide : {false, true})
            check(input.subspan(at, std::min<std::size_t>(kMostBytes + 1, input.size() - at)), CodeMode{wide});
}

} // namespace forkscope::fuzz
