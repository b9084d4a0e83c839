#include "emu/view/subject.hpp"

#include <fmt/format.h>

#include "emu/base/text/words.hpp"

namespace forkscope {

namespace {

// Behind the instruction that made a system call.
std::string behind(u64 instructions) { return fmt::format("goto {}", instructions + 1); }

struct MomentOf {
    std::string operator()(const std::monostate&) const { return {}; }
    std::string operator()(const PageSubject& page) const {
        return fmt::format("why {:#x} in {:#x} {} go", page.linear, page.space,
                           page.level == 2 ? "directory" : "entry");
    }
    std::string operator()(const TranslationSubject& one) const {
        return fmt::format("why {:#x} in {:#x} tlb go", one.row.entry.tag, one.space);
    }
    std::string operator()(const FaultSubject& fault) const {
        return fmt::format("goto {}", fault.record->begin_instructions);
    }
    std::string operator()(const ForkSubject& fork) const { return behind(fork.begin_instructions); }
    std::string operator()(const StopSubject& stop) const {
        return fmt::format("goto {}", stop.stop.reached_instructions);
    }
    std::string operator()(const WriteSubject& write) const {
        const PteChange& change = write.change;
        if (change.written)
            return fmt::format("goto {}", change.instructions);
        return change.directory == 0 ? "" : (*this)(PageSubject{change.directory, change.linear, change.level});
    }
    std::string operator()(const InstructionSubject& code) const {
        return fmt::format("reverse until {:#x}", code.address);
    }
    std::string operator()(const LineSubject& line) const { return "reverse until " + line.place(); }
    std::string operator()(const WordSubject& word) const {
        return fmt::format("why {:#x} in {:#x} byte go", word.address, word.space);
    }
    std::string operator()(const PhysicalSubject& word) const {
        return fmt::format("reverse until writes({:#x}, 4)", word.address);
    }
    std::string operator()(const RegisterSubject& one) const {
        return fmt::format("reverse until {} changes", one.name);
    }
    std::string operator()(const FrameSubject& frame) const {
        // The innermost function is entered where it runs; of its callers that is the call, a return address before.
        return frame.row == 0 ? "back out" : fmt::format("reverse until {:#x}", frame.address);
    }
    std::string operator()(const ValueSubject& value) const {
        return value.address == 0 ? "" : (*this)(WordSubject{value.space, value.address});
    }
    std::string operator()(const ProcessSubject& process) const {
        return process.born != 0 ? behind(process.born) : fmt::format("reverse until cr3 == {:#x}", process.space);
    }
    std::string operator()(const BreakpointSubject& one) const {
        return fmt::format("reverse until {}", one.condition);
    }
    std::string operator()(const BookmarkSubject& mark) const { return fmt::format("goto {}", mark.name); }
    std::string operator()(const BranchSubject& branch) const { return fmt::format("branch {}", branch.id); }
    std::string operator()(const EventSubject& one) const { return fmt::format("goto {}", one.event.instructions); }
};

} // namespace

std::string LineSubject::place() const {
    return fmt::format("{}{}{}:{}", program, program.empty() ? "" : ":", base_name(file), line);
}

std::string moment_of(const Subject& subject) { return std::visit(MomentOf(), subject); }

} // namespace forkscope
