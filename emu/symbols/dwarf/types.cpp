#include "emu/symbols/dwarf/types.hpp"

#include <fmt/format.h>

#include "emu/symbols/dwarf/constants.hpp"

namespace forkscope {

namespace {

constexpr int kDeepest = 32;               // typedefs, pointers and arrays around a type
constexpr u64 kMostBytes = u64{1} << 31;   // of a value
constexpr std::size_t kMostMembers = 4096; // of one type
constexpr std::size_t kMostDimensions = 8;

std::string base_text(const Type& type) {
    const std::string name = type.name.empty() ? "{...}" : type.name;
    switch (type.kind) {
    case TypeKind::Struct:
        return "struct " + name;
    case TypeKind::Union:
        return "union " + name;
    case TypeKind::Enum:
        return "enum " + name;
    case TypeKind::Void:
        return "void";
    case TypeKind::Unknown:
        return "<unknown type>";
    default:
        return type.name;
    }
}

std::string parameters_text(const Type& type, int depth);

// `inner` is what stands between the base type and its suffixes: "*", "(*)".
std::string declare(const Type& type, const std::string& inner, int depth) {
    if (depth > kDeepest)
        return "...";
    const Type* target = type.target;
    switch (type.kind) {
    case TypeKind::Pointer: {
        const TypeKind kind = target == nullptr ? TypeKind::Void : target->kind;
        const bool suffixed = kind == TypeKind::Array || kind == TypeKind::Function;
        const std::string pointer = (inner.empty() || inner[0] == '*' || inner[0] == '[' || suffixed || inner[0] == ')')
                                        ? "*" + inner
                                        : "* " + inner;
        if (target == nullptr)
            return "void " + pointer;
        return declare(*target, suffixed ? "(" + pointer + ")" : pointer, depth + 1);
    }
    case TypeKind::Array: {
        const std::string length = type.complete ? fmt::format("[{}]", type.count) : "[]";
        return target == nullptr ? length : declare(*target, inner + length, depth + 1);
    }
    case TypeKind::Function:
        return (target == nullptr ? "void " : declare(*target, "", depth + 1) + " ") + inner +
               parameters_text(type, depth);
    case TypeKind::Qualified: {
        // A qualified pointer has its qualifier behind the star, as C writes it.
        const bool behind = target != nullptr && target->kind == TypeKind::Pointer;
        if (behind)
            return declare(*target, inner.empty() ? type.name : type.name + " " + inner, depth + 1);
        return type.name + " " +
               (target == nullptr ? "void" + (inner.empty() ? "" : " " + inner) : declare(*target, inner, depth + 1));
    }
    default:
        return base_text(type) + (inner.empty() ? "" : " " + inner);
    }
}

std::string parameters_text(const Type& type, int depth) {
    std::string text;
    for (const Type* parameter : type.parameters)
        text += (text.empty() ? "" : ", ") + (parameter == nullptr ? "..." : declare(*parameter, "", depth + 1));
    return "(" + (text.empty() && type.prototyped ? "void" : text) + ")";
}

u64 bytes_of(const Type& type, int depth) {
    if (depth > kDeepest)
        return 0;
    if (type.kind == TypeKind::Typedef || type.kind == TypeKind::Qualified)
        return type.target == nullptr ? 0 : bytes_of(*type.target, depth + 1);
    if (type.kind != TypeKind::Array)
        return type.size <= kMostBytes ? type.size : 0;
    const u64 one = type.target == nullptr ? 0 : bytes_of(*type.target, depth + 1);
    return one == 0 || type.count > kMostBytes / one ? 0 : one * type.count;
}

TypeKind kind_of(u32 tag) {
    switch (tag) {
    case dw::kStructureType:
    case dw::kClassType:
        return TypeKind::Struct;
    case dw::kUnionType:
        return TypeKind::Union;
    case dw::kEnumerationType:
        return TypeKind::Enum;
    case dw::kArrayType:
        return TypeKind::Array;
    case dw::kPointerType:
    case dw::kReferenceType:
        return TypeKind::Pointer;
    case dw::kSubroutineType:
    case dw::kSubprogram:
        return TypeKind::Function;
    case dw::kTypedef:
        return TypeKind::Typedef;
    case dw::kConstType:
    case dw::kVolatileType:
    case dw::kRestrictType:
    case dw::kAtomicType:
        return TypeKind::Qualified;
    case dw::kBaseType:
        return TypeKind::Integer;
    default:
        return TypeKind::Unknown;
    }
}

std::string qualifier(u32 tag) {
    switch (tag) {
    case dw::kConstType:
        return "const";
    case dw::kVolatileType:
        return "volatile";
    case dw::kRestrictType:
        return "restrict";
    default:
        return "_Atomic";
    }
}

} // namespace

const Type& Type::plain() const {
    const Type* type = this;
    for (int i = 0; i < kDeepest; ++i) {
        if (type->kind != TypeKind::Typedef && type->kind != TypeKind::Qualified)
            return *type;
        static const Type kVoid = [] {
            Type nothing;
            nothing.kind = TypeKind::Void;
            return nothing;
        }();
        type = type->target == nullptr ? &kVoid : type->target;
    }
    static const Type kCircular;
    return kCircular;
}

u64 Type::bytes() const { return bytes_of(*this, 0); }

bool Type::is_number() const {
    switch (plain().kind) {
    case TypeKind::Integer:
    case TypeKind::Character:
    case TypeKind::Boolean:
    case TypeKind::Enum:
        return true;
    default:
        return false;
    }
}

std::string Type::text() const { return declare(*this, "", 0); }

Types::Types(const DwarfEntries& entries, u8 pointer_bytes, u64 most_bytes, FindComplete find_complete)
    : entries_(entries), pointer_bytes_(pointer_bytes), memory_(most_bytes), find_complete_(std::move(find_complete)) {
    void_.kind = TypeKind::Void;
    void_.name = "void";
    character_.kind = TypeKind::Character;
    character_.name = "char";
    character_.size = 1;
    character_.is_signed = true;
    unsigned_character_ = character_;
    unsigned_character_.name = "unsigned char";
    unsigned_character_.is_signed = false;
    code_.kind = TypeKind::Function;
    code_.size = 1;
    code_.prototyped = false;
    code_.target = &void_;
}

Type& Types::make(TypeKind kind, u64 size) {
    Type& type = all_.emplace_back();
    type.kind = kind;
    type.size = size;
    return type;
}

const Type& Types::pointer_to(const Type& target) {
    const Type*& known = pointers_[&target];
    if (known == nullptr) {
        Type& type = make(TypeKind::Pointer, pointer_bytes_);
        type.target = &target;
        known = &type;
    }
    return *known;
}

const Type& Types::array_of(const Type& target, u64 count) {
    const Type*& known = arrays_[{&target, count}];
    if (known == nullptr) {
        Type& type = make(TypeKind::Array, 0);
        type.target = &target;
        type.count = count;
        known = &type;
    }
    return *known;
}

const Type& Types::integer(u32 bytes, bool is_signed) {
    const Type*& known = integers_[{bytes, is_signed}];
    if (known == nullptr) {
        Type& type = make(TypeKind::Integer, bytes);
        type.is_signed = is_signed;
        type.name = std::string(is_signed ? "" : "unsigned ") + (bytes == 8 ? "long long" : "int");
        known = &type;
    }
    return *known;
}

// Types refer to each other in circles: each is made as an empty shell first, and filled when all that it is part of
// have been.
const Type& Types::shell_at(u64 offset) {
    if (const auto known = by_offset_.find(offset); known != by_offset_.end())
        return *known->second;
    if (!memory_.take(sizeof(Type) + 64))
        return unknown_;
    Type& type = make(TypeKind::Unknown, 0);
    by_offset_[offset] = &type;
    waiting_.emplace_back(&type, offset);
    return type;
}

const Type& Types::shell_of(const DwarfEntry& entry) {
    if (!entries_.attribute(entry, dw::kType))
        return void_;
    const std::optional<u64> offset = entries_.reference(entry, dw::kType);
    return offset ? shell_at(*offset) : unknown_;
}

const Type& Types::at(u64 offset) {
    const Type& type = shell_at(offset);
    DwarfEntry entry;
    while (!waiting_.empty()) {
        const auto [next, where] = waiting_.back();
        waiting_.pop_back();
        if (entries_.read(where, entry))
            fill(*next, entry);
    }
    return type;
}

const Type& Types::of(const DwarfEntry& entry) {
    if (!entries_.attribute(entry, dw::kType))
        return void_;
    const std::optional<u64> offset = entries_.reference(entry, dw::kType);
    return offset ? at(*offset) : unknown_;
}

void Types::fill(Type& type, const DwarfEntry& declared) {
    DwarfEntry entry = declared;
    if (entries_.flag(entry, dw::kDeclaration) || entry.find(dw::kSignature) != nullptr) {
        const std::optional<u64> by_signature = entries_.reference(entry, dw::kSignature);
        const u64 complete = by_signature ? *by_signature : find_complete_(entry.tag, entries_.name(entry));
        DwarfEntry found;
        type.complete =
            complete != 0 && complete != entry.offset && entries_.read(complete, found) && found.tag == entry.tag;
        if (type.complete)
            entry = found;
    }
    type.kind = kind_of(entry.tag);
    const std::string_view name = entries_.name(entry);
    memory_.take(name.size());
    type.name = name;
    type.size = entries_.number(entry, dw::kByteSize).value_or(0);
    switch (type.kind) {
    case TypeKind::Integer:
        fill_scalar(type, entry);
        break;
    case TypeKind::Struct:
    case TypeKind::Union:
        fill_members(type, entry);
        break;
    case TypeKind::Enum:
        fill_enum(type, entry);
        break;
    case TypeKind::Array:
        fill_array(type, entry);
        break;
    case TypeKind::Function:
        fill_function(type, entry);
        break;
    case TypeKind::Pointer:
        type.size = type.size == 0 ? pointer_bytes_ : type.size;
        type.target = &shell_of(entry);
        break;
    case TypeKind::Qualified:
        type.name = qualifier(entry.tag);
        [[fallthrough]];
    case TypeKind::Typedef:
        type.target = &shell_of(entry);
        break;
    default:
        break;
    }
}

void Types::fill_scalar(Type& type, const DwarfEntry& entry) {
    switch (entries_.number(entry, dw::kEncoding).value_or(0)) {
    case dw::kBoolean:
        type.kind = TypeKind::Boolean;
        break;
    case dw::kFloat:
        type.kind = TypeKind::Float;
        break;
    case dw::kSigned:
        type.is_signed = true;
        break;
    case dw::kSignedChar:
        type.is_signed = true;
        [[fallthrough]];
    case dw::kUnsignedChar:
        type.kind = TypeKind::Character;
        break;
    case dw::kUnsigned:
    case dw::kUtf:
    case dw::kAddress:
        break;
    default:
        type.kind = TypeKind::Unknown;
        break;
    }
    if (type.size == 0 || type.size > 16)
        type.kind = TypeKind::Unknown;
}

void Types::fill_members(Type& type, const DwarfEntry& entry) {
    entries_.for_children(entry, [&](const DwarfEntry& child) {
        if (child.tag != dw::kMember)
            return true;
        const std::string_view name = entries_.name(child);
        if (!memory_.take(sizeof(TypeMember) + name.size()))
            return false;
        TypeMember member;
        member.name = name;
        member.type = &shell_of(child);
        member.offset = entries_.number(child, dw::kMemberLocation).value_or(0);
        // DWARF 2 writes the offset as an expression: DW_OP_plus_uconst.
        if (const DwarfAttribute* where = child.find(dw::kMemberLocation); where != nullptr && !where->block.empty()) {
            ByteReader in(where->block);
            member.offset = in.fixed(1) == 0x23 ? in.unsigned_leb() : 0;
        }
        fill_bits(member, child);
        type.members.push_back(std::move(member));
        return type.members.size() < kMostMembers;
    });
}

// DWARF 4 counts from the structure's first bit, DWARF 2 from the highest bit of the storage unit.
void Types::fill_bits(TypeMember& member, const DwarfEntry& entry) {
    const u64 bits = entries_.number(entry, dw::kBitSize).value_or(0);
    if (bits == 0 || bits > 64)
        return;
    member.bits = static_cast<u32>(bits);
    if (const std::optional<u64> at = entries_.number(entry, dw::kDataBitOffset); at) {
        member.offset = *at / 8;
        member.bit_offset = static_cast<u32>(*at % 8);
    } else if (const std::optional<i64> from_top = entries_.signed_number(entry, dw::kBitOffset); from_top) {
        const i64 storage = 8 * static_cast<i64>(std::min<u64>(entries_.number(entry, dw::kByteSize).value_or(4), 8));
        const i64 low = static_cast<i64>(8 * member.offset) + storage - *from_top - static_cast<i64>(bits);
        member.offset = low < 0 ? 0 : static_cast<u64>(low) / 8;
        member.bit_offset = low < 0 ? 0 : static_cast<u32>(low % 8);
    }
}

void Types::fill_enum(Type& type, const DwarfEntry& entry) {
    type.is_signed = false;
    entries_.for_children(entry, [&](const DwarfEntry& child) {
        if (child.tag != dw::kEnumerator)
            return true;
        const std::string_view name = entries_.name(child);
        if (!memory_.take(sizeof(Enumerator) + name.size()))
            return false;
        type.enumerators.push_back({std::string(name), entries_.signed_number(child, dw::kConstant).value_or(0)});
        type.is_signed = type.is_signed || type.enumerators.back().value < 0;
        return type.enumerators.size() < kMostMembers;
    });
    // A value as wide as its form may have been taken for a negative one.
    const bool is_unsigned = [&] {
        DwarfEntry base;
        const std::optional<u64> underlying = entries_.reference(entry, dw::kType);
        return underlying && entries_.read(*underlying, base) &&
               entries_.number(base, dw::kEncoding).value_or(0) == dw::kUnsigned;
    }();
    if (!is_unsigned)
        return;
    type.is_signed = false;
    const u64 mask = type.size == 0 || type.size >= 8 ? ~u64{0} : (u64{1} << 8 * type.size) - 1;
    for (Enumerator& enumerator : type.enumerators)
        enumerator.value = static_cast<i64>(static_cast<u64>(enumerator.value) & mask);
}

void Types::fill_array(Type& type, const DwarfEntry& entry) {
    std::vector<std::optional<u64>> counts;
    entries_.for_children(entry, [&](const DwarfEntry& child) {
        if (child.tag == dw::kSubrangeType) {
            const DwarfAttribute* bound = child.find(dw::kUpperBound);
            // All ones: an array of no elements.
            std::optional<u64> count = entries_.number(child, dw::kCount);
            if (!count && bound != nullptr && bound->block.empty() && bound->form < dw::kRefAddr)
                count = bound->value + 1;
            if (!count && bound != nullptr && bound->form == dw::kImplicitConst)
                count = bound->value + 1;
            if (count && *count > kMostBytes)
                count = 0;
            counts.push_back(count);
        }
        return counts.size() < kMostDimensions;
    });
    const Type* inner = &shell_of(entry);
    for (std::size_t i = counts.size(); i > 1; --i)
        inner = &array_of(*inner, counts[i - 1].value_or(0));
    type.target = inner;
    type.complete = !counts.empty() && counts[0].has_value();
    type.count = type.complete ? *counts[0] : 0;
}

void Types::fill_function(Type& type, const DwarfEntry& entry) {
    type.name.clear();
    type.size = 1;
    type.prototyped = entries_.flag(entry, dw::kPrototyped);
    type.target = &shell_of(entry);
    entries_.for_children(entry, [&](const DwarfEntry& child) {
        if (child.tag == dw::kFormalParameter && memory_.take(sizeof(void*)))
            type.parameters.push_back(&shell_of(child));
        if (child.tag == dw::kUnspecifiedParameters)
            type.parameters.push_back(nullptr);
        return !memory_.spent() && type.parameters.size() < kMostMembers;
    });
}

} // namespace forkscope
