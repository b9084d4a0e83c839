#include "emu/session/until.hpp"

#include <cstdlib>

#include "emu/session/options.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

Error usage(const std::string& text, const std::string& why) {
    return Error{fmt::format("--until '{}' {}; write serial:TEXT, screen:TEXT, symbol:NAME, address:HEX, "
                             "tracepoint:NAME, fork or stop:N (N = {})",
                             text.substr(0, 80), why, fork_stop_numbers()),
                 ExitCode::Usage};
}

} // namespace

Result<std::unique_ptr<UntilCondition>> UntilCondition::parse(const std::string& text, const Symbolizer& symbols) {
    auto condition = std::make_unique<UntilCondition>();
    condition->text_ = text;
    const std::size_t colon = text.find(':');
    const std::string word = text.substr(0, colon);
    const std::string value = colon == std::string::npos ? "" : text.substr(colon + 1);
    condition->wanted_ = unescape(value);
    if (word == "fork" && value.empty()) {
        condition->kind_ = Kind::Tracepoint;
        condition->number_ = TP_FORK_ENTER;
        return condition;
    }
    if (value.empty())
        return usage(text, "is no condition");
    if (word == "serial" || word == "screen") {
        condition->kind_ = word == "serial" ? Kind::Serial : Kind::Screen;
    } else if (word == "symbol") {
        const auto address = symbols.address_of(value);
        if (!address)
            return usage(text, "names a symbol that the kernel does not have");
        condition->kind_ = Kind::Address;
        condition->number_ = *address;
    } else if (word == "address") {
        char* end = nullptr;
        condition->kind_ = Kind::Address;
        condition->number_ = std::strtoull(value.c_str(), &end, 16);
        if (*end != 0 || condition->number_ > 0xFFFFFFFFu)
            return usage(text, "has no 32-bit hexadecimal address");
    } else if (word == "tracepoint") {
        const TracepointInfo* info = tracepoint_named(value);
        if (info == nullptr)
            return usage(text, "names a tracepoint that does not exist");
        condition->kind_ = Kind::Tracepoint;
        condition->number_ = info->id;
    } else if (word == "stop" || word == "phase") { // as older scripts have it
        const TracepointInfo* info = fork_stop_numbered(value);
        if (info == nullptr)
            return usage(text, "names a stop that does not exist");
        condition->kind_ = Kind::Tracepoint;
        condition->number_ = info->id;
    } else {
        return usage(text, "is no condition");
    }
    return condition;
}

void UntilCondition::arm(Machine& machine) {
    machine_ = &machine;
    if (kind_ != Kind::Address)
        return;
    owner_ = machine.breakpoints().new_owner();
    machine.breakpoints().add(owner_, static_cast<u32>(number_));
}

void UntilCondition::meet() {
    if (!met_)
        machine_->request_stop();
    met_ = true;
}

void UntilCondition::on_event(const TraceEvent& event) {
    if (kind_ != Kind::Tracepoint || event.kind != TraceKind::Tracepoint)
        return;
    const bool fork_stop = is_fork_stop(number_) || number_ == TP_FORK_LEAVE;
    if (event.a == TP_WORKLOAD_BEGIN)
        waits_for_workload_ = false;
    if (event.a == number_ && !(waits_for_workload_ && fork_stop))
        meet();
}

void UntilCondition::on_console(const std::string& text) {
    if (kind_ == Kind::Serial && text.size() >= wanted_.size() &&
        text.compare(text.size() - wanted_.size(), wanted_.size(), wanted_) == 0)
        meet();
}

void UntilCondition::on_slice(Machine& machine) {
    if (kind_ == Kind::Screen && screen_text(machine).find(wanted_) != std::string::npos)
        met_ = true;
}

void UntilCondition::on_stop(Machine& machine) {
    if (kind_ != Kind::Address || machine.cpu().linear_eip() != number_)
        return;
    met_ = true;
    machine.breakpoints().remove_all(owner_); // a breakpoint that is left slows every later block
}

std::string screen_text(const Machine& machine) {
    const TextScreen screen = machine.vga().text_screen();
    std::string text;
    for (int row = 0; row < screen.rows; ++row) {
        std::string line;
        for (int column = 0; column < screen.columns; ++column) {
            const u8 c = static_cast<u8>(screen.cells[static_cast<std::size_t>(row * screen.columns + column)]);
            line += c >= 32 && c < 127 ? static_cast<char>(c) : ' ';
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

} // namespace forkscope
