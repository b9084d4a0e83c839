// Owns: ArchiveTable, how a long vector of plain rows goes through an Archive: column by column, each name said once.
// Callers: serialize() of types that hold such vectors. Promises: a row costs its bytes; an archive that holds fewer
// values than it says takes no more memory than it has bytes.
#pragma once

#include <array>
#include <functional>
#include <limits>
#include <type_traits>
#include <vector>

#include "emu/base/archive.hpp"

namespace forkscope {

// ArchiveTable(ar, "ptes", rows, most).column("cycle", [](auto& row) -> auto& { return row.cycle; })…
// Rows come out of an archive when the table ends, if all its columns were there.
template <class Row> class ArchiveTable {
  public:
    ArchiveTable(Archive& ar, std::string_view name, std::vector<Row>& rows, u64 most) : ar_(ar), rows_(rows) {
        ar_.begin(name);
        count_ = rows.size();
        ar_.field("count", count_);
        if (!ar_.loading())
            return;
        rows_.clear();
        if (count_ > most || count_ > ar_.remaining())
            ar_.fail("more rows than there can be");
    }
    ArchiveTable(const ArchiveTable&) = delete;
    ArchiveTable& operator=(const ArchiveTable&) = delete;
    ~ArchiveTable() {
        if (ar_.loading() && ar_.good()) {
            rows_.resize(count_);
            for (const auto& fill : columns_)
                fill(rows_);
        }
        ar_.end();
    }

    // `part` gives a reference to an integer, bool, enumeration or array of integers.
    template <class Part> ArchiveTable& column(std::string_view name, Part part) {
        using Value = std::remove_reference_t<std::invoke_result_t<Part, Row&>>;
        if constexpr (std::is_class_v<Value>)
            return whole_column<typename Value::value_type, std::tuple_size_v<Value>>(
                name, [part](Row & row, std::size_t i) -> auto& { return part(row)[i]; });
        else if constexpr (std::is_array_v<Value>)
            return whole_column<std::remove_extent_t<Value>, std::extent_v<Value>>(
                name, [part](Row & row, std::size_t i) -> auto& { return part(row)[i]; });
        else
            return whole_column<Value, 1>(
                name, [part](Row & row, std::size_t) -> auto& { return part(row); });
    }
    // An enumeration whose values are used as indices: those after `last` are refused.
    template <class Part, class Enum> ArchiveTable& column(std::string_view name, Part part, Enum last) {
        return whole_column<Enum, 1>(
            name, [part](Row & row, std::size_t) -> auto& { return part(row); },
            static_cast<std::underlying_type_t<Enum>>(last));
    }

  private:
    // Bools and enumerations as the integers that hold them.
    template <class Value> static auto stored(Value value) {
        if constexpr (std::is_enum_v<Value>)
            return static_cast<std::underlying_type_t<Value>>(value);
        else if constexpr (std::is_same_v<Value, bool>)
            return static_cast<u8>(value);
        else
            return value;
    }
    template <class Value> using Stored = decltype(stored(Value{}));

    template <class Value, std::size_t N, class Part>
    ArchiveTable& whole_column(std::string_view name, Part part,
                               Stored<Value> last = std::numeric_limits<Stored<Value>>::max()) {
        std::vector<Stored<Value>> values;
        if (!ar_.loading()) {
            values.reserve(rows_.size() * N);
            for (Row& row : rows_)
                for (std::size_t i = 0; i < N; ++i)
                    values.push_back(stored(part(row, i)));
        }
        ar_.sequence(name, values, count_ * N);
        if (!ar_.loading() || !ar_.good())
            return *this;
        if (values.size() != count_ * N)
            ar_.fail("a column of another length");
        for (const Stored<Value> value : values)
            if (value > last) {
                ar_.fail("no such value");
                return *this;
            }
        columns_.push_back([part, values = std::move(values)](std::vector<Row>& rows) {
            for (std::size_t row = 0; row < rows.size(); ++row)
                for (std::size_t i = 0; i < N; ++i)
                    part(rows[row], i) = static_cast<Value>(values[row * N + i]);
        });
        return *this;
    }

    Archive& ar_;
    std::vector<Row>& rows_;
    u64 count_ = 0;
    std::vector<std::function<void(std::vector<Row>&)>> columns_; // that were read
};

} // namespace forkscope
