#include "emu/debug/dap/arguments.hpp"

#include <charconv>

namespace forkscope {

using Json = nlohmann::json;

const Json& member_of(const Json& object, const char* name) {
    static const Json kNothing = Json::object();
    if (!object.is_object())
        return kNothing;
    const auto at = object.find(name);
    return at == object.end() ? kNothing : *at;
}

std::string text_of(const Json& object, const char* name) {
    const Json& value = member_of(object, name);
    return value.is_string() ? value.get<std::string>() : std::string();
}

bool flag_of(const Json& object, const char* name, bool fallback) {
    const Json& value = member_of(object, name);
    return value.is_boolean() ? value.get<bool>() : fallback;
}

i64 number_of(const Json& object, const char* name, i64 fallback) {
    const Json& value = member_of(object, name);
    return value.is_number_integer() ? value.get<i64>() : fallback;
}

const std::vector<Json>& list_of(const Json& object, const char* name) {
    static const std::vector<Json> kNone;
    const Json& value = member_of(object, name);
    return value.is_array() ? value.get_ref<const Json::array_t&>() : kNone;
}

std::vector<std::string> texts_of(const Json& object, const char* name) {
    std::vector<std::string> texts;
    for (const Json& one : list_of(object, name))
        if (one.is_string())
            texts.push_back(one.get<std::string>());
    return texts;
}

std::optional<u32> address_of_reference(const std::string& text) {
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    const char* const begin = text.data() + (hexadecimal ? 2 : 0);
    const char* const end = text.data() + text.size();
    u32 address = 0;
    const auto read = std::from_chars(begin, end, address, hexadecimal ? 16 : 10);
    return read.ec == std::errc{} && read.ptr == end ? std::optional(address) : std::nullopt;
}

} // namespace forkscope
