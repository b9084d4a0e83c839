#include "emu/session/host_terminal.hpp"

#include <poll.h>
#include <unistd.h>

#include "emu/files/interruption.hpp"

namespace forkscope {

namespace {

// What a second Ctrl-C must still put right before it ends the program.
int terminal = -1;
termios terminal_before;

void restore_terminal() { ::tcsetattr(terminal, TCSANOW, &terminal_before); }

} // namespace

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
    Interruption::set_last_act(restore_terminal);
}

void KeysUnechoed::wait_for_key(int milliseconds) const {
    pollfd key{descriptor_, POLLIN, 0};
    ::poll(&key, 1, milliseconds);
}

KeysUnechoed::~KeysUnechoed() {
    if (descriptor_ < 0)
        return;
    Interruption::set_last_act(nullptr);
    ::tcsetattr(descriptor_, TCSANOW, &before_);
}

} // namespace forkscope
