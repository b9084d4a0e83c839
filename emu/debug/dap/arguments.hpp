// Owns: reading a request's arguments: members by name, of the type that is wanted.
// Callers: DapAdapter and its parts. Promises: what is absent or of another type is as the fallback says; nothing
// throws.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "emu/base/types.hpp"

namespace forkscope {

// An object's member; an object without members where there is none.
const nlohmann::json& member_of(const nlohmann::json& object, const char* name);
std::string text_of(const nlohmann::json& object, const char* name);
bool flag_of(const nlohmann::json& object, const char* name, bool fallback = false);
i64 number_of(const nlohmann::json& object, const char* name, i64 fallback = 0);
// A list's elements; none where it is no list.
const std::vector<nlohmann::json>& list_of(const nlohmann::json& object, const char* name);
std::vector<std::string> texts_of(const nlohmann::json& object, const char* name);

// "0xc0100000", "3222274048"; of 32 bits.
std::optional<u32> address_of_reference(const std::string& text);

} // namespace forkscope
