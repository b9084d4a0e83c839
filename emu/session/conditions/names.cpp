#include "emu/session/conditions/names.hpp"

#include <algorithm>
#include <charconv>

#include "emu/base/log.hpp"
#include "emu/base/text/nearest.hpp"
#include "emu/base/text/words.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kLongestGuess = 64; // letters

std::string known_name(const Symbolizer& symbols, std::string_view program) {
    const ElfImage* image = symbols.program(program);
    return image == nullptr ? std::string(program) : image->name();
}

} // namespace

std::optional<u32> register_named(std::string_view name) {
    if (name.starts_with('$') || name.starts_with('%'))
        name.remove_prefix(1);
    const auto rows = register_rows();
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const RegisterRow& one) { return one.name == name; });
    return row == rows.end() ? std::nullopt : std::optional(static_cast<u32>(row - rows.begin()));
}

CodeName::CodeName(std::string_view name) : symbol(name) {
    if (const std::size_t colon = symbol.rfind(':'); colon != std::string_view::npos) {
        const std::string_view number = symbol.substr(colon + 1);
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), line);
        if (error == std::errc() && end == number.data() + number.size() && line != 0)
            symbol = symbol.substr(0, colon);
        else
            line = 0;
    }
    if (const std::size_t colon = symbol.find(':'); colon != std::string_view::npos) {
        program = symbol.substr(0, colon);
        symbol = symbol.substr(colon + 1);
    }
}

CodePlaces places_named(std::string_view name, const Symbolizer& symbols) {
    const CodeName code(name);
    CodePlaces places;
    places.addresses =
        code.line != 0 ? symbols.places_of_line(code.program, code.symbol, code.line) : symbols.places_of(name);
    if (!code.program.empty())
        places.program = known_name(symbols, code.program);
    return places;
}

std::optional<u32> address_named(std::string_view name, const Symbolizer& symbols) {
    if (CodeName(name).line == 0)
        if (const auto address = symbols.address_of(name))
            return address;
    const CodePlaces places = places_named(name, symbols);
    return places.addresses.empty() ? std::nullopt : std::optional(places.addresses.front());
}

std::string hint_for(std::string_view name, std::vector<std::string> words, const Symbolizer& symbols) {
    const CodeName code(name);
    if (name.size() > kLongestGuess)
        return "";
    if (code.program.empty() && code.line == 0) {
        for (const auto& [path, image] : symbols.programs())
            if (image->symbol_named(name) != nullptr)
                return fmt::format("; a program has it: {}:{}", path, name);
        for (const RegisterRow& row : register_rows())
            words.emplace_back(row.name);
    } else {
        words.clear();
    }
    const std::vector<const ElfImage*> kernels = symbols.images_for(0);
    const ElfImage* image = !code.program.empty() ? symbols.program(code.program)
                            : kernels.empty()     ? nullptr
                                                  : kernels.front();
    if (!code.program.empty() && image == nullptr) {
        for (const auto& [path, program] : symbols.programs())
            words.emplace_back(base_name(path));
        const std::string meant = nearest(std::string(code.program), words);
        return meant.empty() ? "" : fmt::format("; did you mean {}:{}?", meant, code.symbol);
    }
    if (image != nullptr && code.line == 0)
        for (const Symbol& symbol : image->symbols())
            if (symbol.name.size() <= kLongestGuess)
                words.emplace_back(symbol.name);
    const std::string meant = code.line != 0 ? "" : nearest(std::string(code.symbol), words);
    if (meant.empty())
        return "";
    return fmt::format("; did you mean {}{}?", code.program.empty() ? "" : std::string(code.program) + ":", meant);
}

} // namespace forkscope
