// Who made what one sees at an address: told as the tracer and single steps have it, and nothing has moved after.
#include <map>

#include "emu/base/random.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/report/stepper/step_commands.hpp"
#include "tests/unit/stepper/stepped_session.hpp"

namespace forkscope {

namespace {

struct Asked {
    std::unique_ptr<Session> session = session_in_fork();
    Stepper stepper{*session};
    Why why{*session, {}};

    Machine& machine() { return session->machine(); }
    AddressSpace space() { return machine().mmu().control().space_of(machine().registers().cr3); }
    void run_until(const std::string& condition) {
        const auto arrival = stepper.run_until(condition, Way::Forwards);
        ASSERT_TRUE(arrival.ok() && arrival->end == Arrival::End::Met) << condition;
    }
    Reason reason(u32 address, WhyPart part) {
        auto all = why.explain(LinearAddress(address), space(), part);
        EXPECT_TRUE(all.ok()) << (all.ok() ? "" : all.error().message);
        EXPECT_FALSE(all.ok() && all->empty());
        return all.ok() && !all->empty() ? all->front() : Reason{};
    }
    std::map<std::string, std::vector<u8>> saved() {
        std::map<std::string, std::vector<u8>> sections;
        EXPECT_TRUE(machine()
                        .save([&](SnapshotSection section) -> Result<void> {
                            sections[section.name] = section.bytes;
                            return {};
                        })
                        .ok());
        return sections;
    }
    PageTableView user_pages() {
        return PageTableView::read(machine().mmu().memory(), space(),
                                   {.control = machine().mmu().control(), .user_only = true, .directories = {}});
    }
};

const Act* last_change(const Reason& reason) {
    for (const Act& act : reason.acts)
        if (act.before != act.after)
            return &act;
    return nullptr;
}

} // namespace

TEST(Why, NamesTheCopyAndTheForkThatHadProtected) {
    Asked asked;
    asked.run_until("stop == F");
    const u32 address = asked.machine().registers().cr2;
    asked.run_until("tracepoint(fault_leave)");
    const Reason entry = asked.reason(address, WhyPart::Entry);
    ASSERT_GE(entry.acts.size(), 2u) << entry.unknown;
    EXPECT_NE(entry.acts[0].who, "");
    EXPECT_EQ(entry.acts[0].who.find("set_pte"), std::string::npos) << entry.acts[0].who;
    EXPECT_NE(entry.acts[0].instruction.find("set_pte"), std::string::npos) << entry.acts[0].instruction;
    EXPECT_EQ(entry.acts[0].before & kPteWritable, 0u);
    EXPECT_NE(entry.acts[0].after & kPteWritable, 0u);
    EXPECT_EQ(entry.acts[0].fork, 0u);
    EXPECT_EQ(entry.acts[1].after & kPteWritable, 0u);
    EXPECT_NE(entry.acts[1].fork, 0u);
    EXPECT_EQ(entry.acts[1].stop.substr(0, 1), "2") << entry.acts[1].stop;
    EXPECT_LT(entry.acts[1].at, entry.acts[0].at);

    const Reason frame = asked.reason(address, WhyPart::Frame);
    ASSERT_EQ(frame.acts.size(), 1u) << frame.unknown;
    EXPECT_LT(frame.acts[0].at, entry.acts[0].at) << "taken before it was mapped";
    EXPECT_GT(frame.acts[0].at, entry.acts[1].at) << "and after the fork had shared the page";
}

TEST(Why, AgreesWithTheTracerOnEachUserPage) {
    Asked asked;
    asked.run_until("tracepoint(fork_leave)");
    const ForkTracer& tracer = *asked.session->tracer();
    const ForkRecord fork = tracer.current() != nullptr ? *tracer.so_far() : *tracer.last();
    std::map<u32, PteChange> last; // by the entry's address
    for (const PteChange& change : fork.ptes)
        if (change.written)
            last[change.entry_address] = change;
    int compared = 0;
    const PageTableView pages = asked.user_pages();
    for (const PageEntry& page : pages.entries()) {
        const Reason entry = asked.reason(page.linear, WhyPart::Entry);
        const auto known = last.find(page.entry_address);
        if (known == last.end()) {
            EXPECT_TRUE(entry.acts.empty() || entry.acts[0].at.instructions < fork.begin_instructions) << page.linear;
            continue;
        }
        ++compared;
        ASSERT_FALSE(entry.acts.empty()) << page.linear << entry.unknown;
        EXPECT_EQ(entry.acts[0].at.instructions, known->second.instructions) << page.linear;
        EXPECT_EQ(entry.acts[0].eip, known->second.eip);
        EXPECT_EQ(entry.acts[0].before, known->second.old_value);
        EXPECT_EQ(entry.acts[0].after, known->second.new_value);
        EXPECT_EQ(entry.acts[0].fork, fork.number);
    }
    EXPECT_GT(compared, 3);
}

namespace {

struct ChangedByte {
    u32 linear = 0;
    u64 physical = 0;
    u8 last = 0;
    Position changed{};
};

// Those that the last `steps` instructions left otherwise than they were. Then the machine is where it was.
std::vector<ChangedByte> changed_bytes(Asked& asked, u64 steps) {
    Timeline& timeline = asked.stepper.timeline();
    const Position end = timeline.position();
    const PhysicalMemory& memory = asked.machine().mmu().memory();
    const std::vector<PageEntry> pages =
        PageTableView::read(memory, asked.space(),
                            {.control = asked.machine().mmu().control(), .user_only = false, .directories = {}})
            .entries();
    const auto contents = [&] {
        std::map<u32, std::vector<u8>> all;
        for (const PageEntry& page : pages)
            if (page.bytes() == kPageSize && page.physical < memory.frame_count() * kPageSize) {
                auto& bytes = all[page.linear];
                bytes.resize(kPageSize);
                static_cast<void>(memory.read(PhysicalAddress(page.physical), bytes));
            }
        return all;
    };
    EXPECT_TRUE(timeline.go_to(end.instructions - steps).ok());
    const auto before = contents();
    EXPECT_TRUE(timeline.go_to(end).ok());
    const auto after = contents();
    std::vector<ChangedByte> all;
    for (const PageEntry& page : pages)
        for (u32 i = 0; before.count(page.linear) != 0 && i < kPageSize; ++i)
            if (before.at(page.linear)[i] != after.at(page.linear)[i])
                all.push_back({page.linear + i, page.physical + i, before.at(page.linear)[i]});
    return all;
}

} // namespace

TEST(Why, AgreesWithSingleStepsOnBytes) {
    constexpr u64 kSteps = 4'000;
    Asked asked;
    asked.run_until("stop == 3");
    Timeline& timeline = asked.stepper.timeline();
    const Position end = timeline.position();
    const PhysicalMemory& memory = asked.machine().mmu().memory();
    const auto value = [&](u64 physical) {
        u8 byte = 0;
        static_cast<void>(memory.read(PhysicalAddress(physical), {&byte, 1}));
        return byte;
    };
    const std::vector<ChangedByte> all = changed_bytes(asked, kSteps);
    ASSERT_GT(all.size(), 50u);
    Random random(3);
    std::vector<ChangedByte> some;
    for (int i = 0; i < 40; ++i)
        some.push_back(all[random.below(all.size())]);

    ASSERT_TRUE(timeline.go_to(end.instructions - kSteps).ok());
    while (timeline.position() < end) {
        const Position here = timeline.position();
        timeline.step();
        for (ChangedByte& byte : some)
            if (const u8 now = value(byte.physical); now != byte.last) {
                byte.last = now;
                byte.changed = here;
            }
    }
    asked.session->stops().pass_over({});
    ASSERT_EQ(timeline.position(), end);
    for (const ChangedByte& byte : some) {
        const Reason reason = asked.reason(byte.linear, WhyPart::Byte);
        const Act* change = last_change(reason);
        ASSERT_NE(change, nullptr) << std::hex << byte.linear << reason.unknown;
        EXPECT_EQ(change->at, byte.changed) << std::hex << byte.linear;
        EXPECT_GE(reason.acts[0].at, change->at);
        EXPECT_EQ(reason.acts[0].after, byte.last);
    }
}

// From the present, from the past, and where the guest has ended.
TEST(Why, LeavesTheMachineWhereItWas) {
    Asked asked;
    const auto ask = [&](const std::string& where) {
        const Position position = asked.stepper.timeline().position();
        const bool in_past = asked.stepper.timeline().in_past();
        const auto before = asked.saved();
        const auto all = asked.why.explain(LinearAddress(0xBFFFE000), asked.space());
        ASSERT_TRUE(all.ok() && all->size() >= 3) << where;
        EXPECT_EQ(asked.stepper.timeline().position(), position) << where;
        EXPECT_EQ(asked.stepper.timeline().in_past(), in_past) << where;
        EXPECT_TRUE(asked.saved() == before) << where;
    };
    ask("inside fork");
    asked.run_until("stop == F");
    ask("at the present");
    ASSERT_TRUE(asked.stepper.move(Grain::Stop, Way::Backwards, 3).ok());
    ask("in the past");
}

TEST(Why, LeadsToTheFillOfATranslation) {
    Asked asked;
    asked.run_until("stop == F");
    const Reason fill = asked.reason(asked.machine().cpu().linear_eip(), WhyPart::Tlb);
    ASSERT_EQ(fill.acts.size(), 1u) << fill.unknown;
    ASSERT_TRUE(asked.stepper.go_to(fill.acts[0].at).ok());
    const u32 eip = asked.machine().cpu().linear_eip();
    EXPECT_EQ(eip, fill.acts[0].eip);
    const auto arrival = asked.stepper.run_until("fills(" + std::to_string(fill.address) + ")", Way::Forwards);
    ASSERT_TRUE(arrival.ok() && arrival->end == Arrival::End::Met);
    EXPECT_LE(asked.machine().instructions(), fill.acts[0].at.instructions + 1);
}

TEST(Why, IsACommandThatAnswersAndGoes) {
    Asked asked;
    StepCommands commands(asked.stepper);
    const u64 here = asked.machine().instructions();
    const StepAnswer answer = commands.execute("why 0xbfffe000");
    EXPECT_EQ(answer.code, ExitCode::Ok);
    EXPECT_NE(answer.text.find("table entry"), std::string::npos) << answer.text;
    EXPECT_NE(answer.text.find("goto "), std::string::npos) << answer.text;
    EXPECT_EQ(asked.machine().instructions(), here);
    EXPECT_EQ(commands.execute("why 0xbfffe000 entry go").code, ExitCode::Ok);
    EXPECT_LT(asked.machine().instructions(), here);
    EXPECT_EQ(commands.execute("why 0xbfffe000 go").code, ExitCode::Usage);
    EXPECT_EQ(commands.execute("why nowhere_at_all").code, ExitCode::Usage);
    EXPECT_EQ(commands.execute("why 0xbfffe000 in nobody").code, ExitCode::Usage);
}

TEST(Why, CanBeInterrupted) {
    Asked asked;
    Why cut(*asked.session, [] { return true; });
    const auto all = cut.explain(LinearAddress(0xBFFFE000), asked.space(), WhyPart::Entry);
    ASSERT_TRUE(all.ok() && !all->empty());
    EXPECT_NE(all->front().unknown.find("interrupted"), std::string::npos);
    EXPECT_TRUE(all->front().acts.empty());
}

} // namespace forkscope
