// Owns: GuestValue, something of a C type in the guest: a place in memory, or bytes of registers and constants.
// Callers: locals, expressions, printing. Promises: memory is read when a value is asked for, and only the part that
// is; what cannot be read, or what the compiler left out, is said, never zero.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/symbols/dwarf/debug_info.hpp"
#include "emu/symbols/inspect/guest_state.hpp"

namespace forkscope {

class GuestValue {
  public:
    enum class Kind { Memory, Bytes, OptimizedOut };

    static GuestValue in_memory(const Type& type, u32 address);
    static GuestValue of_number(const Type& type, u64 number);
    static GuestValue optimized_out(const Type& type);
    // Of pieces that a location expression says; those that are absent are optimized out.
    static GuestValue of_pieces(const Type& type, const std::vector<LocationPiece>& pieces, const LocationScene& scene);

    const Type& type() const { return *type_; }
    Kind kind() const { return kind_; }
    std::optional<u32> address() const { return kind_ == Kind::Memory ? std::optional(address_) : std::nullopt; }
    u32 bits() const { return bits_; } // of a bit field; 0: none

    // The same place as another type.
    GuestValue as(const Type& type) const;
    GuestValue member(const TypeMember& member) const;
    GuestValue element(u64 number, const Type& type) const;

    // A number, a character, an enum's value, a pointer: widened by its sign. An Error says why there is none.
    Result<i64> number(const PeekMemory& memory) const;
    // Its first `size` bytes. An Error says which address cannot be read.
    Result<std::vector<u8>> bytes(const PeekMemory& memory, u64 size) const;

  private:
    const Type* type_ = nullptr;
    Kind kind_ = Kind::OptimizedOut;
    u32 address_ = 0;
    u64 offset_ = 0; // in bytes_
    std::vector<u8> bytes_;
    std::vector<bool> known_; // of bytes_
    u32 bits_ = 0, bit_offset_ = 0;
};

// A member of a structure by name, one of an unnamed structure within it, too.
std::optional<GuestValue> find_member(const GuestValue& value, std::string_view name);
// "struct proc has no member 'x'; it has p_pid, p_flag".
std::string no_such_member(const Type& type, std::string_view name);

} // namespace forkscope
