// Random programs on this host's processor and on ours, in both engines: registers, flags, faults and memory are equal.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "comparison.hpp"
#include "float_values.hpp"
#include "native_host.hpp"
#include "program_generator.hpp"

namespace forkscope::test {
namespace {

constexpr std::size_t kMostReports = 40;

void forget_carry(TestCase& test, const std::vector<Executed>& path);

bool is_long() { return std::getenv("FORKSCOPE_LONG") != nullptr; }

u64 seed_of_run() {
    const char* text = std::getenv("FORKSCOPE_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 0) : 20260722;
}

// Which processor agrees, or does not.
std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    std::string text;
    for (std::string line; std::getline(file, line) && !line.empty();)
        if (line.rfind("cpu family", 0) == 0 || line.rfind("model", 0) == 0 || line.rfind("stepping", 0) == 0)
            text += line.substr(line.find(':') + 1) + ",";
    return text;
}

struct Tally {
    u64 programs = 0;
    u64 instructions = 0;
    u64 faults = 0; // other than the INT3 behind the program
    std::map<std::string, u64> explained;
    std::map<std::string, std::array<u64, 2>> undefined;        // by "mnemonic flag": differing, all
    std::vector<u64> executed = std::vector<u64>(form_count()); // completed, by form
    std::vector<u64> ended = std::vector<u64>(form_count());    // faulted, or trapped on purpose
};

class HostCpu : public testing::Test {
  protected:
    void SetUp() override {
        spdlog::set_level(spdlog::level::err); // every LOCK that is not allowed would be named
        fill_memory();
        std::printf("host: %s\n", processor_name().c_str());
        if (const std::string why = host_.start(); !why.empty())
            GTEST_SKIP() << why;
        reference_ = std::make_unique<BareMachine>(EngineKind::Interpreter, host_.shared());
        block_ = std::make_unique<BareMachine>(EngineKind::Block, host_.shared());
        twin_ = std::make_unique<BareMachine>(EngineKind::Interpreter, host_.shared());
    }

    // Random words, among them selectors and values from the corners.
    void fill_memory() {
        Random random(1);
        SharedMemory& shared = host_.shared();
        for (u8& byte : shared.read_only)
            byte = static_cast<u8>(random.next());
        for (auto& image : shared.images)
            for (u32 at = 0; at < kDataBytes; at += 4) {
                u32 word = static_cast<u32>(random.next());
                if (random.chance(4))
                    word = random.chance(2) ? 0 - (word & 1) : 0x80000000u >> (word & 24);
                else if (random.chance(8))
                    word = (random.chance(2) ? kFlatData : word % kLdtEntries * 8 + 7) * 0x10001;
                std::memcpy(image + at, &word, 4);
            }
        for (auto& image : shared.images)
            for (u32 at = 0; at < kDataBytes; at += 16)
                if (random.chance(3))
                    std::memcpy(image + at, random_float_bytes(random).data(), 16);
    }

    bool has_ldt() { return host_.shared().has_ldt != 0; }

    void run(const ProgramStyle& style, u64 instructions, u64 seed);
    void make_batch(ProgramGenerator& generator, const ProgramStyle& style, u8 number);
    void check_batch(u8 number);
    void check(const TestCase& test, const Reference& ours, const Outcome& theirs);
    void report(const TestCase& test);
    bool differs(const TestCase& test);
    TestCase minimised(TestCase test);
    void check_coverage();
    void print_tally(const ProgramStyle& style, u64 seed);

    NativeHost host_;
    std::unique_ptr<BareMachine> reference_;
    std::unique_ptr<BareMachine> block_;
    std::unique_ptr<BareMachine> twin_; // interprets what block_ runs, and nothing else
    std::vector<Reference> ours_[2];
    std::vector<Executed> path_; // of the program that was run last
    Random pauses_{7};
    Tally tally_;
    std::vector<TestCase> failed_;
    bool sabotage_ = false; // the host's ADC is an ADD
};

// Makes ADD r/m, r of every ADC r/m, r that the program comes by.
void forget_carry(TestCase& test, const std::vector<Executed>& path) {
    for (const Executed& executed : path) {
        const Form& form = form_at(executed.in.form);
        u8* const bytes = test.code + executed.at;
        if (form.mnemonic == "adc" && (form.opcode == 0x10 || form.opcode == 0x11))
            *std::find(bytes, bytes + executed.in.length, form.opcode) &= 0x0F;
    }
}

void HostCpu::make_batch(ProgramGenerator& generator, const ProgramStyle& style, u8 number) {
    Batch& batch = host_.shared().batches[number];
    std::vector<Reference>& ours = ours_[number];
    ours.clear();
    batch.count = kBatchSize;
    auto blocks = std::make_unique<Outcome>();
    auto interpreted = std::make_unique<Outcome>();
    Reference reference;
    for (u32 i = 0; i < kBatchSize; ++i) {
        TestCase& test = batch.cases[i];
        // A program that reads its own bytes can go another way than while it was made, even into their middle.
        do {
            generator.make(style, test);
            reference = run_reference(*reference_, test, &path_);
        } while (!reference.is_comparable());
        for (std::size_t at = 0; at + 1 < path_.size(); ++at)
            ++tally_.executed[path_[at].in.form];
        ++tally_.ended[path_.back().in.form];
        ours.push_back(reference);
        ++tally_.programs;
        tally_.instructions += ours.back().instructions;
        tally_.faults += ours.back().outcome.vector != kBreakpoint;
        block_->load(test);
        const u64 pause = pauses_.chance(4) ? pauses_.below(style.instructions) : 0;
        ASSERT_TRUE(block_->run(*blocks, pause)) << "the program does not end:\n" << disassembly(test, path_);
        twin_->load(test);
        ASSERT_TRUE(twin_->run(*interpreted)) << "the program does not end:\n" << disassembly(test, path_);
        std::string text = difference(ours.back().outcome, *blocks, 0);
        const bool memory = tally_.programs % 16 == 0; // a difference in page tables stays
        if (twin_->state_hash() != block_->state_hash() || (memory && twin_->memory_hash() != block_->memory_hash()))
            text += "  the states differ\n";
        if (!text.empty()) {
            ADD_FAILURE() << "the engines differ; by the interpreter (here as host) and by blocks:\n"
                          << text << registers_text(test.start) << disassembly(test, path_);
            failed_.push_back(test);
        }
    }
}

void HostCpu::check_batch(u8 number) {
    const Batch& batch = host_.shared().batches[number];
    const TestCase& last = batch.cases[batch.done % kBatchSize];
    if (!host_.finish(number)) {
        run_reference(*reference_, last, &path_);
        FAIL() << "the runner died at\n" << registers_text(last.start) << disassembly(last, path_);
    }
    for (u32 i = 0; i < batch.count; ++i)
        check(batch.cases[i], ours_[number][i], batch.outcomes[i]);
}

void HostCpu::check(const TestCase& test, const Reference& ours, const Outcome& theirs) {
    // What an undefined flag is on this host, for the record.
    if (ours.instructions == 1 && ours.undefined_flags != 0)
        for (const u32 flag : {kFlagO, kFlagS, kFlagZ, kFlagA, kFlagP, kFlagC})
            if ((ours.undefined_flags & flag) != 0) {
                auto& counts =
                    tally_.undefined[fmt::format("{} {}", form_at(ours.last_completed).mnemonic, flag_names(flag))];
                counts[0] += ((theirs.end.eflags ^ ours.outcome.end.eflags) & flag) != 0;
                ++counts[1];
            }
    if (difference(theirs, ours.outcome, ours.undefined_flags).empty())
        return;
    for (const ExplainedDifference& known : explained_differences())
        if (known.applies(ours, theirs)) {
            ++tally_.explained[known.name];
            return;
        }
    failed_.push_back(test);
}

// Runs one program alone, on the host and here: is there a difference without a known reason?
// Only while no batch is under way: it uses the first.
bool HostCpu::differs(const TestCase& test) {
    const Reference ours = run_reference(*reference_, test, &path_);
    if (!ours.is_comparable())
        return false;
    Batch& batch = host_.shared().batches[0];
    batch.count = 1;
    batch.cases[0] = test;
    if (sabotage_)
        forget_carry(batch.cases[0], path_);
    host_.begin(0);
    if (!host_.finish(0)) {
        host_.start();
        return false;
    }
    for (const ExplainedDifference& known : explained_differences())
        if (known.applies(ours, batch.outcomes[0]))
            return false;
    return !difference(batch.outcomes[0], ours.outcome, ours.undefined_flags).empty();
}

// The program without this instruction: closed up, or with NOPs in its place.
TestCase without(TestCase test, const Executed& left_out, bool close_up) {
    const u32 length = std::max<u32>(1, left_out.in.length);
    const u32 behind = left_out.at + length;
    if (behind > test.code_size)
        return test;
    if (close_up) {
        std::memmove(test.code + left_out.at, test.code + behind, test.code_size - behind);
        test.code_size -= length;
    } else {
        std::memset(test.code + left_out.at, 0x90, length);
    }
    return test;
}

// Leaves out instructions as long as the programs still differ.
TestCase HostCpu::minimised(TestCase test) {
    for (bool shorter = differs(test); shorter;) {
        shorter = false;
        run_reference(*reference_, test, &path_);
        const std::vector<Executed> path = path_;
        // From the end, so that what comes before keeps its place.
        for (auto executed = path.rbegin(); executed != path.rend() && !shorter; ++executed)
            for (const bool close_up : {true, false}) {
                const TestCase candidate = without(test, *executed, close_up);
                const bool changed = candidate.code_size != test.code_size ||
                                     std::memcmp(candidate.code, test.code, test.code_size) != 0;
                if (changed && differs(candidate)) {
                    test = candidate;
                    shorter = true;
                    break;
                }
            }
    }
    return test;
}

void HostCpu::report(const TestCase& test) {
    const TestCase small = minimised(test);
    const bool again = differs(small);
    const Reference ours = run_reference(*reference_, small, &path_);
    const Outcome& theirs = host_.shared().batches[0].outcomes[0];
    ADD_FAILURE() << "the host differs" << (again ? "" : " (once only)") << ":\n"
                  << difference(theirs, ours.outcome, ours.undefined_flags) << "before:\n"
                  << registers_text(small.start) << disassembly(small, path_) << "host:\n"
                  << outcome_text(theirs) << "ours:\n"
                  << outcome_text(ours.outcome) << "undefined: " << flag_names(ours.undefined_flags);
}

void HostCpu::run(const ProgramStyle& style, u64 instructions, u64 seed) {
    ProgramGenerator generator(seed, *reference_);
    make_batch(generator, style, 0);
    u8 number = 0;
    while (!HasFatalFailure() && failed_.size() < kMostReports) {
        host_.begin(number);
        const bool more = tally_.instructions < instructions;
        if (more)
            make_batch(generator, style, number ^ 1);
        check_batch(number);
        number ^= 1;
        if (!more)
            break;
    }
    for (std::size_t i = 0; i < failed_.size() && i < kMostReports; ++i)
        report(failed_[i]);
    print_tally(style, seed);
}

// Every row that CPL 3 may meet was executed, or faulted where it can do nothing else.
void HostCpu::check_coverage() {
    std::map<std::string, std::string> left_out;
    u32 rows = 0;
    for (u16 form = 1; form < form_count(); ++form) {
        const Form& row = form_at(form);
        const std::string name = fmt::format("{} ({}{:02X})", row.mnemonic, row.map == 2 ? "0F " : "", row.opcode);
        if (const char* why = why_not_drawn(row)) {
            left_out[why] += " " + name;
            continue;
        }
        constexpr std::string_view kEnding[] = {"ud2", "rsm", "cli", "sti", "int", "int3"};
        const bool always_ends = (row.attributes & kPrivileged) != 0 || row.port != Port::None ||
                                 std::find(std::begin(kEnding), std::end(kEnding), row.mnemonic) != std::end(kEnding);
        EXPECT_GT(always_ends ? tally_.ended[form] : tally_.executed[form], 0u) << "never ran: " << name;
        ++rows;
    }
    std::printf("%u rows executed, of %u\n", rows, form_count() - 1u);
    for (const auto& [why, names] : left_out)
        std::printf("left out: %s:%s\n", why.c_str(), names.c_str());
}

void HostCpu::print_tally(const ProgramStyle& style, u64 seed) {
    std::printf(
        "seed %llu: %llu programs of up to %u instructions, %llu instructions executed, %llu programs ended by a "
        "fault\n",
        static_cast<unsigned long long>(seed), static_cast<unsigned long long>(tally_.programs), style.instructions,
        static_cast<unsigned long long>(tally_.instructions), static_cast<unsigned long long>(tally_.faults));
    for (const auto& [name, count] : tally_.explained)
        std::printf("explained: %s: %llu\n", name.c_str(), static_cast<unsigned long long>(count));
    for (const auto& [name, counts] : tally_.undefined)
        if (counts[0] != 0)
            std::printf("undefined, and other than on this host: %s: %llu of %llu\n", name.c_str(),
                        static_cast<unsigned long long>(counts[0]), static_cast<unsigned long long>(counts[1]));
}

TEST_F(HostCpu, AgreesOnSingleInstructions) {
    ProgramStyle style;
    style.instructions = 1;
    style.keep_fault = 2;
    run(style, is_long() ? 6'000'000 : 150'000, seed_of_run());
    check_coverage();
}

TEST_F(HostCpu, FindsAnAdcThatForgetsTheCarryAndReducesTheProgramToIt) {
    sabotage_ = true;
    ProgramGenerator generator(3, *reference_);
    TestCase test;
    u32 programs = 0;
    do
        generator.make({}, test);
    while (!differs(test) && ++programs < 1000);
    ASSERT_TRUE(differs(test)) << "none of " << programs << " programs finds it";
    const TestCase small = minimised(test);
    run_reference(*reference_, small, &path_);
    const std::string text = disassembly(small, path_);
    EXPECT_NE(text.find("adc"), std::string::npos) << text;
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 8) << text;
}

TEST_F(HostCpu, AgreesOnPrograms) { run({}, is_long() ? 30'000'000 : 500'000, seed_of_run() + 1); }

TEST_F(HostCpu, AgreesOnProgramsInSegmentsWithBasesAndLimits) {
    if (!has_ldt())
        GTEST_SKIP() << "this kernel has no modify_ldt, or no 16-bit code segments";
    ProgramStyle style;
    style.segments = true;
    run(style, is_long() ? 15'000'000 : 250'000, seed_of_run() + 2);
}

TEST_F(HostCpu, AgreesOn16BitPrograms) {
    if (!has_ldt())
        GTEST_SKIP() << "this kernel has no modify_ldt, or no 16-bit code segments";
    ProgramStyle style;
    style.segments = true;
    style.code_16 = true;
    run(style, is_long() ? 15'000'000 : 250'000, seed_of_run() + 3);
}

} // namespace
} // namespace forkscope::test
