#include "emu/report/stepper/step_words.hpp"

#include <fmt/format.h>

#include "cpu/register_number.hpp"
#include "emu/session/conditions/given_address.hpp"

namespace forkscope {

StepAnswer wrong(std::string message, ExitCode code) {
    StepAnswer answer;
    answer.text = std::move(message);
    answer.code = code == ExitCode::Ok ? ExitCode::RuntimeError : code;
    return answer;
}

Result<InputEvent> poke_event(const std::string& what, u32 value, Session& session) {
    constexpr std::pair<std::string_view, u8> kRegisters[] = {
        {"eax", 0},  {"ecx", 1},  {"edx", 2},  {"ebx", 3},    {"esp", 4},  {"ebp", 5},
        {"esi", 6},  {"edi", 7},  {"eip", 8},  {"eflags", 9}, {"cr0", 16}, {"cr2", 18},
        {"cr3", 19}, {"cr4", 20}, {"dr0", 24}, {"dr1", 25},   {"dr2", 26}, {"dr3", 27}};
    for (const auto& [name, number] : kRegisters)
        if (what == name)
            return InputEvent{.kind = InputKind::Register, .size = 4, .data = value, .address = number};
    const u32 space = session.machine().mmu().control().space_of(session.machine().registers().cr3).root;
    const auto address = given_address(what, session.machine(), session.symbols(), space);
    if (!address.ok())
        return Error{fmt::format("'{}' is neither a register that can be set (eax to edi, eip, eflags, cr0, cr2, cr3, "
                                 "cr4, dr0 to dr3) nor an address",
                                 what),
                     ExitCode::Usage};
    const PagingState& paging = session.machine().mmu().paging();
    const Walk walk = paging.look(LinearAddress(*address), Privilege::Supervisor, AccessKind::Read);
    if (!walk.ok || (*address & kPageMask) > kPageSize - sizeof value)
        return Error{fmt::format("{:08x} is not mapped, or its four bytes lie in two pages", *address),
                     ExitCode::Usage};
    return InputEvent{.kind = InputKind::Memory, .size = 4, .data = value, .address = walk.physical.value};
}

} // namespace forkscope
