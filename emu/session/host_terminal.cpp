#include "emu/session/host_terminal.hpp"

#include <array>
#include <csignal>

#include <poll.h>
#include <unistd.h>

namespace forkscope {

namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};
std::array<struct sigaction, kSignals.size()> earlier_actions;
volatile std::sig_atomic_t asked = 0;

// What a second signal must still put right before it ends the program.
volatile std::sig_atomic_t terminal = -1;
termios terminal_before;

void on_signal(int number) {
    if (asked != 0) {
        if (terminal >= 0)
            ::tcsetattr(terminal, TCSANOW, &terminal_before);
        std::signal(number, SIG_DFL);
        std::raise(number);
    }
    asked = 1;
}

} // namespace

Interruption::Interruption() {
    asked = 0;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
        ::sigaction(kSignals[i], nullptr, &earlier_actions[i]);
        if (earlier_actions[i].sa_handler != SIG_IGN) // nohup
            ::sigaction(kSignals[i], &action, nullptr);
    }
}

Interruption::~Interruption() {
    for (std::size_t i = 0; i < kSignals.size(); ++i)
        ::sigaction(kSignals[i], &earlier_actions[i], nullptr);
}

bool Interruption::requested() { return asked != 0; }

KeysUnechoed::KeysUnechoed(int descriptor) {
    if (::isatty(descriptor) == 0 || ::tcgetpgrp(descriptor) != ::getpgrp() || ::tcgetattr(descriptor, &before_) != 0)
        return;
    termios keys = before_;
    keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    if (::tcsetattr(descriptor, TCSANOW, &keys) != 0)
        return;
    descriptor_ = descriptor;
    terminal_before = before_;
    terminal = descriptor;
}

void KeysUnechoed::wait_for_key(int milliseconds) const {
    pollfd key{descriptor_, POLLIN, 0};
    ::poll(&key, 1, milliseconds);
}

KeysUnechoed::~KeysUnechoed() {
    if (descriptor_ < 0)
        return;
    terminal = -1;
    ::tcsetattr(descriptor_, TCSANOW, &before_);
}

} // namespace forkscope
