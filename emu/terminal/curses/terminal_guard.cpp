#include "emu/terminal/curses/terminal_guard.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

namespace forkscope::terminal {

namespace {

// The program ends by these; what it leaves must be a terminal that works.
constexpr std::array<int, 8> kDeadly = {SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
std::array<struct sigaction, kDeadly.size()> earlier_deadly;
struct sigaction earlier_interrupt;

volatile std::sig_atomic_t asked = 0;
termios mode_before;
std::array<char, 512> leave_bytes;
std::size_t leave_length = 0;
int real_stderr = -1; // -1: it is no terminal, and stays what it is
int kept_stderr = -1; // a file in memory that stands in for it
off_t read_so_far = 0;

void write_all(int descriptor, const char* bytes, std::size_t length) {
    while (length > 0) {
        const ssize_t written = ::write(descriptor, bytes, length);
        if (written <= 0 && errno != EINTR)
            return;
        if (written > 0) {
            bytes += written;
            length -= static_cast<std::size_t>(written);
        }
    }
}

void restore_stderr() {
    if (real_stderr < 0)
        return;
    ::dup2(real_stderr, STDERR_FILENO);
    char bytes[4096];
    off_t at = 0;
    for (ssize_t got = 0; (got = ::pread(kept_stderr, bytes, sizeof bytes, at)) > 0; at += got)
        write_all(STDERR_FILENO, bytes, static_cast<std::size_t>(got));
}

void on_deadly(int number) {
    const int saved = errno;
    write_all(STDOUT_FILENO, leave_bytes.data(), leave_length);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &mode_before);
    restore_stderr();
    errno = saved;
    ::raise(number); // SA_RESETHAND: as if nobody had handled it
}

void on_interrupt(int) { asked = 1; }

void keep_stderr_apart() {
    if (::isatty(STDERR_FILENO) == 0)
        return;
    kept_stderr = ::memfd_create("stderr", MFD_CLOEXEC);
    real_stderr = kept_stderr < 0 ? -1 : ::dup(STDERR_FILENO);
    if (real_stderr >= 0)
        ::dup2(kept_stderr, STDERR_FILENO);
    read_so_far = 0;
}

} // namespace

void TerminalGuard::begin(const std::string& leave) {
    leave_length = std::min(leave.size(), leave_bytes.size());
    std::memcpy(leave_bytes.data(), leave.data(), leave_length);
    ::tcgetattr(STDIN_FILENO, &mode_before);
    keep_stderr_apart();
    asked = 0;
    struct sigaction action {};
    action.sa_handler = on_deadly;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (std::size_t i = 0; i < kDeadly.size(); ++i) {
        ::sigaction(kDeadly[i], nullptr, &earlier_deadly[i]);
        if (earlier_deadly[i].sa_handler != SIG_IGN) // nohup
            ::sigaction(kDeadly[i], &action, nullptr);
    }
    action.sa_handler = on_interrupt;
    action.sa_flags = 0; // a read in progress ends
    ::sigaction(SIGINT, &action, &earlier_interrupt);
}

void TerminalGuard::end() {
    ::sigaction(SIGINT, &earlier_interrupt, nullptr);
    for (std::size_t i = 0; i < kDeadly.size(); ++i)
        ::sigaction(kDeadly[i], &earlier_deadly[i], nullptr);
    restore_stderr();
    if (real_stderr >= 0)
        ::close(real_stderr);
    if (kept_stderr >= 0)
        ::close(kept_stderr);
    real_stderr = kept_stderr = -1;
}

bool TerminalGuard::interrupted() { return asked != 0; }
void TerminalGuard::forget_interrupt() { asked = 0; }

std::string TerminalGuard::messages() {
    std::string text;
    char bytes[4096];
    for (ssize_t got = 0; real_stderr >= 0 && (got = ::pread(kept_stderr, bytes, sizeof bytes, read_so_far)) > 0;
         read_so_far += got)
        text.append(bytes, static_cast<std::size_t>(got));
    return text;
}

} // namespace forkscope::terminal
