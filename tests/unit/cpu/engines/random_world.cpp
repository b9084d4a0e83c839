// The program around the pieces, and the world that it runs in.
#include "tests/unit/cpu/engines/random_code.hpp"

namespace forkscope::test {

namespace {

constexpr int kWord = -1;

// Code with the next of `words` in place of each kWord.
std::vector<int> with_words(const std::vector<int>& code, const std::vector<u32>& words) {
    std::vector<int> bytes;
    auto word = words.begin();
    for (const int byte : code) {
        if (byte != kWord) {
            bytes.push_back(byte);
            continue;
        }
        for (u32 shift = 0; shift < 32; shift += 8)
            bytes.push_back(static_cast<int>(*word >> shift & 0xFF));
        ++word;
    }
    return bytes;
}

} // namespace

void RandomCode::function(u32 number) {
    origin_ = function_at(number);
    code_.clear();
    pieces(6);
    if (number == 0) {
        put({0xCD, kMove});
        patchable_.push_back(here());
        put({0x40, 0xCD, kLend, 0x8B, 0x15}); // INC EAX, in one of two frames; INT; MOV EDX, [the lent page]
        put32(kLent);
    }
    put({0xC3});
}

// Where the first function's bytes may be patched, they are.
void RandomCode::twin(CodeRunner& runner) {
    for (const u32 at : patchable_)
        code_[at - origin_] ^= 8;
    runner.put(kTwin, code_);
}

// Some turns through the pieces.
void RandomCode::main() {
    origin_ = CodeRunner::kStart + below(2) * (kPageSize - 40);
    code_.clear();
    for (u32 count = 10 + below(50); count-- > 0;)
        piece();
    put({0xFF, 0x0D}); // DEC [counter]
    put32(kCounter);
    put({0x0F, 0x85});
    put32(origin_ - (here() + 4));
    put({0xCD, kEnd});
}

// Twelve frames under twenty-four pages, of which one is the program's first and some are absent, read-only, or new.
void RandomCode::world(CodeRunner& runner) {
    for (u32 at = 0; at < 12 * kPageSize; at += 4)
        runner.put32(kDataFrames + at, static_cast<u32>(random_.next()) >> below(32));
    for (u32 page = 0; page < kDataPages; ++page) {
        const u32 frame = page == kAliasPage ? CodeRunner::kStart : kDataFrames + (page * 5 % 12) * kPageSize;
        u32 entry = frame | kPtePresent | kPteUser;
        entry |= random_.chance(4) ? 0u : u32{kPteWritable};
        if (page != kAliasPage && random_.chance(6))
            entry &= ~u32{kPteUser};
        if (page != kAliasPage && random_.chance(5))
            entry &= ~u32{kPtePresent};
        runner.put32(runner.page_entry(data_page(page)), entry);
    }
    runner.put32(runner.page_entry(kDevicePage),
                 static_cast<u32>(kDeviceAddress) | kPtePresent | kPteWritable | kPteUser);
    for (u32 number = 0; number < kFunctions; ++number)
        runner.put32(kFunctionTable + number * 4, function_at(number));
    runner.put32(kCounter, 3 + below(6));
    runner.descriptor(kBasedData, 0x1000, 0xFFFFE, user_ ? 0xF3 : 0x93, true, true);
    runner.handler(0x30, {0x01, 0xC2, 0xCF}); // ADD EDX, EAX; IRET
    // The lent page is the supervisor's once more, who reads it: PUSH EAX; AND [entry], ~4; INVLPG; MOV EAX, [it]; by
    // SS
    runner.handler(kLend, with_words({0x50, 0x36, 0x81, 0x25, kWord, kWord, 0x36, 0x0F, 0x01, 0x3D, kWord, 0x36, 0xA1,
                                      kWord, 0x58, 0xCF},
                                     {runner.page_entry(kLent), ~u32{kPteUser}, kLent, kLent}));
    // The first function's page leads to its twin, or back: PUSH EAX; MOV EAX, [entry]; XOR; MOV [entry], EAX; INVLPG
    const u32 entry = runner.page_entry(function_at(0));
    runner.handler(kMove, with_words({0x50, 0x36, 0xA1, kWord, 0x35, kWord, 0x36, 0xA3, kWord, 0x36, 0x0F, 0x01, 0x3D,
                                      kWord, 0x58, 0xCF},
                                     {entry, function_at(0) ^ kTwin, entry, function_at(0)}));
    runner.handler(kEnd, {0xFA, 0xF4});
    // PUSH EAX; OR of the entry with 7; INVLPG; POP EAX; ADD ESP, 4; IRET; by SS, as DS may have a base
    runner.gate(14, CodeRunner::kCode, 0x4000, 0xEE);
    runner.put(0x4000, {0x50, 0x0F, 0x20, 0xD0, 0xC1, 0xE8, 0x0C, 0x36, 0x83, 0x0C, 0x85, 0x00, 0x10, 0x10,
                        0x00, 0x07, 0x0F, 0x20, 0xD0, 0x36, 0x0F, 0x01, 0x38, 0x58, 0x83, 0xC4, 0x04, 0xCF});
    // As the program says in its variables.
    runner.gate(kPageTables, CodeRunner::kCode, 0x4080, 0xEE);
    runner.put(0x4080, {0x50, 0x52, 0xA1, 0x10, 0x00, 0x02, 0x00, 0x8B, 0x15, 0x14, 0x00, 0x02, 0x00, 0x33,
                        0x10, 0x89, 0x10, 0xA1, 0x18, 0x00, 0x02, 0x00, 0x0F, 0x01, 0x38, 0x5A, 0x58, 0xCF});
    // Every other exception ends it.
    for (u8 vector = 0; vector < 0x30; ++vector)
        if (vector != 14)
            runner.handler(vector, {0xFA, 0xF4});
}

void RandomCode::load(CodeRunner& runner) {
    user_ = seed_ % 2 == 1;
    runner.enter_protected_mode(user_ ? 3 : 0);
    runner.enable_paging();
    world(runner);
    for (u32 number = 0; number < kFunctions; ++number) {
        function(number);
        runner.put(origin_, code_);
        if (number == 0)
            twin(runner);
    }
    main();
    runner.put(origin_, code_);
    CpuState& state = runner.edit();
    for (const u8 reg : {kEax, kEcx, kEdx, kEbx})
        state.set_reg<u32>(reg, static_cast<u32>(random_.next()));
    for (const u8 reg : {kEbp, kEsi, kEdi})
        state.set_reg<u32>(reg, address());
    state.eip = origin_;
    state.cr0 |= kCr0Wp;
    state.x87.control = X87State::kInitialControl;
    state.set_eflags(kFlagI | kFlagIopl | 2);
    runner.apply();
}

} // namespace forkscope::test
