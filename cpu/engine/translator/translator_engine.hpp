// Owns: TranslatorEngine, which runs blocks that run often as host code, and the others as the block engine does.
// Callers: the Cpu, by translator_factory(). Promises: as every engine's (cpu/engine/README.md); code memory and what
// is kept of it are bounded, and droppable between two instructions.
#pragma once

#include <exception>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cpu/cpu.hpp"
#include "cpu/engine/translator/block_translator.hpp"
#include "cpu/engine/translator/entry_code.hpp"
#include "cpu/engine/translator/translator_factory.hpp"
#include "cpu/engine/translator/x87_image.hpp"

namespace forkscope::translator {

class TranslatorEngine final : public Engine {
  public:
    TranslatorEngine(Context& cpu, CodeMemory memory, const TranslatorOptions& options);

    void run(u64 instruction_limit) override;
    bool code_changed(PhysicalAddress address, u32 size) override;
    void forget() override;
    std::vector<HostCode> host_code(u32 address) override;

    u64 translations() const { return translations_.size(); }
    u64 entries() const { return entries_; } // how often code was entered from here

  private:
    Block* build(PhysicalAddress start);
    void run_here(Block& block, u64 instruction_limit);

    // Translations
    Translation* translation_of(Block& block);
    bool worth_translating(const Block& block) const;
    Translation* translate(Block& block);
    void retire(Translation& translation);
    void retire_dead(u64 frame);
    bool has_breakpoint(const Block& block, u32 eip) const;
    void retire_those_with_breakpoints();
    void drop_translations();
    void set_surroundings();

    // Running them
    bool machine_fits() const;
    bool enter(Translation& translation);
    u64 left() const;
    void grant(Frame& frame, u64 left);
    bool go_on_elsewhere(Frame& frame);
    bool somebody_looks_at(TraceKinds kinds) const;
    void enter_from_slow(Frame& frame, u64 code);
    void link_to(Translation& target);
    void unlink(Link& link);
    void patch(u32 at, u32 value);
    void jump_to(u32 jump_at, u32 target_at) { patch(jump_at, target_at - (jump_at + 4)); }

    static u32 slow(void* engine, Frame* frame);
    static u32 flags(void* engine, Frame* frame);
    static u32 take_x87(void* engine, Frame* frame);
    void give_x87(Frame& frame);
    void stand_before(const Translation& translation, i64 budget, u64 instructions);
    static u8* fill(void* engine, u32 linear, u32 asked, void* translation, Frame* frame);
    static u8* way(void* engine, u32 linear, u32 size_and_kind);

    Context& cpu_;
    CodeMemory memory_;
    TranslatorOptions options_;
    BlockCache blocks_;
    DecodedRun code_;    // being decoded
    u64 generation_ = 0; // of the block cache

    X87Image x87_image_;
    EntryCode entry_code_;
    bool usable_ = false;
    Surroundings around_;
    u32 used_ = 0; // bytes of code memory
    std::vector<std::unique_ptr<Translation>> translations_;
    std::unordered_map<u64, std::vector<Translation*>> by_frame_;
    std::unordered_map<u64, u32> killed_in_frame_;
    u64 breakpoints_ = 0; // their generation: no translation has one of these
    std::unique_ptr<JumpCacheEntry[]> jump_cache_;
    u64 entries_ = 0;
    Link* taken_ = nullptr;     // the exit that the last translation left by
    std::exception_ptr thrown_; // while translated code ran
    u64 instruction_limit_ = 0; // of the present run
    bool stored_ = false;       // the slow instruction has been done, but for leaving behind it
    Cycles budget_end_ = 0;     // where the code's budget ends
    Frame left_;                // as translated code left it
};

} // namespace forkscope::translator
