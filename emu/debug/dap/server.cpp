#include "emu/debug/dap/server.hpp"

#include <array>
#include <cerrno>

#include <poll.h>
#include <unistd.h>

#include "emu/debug/dap/adapter.hpp"
#include "emu/debug/dap/framing.hpp"
#include "emu/files/interruption.hpp"
#include "emu/files/outlet.hpp"

namespace forkscope {

namespace {

class DapServer {
  public:
    DapServer(int input, int output, std::function<Result<Options>(const std::vector<std::string>&)> options)
        : input_(input), outlet_(output),
          adapter_({std::move(options), [this] { return listen(0); }, [this] { send(); }}) {}

    Result<ExitCode> run() {
        const Interruption interruption;
        while (!adapter_.over() && !Interruption::requested()) {
            const bool worked = adapter_.work();
            send();
            if (!worked && !listen(kWait))
                adapter_.end("");
        }
        send();
        if (adapter_.session() != nullptr)
            if (auto finished = adapter_.session()->finish(); !finished.ok())
                return finished.error();
        if (!trouble_.empty())
            return Error{trouble_};
        return ExitCode::Ok;
    }

  private:
    static constexpr int kWait = 200; // milliseconds, after which a signal is noticed

    // False: nothing more will come.
    bool listen(int milliseconds) {
        pollfd poll{input_, POLLIN, 0};
        while (!adapter_.is_full() && ::poll(&poll, 1, milliseconds) > 0) {
            std::array<char, 65536> piece;
            const ssize_t count = ::read(input_, piece.data(), piece.size());
            if (count < 0 && (errno == EINTR || errno == EAGAIN))
                return true;
            if (count <= 0)
                return false;
            frames_.feed({piece.data(), static_cast<std::size_t>(count)});
            if (!take())
                return false;
            milliseconds = 0;
        }
        return true;
    }

    bool take() {
        for (;;) {
            auto message = frames_.next();
            if (!message.ok()) {
                trouble_ = "the client's messages cannot be told apart: " + message.error().message;
                adapter_.end(trouble_);
                return false;
            }
            if (!*message)
                return true;
            adapter_.receive(**message);
        }
    }

    void send() {
        const std::string text = adapter_.take_output();
        if (text.empty())
            return;
        const Outlet::Delivery delivery = outlet_.write_all(bytes_of_text(text), Outlet::kForEver);
        if (delivery.trouble != 0)
            adapter_.end("");
    }

    int input_;
    Outlet outlet_;
    DapFrames frames_;
    DapAdapter adapter_;
    std::string trouble_;
};

} // namespace

Result<ExitCode> serve_dap(int input, int output,
                           std::function<Result<Options>(const std::vector<std::string>& words)> options) {
    return DapServer(input, output, std::move(options)).run();
}

} // namespace forkscope
