#include "emu/trace/trace_columns.hpp"

#include <array>
#include <cstring>

namespace forkscope::trace_layout {

namespace {

// The order of columns in a chunk. Kind comes first: other columns are differences to the last event of the same kind.
enum Column : u32 { Kind, Instructions, Cycle, Eip, AddressSpace, Cpl, Cpu, A, B, C, D };

u64 get(const TraceEvent& event, u32 column) {
    switch (column) {
    case Kind:
        return static_cast<u64>(event.kind);
    case Instructions:
        return event.instructions;
    case Cycle:
        return event.cycle;
    case Eip:
        return event.eip;
    case AddressSpace:
        return event.address_space;
    case Cpl:
        return event.cpl;
    case Cpu:
        return event.cpu;
    case A:
        return event.a;
    case B:
        return event.b;
    case C:
        return event.c;
    default:
        return event.d;
    }
}

void set(TraceEvent& event, u32 column, u64 value) {
    switch (column) {
    case Kind:
        event.kind = static_cast<TraceKind>(value);
        break;
    case Instructions:
        event.instructions = value;
        break;
    case Cycle:
        event.cycle = value;
        break;
    case Eip:
        event.eip = static_cast<u32>(value);
        break;
    case AddressSpace:
        event.address_space = static_cast<u32>(value);
        break;
    case Cpl:
        event.cpl = static_cast<u8>(value);
        break;
    case Cpu:
        event.cpu = static_cast<u8>(value);
        break;
    case A:
        event.a = value;
        break;
    case B:
        event.b = value;
        break;
    case C:
        event.c = value;
        break;
    default:
        event.d = value;
    }
}

// Whether the column's values are near those of the last event of the same kind, or of the last event at all.
bool by_kind(u32 column) { return column == Eip || column >= A; }

void put_varint(std::vector<u8>& out, u64 difference) {
    u64 value = difference << 1 ^ (0 - (difference >> 63));
    while (value >= 0x80) {
        out.push_back(static_cast<u8>(value | 0x80));
        value >>= 7;
    }
    out.push_back(static_cast<u8>(value));
}

bool take_varint(std::span<const u8> bytes, std::size_t& at, u64& difference) {
    u64 value = 0;
    for (u32 i = 0; i < kMostVarint && at < bytes.size(); ++i) {
        const u8 byte = bytes[at++];
        value |= u64{byte & 0x7Fu} << (7 * i);
        if ((byte & 0x80) == 0) {
            difference = value >> 1 ^ (0 - (value & 1));
            return true;
        }
    }
    return false;
}

std::vector<u8> encode_column(std::span<const TraceEvent> events, u32 column) {
    std::array<u64, 256> last{};
    std::vector<u8> raw;
    raw.reserve(events.size() * 2);
    for (const TraceEvent& event : events) {
        u64& previous = last[by_kind(column) ? static_cast<u8>(event.kind) : 0];
        const u64 value = get(event, column);
        put_varint(raw, value - previous);
        previous = value;
    }
    return raw;
}

bool decode_column(std::span<const u8> raw, std::vector<TraceEvent>& events, u32 column) {
    std::array<u64, 256> last{};
    std::size_t at = 0;
    for (TraceEvent& event : events) {
        u64& previous = last[by_kind(column) ? static_cast<u8>(event.kind) : 0];
        u64 difference = 0;
        if (!take_varint(raw, at, difference))
            return false;
        previous += difference;
        set(event, column, previous);
    }
    return at == raw.size();
}

void put_u32(std::vector<u8>& out, u32 value) {
    const auto* bytes = reinterpret_cast<const u8*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof value);
}

u32 take_u32(std::span<const u8> bytes, std::size_t at) {
    u32 value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

} // namespace

std::vector<u8> pack_events(Packer& packer, std::span<const TraceEvent> events) {
    std::vector<u8> table;
    std::vector<u8> packed;
    for (u32 column = 0; column < kColumns; ++column) {
        const std::vector<u8> raw = encode_column(events, column);
        const std::size_t before = packed.size();
        packer.append(packed, raw);
        put_u32(table, static_cast<u32>(packed.size() - before));
        put_u32(table, static_cast<u32>(raw.size()));
    }
    table.insert(table.end(), packed.begin(), packed.end());
    return table;
}

u64 most_body_bytes(u32 events) {
    const u64 raw = u64{events} * kMostVarint;
    return kColumns * (8 + raw + raw / 128 + 1024); // zstd adds less than that to what it cannot press
}

std::optional<std::vector<TraceEvent>> unpack_events(Unpacker& unpacker, std::span<const u8> body, u32 count) {
    if (count > kMostEvents || body.size() < kColumns * 8)
        return std::nullopt;
    std::vector<TraceEvent> events(count);
    std::vector<u8> raw;
    std::size_t at = kColumns * 8;
    for (u32 column = 0; column < kColumns; ++column) {
        const u32 packed_bytes = take_u32(body, column * 8);
        const u32 raw_bytes = take_u32(body, column * 8 + 4);
        if (packed_bytes > body.size() - at || raw_bytes > u64{count} * kMostVarint ||
            !unpacker.unpack(body.subspan(at, packed_bytes), raw_bytes, raw) || !decode_column(raw, events, column))
            return std::nullopt;
        at += packed_bytes;
    }
    if (at != body.size())
        return std::nullopt;
    return events;
}

} // namespace forkscope::trace_layout
