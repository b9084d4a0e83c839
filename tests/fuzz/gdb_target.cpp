// A debugger's client that sends anything: the stub answers within bounds, and nothing that was set outlives it.
#include "emu/debug/gdb_stub.hpp"
#include "targets.hpp"

namespace forkscope::fuzz {

namespace {

// Inside of a fork, so that there are processes, page tables and a stack.
class Debugged {
  public:
    Debugged() : session_(make_session()), target_(*session_), stub_(target_) {
        const StopReason reason = session_->machine().run({kNever, 400'000});
        if (reason.kind != StopKind::Limit)
            report("the guest does not boot");
        session_->keep_past();
        session_->timeline()->run({kNever, 420'000}); // so that there is a future, too
        start_ = session_->timeline()->end();
        come_back();
    }

    void take(InputReader input) {
        stub_.attach();
        const bool raw = (input.take<u8>() & 1) != 0;
        const auto bytes = input.rest();
        if (raw)
            send({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        else
            send_lines({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        stub_.detach();
        if (!session_->machine().breakpoints().all().empty() || !session_->machine().watchpoints().empty())
            report("a client left its points behind");
        come_back();
    }

  private:
    static std::unique_ptr<Session> make_session() {
        Options options;
        options.serial = "none";
        options.trace_forks = true;
        options.machine.ram_bytes = u64{16} << 20;
        options.machine.command_line = "run=forkdemo --pages 2";
        auto session = Session::create(options);
        if (!session.ok())
            report("no session can be made");
        return std::move(session).value();
    }

    // To the first branch, and what other ones there are is dropped.
    void come_back() {
        Timeline& timeline = *session_->timeline();
        if (!timeline.switch_to(1, start_).ok())
            report("the machine does not come back");
        while (timeline.branches().size() > 1)
            static_cast<void>(timeline.drop(timeline.branches().rbegin()->first));
    }

    void send_lines(std::string_view text) {
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('\n'), text.size());
            send(framed(escaped(text.substr(0, end))));
            text.remove_prefix(std::min(end + 1, text.size()));
        }
    }

    void send(std::string_view bytes) {
        constexpr std::size_t kMostOutput = 8u << 20; // of one byte: the longest report
        for (const char byte : bytes) {
            stub_.receive(static_cast<u8>(byte));
            if (stub_.take_output().size() > kMostOutput)
                report("an answer without bounds");
            move();
        }
    }

    // As a session does, a little.
    void move() {
        constexpr Cycles kSlice = 1000;
        Machine& machine = session_->machine();
        for (int slices = 0; slices < 20 && stub_.wants() != Debugger::Wants::Hold; ++slices) {
            if (stub_.wants() == Debugger::Wants::End)
                return;
            if (stub_.wants() == Debugger::Wants::Back) {
                stub_.go_back();
                continue;
            }
            Timeline& timeline = *session_->timeline();
            const StopReason reason = stub_.wants() == Debugger::Wants::Step
                                          ? timeline.step()
                                          : timeline.run({machine.now() + kSlice, ~u64{0}});
            stub_.stopped(reason, session_->stops().ended(reason, StopConditions::After::Slice));
        }
        stub_.interrupt();
    }

    std::unique_ptr<Session> session_;
    DebugTarget target_;
    GdbStub stub_;
    Position start_;
};

} // namespace

void gdb(std::span<const u8> input) {
    static Debugged debugged;
    debugged.take(InputReader(input));
}

} // namespace forkscope::fuzz
