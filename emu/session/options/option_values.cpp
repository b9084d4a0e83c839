#include "emu/session/options/option_values.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>

#include "emu/base/log.hpp"

namespace forkscope {

namespace {

template <class T> std::string read_number(const std::string& text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? ""
                                                                    : fmt::format("give a number from 0 to {}", ~T{0});
}

constexpr std::array kInfoWords = {std::pair{"tlb", InfoKind::Tlb}, std::pair{"counters", InfoKind::Counters},
                                   std::pair{"unmapped", InfoKind::Unmapped}};
constexpr std::string_view kCodeOf = "code:";

} // namespace

std::string choose(const std::vector<std::string>& words) {
    std::string text = "choose ";
    for (std::size_t i = 0; i < words.size(); ++i)
        text += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
    return text;
}

template <> std::vector<std::string> words_of<CpuModel>() {
    std::vector<std::string> words;
    for (const Model* model : all_models())
        words.emplace_back(model->name);
    return words;
}

template <> std::vector<std::string> words_of<Info>() {
    std::vector<std::string> words;
    for (const auto& [word, kind] : kInfoWords)
        words.emplace_back(word);
    words.push_back(std::string(kCodeOf) + "ADDRESS");
    return words;
}

std::string read_value(const std::string& text, Info& value) {
    for (const auto& [word, kind] : kInfoWords)
        if (text == word) {
            value = {kind, ""};
            return {};
        }
    if (!text.starts_with(kCodeOf) || text.size() == kCodeOf.size())
        return choose(words_of<Info>());
    value = {InfoKind::Code, text.substr(kCodeOf.size())};
    return {};
}

std::string read_value(const std::string& text, std::string& value) {
    value = text;
    return {};
}

std::string read_value(const std::string& text, std::vector<std::string>& value) {
    value.push_back(text);
    return {};
}

std::string read_value(const std::string& text, u32& value) { return read_number(text, value); }
std::string read_value(const std::string& text, u64& value) { return read_number(text, value); }

std::string read_value(const std::string& text, CpuModel& value) {
    const Model* model = find_model(text);
    if (model == nullptr)
        return choose(words_of<CpuModel>());
    value = model->number;
    return {};
}

std::string read_value(const std::string& text, RunLimit& value) {
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    const std::string unit(end);
    if (end != text.c_str() && std::isfinite(number) && number >= 0 && number < 1e18) {
        if (unit == "i") {
            value = {.instructions = static_cast<u64>(number)};
            return {};
        }
        const double rate = static_cast<double>(MachineConfig{}.cycles_per_second);
        const double cycles = unit == "c"    ? number
                              : unit == "s"  ? number * rate
                              : unit == "ms" ? number * rate / 1e3
                                             : -1;
        if (cycles >= 0 && cycles < 1e19) {
            value = {.cycle = static_cast<u64>(cycles)};
            return {};
        }
    }
    return "write 30000000i (instructions), 1e9c (cycles) or 10s (simulated time)";
}

std::string read_size(const std::string& text, u64& bytes) {
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    std::string unit(end);
    std::transform(unit.begin(), unit.end(), unit.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
    if (unit.size() > 1 && unit.back() == 'B')
        unit.pop_back();
    static const std::map<std::string, double> kUnits = {
        {"", 1},           {"K", 1024.0},       {"KI", 1024.0},      {"M", 1048576.0},
        {"MI", 1048576.0}, {"G", 1073741824.0}, {"GI", 1073741824.0}};
    const auto factor = kUnits.find(unit);
    if (end == text.c_str() || factor == kUnits.end() || !std::isfinite(number) || number <= 0 || number > 1e12)
        return "give 64M, 1G or a number of MiB";
    constexpr double kSmallestPlainBytes = 65536;
    const double meant = unit.empty() && number < kSmallestPlainBytes ? number * 1048576.0 : number * factor->second;
    bytes = static_cast<u64>(meant) & ~u64{kPageMask};
    return {};
}

std::string show_value(const std::string& value) { return value; }

std::string show_value(const std::vector<std::string>& value) {
    std::string text;
    for (const std::string& one : value)
        text += (text.empty() ? "" : ",") + one;
    return text;
}

std::string show_value(u64 value) { return value == 0 ? "" : std::to_string(value); }
std::string show_value(CpuModel value) { return std::string(model_of(value).name); }

std::string show_value(const Info& value) {
    for (const auto& [word, kind] : kInfoWords)
        if (value.kind == kind)
            return word;
    return value.kind == InfoKind::Code ? std::string(kCodeOf) + value.address : "";
}

std::string show_value(const RunLimit& value) {
    return value.instructions != RunLimit{}.instructions ? fmt::format("{}i", value.instructions)
           : value.cycle != RunLimit{}.cycle             ? fmt::format("{}c", value.cycle)
                                                         : "";
}

} // namespace forkscope
