// Owns: Document, a report as data: what is known, by key, and how people read it.
// Callers: the reports of this room fill one in; writers (text, JSON) put it on paper and know of no report. Promises:
// each fact stands once, the layout names it by its key; patterns are literals, guest text is always a value.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

class Cell;
class Object;
using Rows = std::vector<Object>; // an array of objects

// One value with its type, which decides how it is written.
class Cell {
  public:
    enum class Kind : u8 {
        Absent,     // known not to be there: "-", null
        Text,       //
        Flag,       // yes or no
        Number,     // an identifier, a level, a small number: 4711
        Signed,     // the same with a sign
        Count,      // an amount or cycles: 4,711
        Address,    // linear: eight digits
        Word,       // a physical address, a register, a table entry: eight digits or more behind 0x
        Mean,       // a sum over so many, with a tenth
        SumAndMean, // both
        Structure,  // an object
        Table,      // an array of objects
        List,       // an array of values
    };

    Cell() = default;
    static Cell text(std::string value) { return {Kind::Text, std::move(value)}; }
    static Cell flag(bool value) { return {Kind::Flag, u64{value}}; }
    static Cell number(u64 value) { return {Kind::Number, value}; }
    static Cell signed_number(i64 value) { return {Kind::Signed, static_cast<u64>(value)}; }
    static Cell count(u64 value) { return {Kind::Count, value}; }
    static Cell address(u64 value) { return {Kind::Address, value}; }
    static Cell word(u64 value) { return {Kind::Word, value}; }
    static Cell mean(u64 sum, u64 of) { return {Kind::Mean, std::array{sum, of}}; }
    static Cell sum_and_mean(u64 sum, u64 of) { return {Kind::SumAndMean, std::array{sum, of}}; }
    static Cell structure(Object value);
    static Cell table(Rows rows);
    static Cell list(std::vector<Cell> values);

    Kind kind() const { return kind_; }
    u64 value() const { return std::get<u64>(value_); }
    std::array<u64, 2> pair() const { return std::get<std::array<u64, 2>>(value_); } // of means: sum, divisor
    const std::string& string() const { return std::get<std::string>(value_); }
    const Object& object() const { return *std::get<std::shared_ptr<const Object>>(value_); }
    const Rows& rows() const { return *std::get<std::shared_ptr<const Rows>>(value_); }
    const std::vector<Cell>& values() const { return *std::get<std::shared_ptr<const std::vector<Cell>>>(value_); }

  private:
    using Value = std::variant<u64, std::array<u64, 2>, std::string, std::shared_ptr<const Object>,
                               std::shared_ptr<const Rows>, std::shared_ptr<const std::vector<Cell>>>;
    Cell(Kind kind, Value value) : kind_(kind), value_(std::move(value)) {}

    Kind kind_ = Kind::Absent;
    Value value_ = u64{0};
};

// As people read a single value: one line that steers no terminal.
std::string cell_text(const Cell& cell);

// Values by key, in the order in which they were added.
class Object {
  public:
    struct Member {
        std::string key;
        Cell cell;
    };

    Object& add(std::string key, Cell cell) {
        members_.push_back({std::move(key), std::move(cell)});
        return *this;
    }
    Object& text(std::string key, std::string value) { return add(std::move(key), Cell::text(std::move(value))); }
    Object& flag(std::string key, bool value) { return add(std::move(key), Cell::flag(value)); }
    Object& number(std::string key, u64 value) { return add(std::move(key), Cell::number(value)); }
    Object& count(std::string key, u64 value) { return add(std::move(key), Cell::count(value)); }
    Object& address(std::string key, u64 value) { return add(std::move(key), Cell::address(value)); }
    Object& word(std::string key, u64 value) { return add(std::move(key), Cell::word(value)); }
    Object& object(std::string key, Object value) { return add(std::move(key), Cell::structure(std::move(value))); }
    Object& rows(std::string key, Rows value) { return add(std::move(key), Cell::table(std::move(value))); }

    const std::vector<Member>& members() const { return members_; }
    // "counts.flushes" is the member `flushes` of the object `counts`, "values.2" the third value of the list `values`.
    // nullptr: there is none.
    const Cell* find(std::string_view path) const;

  private:
    std::vector<Member> members_;
};

// A line for people. "{path}" in the pattern stands for the value of that name.
struct Line {
    std::string_view label; // in a column of its own; empty: none
    std::string_view pattern;
    enum class Place : u8 { Margin, Indented } place = Place::Indented;
};

struct Column {
    std::string key; // of each row, or a path within it
    std::string title = {};
    std::size_t width = 0;                                            // letters; 0: as it comes
    enum class Align : u8 { Left, Right, Below } align = Align::Left; // Below: on a line of its own, if not empty
    std::string lead = {};                                            // what stands before it
    std::size_t most = 0;                                             // longer texts are cut; 0: never
};

struct Table {
    std::string rows; // path of an array of objects; one without members is a rule across the table
    std::vector<Column> columns;
    std::size_t most_rows = ~std::size_t{0}; // for people; the data has all
    std::string_view indent = "  ";
};

// A list of sentences.
struct Sentences {
    std::string_view list;  // path of an array of texts
    std::string_view empty; // said where there is none
    std::size_t width = ~std::size_t{0};
};

struct Section {
    std::string title; // empty: what precedes the first title
    std::vector<std::variant<Line, Table, Sentences>> blocks = {};
};

struct Document {
    Object data;  // all that is known: what JSON holds
    Object shown; // what was made of it for people alone: runs of rows, joined names
    std::vector<Section> sections;

    // A value that the layout names; it must be there.
    const Cell& at(std::string_view path) const;
    Section& section(std::string title) { return sections.emplace_back(Section{std::move(title)}); }
};

} // namespace forkscope
