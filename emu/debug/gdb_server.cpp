#include "emu/debug/gdb_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "emu/base/log.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kPiece = 4096;
constexpr char kCtrlC = 3;

sockaddr_in address_of(const GdbPlace& place) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(place.port);
    ::inet_pton(AF_INET, place.host.c_str(), &address.sin_addr);
    return address;
}

void set_option(int socket, int level, int name) {
    const int on = 1;
    static_cast<void>(::setsockopt(socket, level, name, &on, sizeof on));
}

} // namespace

Result<GdbPlace> GdbPlace::parse(const std::string& text) {
    const Error wrong{fmt::format("--gdb '{}': write HOST:PORT, :PORT or PORT; the host is localhost or a numeric "
                                  "address such as 127.0.0.1",
                                  text.substr(0, 80)),
                      ExitCode::Usage};
    GdbPlace place;
    std::string_view rest = text;
    if (rest.starts_with("tcp:"))
        rest.remove_prefix(4);
    if (const std::size_t colon = rest.rfind(':'); colon != std::string_view::npos) {
        if (colon != 0)
            place.host = rest.substr(0, colon);
        rest.remove_prefix(colon + 1);
    }
    if (place.host == "localhost")
        place.host = "127.0.0.1";
    in_addr unused{};
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), place.port);
    const bool whole = error == std::errc() && end == rest.data() + rest.size();
    if (!whole || ::inet_pton(AF_INET, place.host.c_str(), &unused) != 1)
        return wrong;
    return place;
}

Result<std::unique_ptr<GdbServer>> GdbServer::listen(const GdbPlace& place) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address = address_of(place);
    socklen_t size = sizeof address;
    if (listener >= 0)
        set_option(listener, SOL_SOCKET, SO_REUSEADDR); // what the last client left in TIME_WAIT
    const bool listens = listener >= 0 && ::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                         ::listen(listener, 1) == 0 &&
                         ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    if (!listens) {
        const int reason = errno;
        if (listener >= 0)
            ::close(listener);
        return Error{fmt::format("cannot listen for gdb on {}:{}: {}; choose another port with --gdb HOST:PORT",
                                 place.host, place.port, std::strerror(reason))};
    }
    return std::unique_ptr<GdbServer>(
        new GdbServer(listener, fmt::format("{}:{}", place.host, ntohs(address.sin_port))));
}

GdbServer::~GdbServer() {
    if (client_ >= 0)
        ::close(client_);
    ::close(listener_);
}

void GdbServer::serve(Session& session, AtStart start) {
    target_ = std::make_unique<DebugTarget>(session);
    session.keep_past();
    stub_ = std::make_unique<GdbStub>(*target_);
    stub_->set_interrupted([this] { return client_has_enough(); });
    if (start == AtStart::Hold)
        stub_->hold();
    session.set_debugger(this);
}

// A burst of questions is answered in one go, for each may be worth little; then the machine has its turn.
Debugger::Wants GdbServer::poll() {
    constexpr auto kMostTime = std::chrono::milliseconds(10);
    const auto began = std::chrono::steady_clock::now();
    accept_client();
    while (client_ >= 0 && std::chrono::steady_clock::now() - began < kMostTime) {
        const bool held = stub_->wants() == Wants::Hold;
        if ((unheard_.empty() || is_full()) && !wait_for_client(held ? 1 : 0))
            break;
        receive();
    }
    if (client_ >= 0)
        send();
    return stub_->wants();
}

// An answer takes long: the next byte is a Ctrl-C, or nobody is there any more. gdb itself sends no Ctrl-C for a
// command of the monitor; it asks, and hangs up.
bool GdbServer::client_has_enough() const {
    char next = 0;
    const auto rest = std::string_view(unheard_).substr(std::min(heard_, unheard_.size()));
    if (!rest.empty())
        return rest[0] == kCtrlC;
    const ssize_t count = ::recv(client_, &next, 1, MSG_PEEK | MSG_DONTWAIT);
    return count == 0 || (count == 1 && next == kCtrlC);
}

// A client must read its answers before it may ask for more.
bool GdbServer::wait_for_client(int milliseconds) const {
    pollfd poll{client_, static_cast<short>(is_full() ? POLLOUT : POLLIN), 0};
    return ::poll(&poll, 1, milliseconds) > 0;
}

void GdbServer::wait(int milliseconds) {
    pollfd poll[] = {{listener_, POLLIN, 0}, {client_, POLLIN, 0}}; // a descriptor of -1 is left out
    static_cast<void>(::poll(poll, std::size(poll), milliseconds));
}

// A second client is turned away at once, so that it does not wait for an answer; one that comes back is not.
void GdbServer::accept_client() {
    const int fresh = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fresh < 0)
        return;
    pollfd old{client_, POLLRDHUP, 0};
    if (client_ >= 0 && ::poll(&old, 1, 0) > 0)
        drop_client();
    if (client_ >= 0) {
        ::close(fresh);
        return;
    }
    set_option(fresh, IPPROTO_TCP, TCP_NODELAY);
    set_option(fresh, SOL_SOCKET, SO_KEEPALIVE);
    client_ = fresh;
    stub_->attach();
}

void GdbServer::receive() {
    if (unheard_.empty() && !is_full()) {
        std::array<char, kPiece> piece;
        const ssize_t count = ::recv(client_, piece.data(), piece.size(), 0);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
            return drop_client();
        unheard_.append(piece.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    }
    heard_ = 0;
    while (heard_ < unheard_.size() && !is_full() && !stub_->is_full())
        stub_->receive(static_cast<u8>(unheard_[heard_++]));
    unheard_.erase(0, heard_);
    heard_ = 0;
    send();
}

void GdbServer::send() {
    unsent_ += stub_->take_output();
    const ssize_t sent = ::send(client_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent > 0)
        unsent_.erase(0, static_cast<std::size_t>(sent));
    else if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return drop_client();
    if (stub_->over() && unsent_.empty())
        drop_client();
}

// Who goes without a word leaves the machine as it is: held, for the next one, or running.
void GdbServer::drop_client() {
    ::close(client_);
    client_ = -1;
    unsent_.clear();
    unheard_.clear();
    stub_->detach();
}

void GdbServer::go_back() {
    stub_->go_back();
    if (client_ >= 0)
        send();
}

bool GdbServer::stopped(const StopReason& reason, const std::optional<Outcome>& ended) {
    const bool taken = stub_->stopped(reason, ended);
    if (taken && client_ >= 0)
        send();
    return taken;
}

void GdbServer::pause() {
    if (!attached())
        stub_->hold();
    stub_->interrupt();
}

} // namespace forkscope
