// Packets in and out, and the machine's moves.
#include "emu/debug/gdb_stub.hpp"

#include <algorithm>

#include "emu/base/log.hpp"

namespace forkscope {

namespace {

constexpr std::string_view kTrap = "05"; // SIGTRAP
constexpr std::string_view kInterrupted = "02";

std::string_view watch_word(PointKind kind) {
    return kind == PointKind::Write ? "watch" : kind == PointKind::Read ? "rwatch" : "awatch";
}

} // namespace

GdbStub::GdbStub(DebugTarget& target)
    : target_(target), monitor_(target, [this] { return interrupted_ && interrupted_(); }) {}

void GdbStub::attach() {
    packets_.reset();
    output_.clear();
    last_reply_.clear();
    acknowledges_ = acknowledges_next_ = true;
    names_breakpoints_ = over_ = false;
    selected_ = 0;
    attached_ = true;
    wants_ = Debugger::Wants::Hold;
    last_stop_ = "T" + std::string(kTrap) + stop_reply();
}

void GdbStub::detach() {
    attached_ = false;
    way_back_.reset();
    if (wants_ == Debugger::Wants::Back)
        wants_ = Debugger::Wants::Hold;
    output_.clear();
    target_.remove_all();
    monitor_.disarm();
    target_.set_physical(false);
}

void GdbStub::receive(u8 byte) {
    const auto received = packets_.take(byte);
    if (!received || over_)
        return;
    switch (received->kind) {
    case Received::Kind::Ack:
        return;
    case Received::Kind::Nak:
        if (acknowledges_)
            output_ += last_reply_;
        return;
    case Received::Kind::Damaged:
        if (acknowledges_)
            output_ += '-';
        return;
    case Received::Kind::Interrupt:
        return interrupt();
    case Received::Kind::Packet:
        break;
    }
    if (acknowledges_)
        output_ += '+';
    acknowledges_ = acknowledges_next_;
    if (wants_ == Debugger::Wants::Hold) // else nothing may be asked: the client waits for a stop
        handle(received->payload);
    acknowledges_ = acknowledges_next_;
}

void GdbStub::reply(std::string_view payload) {
    last_reply_ = framed(payload);
    output_ += last_reply_;
}

void GdbStub::say(std::string_view text) {
    constexpr std::size_t kPiece = kMostPayload / 2 - 1;
    for (; !text.empty(); text.remove_prefix(std::min(kPiece, text.size())))
        output_ += framed("O" + hex_of_text(text.substr(0, kPiece)));
}

void GdbStub::handle(std::string_view payload) {
    PayloadReader in(payload);
    const char command = payload.empty() ? '\0' : payload.front();
    static_cast<void>(in.take(payload.substr(0, 1)));
    switch (command) {
    case '?':
        return reply(last_stop_);
    case 'c': // with an address they would begin elsewhere: nobody sends that to who knows vCont
    case 'C':
        return resume(Motion::Continue);
    case 's':
    case 'S':
        return resume(Motion::Step);
    case 'g':
        return read_registers();
    case 'G':
        return write_registers(in.rest());
    case 'p':
        return read_register(in);
    case 'P':
        return write_register(in);
    case 'm':
        return read_memory(in);
    case 'M':
        return write_memory(in, false);
    case 'X':
        return write_memory(in, true);
    case 'H':
        return select_thread(in);
    case 'T': {
        const auto id = in.word();
        return reply(id && target_.threads().find(*id) ? "OK" : "E01");
    }
    case 'Z':
    case 'z':
        return on_breakpoint(in, command == 'Z');
    case 'D':
        reply("OK");
        return end_connection(Debugger::Wants::Run);
    case 'k':
        return end_connection(Debugger::Wants::End);
    case 'v':
        return on_vcont(in);
    case 'b':
        return on_back(in.rest());
    case 'q':
    case 'Q':
        return query(payload);
    default:
        return reply(""); // not understood
    }
}

void GdbStub::end_connection(Debugger::Wants wants) {
    over_ = true;
    target_.remove_all();
    monitor_.disarm();
    wants_ = wants;
    if (wants == Debugger::Wants::End)
        target_.session().stops().end_run({ExitCode::Ok, "the debugger has killed the guest", {}});
}

// --- The machine's moves

// The processor is one: a step of any thread is a step of the machine. `c` and `C` for one, `s` for another, is a step.
void GdbStub::on_vcont(PayloadReader in) {
    if (in.take("MustReplyEmpty"))
        return reply("");
    if (in.take("Cont?"))
        return reply("vCont;c;C;s;S;r");
    if (in.take("Kill")) {
        reply("OK");
        return end_connection(Debugger::Wants::End);
    }
    if (!in.take("Cont;"))
        return reply("");
    std::optional<Motion> motion;
    while (!in.done()) {
        PayloadReader action(in.until(';'));
        if (action.take("s") || action.take("S")) {
            motion = Motion::Step;
        } else if (action.take("r")) {
            const auto begin = action.word();
            const auto end = begin && action.take(",") ? action.word() : std::nullopt;
            if (!end)
                return reply("E01");
            range_begin_ = *begin;
            range_end_ = *end;
            motion = Motion::StepRange;
        } else if (action.take("c") || action.take("C")) {
            motion = motion.value_or(Motion::Continue);
        } else {
            return reply("E01");
        }
    }
    return motion ? resume(*motion) : reply("E01");
}

void GdbStub::resume(Motion motion) {
    motion_ = motion;
    static_cast<void>(target_.take_hit());
    wants_ = motion == Motion::Continue ? Debugger::Wants::Run : Debugger::Wants::Step;
}

void GdbStub::interrupt() {
    if (!attached_ || wants_ == Debugger::Wants::Hold || wants_ == Debugger::Wants::End)
        return;
    if (way_back_)
        if (auto back = way_back_->give_up(); !back.ok())
            say("Forkscope: " + back.error().message + "\n");
    report_stop(kInterrupted);
}

// --- Backwards

void GdbStub::on_back(std::string_view how) {
    Timeline* const timeline = target_.session().timeline();
    if (timeline == nullptr || (how != "s" && how != "c"))
        return reply("");
    way_back_.reset();
    hit_on_the_way_.reset();
    static_cast<void>(target_.take_hit());
    if (how == "c")
        way_back_.emplace(*timeline, target_.machine(), [this](const StopReason& reason) { return look(reason); });
    wants_ = Debugger::Wants::Back;
}

// The same as forwards, but that a store is stopped before.
WayBack::Met GdbStub::look(const StopReason& reason) {
    target_.session().stops().pass_over(reason);
    if (const auto hit = target_.take_hit()) {
        hit_on_the_way_ = hit;
        return WayBack::Met::ByTheLastInstruction;
    }
    const bool breakpoint = reason.kind == StopKind::Breakpoint && target_.breakpoint_here();
    if (breakpoint)
        hit_on_the_way_.reset();
    return breakpoint ? WayBack::Met::Here : WayBack::Met::No;
}

void GdbStub::go_back() {
    constexpr std::string_view kBeginning = "replaylog:begin:;";
    Timeline& timeline = *target_.session().timeline();
    Result<WayBack::Progress> progress = WayBack::Progress::Found;
    if (way_back_)
        progress = way_back_->search();
    else if (const auto back = step_back(timeline, target_.machine()); !back.ok())
        progress = back.error();
    else if (!*back)
        progress = WayBack::Progress::AtBeginning;
    target_.session().stops().pass_over({});
    if (!progress.ok()) {
        say("Forkscope: " + progress.error().message + "\n");
        return report_stop(kTrap);
    }
    if (*progress == WayBack::Progress::Searching)
        return;
    if (*progress == WayBack::Progress::AtBeginning)
        return report_stop(kTrap, std::string(kBeginning));
    if (hit_on_the_way_)
        return report_stop(kTrap, fmt::format("{}:{:x};", watch_word(hit_on_the_way_->kind), hit_on_the_way_->address));
    report_breakpoint_or("");
}

// The thread, and the registers that gdb asks for first.
std::string GdbStub::stop_reply() const {
    const GuestThread running = target_.threads().current();
    std::string text = fmt::format("thread:{:x};", running.id);
    for (const u32 number : {kGdbEsp, kGdbEbp, kGdbEip})
        text += fmt::format("{:02x}:{};", number, hex_of_bytes(target_.read_register(number, running)));
    return text;
}

void GdbStub::report_stop(std::string_view signal, std::string reason) {
    wants_ = Debugger::Wants::Hold;
    way_back_.reset();
    static_cast<void>(target_.take_hit());
    selected_ = 0;
    last_stop_ = "T" + std::string(signal) + std::move(reason) + stop_reply();
    reply(last_stop_);
}

// A reason is given only where gdb finds what it names: it resumes silently from others.
void GdbStub::report_breakpoint_or(std::string reason) {
    const auto breakpoint = target_.breakpoint_here();
    if (breakpoint && names_breakpoints_)
        reason = *breakpoint == PointKind::Software ? "swbreak:;" : "hwbreak:;";
    report_stop(kTrap, std::move(reason));
}

bool GdbStub::stopped(const StopReason& reason, const std::optional<Outcome>& ended) {
    if (!attached_ || wants_ == Debugger::Wants::End || wants_ == Debugger::Wants::Hold)
        return false;
    if (const auto hit = target_.take_hit()) {
        report_stop(kTrap, fmt::format("{}:{:x};", watch_word(hit->kind), hit->address));
        return true;
    }
    if (reason.kind == StopKind::Breakpoint && target_.breakpoint_here()) {
        report_breakpoint_or("");
        return true;
    }
    if (ended) {
        say(fmt::format("Forkscope: {}\n", ended->message.empty() ? ended->why : ended->message));
        report_stop(kTrap);
        return true;
    }
    if (wants_ != Debugger::Wants::Step)
        return false;
    const u32 next = target_.machine().cpu().linear_eip();
    const bool goes_on =
        target_.machine().cpu().halted() || (motion_ == Motion::StepRange && next >= range_begin_ && next < range_end_);
    if (!goes_on)
        report_stop(kTrap);
    return !goes_on;
}

void GdbStub::on_breakpoint(PayloadReader in, bool insert) {
    const auto type = in.word();
    const auto address = type && in.take(",") ? in.word() : std::nullopt;
    const auto size = address && in.take(",") ? in.word() : std::nullopt;
    if (!size || !in.done()) // conditions and commands are gdb's to evaluate: they were not offered
        return reply("E01");
    if (*type > static_cast<u32>(PointKind::Access))
        return reply("");
    const auto kind = static_cast<PointKind>(*type);
    if (insert)
        return reply(target_.insert(kind, *address, *size) ? "OK" : "E01");
    target_.remove(kind, *address, *size);
    reply("OK");
}

} // namespace forkscope
