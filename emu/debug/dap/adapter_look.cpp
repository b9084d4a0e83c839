// What a client looks at while the machine stands: threads, stacks, values, sources, memory, code.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "emu/base/text/base64.hpp"
#include "emu/base/text/words.hpp"
#include "emu/debug/dap/adapter.hpp"
#include "emu/debug/dap/arguments.hpp"
#include "emu/report/stepper/step_words.hpp"
#include "emu/symbols/inspect/expression.hpp"
#include "emu/view/disassembly.hpp"

namespace forkscope {

namespace {

using Json = nlohmann::json;

Error usage(std::string text) { return Error{std::move(text), ExitCode::Usage}; }

std::string hexadecimal(u32 address) { return fmt::format("0x{:08x}", address); }

} // namespace

Result<Json> DapAdapter::threads(const Json&) {
    Json all = Json::array();
    for (const GuestThread& one : target_->threads().all())
        all.push_back({{"id", one.id}, {"name", target_->describe(one)}});
    return Json{{"threads", std::move(all)}};
}

// A path where the client has said where the sources lie, else a number by which it can ask for the text.
Json DapAdapter::source_of(const std::string& file) {
    Json source{{"name", base_name(file)}};
    if (!source_folder_.empty()) {
        source["path"] = file.starts_with('/') ? file : source_folder_ + "/" + file;
        return source;
    }
    source["path"] = file;
    if (session_->symbols().source_text(file) != nullptr) {
        auto at = std::find(files_.begin(), files_.end(), file);
        if (at == files_.end())
            at = files_.insert(at, file);
        source["sourceReference"] = at - files_.begin() + 1;
    }
    return source;
}

Result<Json> DapAdapter::stack_trace(const Json& arguments) {
    const i64 id = number_of(arguments, "threadId");
    if (id < 0 || id > i64{0xFFFFFFFF} || !target_->threads().find(static_cast<u32>(id)))
        return usage(fmt::format("there is no thread {}", id));
    const auto thread = static_cast<u32>(id);
    Json frames = Json::array();
    const CallStack* const stack = values_->stack_of(thread);
    const std::size_t count = stack != nullptr ? stack->rows().size() : 0;
    const auto first = static_cast<std::size_t>(std::max<i64>(0, number_of(arguments, "startFrame")));
    const i64 levels = number_of(arguments, "levels");
    for (std::size_t i = first; i < count && (levels <= 0 || i - first < static_cast<std::size_t>(levels)); ++i) {
        const StackRow& row = stack->rows()[i];
        Json frame{{"id", values_->number_of({thread, i})},
                   {"name", row.function.empty() ? hexadecimal(row.address) : row.function},
                   {"line", row.line.line - (lines_from_0_ && row.line.line != 0 ? 1 : 0)},
                   {"column", lines_from_0_ ? 0 : 1},
                   {"instructionPointerReference", hexadecimal(row.address)}};
        if (row.line.line != 0)
            frame["source"] = source_of(row.line.file);
        else
            frame["presentationHint"] = "subtle";
        frames.push_back(std::move(frame));
    }
    return Json{{"stackFrames", std::move(frames)}, {"totalFrames", count}};
}

Result<Json> DapAdapter::scopes(const Json& arguments) {
    const auto row = values_->row_of(static_cast<u64>(number_of(arguments, "frameId")));
    if (!row)
        return usage("there is no such frame any more");
    return Json{{"scopes", values_->scopes(*row)}};
}

Result<Json> DapAdapter::variables(const Json& arguments) {
    const DapValues::Window window{static_cast<u64>(std::max<i64>(0, number_of(arguments, "start"))),
                                   static_cast<u64>(std::max<i64>(0, number_of(arguments, "count")))};
    auto found = values_->variables(static_cast<u64>(number_of(arguments, "variablesReference")), window);
    if (!found)
        return usage("there is no such variablesReference any more");
    return Json{{"variables", *std::move(found)}};
}

// A register, or a number in memory. In the past this starts a branch.
Result<Json> DapAdapter::set_variable(const Json& arguments) {
    const auto reference = static_cast<u64>(number_of(arguments, "variablesReference"));
    const std::string name = text_of(arguments, "name");
    const std::string text = text_of(arguments, "value");
    if (values_->is_registers(reference)) {
        const StepAnswer answer = commands_->execute(fmt::format("set {} {}", name, text));
        if (answer.code != ExitCode::Ok)
            return usage(answer.text);
        return Json{{"value", text}};
    }
    const auto found = values_->find(reference, name);
    const auto address = found ? found->value.address() : std::nullopt;
    const u64 size = found ? found->value.type().bytes() : 0;
    const bool plain = address && found->value.bits() == 0 && size <= 8 && found->value.type().is_number();
    if (!plain)
        return usage("only registers, and numbers and pointers that lie in memory, can be set");
    const CallStack& stack = *found->stack;
    const auto value = forkscope::evaluate(stack, stack.rows().front(), text);
    const auto number = value.ok() ? value->number(stack.state().memory) : Result<i64>(value.error());
    if (!number.ok())
        return number.error();
    std::vector<u8> bytes(size);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<u8>(static_cast<u64>(*number) >> (8 * i));
    target_->allow_branch();
    if (!target_->write(*address, bytes, AddressSpace(stack.state().address_space)))
        return usage(fmt::format("the {} bytes at {:#x} cannot be written", size, *address));
    return Json{{"value", values_->shown(found->value, stack, name, "")["value"]}};
}

// Physical bytes: whatever mapping they are written through.
Result<Json> DapAdapter::data_info(const Json& arguments) {
    const auto reference = static_cast<u64>(number_of(arguments, "variablesReference"));
    const std::string name = text_of(arguments, "name");
    std::optional<u32> address;
    u64 size = 4;
    AddressSpace space = target_->space_of(target_->threads().current());
    if (const auto found = values_->find(reference, name)) {
        address = found->value.address();
        size = found->value.type().bytes();
        space = AddressSpace(found->stack->state().address_space);
    } else if (reference == 0) {
        address = address_of_reference(name);
        size = static_cast<u64>(std::clamp<i64>(number_of(arguments, "bytes", 4), 1, 4096));
    }
    const auto nowhere = [&](std::string_view why) {
        return Json{{"dataId", nullptr}, {"description", fmt::format("{}: {}", name, why)}};
    };
    if (!address || size == 0 || size > 4096)
        return nowhere("not in memory, or larger than a page");
    const PagingState& paging = target_->machine().mmu().paging();
    u64 physical = *address;
    if (paging.control().paging()) {
        const Walk walk = paging.look_in(space, LinearAddress(*address), Privilege::Supervisor, AccessKind::Read);
        if (!walk.ok)
            return nowhere("not mapped");
        physical = walk.physical.value;
    }
    return Json{{"dataId", fmt::format("writes({:#x}, {})", physical, size)},
                {"description", fmt::format("{}: {} bytes at physical {:#x}", name, size, physical)},
                {"accessTypes", {"write"}}};
}

// --- The console

Result<Json> DapAdapter::value_in_frame(const std::string& expression, const Json& arguments) {
    const auto row = values_->row_of(static_cast<u64>(number_of(arguments, "frameId")));
    const u32 thread = row ? row->thread : target_->threads().current().id;
    const CallStack* const stack = values_->stack_of(thread);
    const std::size_t at = row ? row->row : 0;
    if (stack == nullptr || at >= stack->rows().size())
        return usage("nothing is known of this thread's stack");
    const bool formatted = expression.starts_with('/') || expression.starts_with("list(");
    if (!formatted) {
        const auto value = forkscope::evaluate(*stack, stack->rows()[at], expression);
        if (!value.ok())
            return value.error();
        Json shown = values_->shown(*value, *stack, expression, expression);
        shown["result"] = std::move(shown["value"]);
        shown.erase("value");
        return shown;
    }
    const auto value = forkscope::print(*stack, stack->rows()[at], expression);
    if (!value.ok())
        return value.error();
    return Json{{"result", to_text(*value)}, {"type", value->type}, {"variablesReference", 0}};
}

bool DapAdapter::is_variable(const std::string& word, const Json& arguments) {
    const auto row = values_->row_of(static_cast<u64>(number_of(arguments, "frameId")));
    const CallStack* const stack = row ? values_->stack_of(row->thread) : nullptr;
    return stack != nullptr && row->row < stack->rows().size() &&
           stack->variable(stack->rows()[row->row], word).has_value();
}

Result<Json> DapAdapter::console_command(const std::string& line) {
    const StepAnswer answer = commands_->execute(line);
    if (answer.quit)
        event("terminated", Json::object());
    if (answer.moved)
        stopped("goto", "");
    else if (answer.code == ExitCode::Ok)
        values_->forget(); // it may have written
    if (answer.code == ExitCode::Usage || answer.code == ExitCode::RuntimeError)
        return usage(answer.text);
    return Json{{"result", answer.text}, {"variablesReference", 0}};
}

// In the console a line is a command of the stepper if it begins with one; a variable that is called like one goes
// before it. Elsewhere, and else, it is an expression.
Result<Json> DapAdapter::evaluate(const Json& arguments) {
    const std::string expression(trimmed(text_of(arguments, "expression")));
    const bool console = text_of(arguments, "context") == "repl";
    if (!console || !StepCommands::knows(expression) || is_variable(expression, arguments))
        return value_in_frame(expression, arguments);
    if (pending_)
        return usage("the guest is running; pause it first");
    return console_command(expression);
}

// --- Sources, memory, code

Result<Json> DapAdapter::source(const Json& arguments) {
    i64 number = number_of(member_of(arguments, "source"), "sourceReference");
    if (number == 0)
        number = number_of(arguments, "sourceReference");
    if (number < 1 || number > static_cast<i64>(files_.size()))
        return usage("there is no such source");
    const std::string* const text = session_->symbols().source_text(files_[static_cast<std::size_t>(number - 1)]);
    if (text == nullptr)
        return usage("its text is not here; give its folder with --source DIR");
    return Json{{"content", *text}, {"mimeType", "text/x-c"}};
}

Result<Json> DapAdapter::read_memory(const Json& arguments) {
    constexpr i64 kMost = i64{1} << 20;
    const auto base = address_of_reference(text_of(arguments, "memoryReference"));
    const i64 count = number_of(arguments, "count");
    if (!base || count < 0)
        return usage("memoryReference is an address such as 0xc0100000, count is not negative");
    const u32 address = *base + static_cast<u32>(number_of(arguments, "offset"));
    const auto wanted = static_cast<u32>(std::min(count, kMost));
    const std::vector<u8> bytes = target_->read(address, wanted, target_->space_of(target_->threads().current()));
    Json body{{"address", hexadecimal(address)}, {"data", base64(bytes)}};
    if (bytes.size() < wanted)
        body["unreadableBytes"] = wanted - bytes.size();
    return body;
}

Result<Json> DapAdapter::disassemble(const Json& arguments) {
    constexpr i64 kMost = 4096;
    const auto base = address_of_reference(text_of(arguments, "memoryReference"));
    const i64 count = number_of(arguments, "instructionCount");
    if (!base || count < 0)
        return usage("memoryReference is an address such as 0xc0100000, instructionCount is not negative");
    const u32 address = *base + static_cast<u32>(number_of(arguments, "offset"));
    const i64 first = std::clamp(number_of(arguments, "instructionOffset"), -kMost, kMost);
    const Observed from{session_->machine(), session_->tracer(), session_->symbols()};
    Json all = Json::array();
    u32 line = 0;
    for (const CodeLine& one : disassembly(from, address, first, static_cast<std::size_t>(std::min(count, kMost)))) {
        Json row{{"address", hexadecimal(one.address)}, {"instruction", one.text}};
        if (one.bytes.empty())
            row["presentationHint"] = "invalid";
        else
            row["instructionBytes"] = one.bytes;
        const Location place = session_->symbols().lookup(from.space(), one.address);
        if (place.known() && place.offset == 0)
            row["symbol"] = place.symbol;
        if (place.line != 0 && place.line != line) {
            row["line"] = line = place.line;
            row["location"] = source_of(place.file);
        }
        all.push_back(std::move(row));
    }
    return Json{{"instructions", std::move(all)}};
}

} // namespace forkscope
