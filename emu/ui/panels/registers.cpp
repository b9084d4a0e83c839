#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

struct NamedBit {
    u32 bit;
    const char* name;
};

constexpr std::array<NamedBit, 12> kFlags = {{{kFlagC, "CF"},
                                              {kFlagP, "PF"},
                                              {kFlagA, "AF"},
                                              {kFlagZ, "ZF"},
                                              {kFlagS, "SF"},
                                              {kFlagT, "TF"},
                                              {kFlagI, "IF"},
                                              {kFlagD, "DF"},
                                              {kFlagO, "OF"},
                                              {kFlagNt, "NT"},
                                              {kFlagVm, "VM"},
                                              {kFlagAc, "AC"}}};
constexpr std::array<NamedBit, 6> kCr0 = {
    {{kCr0Pe, "PE"}, {kCr0Em, "EM"}, {kCr0Ts, "TS"}, {kCr0Wp, "WP"}, {kCr0Cd, "CD"}, {kCr0Pg, "PG"}}};
constexpr std::array<NamedBit, 5> kCr4 = {
    {{kCr4Tsd, "TSD"}, {kCr4Pse, "PSE"}, {kCr4Pae, "PAE"}, {kCr4Pge, "PGE"}, {kCr4OsFxsr, "FXSR"}}};

template <std::size_t N> std::string names_of(u32 value, const std::array<NamedBit, N>& bits) {
    std::string text;
    for (const NamedBit& bit : bits)
        if ((value & bit.bit) != 0)
            text.append(text.empty() ? "" : " ").append(bit.name);
    return text;
}

class Registers {
  public:
    Registers(const RegistersView& view, Touch& touch)
        : view_(view), now_(view.now), before_(view.compare ? view.before : view.now), touch_(touch) {}

    void general() {
        constexpr std::array<std::pair<const char*, u8>, 8> kNames = {{{"eax", kEax},
                                                                       {"esi", kEsi},
                                                                       {"ebx", kEbx},
                                                                       {"edi", kEdi},
                                                                       {"ecx", kEcx},
                                                                       {"ebp", kEbp},
                                                                       {"edx", kEdx},
                                                                       {"esp", kEsp}}};
        for (std::size_t i = 0; i < kNames.size(); i += 2) {
            TextLine line(touch_);
            for (std::size_t k = 0; k < 2; ++k) {
                const auto& [name, number] = kNames[i + k];
                value(line, static_cast<int>(k) * 16, name, now_.reg<u32>(number), before_.reg<u32>(number));
            }
            line.end();
        }
        TextLine line(touch_);
        value(line, 0, "eip", now_.eip, before_.eip);
        line.put(16, kDim, "cpl").put(20, now_.cpl != before_.cpl ? kChanged : kText, fmt::format("{}", now_.cpl));
        line.put(23, kDim, now_.virtual_8086() ? "virtual 8086" : now_.protected_mode() ? "protected" : "real mode");
        line.end();
    }

    void flags() {
        TextLine line(touch_);
        value(line, 0, "eflags", now_.eflags(), before_.eflags());
        line.put(16, kDim, fmt::format("iopl {}", now_.iopl()));
        line.end();
        TextLine decoded(touch_);
        int column = 0;
        for (const NamedBit& flag : kFlags) {
            const bool set = (now_.eflags() & flag.bit) != 0;
            const bool changed = ((now_.eflags() ^ before_.eflags()) & flag.bit) != 0;
            decoded.put(column, changed ? kChanged : set ? kText : kBorder, flag.name);
            column += 3;
        }
        decoded.end();
    }

    void control() {
        control_line("cr0", now_.cr0, before_.cr0, names_of(now_.cr0, kCr0));
        control_line("cr2", now_.cr2, before_.cr2, "last fault");
        control_line("cr3", now_.cr3, before_.cr3, "page directory");
        control_line("cr4", now_.cr4, before_.cr4, names_of(now_.cr4, kCr4));
    }

    // What the stack pointer points to, upwards.
    void stack() {
        const std::vector<StackWord>& words = view_.stack;
        TextLine head(touch_);
        head.put(0, kDim, "stack    holds");
        head.end();
        const auto rows = static_cast<std::size_t>(std::max(0.0f, ImGui::GetContentRegionAvail().y / kLine));
        for (std::size_t i = 0; i < words.size() && i < rows; ++i) {
            TextLine line(touch_);
            line.put(0, kDim, fmt::format("{:08x}", words[i].address))
                .put(9, kText, fmt::format("{:08x}", words[i].value));
            line.put(18, kAccent, words[i].name, static_cast<std::size_t>(std::max(1, columns_left() - 18)));
            line.end(view_.subject(words[i]));
        }
    }

    void segments() {
        constexpr std::array<std::pair<const char*, u8>, 6> kNames = {
            {{"cs", kCs}, {"ss", kSs}, {"ds", kDs}, {"es", kEs}, {"fs", kFs}, {"gs", kGs}}};
        TextLine head(touch_);
        head.put(0, kDim, "   sel  base     limit    dpl");
        head.end();
        for (const auto& [name, number] : kNames)
            segment(name, now_.segments[number], before_.segments[number]);
        segment("tr", now_.tr, before_.tr);
        table("gdtr", now_.gdtr, before_.gdtr);
        table("idtr", now_.idtr, before_.idtr);
    }

  private:
    void value(TextLine& line, int column, const char* name, u32 now, u32 before) {
        const auto width = static_cast<int>(std::string_view(name).size()) + 1;
        line.put(column, kDim, name);
        const std::string digits = fmt::format("{:08x}", now);
        const ImVec2 start = ImGui::GetCursorScreenPos();
        const float left = start.x + static_cast<float>(column) * kLetter;
        line.put(column + width, now != before ? kChanged : kText, digits);
        touch_part(touch_, RegisterSubject{name, now}, fmt::format("{} {}", name, digits), {left - 1, start.y},
                   {left + static_cast<float>(width + 8) * kLetter + 1, start.y + kLine});
    }

    void control_line(const char* name, u32 now, u32 before, const std::string& note) {
        TextLine line(touch_);
        value(line, 0, name, now, before);
        line.put(13, kDim, note);
        line.end();
    }

    void segment(const char* name, const SegmentCache& now, const SegmentCache& before) {
        const bool changed = now.selector != before.selector || now.base != before.base || now.limit != before.limit;
        TextLine line(touch_);
        line.put(0, kDim, name);
        line.put(3, changed ? kChanged : kText,
                 fmt::format("{:04x} {:08x} {:08x}  {}", now.selector, now.base, now.limit, now.dpl()));
        line.end();
    }

    void table(const char* name, const TableRegister& now, const TableRegister& before) {
        TextLine line(touch_);
        line.put(0, kDim, name);
        line.put(8, now.base != before.base ? kChanged : kText, fmt::format("{:08x} {:08x}", now.base, now.limit));
        line.end();
    }

    const RegistersView& view_;
    const CpuState& now_;
    const CpuState& before_;
    Touch& touch_;
};

} // namespace

void draw_registers(const RegistersView& view, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, view.halted ? "halted, waits" : view.compare ? "changed ones in yellow" : "");
    Registers registers(view, touch);
    const auto space = [] { ImGui::Dummy({1, 5}); };
    registers.general();
    space();
    registers.flags();
    space();
    registers.control();
    space();
    registers.segments();
    space();
    registers.stack();
}

} // namespace forkscope::ui
