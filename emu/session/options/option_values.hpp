// Owns: how each type of option is read from what a person types, and shown as a person would type it.
// Callers: the option table. Promises: what does not fit is answered with what would; an empty answer means that it
// did.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "emu/session/options/options.hpp"

namespace forkscope {

// The words for the values of a type; what has none cannot be typed.
template <class T> struct Words;
template <> struct Words<EngineKind> {
    static constexpr std::array kAll = {std::pair{"interp", EngineKind::Interpreter},
                                        std::pair{"block", EngineKind::Block}, std::pair{"jit", EngineKind::Translator},
                                        std::pair{"auto", EngineKind::Automatic}};
};
template <> struct Words<CostModelKind> {
    static constexpr std::array kAll = {std::pair{"flat", CostModelKind::Flat},
                                        std::pair{"model", CostModelKind::Model},
                                        std::pair{"cache", CostModelKind::Cache}};
};
template <> struct Words<Display> {
    static constexpr std::array kAll = {std::pair{"sdl", Display::Window}, std::pair{"tui", Display::Terminal},
                                        std::pair{"none", Display::None}, std::pair{"auto", Display::Automatic}};
};
template <class T>
concept Chosen = requires {
    Words<T>::kAll;
};

// "choose interp or block".
std::string choose(const std::vector<std::string>& words);

template <class T> std::vector<std::string> words_of() {
    std::vector<std::string> words;
    if constexpr (Chosen<T>)
        for (const auto& [word, value] : Words<T>::kAll)
            words.emplace_back(word);
    return words;
}
template <> std::vector<std::string> words_of<CpuModel>();
template <> std::vector<std::string> words_of<Info>();

template <Chosen T> std::string read_value(const std::string& text, T& value) {
    for (const auto& [word, meant] : Words<T>::kAll)
        if (text == word) {
            value = meant;
            return {};
        }
    return choose(words_of<T>());
}
std::string read_value(const std::string& text, std::string& value);
std::string read_value(const std::string& text, std::vector<std::string>& value); // adds to it
std::string read_value(const std::string& text, u32& value);
std::string read_value(const std::string& text, u64& value);
std::string read_value(const std::string& text, CpuModel& value);
// "tlb", or "code:ADDRESS".
std::string read_value(const std::string& text, Info& value);
// "30000000i" instructions, "1e6c" cycles, "10s" or "500ms" simulated time at the default rate of cycles.
std::string read_value(const std::string& text, RunLimit& value);
// "64M", "2G", "512K", "1048576"; a plain number below 64 KiB counts MiB, as QEMU's -m does.
std::string read_size(const std::string& text, u64& bytes);

template <Chosen T> std::string show_value(T value) {
    for (const auto& [word, meant] : Words<T>::kAll)
        if (value == meant)
            return word;
    return {};
}
std::string show_value(const std::string& value);
std::string show_value(const std::vector<std::string>& value);
std::string show_value(u64 value); // 0: empty
std::string show_value(CpuModel value);
std::string show_value(const Info& value);
std::string show_value(const RunLimit& value);

} // namespace forkscope
