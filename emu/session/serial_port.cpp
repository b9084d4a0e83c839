#include "emu/session/serial_port.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "emu/base/log.hpp"

namespace forkscope {

Error SerialPort::unwritable(const std::string& path, const std::string& option, int reason) {
    return Error{fmt::format("cannot write the file '{0}': {1}; choose another {2} file:F", path, std::strerror(reason),
                             option)};
}

Result<void> SerialPort::check(const std::string& where, const std::string& option) {
    if (where == "none" || on_stdio(where) || where == "pty")
        return {};
    if (where.rfind("file:", 0) != 0)
        return Error{fmt::format("{} '{}': choose stdio, stdio,clean, file:PATH, pty or none", option, where),
                     ExitCode::Usage};
    const std::string path = where.substr(5);
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    struct stat info {};
    const bool there = ::stat(path.c_str(), &info) == 0;
    if (there && S_ISDIR(info.st_mode))
        return unwritable(path, option, EISDIR);
    if (!there && (errno != ENOENT || path.empty()))
        return unwritable(path, option, errno);
    const bool may = there ? ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0
                           : ::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
    return may ? Result<void>{} : unwritable(path, option, errno);
}

Result<std::unique_ptr<SerialPort>> SerialPort::open(const std::string& where, const std::string& option,
                                                     HostOutput& standard) {
    if (auto checked = check(where, option); !checked.ok())
        return checked.error();
    std::unique_ptr<SerialPort> port(new SerialPort);
    Result<void> opened;
    if (on_stdio(where)) {
        port->in_ = STDIN_FILENO;
        port->out_ = &standard;
        port->clean_ = where != "stdio";
    } else if (where != "none") {
        opened = where == "pty" ? port->open_terminal(option) : port->open_file(where.substr(5), option);
        port->out_ = port->own_out_.get();
    }
    if (!opened.ok())
        return opened.error();
    return port;
}

Result<void> SerialPort::open_file(const std::string& path, const std::string& option) {
    own_ = open_for_writing(path, O_CREAT | O_TRUNC);
    if (own_ < 0 && errno == ENXIO)
        return Error{
            fmt::format("nobody reads the FIFO '{}'; start its reader, or choose another {} file:F", path, option)};
    if (own_ < 0)
        return unwritable(path, option, errno);
    own_out_ = std::make_unique<HostOutput>(own_, fmt::format("the file '{}'", path),
                                            fmt::format("choose another {} file:F", option));
    return {};
}

Result<void> SerialPort::open_terminal(const std::string& option) {
    own_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (own_ < 0 || ::grantpt(own_) != 0 || ::unlockpt(own_) != 0 || ::fcntl(own_, F_SETFL, O_NONBLOCK) != 0)
        return Error{fmt::format("cannot make a pseudo-terminal: {}; use {} stdio", std::strerror(errno), option)};
    const char* slave = ::ptsname(own_);
    slave_ = ::open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios raw{};
    ::tcgetattr(slave_, &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(slave_, TCSANOW, &raw);
    in_ = own_;
    own_out_ =
        std::make_unique<HostOutput>(own_, slave, fmt::format("use {} stdio", option), HostOutput::Unread::Dropped);
    tell(fmt::format("{} is on {}", option, slave));
    return {};
}

SerialPort::~SerialPort() {
    flush();
    own_out_.reset();
    for (const int descriptor : {own_, slave_})
        if (descriptor >= 0)
            ::close(descriptor);
}

void SerialPort::write(u8 byte) {
    if (out_ == nullptr)
        return;
    const char letter = static_cast<char>(byte);
    const bool plain =
        (byte >= 0x20 && byte < 0x7F) || letter == '\n' || letter == '\r' || letter == '\t' || letter == '\b';
    if (clean_ && !plain)
        out_->write(fmt::format("\\x{:02x}", byte));
    else
        out_->write({&letter, 1});
}

void SerialPort::flush() {
    if (out_ != nullptr)
        out_->flush();
}

Result<void> SerialPort::finish() {
    if (own_out_ == nullptr)
        return {};
    own_out_->drain();
    if (!own_out_->error().empty())
        return Error{own_out_->error()};
    return {};
}

std::vector<u8> SerialPort::read() {
    std::vector<u8> bytes;
    pollfd waiting{in_, POLLIN, 0};
    if (in_ < 0 || ::poll(&waiting, 1, 0) != 1)
        return bytes;
    bytes.resize(256);
    const ssize_t n = (waiting.revents & POLLIN) != 0 ? ::read(in_, bytes.data(), bytes.size()) : 0;
    if (n == 0) // end of input: ask no more
        in_ = -1;
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
}

} // namespace forkscope
