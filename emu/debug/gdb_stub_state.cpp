// Registers, memory and threads, as the client reads and writes them.
#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/debug/gdb_stub.hpp"

namespace forkscope {

GuestThread GdbStub::thread() const {
    const auto selected = selected_ == 0 ? std::nullopt : target_.threads().find(selected_);
    return selected.value_or(target_.threads().current());
}

// Unavailable bytes are x.
void GdbStub::read_registers() {
    const GuestThread from = thread();
    std::string text;
    for (u32 number = 0; number < kGdbCoreCount; ++number) {
        const std::vector<u8> bytes = target_.read_register(number, from);
        text += bytes.empty() ? std::string(target_.registers()[number].bits / 4u, 'x') : hex_of_bytes(bytes);
    }
    reply(text);
}

void GdbStub::read_register(PayloadReader in) {
    const auto number = in.word();
    if (!number || !in.done() || *number >= target_.registers().size())
        return reply("E01");
    const std::vector<u8> bytes = target_.read_register(*number, thread());
    reply(bytes.empty() ? std::string(target_.registers()[*number].bits / 4u, 'x') : hex_of_bytes(bytes));
}

// An empty answer would make gdb write all registers instead. gdb shows what stands behind "E.".
void GdbStub::write_register(PayloadReader in) {
    const auto number = in.word();
    const auto bytes = number && in.take("=") ? bytes_of_hex(in.rest()) : std::nullopt;
    if (!bytes || *number >= target_.registers().size() || thread().id != target_.threads().current().id)
        return reply("E01");
    const auto written = target_.write_register(*number, *bytes);
    reply(written.ok() ? "OK" : "E." + written.error().message);
}

// Those that differ are written, one by one; the first that cannot be is an error.
void GdbStub::write_registers(std::string_view digits) {
    const auto bytes = bytes_of_hex(digits);
    const GuestThread running = target_.threads().current();
    if (!bytes || thread().id != running.id)
        return reply("E01");
    std::span<const u8> rest(*bytes);
    for (u32 number = 0; number < kGdbCoreCount && !rest.empty(); ++number) {
        const std::size_t size = target_.registers()[number].bits / 8u;
        if (rest.size() < size)
            return reply("E01");
        const std::span<const u8> value = rest.first(size);
        rest = rest.subspan(size);
        const std::vector<u8> now = target_.read_register(number, running);
        if (!std::equal(value.begin(), value.end(), now.begin(), now.end()) && !target_.write_register(number, value))
            return reply("E01");
    }
    reply("OK");
}

void GdbStub::read_memory(PayloadReader in) {
    const auto address = in.word();
    const auto size = address && in.take(",") ? in.word() : std::nullopt;
    if (!size || !in.done())
        return reply("E01");
    // As many as fit, and as are there: gdb asks again for the rest.
    const u32 most = std::min(*size, static_cast<u32>(kMostPayload / 2));
    const std::vector<u8> bytes = target_.read(*address, most, target_.space_of(thread()));
    reply(bytes.empty() && most != 0 ? "E14" : hex_of_bytes(bytes));
}

void GdbStub::write_memory(PayloadReader in, bool binary) {
    const auto address = in.word();
    const auto size = address && in.take(",") ? in.word() : std::nullopt;
    if (!size || !in.take(":"))
        return reply("E01");
    std::optional<std::vector<u8>> bytes = binary ? std::vector<u8>(in.rest().begin(), in.rest().end()) //
                                                  : bytes_of_hex(in.rest());
    if (!bytes || bytes->size() != *size)
        return reply("E01");
    reply(target_.write(*address, *bytes, target_.space_of(thread())) ? "OK" : "E14");
}

// Hc says who is to move: that is always the machine. A reverse step begins with Hc0, and goes on with Hg's thread.
void GdbStub::select_thread(PayloadReader in) {
    if (in.take("c"))
        return reply("OK");
    if (!in.take("g"))
        return reply("E01");
    if (in.rest() == "-1") {
        selected_ = 0;
        return reply("OK");
    }
    const auto id = in.word();
    if (!id || !in.done() || (*id != 0 && !target_.threads().find(*id)))
        return reply("E01");
    selected_ = *id;
    reply("OK");
}

void GdbStub::list_threads() {
    std::string text = "m";
    for (const GuestThread& one : target_.threads().all()) {
        if (text.size() > kMostPayload - 16)
            break;
        text += fmt::format("{}{:x}", text.size() > 1 ? "," : "", one.id);
    }
    reply(text);
}

} // namespace forkscope
