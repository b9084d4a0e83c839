#include "emu/trace/trace_text.hpp"

#include <algorithm>
#include <map>

#include "emu/base/text/printable.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "emu/trace/fault_class.hpp"
#include "emu/trace/trace_columns.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr std::size_t kHottest = 20;
constexpr u32 kPresent = 1;                   // of a page-table entry
constexpr u64 kMostOtherBytes = u64{1} << 30; // of a chunk that holds no events

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& letter : result)
        if (letter >= 'A' && letter <= 'Z')
            letter = static_cast<char>(letter - 'A' + 'a');
    return result;
}

// As the type has it: addresses, entries and bits in hexadecimal, counts and numbers in decimal, enumerations by name.
std::string value_text(TraceType type, u64 value) {
    switch (type) {
    case TraceType::Count:
    case TraceType::Number:
        return fmt::format("{}", value);
    case TraceType::Result:
    case TraceType::Pid: // servers of a guest have negative ones
        return fmt::format("{}", static_cast<i32>(value));
    case TraceType::TracepointId:
        return tracepoint_name(value);
    case TraceType::FaultClass:
        return fault_class_name(stated_fault_class(value));
    case TraceType::FrameUse:
        return frame_use_name(value);
    default:
        break;
    }
    const std::string_view name = trace_value_name(type, value);
    return name.empty() ? fmt::format("0x{:x}", value) : std::string(name);
}

// " name=value" for what the argument holds, one value or two; a name is one word.
std::string argument_text(const TraceArgument& argument, u64 value) {
    std::string text;
    for (const TraceField& field : argument.fields)
        if (field.type != TraceType::Unused) {
            std::string word = value_text(field.type, field.of(value));
            std::replace(word.begin(), word.end(), ' ', '_');
            text += fmt::format(" {}={}", field.name, word);
        }
    return text;
}

// Derives classes of faults from a trace alone: what was written to the entry of the faulting page until the return.
class TraceFaults {
  public:
    void on_event(const TraceEvent& event) {
        switch (event.kind) {
        case TraceKind::PageFault:
            open_[event.address_space].push_back({event, 0, false, 0});
            if (open_[event.address_space].size() > kMostOpen)
                open_[event.address_space].erase(open_[event.address_space].begin());
            break;
        case TraceKind::PteWrite:
            // The slot's number is all that a trace knows of an entry's place: enough within one fault.
            for (Open& fault : open_[event.address_space])
                if (event.d != 2 && (event.a >> 2 & 0x3FF) == (fault.event.a >> kPageShift & 0x3FF)) {
                    fault.after = static_cast<u32>(event.c);
                    fault.written = true;
                }
            break;
        case TraceKind::Tracepoint:
            if (event.a == TP_FAULT_LEAVE)
                for (Open& fault : open_[event.address_space])
                    if ((fault.event.a ^ event.c) < kPageSize)
                        fault.stated = static_cast<u32>(event.d);
            break;
        case TraceKind::InterruptReturn:
            close(event);
            break;
        default:
            break;
        }
    }
    const std::map<std::string, u64>& classes() const { return classes_; }
    u64 open() const {
        u64 count = 0;
        for (const auto& [space, faults] : open_)
            count += faults.size();
        return count;
    }

  private:
    static constexpr std::size_t kMostOpen = 64;
    struct Open {
        TraceEvent event;
        u32 after = 0;
        bool written = false;
        u32 stated = 0;
    };

    void close(const TraceEvent& event) {
        std::vector<Open>& faults = open_[event.address_space];
        for (std::size_t i = faults.size(); i-- > 0;) {
            if (faults[i].event.eip != event.a || faults[i].event.cpl != event.c)
                continue;
            ++classes_[class_of(faults[i])];
            faults.erase(faults.begin() + static_cast<std::ptrdiff_t>(i));
            return;
        }
    }

    static std::string class_of(const Open& fault) {
        if (fault.stated != 0)
            return fault_class_name(stated_fault_class(fault.stated));
        const auto before = static_cast<u32>(fault.event.d);
        if (!fault.written)
            return "spurious";
        if ((fault.after & kPresent) == 0)
            return "protection";
        if ((before & kPresent) == 0)
            return "demand (zero or file)";
        return ((before ^ fault.after) & ~kPageMask) != 0 ? "cow-copy" : "cow-reuse";
    }

    std::map<u32, std::vector<Open>> open_;
    std::map<std::string, u64> classes_;
};

template <class Key> std::vector<std::pair<Key, u64>> most_frequent(const std::map<Key, u64>& counts) {
    std::vector<std::pair<Key, u64>> sorted(counts.begin(), counts.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    return sorted;
}

} // namespace

std::string flush_reason_name(u64 reason) { return value_text(TraceType::FlushReason, reason); }

std::optional<TraceKind> trace_kind_named(std::string_view name) {
    for (u8 i = 0; i < static_cast<u8>(TraceKind::Count); ++i) {
        const auto kind = static_cast<TraceKind>(i);
        if (trace_kind_info(kind).name == lower(name))
            return kind;
    }
    return std::nullopt;
}

std::string trace_event_line(const TraceEvent& event) {
    std::string line = fmt::format("{:>12} {:>14} eip={:08x} cr3={:08x} cpl={} ", event.instructions, event.cycle,
                                   event.eip, event.address_space, event.cpl);
    if (event.kind >= TraceKind::Count)
        return line + fmt::format("kind{} a=0x{:x} b=0x{:x} c=0x{:x} d=0x{:x}", static_cast<u8>(event.kind), event.a,
                                  event.b, event.c, event.d);
    const TraceKindInfo& info = trace_kind_info(event.kind);
    line += info.name;
    const TracepointInfo* tracepoint = event.kind == TraceKind::Tracepoint ? tracepoint_info(event.a) : nullptr;
    for (std::size_t i = 0; i < info.arguments.size(); ++i)
        line += argument_text(tracepoint != nullptr && i != 0 ? tracepoint->arguments[i - 1] : info.arguments[i],
                              event.argument(i));
    return line;
}

namespace {

// Before any of it is taken: what the chunks' heads say.
std::string memory_line(const TraceFileReader& trace) {
    constexpr double kMegabyte = 1 << 20;
    u64 most = 0;
    for (const TraceChunk& chunk : trace.chunks())
        most = std::max<u64>(most, chunk.chunk.stored_bytes + chunk.events * sizeof(TraceEvent));
    return fmt::format("memory     {:.1f} MB for all events decoded; reading takes {:.1f} MB at a time\n",
                       static_cast<double>(trace.event_count() * sizeof(TraceEvent)) / kMegabyte,
                       static_cast<double>(most) / kMegabyte);
}

// A recording's images, inputs and checkpoints.
Result<void> check_other_chunks(const ChunkFileReader& file) {
    for (const Chunk& chunk : file.chunks())
        if (chunk.type != trace_layout::kEventsType && !file.read(chunk, kMostOtherBytes))
            return Error{fmt::format("the chunk at offset {}, which holds no events, is damaged", chunk.offset)};
    return {};
}

} // namespace

Result<void> trace_info(const TraceFileReader& trace, const TextOutput& print) {
    std::string text = fmt::format("format     {}\nfile       {} bytes, {} chunks\nevents     {}\n", trace.version(),
                                   trace.file_bytes(), trace.chunks().size(), trace.event_count());
    if (!trace.chunks().empty()) {
        const TraceChunk& first = trace.chunks().front();
        const TraceChunk& last = trace.chunks().back();
        text += fmt::format("span       instructions {} to {}, cycles {} to {}\n", first.first_instructions,
                            last.last_instructions, first.first_cycle, last.last_cycle);
    }
    text += fmt::format("ended      {}\n", trace.complete() ? "in order" : "not in order: " + trace.damage());
    for (const auto& [key, value] : trace.header().fields)
        if (key != "schema")
            text += fmt::format("{:<10} {}\n", printable_line(key), printable_line(value));
    print(text + memory_line(trace));
    // What the head of a chunk says is true only if its events are there.
    Result<void> read = trace.for_each([](const TraceEvent&) { return true; });
    if (read.ok())
        read = check_other_chunks(trace.file());
    print(fmt::format("chunks     {}\n", read.ok() ? "all sound" : "not all sound: " + read.error().message));
    return read;
}

Result<void> trace_dump(const TraceFileReader& trace, const TraceDumpOptions& options, const TextOutput& print) {
    u64 lines = 0;
    return trace.for_each([&](const TraceEvent& event) {
        if (lines >= options.limit || event.instructions > options.last_instructions)
            return false;
        const bool wanted = options.kinds.empty() ||
                            std::find(options.kinds.begin(), options.kinds.end(), event.kind) != options.kinds.end();
        if (wanted && event.instructions >= options.first_instructions) {
            print(trace_event_line(event) + "\n");
            ++lines;
        }
        return true;
    });
}

Result<void> trace_stat(const TraceFileReader& trace, const TextOutput& print, const AddressName& name_of) {
    std::map<u8, u64> kinds;
    std::map<u32, u64> addresses;
    std::map<std::string, u64> flushes;
    TraceFaults faults;
    const Result<void> read = trace.for_each([&](const TraceEvent& event) {
        ++kinds[static_cast<u8>(event.kind)];
        ++addresses[event.eip];
        if (event.kind == TraceKind::TlbFlush)
            ++flushes[flush_reason_name(event.a)];
        faults.on_event(event);
        return true;
    });
    print(fmt::format("{} events\n\nby kind\n", trace.event_count()));
    for (const auto& [kind, count] : most_frequent(kinds))
        print(fmt::format("{:>12}  {}\n", count, printable_line(trace.kind_name(kind))));
    print("\nTLB flushes by reason\n");
    for (const auto& [reason, count] : most_frequent(flushes))
        print(fmt::format("{:>12}  {}\n", count, reason));
    print("\npage faults by class\n");
    for (const auto& [name, count] : most_frequent(faults.classes()))
        print(fmt::format("{:>12}  {}\n", count, name));
    if (faults.open() != 0)
        print(fmt::format("{:>12}  not returned from\n", faults.open()));
    print("\naddresses with most events\n");
    auto hottest = most_frequent(addresses);
    hottest.resize(std::min(hottest.size(), kHottest));
    for (const auto& [eip, count] : hottest)
        print(fmt::format("{:>12}  {:08x}{}\n", count, eip, name_of ? "  " + name_of(eip) : ""));
    return read;
}

} // namespace forkscope
