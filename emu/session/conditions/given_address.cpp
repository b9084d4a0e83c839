#include "emu/session/conditions/given_address.hpp"

#include <fmt/format.h>

#include "emu/session/conditions/evaluation/machine_evaluator.hpp"

namespace forkscope {

Result<u32> given_address(std::string_view text, const Machine& machine, const Symbolizer& symbols, u32 space) {
    const auto bad = [](std::string why) { return Error{std::move(why), ExitCode::Usage}; };
    if (text.empty())
        return bad("an address is missing: a number, a symbol, a register, or a sum such as esp+4");
    if (const auto address = address_of(text, symbols, space))
        return *address;
    const auto value_of = compile_condition(text, symbols);
    if (!value_of.ok() || !is_value(value_of->expression.at(value_of->expression.root).kind))
        return bad(fmt::format("'{}' is neither an address nor a symbol, nor a value such as cr2 or esp+4", text));
    std::vector<NodeMemory> memory(value_of->expression.nodes.size());
    MachineEvaluator evaluator(machine, *value_of, memory);
    const Value value = evaluator.value(value_of->expression.root);
    if (!value.known)
        return bad(fmt::format("'{}' has no value here", text));
    if (value.width == 64 && value.bits > ~u32{0})
        return bad(fmt::format("'{}' is {:#x}: an address has 32 bits", text, value.bits));
    return static_cast<u32>(value.bits);
}

} // namespace forkscope
