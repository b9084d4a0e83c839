#include "emu/symbols/dwarf/call_frames.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostDescriptions = 1 << 18;
constexpr std::size_t kMostRemembered = 64;
constexpr u8 kAbsent = 0xFF; // DW_EH_PE_omit

// DWARF 5, 7.24. The first three have an operand in their low bits.
enum Operation : u8 {
    kAdvance = 0x40,
    kOffset = 0x80,
    kRestore = 0xC0,
    kNop = 0x00,
    kSetLocation = 0x01,
    kAdvance1 = 0x02,
    kAdvance2 = 0x03,
    kAdvance4 = 0x04,
    kOffsetExtended = 0x05,
    kRestoreExtended = 0x06,
    kUndefined = 0x07,
    kSame = 0x08,
    kRegister = 0x09,
    kRemember = 0x0A,
    kRestoreState = 0x0B,
    kDefineFrame = 0x0C,
    kDefineFrameRegister = 0x0D,
    kDefineFrameOffset = 0x0E,
    kDefineFrameExpression = 0x0F,
    kExpression = 0x10,
    kOffsetExtendedSigned = 0x11,
    kDefineFrameSigned = 0x12,
    kDefineFrameOffsetSigned = 0x13,
    kValueOffset = 0x14,
    kValueOffsetSigned = 0x15,
    kValueExpression = 0x16,
    kGnuArgumentsSize = 0x2E,
    kGnuNegativeOffset = 0x2F,
};

i64 times(u64 value, i64 step) { return static_cast<i64>(value * static_cast<u64>(step)); }

// An augmentation; a longer one is nobody's.
std::string_view short_text(ByteReader& in) {
    constexpr u64 kMost = 8;
    const std::string_view text = text_in(in.bytes(), in.at(), kMost);
    in.skip(text.size() + 1);
    if (text.size() == kMost)
        in.fail();
    return text;
}

} // namespace

struct CallFrames::State {
    FrameRules rules, initial;
    std::vector<FrameRules> remembered;
    u64 here = 0;

    void set(u64 number, FrameRule rule) {
        if (number < rules.registers.size())
            rules.registers[number] = rule;
    }
    void restore(u64 number) {
        if (number < rules.registers.size())
            rules.registers[number] = initial.registers[number];
    }
};

CallFrames::CallFrames(const DwarfSections& sections) : sections_(sections) {
    read_section(sections.frames, false);
    read_section(sections.eh_frames, true);
    std::stable_sort(descriptions_.begin(), descriptions_.end(),
                     [](const Description& a, const Description& b) { return a.start < b.start; });
}

void CallFrames::read_section(std::span<const u8> section, bool eh) {
    ByteReader in(section);
    std::pair<u64, Common> last{~u64{0}, {}};
    while (!in.done() && descriptions_.size() < kMostDescriptions) {
        u64 length = in.fixed(4);
        const u32 offset_bytes = length == 0xFFFFFFFF ? 8 : 4;
        if (offset_bytes == 8)
            length = in.fixed(8);
        if (in.broken() || length > in.left())
            return;
        const u64 end = in.at() + length;
        const u64 id_place = in.at();
        const u64 id = length == 0 ? 0 : in.fixed(offset_bytes);
        const u64 common_id = eh ? 0 : offset_bytes == 8 ? ~u64{0} : 0xFFFFFFFF;
        if (length != 0 && id != common_id) {
            const u64 common = eh ? id_place - id : id;
            if (last.first != common)
                last = {common, read_common(section, common, eh)};
            ByteReader body(section.first(end), in.at());
            Description description;
            description.common = common;
            description.eh = eh;
            const u8 form = last.second.pointer_form;
            description.start =
                eh ? encoded(body, form, sections_.eh_frames_address + body.at()) : body.fixed(sections_.address_bytes);
            description.end =
                description.start + (eh ? encoded(body, form & 0x0F, 0) : body.fixed(sections_.address_bytes));
            if (last.second.augmented)
                body.skip(body.unsigned_leb());
            description.program = body.block(body.left());
            if (last.second.readable && !body.broken() && description.start < description.end)
                descriptions_.push_back(description);
        }
        in.go_to(end);
    }
}

CallFrames::Common CallFrames::read_common(std::span<const u8> section, u64 offset, bool eh) const {
    Common common;
    ByteReader in(section, offset);
    u64 length = in.fixed(4);
    const u32 offset_bytes = length == 0xFFFFFFFF ? 8 : 4;
    if (offset_bytes == 8)
        length = in.fixed(8);
    if (in.broken() || length > in.left())
        return common;
    in.end_at(in.at() + length);
    in.skip(offset_bytes);
    const u64 version = in.fixed(1);
    const std::string_view augmentation = short_text(in);
    if (version >= 4)
        in.skip(2); // sizes of an address and of a segment selector
    common.code_step = in.unsigned_leb();
    common.data_step = in.signed_leb();
    common.return_register = version == 1 ? in.fixed(1) : in.unsigned_leb();
    if (!augmentation.empty() && augmentation[0] == 'z') {
        common.augmented = true;
        const u64 bytes = in.unsigned_leb();
        const u64 end = in.at() + bytes;
        for (const char letter : augmentation.substr(1)) {
            if (letter == 'R')
                common.pointer_form = static_cast<u8>(in.fixed(1));
            else if (letter == 'L')
                in.skip(1);
            else if (letter == 'P')
                encoded(in, static_cast<u8>(in.fixed(1)), 0);
            else if (letter == 'S')
                common.interrupted = true;
            else
                break;
        }
        in.go_to(end);
    } else if (!augmentation.empty()) {
        return common; // nobody's
    }
    common.program = in.block(in.left());
    common.readable = !in.broken() && version >= 1 && version <= 4 && (eh || version != 2);
    return common;
}

// A pointer of .eh_frame. `place` is its own address, from which some count.
u64 CallFrames::encoded(ByteReader& in, u8 form, u64 place) const {
    if (form == kAbsent)
        return 0;
    u64 value = 0;
    switch (form & 0x0F) {
    case 0x0:
        value = in.fixed(sections_.address_bytes);
        break;
    case 0x1:
        value = in.unsigned_leb();
        break;
    case 0x2:
        value = in.fixed(2);
        break;
    case 0x3:
        value = in.fixed(4);
        break;
    case 0x4:
    case 0xC:
        value = in.fixed(8);
        break;
    case 0x9:
        value = static_cast<u64>(in.signed_leb());
        break;
    case 0xA:
        value = static_cast<u64>(in.signed_fixed(2));
        break;
    case 0xB:
        value = static_cast<u64>(in.signed_fixed(4));
        break;
    default:
        in.fail();
        return 0;
    }
    if ((form & 0x70) == 0x10)
        value += place;
    else if ((form & 0x70) != 0)
        in.fail(); // from text, data or function: not on x86
    return sections_.address_bytes == 8 ? value : value & 0xFFFFFFFF;
}

std::optional<FrameRules> CallFrames::find(u64 address) const {
    auto after = std::upper_bound(descriptions_.begin(), descriptions_.end(), address,
                                  [](u64 value, const Description& description) { return value < description.start; });
    if (after == descriptions_.begin() || address >= (--after)->end)
        return std::nullopt;
    const Common common = read_common(after->eh ? sections_.eh_frames : sections_.frames, after->common, after->eh);
    State state;
    state.rules.return_register = static_cast<u32>(std::min<u64>(common.return_register, 99));
    state.rules.interrupted = common.interrupted;
    if (!run(common.program, common, 0, ~u64{0}, state))
        return std::nullopt;
    state.initial = state.rules;
    state.remembered.clear();
    if (!run(after->program, common, after->start, address, state))
        return std::nullopt;
    return state.rules;
}

// Until the row that the address is in is complete.
bool CallFrames::run(std::span<const u8> program, const Common& common, u64 start, u64 address, State& state) const {
    ByteReader in(program);
    state.here = start;
    while (!in.done()) {
        const u8 operation = static_cast<u8>(in.fixed(1));
        const u8 operand = operation & 0x3F;
        u64 advance = 0;
        if ((operation & 0xC0) == kAdvance)
            advance = operand;
        else if ((operation & 0xC0) == kOffset)
            state.set(operand, {FrameRule::Kind::Offset, times(in.unsigned_leb(), common.data_step), 0, {}});
        else if ((operation & 0xC0) == kRestore)
            state.restore(operand);
        else if (operation == kAdvance1 || operation == kAdvance2)
            advance = in.fixed(operation == kAdvance1 ? 1 : 2);
        else if (operation == kAdvance4)
            advance = in.fixed(4);
        else if (!run_extended(operation, in, common, state))
            return false;
        state.here += advance * common.code_step;
        if (in.broken())
            return false;
        if (state.here > address)
            return true;
    }
    return !in.broken();
}

bool CallFrames::run_extended(u8 operation, ByteReader& in, const Common& common, State& state) const {
    using Kind = FrameRule::Kind;
    const auto scaled = [&] { return times(in.unsigned_leb(), common.data_step); };
    const auto scaled_signed = [&] { return times(static_cast<u64>(in.signed_leb()), common.data_step); };
    const auto rule = [&](Kind kind, auto offset) {
        const u64 number = in.unsigned_leb();
        state.set(number, {kind, offset(), 0, {}});
    };
    const auto none = [] { return i64{0}; };
    const auto expression = [&](Kind kind) {
        const u64 number = in.unsigned_leb();
        state.set(number, {kind, 0, 0, in.block(in.unsigned_leb())});
    };
    switch (operation) {
    case kNop:
        return true;
    case kSetLocation:
        state.here = in.fixed(sections_.address_bytes);
        return true;
    case kOffsetExtended:
        return rule(Kind::Offset, scaled), true;
    case kOffsetExtendedSigned:
        return rule(Kind::Offset, scaled_signed), true;
    case kGnuNegativeOffset:
        return rule(Kind::Offset, [&] { return times(~u64{0}, scaled()); }), true;
    case kValueOffset:
        return rule(Kind::ValueOffset, scaled), true;
    case kValueOffsetSigned:
        return rule(Kind::ValueOffset, scaled_signed), true;
    case kRestoreExtended:
        return state.restore(in.unsigned_leb()), true;
    case kUndefined:
        return rule(Kind::Undefined, none), true;
    case kSame:
        return rule(Kind::Same, none), true;
    case kRegister: {
        const u64 number = in.unsigned_leb();
        state.set(number, {Kind::Register, 0, static_cast<u32>(std::min<u64>(in.unsigned_leb(), 99)), {}});
        return true;
    }
    case kRemember:
        state.remembered.push_back(state.rules);
        return state.remembered.size() <= kMostRemembered;
    case kRestoreState:
        if (state.remembered.empty())
            return false;
        state.rules = state.remembered.back();
        state.remembered.pop_back();
        return true;
    case kExpression:
        return expression(Kind::Expression), true;
    case kValueExpression:
        return expression(Kind::ValueExpression), true;
    case kGnuArgumentsSize:
        return in.unsigned_leb(), true;
    default:
        return run_frame_address(operation, in, common, state);
    }
}

bool CallFrames::run_frame_address(u8 operation, ByteReader& in, const Common& common, State& state) const {
    using Kind = FrameRule::Kind;
    FrameRule& frame = state.rules.frame_address;
    const auto scaled_signed = [&] { return times(static_cast<u64>(in.signed_leb()), common.data_step); };
    switch (operation) {
    case kDefineFrame:
    case kDefineFrameSigned:
        frame = {Kind::Register, 0, static_cast<u32>(std::min<u64>(in.unsigned_leb(), 99)), {}};
        frame.offset = operation == kDefineFrame ? static_cast<i64>(in.unsigned_leb()) : scaled_signed();
        return true;
    case kDefineFrameRegister:
        frame = {Kind::Register, frame.offset, static_cast<u32>(std::min<u64>(in.unsigned_leb(), 99)), {}};
        return true;
    case kDefineFrameOffset:
        frame.offset = static_cast<i64>(in.unsigned_leb());
        return true;
    case kDefineFrameOffsetSigned:
        frame.offset = scaled_signed();
        return true;
    case kDefineFrameExpression:
        frame = {Kind::ValueExpression, 0, 0, in.block(in.unsigned_leb())};
        return true;
    default:
        return false;
    }
}

} // namespace forkscope
