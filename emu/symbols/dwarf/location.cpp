#include "emu/symbols/dwarf/location.hpp"

#include "emu/symbols/dwarf/constants.hpp"

namespace forkscope {

namespace {

constexpr u32 kMostSteps = 4096;
constexpr std::size_t kMostOnStack = 256;
constexpr std::size_t kMostPieces = 64;
constexpr u32 kMostListEntries = 4096;

// DWARF 5, 7.7.1.
enum Operation : u8 {
    kAddr = 0x03,
    kDeref = 0x06,
    kConst1u = 0x08,
    kConst8s = 0x0F,
    kConstu = 0x10,
    kConsts = 0x11,
    kDup = 0x12,
    kDrop = 0x13,
    kOver = 0x14,
    kPick = 0x15,
    kSwap = 0x16,
    kRot = 0x17,
    kAbs = 0x19,
    kAnd = 0x1A,
    kDiv = 0x1B,
    kMinus = 0x1C,
    kMod = 0x1D,
    kMul = 0x1E,
    kNeg = 0x1F,
    kNot = 0x20,
    kOr = 0x21,
    kPlus = 0x22,
    kPlusUconst = 0x23,
    kShl = 0x24,
    kShr = 0x25,
    kShra = 0x26,
    kXor = 0x27,
    kBra = 0x28,
    kEq = 0x29,
    kNe = 0x2E,
    kSkip = 0x2F,
    kLit0 = 0x30,
    kLit31 = 0x4F,
    kReg0 = 0x50,
    kReg31 = 0x6F,
    kBreg0 = 0x70,
    kBreg31 = 0x8F,
    kRegx = 0x90,
    kFbreg = 0x91,
    kBregx = 0x92,
    kPiece = 0x93,
    kDerefSize = 0x94,
    kNop = 0x96,
    kCallFrameCfa = 0x9C,
    kImplicitValue = 0x9E,
    kStackValue = 0x9F,
    kAddrx = 0xA1,
    kConstx = 0xA2,
    kEntryValue = 0xA3,
    kGnuEntryValue = 0xF3,
};

class Evaluator {
  public:
    Evaluator(std::span<const u8> expression, const LocationScene& scene) : in_(expression), scene_(scene) {}

    // False: the expression asks for what is not to be had, or makes no sense.
    bool run() {
        for (u32 steps = 0; !in_.done(); ++steps)
            if (steps == kMostSteps || !step(static_cast<u8>(in_.fixed(1))) || in_.broken())
                return false;
        return true;
    }
    void push(u64 value) { stack_.push_back(narrow(value)); }
    std::optional<u64> top() const { return stack_.empty() ? std::nullopt : std::optional(stack_.back()); }

    std::vector<LocationPiece> pieces() {
        if (pieces_.empty() || touched_)
            finish_piece(0);
        return std::move(pieces_);
    }

  private:
    u8 address_bytes() const { return scene_.unit == nullptr ? 4 : scene_.unit->address_bytes; }
    u64 narrow(u64 value) const { return address_bytes() == 8 ? value : value & 0xFFFFFFFF; }
    i64 as_signed(u64 value) const { return address_bytes() == 8 ? static_cast<i64>(value) : static_cast<i32>(value); }

    bool push_known(std::optional<u64> value) {
        if (value)
            push(*value);
        return value.has_value() && stack_.size() <= kMostOnStack;
    }
    std::optional<u64> register_value(u64 number) const {
        const auto value = scene_.registers == nullptr
                               ? std::nullopt
                               : (*scene_.registers)[static_cast<u32>(std::min<u64>(number, 99))];
        return value ? std::optional<u64>(*value) : std::nullopt;
    }
    bool push_offset(std::optional<u64> base, i64 offset) {
        return push_known(base ? std::optional(*base + static_cast<u64>(offset)) : std::nullopt);
    }

    bool step(u8 operation) {
        if (operation >= kLit0 && operation <= kLit31)
            return push_known(operation - kLit0);
        if (operation >= kBreg0 && operation <= kBreg31)
            return push_offset(register_value(operation - kBreg0), in_.signed_leb());
        if (operation >= kReg0 && operation <= kReg31)
            return in_register(operation - kReg0);
        if (operation >= kConst1u && operation <= kConst8s) {
            const u32 bytes = 1u << (operation - kConst1u) / 2;
            return push_known((operation & 1) == 0 ? in_.fixed(bytes) : static_cast<u64>(in_.signed_fixed(bytes)));
        }
        if (operation >= kAbs && operation <= kNe && operation != kBra && operation != kPlusUconst)
            return arithmetic(operation);
        return other(operation);
    }

    bool in_register(u64 number) {
        touched_ = true;
        place_.where = register_value(number) ? LocationPiece::Where::Register : LocationPiece::Where::Absent;
        place_.number = static_cast<u32>(number);
        return true;
    }

    bool other(u8 operation) {
        switch (operation) {
        case kAddr:
            return push_known(in_.fixed(address_bytes()) + scene_.slide);
        case kAddrx:
        case kConstx: {
            const u64 index = in_.unsigned_leb();
            if (scene_.entries == nullptr || scene_.unit == nullptr)
                return false;
            const std::optional<u64> value = scene_.entries->address_of_index(*scene_.unit, index);
            return push_offset(value, operation == kAddrx ? static_cast<i64>(scene_.slide) : 0);
        }
        case kConstu:
            return push_known(in_.unsigned_leb());
        case kConsts:
            return push_known(static_cast<u64>(in_.signed_leb()));
        case kPlusUconst:
            return !stack_.empty() && push_known(pop() + in_.unsigned_leb());
        case kRegx:
            return in_register(in_.unsigned_leb());
        case kBregx: {
            const std::optional<u64> base = register_value(in_.unsigned_leb());
            return push_offset(base, in_.signed_leb());
        }
        case kFbreg: {
            const std::optional<u32> base = scene_.frame_base ? scene_.frame_base() : std::nullopt;
            const i64 offset = in_.signed_leb();
            return push_offset(base, offset);
        }
        case kCallFrameCfa: {
            const std::optional<u32> address = scene_.frame_address ? scene_.frame_address() : std::nullopt;
            return push_offset(address, 0);
        }
        case kDeref:
            return !stack_.empty() && dereference(address_bytes());
        case kDerefSize: {
            const u64 bytes = in_.fixed(1);
            return !stack_.empty() && bytes >= 1 && bytes <= 8 && dereference(static_cast<u32>(bytes));
        }
        case kEntryValue:
        case kGnuEntryValue:
            return entry_value();
        case kPiece:
            return finish_piece(in_.unsigned_leb());
        case kImplicitValue:
            touched_ = true;
            place_.where = LocationPiece::Where::Bytes;
            place_.block = in_.block(in_.unsigned_leb());
            return !place_.block.empty();
        case kStackValue:
            return stack_value();
        case kBra:
        case kSkip:
            return jump(operation);
        case kNop:
            return true;
        default:
            return shuffle(operation);
        }
    }

    bool entry_value() {
        const std::span<const u8> expression = in_.block(in_.unsigned_leb());
        return push_known(scene_.entry_value ? scene_.entry_value(expression) : std::nullopt);
    }

    bool stack_value() {
        if (stack_.empty())
            return false;
        const u64 value = pop();
        touched_ = true;
        place_.where = LocationPiece::Where::Bytes;
        for (std::size_t i = 0; i < place_.value.size(); ++i)
            place_.value[i] = static_cast<u8>(value >> 8 * i);
        // A negative number stays one in a wider variable.
        if (address_bytes() == 4 && as_signed(value) < 0)
            std::fill(place_.value.begin() + 4, place_.value.end(), u8{0xFF});
        return true;
    }

    bool finish_piece(u64 bytes) {
        if (!touched_ && !stack_.empty()) {
            place_.where = LocationPiece::Where::Memory;
            place_.address = static_cast<u32>(pop());
        }
        place_.bytes = bytes;
        pieces_.push_back(place_);
        place_ = {};
        touched_ = false;
        return pieces_.size() < kMostPieces;
    }

    bool jump(u8 operation) {
        const i64 distance = in_.signed_fixed(2);
        if (operation == kBra) {
            if (stack_.empty())
                return false;
            if (pop() == 0)
                return true;
        }
        in_.go_to(in_.at() + static_cast<u64>(distance));
        return !in_.broken();
    }

    bool dereference(u32 bytes) {
        std::array<u8, 8> read{};
        const u64 address = pop();
        if (scene_.memory == nullptr || address > ~u32{0} ||
            !(*scene_.memory)(static_cast<u32>(address), std::span(read).first(bytes)))
            return false;
        u64 value = 0;
        std::memcpy(&value, read.data(), sizeof value);
        return push_known(value);
    }

    bool shuffle(u8 operation) {
        const std::size_t size = stack_.size();
        const auto copy = [&](std::size_t depth) { return size > depth && push_known(stack_[size - 1 - depth]); };
        switch (operation) {
        case kDup:
            return copy(0);
        case kOver:
            return copy(1);
        case kPick:
            return copy(in_.fixed(1));
        case kDrop:
            return size != 0 && (pop(), true);
        case kSwap:
            return size >= 2 && (std::swap(stack_[size - 1], stack_[size - 2]), true);
        case kRot:
            return size >= 3 && (std::rotate(stack_.end() - 3, stack_.end() - 1, stack_.end()), true);
        default:
            return false; // typed operations, thread-local storage, pointers to what is not there
        }
    }

    bool arithmetic(u8 operation) {
        const bool unary = operation == kAbs || operation == kNeg || operation == kNot;
        if (stack_.size() < (unary ? 1u : 2u))
            return false;
        const u64 b = pop();
        if (unary)
            return push_known(operation == kNot ? ~b : operation == kAbs && as_signed(b) >= 0 ? b : u64{0} - b);
        const u64 a = pop();
        const i64 sa = as_signed(a);
        const i64 sb = as_signed(b);
        const u32 width = 8u * address_bytes();
        switch (operation) {
        case kAnd:
            return push_known(a & b);
        case kOr:
            return push_known(a | b);
        case kXor:
            return push_known(a ^ b);
        case kPlus:
            return push_known(a + b);
        case kMinus:
            return push_known(a - b);
        case kMul:
            return push_known(a * b);
        case kDiv:
            return sb != 0 && push_known(sb == -1 ? u64{0} - a : static_cast<u64>(sa / sb));
        case kMod:
            return b != 0 && push_known(a % b);
        case kShl:
            return push_known(b < width ? a << b : 0);
        case kShr:
            return push_known(b < width ? a >> b : 0);
        case kShra:
            return push_known(static_cast<u64>(sa >> std::min<u64>(b, width - 1)));
        default:
            break;
        }
        const std::array<bool, 6> results{sa == sb, sa >= sb, sa > sb, sa <= sb, sa < sb, sa != sb};
        return operation >= kEq && push_known(results[operation - kEq]);
    }

    u64 pop() {
        const u64 value = stack_.back();
        stack_.pop_back();
        return value;
    }

    ByteReader in_;
    const LocationScene& scene_;
    std::vector<u64> stack_;
    LocationPiece place_;
    bool touched_ = false; // place_ is something else than an address
    std::vector<LocationPiece> pieces_;
};

// DWARF 2 to 4: pairs of offsets from a base, an expression behind each.
std::span<const u8> in_old_list(const DwarfEntries& entries, const DwarfUnit& unit, u64 offset, u64 address) {
    ByteReader in(entries.sections().locations, offset);
    const u64 all_ones = unit.address_bytes == 8 ? ~u64{0} : 0xFFFFFFFF;
    u64 base = unit.low;
    for (u32 i = 0; i < kMostListEntries && !in.done(); ++i) {
        const u64 start = in.fixed(unit.address_bytes);
        const u64 end = in.fixed(unit.address_bytes);
        if (start == 0 && end == 0)
            break;
        if (start == all_ones) {
            base = end;
            continue;
        }
        const std::span<const u8> expression = in.block(in.fixed(2));
        if (!in.broken() && address >= base + start && address < base + end)
            return expression;
    }
    return {};
}

std::span<const u8> in_new_list(const DwarfEntries& entries, const DwarfUnit& unit, u64 offset, u64 address) {
    ByteReader in(entries.sections().location_lists, offset);
    const auto indexed = [&] { return entries.address_of_index(unit, in.unsigned_leb()).value_or(0); };
    u64 base = unit.low;
    std::span<const u8> otherwise;
    for (u32 i = 0; i < kMostListEntries && !in.done(); ++i) {
        u64 start = 0;
        u64 end = 0;
        const u64 kind = in.fixed(1);
        switch (kind) {
        case dw::kBaseAddressx:
            base = indexed();
            continue;
        case dw::kStartxEndx:
            start = indexed();
            end = indexed();
            break;
        case dw::kStartxLength:
            start = indexed();
            end = start + in.unsigned_leb();
            break;
        case dw::kOffsetPair:
            start = base + in.unsigned_leb();
            end = base + in.unsigned_leb();
            break;
        case 5: // where nothing else holds
            otherwise = in.block(in.unsigned_leb());
            continue;
        case 6: // base address
            base = in.fixed(unit.address_bytes);
            continue;
        case 7: // start and end
            start = in.fixed(unit.address_bytes);
            end = in.fixed(unit.address_bytes);
            break;
        case 8: // start and length
            start = in.fixed(unit.address_bytes);
            end = start + in.unsigned_leb();
            break;
        default: // the end, or nobody's
            return otherwise;
        }
        const std::span<const u8> expression = in.block(in.unsigned_leb());
        if (!in.broken() && address >= start && address < end)
            return expression;
    }
    return otherwise;
}

} // namespace

std::vector<LocationPiece> locate(std::span<const u8> expression, const LocationScene& scene) {
    if (expression.empty())
        return {};
    Evaluator evaluator(expression, scene);
    return evaluator.run() ? evaluator.pieces() : std::vector<LocationPiece>();
}

std::optional<u64> calculate(std::span<const u8> expression, const LocationScene& scene, std::optional<u64> first) {
    Evaluator evaluator(expression, scene);
    if (first)
        evaluator.push(*first);
    return evaluator.run() ? evaluator.top() : std::nullopt;
}

std::span<const u8> expression_at(const DwarfEntries& entries, const DwarfAttribute& attribute, u64 file_address) {
    const DwarfUnit& unit = *attribute.unit;
    switch (attribute.form) {
    case dw::kExprloc:
    case dw::kBlock:
    case dw::kBlock1:
    case dw::kBlock2:
    case dw::kBlock4:
        return attribute.block;
    case dw::kLoclistx: {
        ByteReader table(entries.sections().location_lists, unit.location_lists);
        table.skip(std::min<u64>(attribute.value, entries.sections().location_lists.size()) * unit.offset_bytes);
        const u64 offset = unit.location_lists + table.fixed(unit.offset_bytes);
        return table.broken() ? std::span<const u8>() : in_new_list(entries, unit, offset, file_address);
    }
    case dw::kSecOffset:
    case dw::kData4: // DWARF 3 and before
    case dw::kData8:
        return unit.version < 5 ? in_old_list(entries, unit, attribute.value, file_address)
                                : in_new_list(entries, unit, attribute.value, file_address);
    default:
        return {};
    }
}

} // namespace forkscope
