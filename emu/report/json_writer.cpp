#include "emu/report/json_writer.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "emu/base/text/printable.hpp"

namespace forkscope {

namespace {

class JsonWriter {
  public:
    void write(const Object& object) {
        begin('{');
        for (const Object::Member& member : object.members()) {
            next();
            quote(member.key);
            out_ += ": ";
            write(member.cell);
        }
        end('}', object.members().empty());
    }
    std::string take() { return std::move(out_) + "\n"; }

  private:
    void write(const Cell& cell);
    void write(const Rows& rows);
    void write(const std::vector<Cell>& values);
    void quote(std::string_view text);

    void begin(char bracket) {
        out_ += bracket;
        first_ = true;
        ++depth_;
    }
    void end(char bracket, bool empty) {
        --depth_;
        if (!empty)
            new_line();
        out_ += bracket;
        first_ = false;
    }
    // Before a member or an element.
    void next() {
        if (!first_)
            out_ += one_line_ ? ", " : ",";
        new_line();
        first_ = false;
    }
    void new_line() {
        if (!one_line_)
            out_ += "\n" + std::string(depth_ * 2, ' ');
    }

    std::string out_;
    std::size_t depth_ = 0;
    bool first_ = true;
    bool one_line_ = false;
};

void JsonWriter::quote(std::string_view text) {
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
        const char letter = text[at];
        const std::size_t length = utf8_length(text, at);
        if (letter == '"' || letter == '\\')
            out_ += {'\\', letter};
        else if (letter == '\n')
            out_ += "\\n";
        else if (letter == '\t')
            out_ += "\\t";
        else if (length != 0 && steers_terminal(text.substr(at, length)))
            out_ += fmt::format("\\u{:04x}", static_cast<u8>(text[at + length - 1])); // of C1, too, the second byte
        else if (length == 0)
            out_ += "\\ufffd";
        else
            out_ += text.substr(at, length);
        at += length == 0 ? 1 : length;
    }
    out_ += '"';
}

void JsonWriter::write(const Cell& cell) {
    switch (cell.kind()) {
    case Cell::Kind::Absent:
        out_ += "null";
        break;
    case Cell::Kind::Text:
        quote(cell.string());
        break;
    case Cell::Kind::Flag:
        out_ += cell.value() != 0 ? "true" : "false";
        break;
    case Cell::Kind::Number:
    case Cell::Kind::Count:
        out_ += std::to_string(cell.value());
        break;
    case Cell::Kind::Signed:
        out_ += std::to_string(static_cast<i64>(cell.value()));
        break;
    case Cell::Kind::Address:
    case Cell::Kind::Word:
        out_ += fmt::format("\"{:#010x}\"", cell.value());
        break;
    case Cell::Kind::Mean:
    case Cell::Kind::SumAndMean:
        out_ += std::to_string(cell.pair()[0]);
        break;
    case Cell::Kind::Structure:
        write(cell.object());
        break;
    case Cell::Kind::Table:
        write(cell.rows());
        break;
    case Cell::Kind::List:
        write(cell.values());
        break;
    }
}

// A row stands on a line of its own, unless it holds rows.
void JsonWriter::write(const Rows& rows) {
    begin('[');
    for (const Object& row : rows) {
        next();
        const auto& members = row.members();
        const bool simple = std::none_of(members.begin(), members.end(), [](const Object::Member& member) {
            return member.cell.kind() == Cell::Kind::Table;
        });
        const bool before = std::exchange(one_line_, one_line_ || simple);
        write(row);
        one_line_ = before;
    }
    end(']', rows.empty());
}

void JsonWriter::write(const std::vector<Cell>& values) {
    begin('[');
    for (const Cell& value : values) {
        next();
        write(value);
    }
    end(']', values.empty());
}

} // namespace

std::string document_json(const Document& document) {
    JsonWriter json;
    json.write(document.data);
    return json.take();
}

} // namespace forkscope
