#include "emu/files/interruption.hpp"

#include <array>
#include <atomic>
#include <csignal>

namespace forkscope {

namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};
std::array<struct sigaction, kSignals.size()> earlier_actions;
volatile std::sig_atomic_t asked = 0;
int depth = 0;

std::atomic<void (*)()> last_act = nullptr;
static_assert(std::atomic<void (*)()>::is_always_lock_free, "a signal's handler reads it");

void on_signal(int number) {
    if (asked != 0) {
        if (void (*const act)() = last_act.load(); act != nullptr)
            act();
        std::signal(number, SIG_DFL);
        std::raise(number);
    }
    asked = 1;
}

} // namespace

Interruption::Interruption() {
    if (depth++ != 0)
        return;
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
    if (--depth != 0)
        return;
    for (std::size_t i = 0; i < kSignals.size(); ++i)
        ::sigaction(kSignals[i], &earlier_actions[i], nullptr);
}

bool Interruption::requested() { return asked != 0; }

void Interruption::set_last_act(void (*act)()) { last_act = act; }

} // namespace forkscope
