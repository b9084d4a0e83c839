// Owns: EntryCode, the little host code that is there once: into translated code, out of it, and to the engine's
// functions from within. Callers: the translator engine. Promises: the host's ABI on the C++ side.
#pragma once

#include <optional>
#include <vector>

#include "cpu/engine/translator/frame.hpp"
#include "mmu/tlb/fast_tlb.hpp"

namespace forkscope::translator {

// What the code calls; each gets the engine first.
struct EngineFunctions {
    void* engine = nullptr;
    u32 (*slow)(void* engine, Frame* frame) = nullptr;                 // runs frame->instruction; 0: leave
    u32 (*flags)(void* engine, Frame* frame) = nullptr;                // settled and packed
    u32 (*take_x87)(void* engine, Frame* frame) = nullptr;             // to the image; 0: refused
    u8* (*way)(void* engine, u32 linear, u32 size_and_kind) = nullptr; // kind: 100h to write; null: slow
    // The same by a walk, for an instruction of the block (WayAsked), with budget and count in the frame; or kStored.
    u8* (*fill)(void* engine, u32 linear, u32 asked, void* translation, Frame* frame) = nullptr;
};

// The TLB's front for data. Generated code reads its slots without a call.
struct FrontPlaces {
    const FastTlb* front = nullptr;
    const u8* plru = nullptr;
};

// Where the guest's x87 goes when the code is left.
struct X87Image;

// Registers come from `registers`, and go back there. True: the code has left by an exit, of which `frame` tells; else
// by the slow function, which has settled all.
using EnterFunction = bool (*)(const void* code, const RecentSlot* data, Frame* frame, u64* registers);

struct EntryCode {
    u32 enter_at = 0, slow_at = 0, exit_at = 0, flags_at = 0; // offsets from its start
    u32 read_way_at = 0, write_way_at = 0, fill_at = 0, take_x87_at = 0;
    std::vector<u8> bytes;
};

// Code that will run at the host address `run_at`; nullopt if the assembler refuses.
std::optional<EntryCode> make_entry_code(u64 run_at, const EngineFunctions& functions, const FrontPlaces& places,
                                         const X87Image& x87);

} // namespace forkscope::translator
