#include "emu/report/stepper/why_report.hpp"

#include <fmt/format.h>

#include "emu/report/stepper/step_words.hpp"

namespace forkscope {

namespace {

std::string place_text(Position at) {
    return at.deliveries == 0 ? fmt::format("{}", at.instructions)
                              : fmt::format("{}+{}", at.instructions, at.deliveries);
}

std::string subject_text(const Reason& reason) {
    switch (reason.part) {
    case WhyPart::Entry:
        return fmt::format("table entry {:08x} at {:08x}", reason.value, reason.address);
    case WhyPart::Directory:
        return fmt::format("directory entry {:08x} at {:08x}", reason.value, reason.address);
    case WhyPart::Tlb:
        return fmt::format("TLB {} entry {:#x}", reason.array, reason.value);
    case WhyPart::Frame:
        return fmt::format("frame {:08x}", reason.address);
    case WhyPart::Byte:
        break;
    }
    return fmt::format("byte {:02x} at physical {:08x}", reason.value, reason.address);
}

std::string act_text(const Act& act) {
    std::string text;
    if (act.kind == Act::Kind::Fill)
        text = "filled by ";
    else if (act.kind == Act::Kind::Allocation)
        text = "taken by ";
    else
        text = act.kind == Act::Kind::Walk ? "marked by a page walk of " : "written by ";
    text += act.who.empty() ? act.instruction : act.who;
    if (act.kind == Act::Kind::Store || act.kind == Act::Kind::Walk)
        text += act.before == act.after ? fmt::format(": {:#x} again", act.after)
                                        : fmt::format(": {:#x} -> {:#x}", act.before, act.after);
    if (!act.who.empty())
        text += ", at " + act.instruction;
    if (act.fork != 0)
        text += fmt::format(", in fork {}{}", act.fork, act.stop.empty() ? "" : " stop " + act.stop);
    return fmt::format("{}\n    goto {}", text, place_text(act.at));
}

} // namespace

Result<WhyRequest> read_why(std::string_view words, const std::function<Result<u32>(std::string_view)>& address,
                            AddressSpace current) {
    auto [first, rest] = first_word(words);
    const auto asked = address(first);
    if (!asked.ok())
        return Error{asked.error().message + ": why ADDRESS [in CR3] [entry|directory|tlb|frame|byte] [go]",
                     ExitCode::Usage};
    WhyRequest request{LinearAddress(*asked), current, std::nullopt, false};
    while (!rest.empty()) {
        auto [word, more] = first_word(rest);
        rest = more;
        if (word == "in") {
            std::tie(word, rest) = first_word(rest);
            const auto root = address(word);
            if (!root.ok() || *root < kPageSize) // no directory lies in the first page
                return Error{fmt::format("'{}' is no CR3: 'in' takes a directory's physical address", word),
                             ExitCode::Usage};
            request.space = AddressSpace(*root & ~kPageMask);
        } else if (word == "go") {
            request.go = true;
        } else if (const auto part = why_part_named(word)) {
            request.part = part;
        } else {
            return Error{fmt::format("'{}' is not understood: in CR3, entry, directory, tlb, frame, byte or go", word),
                         ExitCode::Usage};
        }
    }
    if (request.go && !request.part)
        return Error{"go where? to the entry, directory, tlb, frame or byte", ExitCode::Usage};
    return request;
}

std::string why_text(const std::vector<Reason>& reasons) {
    std::string text;
    for (const Reason& reason : reasons) {
        text += (text.empty() ? "" : "\n") + subject_text(reason);
        for (const Act& act : reason.acts)
            text += fmt::format("\n  {}{}", &act == &reason.acts.front() ? "" : "before: ", act_text(act));
        if (!reason.unknown.empty())
            text += fmt::format("\n  {}{}", reason.acts.empty() ? "" : "before: ", reason.unknown);
    }
    return text.empty() ? "there is nothing of that kind" : text;
}

Rows why_rows(const std::vector<Reason>& reasons) {
    constexpr std::string_view kKinds[] = {"store", "walk", "fill", "allocation"};
    Rows rows;
    for (const Reason& reason : reasons) {
        Object& row = rows.emplace_back();
        row.text("part", std::string(why_part_name(reason.part))).word("address", reason.address);
        row.word("value", reason.value).text("array", reason.array).text("unknown", reason.unknown);
        Rows acts;
        for (const Act& act : reason.acts) {
            Object& one = acts.emplace_back();
            one.text("kind", std::string(kKinds[static_cast<std::size_t>(act.kind)]));
            one.text("who", act.who.empty() ? act.instruction : act.who).text("instruction", act.instruction);
            one.address("eip", act.eip).word("space", act.address_space);
            one.word("before", act.before).word("after", act.after);
            one.number("fork", act.fork).text("stop", act.stop);
            one.text("goto", place_text(act.at)).count("instructions", act.at.instructions);
            one.number("deliveries", act.at.deliveries).count("cycle", act.at.cycle);
        }
        row.rows("acts", std::move(acts));
    }
    return rows;
}

} // namespace forkscope
