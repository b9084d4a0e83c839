#include "operand_faults.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "undefined_forms.hpp"

namespace forkscope::test {

namespace {

enum Vector : u32 { kNotPresent = 11, kStack = 12, kProtection = 13, kPage = 14, kAlignment = 17 };
enum PageError : u32 { kPresent = 1, kWriting = 2, kUser = 4 };
enum class Kind : u8 { Read, Write };

constexpr u32 kAlignmentFlag = 1 << 18;
constexpr u32 kPageBytes = 4096;

// What a selector names at CPL 3: of Linux's GDT the segments that user mode may load, and all of the LDT.
struct Segment {
    u32 base = 0;
    u32 first = 0, last = 0xFFFFFFFF; // offsets within the limit
    bool big = true;
    bool code = false;
    bool second = true; // writable data, or readable code
    bool present = true;
    bool null = false;
    bool expand_down = false;
};

Segment ldt_segment(const LdtSegment& entry) {
    Segment segment;
    segment.base = entry.base;
    segment.big = entry.big;
    segment.code = entry.contents == 2;
    segment.second = !entry.read_only;
    segment.present = entry.present;
    segment.expand_down = entry.contents == 1;
    const u32 limit = entry.granular ? entry.limit << 12 | 0xFFF : entry.limit;
    segment.first = segment.expand_down ? limit + 1 : 0;
    segment.last = !segment.expand_down ? limit : entry.big ? 0xFFFFFFFF : 0xFFFF;
    return segment;
}

// Nothing where CPL 3 may load no segment, or one that differs from host to host.
std::optional<Segment> segment_of(u16 selector) {
    Segment segment;
    segment.null = (selector & ~3u) == 0;
    if (segment.null)
        return segment;
    const u16 entry = selector >> 3;
    if ((selector & 4) != 0)
        return entry < kLdtEntries ? std::optional(ldt_segment(kLdtSegments[entry])) : std::nullopt;
    segment.code = entry == kFlatCode >> 3;
    return segment.code || entry == kFlatData >> 3 ? std::optional(segment) : std::nullopt;
}

std::optional<Fault> page_fault(u32 linear, u32 size, Kind kind) {
    const auto allows = [kind](u32 at) {
        const bool writable = at - kDataAddress < kDataBytes;
        return writable ||
               (kind == Kind::Read && (at - kCodeAddress < kCodeBytes || at - kReadOnlyAddress < kReadOnlyBytes));
    };
    const auto is_present = [](u32 at) {
        return at - kCodeAddress < kCodeBytes || at - kDataAddress < kDataBytes + kReadOnlyBytes;
    };
    const u32 last = linear + size - 1;
    for (const u32 at : {linear, last & ~(kPageBytes - 1)}) // the lower page first
        if ((at == linear || (linear ^ last) >= kPageBytes) && !allows(at))
            return Fault{kPage, kUser | (kind == Kind::Write ? kWriting : 0u) | (is_present(at) ? kPresent : 0u), at};
    return std::nullopt;
}

// The operands of one instruction.
class Operands {
  public:
    Operands(const Instruction& in, const Outcome& before) : in_(in), before_(before) {
        stack_mask_ = segment_of(before.end.ss).value_or(Segment{}).big ? 0xFFFFFFFF : 0xFFFF;
    }

    void string(u32 size, Kind second) {
        const u32 mask = address_mask();
        add(in_.segment, gpr(kEsi) & mask, size, Kind::Read);
        add(kEs, gpr(kEdi) & mask, size, second);
    }
    void memory(u32 moved_esp, Kind kind) { add(in_.segment, offset(moved_esp), in_.operand_size, kind); }
    void stack(u32 distance, Kind kind) { stack_at(gpr(kEsp) + distance, in_.operand_size, kind); }
    void stack_at(u32 at, u32 size, Kind kind) { add(kSs, at & stack_mask_, size, kind); }
    void enter();
    // Two of the same size (BOUND), or an offset and a selector.
    void pair(u32 second_size) {
        memory(0, Kind::Read);
        add(in_.segment, (offset(0) + in_.operand_size) & address_mask(), second_size, Kind::Read);
    }
    void data_descriptor(bool for_stack);
    void code_descriptor();

    std::vector<OperandFaults> take() { return std::move(all_); }

  private:
    u32 gpr(u8 number) const { return number == kNoRegister ? 0 : before_.end.gpr[number]; }
    u32 address_mask() const { return in_.address_size == 4 ? 0xFFFFFFFF : 0xFFFF; }
    u32 offset(u32 moved_esp) const {
        const u32 base = gpr(in_.base) + (in_.base == kEsp ? moved_esp : 0);
        return (base + (gpr(in_.index) << in_.scale) + in_.displacement) & address_mask();
    }
    u16 selector_in(u8 segment) const {
        const Registers& end = before_.end;
        const u16 selectors[kSegmentCount] = {end.es, end.cs, end.ss, end.ds, end.fs, end.gs};
        return selectors[segment];
    }
    std::optional<u32> pointer_part(u32 number, u32 size) const;
    std::optional<u32> selector_of_pair() const { return pointer_part(1, 2); }
    void add(u8 number, u32 offset, u32 size, Kind kind);
    void add_fault(u32 vector, u32 error) { all_.push_back({{{vector, error, 0}}, 0, 0}); }

    const Instruction& in_;
    const Outcome& before_;
    u32 stack_mask_;
    std::vector<OperandFaults> all_;
};

// SDM 3A 5.3 to 5.5 (limit, type), 4.7 (page), 6.15 (#AC). Within one operand the segment comes first; of page and
// alignment either (table 6-2 has both in one class).
void Operands::add(u8 number, u32 offset, u32 size, Kind kind) {
    OperandFaults operand;
    const std::optional<Segment> segment = segment_of(selector_in(number));
    if (!segment) { // not known: says nothing about it
        all_.push_back(operand);
        return;
    }
    const Fault outside = {number == kSs ? u32{kStack} : u32{kProtection}, 0, 0};
    const bool allowed =
        !segment->null && (kind == Kind::Read ? !segment->code || segment->second : !segment->code && segment->second);
    const bool wraps = offset + size - 1 < offset;
    const bool to_the_end = segment->last == 0xFFFFFFFF && !segment->expand_down;
    const bool inside = offset >= segment->first && (wraps ? to_the_end : offset + size - 1 <= segment->last);
    if (!allowed || !inside) {
        operand.faults = {outside};
    } else {
        const u32 linear = segment->base + offset;
        if (wraps) // SDM 3A 5.3: with this limit it may or may not be an exception
            operand.faults.push_back(outside);
        if (const std::optional<Fault> fault = page_fault(linear, size, kind))
            operand.faults.push_back(*fault);
        if ((before_.end.eflags & kAlignmentFlag) != 0 && linear % size != 0)
            operand.faults.push_back({kAlignment, 0, 0});
        if (kind == Kind::Write) {
            operand.stored_at = linear;
            operand.stored_bytes = size;
        }
    }
    all_.push_back(operand);
}

// SDM 2A, ENTER. The new top of the stack is tried with one byte, which is aligned.
void Operands::enter() {
    const u32 size = in_.operand_size;
    const u32 level = in_.immediate2 & 31;
    u32 top = gpr(kEsp) - size;
    stack_at(top, size, Kind::Write);
    for (u32 i = 1; i < level; ++i) {
        stack_at(gpr(kEbp) - i * size, size, Kind::Read);
        stack_at(top -= size, size, Kind::Write);
    }
    if (level > 0)
        stack_at(top -= size, size, Kind::Write);
    stack_at(top - (in_.immediate & 0xFFFF), 1, Kind::Write);
    all_.back().stored_bytes = 0;
}

// Of the pointer in memory, if it can be read and is in the data; what is elsewhere is not known here.
std::optional<u32> Operands::pointer_part(u32 number, u32 size) const {
    if (!all_[number].faults.empty())
        return std::nullopt;
    const std::optional<Segment> segment = segment_of(selector_in(in_.segment));
    if (!segment)
        return std::nullopt;
    const u32 at = segment->base + ((offset(0) + number * in_.operand_size) & address_mask()) - kDataAddress;
    if (at > kDataBytes - size)
        return std::nullopt;
    u32 word = 0;
    std::memcpy(&word, before_.data + at, size);
    return word;
}

// SDM 2A, LDS/LES/LFS/LGS/LSS, if the selector can be read: else there is no descriptor to speak of.
void Operands::data_descriptor(bool for_stack) {
    const std::optional<u32> word = selector_of_pair();
    if (!word)
        return;
    const u16 selector = static_cast<u16>(*word);
    const u32 error = selector & ~3u;
    if (error == 0) {
        if (for_stack)
            add_fault(kProtection, 0);
        return;
    }
    const std::optional<Segment> segment = segment_of(selector);
    const bool fits = segment && (for_stack ? !segment->code && segment->second && (selector & 3) == 3
                                            : !segment->code || segment->second);
    if (!fits)
        add_fault(kProtection, error);
    else if (!segment->present)
        add_fault(for_stack ? kStack : kNotPresent, error);
}

// SDM 2A, CALL and JMP, far: as above, with the offset if that can be read.
void Operands::code_descriptor() {
    const std::optional<u32> word = selector_of_pair();
    if (!word)
        return;
    const u32 error = *word & 0xFFFCu;
    const std::optional<Segment> segment = segment_of(static_cast<u16>(*word));
    if (!segment || segment->null || !segment->code) {
        add_fault(kProtection, error);
        return;
    }
    const std::optional<u32> target = pointer_part(0, in_.operand_size);
    if (target && *target > segment->last)
        add_fault(kProtection, 0);
}

} // namespace

std::vector<OperandFaults> operand_faults(const Instruction& in, const Outcome& before) {
    const Form& form = form_at(in.form);
    const std::string_view name = form.mnemonic;
    const u32 size = in.operand_size;
    Operands operands(in, before);
    if (is_one_of(name, {"movs", "movsb"})) {
        operands.string(name == "movs" ? size : 1, Kind::Write);
    } else if (is_one_of(name, {"cmps", "cmpsb"})) {
        operands.string(name == "cmps" ? size : 1, Kind::Read);
    } else if (is_one_of(name, {"push", "call"}) && in.has_memory()) {
        operands.memory(0, Kind::Read);
        operands.stack(0 - size, Kind::Write);
    } else if (name == "pop" && in.has_memory()) { // SDM 2B, POP: ESP as the base is the new one
        operands.stack(0, Kind::Read);
        operands.memory(size, Kind::Write);
    } else if (name == "enter") {
        operands.enter();
    } else if (name == "bound") {
        operands.pair(size);
    } else if (is_one_of(name, {"lds", "les", "lss", "lfs", "lgs"})) {
        operands.pair(2);
        operands.data_descriptor(name == "lss");
    } else if (is_one_of(name, {"lcall", "ljmp"})) {
        if (in.has_memory())
            operands.pair(2);
        for (u32 i = 1; i <= 2 && name == "lcall"; ++i)
            operands.stack(0 - i * size, Kind::Write);
        if (in.has_memory())
            operands.code_descriptor();
    } else if (name == "pusha") {
        for (u32 i = 1; i <= 8; ++i)
            operands.stack(0 - i * size, Kind::Write);
    } else if (is_one_of(name, {"popa", "retf", "iret"})) {
        const u32 words = name == "popa" ? 8 : name == "retf" ? 2 : 3;
        for (u32 i = 0; i < words; ++i)
            operands.stack(i * size, Kind::Read);
    }
    return operands.take();
}

} // namespace forkscope::test
