// The stub without a wire: what a client is answered, and what hostile ones cannot do.
#include <gtest/gtest.h>

#include "emu/base/log.hpp"
#include "emu/base/random.hpp"
#include "emu/debug/gdb_stub.hpp"

namespace forkscope::test {
namespace {

using Wants = Debugger::Wants;

class Stub : public testing::Test {
  protected:
    Stub() { start("run=forkdemo --pages 4"); }

    void start(const char* command_line) {
        stub.reset();
        target.reset();
        Options options;
        options.serial = "none";
        options.trace_forks = true;
        options.machine.ram_bytes = u64{16} << 20;
        options.machine.command_line = command_line;
        session = std::move(Session::create(options).value());
        target = std::make_unique<DebugTarget>(*session);
        stub = std::make_unique<GdbStub>(*target);
        stub->attach();
        EXPECT_EQ(send("QStartNoAckMode"), "+$OK#9a");
    }

    std::string send_raw(std::string_view bytes) {
        for (const char byte : bytes)
            stub->receive(static_cast<u8>(byte));
        return stub->take_output();
    }
    std::string send(std::string_view payload) { return send_raw(framed(payload)); }
    // The payload of the one answer.
    std::string ask(std::string_view payload) {
        const std::string answer = send(payload);
        EXPECT_TRUE(answer.size() >= 4 && answer.front() == '$') << payload << ": " << answer;
        return answer.size() < 4 ? "" : answer.substr(1, answer.size() - 4);
    }
    // As a session does for as long as the client lets the machine run.
    std::string run() {
        for (int slices = 0; stub->wants() != Wants::Hold && slices < 100000; ++slices) {
            const StopReason reason = stub->wants() == Wants::Step
                                          ? session->machine().step()
                                          : session->machine().run({session->machine().now() + 1000000, ~u64{0}});
            static_cast<void>(stub->stopped(reason, session->stops().ended(reason, StopConditions::After::Slice)));
        }
        const std::string answer = stub->take_output();
        return answer.size() < 4 ? answer : answer.substr(1, answer.size() - 4);
    }
    std::string run(std::string_view payload) {
        EXPECT_EQ(send(payload), "");
        return run();
    }
    u32 kernel(const char* symbol) { return session->symbols().places_of(symbol).at(0); }

    std::unique_ptr<Session> session;
    std::unique_ptr<DebugTarget> target;
    std::unique_ptr<GdbStub> stub;
};

TEST_F(Stub, AcknowledgesUntilItIsToldNotTo) {
    stub->attach();
    EXPECT_EQ(send("qAttached"), "+$1#31");
    EXPECT_EQ(send_raw("-"), "$1#31") << "sent again";
    EXPECT_EQ(send_raw("$g#00"), "-");
    EXPECT_EQ(send("QStartNoAckMode"), "+$OK#9a");
    EXPECT_EQ(send("qAttached"), "$1#31");
    EXPECT_EQ(send_raw("-$g#00"), "");
}

TEST_F(Stub, DescribesEachRegisterThatItServes) {
    std::string text;
    for (std::size_t offset = 0;; offset += 500) {
        const std::string part = ask(fmt::format("qXfer:features:read:target.xml:{:x},1f4", offset));
        text += part.substr(1);
        if (part[0] == 'l')
            break;
        ASSERT_EQ(part[0], 'm');
    }
    EXPECT_NE(text.find("<architecture>i8086</architecture>"), std::string::npos);
    u32 number = 0;
    std::size_t core = 0;
    for (std::size_t at = 0; (at = text.find("<reg name=", at)) != std::string::npos; ++at, ++number) {
        EXPECT_NE(text.find(fmt::format("regnum=\"{}\"", number), at), std::string::npos) << "in order";
        const std::size_t bits = std::stoul(text.substr(text.find("bitsize=\"", at) + 9));
        core += number < kGdbCoreCount ? bits / 4 : 0;
        EXPECT_EQ(ask(fmt::format("p{:x}", number)).size(), bits / 4) << number;
    }
    EXPECT_GT(number, 70u);
    EXPECT_EQ(ask(fmt::format("p{:x}", number)), "E01");
    EXPECT_EQ(ask("g").size(), core) << "no longer than described";
    EXPECT_EQ(ask("qXfer:features:read:target.xml:ffffffffffffffff,ffff"), "l");
    EXPECT_EQ(ask("qXfer:features:read:other.xml:0,fff"), "E00");
}

TEST_F(Stub, LeavesOutWhatTheProcessorLacks) {
    EXPECT_EQ(gdb_registers(model_of(CpuModel::I386)).size() + 9 + 2, gdb_registers(model_of(CpuModel::P6)).size())
        << "SSE; CR4 and EFER";
}

TEST_F(Stub, CountsInRealModeFromTheSegmentsBase) {
    EXPECT_EQ(ask("p8"), "f0ffffff");
    EXPECT_EQ(ask("mfffffff0,1"), "ea") << "the firmware's far jump";
    EXPECT_NE(run("s").find("08:3a070f00;"), std::string::npos) << ask("?");
}

TEST_F(Stub, StopsAtABreakpointWithAReasonThatGdbUnderstands) {
    const u32 place = kernel("fork_process");
    EXPECT_EQ(ask(fmt::format("Z0,{:x},1", place)), "OK");
    EXPECT_EQ(run("vCont;c").substr(0, 3), "T05") << "not a word more than the client knows";
    EXPECT_EQ(session->machine().cpu().linear_eip(), place);
    ask("qSupported:multiprocess+;swbreak+;hwbreak+");
    EXPECT_EQ(run("vCont;c").substr(0, 14), "T05swbreak:;th");
    EXPECT_EQ(ask(fmt::format("z0,{:x},1", place)), "OK");
    EXPECT_EQ(ask(fmt::format("Z1,{:x},1", place)), "OK");
    EXPECT_EQ(ask(fmt::format("Z1,{:x},1", place)), "OK") << "twice is once";
    EXPECT_EQ(session->machine().breakpoints().all().size(), 1u);
    EXPECT_EQ(run("c").substr(0, 14), "T05hwbreak:;th");
    stub->detach();
    EXPECT_TRUE(session->machine().breakpoints().all().empty());
}

TEST_F(Stub, StopsBehindTheStoreAndClipsItToWhatIsWatched) {
    run("s");
    session->machine().run({kNever, 100000});
    const u32 stack = session->machine().registers().esp();
    EXPECT_EQ(ask(fmt::format("Z2,{:x},2", stack - 3)), "OK");
    const std::string stop = run("vCont;c");
    EXPECT_EQ(stop.substr(0, stop.find(';')), fmt::format("T05watch:{:x}", stack - 3)) << stop;
    EXPECT_EQ(ask(fmt::format("z2,{:x},2", stack - 3)), "OK");
    EXPECT_TRUE(session->machine().watchpoints().empty());
    EXPECT_EQ(ask("Z2,1000,0"), "E01");
    EXPECT_EQ(ask("Z5,1000,1"), "");
    EXPECT_EQ(session->machine().registers().dr, (std::array<u32, 8>{0, 0, 0, 0, 0, 0, 0xFFFF0FF0, 0x400}))
        << "the guest's own are untouched";
}

TEST_F(Stub, NamesProcessesAndShowsWhereTheySleep) {
    EXPECT_EQ(ask(fmt::format("Z0,{:x},1", kernel("fork_process"))), "OK");
    EXPECT_EQ(ask("qfThreadInfo"), "mffff") << "before there is a process, the kernel";
    run("c"); // init forks the shell
    run("c"); // which forks forkdemo
    const GuestThread shell = target->threads().current();
    EXPECT_EQ(ask("qC"), fmt::format("QC{:x}", shell.id));
    const auto extra = bytes_of_hex(ask("qThreadExtraInfo,1"));
    ASSERT_TRUE(extra);
    EXPECT_EQ(std::string(extra->begin(), extra->begin() + 14), "pid 1 bin/init");
    EXPECT_EQ(ask("Hg1"), "OK");
    const std::string registers = ask("g");
    EXPECT_NE(registers.substr(0, 8), "xxxxxxxx") << "it gave up the processor in the kernel";
    EXPECT_EQ(registers.substr(2 * 64), std::string(2 * 112, 'x')) << "its x87 is not known";
    EXPECT_EQ(ask("P0=00000000"), "E01") << "it does not run";
    EXPECT_EQ(ask("T1"), "OK");
    EXPECT_EQ(ask("T7777"), "E01");
    EXPECT_EQ(ask("Hg7777"), "E01");
    EXPECT_EQ(ask("Hg0"), "OK");
    EXPECT_EQ(ask("p8"), hex_of_bytes(register_bytes(target->registers()[kGdbEip], {kernel("fork_process"), 0})));
}

TEST_F(Stub, StepsARangeInOneGo) {
    ask(fmt::format("Z0,{:x},1", kernel("fork_process")));
    run("c");
    const u32 place = session->machine().cpu().linear_eip();
    const u64 before = session->machine().instructions();
    run(fmt::format("vCont;r{:x},{:x};c", place, place + 12));
    EXPECT_GT(session->machine().instructions(), before + 1);
    const u32 after = session->machine().cpu().linear_eip();
    EXPECT_TRUE(after < place || after >= place + 12);
    EXPECT_EQ(ask("vCont;r1"), "E01");
    EXPECT_EQ(ask("vCont;t"), "E01");
    EXPECT_EQ(stub->wants(), Wants::Hold);
}

TEST_F(Stub, SaysWhyTheGuestsEndStopsIt) {
    const std::string stop = run("c");
    EXPECT_EQ(stop[0], 'O') << stop;
    EXPECT_NE(stop.find(hex_of_text("powered the machine off")), std::string::npos);
    EXPECT_EQ(stub->wants(), Wants::Hold) << "the machine is kept for looking";
}

// What is written is what an instruction would load: a selector brings its segment along. What is refused is no input.
TEST_F(Stub, SegmentsAreLoadedAsByMov) {
    const CpuState& r = session->machine().registers();
    EXPECT_EQ(ask("Pc=34120000"), "OK") << "real mode";
    EXPECT_EQ(r.segments[kDs].selector, 0x1234);
    EXPECT_EQ(r.segments[kDs].base, 0x12340u);
    EXPECT_EQ(ask("Pc=00000100").substr(0, 2), "E.") << "a selector has 16 bits";
    ask(fmt::format("Z1,{:x},1", kernel("fork_process")));
    run("vCont;c");
    ASSERT_TRUE(r.protected_mode());
    session->keep_past();
    const SegmentCache data = r.segments[kDs], stack = r.segments[kSs], code = r.segments[kCs];
    EXPECT_EQ(ask("Pc=00000000"), "OK") << "null";
    EXPECT_FALSE(r.segments[kDs].valid);
    EXPECT_EQ(ask(fmt::format("Pc={:02x}000000", data.selector)), "OK");
    EXPECT_EQ(r.segments[kDs].base, data.base);
    EXPECT_EQ(r.segments[kDs].limit, data.limit);
    EXPECT_EQ(r.segments[kDs].access, data.access);
    EXPECT_EQ(ask("Pc=ffff0000"), "E.selector 0xffff lies outside of the LDT");
    EXPECT_EQ(ask("Pc=f8ff0000"), "E.selector 0xfff8 lies outside of the GDT");
    EXPECT_EQ(ask("Pb=00000000"), "E.CS and SS cannot hold a null selector");
    EXPECT_EQ(ask(fmt::format("Pb={:02x}000000", code.selector)).substr(0, 2), "E.") << "code is no stack";
    EXPECT_EQ(ask(fmt::format("Pa={:02x}000000", data.selector)).substr(0, 2), "E.") << "data is no code";
    EXPECT_EQ(ask(fmt::format("Pa={:02x}000000", code.selector | 3)).substr(0, 2), "E.") << "another ring";
    EXPECT_EQ(ask(fmt::format("Pa={:02x}000000", code.selector)), "OK");
    EXPECT_EQ(r.segments[kSs].selector, stack.selector);
    EXPECT_EQ(r.segments[kCs].base, code.base);
}

TEST_F(Stub, FloatAndVectorRegistersAreWrittenAndReplayed) {
    ask(fmt::format("Z1,{:x},1", kernel("fork_process")));
    run("vCont;c");
    session->keep_past();
    const Position before = session->timeline()->position();
    EXPECT_EQ(ask("P10=00000000000000800040"), "OK");
    EXPECT_EQ(ask("p10"), "00000000000000800040") << "2.0";
    EXPECT_EQ(ask("P18=7f020000"), "OK");
    EXPECT_EQ(session->machine().registers().x87.control, 0x027F);
    EXPECT_EQ(ask("P19=00380000"), "OK") << "TOP";
    EXPECT_EQ(session->machine().registers().x87.top, 7);
    EXPECT_EQ(ask("P1a=ffff0000"), "OK");
    EXPECT_EQ(session->machine().registers().x87.occupied, 0) << "all empty";
    EXPECT_EQ(ask("P1f=00080000").substr(0, 2), "E.") << "an opcode has 11 bits";
    const auto& rows = target->registers();
    const auto named = [&](std::string_view name) {
        return static_cast<u32>(
            std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.name == name; }) - rows.begin());
    };
    if (const u32 xmm1 = named("xmm1"); xmm1 < rows.size()) {
        EXPECT_EQ(ask(fmt::format("P{:x}=000102030405060708090a0b0c0d0e0f", xmm1)), "OK");
        EXPECT_EQ(ask(fmt::format("p{:x}", xmm1)), "000102030405060708090a0b0c0d0e0f");
        EXPECT_EQ(ask(fmt::format("P{:x}=00000100", named("mxcsr"))).substr(0, 2), "E.") << "reserved bits";
    }
    EXPECT_EQ(ask(fmt::format("P{:x}=00000000", named("dr7"))), "E.dr7 is only read");
    session->step();
    const Position after = session->timeline()->position();
    const u64 hash = session->machine().hash();
    ASSERT_TRUE(session->timeline()->go_to(before).ok());
    ASSERT_TRUE(session->timeline()->go_to(after).ok());
    EXPECT_EQ(session->machine().hash(), hash) << "a replay writes them again";
}

TEST_F(Stub, WritesMemoryAndRegistersOrSaysThatItDoesNot) {
    EXPECT_EQ(ask("M1000,3:010203"), "OK");
    EXPECT_EQ(ask("X1003,2:\x04}"
                  "\x05"),
              "OK");
    EXPECT_EQ(ask("m1000,5"), "0102030425");
    EXPECT_EQ(ask("M1000,3:0102"), "E01");
    EXPECT_EQ(ask("Mf0000000,1:01"), "E14") << "nothing is there";
    EXPECT_EQ(ask("mf0000000,1"), "E14");
    EXPECT_EQ(ask("P0=78563412"), "OK");
    EXPECT_EQ(ask("p0"), "78563412");
    EXPECT_EQ(ask("P8=00001000"), "OK") << "a linear address: EIP lies behind CS's base";
    EXPECT_EQ(session->machine().cpu().linear_eip(), 0x100000u);
    EXPECT_EQ(ask("P10=00").substr(0, 2), "E.") << "an empty answer would make gdb write all registers";
    EXPECT_EQ(ask("P99=00000000"), "E01");
    const std::string all = ask("g");
    EXPECT_EQ(ask("G" + all), "OK");
    EXPECT_EQ(ask("G0000"), "E01");
    EXPECT_EQ(ask("Gxx"), "E01");
}

TEST_F(Stub, ReadsTheScreensMemoryAndChangesNothing) {
    ask(fmt::format("Z0,{:x},1", kernel("fork_process")));
    run("c");
    const u64 hash = session->machine().hash();
    const TextScreen screen = session->machine().vga().text_screen();
    std::string cells;
    for (std::size_t i = 0; i < 8; ++i)
        cells += fmt::format("{:02x}{:02x}", screen.cells[i] & 0xFF, screen.cells[i] >> 8);
    EXPECT_EQ(ask("Qqemu.PhyMemMode:1"), "OK");
    EXPECT_EQ(ask("mb8000,10"), cells);
    EXPECT_EQ(ask("Mb8000,1:41"), "E14");
    EXPECT_EQ(session->machine().hash(), hash);
}

TEST_F(Stub, ReadsPhysicalMemoryWhereQemuWould) {
    EXPECT_EQ(ask("qqemu.PhyMemMode"), "0");
    ask(fmt::format("Z0,{:x},1", kernel("fork_process")));
    run("c");
    const u32 place = kernel("fork_process");
    const std::string code = ask(fmt::format("m{:x},8", place));
    EXPECT_EQ(ask(fmt::format("m{:x},8", place - 0xC0000000)), "E14") << "not mapped";
    EXPECT_EQ(ask("Qqemu.PhyMemMode:1"), "OK");
    EXPECT_EQ(ask("qqemu.PhyMemMode"), "1");
    EXPECT_EQ(ask(fmt::format("m{:x},8", place - 0xC0000000)), code);
    EXPECT_EQ(ask("Qqemu.PhyMemMode:2"), "E22");
}

TEST_F(Stub, AnswersTheMonitorInText) {
    const auto monitor = [this](const std::string& line) {
        std::string answer;
        std::string raw = send("qRcmd," + hex_of_text(line));
        while (raw.starts_with("$O") && !raw.starts_with("$OK")) {
            const std::size_t end = raw.find('#');
            const auto bytes = bytes_of_hex(raw.substr(2, end - 2));
            answer.append(bytes->begin(), bytes->end());
            raw.erase(0, end + 3);
        }
        EXPECT_EQ(raw, "$OK#9a") << line;
        return answer;
    };
    EXPECT_NE(monitor("pt").find("paging is off"), std::string::npos);
    EXPECT_NE(monitor("stop 2").find("armed"), std::string::npos);
    EXPECT_NE(monitor("stop nowhere:1").find("'nowhere:1' is no function"), std::string::npos);
    EXPECT_EQ(run("c")[0], 'O');
    EXPECT_NE(monitor("when").find("pid 1 bin/init"), std::string::npos);
    EXPECT_NE(monitor("fork").find("address space"), std::string::npos);
    EXPECT_NE(monitor(fmt::format("pt {:#x}", kernel("fork_process"))).find("large page"), std::string::npos);
    EXPECT_EQ(monitor("pt fork_process"), monitor(fmt::format("pt {:#x}", kernel("fork_process"))));
    EXPECT_NE(monitor("pt 0x1000").find("not present"), std::string::npos);
    EXPECT_NE(monitor("pt").find("pages"), std::string::npos);
    EXPECT_NE(monitor("tlb").find("D4K"), std::string::npos);
    EXPECT_NE(monitor("info registers").find("cr3    "), std::string::npos);
    EXPECT_NE(monitor("step-stop").find("armed"), std::string::npos);
    for (int i = 0; i < 100; ++i)
        monitor("stop symbol:fork_process");
    EXPECT_EQ(session->machine().breakpoints().all().size(), 31u) << "one is step-stop's; what was met makes room";
    stub->detach();
    EXPECT_TRUE(session->machine().breakpoints().all().empty()) << "what was armed has gone with the client";
    stub->attach();
    EXPECT_EQ(send("QStartNoAckMode"), "+$OK#9a");
    EXPECT_NE(monitor("nonsense").find("no command 'nonsense'"), std::string::npos);
    EXPECT_EQ(send("qRcmd,7"), "$E01#a6");
}

TEST_F(Stub, StopsWhenTheClientAsksAndHearsNothingElseMeanwhile) {
    EXPECT_EQ(send("c"), "");
    EXPECT_EQ(send("g"), "") << "a client that waits for a stop asks nothing";
    EXPECT_EQ(stub->wants(), Wants::Run);
    EXPECT_EQ(send_raw("\x03").substr(0, 4), "$T02");
    EXPECT_EQ(stub->wants(), Wants::Hold);
    EXPECT_EQ(send_raw("\x03"), "") << "it stands already";
    EXPECT_EQ(ask("D"), "OK");
    EXPECT_TRUE(stub->over());
    EXPECT_EQ(stub->wants(), Wants::Run);
}

TEST_F(Stub, GoesBackOnlyWhereAPastIsKept) {
    EXPECT_EQ(ask("bs"), "");
    EXPECT_EQ(ask("qSupported").find("Reverse"), std::string::npos);
    session->keep_past();
    EXPECT_NE(ask("qSupported").find(";ReverseStep+;ReverseContinue+"), std::string::npos);
    EXPECT_EQ(ask("bx"), "");
}

TEST_F(Stub, ReturnsFromALongWayBackWhenTheClientAsks) {
    start("run=forkstorm");
    session->keep_past();
    Timeline& timeline = *session->timeline();
    timeline.run({kNever, 5'500'000});
    const Position origin = timeline.position();
    EXPECT_EQ(send("bc"), "");
    EXPECT_EQ(stub->wants(), Wants::Back);
    stub->go_back();
    stub->go_back();
    EXPECT_EQ(stub->wants(), Wants::Back) << "two intervals are not all";
    EXPECT_LT(timeline.position(), origin);
    EXPECT_EQ(send_raw("\x03").substr(0, 4), "$T02");
    EXPECT_EQ(timeline.position(), origin);
    EXPECT_EQ(send("bc"), "");
    for (int pieces = 0; stub->wants() == Wants::Back && pieces < 1000; ++pieces)
        stub->go_back();
    EXPECT_EQ(stub->take_output().substr(0, 22), "$T05replaylog:begin:;t");
    EXPECT_EQ(timeline.position(), timeline.beginning());
}

// Packets that a client could mean, changed in a few places; now and then bytes without any frame.
TEST_F(Stub, SurvivesAnyClient) {
    session->keep_past();
    const std::string seeds[] = {
        "qSupported:swbreak+;hwbreak+",
        "g",
        "p8",
        "P0=00000000",
        "m1000,100",
        "M1000,4:00000000",
        "X1000,2:ab",
        "Z0,1000,1",
        "z0,1000,1",
        "Z2,1000,4",
        "z2,1000,4",
        "Z4,fffffffe,ffffff",
        "vCont;r1000,2000;c",
        "vCont;s:1;c",
        "vCont?",
        "Hg1",
        "Hc-1",
        "qfThreadInfo",
        "qThreadExtraInfo,1",
        "T1",
        "qC",
        "qRcmd,7074",
        "qRcmd,73746f702032",
        "bs",
        "bc",
        "Qqemu.PhyMemMode:1",
        "?",
        "qXfer:features:read:target.xml:0,ffff",
        "G00000000",
    };
    Random random(1234);
    for (int round = 0; round < 20000; ++round) {
        std::string payload = seeds[random.below(std::size(seeds))];
        for (u64 changes = random.below(4); changes > 0 && !payload.empty(); --changes) {
            const std::size_t at = random.below(payload.size());
            const u64 how = random.below(3);
            if (how == 0)
                payload[at] = static_cast<char>(random.next());
            else if (how == 1)
                payload.erase(at, random.below(4));
            else
                payload.insert(at, payload.substr(random.below(payload.size())));
        }
        const std::string answer = send(escaped(payload));
        ASSERT_LT(answer.size(), std::size_t{1} << 20) << payload;
        if (stub->wants() != Wants::Hold)
            static_cast<void>(send_raw("\x03"));
        if (stub->over() || round % 1000 == 999) { // the client comes again
            stub->detach();
            ASSERT_TRUE(session->machine().breakpoints().all().empty());
            ASSERT_TRUE(session->machine().watchpoints().empty());
            stub->attach();
        }
    }
    EXPECT_EQ(session->machine().instructions(), 0u) << "nobody moved the machine";
}

} // namespace
} // namespace forkscope::test
