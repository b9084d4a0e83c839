#include <algorithm>
#include <cmath>

#include "emu/base/log.hpp"
#include "emu/report/report_text.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

constexpr int kLeastLabelColumns = 19;
constexpr float kLeastRow = 15, kMostRow = 24;

struct LegendEntry {
    Colour colour;
    const char* text;
};
constexpr std::array<LegendEntry, 6> kLegend = {{{kAbsent, "absent"},
                                                 {kPrivate, "private"},
                                                 {kSharedReadOnly, "shared read-only"},
                                                 {kSharedWritable, "shared writable"},
                                                 {kKernel, "supervisor"},
                                                 {kWindowEntry, "window on tables"}}};

// Where the cells of both sides lie.
struct MapLayout {
    std::array<float, 2> left{};
    float pitch = 5;
    int label_columns = kLeastLabelColumns;
    float row = kLeastRow;
};

MapLayout map_layout() {
    const ImVec2 start = ImGui::GetCursorScreenPos();
    const float room = ImGui::GetContentRegionAvail().x - 2 * kLetter;
    MapLayout layout;
    layout.pitch = std::max(2.0f, std::floor((room - kLeastLabelColumns * kLetter) / (2 * kRowPages)));
    layout.label_columns = static_cast<int>((room - 2 * kRowPages * layout.pitch) / kLetter);
    layout.left[0] = start.x + room - 2 * kRowPages * layout.pitch;
    layout.left[1] = layout.left[0] + layout.pitch * kRowPages + 2 * kLetter;
    return layout;
}

void draw_legend(const TablesView& tables, Touch& touch) {
    TextLine line(touch);
    const ImVec2 start = ImGui::GetCursorScreenPos();
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    int column = 0;
    const auto swatch = [&](Colour colour) {
        const float x = start.x + static_cast<float>(column) * kLetter;
        draw.AddRectFilled({x, start.y + 3}, {x + 10, start.y + 12}, colour);
        return x;
    };
    for (const LegendEntry& entry : kLegend) {
        swatch(entry.colour);
        line.put(column + 2, kText, entry.text);
        column += static_cast<int>(letter_count(entry.text)) + 4;
    }
    const float x = swatch(kAbsent);
    draw.AddRectFilled({x, start.y + 13}, {x + 10, start.y + 15}, kWritten);
    line.put(column + 2, kText, fmt::format("just written ({})", tables.written_now),
             static_cast<std::size_t>(std::max(1, columns_left() - column - 2)));
    line.end();
}

void draw_sides(const TablesView& tables, const MapLayout& layout, const Fonts& fonts) {
    const ImVec2 start = ImGui::GetCursorScreenPos();
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    const auto letters = static_cast<std::size_t>(layout.pitch * kRowPages / kLetter);
    for (std::size_t number = 0; number < 2; ++number) {
        const SpaceView& side = tables.sides[number];
        const std::string title =
            tables.fork != 0 || tables.chosen ? fmt::format("{}: {}", tables.names[number], side.title) : side.title;
        draw.AddText(fonts.bold, kFontSize, {layout.left[number], start.y}, side.present ? kTitle : kDim,
                     fitted(title, letters).c_str());
        if (!side.present)
            continue;
        const auto of = [&](PageState state) { return side.pages[static_cast<std::size_t>(state)]; };
        const std::string counts =
            fmt::format("cr3 {:08x}   {} private, {} shared", side.table.space().root, of(PageState::Private),
                        of(PageState::SharedReadOnly) + of(PageState::SharedWritable));
        draw.AddText({layout.left[number], start.y + kLine}, kDim, fitted(counts, letters).c_str());
    }
    ImGui::Dummy({1, 2 * kLine + 2});
}

void show_page(const MapRow& row, u32 index, const SpaceView& side, std::size_t number, const std::string& name) {
    const u32 linear = row.linear + (index << (row.supervisor ? 22 : kPageShift));
    const PageEntry* entry = side.table.find(linear);
    if (entry == nullptr) {
        ImGui::SetTooltip("%s %08x: absent", name.c_str(), linear);
        return;
    }
    std::string bits;
    constexpr std::array<std::pair<u32, const char*>, 7> kBits = {{{kPtePresent, "P"},
                                                                   {kPteWritable, "W"},
                                                                   {kPteUser, "U"},
                                                                   {kPteAccessed, "A"},
                                                                   {kPteDirty, "D"},
                                                                   {kPteLarge, "PS"},
                                                                   {kPteGlobal, "G"}}};
    for (const auto& [bit, letter] : kBits)
        if ((entry->entry & bit) != 0)
            bits.append(bits.empty() ? "" : " ").append(letter);
    const std::string text = fmt::format(
        "{} {:08x}: {}{}\nentry {:08x} at {:08x}: {}\nframe {:08x}, {} as both levels grant", name, linear,
        page_state_name(entry->state), row.cells[number][index].written ? ", written at this stop" : "", entry->entry,
        entry->entry_address, bits, entry->physical, rights_text(kPtePresent | entry->rights));
    ImGui::SetTooltip("%s", text.c_str());
}

void draw_cells(const MapRow& row, std::size_t number, const MapLayout& layout, float y) {
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    const float gap = layout.pitch >= 4 ? 1 : 0;
    for (u32 i = 0; i < kRowPages; ++i) {
        const PageCell& cell = row.cells[number][i];
        const float x = layout.left[number] + layout.pitch * static_cast<float>(i);
        draw.AddRectFilled({x, y + 1}, {x + layout.pitch - gap, y + layout.row - 4}, colour_of(cell.state));
        if (cell.written)
            draw.AddRectFilled({x, y + layout.row - 3}, {x + layout.pitch - gap, y + layout.row - 1}, kWritten);
    }
}

// The cell under the mouse reacts; the row as a whole is text.
void touch_cells(const TablesView& tables, const MapRow& row, const MapLayout& layout, ImVec2 start, bool hovered,
                 Touch& touch) {
    const float mouse = ImGui::GetIO().MousePos.x;
    for (std::size_t number = 0; number < 2 && hovered; ++number) {
        const float offset = (mouse - layout.left[number]) / layout.pitch;
        if (!tables.sides[number].present || offset < 0 || offset >= static_cast<float>(kRowPages))
            continue;
        const auto cell = static_cast<u32>(offset);
        const float x = layout.left[number] + layout.pitch * static_cast<float>(cell);
        const u32 linear = row.linear + (cell << (row.supervisor ? 22 : kPageShift));
        touch.row(tables.subject(row, cell, number),
                  fmt::format("{} {:08x} {}", tables.names[number], linear, row.name), {x - 1, start.y},
                  {x + layout.pitch, start.y + layout.row}, true);
        return show_page(row, cell, tables.sides[number], number, tables.names[number]);
    }
    touch.row({}, fmt::format("{:08x} {}", row.linear, row.name), start,
              {layout.left[0] - kLetter, start.y + layout.row}, hovered && mouse < layout.left[0]);
}

void draw_row(const TablesView& tables, const MapRow& row, const MapLayout& layout, Touch& touch) {
    const ImVec2 start = ImGui::GetCursorScreenPos();
    ImGui::SetCursorScreenPos({start.x, start.y + std::floor((layout.row - kLine) / 2)});
    TextLine label(touch);
    label.put(0, kText, fmt::format("{:08x}", row.linear));
    label.put(9, kDim, row.name, static_cast<std::size_t>(layout.label_columns - 10));
    ImGui::SetCursorScreenPos(start);
    for (std::size_t number = 0; number < 2; ++number)
        if (tables.sides[number].present)
            draw_cells(row, number, layout, start.y);
    ImGui::Dummy({std::max(1.0f, ImGui::GetContentRegionAvail().x), layout.row});
    touch_cells(tables, row, layout, start, ImGui::IsItemHovered(), touch);
}

void draw_ranges(const TablesView& tables, Touch& touch) {
    dim_line(touch,
             fmt::format("range              pages region   {:<6} {:<5} frames", tables.names[0], tables.names[1]));
    begin_rows();
    for (const RangeRow& row : tables.ranges) {
        TextLine line(touch);
        line.put(0, kText, fmt::format("{:08x}–{:08x}", row.start, row.end - 1));
        line.right(24, kText, grouped((row.end - row.start) / kPageSize)).put(25, kDim, row.name, 9);
        for (std::size_t number = 0; number < 2; ++number)
            line.put(34 + 7 * static_cast<int>(number),
                     row.states[number] == PageState::Absent ? kDim : colour_of(row.states[number]),
                     row.states[number] == PageState::Absent ? "–" : rights_text(row.flags[number]));
        const bool both = row.states[0] != PageState::Absent && row.states[1] != PageState::Absent;
        line.put(47, kDim, !both ? "" : row.same_frames ? "same" : "differ");
        line.end(row.subject());
    }
    ImGui::EndChild();
}

std::string entry_text(u64 entry) {
    if (entry == 0)
        return "–";
    return (entry & kPtePresent) == 0
               ? "mark" // the kernel's own, absent for the hardware
               : fmt::format("{:05x} {}", (entry & kPteFrame) >> kPageShift, rights_text(static_cast<u32>(entry)));
}

void draw_writes(const TablesView& tables, Touch& touch) {
    TextLine head(touch);
    head.put(0, kDim, "side   maps      was         now        stop by");
    head.end();
    const int columns = row_columns();
    begin_rows();
    for (const WriteRow& row : tables.writes) {
        const PteChange& change = row.change;
        TextLine line(touch);
        line.put(0, kDim, row.side == ForkSide::Unknown ? "?" : fork_side_name(row.side));
        line.put(7, kText, fmt::format("{:08x}", change.linear)).put(15, kDim, change.level == 2 ? "▾" : " ");
        line.put(17, kDim, entry_text(change.old_value))
            .put(27, kDim, "→")
            .put(29, kText, entry_text(change.new_value));
        line.put(40, kDim, row.stop);
        line.put(45, kAccent, row.name, static_cast<std::size_t>(std::max(1, columns - 45)));
        if (line.end(row.subject()))
            ImGui::SetTooltip("%s entry at %08x: %08llx → %08llx\ncycle %s, by the instruction at %08x",
                              change.level == 2 ? "directory" : "table", change.entry_address,
                              static_cast<unsigned long long>(change.old_value),
                              static_cast<unsigned long long>(change.new_value), grouped(change.cycle).c_str(),
                              change.eip);
    }
    if (tables.writes.empty())
        dim_line(touch, tables.trimmed ? "list dropped to bound memory" : "none");
    ImGui::EndChild();
}

} // namespace

void draw_tables(const TablesView& tables, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, tables.note);
    draw_legend(tables, touch);
    ImGui::Dummy({1, 3});
    MapLayout layout = map_layout();
    draw_sides(tables, layout, fonts);
    const ImVec2 room = ImGui::GetContentRegionAvail();
    const float lists = std::min(12 * kLine, room.y * 0.45f);
    const float rows = static_cast<float>(std::max<std::size_t>(1, tables.rows.size()));
    layout.row = std::clamp(std::floor((room.y - lists) / rows), kLeastRow, kMostRow);
    const float map_height = std::min(rows * layout.row + 4, room.y - lists);
    ImGui::BeginChild("map", {room.x, map_height});
    for (const MapRow& row : tables.rows)
        draw_row(tables, row, layout, touch);
    ImGui::EndChild();
    const ImVec2 below = ImGui::GetCursorScreenPos();
    ImGui::GetWindowDrawList()->AddRectFilled({below.x, below.y + 3}, {below.x + room.x, below.y + 4}, kBorder);
    const float half = 53 * kLetter;
    ImGui::SetCursorScreenPos({below.x, below.y + 8});
    ImGui::BeginChild("ranges", {half + 10, 0});
    draw_ranges(tables, touch);
    ImGui::EndChild();
    ImGui::SetCursorScreenPos({below.x + half + 16, below.y + 8});
    ImGui::BeginChild("writes");
    draw_writes(tables, touch);
    ImGui::EndChild();
}

} // namespace forkscope::ui
