#include "emu/terminal/keys.hpp"

namespace forkscope::terminal {

namespace {

struct CharacterMeaning {
    char character;
    KeyMeaning meaning;
};
constexpr CharacterMeaning kCharacters[] = {
    {'s', {Act::Command, "step"}},
    {'b', {Act::Command, "back"}},
    {'l', {Act::Command, "step line"}},
    {'L', {Act::Command, "back line"}},
    {'n', {Act::Command, "step over"}},
    {'N', {Act::Command, "back over"}},
    {'o', {Act::Command, "step out"}},
    {'O', {Act::Command, "back out"}},
    {'t', {Act::Command, "step stop"}},
    {'T', {Act::Command, "back stop"}},
    {'f', {Act::Command, "step fault"}},
    {'F', {Act::Command, "back fault"}},
    {'e', {Act::Command, "step entry"}},
    {'E', {Act::Command, "back entry"}},
    {'c', {Act::Command, "continue"}},
    {'r', {Act::Command, "reverse"}},
    {'g', {Act::Ask, "goto "}},
    {'G', {Act::Go, ""}},
    {'y', {Act::Copy, ""}},
    {'B', {Act::Ask, "break "}},
    {'w', {Act::Ask, "show "}},
    {':', {Act::Ask, ""}},
    {'/', {Act::Search, ""}},
    {'R', {Act::Run, ""}},
    {'z', {Act::Zoom, ""}},
    {'?', {Act::Help, ""}},
    {'q', {Act::Quit, ""}},
    {'\x0c', {Act::Redraw, ""}},
};

constexpr KeyHelp kHelp[] = {
    {"s b", "step, back, by instruction"},
    {"l L  n N  o O", "by source line: into functions, over them, out of one; capitals go back"},
    {"t T  f F  e E", "to the next stop of a fork, page fault, store into a page table; capitals: the one before"},
    {"c r", "continue, reverse, to a breakpoint"},
    {"g", "go to an instruction, a time, begin, end or a bookmark"},
    {":", "any command of the stepper; Up and Down: those before"},
    {"Up Down", "choose a line of the panel"},
    {"Enter", "what the chosen line is; again: to the moment that made it; no line chosen: the last move again"},
    {"G", "to the moment that made the chosen line"},
    {"y", "copy the chosen line, or the panel, to the clipboard (OSC 52)"},
    {"B", "a breakpoint"},
    {"w", "what to look at: memory, code, a process, two spaces, then and now"},
    {"R", "run, and type for the guest; Ctrl-C stops it"},
    {"Tab Shift-Tab", "the next panel, the one before"},
    {"PageUp PageDown Home End", "scroll the panel"},
    {"/", "search in the panel; with no text: on"},
    {"z Escape", "the panel alone, and all again; no line chosen any more"},
    {"? q", "help, quit"},
    {"Ctrl-C", "interrupt a long move"},
};

} // namespace

KeyMeaning meaning_of(const Key& key) {
    using Name = Key::Name;
    switch (key.name) {
    case Name::Character:
        for (const CharacterMeaning& one : kCharacters)
            if (key.character.size() == 1 && key.character[0] == one.character)
                return one.meaning;
        return {};
    case Name::Enter:
        return {Act::Choose};
    case Name::Escape:
        return {Act::Back};
    case Name::Tab:
        return {Act::NextPanel};
    case Name::BackTab:
        return {Act::PreviousPanel};
    case Name::Up:
        return {Act::Up};
    case Name::Down:
        return {Act::Down};
    case Name::PageUp:
        return {Act::PageUp};
    case Name::PageDown:
        return {Act::PageDown};
    case Name::Home:
        return {Act::Begin};
    case Name::End:
        return {Act::End};
    case Name::Resize:
        return {Act::Redraw};
    case Name::Closed:
        return {Act::Quit};
    default:
        return {};
    }
}

std::span<const KeyHelp> key_help() { return kHelp; }

} // namespace forkscope::terminal
