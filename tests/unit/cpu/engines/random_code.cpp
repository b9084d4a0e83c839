// The pieces that programs are made of.
#include "tests/unit/cpu/engines/random_code.hpp"

namespace forkscope::test {

// --- Bytes and operands

void RandomCode::put32(u32 value) {
    for (u32 i = 0; i < 4; ++i)
        code_.push_back(static_cast<int>(value >> 8 * i & 0xFF));
}

void RandomCode::patch_distance(std::size_t at) { code_[at] = static_cast<int>(code_.size() - at - 1); }

u32 RandomCode::size() {
    switch (below(4)) {
    case 0:
        return 1;
    case 1:
        put({0x66});
        return 2;
    default:
        return 4;
    }
}

// EAX, EDX, ECX and EBX (or their bytes, high ones included), but not what counts a loop.
int RandomCode::free_register(u32 size) {
    for (;;) {
        const int reg = static_cast<int>(size == 1 ? below(8) : below(4));
        if (!in_loop_ || (reg & 3) != kEcx)
            return reg;
    }
}

void RandomCode::register_operand(int reg, u32 size) { put({0xC0 | reg << 3 | free_register(size)}); }

// By ESI, EDI or EBP, which hold addresses of data; with displacement, index, or by an absolute address.
void RandomCode::memory_operand(int reg) {
    const int base = kEbp + static_cast<int>(below(3));
    switch (below(5)) {
    case 0:
        put({0x05 | reg << 3});
        return put32(address());
    case 1:
        put({0x84 | reg << 3, 0x20 | base}); // [base + disp32]
        return put32(below(0x40));
    default:
        put({0x40 | reg << 3 | base, (static_cast<int>(below(100)) - 20) & 0xFF});
    }
}

void RandomCode::immediate(u32 size) {
    const u32 value = random_.chance(3) ? below(3) - 1 : static_cast<u32>(random_.next());
    for (u32 i = 0; i < size; ++i)
        code_.push_back(static_cast<int>(value >> 8 * i & 0xFF));
}

u32 RandomCode::address() {
    u32 number = kAliasPage;
    while (number == kAliasPage)
        number = below(kDataPages);
    return data_page(number) +
           (random_.chance(3) ? kPageSize - 8 + below(8) : below(kPageSize / 4) * 4 + (random_.chance(3) ? 1 : 0));
}

// --- Pieces

void RandomCode::arithmetic() {
    const u32 bytes = size();
    const int reg = free_register(bytes);
    const bool to_memory = random_.chance(2);
    put({static_cast<int>(below(8)) << 3 | (to_memory ? 0 : 2) | (bytes == 1 ? 0 : 1)});
    any_operand(reg, bytes);
}

void RandomCode::arithmetic_immediate() {
    const u32 bytes = size();
    const int operation = static_cast<int>(below(8));
    switch (below(4)) {
    case 0:
        put({operation << 3 | (bytes == 1 ? 4 : 5)});
        return immediate(bytes);
    case 1: // TEST
        put({bytes == 1 ? 0xF6 : 0xF7});
        any_operand(0, bytes);
        return immediate(bytes);
    case 2:
        put({bytes == 1 ? 0x80 : 0x81});
        any_operand(operation, bytes);
        return immediate(bytes);
    default:
        put({bytes == 1 ? 0x80 : 0x83});
        any_operand(operation, bytes);
        immediate(1);
    }
}

// INC, DEC, NOT, NEG
void RandomCode::unary() {
    if (random_.chance(3)) {
        patchable_.push_back(here());
        return put({(random_.chance(2) ? 0x40 : 0x48) | (in_loop_ ? kEdx : free_register(4))});
    }
    const u32 bytes = size();
    if (random_.chance(2)) {
        put({bytes == 1 ? 0xFE : 0xFF});
        return any_operand(static_cast<int>(below(2)), bytes);
    }
    put({bytes == 1 ? 0xF6 : 0xF7});
    any_operand(2 + static_cast<int>(below(2)), bytes);
}

void RandomCode::shift() {
    if (random_.chance(5)) { // SHLD, SHRD
        const int by_cl = static_cast<int>(below(2));
        put({0x0F, (random_.chance(2) ? 0xA4 : 0xAC) + by_cl});
        any_operand(free_register(4), 4);
        return by_cl == 0 ? put({static_cast<int>(below(40))}) : put({});
    }
    if (!in_loop_ && random_.chance(3))
        put({0xB1, random_.chance(2) ? 0 : static_cast<int>(below(64))}); // MOV CL, often 0
    const u32 bytes = size();
    const int operation = static_cast<int>(below(8));
    const int wide = bytes == 1 ? 0 : 1;
    switch (below(3)) {
    case 0:
        put({0xC0 | wide});
        any_operand(operation, bytes);
        return put({static_cast<int>(random_.chance(3) ? below(3) : below(36))});
    case 1:
        put({0xD0 | wide});
        return any_operand(operation, bytes);
    default:
        put({0xD2 | wide});
        any_operand(operation, bytes);
    }
}

void RandomCode::conditional() {
    const int condition = static_cast<int>(below(16));
    if (random_.chance(2)) {
        put({0x0F, 0x90 | condition});
        return any_operand(0, 1);
    }
    const bool half = random_.chance(3);
    if (half)
        put({0x66});
    put({0x0F, 0x40 | condition});
    any_operand(free_register(4), 4);
}

void RandomCode::move() {
    const u32 kind = below(8);
    const u32 bytes = kind < 5 ? size() : 4;
    const int wide = bytes == 1 ? 0 : 1;
    switch (kind) {
    case 0:
        put({0xC6 | wide});
        any_operand(0, bytes);
        return immediate(bytes);
    case 1:
        put({0x86 | wide}); // XCHG
        return any_operand(free_register(bytes), bytes);
    case 2:
        put({(random_.chance(2) ? 0xA0 : 0xA2) | wide});
        return put32(address());
    case 3:
    case 4: {
        const int reg = free_register(bytes);
        put({(random_.chance(2) ? 0x88 : 0x8A) | wide});
        return any_operand(reg, bytes);
    }
    case 5: // MOVZX, MOVSX
        put({0x0F, 0xB6 | static_cast<int>(below(2)) | static_cast<int>(below(2)) << 3});
        return any_operand(free_register(4), 1);
    case 6: // LEA
        put({0x8D});
        return memory_operand(free_register(4));
    default:
        put({random_.chance(2) ? 0x98 : 0x99}); // CWDE, CDQ
    }
}

void RandomCode::multiply() {
    switch (below(4)) {
    case 0:
        put({0x0F, 0xAF});
        return any_operand(free_register(4), 4);
    case 1:
        put({0x6B});
        any_operand(free_register(4), 4);
        return immediate(1);
    case 2:
        put({0x69});
        any_operand(free_register(4), 4);
        return immediate(4);
    default:
        put({random_.chance(2) ? 0xF7 : 0xF6});
        any_operand(4 + static_cast<int>(below(2)), 1);
    }
}

void RandomCode::stack() {
    switch (below(7)) {
    case 0:
        return put({0x50 | static_cast<int>(below(8)), 0x5A});
    case 1:
        put({0x68});
        put32(static_cast<u32>(random_.next()));
        return put({0x58});
    case 2:
        put({0xFF}); // PUSH memory; POP memory, or a register
        memory_operand(6);
        if (random_.chance(2))
            return put({0x58});
        put({0x8F});
        return memory_operand(0);
    case 3:
        return put({0x9C, random_.chance(2) ? 0x58 : 0x9D}); // PUSHF; POP EAX, or POPF
    case 4:
        return put({0x55, 0x89, 0xE5, 0x50, 0xC9}); // PUSH EBP; MOV EBP, ESP; PUSH EAX; LEAVE
    case 5:
        return put({0x60, 0x61}); // PUSHA; POPA
    default:
        put({0x66, 0x50, 0x66, 0x5A}); // PUSH AX; POP DX
    }
}

// ESI, EDI or EBP somewhere else; or an index beside one.
void RandomCode::pointer() {
    if (random_.chance(3)) {
        put({0x0F, 0xB6, 0xDB, random_.chance(2) ? 0x01 : 0x8B}); // MOVZX EBX, BL
        return put(
            {0x44 | kEdx << 3, static_cast<int>(below(4)) << 6 | kEbx << 3 | (random_.chance(2) ? kEsi : kEdi), 8});
    }
    put({0xB8 | (kEbp + static_cast<int>(below(3)))});
    put32(address());
}

// Carry over accesses that may be slow.
void RandomCode::carry_chain() {
    arithmetic();
    for (u32 i = 1 + below(3); i-- > 0;) {
        switch (below(4)) {
        case 0:
            put({0x8B}); // MOV: leaves flags alone
            memory_operand(kEdx);
            break;
        case 1:
            put({random_.chance(2) ? 0x11 : 0x19}); // ADC, SBB
            memory_operand(kEax);
            break;
        case 2:
            put({random_.chance(2) ? 0x13 : 0x1B});
            memory_operand(kEax);
            break;
        default:
            put({0xFF}); // INC, DEC
            memory_operand(static_cast<int>(below(2)));
        }
    }
    if (random_.chance(2))
        put({0x83, 0xD2, 0x00}); // ADC EDX, 0
}

void RandomCode::branch() {
    const u32 kind = below(6);
    if (kind == 0)
        put({0xE3, 0}); // JECXZ
    else if (kind == 1)
        put({0xEB, 0});
    else
        put({0x70 | static_cast<int>(below(16)), 0});
    const std::size_t at = code_.size() - 1;
    ++depth_;
    do
        arithmetic();
    while (random_.chance(2));
    --depth_;
    patch_distance(at);
}

// By ECX, or by a counter in memory; a few turns.
void RandomCode::loop() {
    if (in_loop_ || depth_ > 1)
        return;
    put({0xB9});
    put32(2 + below(5));
    const u32 top = here();
    in_loop_ = true;
    pieces(3);
    in_loop_ = false;
    if (here() - top < 110) {
        put({0xE2, static_cast<int>(top - (here() + 2)) & 0xFF}); // LOOP
        return;
    }
    put({0x49, 0x0F, 0x85}); // DEC ECX; JNZ
    put32(top - (here() + 4));
}

// One block that branches to itself by flags, a good many turns.
void RandomCode::tight_loop() {
    if (in_loop_)
        return;
    put({0xB9});
    put32(2 + below(60));
    const u32 top = here();
    in_loop_ = true;
    for (u32 count = below(3); count-- > 0;) {
        constexpr void (RandomCode::*kPieces[])() = {&RandomCode::arithmetic, &RandomCode::unary, &RandomCode::shift,
                                                     &RandomCode::conditional, &RandomCode::move};
        (this->*kPieces[below(std::size(kPieces))])();
    }
    in_loop_ = false;
    switch (below(3)) {
    case 0:
        put({0x49}); // DEC ECX
        break;
    case 1:
        put({0x83, 0xE9, 0x01}); // SUB ECX, 1
        break;
    default:
        put({0x49, 0x83, 0xF9, 0x00}); // DEC ECX; CMP ECX, 0
    }
    put({0x75, static_cast<int>(top - (here() + 2)) & 0xFF}); // JNZ
}

void RandomCode::call() {
    if (depth_ != 0 || in_loop_)
        return;
    const u32 number = below(kFunctions);
    switch (below(4)) {
    case 0:
        put({0xE8});
        return put32(function_at(number) - (here() + 4));
    case 1:
        put({0xB8});
        put32(function_at(number));
        return put({0xFF, 0xD0});
    case 2:
        put({0xFF, 0x15}); // CALL [table]
        return put32(kFunctionTable + number * 4);
    default: { // PUSH behind; JMP
        put({0x68});
        const std::size_t at = code_.size();
        put32(0);
        put({0xFF, 0x25});
        put32(kFunctionTable + number * 4);
        for (u32 i = 0; i < 4; ++i)
            code_[at + i] = static_cast<int>(here() >> 8 * i & 0xFF);
    }
    }
}

void RandomCode::string() {
    if (in_loop_)
        return;
    put({0xB9});
    put32(random_.chance(4) ? 0 : random_.chance(6) ? below(2 * kPageSize) : below(24));
    for (const int reg : {0xBE, 0xBF}) {
        put({reg});
        put32(address());
    }
    if (random_.chance(3)) {     // the pages were just touched
        put({0x8A, 0x0E});       // MOV CL, [ESI]: and so many elements
        put({0xC0, 0x0F, 0x00}); // ROR BYTE [EDI], 0
    }
    const bool down = random_.chance(5);
    if (down || random_.chance(3))
        put({down ? 0xFD : 0xFC});
    if (random_.chance(2))
        put({0x66});
    constexpr int kStrings[] = {0xA4, 0xA5, 0xAA, 0xAB, 0xA6, 0xA7, 0xAE, 0xAF, 0xAC, 0xAD};
    const int which = kStrings[below(10)];
    if (random_.chance(4))
        put({which}); // once
    else
        put({random_.chance(2) ? 0xF3 : 0xF2, which});
    if (down)
        put({0xFC});
    if (random_.chance(2))
        conditional();
    pointer();
}

// INC becomes DEC, or a byte stays what it is; also by an address that maps the same frame a second time.
void RandomCode::patch_code() {
    if (patchable_.empty())
        return;
    const u32 target = random_.chance(3) ? patchable_.back() : patchable_[below(static_cast<u32>(patchable_.size()))];
    const bool alias = random_.chance(3) && (target & ~kPageMask) == CodeRunner::kStart;
    const u32 at = alias ? data_page(kAliasPage) + (target & kPageMask) : target;
    if (random_.chance(3)) {
        put({0x80, 0x0D}); // OR BYTE, 0
        put32(at);
        return put({0});
    }
    put({0x80, 0x35}); // XOR BYTE, 8
    put32(at);
    put({0x08});
}

// Flips a bit of a page's entry, with or without INVLPG behind it.
void RandomCode::page_table() {
    constexpr u32 kBits[] = {kPtePresent, kPteWritable, kPteUser, kPteAccessed, kPteDirty, 0x1000};
    const u32 page = random_.chance(6) ? function_at(below(kFunctions)) & ~kPageMask : data_page(below(kDataPages));
    // The functions' frames stay where they are, and can be fetched.
    const bool code = page < kData;
    const u32 bits = code ? u32{kPteAccessed} : kBits[below(6)];
    const u32 entry = kTables + (page >> kPageShift) * 4;
    if (!user_ && random_.chance(2)) {
        put({0x81, 0x35}); // XOR [entry], bits
        put32(entry);
        put32(bits);
        if (random_.chance(3))
            return;
        put({0x0F, 0x01, 0x3D}); // INVLPG
        return put32(page);
    }
    for (const auto& [at, value] : {std::pair{kEntryAddress, entry}, {kEntryBits, bits}, {kEntryPage, page}}) {
        put({0xC7, 0x05});
        put32(at);
        put32(value);
    }
    put({0xCD, kPageTables});
}

// A segment with a base for an instruction or two.
void RandomCode::segments() {
    const int segment = random_.chance(2) ? kDs : kEs;
    const u16 flat = user_ ? CodeRunner::kUserData : CodeRunner::kData;
    const auto load = [&](u16 selector) {
        put({0x66, 0xB8, selector & 0xFF, selector >> 8}); // MOV AX
        put({0x8E, 0xC0 | segment << 3});
    };
    load(random_.chance(3) ? flat : kBasedData);
    if (segment == kEs)
        put({0x26});
    put({0x8B, 0x05});
    put32(data_page(below(kDataPages)));
    load(flat);
}

void RandomCode::system() {
    switch (below(9)) {
    case 0:
        return put({0xCD, below(2) == 0 ? 0x30 : kLend});
    case 7:
        return put({0xCD, kMove});
    case 1:
        return put({0x0F, 0x31}); // RDTSC
    case 2:
        return put({0xE4, CodeRunner::kLogPort});
    case 3:
        return put({0xFB, 0x90}); // STI
    case 4:
        return put({0xFA}); // CLI
    case 5:
        return user_ ? put({0x0F, 0x31}) : put({0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8}); // MOV CR3, CR3
    default:
        put({0x0F, 0xA2}); // CPUID
        if (in_loop_)
            put({0xB9, 1, 0, 0, 0});
    }
}

// Load, store, read-modify-write, aligned and not.
void RandomCode::device() {
    const auto operand = [this](int reg) {
        put({0x05 | reg << 3});
        put32(kDevicePage + below(64) * 4 + (random_.chance(5) ? 1 : 0));
    };
    switch (below(5)) {
    case 0:
        put({0x8B});
        return operand(kEax);
    case 1:
        put({0x89});
        return operand(kEdx);
    case 2:
        put({0x01});
        return operand(kEax);
    case 3:
        put({0x0F, 0xB6});
        return operand(kEdx);
    default:
        put({0x83});
        operand(2); // ADC
        put({1});
    }
}

void RandomCode::odd() {
    switch (below(9)) {
    case 0:
        return put({0xF9 - static_cast<int>(below(2))}); // STC, CLC
    case 1:
        return put({0xF5});
    case 2:
        return put({random_.chance(2) ? 0x9E : 0x9F}); // SAHF, LAHF
    case 3:
        put({0x0F, 0xA3 | static_cast<int>(below(4)) << 3}); // BT, BTS, BTR, BTC
        return register_operand(free_register(4), 4);
    case 4:
        put({0x0F, 0xC8 | (in_loop_ ? kEdx : free_register(4))}); // BSWAP
        return;
    case 5:
        put({0x0F, 0xB1}); // CMPXCHG
        return any_operand(kEdx, 4);
    case 6:
        put({0x0F, 0xC1}); // XADD
        return any_operand(kEdx, 4);
    case 7:
        put({0xF0, 0x01}); // LOCK ADD
        return memory_operand(kEax);
    default:
        put({0x0F, 0xBC}); // BSF
        any_operand(kEdx, 4);
    }
}

void RandomCode::piece() {
    using Piece = void (RandomCode::*)();
    constexpr Piece kPieces[] = {&RandomCode::arithmetic,
                                 &RandomCode::arithmetic,
                                 &RandomCode::arithmetic,
                                 &RandomCode::arithmetic_immediate,
                                 &RandomCode::arithmetic_immediate,
                                 &RandomCode::unary,
                                 &RandomCode::unary,
                                 &RandomCode::shift,
                                 &RandomCode::shift,
                                 &RandomCode::conditional,
                                 &RandomCode::conditional,
                                 &RandomCode::move,
                                 &RandomCode::move,
                                 &RandomCode::move,
                                 &RandomCode::multiply,
                                 &RandomCode::stack,
                                 &RandomCode::stack,
                                 &RandomCode::pointer,
                                 &RandomCode::pointer,
                                 &RandomCode::carry_chain,
                                 &RandomCode::carry_chain,
                                 &RandomCode::branch,
                                 &RandomCode::branch,
                                 &RandomCode::loop,
                                 &RandomCode::tight_loop,
                                 &RandomCode::call,
                                 &RandomCode::call,
                                 &RandomCode::string,
                                 &RandomCode::string,
                                 &RandomCode::x87,
                                 &RandomCode::x87,
                                 &RandomCode::patch_code,
                                 &RandomCode::page_table,
                                 &RandomCode::segments,
                                 &RandomCode::system,
                                 &RandomCode::device,
                                 &RandomCode::odd};
    (this->*kPieces[below(std::size(kPieces))])();
}

void RandomCode::pieces(u32 most) {
    ++depth_;
    for (u32 count = 1 + below(most); count-- > 0;)
        piece();
    --depth_;
}

} // namespace forkscope::test
