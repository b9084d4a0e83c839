#include "emu/symbols/inspect/call_stack.hpp"

#include <fmt/format.h>

#include "emu/base/text/words.hpp"
#include "emu/symbols/dwarf/constants.hpp"
#include "emu/symbols/elf_lines.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostVariables = 1024; // of one row

bool is_variable(const DwarfEntry& entry) { return entry.tag == dw::kVariable || entry.tag == dw::kFormalParameter; }

SourceLine statement_line(const ElfImage& image, u32 address) {
    const LineTable& table = image.line_table();
    const LineRow* row = table.find_statement(address);
    return row == nullptr ? SourceLine{} : SourceLine{table.files[row->file], row->line};
}

} // namespace

CallStack::CallStack(const Symbolizer& symbols, GuestState state, std::size_t most_frames)
    : symbols_(symbols), state_(std::move(state)), frames_(unwind(symbols_, state_, most_frames)) {
    for (std::size_t i = 0; i < frames_.list.size(); ++i)
        add_rows(i);
}

// The calls inlined at the frame's place, innermost first, and the function around them.
void CallStack::add_rows(std::size_t number) {
    const Frame& frame = frames_.list[number];
    StackRow row;
    row.frame = number;
    row.address = frame.eip();
    if (frame.image == nullptr) {
        rows_.push_back(row);
        return;
    }
    row.image = frame.image->name();
    std::vector<DwarfEntry> scopes = frame.image->debug().scopes_at(frame.place());
    row.line = statement_line(*frame.image, frame.place());
    for (InlinedCall& call : frame.image->inlined_calls(frame.place())) {
        row.inlined = true;
        row.function = std::move(call.function);
        row.scopes.clear();
        bool whole = false;
        while (!scopes.empty() && !whole) {
            whole = scopes.back().tag == dw::kInlinedSubroutine;
            row.scopes.insert(row.scopes.begin(), scopes.back().offset);
            scopes.pop_back();
        }
        rows_.push_back(row);
        row.line = std::move(call.call);
    }
    row.inlined = false;
    row.scopes.clear();
    for (const DwarfEntry& scope : scopes)
        row.scopes.push_back(scope.offset);
    const Symbol* symbol = frame.image->symbol_at(frame.place());
    row.function = symbol == nullptr ? "" : symbol->name;
    // A part that the compiler put elsewhere, fork1.cold, is the function still.
    if (!scopes.empty())
        row.function = frame.image->debug().entries().name(scopes.front());
    rows_.push_back(std::move(row));
}

LocationScene CallStack::scene_of(const DebugInfo& debug, const DwarfEntry& entry, std::size_t number) const {
    const Frame& frame = frames_.list[number];
    LocationScene scene;
    scene.registers = &frame.registers;
    scene.memory = &state_.memory;
    scene.frame_address = [&frame] { return frame.frame_address; };
    scene.frame_base = [this, &debug, number] { return frame_base(debug, number); };
    scene.entry_value = [this, number](std::span<const u8> wanted) { return entry_value(number, wanted); };
    scene.entries = &debug.entries();
    scene.unit = entry.unit;
    scene.slide = debug.slide();
    return scene;
}

std::optional<u32> CallStack::frame_base(const DebugInfo& debug, std::size_t number) const {
    const Frame& frame = frames_.list[number];
    DwarfEntry entry;
    const DwarfAttribute* base = nullptr;
    if (debug.entries().read(debug.function_at(frame.place()), entry))
        base = entry.find(dw::kFrameBase);
    if (base == nullptr)
        return std::nullopt;
    LocationScene scene = scene_of(debug, entry, number);
    scene.frame_base = nullptr; // it cannot be its own
    const std::vector<LocationPiece> pieces =
        locate(expression_at(debug.entries(), *base, debug.in_file(frame.place())), scene);
    if (pieces.size() != 1)
        return std::nullopt;
    if (pieces[0].where == LocationPiece::Where::Register)
        return frame.registers[pieces[0].number];
    return pieces[0].where == LocationPiece::Where::Memory ? std::optional(pieces[0].address) : std::nullopt;
}

// The compiler says for each call what it passes in which register. It holds if that call called this function; one
// that ended in a jump to it passed other things.
std::optional<u64> CallStack::entry_value(std::size_t number, std::span<const u8> expression) const {
    constexpr u32 kMostAsked = 8; // callers' values may be those of their entry
    if (number + 1 >= frames_.list.size() || ++callers_asked_ > kMostAsked)
        return std::nullopt;
    const Frame& frame = frames_.list[number];
    const Frame& caller = frames_.list[number + 1];
    if (!caller.called_out || caller.image == nullptr || frame.image == nullptr)
        return std::nullopt;
    const DebugInfo& debug = caller.image->debug();
    const DwarfEntries& entries = debug.entries();
    DwarfEntry call;
    DwarfEntry called;
    DwarfEntry function;
    if (!debug.call_returning_to(caller.eip(), call) ||
        !frame.image->debug().entries().read(frame.image->debug().function_at(frame.place()), function))
        return std::nullopt;
    const DwarfAttribute* origin = call.find(call.tag == dw::kCallSite ? dw::kCallOrigin : dw::kAbstractOrigin);
    if (origin == nullptr || !entries.read(origin->value, called) ||
        entries.name(called) != frame.image->debug().entries().name(function))
        return std::nullopt;
    std::span<const u8> value;
    entries.for_children(call, [&](const DwarfEntry& parameter) {
        const DwarfAttribute* where = parameter.find(dw::kLocation);
        const DwarfAttribute* what = parameter.find(dw::kCallValue);
        what = what == nullptr ? parameter.find(dw::kGnuCallValue) : what;
        if (where != nullptr && what != nullptr && !expression.empty() &&
            std::equal(where->block.begin(), where->block.end(), expression.begin(), expression.end()))
            value = what->block;
        return value.empty();
    });
    return value.empty() ? std::nullopt : calculate(value, scene_of(debug, call, number + 1));
}

GuestValue CallStack::value_of(const DebugInfo& debug, const DwarfEntry& entry, std::size_t frame) const {
    const DwarfEntries& entries = debug.entries();
    const std::optional<u64> offset = entries.reference(entry, dw::kType);
    const Type& type = offset ? debug.types().at(*offset) : debug.types().unknown();
    if (const std::optional<DwarfAttribute> constant = entries.attribute(entry, dw::kConstant); constant) {
        if (constant->block.empty())
            return GuestValue::of_number(type,
                                         static_cast<u64>(entries.signed_number(entry, dw::kConstant).value_or(0)));
        LocationPiece piece;
        piece.where = LocationPiece::Where::Bytes;
        piece.block = constant->block;
        return GuestValue::of_pieces(type, {piece}, {});
    }
    const std::optional<DwarfAttribute> location = entries.attribute(entry, dw::kLocation);
    if (!location)
        return GuestValue::optimized_out(type);
    callers_asked_ = 0;
    const LocationScene scene = scene_of(debug, entry, frame);
    const u64 place = debug.in_file(frames_.list[frame].place());
    return GuestValue::of_pieces(type, locate(expression_at(entries, *location, place), scene), scene);
}

std::vector<Variable> CallStack::variables(const StackRow& row) const {
    std::vector<Variable> found;
    const Frame& frame = frame_of(row);
    if (frame.image == nullptr)
        return found;
    const DebugInfo& debug = frame.image->debug();
    for (const u64 scope : row.scopes) {
        DwarfEntry entry;
        if (!debug.entries().read(scope, entry))
            continue;
        debug.entries().for_children(entry, [&](const DwarfEntry& child) {
            const std::string_view name = is_variable(child) ? debug.entries().name(child) : std::string_view();
            const bool declared = child.find(dw::kDeclaration) != nullptr;
            if (!name.empty() && !declared)
                found.push_back(
                    {std::string(name), child.tag == dw::kFormalParameter, value_of(debug, child, row.frame)});
            return found.size() < kMostVariables;
        });
    }
    return found;
}

std::optional<GuestValue> CallStack::variable(const StackRow& row, std::string_view name) const {
    const Frame& frame = frame_of(row);
    const ElfImage* const here = frame.image;
    if (here != nullptr) {
        std::vector<Variable> locals = variables(row);
        // The innermost of one name hides the others.
        for (auto local = locals.rbegin(); local != locals.rend(); ++local)
            if (local->name == name)
                return local->value;
    }
    for (const ElfImage* image : symbols_.images_for(state_.address_space, here)) {
        const DebugInfo& debug = image->debug();
        const u64 near = image == here && !row.scopes.empty() ? row.scopes.front() : 0;
        DwarfEntry entry;
        if (const u64 offset = debug.variable_named(name, near); offset != 0 && debug.entries().read(offset, entry))
            return value_of(debug, entry, row.frame);
    }
    return std::nullopt;
}

ValueReader CallStack::reader(PrintLimits limits) const {
    const u32 space = state_.address_space;
    return ValueReader(
        state_.memory,
        [this, space](u32 address) {
            const ElfImage* image = symbols_.image_at(space, address);
            const Symbol* symbol = image == nullptr ? nullptr : image->symbol_at(address);
            if (symbol == nullptr)
                return std::string();
            const u32 offset = address - symbol->start;
            return offset == 0 ? std::string(symbol->name) : fmt::format("{}+{}", symbol->name, offset);
        },
        limits);
}

std::string CallStack::text(std::size_t number) const {
    const StackRow& row = rows_[number];
    const Frame& frame = frame_of(row);
    std::string arguments;
    for (const Variable& variable : variables(row)) {
        if (!variable.argument)
            continue;
        // Structures by name only, as in C's own notation of calls.
        std::string text = "...";
        if (!variable.value.type().is_compound())
            text = to_text(reader().read(variable.value, variable.name));
        // The argument's type is the function's matter.
        if (text.starts_with("(" + variable.value.type().text() + ") "))
            text = text.substr(variable.value.type().text().size() + 3);
        arguments += (arguments.empty() ? "" : ", ") + variable.name + "=" + text;
    }
    const std::string place =
        row.line.line == 0 ? "" : fmt::format(" at {}:{}", base_name(row.line.file), row.line.line);
    const std::string where = number == 0 || row.inlined ? "" : fmt::format("0x{:08x} in ", row.address);
    std::string how;
    if (frame.found_by == FoundBy::Interrupt && (number == 0 || rows_[number - 1].frame != row.frame))
        how = frame.in_kernel ? "  <interrupted>" : "  <user>";
    if (frame.found_by == FoundBy::ReturnAddress)
        how = "  <guess>";
    return fmt::format("#{:<3}{}{} ({}){}{}", number, where, row.function.empty() ? "??" : row.function, arguments,
                       place, how);
}

} // namespace forkscope
