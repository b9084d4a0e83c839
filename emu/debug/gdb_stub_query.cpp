// What the client asks about: abilities, the target description, threads, the monitor.
#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/debug/gdb_stub.hpp"
#include "emu/debug/target_description.hpp"

namespace forkscope {

void GdbStub::query(std::string_view payload) {
    PayloadReader in(payload);
    if (in.take("qSupported"))
        return query_supported(in.rest());
    if (in.take("qXfer:features:read:"))
        return query_features(in);
    if (in.take("qRcmd,"))
        return monitor(in.rest());
    if (payload == "QStartNoAckMode") {
        acknowledges_next_ = false;
        return reply("OK");
    }
    if (in.take("qAttached"))
        return reply("1"); // quitting gdb lets the machine run on
    if (payload == "qqemu.PhyMemMode")
        return reply(target_.physical() ? "1" : "0");
    if (in.take("Qqemu.PhyMemMode:")) {
        const auto mode = in.word();
        if (!mode || *mode > 1)
            return reply("E22");
        target_.set_physical(*mode == 1);
        return reply("OK");
    }
    // QEMU's flags for what a step leaves out (interrupts, timers): here it leaves out nothing.
    if (payload == "qqemu.sstepbits")
        return reply("ENABLE=1,NOIRQ=2,NOTIMER=4");
    if (payload == "qqemu.sstep")
        return reply("0x1");
    if (in.take("Qqemu.sstep"))
        return reply("OK");
    if (!query_threads(payload))
        reply("");
}

bool GdbStub::query_threads(std::string_view payload) {
    PayloadReader in(payload);
    if (payload == "qC") {
        reply(fmt::format("QC{:x}", target_.threads().current().id));
    } else if (payload == "qfThreadInfo") {
        list_threads();
    } else if (payload == "qsThreadInfo") {
        reply("l");
    } else if (in.take("qThreadExtraInfo,")) {
        const auto id = in.word();
        const auto found = id ? target_.threads().find(*id) : std::nullopt;
        reply(found ? hex_of_text(target_.describe(*found)) : "E01");
    } else {
        return false;
    }
    return true;
}

void GdbStub::query_supported(std::string_view features) {
    PayloadReader in(features);
    static_cast<void>(in.take(":"));
    while (!in.done())
        names_breakpoints_ = in.until(';') == "swbreak+" || names_breakpoints_;
    const char* back = target_.session().timeline() != nullptr ? ";ReverseStep+;ReverseContinue+" : "";
    reply(fmt::format("PacketSize={:x};QStartNoAckMode+;qXfer:features:read+;swbreak+;hwbreak+;vContSupported+{}",
                      kMostPayload, back));
}

// ANNEX:OFFSET,LENGTH
void GdbStub::query_features(PayloadReader in) {
    if (in.until(':') != "target.xml")
        return reply("E00");
    const auto offset = in.number();
    const auto size = offset && in.take(",") ? in.number() : std::nullopt;
    if (!size || !in.done())
        return reply("E01");
    const std::string text = target_description(target_.registers());
    const std::size_t begin = std::min<std::size_t>(*offset, text.size());
    const std::size_t most = std::min<u64>(*size, kMostPayload / 2); // escapes may double it
    const bool last = text.size() - begin <= most;
    reply((last ? "l" : "m") + escaped(std::string_view(text).substr(begin, most)));
}

void GdbStub::monitor(std::string_view digits) {
    const auto line = bytes_of_hex(digits);
    if (!line)
        return reply("E01");
    say(monitor_.answer(std::string(line->begin(), line->end()), thread()));
    reply("OK");
}

} // namespace forkscope
