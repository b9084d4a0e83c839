#include "emu/observe/faults/code_places.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostPlaces = 65536;

} // namespace

std::shared_ptr<const Location> CodePlaces::at(u32 address_space, u32 eip, const AddressSpaceReader& reader) {
    const auto key = std::make_pair(layout_.is_kernel(eip) ? 0 : address_space, eip);
    if (const auto found = places_.find(key); found != places_.end())
        return found->second;
    auto place = std::make_shared<Location>();
    place->address = eip;
    if (symbols_ != nullptr) {
        if (layout_.is_user(eip) && symbols_->program_of(address_space).empty())
            symbols_->identify(reader.memory_reader(), address_space, eip);
        *place = symbols_->lookup(address_space, eip);
    }
    if (place->known()) {
        if (places_.size() >= kMostPlaces)
            places_.clear();
        places_[key] = place;
    }
    return place;
}

void CodePlaces::forget(u32 address_space) {
    const auto first = places_.lower_bound({address_space, 0});
    const auto last = places_.upper_bound({address_space, ~u32{0}});
    places_.erase(first, last);
}

} // namespace forkscope
