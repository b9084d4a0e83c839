#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "emu/base/log.hpp"
#include "emu/view/disassembler.hpp"
#include "emu/view/disassembly.hpp"
#include "emu/view/view.hpp"

namespace forkscope {

namespace {

constexpr u32 kMostBefore = 4096; // bytes from a function's start that are decoded to get in step
constexpr std::size_t kLinesBefore = 60, kInstructionsAfter = 120;

CodeLine instruction_line(Disassembler& disassembler, const std::vector<u8>& bytes, u32 address, u32& length) {
    CodeLine line;
    line.address = address;
    const cs_insn* instruction = disassembler.decode(bytes, address);
    length = instruction != nullptr ? instruction->size : 1;
    for (u32 i = 0; i < length && i < bytes.size(); ++i)
        line.bytes += fmt::format("{:02x}", bytes[i]);
    if (instruction == nullptr)
        line.text = bytes.empty() ? "(not mapped)" : fmt::format("db 0x{:02x}", bytes[0]);
    else
        line.text = fmt::format("{:<6} {}", instruction->mnemonic, instruction->op_str);
    return line;
}

// Where a branch with an immediate target goes.
std::optional<u32> branch_target(const std::string& text) {
    const bool branch = text[0] == 'j' || text.compare(0, 4, "call") == 0 || text.compare(0, 4, "loop") == 0;
    const std::size_t operand = text.find_last_of(' ');
    if (!branch || operand == std::string::npos || text.compare(operand + 1, 2, "0x") != 0)
        return std::nullopt;
    return static_cast<u32>(std::strtoul(text.c_str() + operand + 1, nullptr, 16));
}

class Listing {
  public:
    explicit Listing(const Observed& from)
        : mmu_(from.machine.mmu()), symbols_(from.symbols), space_(from.space()), eip_(from.machine.cpu().linear_eip()),
          shown_(from.choices != nullptr ? from.choices->code.value_or(eip_) : eip_),
          tracepoints_(from.choices == nullptr || from.choices->tracepoints),
          disassembler_(Disassembler::bits_of(from.machine.registers().segments[kCs].big)) {}

    CodeView view() {
        const Location here = symbols_.lookup(space_, shown_);
        view_.place = here.text();
        u32 address = start(here);
        std::size_t after = 0;
        bool passed = false;
        while (after < kInstructionsAfter) {
            u32 length = 1;
            const auto bytes = code_bytes(mmu_, address);
            CodeLine line = instruction_line(disassembler_, bytes, address, length);
            line.current = address == eip_;
            if (address == shown_) {
                passed = true;
            } else if (!passed && address < shown_ && shown_ - address < length) {
                line.text += " (overlaps)";
                length = shown_ - address;
            }
            add(std::move(line));
            after += passed ? 1 : 0;
            if (bytes.empty() && passed)
                break;
            address += length;
        }
        trim();
        return std::move(view_);
    }

  private:
    // From the function's start on the decoding is in step with the program.
    u32 start(const Location& here) const {
        if (!here.known() || here.offset > kMostBefore)
            return shown_;
        return shown_ - here.offset;
    }

    void add(CodeLine line) {
        const Location location = symbols_.lookup(space_, line.address);
        if (!tracepoints_ && !line.current && line.address != shown_ && is_tracepoint(location))
            return hide(std::move(line));
        hidden_ = 0;
        if (location.known() && location.symbol != symbol_) {
            symbol_ = location.symbol;
            CodeLine label;
            label.kind = CodeLine::Kind::Symbol;
            label.address = line.address;
            label.text = location.name() + ":";
            view_.lines.push_back(std::move(label));
        }
        if (location.line != 0 && (location.line != line_ || location.file != file_)) {
            line_ = location.line;
            file_ = location.file;
            add_source(location);
        }
        if (const auto target = branch_target(line.text)) {
            const Location there = symbols_.lookup(space_, *target);
            if (there.known())
                line.note = there.name();
        }
        line.subject = InstructionSubject{space_, line.address, line.text};
        view_.lines.push_back(std::move(line));
    }

    // What guest/abi/trace.h puts into each function that states something.
    static bool is_tracepoint(const Location& location) {
        constexpr std::string_view kFile = "abi/trace.h";
        return location.file.size() >= kFile.size() &&
               location.file.compare(location.file.size() - kFile.size(), kFile.size(), kFile) == 0;
    }

    void hide(CodeLine line) {
        if (++hidden_ == 1) {
            line.kind = CodeLine::Kind::Source;
            view_.lines.push_back(std::move(line));
        }
        view_.lines.back().note = "tracepoint";
        view_.lines.back().text = fmt::format("{} instructions left out", hidden_);
        line_ = 0;
    }

    void add_source(const Location& location) {
        CodeLine source;
        source.kind = CodeLine::Kind::Source;
        source.address = location.address;
        source.note = location.source();
        if (auto text = symbols_.source_line(location.file, location.line)) {
            const std::size_t first = text->find_first_not_of(" \t");
            source.text = first == std::string::npos ? "" : text->substr(first);
            std::replace(source.text.begin(), source.text.end(), '\t', ' ');
        }
        const ElfImage* image = symbols_.image_at(space_, location.address);
        const bool of_program = image != nullptr && image == symbols_.program(location.image);
        source.subject = LineSubject{of_program ? location.image : "", location.file, location.line};
        view_.lines.push_back(std::move(source));
    }

    // Keeps what is near.
    void trim() {
        auto& lines = view_.lines;
        const auto current =
            std::find_if(lines.begin(), lines.end(), [this](const CodeLine& line) { return is_shown(line); });
        const auto before = static_cast<std::size_t>(current - lines.begin());
        if (before > kLinesBefore && current != lines.end())
            lines.erase(lines.begin(), current - static_cast<std::ptrdiff_t>(kLinesBefore));
        for (std::size_t i = 0; i < lines.size(); ++i)
            if (is_shown(lines[i]))
                view_.current = i;
    }

    bool is_shown(const CodeLine& line) const {
        return line.kind == CodeLine::Kind::Instruction && line.address == shown_;
    }

    const Mmu& mmu_;
    const Symbolizer& symbols_;
    u32 space_, eip_, shown_;
    bool tracepoints_;
    u32 hidden_ = 0; // instructions one after the other
    Disassembler disassembler_;
    CodeView view_;
    std::string symbol_, file_;
    u32 line_ = 0;
};

} // namespace

CodeView observe_code(const Observed& from) { return Listing(from).view(); }

std::vector<CodeLine> disassembly(const Observed& from, u32 address, i64 first, std::size_t count) {
    const Mmu& mmu = from.machine.mmu();
    Disassembler disassembler(Disassembler::bits_of(from.machine.registers().segments[kCs].big));
    const auto line_at = [&](u32 at, u32& length) {
        return instruction_line(disassembler, code_bytes(mmu, at), at, length);
    };
    std::vector<CodeLine> lines;
    const Location here = from.symbols.lookup(from.space(), address);
    u32 length = 1;
    if (first < 0 && here.known() && here.offset <= kMostBefore)
        for (u32 at = address - here.offset; at != address; at += length) {
            lines.push_back(line_at(at, length));
            length = std::min(length, address - at);
        }
    const auto before = static_cast<std::size_t>(first < 0 ? -first : 0);
    if (lines.size() > before)
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(before));
    for (u32 at = lines.empty() ? address : lines.front().address; lines.size() < before;) {
        CodeLine unknown;
        unknown.address = --at;
        unknown.text = "??";
        lines.insert(lines.begin(), std::move(unknown));
    }
    u32 at = address;
    for (i64 skipped = 0; skipped < first; ++skipped, at += length)
        line_at(at, length);
    for (; lines.size() < count; at += length)
        lines.push_back(line_at(at, length));
    lines.resize(count);
    return lines;
}

} // namespace forkscope
