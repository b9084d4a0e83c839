#include "emu/report/text_writer.hpp"

#include <algorithm>

#include "emu/base/assert.hpp"
#include "emu/report/report_text.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kLabelWidth = 15;
constexpr std::size_t kRuleWidth = 60;

class TextWriter {
  public:
    explicit TextWriter(const Document& document) : document_(document) {}

    std::string text() {
        for (const Section& section : document_.sections) {
            if (!section.title.empty())
                line("\n" + section.title);
            for (const auto& block : section.blocks)
                std::visit([this](const auto& one) { write(one); }, block);
        }
        return std::move(out_);
    }

  private:
    void line(std::string text) {
        text.erase(text.find_last_not_of(' ') + 1);
        out_ += text + "\n";
    }

    std::string resolved(std::string_view pattern) const {
        std::string text;
        for (std::size_t at = 0; at < pattern.size();) {
            const std::size_t open = std::min(pattern.find('{', at), pattern.size());
            text += pattern.substr(at, open - at);
            if (open == pattern.size())
                break;
            const std::size_t close = pattern.find('}', open);
            EMU_ASSERT(close != std::string_view::npos, "the pattern '{}' has no end", pattern);
            text += cell_text(document_.at(pattern.substr(open + 1, close - open - 1)));
            at = close + 1;
        }
        return text;
    }

    void write(const Line& one) {
        const std::string indent = one.place == Line::Place::Indented ? "  " : "";
        const std::string label = one.label.empty() ? "" : fmt::format("{:<{}}", one.label, kLabelWidth);
        line(indent + label + resolved(one.pattern));
    }

    static std::string laid_out(const Column& column, const std::string& text) {
        if (column.align == Column::Align::Right)
            return column.lead + fmt::format("{:>{}}", text, column.width);
        return column.lead + fmt::format("{:<{}}", text, column.width);
    }

    void write(const Table& table) {
        const Rows& rows = document_.at(table.rows).rows();
        std::string titles;
        bool titled = false;
        for (const Column& column : table.columns) {
            if (column.align == Column::Align::Below)
                continue;
            titles += laid_out(column, column.title);
            titled = titled || !column.title.empty();
        }
        if (titled)
            line(std::string(table.indent) + titles);
        const std::size_t shown = std::min(rows.size(), table.most_rows);
        for (std::size_t i = 0; i < shown; ++i)
            write_row(table, rows[i]);
        if (shown < rows.size())
            line(fmt::format("  … {} more rows; --json has them all", rows.size() - shown));
    }

    void write_row(const Table& table, const Object& row) {
        if (row.members().empty())
            return line("  " + std::string(kRuleWidth, '-'));
        std::string text(table.indent);
        std::string below;
        for (const Column& column : table.columns) {
            const Cell* cell = row.find(column.key);
            std::string value = cell == nullptr ? "" : cell_text(*cell);
            if (column.most != 0)
                value = shortened(std::move(value), column.most);
            if (column.align != Column::Align::Below)
                text += laid_out(column, value);
            else if (!value.empty())
                below = std::string(table.indent) + column.lead + value;
        }
        line(std::move(text));
        if (!below.empty())
            line(std::move(below));
    }

    void write(const Sentences& sentences) {
        const std::vector<Cell>& list = document_.at(sentences.list).values();
        for (const Cell& sentence : list)
            out_ += wrapped(cell_text(sentence), sentences.width);
        if (list.empty())
            line("  " + std::string(sentences.empty));
    }

    // Breaks a sentence into lines: "  ! it says that", "    and goes on".
    static std::string wrapped(const std::string& text, std::size_t width) {
        std::string out;
        std::string line = "  ! ";
        bool fresh = true;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find(' ', at), text.size());
            const std::string word = text.substr(at, end - at);
            if (!fresh && line.size() + 1 + word.size() > width) {
                out += line + "\n";
                line = "    ";
                fresh = true;
            }
            line += (fresh ? "" : " ") + word;
            fresh = false;
            at = end + 1;
        }
        return out + line + "\n";
    }

    const Document& document_;
    std::string out_;
};

} // namespace

std::string document_text(const Document& document) { return TextWriter(document).text(); }

} // namespace forkscope
