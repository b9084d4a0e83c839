// Owns: Type, a C type as DWARF describes it; Types, all of one image, each built when it is first asked for.
// Callers: values, expressions, locals. Promises: a type that the file describes in a way that makes no sense is
// Unknown; memory bounded by the file's size; a Type lives as long as its Types.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "emu/symbols/dwarf/entries.hpp"

namespace forkscope {

enum class TypeKind {
    Unknown,
    Void,
    Integer,
    Character,
    Boolean,
    Float,
    Pointer,
    Struct,
    Union,
    Enum,
    Array,
    Function,
    Typedef,
    Qualified, // const, volatile, restrict, atomic: its name says which
};

struct Type;

struct TypeMember {
    std::string name; // empty: an unnamed struct or union, whose members count as its parent's
    const Type* type = nullptr;
    u64 offset = 0;
    u32 bits = 0;       // of a bit field; 0: none
    u32 bit_offset = 0; // from the lowest bit of the byte at `offset`
};

struct Enumerator {
    std::string name;
    i64 value = 0;
};

struct Type {
    TypeKind kind = TypeKind::Unknown;
    std::string name; // without "struct"; empty: unnamed
    u64 size = 0;     // as the file says; bytes() knows it for all
    bool is_signed = false;
    bool prototyped = true;       // of a function; false: nothing is known of its parameters
    bool complete = true;         // false: declared only, or an array of unknown length
    u64 count = 0;                // elements of an array
    const Type* target = nullptr; // of a pointer, an array, a typedef, a qualified type; what a function returns
    std::vector<TypeMember> members;
    std::vector<const Type*> parameters;
    std::vector<Enumerator> enumerators;

    // What is behind typedefs and qualifiers.
    const Type& plain() const;
    u64 bytes() const; // 0: unknown
    bool is(TypeKind what) const { return plain().kind == what; }
    bool is_number() const;
    bool is_compound() const { return is(TypeKind::Struct) || is(TypeKind::Union); }
    // As C declares it: "struct proc *", "char [16]", "void (*)(int)".
    std::string text() const;
};

class Types {
  public:
    // Finds the entry of a complete struct, union or enum by tag and name; 0: there is none.
    using FindComplete = std::function<u64(u32 tag, std::string_view name)>;

    Types(const DwarfEntries& entries, u8 pointer_bytes, u64 most_bytes, FindComplete find_complete);

    const Type& at(u64 offset); // of an entry
    // The type that an entry says it has; void where it says none.
    const Type& of(const DwarfEntry& entry);

    const Type& unknown() const { return unknown_; }
    const Type& void_type() const { return void_; }
    const Type& pointer_to(const Type& target);
    const Type& array_of(const Type& target, u64 count);
    const Type& integer(u32 bytes, bool is_signed);
    const Type& character(bool is_signed) const { return is_signed ? character_ : unsigned_character_; }
    const Type& data_pointer() { return pointer_to(void_); }
    const Type& code_pointer() { return pointer_to(code_); }

  private:
    void fill(Type& type, const DwarfEntry& entry);
    void fill_scalar(Type& type, const DwarfEntry& entry);
    void fill_members(Type& type, const DwarfEntry& entry);
    void fill_bits(TypeMember& member, const DwarfEntry& entry);
    void fill_enum(Type& type, const DwarfEntry& entry);
    void fill_array(Type& type, const DwarfEntry& entry);
    void fill_function(Type& type, const DwarfEntry& entry);
    const Type& shell_at(u64 offset);
    const Type& shell_of(const DwarfEntry& entry);
    Type& make(TypeKind kind, u64 size);

    const DwarfEntries& entries_;
    u8 pointer_bytes_;
    Budget memory_;
    FindComplete find_complete_;
    std::deque<Type> all_;
    std::unordered_map<u64, Type*> by_offset_;
    std::map<const Type*, const Type*> pointers_;
    std::map<std::pair<const Type*, u64>, const Type*> arrays_;
    std::map<std::pair<u32, bool>, const Type*> integers_;
    std::vector<std::pair<Type*, u64>> waiting_; // types that are known by their offset alone
    Type unknown_, void_, character_, unsigned_character_, code_;
};

} // namespace forkscope
