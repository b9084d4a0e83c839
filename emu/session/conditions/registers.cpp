#include <span>

#include "emu/session/conditions/expression.hpp"

namespace forkscope {

namespace {

using State = const CpuState&;
constexpr auto kEach = RegisterChange::EachInstruction;

template <class T, u8 number> u32 general(State r) { return r.reg<T>(number); }
template <u8 number> u32 selector(State r) { return r.segments[number].selector; }
template <u8 number> u32 debug(State r) { return r.dr[number]; }

constexpr RegisterRow kRegisters[] = {
    {"eax", 4, kEach, general<u32, kEax>},
    {"ecx", 4, kEach, general<u32, kEcx>},
    {"edx", 4, kEach, general<u32, kEdx>},
    {"ebx", 4, kEach, general<u32, kEbx>},
    {"esp", 4, kEach, general<u32, kEsp>},
    {"ebp", 4, kEach, general<u32, kEbp>},
    {"esi", 4, kEach, general<u32, kEsi>},
    {"edi", 4, kEach, general<u32, kEdi>},
    {"ax", 2, kEach, general<u16, kEax>},
    {"cx", 2, kEach, general<u16, kEcx>},
    {"dx", 2, kEach, general<u16, kEdx>},
    {"bx", 2, kEach, general<u16, kEbx>},
    {"sp", 2, kEach, general<u16, kEsp>},
    {"bp", 2, kEach, general<u16, kEbp>},
    {"si", 2, kEach, general<u16, kEsi>},
    {"di", 2, kEach, general<u16, kEdi>},
    {"al", 1, kEach, general<u8, 0>},
    {"cl", 1, kEach, general<u8, 1>},
    {"dl", 1, kEach, general<u8, 2>},
    {"bl", 1, kEach, general<u8, 3>},
    {"ah", 1, kEach, general<u8, 4>},
    {"ch", 1, kEach, general<u8, 5>},
    {"dh", 1, kEach, general<u8, 6>},
    {"bh", 1, kEach, general<u8, 7>},
    {"eip", 4, kEach, [](State r) { return r.eip; }},
    {"eflags", 4, kEach, [](State r) { return r.eflags(); }},
    {"cpl", 1, kEach, [](State r) { return u32{r.cpl}; }},
    {"es", 2, kEach, selector<kEs>},
    {"cs", 2, kEach, selector<kCs>},
    {"ss", 2, kEach, selector<kSs>},
    {"ds", 2, kEach, selector<kDs>},
    {"fs", 2, kEach, selector<kFs>},
    {"gs", 2, kEach, selector<kGs>},
    {"cr0", 4, RegisterChange::Control, [](State r) { return r.cr0; }},
    {"cr2", 4, kEach, [](State r) { return r.cr2; }},
    {"cr3", 4, RegisterChange::AddressSpace, [](State r) { return r.cr3; }},
    {"cr4", 4, RegisterChange::Control, [](State r) { return r.cr4; }},
    {"dr0", 4, kEach, debug<0>},
    {"dr1", 4, kEach, debug<1>},
    {"dr2", 4, kEach, debug<2>},
    {"dr3", 4, kEach, debug<3>},
    {"dr6", 4, kEach, debug<6>},
    {"dr7", 4, kEach, debug<7>},
};

} // namespace

std::span<const RegisterRow> register_rows() { return kRegisters; }

} // namespace forkscope
