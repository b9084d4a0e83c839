#include "cpu/engine/translator/translator_engine.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpu/engine/block_engine.hpp"
#include "cpu/engine/run.hpp"
#include "cpu/engine/translator/mutant.hpp"
#include "cpu/protection/interrupts.hpp"

namespace forkscope::translator {

namespace {

constexpr u32 kNeverTranslated = 0x80000000; // Block::heat
constexpr u32 kMostCodeOfBlock = 32u << 10;
constexpr u64 kMostBudget = u64{1} << 60;

} // namespace

TranslatorEngine::TranslatorEngine(Context& cpu, CodeMemory memory, const TranslatorOptions& options)
    : cpu_(cpu), memory_(std::move(memory)), options_(options), jump_cache_(new JumpCacheEntry[kJumpCacheEntries]) {
    set_surroundings();
}

// --- Running

void TranslatorEngine::run(u64 instruction_limit) {
    instruction_limit_ = instruction_limit;
    do {
        const auto start = cpu_.mmu().fetch(LinearAddress(cpu_.state().linear_eip()), cpu_.privilege());
        if (!start.ok) [[unlikely]] {
            taken_ = nullptr;
            return protection::deliver(cpu_, cpu_.page_fault());
        }
        Block* block = blocks_.find(start.value, cpu_.state().code_mode());
        if (block == nullptr) [[unlikely]]
            block = build(start.value);
        if (block != nullptr) [[likely]] {
            run_here(*block, instruction_limit);
        } else {
            taken_ = nullptr;
            run_crossing_instruction(cpu_, code_);
        }
    } while (goes_on(cpu_, instruction_limit));
}

void TranslatorEngine::run_here(Block& block, u64 instruction_limit) {
    if (cpu_.breakpoints().generation() != breakpoints_) [[unlikely]]
        retire_those_with_breakpoints();
    if (Translation* const translation = translation_of(block); translation != nullptr && machine_fits()) {
        if (taken_ != nullptr)
            link_to(*translation);
        if (enter(*translation))
            return;
    }
    taken_ = nullptr;
    run_block(cpu_, block, instruction_limit);
}

// Null: the instruction there lies in two pages or in device memory.
Block* TranslatorEngine::build(PhysicalAddress start) {
    Block* const block = read_block(cpu_, start, blocks_, code_);
    if (blocks_.generation() != generation_) { // it dropped all older ones
        generation_ = blocks_.generation();
        drop_translations();
    }
    return block;
}

// What the code takes for granted beyond its bytes: flat segments, and that only retired cost and the machine's own
// memory accesses can end a block early.
bool TranslatorEngine::machine_fits() const {
    const CpuState& r = cpu_.state();
    const auto flat = [&r](u8 segment) {
        const SegmentCache& cache = r.segments[segment];
        return cache.base == 0 && cache.flat_read && cache.flat_write;
    };
    const SegmentCache& cs = r.segments[kCs];
    return cs.base == 0 && cs.limit == 0xFFFFFFFF && cs.big && cs.flat_read && flat(kSs) && r.segments[kSs].big &&
           flat(kDs) && flat(kEs) && !r.flag(kFlagT | kFlagR) && !cpu_.attention().wanted_beside_breakpoints() &&
           !cpu_.meter().repeating();
}

// Every instruction costs a cycle at least, so that one budget keeps both bounds.
u64 TranslatorEngine::left() const {
    const Progress& p = cpu_.progress();
    return std::min(std::min(p.deadline - p.cycle, instruction_limit_ - p.instructions), kMostBudget);
}

void TranslatorEngine::grant(Frame& frame, u64 left) {
    Progress& p = cpu_.progress();
    frame.budget = static_cast<i64>(left) - 1;
    frame.instructions = p.instructions;
    budget_end_ = p.cycle + left;
    p.leave = false;
    cpu_.meter().begin();
}

bool TranslatorEngine::enter(Translation& translation) {
    Progress& p = cpu_.progress();
    CpuState& r = cpu_.regs();
    const u64 cycles = left();
    if (translation.block->clocks >= cycles)
        return false;
    JumpCacheEntry& entry = jump_cache_[translation.eip & (kJumpCacheEntries - 1)];
    entry = {translation.eip, static_cast<u32>(translation.block->start.page_start().value),
             reinterpret_cast<u64>(memory_.executable + translation.entry_at)};
    Frame& frame = left_;
    grant(frame, cycles);
    ++entries_;
    const auto enter_code =
        reinterpret_cast<EnterFunction>(reinterpret_cast<std::uintptr_t>(memory_.executable + entry_code_.enter_at));
    const RecentSlot* const data = cpu_.mmu().data_front().recent_slots(cpu_.privilege());
    if (!enter_code(memory_.executable + translation.entry_at, data, &frame, r.gpr.data())) {
        taken_ = nullptr; // slow() has settled all
        if (thrown_) [[unlikely]]
            std::rethrow_exception(std::exchange(thrown_, nullptr));
        return true;
    }
    give_x87(frame);
    r.eip = frame.eip;
    settle_flags(frame, r.flags);
    p.cycle = budget_end_ - 1 - static_cast<u64>(frame.budget);
    p.instructions = frame.instructions;
    taken_ = static_cast<Link*>(frame.link);
    return true;
}

// Behind a handler that has left its block all is settled. What follows runs without a way out and in again, as long as
// the run loop has nothing to look at and a fetch changes nothing (behind one that does, or is heard of, the
// instruction has to run, whatever wants the run loop then): blocks that are handlers only, then the code that the jump
// cache knows.
bool TranslatorEngine::go_on_elsewhere(Frame& frame) {
    const CpuState& r = cpu_.state();
    const FastTlb& front = cpu_.mmu().fetch_front();
    const auto may_go_on = [this] { return goes_on(cpu_, instruction_limit_) || TRANSLATOR_MUTANT(RunLoopNotAsked); };
    while (may_go_on() && machine_fits() && cpu_.breakpoints().generation() == breakpoints_) {
        const RecentSlot& slot = front.recent_slots(cpu_.privilege())[(r.eip >> kPageShift) & front.recent_mask()];
        const JumpCacheEntry& entry = jump_cache_[r.eip & (kJumpCacheEntries - 1)];
        if (TRANSLATOR_MUTANT(FetchBeforeRunLoop) && slot.read_tag != (r.eip & ~kPageMask))
            static_cast<void>(cpu_.mmu().fetch(LinearAddress(r.eip), cpu_.privilege()));
        const bool plain = slot.read_tag == (r.eip & ~kPageMask);
        const bool same_page =
            (plain && slot.physical == entry.physical) || TRANSLATOR_MUTANT(PageOfNextBlockUnchecked);
        if (entry.eip == r.eip && same_page) [[likely]] {
            enter_from_slow(frame, entry.code);
            return true;
        }
        Block* const block =
            plain ? blocks_.find(PhysicalAddress(slot.physical | (r.eip & kPageMask)), r.code_mode()) : nullptr;
        if (block == nullptr || (block->heat & kNeverTranslated) == 0)
            return false;
        run_block(cpu_, *block, instruction_limit_);
    }
    return false;
}

void TranslatorEngine::enter_from_slow(Frame& frame, u64 code) {
    frame.handlers = 1;
    frame.may_pass_end = 0;
    frame.expected = 0;
    if (!TRANSLATOR_MUTANT(SlotsOfOldPrivilege))
        frame.recent = cpu_.mmu().data_front().recent_slots(cpu_.privilege());
    frame.resume = reinterpret_cast<const void*>(code);
    grant(frame, left());
}

bool TranslatorEngine::somebody_looks_at(TraceKinds kinds) const {
    return cpu_.tracer().looks_at(kinds) && !TRANSLATOR_MUTANT(RegistersNotInPlace);
}

// Progress as it was before the block, whose clocks and instructions the code has counted already.
void TranslatorEngine::stand_before(const Translation& translation, i64 budget, u64 instructions) {
    const Block& block = *translation.block;
    Progress& p = cpu_.progress();
    p.cycle = budget_end_ - 1 - static_cast<u64>(budget + block.clocks);
    p.instructions = instructions - (TRANSLATOR_MUTANT(CountWrongAtLeave) ? 0u : block.count);
    p.block_eip = translation.eip;
}

// The instruction that the code cannot do, or not now, by its handler.
u32 TranslatorEngine::slow(void* engine, Frame* frame) {
    auto& self = *static_cast<TranslatorEngine*>(engine);
    Context& cpu = self.cpu_;
    Progress& p = cpu.progress();
    CpuState& r = cpu.regs();
    const auto& translation = *static_cast<const Translation*>(frame->translation);
    const Block& block = *translation.block;
    self.stand_before(translation, frame->budget, frame->instructions);
    r.eip = translation.eip;
    self.give_x87(*frame);
    settle_flags(*frame, r.flags);
    const auto* in = static_cast<const Instruction*>(frame->instruction);
    if (self.thrown_) [[unlikely]] { // while a page was looked for
        p.cycle += in->cost_before;
        p.instructions += in->number;
        r.eip = p.present_eip(*in);
        return 0;
    }
    try {
        if (std::exchange(self.stored_, false)) [[unlikely]] {
            leave_behind(cpu, block, *in);
            return self.go_on_elsewhere(*frame) ? 1 : 0;
        }
        for (u32 count = frame->handlers; count != 0; --count, ++in)
            if (!run_within(cpu, block, *in, frame->may_pass_end != 0))
                return self.go_on_elsewhere(*frame) ? 1 : 0;
    } catch (...) { // an observer's, out of memory: it cannot pass through translated code
        self.thrown_ = std::current_exception();
        return 0;
    }
    frame->handlers = 1;
    frame->may_pass_end = 0;
    if (frame->expected != 0)
        record_flags(*frame, r.flags);
    frame->expected = 0;
    const i64 clocks = TRANSLATOR_MUTANT(BudgetNotRestored) ? 0 : i64{block.clocks};
    frame->budget = static_cast<i64>(self.budget_end_ - 1 - p.cycle) - clocks;
    return 1;
}

u32 TranslatorEngine::flags(void* engine, Frame* frame) {
    LazyFlags& flags = static_cast<TranslatorEngine*>(engine)->cpu_.regs().flags;
    settle_flags(*frame, flags);
    return flags.pack();
}

u32 TranslatorEngine::take_x87(void* engine, Frame* frame) {
    auto& self = *static_cast<TranslatorEngine*>(engine);
    const CpuState& r = self.cpu_.state();
    const bool masked = host_may_run(r.x87.control) || TRANSLATOR_MUTANT(UnmaskedX87Taken);
    if (!masked || (r.cr0 & (kCr0Em | kCr0Ts)) != 0 || self.cpu_.host_x87() == HostFloat::Never)
        return 0;
    to_image(r.x87, self.x87_image_);
    frame->x87_opcode = frame->x87_segment = Frame::kNone;
    frame->x87_taken = 1;
    return 1;
}

// The code is left: what the host's x87 held lies in the image.
void TranslatorEngine::give_x87(Frame& frame) {
    if (frame.x87_taken == 0)
        return;
    frame.x87_taken = 0;
    CpuState& r = cpu_.regs();
    X87State& x87 = r.x87;
    from_image(x87_image_, x87);
    if (frame.x87_opcode != Frame::kNone) {
        x87.opcode = static_cast<u16>(frame.x87_opcode);
        x87.instruction_selector = r.segments[kCs].selector;
        x87.instruction_offset = frame.x87_eip;
    }
    if (frame.x87_segment != Frame::kNone && !TRANSLATOR_MUTANT(LastX87OperandLost)) {
        x87.data_selector = r.segments[frame.x87_segment].selector;
        x87.data_offset = frame.x87_operand;
    }
}

// A walk at which nobody looks at registers and flags, which only a handler has in place. Who hears of it may want the
// code left behind the instruction, which its handler sees to then.
u8* TranslatorEngine::fill(void* engine, u32 linear, u32 asked, void* translation, Frame* frame) {
    auto& self = *static_cast<TranslatorEngine*>(engine);
    if (self.somebody_looks_at(kTranslationKinds))
        return nullptr;
    Mmu& mmu = self.cpu_.mmu();
    Progress& p = self.cpu_.progress();
    const auto& asking = *static_cast<const Translation*>(translation);
    self.stand_before(asking, frame->budget, frame->instructions);
    p.running = asking.block;
    p.current = asking.block->first + (asked >> 16);
    u8* host = nullptr;
    bool stored = false;
    try {
        const AccessKind kind = (asked & WayAsked::kWrite) != 0 ? AccessKind::Write : AccessKind::Read;
        const Mmu::Way way = mmu.fill_way(linear, asked & 0xFF, self.cpu_.privilege(), kind);
        host = way.host;
        const bool stores = host == nullptr && (asked & WayAsked::kStore) != 0 &&
                            !self.somebody_looks_at(trace_kinds({TraceKind::PteWrite, TraceKind::PageTableFrame}));
        stored = stores && (TRANSLATOR_MUTANT(TableStoreForgotten) || mmu.store_into_table(way, 4, frame->bounce));
    } catch (...) {
        self.thrown_ = std::current_exception();
    }
    p.current = nullptr;
    p.running = nullptr;
    if (p.leave) [[unlikely]] {
        self.stored_ = stored;
        return nullptr;
    }
    return stored ? reinterpret_cast<u8*>(kStored) : host;
}

u8* TranslatorEngine::way(void* engine, u32 linear, u32 size_and_kind) {
    Context& cpu = static_cast<TranslatorEngine*>(engine)->cpu_;
    const AccessKind kind = (size_and_kind & 0x100) != 0 ? AccessKind::Write : AccessKind::Read;
    return cpu.mmu().other_way(linear, size_and_kind & 0xFF, cpu.privilege(), kind);
}

// --- Translations

Translation* TranslatorEngine::translation_of(Block& block) {
    if (block.derived != nullptr) [[likely]] {
        auto* const translation = static_cast<Translation*>(block.derived);
        return translation->eip == cpu_.state().eip ? translation : nullptr;
    }
    if (++block.heat < options_.threshold || (block.heat & kNeverTranslated) != 0)
        return nullptr;
    const bool worth = worth_translating(block);
    const bool now =
        machine_fits() && (!has_breakpoint(block, cpu_.state().eip) || TRANSLATOR_MUTANT(BreakpointsTranslated));
    Translation* const translation = worth && now ? translate(block) : nullptr;
    if (translation == nullptr)
        block.heat = worth && !now ? 0 : kNeverTranslated;
    return translation;
}

bool TranslatorEngine::worth_translating(const Block& block) const {
    const auto killed = killed_in_frame_.find(block.start.page());
    return usable_ && cpu_.meter().cost_model().flat() && !cpu_.mmu().fetches_each_instruction() &&
           !cpu_.mmu().reports_misaligned() &&
           (killed == killed_in_frame_.end() || killed->second < options_.most_kills);
}

Translation* TranslatorEngine::translate(Block& block) {
    if (memory_.size - used_ < kMostCodeOfBlock)
        drop_translations();
    auto translation = std::make_unique<Translation>();
    translation->block = &block;
    translation->eip = cpu_.state().eip;
    BlockTranslator translator(around_, *translation, reinterpret_cast<u64>(memory_.executable + used_));
    const auto bytes = translator.translate(used_);
    if (!bytes || bytes->size() > kMostCodeOfBlock)
        return nullptr;
    std::memcpy(memory_.writable + used_, bytes->data(), bytes->size());
    used_ = (used_ + static_cast<u32>(bytes->size()) + 15) & ~15u;
    block.derived = translation.get();
    by_frame_[block.start.page()].push_back(translation.get());
    translations_.push_back(std::move(translation));
    return translations_.back().get();
}

void TranslatorEngine::patch(u32 at, u32 value) { std::memcpy(memory_.writable + at, &value, sizeof value); }

void TranslatorEngine::link_to(Translation& target) {
    Link& link = *taken_;
    if (!options_.links || link.to != nullptr || link.from->block == nullptr || link.target != target.eip)
        return;
    const auto frame = static_cast<u32>(target.block->start.page_start().value);
    if (link.frame_at == 0 && link.from->block->start.page_start().value != frame)
        return;
    if (link.frame_at != 0)
        patch(link.frame_at, frame);
    jump_to(link.jump_at, target.entry_at);
    link.to = &target;
    target.incoming.push_back(&link);
}

void TranslatorEngine::unlink(Link& link) {
    jump_to(link.jump_at, link.stub_at);
    link.to = nullptr;
}

// Nothing leads to it any more; its memory comes back when all is dropped.
void TranslatorEngine::retire(Translation& translation) {
    for (Link* const link : translation.incoming)
        if (!TRANSLATOR_MUTANT(DeadBlockStaysLinked))
            unlink(*link);
    translation.incoming.clear();
    for (Link& link : translation.links) {
        if (link.to != nullptr)
            std::erase(link.to->incoming, &link);
        link.to = nullptr;
    }
    JumpCacheEntry& entry = jump_cache_[translation.eip & (kJumpCacheEntries - 1)];
    if (entry.eip == translation.eip && !TRANSLATOR_MUTANT(JumpCacheNotCleared))
        entry = {};
    translation.block->derived = nullptr;
    translation.block = nullptr;
}

bool TranslatorEngine::code_changed(PhysicalAddress address, u32 size) {
    bool frame_is_empty = false;
    if (blocks_.kill(address, size, cpu_.progress().running, frame_is_empty))
        cpu_.progress().leave = true;
    retire_dead(address.page());
    return !frame_is_empty;
}

void TranslatorEngine::retire_dead(u64 frame) {
    const auto found = by_frame_.find(frame);
    if (found == by_frame_.end())
        return;
    std::erase_if(found->second, [&](Translation* translation) {
        if (translation->block->alive)
            return false;
        ++killed_in_frame_[frame];
        retire(*translation);
        return true;
    });
}

bool TranslatorEngine::has_breakpoint(const Block& block, u32 eip) const {
    return cpu_.breakpoints().any_within(eip, block.bytes);
}

// Code is entered by links, too, where nobody asks. The others stay: debuggers set and remove theirs at every step.
void TranslatorEngine::retire_those_with_breakpoints() {
    breakpoints_ = cpu_.breakpoints().generation();
    if (!cpu_.breakpoints().any_on_code() || TRANSLATOR_MUTANT(NewBreakpointsIgnored))
        return;
    taken_ = nullptr;
    for (auto& [frame, translations] : by_frame_)
        std::erase_if(translations, [this](Translation* translation) {
            if (!has_breakpoint(*translation->block, translation->eip))
                return false;
            translation->block->heat = 0;
            retire(*translation);
            return true;
        });
}

void TranslatorEngine::forget() {
    blocks_.clear();
    generation_ = blocks_.generation();
    killed_in_frame_.clear();
    set_surroundings();
}

// The blocks may be gone already; those that are not are heated up anew.
void TranslatorEngine::drop_translations() {
    blocks_.forget_derived();
    translations_.clear();
    by_frame_.clear();
    std::fill_n(jump_cache_.get(), kJumpCacheEntries, JumpCacheEntry{});
    taken_ = nullptr;
    used_ = (static_cast<u32>(entry_code_.bytes.size()) + 15) & ~15u;
}

// Translating again gives the same code, and says which part of it is whose.
std::vector<HostCode> TranslatorEngine::host_code(u32 address) {
    std::vector<HostCode> found;
    for (const auto& translation : translations_) {
        if (translation->block == nullptr || address - translation->eip >= translation->block->bytes)
            continue;
        const u32 at = translation->entry_at;
        const auto run_at = reinterpret_cast<u64>(memory_.executable + at);
        BlockTranslator translator(around_, *translation, run_at);
        if (!translator.translate(at))
            continue;
        const u8* const bytes = memory_.executable + at;
        found.push_back({.eip = translation->eip,
                         .address = run_at,
                         .bytes = {bytes, bytes + translation->size},
                         .parts = translator.parts(),
                         .aside = translator.aside()});
    }
    return found;
}

// The processor's TLB may have another geometry than before.
void TranslatorEngine::set_surroundings() {
    const EngineFunctions functions{this, slow, flags, take_x87, way, fill};
    const FrontPlaces places{&cpu_.mmu().data_front(), cpu_.mmu().tlb().plru_of_all()};
    auto entry = make_entry_code(reinterpret_cast<u64>(memory_.executable), functions, places, x87_image_);
    usable_ = entry.has_value();
    if (usable_) {
        entry_code_ = std::move(*entry);
        std::memcpy(memory_.writable, entry_code_.bytes.data(), entry_code_.bytes.size());
    }
    drop_translations();
    const FastTlb& data = cpu_.mmu().data_front();
    const FastTlb& fetches = cpu_.mmu().fetch_front();
    const auto address = [this](u32 at) { return reinterpret_cast<u64>(memory_.executable + at); };
    around_ = {.data_mask = data.recent_mask(),
               .fetch_mask = fetches.recent_mask(),
               .fetches_from =
                   static_cast<i32>(reinterpret_cast<std::intptr_t>(fetches.recent_slots(Privilege::Supervisor)) -
                                    reinterpret_cast<std::intptr_t>(data.recent_slots(Privilege::Supervisor))),
               .slow_code = address(entry_code_.slow_at),
               .exit_code = address(entry_code_.exit_at),
               .flags_code = address(entry_code_.flags_at),
               .read_way_code = address(entry_code_.read_way_at),
               .write_way_code = address(entry_code_.write_way_at),
               .fill_code = address(entry_code_.fill_at),
               .take_x87_code = address(entry_code_.take_x87_at),
               .x87_control = &cpu_.state().x87.control,
               .system_flags = &cpu_.regs().system_flags,
               .meter = &cpu_.meter(),
               .jump_cache = jump_cache_.get()};
}

} // namespace forkscope::translator

namespace forkscope {

EngineFactory translator_factory(MapCodeMemory map, const TranslatorOptions& options) {
    return [map = std::move(map), options](Context& cpu, Interpreter&) -> std::unique_ptr<Engine> {
        CodeMemory memory = map(options.code_bytes);
        if (memory.size != 0)
            return std::make_unique<translator::TranslatorEngine>(cpu, std::move(memory), options);
        return std::make_unique<BlockEngine>(cpu);
    };
}

} // namespace forkscope
