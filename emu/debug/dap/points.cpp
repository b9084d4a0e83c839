#include "emu/debug/dap/points.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "emu/debug/dap/arguments.hpp"
#include "emu/symbols/elf_lines.hpp"
#include "emu/symbols/line_places.hpp"

namespace forkscope {

namespace {

using Json = nlohmann::json;

struct Filter {
    std::string_view name, label, condition;
};
constexpr Filter kFilters[] = {
    {"stop", "Stops of fork", "stop"},
    {"fault", "Page faults", "fault"},
    {"entry", "Stores into page tables", "entries"},
    {"flush", "TLB flushes", "flushes"},
    {"syscall", "System calls", "syscall"},
    {"switch", "Switches of address space", "switch"},
};

std::string_view last_part(std::string_view path) {
    const std::size_t slash = path.find_last_of("/\\");
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// How many names two paths have in common at their ends.
u32 common_names(std::string_view a, std::string_view b) {
    u32 count = 0;
    while (!a.empty() && !b.empty() && last_part(a) == last_part(b)) {
        ++count;
        const std::size_t left = last_part(a).size() + 1;
        a.remove_suffix(std::min(left, a.size()));
        b.remove_suffix(std::min(left, b.size()));
    }
    return count;
}

// "3", or ">= 3" and the like, which stop from the third time on: so many are passed over.
u64 times_ignored(const std::string& hits) {
    const std::size_t digit = hits.find_first_of("0123456789");
    u64 count = 0;
    if (digit != std::string::npos)
        std::from_chars(hits.data() + digit, hits.data() + hits.size(), count);
    return hits.find_first_of(">") != std::string::npos && hits.find('=') == std::string::npos ? count
           : count != 0                                                                        ? count - 1
                                                                                               : 0;
}

Json all_of(std::vector<Json> points) { return {{"breakpoints", std::move(points)}}; }

std::string any_of_addresses(const std::vector<u32>& addresses) {
    std::string text;
    for (const u32 address : addresses)
        text += fmt::format("{}{:#x}", text.empty() ? "" : " || ", address);
    return text;
}

} // namespace

Json DapPoints::filters() {
    Json all = Json::array();
    for (const Filter& one : kFilters)
        all.push_back({{"filter", one.name},
                       {"label", one.label},
                       {"description", fmt::format("Stop at each, as 'break {}' does", one.condition)},
                       {"supportsCondition", true},
                       {"conditionDescription", "a condition (docs/conditions.md) that has to hold besides"}});
    return all;
}

void DapPoints::clear(const std::string& group) {
    for (const Point& point : groups_[group])
        stepper_.remove_breakpoint(point.number);
    groups_[group].clear();
}

Json DapPoints::add(const std::string& group, const Json& wanted, const std::string& condition, Point point) {
    constexpr std::size_t kMost = 1024;
    Json answer{{"verified", false}};
    std::string whole = condition;
    if (const std::string besides = text_of(wanted, "condition"); !besides.empty())
        whole = fmt::format("({}) && ({})", condition, besides);
    std::size_t count = 0;
    for (const auto& [name, points] : groups_)
        count += points.size();
    const auto number = count < kMost ? stepper_.add_breakpoint(whole, times_ignored(text_of(wanted, "hitCondition")))
                                      : Result<u32>(Error{fmt::format("there are {} breakpoints already", kMost)});
    if (!number.ok()) {
        answer["message"] = number.error().message;
        return answer;
    }
    point.number = *number;
    answer["verified"] = true;
    answer["id"] = *number;
    if (!point.addresses.empty())
        answer["instructionReference"] = fmt::format("0x{:x}", point.addresses.front());
    groups_[group].push_back(std::move(point));
    return answer;
}

// Of all images the one that has the file whose path ends most like the client's, the kernel first.
std::optional<DapPoints::Lines> DapPoints::image_with(const std::string& path) const {
    const Symbolizer& symbols = stepper_.session().symbols();
    std::optional<Lines> best;
    u32 most = 0;
    const auto look = [&](const ElfImage* image, const std::string& program) {
        if (image == nullptr)
            return;
        for (const std::string& file : image->line_table().files)
            if (const u32 common = common_names(file, path); common > most) {
                most = common;
                best = Lines{image, program, file};
            }
    };
    for (const ElfImage* image : symbols.images_for(0))
        look(image, "");
    for (const auto& [name, image] : symbols.programs())
        look(image.get(), name);
    return best;
}

Json DapPoints::set_source(const Json& arguments) {
    const Json& source = member_of(arguments, "source");
    std::string path = text_of(source, "path");
    if (path.empty())
        path = text_of(source, "name");
    const std::string group = "source " + path;
    clear(group);
    const auto lines = image_with(path);
    std::vector<Json> answers;
    for (const Json& wanted : list_of(arguments, "breakpoints")) {
        const auto line = static_cast<u32>(std::clamp<i64>(number_of(wanted, "line"), 0, 1 << 30));
        const LinePlaces places = lines ? places_of_line(*lines->image, lines->file, line) : LinePlaces{};
        if (places.addresses.empty()) {
            answers.push_back({{"verified", false},
                               {"line", line},
                               {"message", lines ? "no code comes from this line or a later one"
                                                 : fmt::format("no image has code of a file '{}'", last_part(path))}});
            continue;
        }
        const bool program = !lines->program.empty(); // its addresses mean others' code elsewhere
        const std::string condition = program
                                          ? fmt::format("{}:{}:{}", lines->program, last_part(lines->file), places.line)
                                          : any_of_addresses(places.addresses);
        Json answer = add(group, wanted, condition, {0, "breakpoint", places.addresses});
        answer["line"] = places.line;
        answers.push_back(std::move(answer));
    }
    return all_of(std::move(answers));
}

// Any condition is taken: a function's name is one.
Json DapPoints::set_functions(const Json& arguments) {
    clear("functions");
    std::vector<Json> answers;
    for (const Json& wanted : list_of(arguments, "breakpoints")) {
        const std::string name = text_of(wanted, "name");
        answers.push_back(
            add("functions", wanted, name, {0, "function breakpoint", stepper_.session().symbols().places_of(name)}));
    }
    return all_of(std::move(answers));
}

Json DapPoints::set_instructions(const Json& arguments) {
    clear("instructions");
    std::vector<Json> answers;
    for (const Json& wanted : list_of(arguments, "breakpoints")) {
        const auto base = address_of_reference(text_of(wanted, "instructionReference"));
        const u32 address = base.value_or(0) + static_cast<u32>(number_of(wanted, "offset"));
        answers.push_back(
            base ? add("instructions", wanted, fmt::format("{:#x}", address), {0, "instruction breakpoint", {address}})
                 : Json{{"verified", false}, {"message", "instructionReference is no address"}});
    }
    return all_of(std::move(answers));
}

// A dataId is the condition itself: the adapter made it.
Json DapPoints::set_data(const Json& arguments) {
    clear("data");
    std::vector<Json> answers;
    for (const Json& wanted : list_of(arguments, "breakpoints"))
        answers.push_back(add("data", wanted, text_of(wanted, "dataId"), {0, "data breakpoint", {}}));
    return all_of(std::move(answers));
}

Json DapPoints::set_filters(const Json& arguments) {
    clear("filters");
    std::vector<Json> answers;
    const auto add_filter = [&](const std::string& name, const Json& wanted) {
        const auto* const at =
            std::find_if(std::begin(kFilters), std::end(kFilters), [&](const Filter& one) { return one.name == name; });
        answers.push_back(at != std::end(kFilters)
                              ? add("filters", wanted, std::string(at->condition), {0, "exception", {}})
                              : Json{{"verified", false}, {"message", fmt::format("there is no filter '{}'", name)}});
    };
    for (const std::string& name : texts_of(arguments, "filters"))
        add_filter(name, Json::object());
    for (const Json& wanted : list_of(arguments, "filterOptions"))
        add_filter(text_of(wanted, "filterId"), wanted);
    return all_of(std::move(answers));
}

Json DapPoints::lines_with_code(const Json& arguments) const {
    const std::string path = text_of(member_of(arguments, "source"), "path");
    const i64 first = number_of(arguments, "line");
    const i64 last = number_of(arguments, "endLine", first);
    std::set<u32> lines;
    if (const auto where = image_with(path)) {
        const LineTable& table = where->image->line_table();
        for (const LineRow& row : table.rows)
            if (!row.end && row.statement && row.line >= first && row.line <= last && row.line != 0 &&
                table.files[row.file] == where->file)
                lines.insert(row.line);
    }
    Json all = Json::array();
    for (const u32 line : lines)
        all.push_back({{"line", line}});
    return {{"breakpoints", std::move(all)}};
}

// Forwards the session knows whom it was; backwards the place alone tells.
DapPoints::Met DapPoints::met() const {
    Met met;
    Session& session = stepper_.session();
    const u32 here = session.machine().cpu().linear_eip();
    const auto told = session.stops().met();
    for (const auto& [group, points] : groups_)
        for (const Point& point : points) {
            const auto one = std::find_if(stepper_.breakpoints().begin(), stepper_.breakpoints().end(),
                                          [&](const StepBreakpoint& other) { return other.number == point.number; });
            const bool by_number = one != stepper_.breakpoints().end() &&
                                   std::any_of(told.begin(), told.end(), [&](const StopConditions::Met& condition) {
                                       return condition.number == one->waits_as;
                                   });
            const bool by_place = std::count(point.addresses.begin(), point.addresses.end(), here) != 0;
            if (!(point.addresses.empty() ? by_number : by_place))
                continue;
            met.numbers.push_back(point.number);
            met.reason = met.reason.empty() ? point.reason : met.reason;
        }
    return met;
}

} // namespace forkscope
