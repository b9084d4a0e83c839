#include "emu/session/serial_port.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

namespace forkscope {

Error SerialPort::unwritable(const std::string& path, const std::string& option, int reason) {
    return Error{fmt::format("cannot write the file '{0}': {1}; choose another {2} file:F", path, std::strerror(reason),
                             option)};
}

Result<void> SerialPort::check(const std::string& where, const std::string& option) {
    if (where == "none" || where == "stdio" || where == "pty")
        return {};
    if (where.rfind("file:", 0) != 0)
        return Error{fmt::format("{} '{}': choose stdio, file:PATH, pty or none", option, where), ExitCode::Usage};
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

Result<std::unique_ptr<SerialPort>> SerialPort::open(const std::string& where, const std::string& option) {
    if (auto checked = check(where, option); !checked.ok())
        return checked.error();
    std::unique_ptr<SerialPort> port(new SerialPort);
    port->option_ = option;
    port->name_ = where;
    if (where == "none")
        return port;
    if (where == "stdio") {
        port->in_ = STDIN_FILENO;
        port->out_ = STDOUT_FILENO;
        port->name_ = "standard output";
        return port;
    }
    port->own_ = true;
    if (where.rfind("file:", 0) == 0) {
        port->name_ = where.substr(5);
        port->out_ = ::open(port->name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (port->out_ < 0)
            return unwritable(port->name_, option, errno);
        return port;
    }
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0)
        return Error{fmt::format("cannot make a pseudo-terminal: {}; use {} stdio", std::strerror(errno), option)};
    const char* slave = ::ptsname(master);
    port->slave_ = ::open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios raw{};
    ::tcgetattr(port->slave_, &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(port->slave_, TCSANOW, &raw);
    port->in_ = port->out_ = master;
    std::fprintf(stderr, "forkscope: %s is on %s\n", option.c_str(), slave);
    return port;
}

SerialPort::~SerialPort() {
    flush();
    if (own_) {
        ::close(out_);
        if (slave_ >= 0)
            ::close(slave_);
    }
}

void SerialPort::write(u8 byte) {
    if (out_ < 0)
        return;
    buffer_ += static_cast<char>(byte);
    if (byte == '\n' || buffer_.size() >= 4096)
        flush();
}

void SerialPort::flush() {
    std::size_t done = 0;
    while (done < buffer_.size() && error_.empty()) {
        const ssize_t n = ::write(out_, buffer_.data() + done, buffer_.size() - done);
        if (n > 0)
            done += static_cast<std::size_t>(n);
        else if (n < 0 && errno != EINTR)
            error_ = fmt::format("cannot write the guest's output to {}: {}; free some space or choose another {}",
                                 name_, std::strerror(errno), option_);
    }
    buffer_.clear();
}

std::vector<u8> SerialPort::read() {
    flush();
    std::vector<u8> bytes;
    pollfd waiting{in_, POLLIN, 0};
    if (in_ < 0 || ::poll(&waiting, 1, 0) != 1 || (waiting.revents & POLLIN) == 0)
        return bytes;
    bytes.resize(256);
    const ssize_t n = ::read(in_, bytes.data(), bytes.size());
    if (n == 0) // end of input: ask no more
        in_ = -1;
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
}

} // namespace forkscope
