// Processors that ask for an instruction's memory operands in another order than ours are simulated: what such a one
// reports when several operands fault must be explained, and nothing else. Each operand's fault comes from our Cpu, by
// an instruction that has only this operand.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "comparison.hpp"
#include "operand_faults.hpp"
#include "program_generator.hpp"

namespace forkscope::test {
namespace {

constexpr std::string_view kSeveralOperands[] = {"movs",  "movsb", "cmps",  "cmpsb", "push", "pop", "call",
                                                 "lcall", "ljmp",  "lds",   "les",   "lss",  "lfs", "lgs",
                                                 "bound", "enter", "pusha", "popa",  "retf", "iret"};

// An instruction with one memory operand, in place of one with several.
struct Single {
    std::vector<u8> bytes; // without prefixes
    u32 moved_esp = 0;
    u8 operand_size = 0;        // 0: that of the other
    u8 address_size = 0;        // 0: that of the other
    u8 segment = kSegmentCount; // kSegmentCount: that of the other
};

// What ended a program.
struct Ending {
    const TestCase& test;
    const Executed& last;
    const Outcome& outcome;

    const Instruction& in() const { return last.in; }
    u32 size() const { return last.in.operand_size; }
    std::string_view name() const { return form_at(last.in.form).mnemonic; }
    u32 gpr(u8 number) const { return number == kNoRegister ? 0 : outcome.end.gpr[number]; }
};

constexpr u8 kLoad = 0x8B, kStore = 0x89, kLoadFrom = 0xA1, kStoreByteTo = 0xA2, kPush = 0x50, kPop = 0x58;
constexpr u8 kLods = 0xAC, kStos = 0xAA, kScas = 0xAE;

// MOV of EAX, with the bytes that say where the operand lies.
Single move(const Ending& ending, u8 opcode, u32 moved_esp = 0) {
    const Instruction& in = ending.in();
    const u8* const bytes = ending.test.code + ending.last.at;
    Single single{.bytes = {opcode}, .moved_esp = in.base == kEsp ? moved_esp : 0};
    for (u32 i = in.prefixes + (form_at(in.form).map == 1 ? 1u : 2u); i < in.length; ++i)
        single.bytes.push_back(bytes[i]);
    single.bytes[1] &= 0xC7;
    return single;
}

void append_offset(std::vector<u8>& bytes, u32 offset, u8 address_size) {
    for (u32 i = 0; i < address_size; ++i)
        bytes.push_back(static_cast<u8>(offset >> (8 * i)));
}

// Far pointers and BOUND's pair: what lies behind the first part, by its offset.
Single second_part(const Ending& ending, u8 operand_size) {
    const Instruction& in = ending.in();
    const u32 offset = ending.gpr(in.base) + (ending.gpr(in.index) << in.scale) + in.displacement + ending.size();
    Single single{.bytes = {kLoadFrom}, .operand_size = operand_size};
    append_offset(single.bytes, offset, in.address_size);
    return single;
}

// `count` words of the stack: pushed downwards, or popped upwards.
void add_stack(const Ending& ending, u8 opcode, u32 count, std::vector<Single>& singles) {
    for (u32 i = 0; i < count; ++i)
        singles.push_back({.bytes = {opcode}, .moved_esp = (opcode == kPush ? 0 - i : i) * ending.size()});
}

void add_enter(const Ending& ending, std::vector<Single>& singles) {
    const u32 size = ending.size();
    const u32 level = ending.in().immediate2 & 31;
    u32 pushed = 0;
    const auto push = [&] { singles.push_back({.bytes = {kPush}, .moved_esp = 0 - size * pushed++}); };
    push();
    for (u32 i = 1; i < level; ++i) { // POP at EBP - distance
        singles.push_back({.bytes = {kPop}, .moved_esp = ending.gpr(kEbp) - i * size - ending.gpr(kEsp)});
        push();
    }
    if (level > 0)
        push();
    const u16 ss = ending.outcome.end.ss;
    const bool wide = (ss & 4) == 0 || kLdtSegments[ss >> 3].big;
    const u32 top = ending.gpr(kEsp) - size * pushed - (ending.in().immediate & 0xFFFF);
    Single byte{.bytes = {kStoreByteTo}, .address_size = 4, .segment = kSs};
    append_offset(byte.bytes, wide ? top : top & 0xFFFF, 4);
    singles.push_back(byte);
}

// One for each memory operand, in our order.
std::vector<Single> singles_of(const Ending& ending) {
    const std::string_view name = ending.name();
    const bool memory = ending.in().has_memory();
    std::vector<Single> singles;
    if (name.substr(0, 4) == "movs" || name.substr(0, 4) == "cmps") {
        const u8 wide = name.back() == 'b' ? 0 : 1;
        const u8 second = name[0] == 'm' ? kStos : kScas;
        singles = {{.bytes = {static_cast<u8>(kLods | wide)}}, {.bytes = {static_cast<u8>(second | wide)}}};
    } else if (name == "push" || name == "call") {
        singles = {move(ending, kLoad), {.bytes = {kPush}}};
    } else if (name == "pop") {
        singles = {{.bytes = {kPop}}, move(ending, kStore, ending.size())};
    } else if (name == "enter") {
        add_enter(ending, singles);
    } else if (name == "pusha") {
        add_stack(ending, kPush, 8, singles);
    } else if (name == "popa" || name == "retf" || name == "iret") {
        add_stack(ending, kPop, name == "popa" ? 8 : name == "retf" ? 2 : 3, singles);
    } else {
        if (memory)
            singles = {move(ending, kLoad), second_part(ending, name == "bound" ? ending.in().operand_size : u8{2})};
        if (name == "lcall")
            add_stack(ending, kPush, 2, singles);
    }
    return singles;
}

bool has_several_operands(const Instruction& in) {
    const std::string_view name = form_at(in.form).mnemonic;
    if (std::find(std::begin(kSeveralOperands), std::end(kSeveralOperands), name) == std::end(kSeveralOperands))
        return false;
    return in.has_memory() || !is_one_of(name, {"push", "pop", "call", "ljmp"});
}

Fault fault_in(const Outcome& outcome) { return {outcome.vector, outcome.error, outcome.cr2}; }

Outcome with(Outcome outcome, const Fault& fault) {
    outcome.vector = fault.vector;
    outcome.error = fault.error;
    outcome.cr2 = fault.cr2;
    return outcome;
}

// As a host has it, where our tables and handlers are not.
Fault without_our_pages(Fault fault) {
    if (fault.vector == kPageFault && BareMachine::is_ours(fault.cr2))
        fault.error &= ~u32{kFaultProtection};
    return fault;
}

bool is_explained(const Reference& ours, const Outcome& theirs) {
    const auto rules = explained_differences();
    const auto rule = std::find_if(rules.begin(), rules.end(), [](const ExplainedDifference& known) {
        return std::string_view(known.name) == kEitherOperandFirst;
    });
    return rule->applies(ours, theirs);
}

using Change = void (*)(Outcome&);
constexpr Change kOtherChanges[] = {
    [](Outcome& o) { o.end.gpr[kEax] ^= 1; },
    [](Outcome& o) { o.end.gpr[kEcx] -= 1; },
    [](Outcome& o) { o.end.gpr[kEsp] += 4; },
    [](Outcome& o) { o.end.gpr[kEsi] += 1; },
    [](Outcome& o) { o.end.gpr[kEdi] += 1; },
    [](Outcome& o) { o.end.eip += 1; },
    [](Outcome& o) { o.end.eflags ^= kFlagD; },
    [](Outcome& o) { o.end.cs ^= 8; },
    [](Outcome& o) { o.end.ss ^= 8; },
    [](Outcome& o) { o.end.ds ^= 8; },
    [](Outcome& o) { o.end.es ^= 8; },
    [](Outcome& o) { o.end.fs ^= 8; },
    [](Outcome& o) { o.end.gs ^= 8; },
    [](Outcome& o) { o.end.floats.status ^= 1; },
    [](Outcome& o) { o.end.floats.xmm[7][1] ^= 1; },
    // Above the stack's top, where none of these instructions stores anything.
    [](Outcome& o) { o.data[(o.end.gpr[kEsp] + 64) % kDataBytes] ^= 1; },
};

class OperandOrder : public testing::Test {
  protected:
    OperandOrder() : shared_(std::make_unique<SharedMemory>()) {
        spdlog::set_level(spdlog::level::err); // every LOCK that is not allowed would be named
        Random random(1);
        shared_->has_ldt = 1;
        for (u8& byte : shared_->read_only)
            byte = static_cast<u8>(random.next());
        for (auto& image : shared_->images)
            for (u8& byte : image)
                byte = static_cast<u8>(random.next());
        machine_ = std::make_unique<BareMachine>(EngineKind::Interpreter, *shared_);
        aside_ = std::make_unique<BareMachine>(EngineKind::Interpreter, *shared_);
    }

    void check_programs(const ProgramStyle& style, u64 seed);
    void check(const Reference& ours, const Ending& ending);
    void check_changes(const Reference& ours, const Outcome& theirs, const std::vector<Fault>& allowed);
    std::optional<Fault> fault_of(const Ending& ending, const Single& single);

    static constexpr u32 kPrograms = 20'000;
    std::unique_ptr<SharedMemory> shared_;
    std::unique_ptr<BareMachine> machine_;
    std::unique_ptr<BareMachine> aside_;
    std::map<std::string, u64> explained_; // by mnemonic: endings in which another operand faults, too
};

// Runs the single instruction where the program's last one stood, with the registers and the data that it found.
std::optional<Fault> OperandOrder::fault_of(const Ending& ending, const Single& single) {
    constexpr u8 kOverrides[kSegmentCount] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};
    const Instruction& in = ending.in();
    const u8 usual = ending.last.mode.default_32 ? 4 : 2;
    std::vector<u8> bytes = {kOverrides[single.segment != kSegmentCount ? single.segment : in.segment]};
    if ((single.operand_size != 0 ? single.operand_size : in.operand_size) != usual)
        bytes.push_back(0x66);
    if ((single.address_size != 0 ? single.address_size : in.address_size) != usual)
        bytes.push_back(0x67);
    for (const u8 byte : single.bytes)
        bytes.push_back(byte);
    TestCase test;
    test.start = ending.outcome.end;
    test.start.eflags &= ~u32{kFlagR | kFlagT};
    test.start.gpr[kEsp] += single.moved_esp;
    test.start.eip = kCodeAddress - code_base(test.start.cs);
    test.image = ending.test.image;
    test.code_size = static_cast<u32>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), test.code);
    aside_->load(test);
    aside_->write_data(ending.outcome.data);
    Outcome outcome;
    if (aside_->step(outcome))
        return std::nullopt;
    return fault_in(outcome);
}

// Any other change makes a difference that is not explained; another fault does, unless it is also one of an operand.
void OperandOrder::check_changes(const Reference& ours, const Outcome& theirs, const std::vector<Fault>& allowed) {
    for (const Change change : kOtherChanges) {
        Outcome changed = theirs;
        change(changed);
        EXPECT_FALSE(is_explained(ours, changed)) << difference(changed, theirs, 0);
    }
    std::vector<Fault> others;
    const Fault fault = fault_in(theirs);
    for (const u32 vector : {0u, 3u, 6u, 11u, 12u, 13u, 14u, 17u})
        others.push_back({vector, fault.error, fault.cr2});
    for (u32 bit = 0; bit < 16; ++bit)
        others.push_back({fault.vector, fault.error ^ 1u << bit, fault.cr2});
    for (u32 bit = 0; bit < 32; ++bit)
        others.push_back({fault.vector, fault.error, fault.cr2 ^ 1u << bit});
    others.push_back({fault.vector, fault.error, ours.outcome.cr2});
    for (const Fault& other : others)
        if (std::find(allowed.begin(), allowed.end(), other) == allowed.end() && other != fault_in(ours.outcome)) {
            EXPECT_FALSE(is_explained(ours, with(theirs, other)))
                << "vector " << other.vector << " error " << other.error << " cr2 " << other.cr2;
        }
}

void OperandOrder::check(const Reference& ours, const Ending& ending) {
    const std::vector<OperandFaults> computed = operand_faults(ours.last, ours.outcome);
    const std::vector<Single> singles = singles_of(ending);
    std::vector<Fault> allowed;
    std::vector<Fault> choices; // what else the manual allows for one operand, where its page faults
    ASSERT_GE(computed.size(), singles.size());
    for (std::size_t i = 0; i < singles.size(); ++i) {
        const std::vector<Fault>& known = computed[i].faults;
        const std::optional<Fault> single = fault_of(ending, singles[i]);
        EXPECT_EQ(single.has_value(), !known.empty()) << "operand " << i;
        if (!single)
            continue;
        allowed.push_back(without_our_pages(*single));
        EXPECT_NE(std::find(known.begin(), known.end(), allowed.back()), known.end())
            << "operand " << i << ": vector " << single->vector << " error " << single->error << " cr2 " << single->cr2;
        EXPECT_TRUE(known.size() == 1 || single->vector == kPageFault || single->vector == kAlignmentCheck);
        choices.insert(choices.end(), known.begin(), known.end());
    }
    // The first that faults is ours, unless what was read ended the program: a bad target, selector or bound.
    const bool is_operand = !allowed.empty() && without_our_pages(fault_in(ours.outcome)) == allowed.front();
    EXPECT_TRUE(is_operand || is_one_of(ending.name(), {"call", "lcall", "ljmp", "retf", "iret", "bound", "lds", "les",
                                                        "lss", "lfs", "lgs"}));
    for (const Fault& fault : allowed) {
        const Outcome theirs = with(ours.outcome, fault);
        if (!is_operand || fault == allowed.front())
            continue;
        EXPECT_TRUE(is_explained(ours, theirs)) << outcome_text(theirs);
        check_changes(ours, theirs, choices);
        ++explained_[std::string(ending.name())];
    }
    // Where no other operand faults there is nothing to explain.
    if (is_operand && allowed.size() == 1 && computed.size() == singles.size())
        check_changes(ours, with(ours.outcome, {kPageFault, 6, ending.gpr(kEdi)}), choices);
}

void OperandOrder::check_programs(const ProgramStyle& style, u64 seed) {
    ProgramGenerator generator(seed, *machine_);
    TestCase test;
    std::vector<Executed> path;
    for (u32 i = 0; i < kPrograms && !HasFailure(); ++i) {
        generator.make(style, test);
        const Reference ours = run_reference(*machine_, test, &path);
        constexpr u32 kFaults[] = {kStackFault, kGeneralProtection, kPageFault, kAlignmentCheck};
        const bool faulted =
            std::find(std::begin(kFaults), std::end(kFaults), ours.outcome.vector) != std::end(kFaults);
        if (!faulted || !ours.is_comparable() || !has_several_operands(ours.last) || (ours.last.flags & kHasLock) != 0)
            continue;
        check(ours, {test, path.back(), ours.outcome});
        if (HasFailure())
            ADD_FAILURE() << registers_text(test.start) << disassembly(test, path) << outcome_text(ours.outcome);
    }
    for (const std::string_view name : kSeveralOperands) {
        const bool seldom = is_one_of(name, {"retf", "iret"}); // only where the stack's top leaves a page or a limit
        EXPECT_TRUE(seldom || explained_[std::string(name)] > 0) << name;
    }
}

ProgramStyle single_instructions() {
    return {.instructions = 1, .keep_fault = 1, .astray = true, .only = kSeveralOperands};
}

TEST_F(OperandOrder, OfAnyProcessorIsExplainedExactly) { check_programs(single_instructions(), 1); }

TEST_F(OperandOrder, OfAnyProcessorIsExplainedInSegmentsWithBasesAndLimits) {
    ProgramStyle style = single_instructions();
    style.segments = true;
    check_programs(style, 2);
}

TEST_F(OperandOrder, OfAnyProcessorIsExplainedIn16BitCode) {
    ProgramStyle style = single_instructions();
    style.segments = true;
    style.code_16 = true;
    check_programs(style, 3);
}

} // namespace
} // namespace forkscope::test
