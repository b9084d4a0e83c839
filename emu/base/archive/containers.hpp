// Owns: how maps, sets and deques of integers and of types with serialize() go through an Archive.
// Callers: serialize() of types that hold such containers. Promises: a container is written in its order, and at most
// `most` elements come out of an archive; a key that comes twice, or out of order, makes the load fail.
#pragma once

#include <map>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "emu/base/archive.hpp"

namespace forkscope {

// An integer, an enumeration, or a type with serialize().
template <class T> void archive_value(Archive& ar, std::string_view name, T& value) {
    if constexpr (std::is_integral_v<T> || std::is_enum_v<T>)
        ar.field(name, value);
    else if constexpr (std::is_same_v<T, std::string>)
        ar.text(name, value);
    else
        ar.nested(name, value);
}

// An enumeration whose values are used as indices: those after `last` are refused.
template <class Enum> void archive_enum(Archive& ar, std::string_view name, Enum& value, Enum last) {
    ar.field(name, value);
    if (ar.loading() && value > last) {
        ar.fail("no such value");
        value = Enum{};
    }
}

// Any container that inserts at its end and that Archive::sequence() does not take; `archive` writes or reads one
// element.
template <class Container, class Element>
void archive_elements(Archive& ar, std::string_view name, Container& values, u64 most, Element archive) {
    ar.begin(name);
    u64 count = values.size();
    ar.field("count", count);
    if (ar.loading()) {
        values.clear();
        if (count > most)
            ar.fail("more elements than there can be");
        for (u64 i = 0; i < count && ar.good(); ++i) {
            typename Container::value_type value{};
            archive(value);
            if (ar.good())
                values.insert(values.end(), std::move(value));
        }
    } else {
        for (auto& value : values)
            archive(value);
    }
    ar.end();
}

// A std::set or SharedSet.
template <class Set> void archive_set(Archive& ar, std::string_view name, Set& values, u64 most) {
    std::vector<typename Set::key_type> list(values.begin(), values.end());
    ar.sequence(name, list, most);
    if (!ar.loading())
        return;
    values = Set(list.begin(), list.end());
    if (values.size() != list.size())
        ar.fail("an element comes twice");
}

// A std::map or SharedMap; `archive` writes or reads one value.
template <class Map, class Element>
void archive_map(Archive& ar, std::string_view name, Map& values, u64 most, Element archive) {
    using Entry = std::pair<typename Map::key_type, typename Map::mapped_type>;
    std::vector<Entry> list(values.begin(), values.end());
    archive_elements(ar, name, list, most, [&](Entry& entry) {
        archive_value(ar, "key", entry.first);
        archive(entry.second);
    });
    if (!ar.loading())
        return;
    values.clear();
    for (auto& [key, value] : list) {
        if (!values.empty() && !(values.rbegin()->first < key))
            return ar.fail("keys out of order");
        values.emplace(key, std::move(value));
    }
}
template <class Map> void archive_map(Archive& ar, std::string_view name, Map& values, u64 most) {
    archive_map(ar, name, values, most, [&](typename Map::mapped_type& value) { archive_value(ar, "value", value); });
}

} // namespace forkscope
