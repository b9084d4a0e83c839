#include "emu/report/document.hpp"

#include <charconv>

#include "emu/base/assert.hpp"
#include "emu/base/text/printable.hpp"
#include "emu/report/report_text.hpp"

namespace forkscope {

namespace {

constexpr const char* kAbsent = "-";

// Sums of many forks grow long: from ten millions on, thousands are enough.
std::string summed(u64 value) {
    constexpr u64 kLong = 10'000'000;
    return value >= kLong ? grouped((value + 500) / 1000) + "k" : grouped(value);
}

// With a tenth where the number is small enough for it to matter.
std::string tenths(u64 sum, u64 of) {
    constexpr u64 kSmall = 1000;
    if (of == 0)
        return kAbsent;
    if (sum / of >= kSmall)
        return summed((sum + of / 2) / of);
    const u64 scaled = (sum * 10 + of / 2) / of;
    return scaled % 10 == 0 ? grouped(scaled / 10) : fmt::format("{}.{}", grouped(scaled / 10), scaled % 10);
}

} // namespace

Cell Cell::structure(Object value) { return {Kind::Structure, std::make_shared<const Object>(std::move(value))}; }
Cell Cell::table(Rows rows) { return {Kind::Table, std::make_shared<const Rows>(std::move(rows))}; }
Cell Cell::list(std::vector<Cell> values) {
    return {Kind::List, std::make_shared<const std::vector<Cell>>(std::move(values))};
}

std::string cell_text(const Cell& cell) {
    switch (cell.kind()) {
    case Cell::Kind::Absent:
        return kAbsent;
    case Cell::Kind::Text:
        return printable_line(cell.string());
    case Cell::Kind::Flag:
        return cell.value() != 0 ? "yes" : "no";
    case Cell::Kind::Number:
        return std::to_string(cell.value());
    case Cell::Kind::Signed:
        return std::to_string(static_cast<i64>(cell.value()));
    case Cell::Kind::Count:
        return grouped(cell.value());
    case Cell::Kind::Address:
        return fmt::format("{:08x}", cell.value());
    case Cell::Kind::Word:
        return fmt::format("{:#010x}", cell.value());
    case Cell::Kind::Mean:
        return tenths(cell.pair()[0], cell.pair()[1]);
    case Cell::Kind::SumAndMean:
        return summed(cell.pair()[0]) + " / " + tenths(cell.pair()[0], cell.pair()[1]);
    case Cell::Kind::Structure:
    case Cell::Kind::Table:
    case Cell::Kind::List:
        break;
    }
    EMU_ASSERT(false, "an array or an object has no text of its own");
    return {};
}

const Cell* Object::find(std::string_view path) const {
    const std::size_t dot = path.find('.');
    for (const Member& member : members_) {
        if (member.key != path.substr(0, dot))
            continue;
        if (dot == std::string_view::npos)
            return &member.cell;
        const std::string_view rest = path.substr(dot + 1);
        if (member.cell.kind() == Cell::Kind::Structure)
            return member.cell.object().find(rest);
        std::size_t index = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), index);
        const bool element = member.cell.kind() == Cell::Kind::List && error == std::errc{} &&
                             end == rest.data() + rest.size() && index < member.cell.values().size();
        return element ? &member.cell.values()[index] : nullptr;
    }
    return nullptr;
}

const Cell& Document::at(std::string_view path) const {
    const Cell* cell = data.find(path);
    if (cell == nullptr)
        cell = shown.find(path);
    EMU_ASSERT(cell != nullptr, "a report's layout names '{}', which the report does not hold", path);
    return *cell;
}

} // namespace forkscope
