#include "cpu/decode/decoder.hpp"

#include <cstdio>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "form_encoder.hpp"

namespace forkscope::test {
namespace {

constexpr CodeMode k16{false};
constexpr CodeMode k32{true};

std::string describe(const Instruction& in) {
    char text[200];
    std::snprintf(text, sizeof(text),
                  "form %u length %u sizes %u/%u flags %02x segment %u base %u index %u scale %u disp %x reg %u rm %u "
                  "immediate %x/%x",
                  in.form, in.length, in.operand_size, in.address_size, in.flags, in.segment, in.base, in.index,
                  in.scale, in.displacement, in.reg, in.rm, in.immediate, in.immediate2);
    return text;
}

std::string hex(const std::vector<u8>& bytes) {
    std::string text;
    char digits[4];
    for (const u8 byte : bytes) {
        std::snprintf(digits, sizeof(digits), "%02x ", byte);
        text += digits;
    }
    return text;
}

// describe() names every field that decoding sets, so equal texts are equal instructions.
void expect_round_trip(const Encoded& encoded, CodeMode mode) {
    Instruction in;
    const DecodeStatus status = decode(encoded.bytes, mode, in);
    if (status != DecodeStatus::Ok || in.form != encoded.expected.form || in.base != encoded.expected.base ||
        describe(in) != describe(encoded.expected)) {
        ADD_FAILURE() << form_at(encoded.expected.form).mnemonic << ": " << hex(encoded.bytes) << "\n  expected "
                      << describe(encoded.expected) << "\n  decoded  " << describe(in) << " status "
                      << static_cast<int>(status);
    }
}

struct Sizes {
    CodeMode mode;
    u8 operand_size;
    u8 address_size;
};
const std::vector<Sizes>& every_size() {
    static const std::vector<Sizes> sizes = {{k16, 2, 2}, {k16, 2, 4}, {k16, 4, 2}, {k16, 4, 4},
                                             {k32, 2, 2}, {k32, 2, 4}, {k32, 4, 2}, {k32, 4, 4}};
    return sizes;
}

Choice choice_of(const Sizes& sizes) {
    Choice choice;
    choice.mode = sizes.mode;
    choice.operand_size = sizes.operand_size;
    choice.address_size = sizes.address_size;
    return choice;
}

bool fits_in_an_instruction(const Encoded& encoded) { return encoded.bytes.size() <= 15; }

TEST(Decoder, RoundTripsEveryFormWithRegisters) {
    for (u16 form = 1; form < form_count(); ++form) {
        if ((form_at(form).attributes & kMemoryOnly) != 0)
            continue;
        for (const Sizes& sizes : every_size()) {
            for (u8 reg = 0; reg < 8; ++reg) {
                for (u8 rm = 0; rm < 8; ++rm) {
                    Choice choice = choice_of(sizes);
                    choice.reg = reg;
                    choice.rm = rm;
                    if (is_valid_reg(form_at(form), reg))
                        expect_round_trip(encode(form, choice), sizes.mode);
                }
            }
        }
    }
}

// Every memory operand with every encoding once, going round the forms, so that each form meets many of them.
TEST(Decoder, RoundTripsEveryFormWithMemory) {
    std::set<u16> met;
    u64 count = 0;
    for (const Sizes& sizes : every_size()) {
        const std::vector<MemoryOperand> operands = every_memory_operand(sizes.address_size);
        for (u16 form = 1; form < form_count(); ++form) {
            const Form& row = form_at(form);
            if (!has_mod_rm(row) || ignores_mod(row) || row.group >= 0xC0 || (row.attributes & kRegisterOnly) != 0)
                continue;
            met.insert(form);
            for (size_t i = form % 7; i < operands.size(); i += 7) {
                Choice choice = choice_of(sizes);
                choice.memory = &operands[i];
                for (const AddressBytes& address : encode_address(operands[i], sizes.address_size)) {
                    choice.address = &address;
                    choice.reg = static_cast<u8>(++count % 6);
                    choice.segment = static_cast<u8>(count / 5 % 7);
                    choice.lock = (row.attributes & kLockable) != 0 && count % 3 == 0;
                    const Encoded encoded = encode(form, choice);
                    if (is_valid_reg(row, choice.reg) && fits_in_an_instruction(encoded))
                        expect_round_trip(encoded, sizes.mode);
                }
            }
        }
    }
    EXPECT_GT(met.size(), 150u);
    EXPECT_GT(count, 500'000u);
}

TEST(Decoder, RoundTripsEverySegmentOverrideAndImmediate) {
    for (u16 form = 1; form < form_count(); ++form) {
        for (const Sizes& sizes : every_size()) {
            for (const u32 immediate : {0u, 1u, 0x7Fu, 0x80u, 0xFFu, 0x7FFFu, 0x8000u, 0x7FFFFFFFu, 0x80000000u, ~0u}) {
                for (u8 segment = 0; segment <= kSegmentCount; ++segment) {
                    Choice choice = choice_of(sizes);
                    choice.immediate = immediate;
                    choice.immediate2 = static_cast<u16>(~immediate);
                    choice.segment = segment;
                    if ((form_at(form).attributes & kMemoryOnly) == 0)
                        expect_round_trip(encode(form, choice), sizes.mode);
                }
            }
        }
    }
}

DecodeStatus status_of(std::vector<u8> bytes, CodeMode mode = k32) {
    bytes.resize(bytes.size() + 15); // zeros after it, so that it is never truncated
    Instruction in;
    return decode(bytes, mode, in);
}

TEST(Decoder, AllowsLockOnlyForListedFormsWithMemoryDestination) {
    u32 allowed = 0;
    const MemoryOperand operand{kEbx, kNoRegister, 0, 0};
    const AddressBytes address = {0x03};
    for (u16 form = 1; form < form_count(); ++form) {
        const Form& row = form_at(form);
        Choice choice = choice_of({k32, 4, 4});
        choice.lock = true;
        if ((row.attributes & kMemoryOnly) == 0) {
            Instruction in;
            EXPECT_EQ(decode(encode(form, choice).bytes, k32, in), DecodeStatus::Undefined) << row.mnemonic;
            EXPECT_EQ(in.form, 0);
        }
        if (!has_mod_rm(row) || ignores_mod(row) || row.group >= 0xC0 || (row.attributes & kRegisterOnly) != 0)
            continue;
        choice.memory = &operand;
        choice.address = &address;
        const bool lockable = (row.attributes & kLockable) != 0;
        allowed += lockable;
        EXPECT_EQ(status_of(encode(form, choice).bytes), lockable ? DecodeStatus::Ok : DecodeStatus::Undefined)
            << row.mnemonic;
    }
    // SDM 2A, LOCK: ADD OR ADC SBB AND SUB XOR (6 forms each), NOT NEG INC DEC XCHG CMPXCHG XADD (2 each),
    // BTS BTR BTC (2 each), CMPXCHG8B.
    EXPECT_EQ(allowed, 7u * 6 + 7 * 2 + 3 * 2 + 1);
}

TEST(Decoder, KnowsWhatIsUndefined) {
    const std::vector<std::vector<u8>> undefined = {
        {0x8E, 0xC8},       // mov cs, ax
        {0x8E, 0xF0},       // segment register 6
        {0x8C, 0xF8},       // segment register 7
        {0x8D, 0xC0},       // lea of a register
        {0xC4, 0xC0},       // les of a register
        {0x0F, 0x20, 0xC8}, // mov eax, cr1
        {0x0F, 0x22, 0xE8}, // mov cr5, eax
        {0x0F, 0x01, 0xF8}, // invlpg of a register
        {0x0F, 0x01, 0x28}, // 0F 01 /5
        {0xFE, 0x10},       // FE /2
        {0xFF, 0x38},       // FF /7
        {0xFF, 0xD8},       // far call of a register
        {0x8F, 0xC8},       // 8F /1
        {0x0F, 0xC7, 0xC8}, // cmpxchg8b of a register
    };
    for (const std::vector<u8>& bytes : undefined)
        EXPECT_EQ(status_of(bytes), DecodeStatus::Undefined) << hex(bytes);
}

TEST(Decoder, TakesMovOfControlRegistersAsRegistersWhateverModSays) {
    for (const u8 mod_rm : {0x04, 0x45, 0x84, 0xC4}) { // rm 4 and 5 would ask for a SIB byte and a displacement
        const std::vector<u8> bytes = {0x0F, 0x22, mod_rm};
        Instruction in;
        ASSERT_EQ(decode(bytes, k32, in), DecodeStatus::Ok);
        EXPECT_EQ(in.length, 3);
        EXPECT_EQ(in.rm, mod_rm & 7);
        EXPECT_FALSE(in.has_memory());
    }
}

TEST(Decoder, LetsTheLastPrefixOfAGroupWin) {
    Instruction in;
    ASSERT_EQ(decode(std::vector<u8>{0x2E, 0x65, 0x36, 0x8B, 0x00}, k32, in), DecodeStatus::Ok);
    EXPECT_EQ(in.segment, kSs);
    ASSERT_EQ(decode(std::vector<u8>{0xF2, 0xF3, 0xA6}, k32, in), DecodeStatus::Ok);
    EXPECT_EQ(in.flags, kHasRep);
    ASSERT_EQ(decode(std::vector<u8>{0xF3, 0xF2, 0xA6}, k32, in), DecodeStatus::Ok);
    EXPECT_EQ(in.flags, kHasRepne);
    ASSERT_EQ(decode(std::vector<u8>{0x66, 0x66, 0x67, 0x67, 0x8B, 0x07}, k32, in), DecodeStatus::Ok);
    EXPECT_EQ(in.operand_size, 2);
    EXPECT_EQ(in.address_size, 2);
}

TEST(Decoder, RefusesMoreThanFifteenBytes) {
    // Ten prefixes and mov eax, imm32 make 15 bytes; one prefix more makes 16.
    std::vector<u8> bytes(40, 0x3E);
    bytes[11] = 0xB8;
    const std::span<const u8> fifteen = std::span(bytes).subspan(1);
    Instruction in;
    ASSERT_EQ(decode(fifteen, k32, in), DecodeStatus::Ok);
    EXPECT_EQ(in.length, 15);
    EXPECT_EQ(decode(bytes, k32, in), DecodeStatus::TooLong);
    EXPECT_EQ(decode(std::span(bytes).first(15), k32, in), DecodeStatus::TooLong);
    EXPECT_EQ(decode(std::span(bytes).first(14), k32, in), DecodeStatus::Truncated);

    const std::vector<u8> prefixes(64, 0x66);
    EXPECT_EQ(decode(prefixes, k32, in), DecodeStatus::TooLong);
    EXPECT_EQ(decode(std::span(prefixes).first(14), k32, in), DecodeStatus::Truncated);
}

// The copy is exactly as long as it may be read, so that a sanitizer sees a byte too many.
DecodeStatus decode_exactly(const u8* bytes, u32 size, CodeMode mode, Instruction& in) {
    const std::unique_ptr<u8[]> copy(new u8[size]);
    std::copy_n(bytes, size, copy.get());
    return decode({copy.get(), size}, mode, in);
}

TEST(Decoder, WantsMoreBytesAtEveryShorterLengthAndReadsNoneBeyond) {
    Random random(1);
    u8 bytes[24];
    u64 decoded = 0;
    for (int i = 0; i < 200'000; ++i) {
        for (u8& byte : bytes)
            byte = static_cast<u8>(random.next());
        if (random.chance(2))
            bytes[0] = 0x0F;
        const CodeMode mode{random.chance(2)};
        Instruction in;
        const DecodeStatus whole = decode(bytes, mode, in);
        ASSERT_NE(whole, DecodeStatus::Truncated);
        if (whole != DecodeStatus::Ok)
            continue;
        ++decoded;
        ASSERT_GE(in.length, 1);
        ASSERT_LE(in.length, 15);
        Instruction again;
        for (u32 size = 0; size < in.length; ++size)
            ASSERT_EQ(decode_exactly(bytes, size, mode, again), DecodeStatus::Truncated) << describe(in);
        ASSERT_EQ(decode_exactly(bytes, in.length, mode, again), DecodeStatus::Ok);
        ASSERT_EQ(describe(again), describe(in)) << "bytes after the instruction changed it";
    }
    EXPECT_GT(decoded, 100'000u);
}

TEST(Decoder, MakesTheSameOfTheSameBytesAndPrintsAnything) {
    Random random(2);
    u8 bytes[16];
    for (int i = 0; i < 200'000; ++i) {
        for (u8& byte : bytes)
            byte = static_cast<u8>(random.next());
        const u64 size = random.below(17);
        const CodeMode mode{random.chance(2)};
        Instruction first;
        Instruction second;
        second.form = 77; // whatever was there before does not matter
        second.base = kEsi;
        ASSERT_EQ(decode({bytes, size}, mode, first), decode({bytes, size}, mode, second));
        ASSERT_EQ(describe(first), describe(second));
        ASSERT_FALSE(to_text(first, 0x1000).empty());
        ASSERT_LE(first.length, size);
    }
}

std::string text_of(std::vector<u8> bytes, CodeMode mode = k32) {
    bytes.resize(15);
    Instruction in;
    return decode(bytes, mode, in) == DecodeStatus::Ok ? to_text(in, 0x1000) : "(undefined)";
}

TEST(Decoder, WritesIntelSyntax) {
    EXPECT_EQ(text_of({0x8B, 0x43, 0x04}), "mov eax, dword ptr [ebx+4]");
    EXPECT_EQ(text_of({0x8B, 0x44, 0x8D, 0xF0}), "mov eax, dword ptr [ebp+ecx*4-0x10]");
    EXPECT_EQ(text_of({0x64, 0x66, 0xA1, 0x10, 0, 0, 0}), "mov ax, word ptr fs:[0x10]");
    EXPECT_EQ(text_of({0x8A, 0x62, 0xFF}, k16), "mov ah, byte ptr [bp+si-1]");
    EXPECT_EQ(text_of({0xF0, 0x0F, 0xC1, 0x08}), "lock xadd dword ptr [eax], ecx");
    EXPECT_EQ(text_of({0xF3, 0xA5}), "rep movsd dword ptr es:[edi], dword ptr ds:[esi]");
    EXPECT_EQ(text_of({0xF3, 0xA6}, k16), "repe cmpsb byte ptr ds:[si], byte ptr es:[di]");
    EXPECT_EQ(text_of({0x74, 0xFE}), "je 0x1000");
    EXPECT_EQ(text_of({0xE8, 0x00, 0xF0}, k16), "call 3");
    EXPECT_EQ(text_of({0xC8, 0x10, 0x00, 0x02}), "enter 0x10, 2");
    EXPECT_EQ(text_of({0xEA, 0x00, 0x7C, 0, 0, 0x08, 0}), "ljmp 8:0x7c00");
    EXPECT_EQ(text_of({0x83, 0xC4, 0xFC}), "add esp, 0xfffffffc");
    EXPECT_EQ(text_of({0x0F, 0x22, 0xD8}), "mov cr3, eax");
    EXPECT_EQ(text_of({0x8C, 0xD8}, k16), "mov ax, ds");
    EXPECT_EQ(text_of({0x0F, 0x01, 0x38}), "invlpg byte ptr [eax]");
    EXPECT_EQ(text_of({0x98}), "cwde");
    EXPECT_EQ(text_of({0xD3, 0xE0}), "shl eax, cl");
}

} // namespace
} // namespace forkscope::test
