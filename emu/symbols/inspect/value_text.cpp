#include "emu/symbols/inspect/value_text.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "emu/base/text/printable.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostLooked = 65536; // elements of an array, for how often they repeat
constexpr u64 kRepeats = 10;       // more equal elements than this are counted, not written

bool is_character(const Type& type) { return type.is(TypeKind::Character) && type.bytes() == 1; }

std::string escaped_byte(u8 byte, char mark) {
    switch (byte) {
    case '\a':
        return "\\a";
    case '\b':
        return "\\b";
    case '\t':
        return "\\t";
    case '\n':
        return "\\n";
    case '\v':
        return "\\v";
    case '\f':
        return "\\f";
    case '\r':
        return "\\r";
    case '\\':
        return "\\\\";
    default:
        break;
    }
    if (byte == static_cast<u8>(mark))
        return fmt::format("\\{}", mark);
    return byte >= 0x20 && byte < 0x7F ? std::string(1, static_cast<char>(byte)) : fmt::format("\\{:03o}", byte);
}

// A text with long runs counted: "ab", 'c' <repeats 20 times>, "d". `most` things are written; a run is ten of them.
// `whole` is false if there is more of it.
std::string counted_text(std::span<const u8> bytes, u64 most, bool whole) {
    std::string out;
    std::string open; // a part in quotes
    const auto close = [&] {
        if (!open.empty())
            out += (out.empty() ? "\"" : ", \"") + open + "\"";
        open.clear();
    };
    u64 things = 0;
    std::size_t i = 0;
    while (i < bytes.size() && things < most) {
        std::size_t end = i;
        while (end < bytes.size() && bytes[end] == bytes[i])
            ++end;
        if (end - i > kRepeats) {
            close();
            out += fmt::format("{}'{}' <repeats {} times>", out.empty() ? "" : ", ", escaped_byte(bytes[i], '\''),
                               end - i);
            i = end;
            things += kRepeats;
        } else {
            open += escaped_byte(bytes[i++], '"');
            ++things;
        }
    }
    close();
    return (out.empty() ? "\"\"" : out) + (whole && i == bytes.size() ? "" : "...");
}

std::string float_text(std::span<const u8> raw) {
    if (raw.size() == sizeof(float)) {
        float value = 0;
        std::memcpy(&value, raw.data(), sizeof value);
        return fmt::format("{:.9g}", value);
    }
    if (raw.size() == sizeof(double)) {
        double value = 0;
        std::memcpy(&value, raw.data(), sizeof value);
        return fmt::format("{:.17g}", value);
    }
    std::string digits; // x87's: as it lies
    for (const u8 byte : raw)
        digits = fmt::format("{:02x}", byte) + digits;
    return "0x" + digits;
}

// An enum whose values are bits of their own, as flags are.
bool is_flags(const Type& type) {
    u64 all = 0;
    for (const Enumerator& one : type.enumerators) {
        const u64 bits = static_cast<u64>(one.value);
        if ((all & bits) != 0 || (bits & (bits - 1)) != 0)
            return false;
        all |= bits;
    }
    return all != 0;
}

std::string enum_text(const Type& type, i64 number) {
    for (const Enumerator& one : type.enumerators)
        if (one.value == number)
            return one.name;
    if (!is_flags(type) || number == 0)
        return fmt::format("{}", number);
    std::string text;
    u64 left = static_cast<u64>(number);
    for (const Enumerator& one : type.enumerators) {
        if (one.value == 0 || (left & static_cast<u64>(one.value)) == 0)
            continue;
        text += (text.empty() ? "" : " | ") + one.name;
        left &= ~static_cast<u64>(one.value);
    }
    if (left != 0)
        text += fmt::format("{}unknown: 0x{:x}", text.empty() ? "" : " | ", left);
    return "(" + text + ")";
}

void set_failed(ValueNode& node, const std::string& why) {
    node.text = "<" + why + ">";
    node.failed = true;
}

} // namespace

std::string escaped(std::span<const u8> bytes, char mark) {
    std::string text(1, mark);
    for (const u8 byte : bytes)
        text += escaped_byte(byte, mark);
    return text + mark;
}

ValueNode ValueReader::read(const GuestValue& value, std::string name) { return read(value, std::move(name), 0); }

ValueNode ValueReader::read(const GuestValue& value, std::string name, u32 depth) {
    ValueNode node;
    node.name = std::move(name);
    node.type = value.type().text();
    node.address = value.address();
    const Type& type = value.type().plain();
    if (nodes_left_ == 0 || (depth > limits_.depth && !type.is_number())) {
        node.more = true;
        return node;
    }
    --nodes_left_;
    if (value.kind() == GuestValue::Kind::OptimizedOut) {
        set_failed(node, "optimized out");
        return node;
    }
    if (is_absent(value)) {
        set_failed(node, fmt::format("unreadable: 0x{:08x}", *value.address()));
        return node;
    }
    switch (type.kind) {
    case TypeKind::Struct:
    case TypeKind::Union:
        if (type.complete)
            read_members(node, value, depth);
        else
            node.text = "<incomplete type>";
        break;
    case TypeKind::Array:
        read_array(node, value, depth);
        break;
    case TypeKind::Function:
        node.text = fmt::format("{{{}}} {}", type.text(), pointer_text(type, value.address().value_or(0), false));
        break;
    case TypeKind::Void:
        node.text = "void";
        break;
    default:
        read_scalar(node, value, depth);
        break;
    }
    return node;
}

// Of something large that lies where nothing is, one line says more than each of its members.
bool ValueReader::is_absent(const GuestValue& value) const {
    const Type& type = value.type().plain();
    const u64 size = type.bytes();
    if (!value.address() || size == 0 || !(type.is_compound() || type.kind == TypeKind::Array))
        return false;
    const u32 last = *value.address() + static_cast<u32>(size - 1);
    u8 byte = 0;
    return !memory_ || (!memory_(*value.address(), std::span(&byte, 1)) && !memory_(last, std::span(&byte, 1)));
}

void ValueReader::read_members(ValueNode& node, const GuestValue& value, u32 depth) {
    for (const TypeMember& member : value.type().plain().members) {
        if (nodes_left_ == 0) {
            node.more = true;
            return;
        }
        node.parts.push_back(read(value.member(member), member.name, depth + 1));
    }
}

void ValueReader::read_array(ValueNode& node, const GuestValue& value, u32 depth) {
    const Type& type = value.type().plain();
    const Type& element = *type.target;
    const u64 size = element.bytes();
    if (size == 0 || !type.complete) {
        node.text = type.complete ? "<elements of unknown size>" : "<unknown length>";
        return;
    }
    if (is_character(element) && limits_.radix == Radix::Natural)
        return read_text(node, value, type.count);
    std::vector<u8> last;
    u64 things = 0;
    u64 i = 0;
    for (; i < std::min(type.count, kMostLooked); ++i) {
        const GuestValue next = value.element(i, element);
        const Result<std::vector<u8>> bytes = next.bytes(memory_, size);
        if (!node.parts.empty() && bytes.ok() && bytes.value() == last) {
            things += ++node.parts.back().repeats <= kRepeats;
            continue;
        }
        if (nodes_left_ == 0 || things >= limits_.elements)
            break;
        node.parts.push_back(read(next, fmt::format("[{}]", i), depth + 1));
        last = bytes.ok() ? bytes.value() : std::vector<u8>();
        ++things;
    }
    node.more = i < type.count;
    for (ValueNode& part : node.parts)
        if (part.repeats > 1)
            part.name = fmt::format("{}..{}]", part.name.substr(0, part.name.size() - 1),
                                    std::stoull(part.name.substr(1)) + part.repeats - 1);
}

// The last zero is the text's end, where all of it is shown.
void ValueReader::read_text(ValueNode& node, const GuestValue& value, u64 count) {
    const u64 looked = std::min(count, kMostLooked);
    const Result<std::vector<u8>> bytes = value.bytes(memory_, looked);
    if (!bytes)
        return set_failed(node, bytes.error().message);
    std::span<const u8> text = bytes.value();
    if (looked == count && !text.empty() && text.back() == 0)
        text = text.first(text.size() - 1);
    node.text = counted_text(text, limits_.elements, looked == count);
}

void ValueReader::read_scalar(ValueNode& node, const GuestValue& value, u32 depth) {
    const Type& type = value.type().plain();
    if (type.kind == TypeKind::Float || type.kind == TypeKind::Unknown) {
        const Result<std::vector<u8>> raw = value.bytes(memory_, std::min<u64>(type.bytes(), 16));
        if (!raw)
            return set_failed(node, raw.error().message);
        node.text = type.kind == TypeKind::Float ? float_text(raw.value()) : "<unknown type>";
        return;
    }
    const Result<i64> number = value.number(memory_);
    if (!number)
        return set_failed(node, number.error().message);
    if (limits_.radix != Radix::Natural)
        node.text = in_radix(type, number.value());
    else if (type.kind == TypeKind::Pointer)
        node.text = pointer_text(value.type(), static_cast<u32>(number.value()), depth == 0);
    else
        node.text = number_text(type, number.value());
}

std::string ValueReader::pointer_text(const Type& type, u32 address, bool outermost) {
    std::string text = fmt::format("0x{:x}", address);
    const Type* target = type.plain().target;
    if (target != nullptr && is_character(*target) && type.is(TypeKind::Pointer))
        return address == 0 ? text : text + " " + text_at(address);
    if (const std::string name = name_of_ && address != 0 ? name_of_(address) : ""; !name.empty())
        text += " <" + name + ">";
    return outermost ? "(" + type.text() + ") " + text : text;
}

std::string ValueReader::text_at(u32 address) {
    std::vector<u8> text;
    u8 byte = 0;
    while (text.size() < limits_.elements) {
        if (!memory_ || !memory_(address + static_cast<u32>(text.size()), std::span(&byte, 1)))
            return text.empty() ? fmt::format("<unreadable: 0x{:08x}>", address)
                                : counted_text(text, limits_.elements, true) + "<unreadable>";
        if (byte == 0)
            return counted_text(text, limits_.elements, true);
        text.push_back(byte);
    }
    return counted_text(text, limits_.elements, false);
}

std::string ValueReader::number_text(const Type& type, i64 number) const {
    switch (type.kind) {
    case TypeKind::Enum:
        return enum_text(type, number);
    case TypeKind::Boolean:
        return number == 0 ? "false" : number == 1 ? "true" : fmt::format("{}", number);
    case TypeKind::Character:
        return fmt::format("{} '{}'", number, escaped_byte(static_cast<u8>(number), '\''));
    default:
        return type.is_signed ? fmt::format("{}", number) : fmt::format("{}", static_cast<u64>(number));
    }
}

std::string ValueReader::in_radix(const Type& type, i64 number) const {
    const u64 size = std::min<u64>(std::max<u64>(type.bytes(), 1), 8);
    const u64 bits = size == 8 ? static_cast<u64>(number) : static_cast<u64>(number) & ((u64{1} << 8 * size) - 1);
    switch (limits_.radix) {
    case Radix::Hexadecimal:
        return fmt::format("0x{:x}", bits);
    case Radix::Octal:
        return bits == 0 ? "0" : fmt::format("0{:o}", bits);
    case Radix::Binary:
        return fmt::format("{:b}", bits);
    case Radix::Character:
        return fmt::format("{} '{}'", static_cast<i8>(bits), escaped_byte(static_cast<u8>(bits), '\''));
    default:
        return fmt::format("{}", number);
    }
}

namespace {

void write(std::string& out, const ValueNode& node, Layout layout, u32 depth, bool named) {
    const auto line = [&](u32 level) {
        if (layout == Layout::Lines)
            out += "\n" + std::string(2 * level, ' ');
    };
    if (named && !node.name.empty() && node.name[0] != '[')
        out += printable_line(node.name) + " = ";
    const bool compound = node.text.empty() && (!node.parts.empty() || !node.more);
    if (!compound) {
        out += node.text.empty() ? "..." : printable_line(node.text);
    } else {
        out += "{";
        bool first = true;
        for (const ValueNode& part : node.parts) {
            // Few equal elements are written out.
            const u64 times = part.repeats > kRepeats ? 1 : part.repeats;
            for (u64 i = 0; i < times; ++i) {
                out += first ? "" : layout == Layout::Lines ? "," : ", ";
                line(depth + 1);
                write(out, part, layout, depth + 1, true);
                first = false;
            }
            if (part.repeats > kRepeats)
                out += fmt::format(" <repeats {} times>", part.repeats);
        }
        if (node.more)
            out += "...";
        if (!node.parts.empty())
            line(depth);
        out += "}";
    }
}

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (const char letter : printable(text)) {
        if (letter == '"' || letter == '\\')
            out += '\\';
        if (letter == '\n')
            out += "\\n";
        else if (letter == '\t')
            out += "\\t";
        else
            out += letter;
    }
    return out + "\"";
}

} // namespace

std::string to_text(const ValueNode& node, Layout layout) {
    std::string out;
    write(out, node, layout, 0, false);
    return out;
}

std::string to_json(const ValueNode& node) {
    std::string out = "{";
    const auto field = [&](std::string_view key, const std::string& value) {
        out += fmt::format("{}\"{}\":{}", out.size() == 1 ? "" : ",", key, value);
    };
    if (!node.name.empty())
        field("name", json_text(node.name));
    field("type", json_text(node.type));
    if (node.address)
        field("address", fmt::format("{}", *node.address));
    if (!node.text.empty())
        field("text", json_text(node.text));
    if (node.repeats > 1)
        field("repeats", fmt::format("{}", node.repeats));
    if (node.failed)
        field("failed", "true");
    if (node.more)
        field("more", "true");
    if (!node.parts.empty()) {
        std::string parts;
        for (const ValueNode& part : node.parts)
            parts += (parts.empty() ? "" : ",") + to_json(part);
        field("parts", "[" + parts + "]");
    }
    return out + "}";
}

} // namespace forkscope
