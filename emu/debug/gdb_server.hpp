// Owns: GdbServer, the socket that gdb connects to, and the Debugger of a session behind it.
// Callers: the commands make one for a session; the session and its face poll it. Promises: listens where it was told,
// on 127.0.0.1 unless told otherwise; one client at a time, the next one may come when it has gone; nothing that a
// client sends or leaves out makes a poll wait.
#pragma once

#include <memory>
#include <string>

#include "emu/debug/gdb_stub.hpp"

namespace forkscope {

// Where to listen: HOST:PORT, :PORT or PORT, and QEMU's tcp: before it. A host is a numeric address or `localhost`.
struct GdbPlace {
    std::string host = "127.0.0.1";
    u16 port = 1234; // 0: any that is free

    static Result<GdbPlace> parse(const std::string& text);
};

enum class AtStart : u8 { Run, Hold };

class GdbServer final : public Debugger {
  public:
    // The socket first, so that a port in use is said before a machine exists.
    static Result<std::unique_ptr<GdbServer>> listen(const GdbPlace& place);
    ~GdbServer() override;
    GdbServer(const GdbServer&) = delete;
    GdbServer& operator=(const GdbServer&) = delete;

    // From here on it serves the session, which outlives it.
    void serve(Session& session, AtStart start);
    // "127.0.0.1:1234"
    const std::string& where() const { return where_; }

    Wants poll() override;
    Wants wants() const override { return stub_->wants(); }
    void go_back() override;
    bool stopped(const StopReason& reason, const std::optional<Outcome>& ended) override;
    void wait(int milliseconds) override;
    bool attached() const override { return client_ >= 0; }
    void pause() override;
    void release() override { stub_->release(); }

  private:
    GdbServer(int listener, std::string where) : listener_(listener), where_(std::move(where)) {}

    bool wait_for_client(int milliseconds) const;
    bool client_has_enough() const;
    bool is_full() const { return unsent_.size() >= kMostPayload; }
    void accept_client();
    void receive();
    void send();
    void drop_client();

    int listener_ = -1;
    int client_ = -1;
    std::string where_;
    std::string unheard_;   // received, not handled yet
    std::size_t heard_ = 0; // of it
    std::string unsent_;
    std::unique_ptr<DebugTarget> target_;
    std::unique_ptr<GdbStub> stub_;
};

} // namespace forkscope
