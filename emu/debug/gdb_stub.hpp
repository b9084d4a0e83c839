// Owns: GdbStub, gdb's remote protocol without a wire: bytes from the client in, bytes for it out, and what it wants
// the machine to do. Callers: GdbServer, tests, the fuzzer. Promises: any bytes get a bounded answer, in order; the
// machine moves only as wants() says; docs/gdb.md says what is understood.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "emu/debug/debug_target.hpp"
#include "emu/debug/hex.hpp"
#include "emu/debug/monitor.hpp"
#include "emu/debug/packets.hpp"
#include "emu/session/debugger.hpp"
#include "emu/session/stepper/way_back.hpp"

namespace forkscope {

class GdbStub {
  public:
    explicit GdbStub(DebugTarget& target);
    // Whether the client has said, behind what it was answered to, that it does not want to wait.
    void set_interrupted(std::function<bool()> asked) { interrupted_ = std::move(asked); }

    // A client has come, and finds the machine held; it has gone. What it set is taken away with it.
    void attach();
    void detach();
    bool attached() const { return attached_; }
    void receive(u8 byte);
    // What the client is to get, taken away.
    std::string take_output() { return std::exchange(output_, {}); }
    bool has_output() const { return !output_.empty(); }
    // So much is waiting that nothing more should be received first.
    bool is_full() const { return output_.size() >= kMostPayload; }
    // The client has said goodbye: close the connection once it has the output.
    bool over() const { return over_; }

    Debugger::Wants wants() const { return wants_; }
    void hold() { wants_ = Debugger::Wants::Hold; }
    void release() { wants_ = Debugger::Wants::Run; }
    // As Debugger has them.
    void go_back();
    bool stopped(const StopReason& reason, const std::optional<Outcome>& ended);
    // The client has asked for a stop, or a face has.
    void interrupt();

  private:
    enum class Motion : u8 { Continue, Step, StepRange };

    void handle(std::string_view payload);
    void reply(std::string_view payload);
    void say(std::string_view text); // on gdb's console, while it waits for a stop or the end of `monitor`

    // gdb_stub.cpp: the machine's moves
    void resume(Motion motion);
    void report_stop(std::string_view signal, std::string reason = {});
    std::string stop_reply() const;
    void report_breakpoint_or(std::string reason);
    void on_vcont(PayloadReader in);
    void on_back(std::string_view how);
    WayBack::Met look(const StopReason& reason);
    void on_breakpoint(PayloadReader in, bool insert);
    void end_connection(Debugger::Wants wants);

    // gdb_stub_state.cpp: registers, memory, threads
    void read_registers();
    void write_registers(std::string_view digits);
    void read_register(PayloadReader in);
    void write_register(PayloadReader in);
    void read_memory(PayloadReader in);
    void write_memory(PayloadReader in, bool binary);
    void select_thread(PayloadReader in);
    void list_threads();
    GuestThread thread() const; // the one that the client looks at

    // gdb_stub_query.cpp: what the client asks about
    void query(std::string_view payload);
    bool query_threads(std::string_view payload);
    void query_supported(std::string_view features);
    void query_features(PayloadReader in);
    void monitor(std::string_view digits);

    DebugTarget& target_;
    std::function<bool()> interrupted_;
    Monitor monitor_;
    PacketReader packets_;
    std::string output_;
    std::string last_reply_; // framed, to be sent again
    std::string last_stop_;  // as `?` answers
    Debugger::Wants wants_ = Debugger::Wants::Run;
    Motion motion_ = Motion::Continue;
    std::optional<WayBack> way_back_; // none: going back is a step
    std::optional<DebugTarget::Hit> hit_on_the_way_;
    u32 range_begin_ = 0, range_end_ = 0;
    u32 selected_ = 0; // thread of Hg; 0: the one that runs
    bool attached_ = false;
    bool acknowledges_ = true;
    bool acknowledges_next_ = true;  // from the next packet on
    bool names_breakpoints_ = false; // the client understands swbreak and hwbreak
    bool over_ = false;
};

} // namespace forkscope
