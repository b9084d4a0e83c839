#include "emu/symbols/inspect/value.hpp"

#include <fmt/format.h>

#include "emu/base/text/printable.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostRead = u64{1} << 20;   // bytes at once
constexpr u32 kDeepest = 16;              // unnamed structures in each other
constexpr u64 kMostPieced = u64{1} << 16; // bytes of a value that is not in memory

std::optional<GuestValue> member_within(const GuestValue& value, std::string_view name, u32 depth) {
    for (const TypeMember& member : value.type().plain().members) {
        if (member.name == name && !name.empty())
            return value.member(member);
        if (!member.name.empty() || !member.type->is_compound() || depth == kDeepest)
            continue;
        if (std::optional<GuestValue> inner = member_within(value.member(member), name, depth + 1); inner)
            return inner;
    }
    return std::nullopt;
}

} // namespace

std::optional<GuestValue> find_member(const GuestValue& value, std::string_view name) {
    return member_within(value, name, 0);
}

std::string no_such_member(const Type& type, std::string_view name) {
    constexpr std::size_t kMostNames = 12;
    if (!type.is_compound())
        return fmt::format("{} has no members", type.text());
    if (!type.plain().complete)
        return fmt::format("{} is only declared here: its members are not known", type.text());
    const std::vector<TypeMember>& members = type.plain().members;
    std::string known;
    for (std::size_t i = 0; i < std::min(kMostNames, members.size()); ++i)
        known += (i == 0 ? "" : ", ") + members[i].name;
    if (members.size() > kMostNames)
        known += ", …";
    return printable_line(fmt::format("{} has no member '{}'; it has {}", type.text(), name, known));
}

GuestValue GuestValue::in_memory(const Type& type, u32 address) {
    GuestValue value;
    value.type_ = &type;
    value.kind_ = Kind::Memory;
    value.address_ = address;
    return value;
}

GuestValue GuestValue::of_number(const Type& type, u64 number) {
    GuestValue value;
    value.type_ = &type;
    value.kind_ = Kind::Bytes;
    for (u64 i = 0; i < std::min<u64>(type.bytes(), 8); ++i)
        value.bytes_.push_back(static_cast<u8>(number >> 8 * i));
    value.known_.assign(value.bytes_.size(), true);
    return value;
}

GuestValue GuestValue::optimized_out(const Type& type) {
    GuestValue value;
    value.type_ = &type;
    return value;
}

GuestValue GuestValue::of_pieces(const Type& type, const std::vector<LocationPiece>& pieces,
                                 const LocationScene& scene) {
    using Where = LocationPiece::Where;
    if (pieces.size() == 1 && pieces[0].where == Where::Memory && pieces[0].bytes == 0)
        return in_memory(type, pieces[0].address);
    GuestValue value = optimized_out(type);
    const u64 size = type.bytes();
    if (size > kMostPieced)
        return value;
    for (const LocationPiece& piece : pieces) {
        const u64 wanted = std::min(piece.bytes == 0 ? size : piece.bytes, size - value.bytes_.size());
        std::vector<u8> part(wanted);
        const auto fill = [&part](std::span<const u8> from) {
            std::copy_n(from.begin(), std::min(part.size(), from.size()), part.begin());
            return part.size() <= from.size();
        };
        bool known = piece.where != Where::Absent;
        if (piece.where == Where::Memory) {
            known = scene.memory != nullptr && (*scene.memory)(piece.address, part);
        } else if (piece.where == Where::Register) {
            const u32 number = (*scene.registers)[piece.number].value_or(0);
            known = fill({reinterpret_cast<const u8*>(&number), sizeof number});
        } else if (piece.where == Where::Bytes) {
            known = fill(piece.block.empty() ? std::span<const u8>(piece.value) : piece.block);
        }
        value.bytes_.insert(value.bytes_.end(), part.begin(), part.end());
        value.known_.insert(value.known_.end(), part.size(), known);
    }
    const bool some = std::find(value.known_.begin(), value.known_.end(), true) != value.known_.end();
    value.kind_ = some ? Kind::Bytes : Kind::OptimizedOut;
    return value;
}

GuestValue GuestValue::as(const Type& type) const {
    GuestValue value = *this;
    value.type_ = &type;
    return value;
}

GuestValue GuestValue::member(const TypeMember& member) const {
    GuestValue value = as(*member.type);
    value.address_ += static_cast<u32>(member.offset);
    value.offset_ += member.offset;
    value.bits_ = member.bits;
    value.bit_offset_ = member.bit_offset;
    return value;
}

GuestValue GuestValue::element(u64 number, const Type& type) const {
    GuestValue value = as(type);
    const u64 offset = number * type.bytes();
    value.address_ += static_cast<u32>(offset);
    value.offset_ += offset;
    return value;
}

Result<std::vector<u8>> GuestValue::bytes(const PeekMemory& memory, u64 size) const {
    std::vector<u8> out(std::min(size, kMostRead));
    if (kind_ == Kind::Memory) {
        if (!memory || !memory(address_, out))
            return Error{fmt::format("unreadable: 0x{:08x}", address_)};
        return out;
    }
    for (u64 i = 0; i < out.size(); ++i) {
        if (offset_ + i >= bytes_.size() || !known_[offset_ + i])
            return Error{"optimized out"};
        out[i] = bytes_[offset_ + i];
    }
    return out;
}

Result<i64> GuestValue::number(const PeekMemory& memory) const {
    const Type& plain = type_->plain();
    const u64 size = bits_ == 0 ? plain.bytes() : (bit_offset_ + bits_ + 7) / 8;
    if (size == 0 || size > 16)
        return Error{"no number"};
    Result<std::vector<u8>> raw = bytes(memory, size);
    if (!raw)
        return raw.error();
    u64 value = 0;
    for (u64 i = 0; i < std::min<u64>(size, 8); ++i)
        value |= u64{(*raw)[i]} << 8 * i;
    const u32 width = bits_ == 0 ? static_cast<u32>(8 * std::min<u64>(size, 8)) : bits_;
    value = bits_ == 0 ? value : value >> bit_offset_;
    const u32 unused = width >= 64 ? 0 : 64 - width;
    return plain.is_signed ? static_cast<i64>(value << unused) >> unused : static_cast<i64>(value << unused >> unused);
}

} // namespace forkscope
