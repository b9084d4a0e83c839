#include "emu/symbols/symbolizer.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "emu/base/archive/containers.hpp"
#include "emu/base/text/words.hpp"
#include "emu/symbols/tar.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostPlaces = 65536; // remembered

// Whether the page in memory holds the image's code. Writable parts change, so only code tells programs apart.
bool stands_in_memory(const ElfImage& image, u32 page, std::span<const u8> bytes) {
    for (const ElfSegment& segment : image.segments()) {
        const u64 from = std::max<u64>(page, segment.start);
        const u64 to = std::min<u64>(u64{page} + kPageSize, u64{segment.start} + segment.data.size());
        if (segment.writable || from >= to || to - from < 16)
            continue;
        const auto* expected = segment.data.data() + (from - segment.start);
        if (std::memcmp(bytes.data() + (from - page), expected, static_cast<std::size_t>(to - from)) == 0)
            return true;
    }
    return false;
}

} // namespace

std::string Location::name() const {
    if (!known())
        return fmt::format("0x{:08x}", address);
    return offset == 0 ? symbol : fmt::format("{}+0x{:x}", symbol, offset);
}

std::string Location::source() const { return file.empty() ? "" : fmt::format("{}:{}", base_name(file), line); }

std::string Location::text() const {
    const std::string where = source();
    const std::string what = inlined.empty() ? name() : inlined + " in " + name();
    return where.empty() ? what : what + " (" + where + ")";
}

void Symbolizer::add_kernel(std::unique_ptr<ElfImage> image) {
    kernel_ = std::move(image);
    places_.clear();
}

void Symbolizer::add_symbols(std::unique_ptr<ElfImage> image) {
    given_.push_back(std::move(image));
    places_.clear();
}

void Symbolizer::add_program(const std::string& name, std::unique_ptr<ElfImage> image) {
    if (const ElfImage* old = program(name); old != nullptr)
        std::erase_if(bound_, [old](const auto& binding) { return binding.second == old; });
    programs_[name] = std::move(image);
    places_.clear();
}

Result<u32> Symbolizer::add_programs_of_initrd(std::span<const u8> initrd) {
    Result<std::vector<TarEntry>> entries = read_tar(initrd);
    if (!entries)
        return entries.error();
    u32 added = 0;
    for (const TarEntry& entry : *entries) {
        if (entry.data.size() < 4 || std::memcmp(entry.data.data(), "\177ELF", 4) != 0)
            continue;
        Result<std::unique_ptr<ElfImage>> image = ElfImage::from_bytes(entry.name, entry.data);
        if (!image)
            continue;
        add_program(entry.name, std::move(image).value());
        ++added;
    }
    return added;
}

const ElfImage* Symbolizer::program(std::string_view name) const {
    if (const auto exact = programs_.find(name); exact != programs_.end())
        return exact->second.get();
    for (const auto& [path, image] : programs_)
        if (base_name(path) == name)
            return image.get();
    return nullptr;
}

bool Symbolizer::bind(u32 address_space, std::string_view name) {
    const ElfImage* image = program(name);
    if (image != nullptr)
        bound_[address_space] = image;
    return image != nullptr;
}

void Symbolizer::bind_like(u32 address_space, u32 parent) {
    if (const auto found = bound_.find(parent); found != bound_.end())
        bound_[address_space] = found->second;
    else
        bound_.erase(address_space);
}

std::string Symbolizer::program_of(u32 address_space) const {
    const auto found = bound_.find(address_space);
    return found == bound_.end() ? "" : found->second->name();
}

bool Symbolizer::identify(const MemoryReader& read, u32 address_space, u32 address) {
    const u32 page = address & ~kPageMask;
    std::array<u8, kPageSize> bytes;
    if (programs_.empty() || !read(address_space, page, bytes))
        return false;
    const ElfImage* match = nullptr;
    for (const auto& [name, image] : programs_) {
        if (!stands_in_memory(*image, page, bytes))
            continue;
        // The same page of start-up code in two programs tells nothing.
        if (match != nullptr)
            return false;
        match = image.get();
    }
    if (match != nullptr)
        bound_[address_space] = match;
    return match != nullptr;
}

const ElfImage* Symbolizer::image_at(u32 address_space, u32 address) const {
    const auto bound = bound_.find(address_space);
    if (bound != bound_.end() && bound->second->covers(address))
        return bound->second;
    return kernel_at(address);
}

const ElfImage* Symbolizer::kernel_at(u32 address) const {
    for (const std::unique_ptr<ElfImage>& image : given_)
        if (image->symbol_at(address) != nullptr)
            return image.get();
    if (kernel_ && kernel_->covers(address))
        return kernel_.get();
    for (const std::unique_ptr<ElfImage>& image : given_)
        if (image->covers(address))
            return image.get();
    return nullptr;
}

const ElfImage* Symbolizer::covering(std::string_view name, u32 address) const {
    if (name.empty())
        return kernel_at(address);
    const ElfImage* image = program(name);
    return image != nullptr && image->covers(address) ? image : nullptr;
}

std::vector<const ElfImage*> Symbolizer::images_for(u32 address_space, const ElfImage* first) const {
    std::vector<const ElfImage*> images;
    const auto add = [&](const ElfImage* image) {
        if (image != nullptr && std::find(images.begin(), images.end(), image) == images.end())
            images.push_back(image);
    };
    add(first);
    for (const std::unique_ptr<ElfImage>& image : given_)
        add(image.get());
    add(kernel_.get());
    if (const auto bound = bound_.find(address_space); bound != bound_.end())
        add(bound->second);
    return images;
}

Location Symbolizer::locate(const ElfImage* image, u32 address) {
    Location location;
    location.address = address;
    if (image == nullptr)
        return location;
    location.image = image->name();
    if (const Symbol* symbol = image->symbol_at(address); symbol != nullptr) {
        location.symbol = symbol->name;
        location.offset = address - symbol->start;
    }
    location.inlined = image->inlined_at(address);
    if (std::optional<SourceLine> line = image->line_at(address); line) {
        location.file = std::move(line->file);
        location.line = line->line;
        location.included = line->included;
    }
    return location;
}

Location Symbolizer::lookup(u32 address_space, u32 address) const {
    return locate(image_at(address_space, address), address);
}

const Location& Symbolizer::lookup_in(std::string_view name, u32 address) const {
    const ElfImage* image = covering(name, address);
    if (places_.size() >= kMostPlaces)
        places_.clear();
    const auto [place, fresh] = places_.try_emplace({image, address});
    if (fresh)
        place->second = locate(image, address);
    return place->second;
}

Symbolizer::State Symbolizer::state() const {
    State state;
    for (const auto& [space, image] : bound_)
        state.programs[space] = image->name();
    return state;
}

// A program that is not there any more is unknown, as at first.
void Symbolizer::restore(const State* state) {
    bound_.clear();
    if (state != nullptr)
        for (const auto& [space, name] : state->programs)
            bind(space, name);
}

void Symbolizer::State::serialize(Archive& ar) { archive_map(ar, "programs", programs, u64{1} << 16); }

std::vector<Location> Symbolizer::inline_chain(std::string_view name, u32 address) const {
    return chain_of(covering(name, address), address);
}

std::vector<Location> Symbolizer::inline_chain_in(u32 address_space, u32 address) const {
    return chain_of(image_at(address_space, address), address);
}

std::vector<Location> Symbolizer::chain_of(const ElfImage* image, u32 address) {
    std::vector<Location> chain;
    if (image == nullptr)
        return chain;
    Location place;
    place.address = address;
    place.image = image->name();
    SourceLine line = image->line_at(address).value_or(SourceLine{});
    for (InlinedCall& call : image->inlined_calls(address)) {
        place.symbol = std::move(call.function);
        place.file = std::move(line.file);
        place.line = line.line;
        place.included = line.included;
        chain.push_back(place);
        line = std::move(call.call);
    }
    const Symbol* symbol = image->symbol_at(address);
    place.symbol = symbol == nullptr ? "" : symbol->name;
    place.file = std::move(line.file);
    place.line = line.line;
    place.included = line.included;
    chain.push_back(std::move(place));
    return chain;
}

std::optional<u32> Symbolizer::address_of(std::string_view name, u32 address_space) const {
    if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
        const ElfImage* image = program(name.substr(0, colon));
        const Symbol* symbol = image == nullptr ? nullptr : image->symbol_named(name.substr(colon + 1));
        return symbol == nullptr ? std::nullopt : std::optional(symbol->start);
    }
    for (const ElfImage* image : images_for(address_space))
        if (const Symbol* symbol = image->symbol_named(name); symbol != nullptr)
            return symbol->start;
    return std::nullopt;
}

std::vector<u32> Symbolizer::places_of(std::string_view name) const {
    if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
        const ElfImage* image = program(name.substr(0, colon));
        return image == nullptr ? std::vector<u32>() : image->places_of(name.substr(colon + 1));
    }
    std::vector<u32> places;
    for (auto image = given_.begin(); image != given_.end() && places.empty(); ++image)
        places = (*image)->places_of(name);
    return places.empty() && kernel_ ? kernel_->places_of(name) : places;
}

std::vector<u32> Symbolizer::places_of_line(std::string_view name, std::string_view file, u32 line) const {
    if (!name.empty()) {
        const ElfImage* image = program(name);
        return image == nullptr ? std::vector<u32>() : image->places_of_line(file, line);
    }
    std::vector<u32> places;
    for (auto image = given_.begin(); image != given_.end() && places.empty(); ++image)
        places = (*image)->places_of_line(file, line);
    return places.empty() && kernel_ ? kernel_->places_of_line(file, line) : places;
}

std::optional<u32> Symbolizer::address_of_line(std::string_view file, u32 line, u32 address_space) const {
    for (const ElfImage* image : images_for(address_space))
        if (const std::optional<u32> address = image->address_of_line(file, line); address)
            return address;
    return std::nullopt;
}

const std::string* Symbolizer::source_text(const std::string& path) const {
    const auto [place, fresh] = sources_.try_emplace(path);
    if (fresh && source_reader_)
        place->second = source_reader_(path);
    return place->second ? &*place->second : nullptr;
}

std::optional<std::string> Symbolizer::source_line(const std::string& path, u32 line) const {
    const std::string* text = source_text(path);
    if (text == nullptr || line == 0)
        return std::nullopt;
    std::size_t at = 0;
    for (u32 i = 1; i < line; ++i) {
        at = text->find('\n', at);
        if (at == std::string::npos)
            return std::nullopt;
        ++at;
    }
    return text->substr(at, text->find('\n', at) - at);
}

std::optional<u32> address_of(std::string_view word, const Symbolizer& symbols, u32 space) {
    if (word.empty())
        return std::nullopt;
    const std::string text(word);
    char* end = nullptr;
    const u64 value = std::strtoull(text.c_str(), &end, 0);
    if (*end == 0)
        return value <= ~u32{0} ? std::optional(static_cast<u32>(value)) : std::nullopt;
    if (const auto address = symbols.address_of(text, space))
        return address;
    const std::vector<u32> places = symbols.places_of(text);
    return places.empty() ? std::nullopt : std::optional(places.front());
}

} // namespace forkscope
