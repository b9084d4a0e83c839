// Owns: the plain data that the test and the native runner share: where programs lie, test cases, outcomes, segments.
// Callers: native_runner.cpp and everything in this folder. Promises: fixed layout, no pointers; both are built from
// it.
#pragma once

#include <atomic>

#include "emu/base/types.hpp"

namespace forkscope::test {

// Linear addresses of a program's world. All else below 4 GB is unmapped: a 64-bit process has nothing there by
// default.
inline constexpr u32 kCodeAddress = 0x10000000; // readable and executable
inline constexpr u32 kCodeBytes = 2 * 4096;
inline constexpr u32 kDataAddress = 0x20000000; // readable and writable
inline constexpr u32 kDataBytes = 2 * 4096;
inline constexpr u32 kReadOnlyAddress = kDataAddress + kDataBytes;
inline constexpr u32 kReadOnlyBytes = 4096;
inline constexpr u8 kCodeFiller = 0xCC; // INT3 ends every program

// Linux's flat segments for 32-bit programs.
inline constexpr u16 kFlatCode = 0x23;
inline constexpr u16 kFlatData = 0x2B;

// Further segments in the LDT: entry n has the selector n * 8 + 7.
struct LdtSegment {
    u32 base;
    u32 limit; // the 20 bits as stored
    bool big;
    bool granular;
    u8 contents;    // descriptor type bits 3:2: 0 data, 1 expand-down, 2 code
    bool read_only; // execute-only for code
    bool present;
};
enum LdtEntry : u16 {
    kBased,
    kBasedReadOnly,
    kExpandDown,
    kExpandDown16,
    kStack16,
    kCode32,
    kCode16,
    kExecuteOnly,
    kAbsent,
    kTight,
    kLdtEntries
};
inline constexpr LdtSegment kLdtSegments[kLdtEntries] = {
    {kDataAddress, 0x2FFF, true, false, 0, false, true},
    {kDataAddress - 0x100, 0x2FFF, true, false, 0, true, true},
    {kReadOnlyAddress, 0xFFFFD, true, true, 1, false, true},       // FFFFE000..FFFFFFFF: the data
    {kDataAddress - 0xE000, 0xDFFF, false, false, 1, false, true}, // E000..FFFF: the data
    {kDataAddress - 0x1000, 0xFFFF, false, false, 0, false, true}, // SP, not ESP
    {kCodeAddress, kCodeBytes - 1, true, false, 2, false, true},
    {kCodeAddress, kCodeBytes - 1, false, false, 2, false, true},
    {kCodeAddress, kCodeBytes - 1, true, false, 2, true, true},
    {kDataAddress, 0x2FFF, true, false, 0, false, false},
    {kDataAddress, 0x1234, true, false, 0, false, true},
};
constexpr u16 ldt_selector(u16 entry) { return static_cast<u16>(entry * 8 + 7); }

// The registers of x87, MMX and SSE as FXSAVE stores them (SDM 1, 10.5.1), as far as XMM7. Where the last x87
// instruction was is left out: processors keep more or less of it.
struct FloatRegisters {
    struct Stacked {
        u64 significand = 0;
        u16 sign_exponent = 0;
        u16 reserved[3] = {};
    };
    u16 control = 0x037F;
    u16 status = 0;
    u8 occupied = 0;
    u8 reserved = 0;
    u16 left_out[9] = {};
    u32 mxcsr = 0x1F80;
    u32 mxcsr_mask = 0; // left out
    Stacked stack[8];   // ST(0) to ST(7)
    u64 xmm[8][2] = {};
};
static_assert(sizeof(FloatRegisters) == 288);

struct Registers {
    u32 gpr[8] = {};
    u32 eip = 0;
    u32 eflags = 0;
    u16 cs = kFlatCode, ss = kFlatData, ds = kFlatData, es = kFlatData, fs = kFlatData, gs = kFlatData;
    FloatRegisters floats;
};

inline constexpr u32 kMostCode = 1600;
struct TestCase {
    Registers start;
    u32 image = 0;       // contents of the data
    u32 code_offset = 0; // where the code is in its two pages; what exceeds them is cut off
    u32 code_size = 0;
    u8 code[kMostCode] = {};
};

// How a program ended: always by an exception, at the latest that of an INT3 behind it.
struct Outcome {
    Registers end;
    u32 vector = 0;
    u32 error = 0;
    u32 cr2 = 0; // if the vector is #PF
    u8 data[kDataBytes] = {};
};

inline constexpr u32 kImages = 64;
inline constexpr u32 kBatchSize = 256;

struct Batch {
    u32 count = 0;
    std::atomic<u32> done = 0; // by the runner: tells which case ended it, if one did
    TestCase cases[kBatchSize];
    Outcome outcomes[kBatchSize];
};

// The shared mapping. The runner gets it as file descriptor 3, a batch number as a byte on standard input, and answers
// with that byte on standard output. It exits with 77 where this host cannot run 32-bit code.
struct SharedMemory {
    u8 has_ldt = 0; // by the runner: the LDT could be filled
    u8 images[kImages][kDataBytes];
    u8 read_only[kReadOnlyBytes];
    Batch batches[2];
};

} // namespace forkscope::test
