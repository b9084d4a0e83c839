// Owns: random 32-bit programs that look for trouble between engines, and the world they run in: pages in few TLB
// sets, some absent, read-only or twice there, handlers that mend them, a device in memory, code that patches itself.
// Callers: lock_step. Promises: a pure function of the seed; each program ends in CLI, HLT unless it loses its way.
#pragma once

#include "emu/base/random.hpp"
#include "tests/unit/cpu/code_runner.hpp"

namespace forkscope::test {

// Linear addresses of the world.
inline constexpr u32 kVariables = 0x20000;      // counters, the operands of the handler that changes page tables
inline constexpr u32 kData = 0x200000;          // kDataPages pages, in four TLB sets
inline constexpr u32 kDataPages = 24;           // six in each set, which has four ways
inline constexpr u32 kDevicePage = 0x3F0000;    // the device's, in the same sets
inline constexpr u64 kDeviceAddress = 0x800000; // physical

inline constexpr u32 data_page(u32 number) { return kData + (number % 4) * kPageSize + (number / 4) * 16 * kPageSize; }

class RandomCode {
  public:
    explicit RandomCode(u64 seed) : random_(seed), seed_(seed) {}
    // Puts program and world into a new runner, ready to run.
    void load(CodeRunner& runner);

  private:
    using Bytes = std::vector<int>;

    static constexpr u32 kTables = 0x101000;                // as CodeRunner::enable_paging has them
    static constexpr u32 kCounter = kVariables;             // turns of the program
    static constexpr u32 kEntryAddress = kVariables + 0x10; // for the handler that changes page tables
    static constexpr u32 kEntryBits = kVariables + 0x14, kEntryPage = kVariables + 0x18;
    static constexpr u32 kFunctionTable = kVariables + 0x100;
    static constexpr u32 kFunctions = 6;
    static constexpr u32 function_at(u32 number) { return 0x14000 + number * 0x1000 + (number % 3) * 0x7E0; }
    static constexpr u32 kDataFrames = 0x80000;                // physical
    static constexpr u16 kBasedData = CodeRunner::kFree;       // a data segment that is not flat
    static constexpr u32 kAliasPage = 4;                       // of the data: holds the program's first page once more
    static constexpr u32 kTwin = kDataFrames + 12 * kPageSize; // physical: the first function once more, patched
    static constexpr u8 kPageTables = 0x32, kEnd = 0x33, kMove = 0x34, kLend = 0x31; // vectors
    static constexpr u32 kLent = data_page(6) + 0x120;                               // taken away by kLend

    // Bytes
    void put(std::initializer_list<int> bytes) { code_.insert(code_.end(), bytes); }
    void put32(u32 value);
    u32 below(u32 bound) { return static_cast<u32>(random_.below(bound)); }
    u32 here() const { return origin_ + static_cast<u32>(code_.size()); }
    void patch_distance(std::size_t at); // the byte at `at`: from behind it to here

    // Operands
    u32 size(); // 1, 2 or 4; puts the prefix of 2
    int free_register(u32 size);
    void register_operand(int reg, u32 size);
    void memory_operand(int reg);
    void any_operand(int reg, u32 size) { random_.chance(2) ? register_operand(reg, size) : memory_operand(reg); }
    void immediate(u32 size);
    u32 address(); // of data, often at a page's end

    // Pieces
    void piece();
    void pieces(u32 most);
    void arithmetic();
    void arithmetic_immediate();
    void unary();
    void shift();
    void conditional();
    void move();
    void multiply();
    void stack();
    void pointer();
    void carry_chain();
    void branch();
    void loop();
    void tight_loop();
    void call();
    void string();
    void x87();
    void x87_memory();
    void x87_registers();
    void x87_control();
    void x87_compare();
    void patch_code();
    void page_table();
    void segments();
    void system();
    void device();
    void odd();

    void function(u32 number);
    void twin(CodeRunner& runner);
    void main();
    void world(CodeRunner& runner);

    Random random_;
    u64 seed_;
    bool user_ = false;
    bool in_loop_ = false; // ECX counts
    u32 depth_ = 0;
    u32 origin_ = 0;
    Bytes code_;
    std::vector<u32> patchable_; // addresses of one-byte INC and DEC
};

} // namespace forkscope::test
