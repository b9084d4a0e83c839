#include "emu/view/inspection.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "emu/base/text/words.hpp"
#include "emu/observe/tables/walk_text.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostMappings = 12;

class Inspector {
  public:
    explicit Inspector(Session& session) : session_(session), paging_(session.machine().mmu().paging()) {}

    Inspection take(const Subject& subject) {
        std::visit(*this, subject);
        if (const std::string moment = moment_of(subject); !moment.empty())
            shown_.offers.insert(shown_.offers.begin(), {"to the moment that made it", moment});
        return std::move(shown_);
    }

    void operator()(const std::monostate&) {}

    void operator()(const PageSubject& page) {
        shown_.title = fmt::format("page {:08x} in {}", page.linear, space_name(page.space));
        if (!paging_.control().paging())
            return say("paging is off: linear addresses are physical ones");
        const WalkView walk = AddressSpaceReader(paging_).walk(AddressSpace(page.space), LinearAddress(page.linear));
        say(walk_text(walk));
        if (walk.present)
            mappings(walk.frame);
        translations(page.linear);
        const std::string of = fmt::format("{:#x} in {:#x}", page.linear, page.space);
        shown_.why = fmt::format("why {} {}", of, page.level == 2 ? "directory" : "entry");
        offer("to who wrote the directory's entry", fmt::format("why {} directory go", of));
        if (walk.present)
            offer("to who took the frame", fmt::format("why {} frame go", of));
        offer("break where its entry changes",
              fmt::format("break pte({:#x}, {:#x}).value changes", page.linear, page.space));
        memory(page.space, page.linear);
    }

    void operator()(const TranslationSubject& one) {
        const TlbEntry& entry = one.row.entry;
        shown_.title = fmt::format("translation of {:08x} in {}, set {}, way {}", entry.tag,
                                   tlb_array_name(one.row.array), one.row.set, one.row.way);
        say(fmt::format("leads to frame {:08x}  {}", entry.entry & kPteFrame, entry_flags_text(entry.entry)));
        say(fmt::format("filled at cycle {} by {}", entry.filled_at, place(one.space, entry.filled_by)));
        say("the tables agree: " + one.row.verdict);
        say("the present space's tables:\n" +
            walk_text(AddressSpaceReader(paging_).walk(AddressSpace(one.space), LinearAddress(entry.tag))));
        mappings(entry.entry & kPteFrame);
        offer("to who wrote the table's entry", fmt::format("why {:#x} in {:#x} entry go", entry.tag, one.space));
        offer("break where it is flushed", "break flushes");
        memory(one.space, entry.tag);
    }

    void operator()(const FaultSubject& fault) {
        const FaultRecord& record = *fault.record;
        shown_.title = fmt::format("page fault {} at {:08x}: {}", record.number, record.address,
                                   fault_class_name(record.fault_class));
        say(fmt::format("a {}'s {} {} page, error code {}",
                        (record.error_code & kFaultUser) != 0 ? "user" : "supervisor",
                        record.is_write() ? "write into" : "read of",
                        (record.error_code & kFaultProtection) != 0 ? "a protected" : "an absent", record.error_code));
        say("by " + session_.symbols().lookup_in(record.program, record.eip).text() +
            (record.pid != 0 ? fmt::format(", pid {}", record.pid) : ""));
        say("before:\n" + walk_text(record.before));
        say(record.resolved ? "after:\n" + walk_text(record.after) : "its handler has not returned to it");
        say(fmt::format("{} entries written, {} frames taken, {} copied, {} flushes, {} cycles of its own",
                        record.pte_writes, record.frames_taken.size(), record.frames_copied, record.flushes,
                        record.spent.cycles));
        for (const std::string& finding : record.findings)
            say(finding);
        offer("to behind its handler", fmt::format("goto {}", record.end_instructions));
        (*this)(PageSubject{record.address_space, record.page_address()}, "the page now:");
    }

    void operator()(const ForkSubject& fork) {
        const ForkTracer* tracer = session_.tracer();
        const ForkRecord* record = tracer != nullptr ? tracer->fork(fork.number) : nullptr;
        if (record == nullptr && tracer != nullptr && tracer->current() != nullptr)
            record = tracer->current()->number == fork.number ? tracer->current() : nullptr;
        shown_.title = fmt::format("fork {}", fork.number);
        if (record == nullptr)
            return say("it is not known here: it begins later, or was forgotten to bound memory");
        say(fmt::format("parent pid {}, directory {:08x}; child pid {}, directory {:08x}", record->parent_pid,
                        record->parent_directory, record->child_pid, record->child_directory));
        say(fmt::format("from instruction {}{}, {} cycles of its own", record->begin_instructions,
                        record->left ? fmt::format(" to {}", record->left_instructions) : "", record->spent.cycles));
        say(fmt::format("{} entries written, {} frames taken, {} shared, {} copied, {} flushes",
                        record->counts.pte_writes, record->counts.frames_allocated, record->counts.frames_shared,
                        record->counts.frames_copied, record->counts.flushes));
        say(fmt::format("{} copy-on-write faults since, {} pages still shared", record->cow_faults(),
                        record->still_shared));
        for (const std::string& finding : record->findings)
            say(finding);
        if (record->left)
            offer("to where it returned", fmt::format("goto {}", record->left_instructions));
        offer("its report", fmt::format("fork {}", fork.number));
    }

    void operator()(const StopSubject& one) {
        const ForkStop& stop = one.stop;
        const ForkStopName name = fork_stop_name(stop.id);
        shown_.title = fmt::format("fork {}, stop {}: {}", one.fork, name.number, name.name);
        say(fmt::format("stated at {}", session_.symbols().lookup_in(stop.program, stop.eip).text()));
        say(fmt::format("reached at instruction {}; {} instructions and {} cycles of its own",
                        stop.reached_instructions, stop.spent.instructions, stop.spent.cycles));
        say(fmt::format("{} entries written ({} only protected), {} frames taken, {} shared, {} copied",
                        stop.counts.pte_writes, stop.counts.pte_protects, stop.counts.frames_allocated,
                        stop.counts.frames_shared, stop.counts.frames_copied));
        say(fmt::format("{} flushes, {} translations dropped, {} loads of CR3", stop.counts.flushes,
                        stop.counts.entries_dropped, stop.counts.cr3_loads));
        offer("break at this stop", fmt::format("break stop == {}", name.number));
        offer("the fork's report", fmt::format("fork {}", one.fork));
    }

    void operator()(const WriteSubject& write) {
        const PteChange& change = write.change;
        shown_.title = fmt::format("{} entry at {:08x}, which maps {:08x}", change.level == 2 ? "directory" : "table",
                                   change.entry_address, change.linear);
        say(fmt::format("was {:08x}  {}\nis  {:08x}  {}", change.old_value, entry_flags_text(change.old_value),
                        change.new_value, entry_flags_text(change.new_value)));
        if (change.written)
            say(fmt::format("written at cycle {} by {}", change.cycle, place(change.directory, change.eip)));
        else
            say("it was there when the table became known");
        for (const u32 caller : change.callers)
            if (caller != 0)
                say("  called from " + place(change.directory, caller));
        if (change.directory != 0)
            (*this)(PageSubject{change.directory, change.linear, change.level}, "the page now:");
    }

    void operator()(const InstructionSubject& code) {
        const Location location = session_.symbols().lookup(code.space, code.address);
        shown_.title = fmt::format("{:08x}  {}", code.address, code.text);
        say(location.text());
        for (const Location& call : session_.symbols().inline_chain(
                 location.image == "kernel" ? "" : session_.symbols().program_of(code.space), code.address))
            if (call.line != 0)
                say(fmt::format("  {} at {}", call.symbol, call.source()));
        offer("run to it", fmt::format("continue until {:#x}", code.address));
        offer("break here", fmt::format("break {:#x}", code.address));
        memory(code.space, code.address);
    }

    void operator()(const LineSubject& line) {
        const std::string place = line.place();
        shown_.title = place;
        if (const auto text = session_.symbols().source_line(line.file, line.line))
            say(*text);
        const std::vector<u32> places =
            session_.symbols().places_of_line(line.program, std::string(base_name(line.file)), line.line);
        for (const u32 at : places)
            say(fmt::format("its code begins at {:08x}", at));
        if (places.empty())
            return say("no code begins on this line");
        offer("run to it", "continue until " + place);
        offer("break here", "break " + place);
    }

    void operator()(const WordSubject& word) {
        shown_.title = fmt::format("memory at {:08x} in {}", word.address, space_name(word.space));
        std::array<u8, 4> bytes{};
        const AddressSpaceReader reader(paging_);
        const bool there = paging_.control().paging()
                               ? reader.read(AddressSpace(word.space), LinearAddress(word.address), bytes)
                               : paging_.memory().read(PhysicalAddress(word.address), bytes);
        if (!there)
            return say("not mapped");
        value(word.space, bytes);
        const std::string of = fmt::format("{:#x} in {:#x}", word.address, word.space);
        shown_.why = fmt::format("why {} byte", of);
        offer("to who wrote the page's entry", fmt::format("why {} entry go", of));
        offer("break where it changes", fmt::format("break u32({:#x}) changes", word.address));
        memory(word.space, word.address);
    }

    void operator()(const PhysicalSubject& word) {
        shown_.title = fmt::format("physical memory at {:08x}", word.address);
        std::array<u8, 4> bytes{};
        if (!paging_.memory().read(PhysicalAddress(word.address), bytes))
            return say("there is no memory");
        value(space(), bytes);
        mappings(word.address & ~u64{kPageMask});
        offer("break where it is written", fmt::format("break writes({:#x}, 4)", word.address));
        offer("show the memory around it", fmt::format("show physical {:#x}", word.address));
    }

    void operator()(const RegisterSubject& one) {
        shown_.title = fmt::format("{} = {:08x}", one.name, one.value);
        say(fmt::format("{} unsigned, {} signed", one.value, static_cast<i32>(one.value)));
        if (const Location location = session_.symbols().lookup(space(), one.value); location.known())
            say("the address of " + location.text());
        offer("break where it changes", fmt::format("break {} changes", one.name));
        memory(space(), one.value);
    }

    void operator()(const FrameSubject& frame) {
        shown_.title = frame.text;
        say(place(frame.space, frame.address));
        offer("look at its variables", fmt::format("stack {}", frame.row));
        offer("show its code", fmt::format("show code {:#x}", frame.address));
    }

    void operator()(const ValueSubject& one) {
        shown_.title = one.text;
        if (one.address == 0)
            return say("it is in no memory: a register holds it, or the compiler left it out");
        shown_.why = fmt::format("why {:#x} in {:#x} byte", one.address, one.space);
        offer("break where it changes", fmt::format("break u32({:#x}) changes", one.address));
        memory(one.space, one.address);
    }

    void operator()(const ProcessSubject& process) {
        shown_.title = process.pid != 0 ? fmt::format("process {}", process.pid)
                                        : fmt::format("address space {:08x}", process.space);
        say(fmt::format("page directory {:08x}{}", process.space, process.space == space() ? ", which is loaded" : ""));
        if (const std::string program = session_.symbols().program_of(process.space); !program.empty())
            say("runs " + program);
        say(process.fork != 0
                ? fmt::format("made by fork {}, which began at instruction {}", process.fork, process.born)
                : "no fork that is known made it");
        const std::string name =
            process.pid != 0 ? fmt::format("{}", process.pid) : fmt::format("{:#x}", process.space);
        offer("follow it: its tables, its memory", "show process " + name);
        offer("run until it runs", fmt::format("continue until cr3 == {:#x}", process.space));
        offer("back to when it ran", fmt::format("reverse until cr3 == {:#x}", process.space));
        offer("its tables beside the loaded one's", fmt::format("show spaces {} {:#x}", name, space()));
    }

    void operator()(const BreakpointSubject& one) {
        shown_.title = fmt::format("breakpoint {}: {}", one.number, one.condition);
        say(fmt::format("met {} times{}", one.met, one.ignore != 0 ? fmt::format(", {} ignored", one.ignore) : ""));
        offer("on to where it is met", "continue until " + one.condition);
        offer("delete it", fmt::format("delete {}", one.number));
    }

    void operator()(const BookmarkSubject& mark) {
        shown_.title = "bookmark " + mark.name;
        say(fmt::format("instruction {}, on branch {}", mark.position.instructions, mark.branch));
        offer("delete it", fmt::format("delete {}", mark.name));
    }

    void operator()(const BranchSubject& branch) {
        shown_.title = fmt::format("branch {}", branch.id);
        say(fmt::format("from instruction {} to {}{}", branch.from, branch.end,
                        branch.parent != 0 ? fmt::format(", parts from branch {}", branch.parent) : ""));
        offer("forget it", fmt::format("drop {}", branch.id));
    }

    void operator()(const EventSubject& one) {
        const TraceEvent& event = one.event;
        shown_.title = fmt::format("{} at instruction {}, cycle {}", trace_kind_info(event.kind).name,
                                   event.instructions, event.cycle);
        say(trace_event_line(event));
        say("by " + place(event.address_space, event.eip));
        if (event.kind == TraceKind::PteWrite || event.kind == TraceKind::AccessedDirty)
            offer("break where it is written again", fmt::format("break writes({:#x}, 4)", event.a));
        if (event.kind == TraceKind::PageFault)
            (*this)(PageSubject{event.address_space, static_cast<u32>(event.a) & ~kPageMask}, "the page now:");
    }

  private:
    void say(const std::string& text) {
        for (std::size_t at = 0; at <= text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            shown_.lines.push_back(text.substr(at, end - at));
            at = end + 1;
        }
    }
    void offer(std::string what, std::string command) {
        shown_.offers.push_back({std::move(what), std::move(command)});
    }
    void memory(u32 space, u32 address) {
        offer("show the memory there", fmt::format("show memory {:#x} in {:#x}", address, space));
    }

    // What belongs to a page besides, under a heading.
    void operator()(const PageSubject& page, const std::string& heading) {
        const std::string title = std::move(shown_.title);
        say(heading);
        (*this)(page);
        shown_.title = title;
    }

    u32 space() const { return paging_.control().space_of(session_.machine().registers().cr3).root; }

    std::string place(u32 space, u32 address) const { return session_.symbols().lookup(space, address).text(); }

    std::string space_name(u32 space) const {
        const u32 pid = session_.tracer() != nullptr ? session_.tracer()->context().pid_of(space) : 0;
        return pid != 0 ? fmt::format("pid {} ({:08x})", pid, space) : fmt::format("{:08x}", space);
    }

    void mappings(u64 frame) {
        if (session_.tracer() == nullptr)
            return;
        const auto all = session_.tracer()->tables().owners().mappings(PhysicalAddress(frame));
        say(fmt::format("frame {:08x} is mapped by {} {}", frame, all.size(), all.size() == 1 ? "entry" : "entries"));
        for (std::size_t i = 0; i < std::min(all.size(), kMostMappings); ++i)
            say(fmt::format("  {:08x} in {}, {}{}", all[i].linear.value, space_name(all[i].space.root),
                            rights_text(kPtePresent | all[i].rights), all[i].window ? ", a window on tables" : ""));
        if (all.size() > kMostMappings)
            say(fmt::format("  and {} more", all.size() - kMostMappings));
    }

    void translations(u32 linear) {
        for (const TlbRow& row : tlb_view(session_.machine().mmu()).rows) {
            const u32 bytes = Tlb::is_large(row.array) ? paging_.control().geometry().large_bytes() : kPageSize;
            if (row.entry.tag == (linear & ~(bytes - 1)))
                say(fmt::format("TLB {}: frame {:08x} {}; the tables agree: {}", tlb_array_name(row.array),
                                row.entry.entry & kPteFrame, entry_flags_text(row.entry.entry), row.verdict));
        }
    }

    void value(u32 space, const std::array<u8, 4>& bytes) {
        u32 number = 0;
        std::string letters;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            number |= u32{bytes[i]} << (8 * i);
            letters += bytes[i] >= 0x20 && bytes[i] < 0x7F ? static_cast<char>(bytes[i]) : '.';
        }
        say(fmt::format("{:08x}, {}, \"{}\"", number, number, letters));
        if (const Location location = session_.symbols().lookup(space, number); location.known())
            say("the address of " + location.text());
    }

    Session& session_;
    const PagingState& paging_;
    Inspection shown_;
};

} // namespace

std::string Inspection::text() const {
    std::string text;
    for (const std::string& line : lines)
        text += (text.empty() ? "" : "\n") + line;
    return text;
}

Inspection inspect(const Subject& subject, Session& session) { return Inspector(session).take(subject); }

} // namespace forkscope
