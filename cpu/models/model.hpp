// Owns: Model, what distinguishes processors: instructions, control bits, flags, MSRs, CPUID leaves, TLB, costs.
// Callers: the Cpu, its handlers and the cost model ask has() and the columns; cli finds models by name.
// Promises: constant plain data, a file a model; no code compares CpuModels but snapshots.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cpu/decode/instruction.hpp"
#include "mmu/tlb/tlb.hpp"

namespace forkscope {

enum class CpuModel : u8 {
#define CPU_MODEL(enumerator, constant) enumerator,
#include "cpu/models/models.def"
#undef CPU_MODEL
};
inline constexpr CpuModel kDefaultCpuModel = CpuModel::P6;

// What CPUID reports, leaf 1 but for NoExecute, and what it brings beside its rows of opcodes.def and its bits of
// EFLAGS, CR0 and CR4.
enum class Feature : u8 {
    Fpu,
    Vme,             // virtual-8086 extensions: VIF, VIP, CR4.VME, CR4.PVI
    DebugExtensions, // I/O breakpoints, CR4.DE
    LargePages,      // CR4.PSE
    Tsc,             // RDTSC
    Msr,             // RDMSR, WRMSR
    MachineCheck,    // CR4.MCE; none ever happens
    Cx8,             // CMPXCHG8B
    Sysenter,        // and SYSEXIT
    GlobalPages,     // CR4.PGE
    Cmov,            // and FCMOVcc
    Mmx,
    Fxsr, // FXSAVE, FXRSTOR, CR4.OSFXSR
    Sse,
    Sse2,
    CacheLineFlush, // CLFLUSH
    Pae,            // CR4.PAE, 36 address lines
    Pse36,          // 4 MB pages above 4 GB
    PageAttributes, // the PAT register; memory types change nothing here
    NoExecute,      // EFER.NXE
};

struct CpuidLeaf {
    u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

enum class MsrKind : u8 {
    Constant,    // reads as zero, writes are ignored
    Stored,      // CpuState::model_registers[slot]
    EventSelect, // Stored, and says what the counters count
    Counter,     // the same, 40 bits; a write sign-extends its low 32 bits
    Sysenter,    // CpuState::sysenter[slot]
    TimeStampCounter,
    ExtendedFeatures, // EFER: Stored, and passed to the Mmu
    PageAttributes,   // Stored: eight memory types
};
// Slots of the counters, and of what selects their events (Pentium: CESR alone).
inline constexpr u8 kFirstCounter = 1, kEventSelect = 3;
inline constexpr u8 kPageAttributesSlot = 6;
inline constexpr u64 kPageAttributesAtReset = 0x0007040600070406; // SDM 3A 11.12.4

struct MsrRow {
    u32 number;
    MsrKind kind;
    u8 slot;
    u64 writable; // bits; the others of a value written must be zero, or #GP
};

// Events that performance counters can count.
enum class Counted : u8 {
    Nothing,
    UnhaltedCycles,
    Instructions,
    DataTlbMisses,
    CodeTlbMisses,
    Interrupts,      // INTR and NMI taken
    Branches,        // near ones; where the cost model predicts them
    Mispredictions,  // likewise
    DataCacheMisses, // reads; where the cost model has caches
    CodeCacheMisses,
    Misaligned, // where the cost model charges them
};
struct CountedEvent {
    u8 number;
    Counted counted;
};
enum class EventSelectors : u8 {
    None,
    Cesr,       // the Pentium's, for both counters
    PerCounter, // the P6's EVNTSEL0 and EVNTSEL1
};

struct CacheGeometry {
    u16 sets = 0; // 0: there is no cache
    u8 ways = 0;  // a power of two up to 8; tree pseudo-LRU, which is LRU for two
    u8 line = 0;  // bytes, a power of two
};

// Of latencies.def and paths.def.
enum class LatencyColumn : u8 { I386, I486, Pentium };

// What an instruction leaves for the next one.
enum class Pipeline : u8 {
    None,
    PrefetchQueue, // the 386's
    Interlocks,    // the 486's
    TwoPipes,      // the Pentium's
};

struct ModelCost {
    LatencyColumn latencies;
    bool by_class = false; // not forms, of which cost_classes.def has estimates
    Pipeline pipeline = Pipeline::None;
    bool predicts_branches = false;
    u8 aligned_within = 4;                          // bytes, across which an operand is misaligned
    CacheGeometry code_cache = {}, data_cache = {}; // without the first, the second serves code, too
};

// Columns that have a value here are none where a model does not name them.
struct Model {
    CpuModel number;
    std::string_view name; // as --cpu takes it
    std::string_view text; // the processor that it is
    u32 signature;         // EDX at reset; CPUID leaf 1, EAX
    u32 features;          // a bit by Feature
    u16 since;             // a bit by Since: rows of opcodes.def that exist
    u32 eflags;            // bits that exist; of the others bit 1 reads as one
    u32 cr0;               // bits that can be written
    u32 cr0_ones;          // bits that always read as one
    u32 cr0_reset;
    u32 cr4; // bits that exist; 0: there is no CR4
    u32 dr6_reset, dr7_reset;
    bool whole_selector_slots = false;               // PUSH and POP of segment registers access all of a 32-bit slot
    u8 test_registers = 0;                           // a bit by number: those that MOV reaches
    std::span<const CpuidLeaf> leaves = {};          // by number; EDX of leaf 1 comes from `features`
    std::span<const CpuidLeaf> extended_leaves = {}; // from 80000000H on; NX of leaf 80000001H comes from `features`
    std::span<const MsrRow> msrs = {};
    EventSelectors selectors = EventSelectors::None;
    std::span<const CountedEvent> events = {};
    TlbModel tlb;
    ModelCost cost;

    constexpr bool has(Feature feature) const { return (features >> static_cast<u32>(feature) & 1) != 0; }
    constexpr bool runs(Since from) const { return (since >> static_cast<u32>(from) & 1) != 0; }
    // The answer of CPUID; above the highest leaf that of the highest, as on Intel's processors.
    CpuidLeaf cpuid(u32 leaf) const;
    const MsrRow* msr(u32 msr_number) const; // nullptr: #GP
    PagingFeatures paging() const {
        return {has(Feature::Pse36), has(Feature::PageAttributes), has(Feature::Pae) ? u8{36} : u8{32}};
    }
};

#define CPU_MODEL(enumerator, constant) extern const Model constant;
#include "cpu/models/models.def"
#undef CPU_MODEL

const Model& model_of(CpuModel model);
// nullptr if there is none of that name.
const Model* find_model(std::string_view name);
std::span<const Model* const> all_models(); // by CpuModel
// The names of all, for people.
std::string model_names(std::string_view between);

} // namespace forkscope
