#include "emu/machine/timeline/checkpoint.hpp"

#include <algorithm>
#include <cstring>

namespace forkscope {

namespace {

std::span<const u8> frame_bytes(const PhysicalMemory& memory, u64 frame) {
    return {memory.host(PhysicalAddress(frame << kPageShift)), std::size_t{kPageSize}};
}

} // namespace

std::shared_ptr<const Checkpoint> CheckpointKeeper::make() {
    auto checkpoint = std::make_shared<Checkpoint>();
    checkpoint->at = machine_.position();
    checkpoint->busy = machine_.cpu().count_of(Counted::UnhaltedCycles);
    checkpoint->inputs = machine_.inputs().events().size();
    machine_.save_checkpoint([&](std::span<const u8> bytes) {
        const std::size_t number = checkpoint->state.size();
        Checkpoint::Section& kept = checkpoint->state.emplace_back();
        kept.size = bytes.size();
        for (std::size_t done = 0; done < bytes.size(); done += kPageSize)
            kept.pages.push_back(pool_.keep(bytes.subspan(done, std::min<std::size_t>(kPageSize, bytes.size() - done)),
                                            last_page(number, kept.pages.size())));
    });
    PhysicalMemory& memory = machine_.mmu().memory();
    for (u64 frame = 0; frame < memory.frame_count(); ++frame)
        if (memory.written_since(frame, epoch_)) {
            memory_.set(frame, pool_.keep(frame_bytes(memory, frame), memory_.at(frame)));
            checkpoint->written.push_back(static_cast<u32>(frame));
        }
    checkpoint->written_since = last_ != nullptr ? last_->at : checkpoint->at;
    checkpoint->parts = machine_.part_states(); // before the epoch ends that observers may still be looking at
    checkpoint->absent_parts = machine_.absent_parts();
    epoch_ = memory.begin_epoch();
    checkpoint->memory = memory_;
    checkpoint->written.shrink_to_fit();
    checkpoint->charge = charge(*checkpoint, last_.get());
    return last_ = checkpoint;
}

// What both share was counted with the earlier one. Observers may have come meanwhile, but none left.
Charge CheckpointKeeper::charge(const Checkpoint& checkpoint, const Checkpoint* before) const {
    Footprint lists;
    lists.add_array(checkpoint.written.capacity() * sizeof checkpoint.written[0]);
    lists.add_array(checkpoint.parts.capacity() * sizeof checkpoint.parts[0]);
    for (const Checkpoint::Section& section : checkpoint.state)
        lists.add_array(sizeof section + section.pages.capacity() * sizeof section.pages[0]);
    u64 bytes = sizeof checkpoint + lists.bytes();
    const FrameImage nothing(machine_.mmu().memory().frame_count());
    bytes += checkpoint.memory.bytes_beyond(before != nullptr ? before->memory : nothing);
    for (std::size_t i = 0; i < checkpoint.parts.size(); ++i)
        bytes += checkpoint.parts[i]->bytes_beyond(
            before != nullptr && i < before->parts.size() ? before->parts[i].get() : nullptr);
    return Charge(others_, bytes);
}

std::shared_ptr<const Checkpoint> CheckpointKeeper::without(const Checkpoint& before, const Checkpoint& gone,
                                                            const Checkpoint& next) const {
    auto joined = std::make_shared<Checkpoint>(next);
    if (gone.at >= next.written_since) {
        joined->written_since = std::min(gone.written_since, next.written_since);
        joined->written.clear();
        std::set_union(gone.written.begin(), gone.written.end(), next.written.begin(), next.written.end(),
                       std::back_inserter(joined->written));
        joined->written.shrink_to_fit();
    }
    joined->charge = charge(*joined, &before);
    return joined;
}

Page CheckpointKeeper::last_page(std::size_t section, std::size_t page) const {
    if (last_ == nullptr || page >= last_->state[section].pages.size())
        return nullptr;
    return last_->state[section].pages[page];
}

void CheckpointKeeper::put_back(std::shared_ptr<const Checkpoint> checkpoint) {
    last_ = std::move(checkpoint);
    std::vector<u8> bytes;
    std::size_t number = 0;
    const auto next_section = [&]() -> std::span<const u8> {
        const Checkpoint::Section& section = last_->state[number++];
        bytes.resize(section.pages.size() * kPageSize);
        for (std::size_t i = 0; i < section.pages.size(); ++i)
            std::memcpy(bytes.data() + i * kPageSize,
                        section.pages[i] != nullptr ? section.pages[i]->data() : kZeroPage.data(), kPageSize);
        return std::span(bytes).first(section.size);
    };
    machine_.put_back(
        {next_section, [&] { put_back_memory(last_->memory); }, last_->parts, last_->inputs, last_->absent_parts});
}

// Frames that were written since, or that differ between the two moments; those that are equal all the same are left
// alone, so that decoded code stays.
void CheckpointKeeper::put_back_memory(const FrameImage& image) {
    Mmu& mmu = machine_.mmu();
    const PhysicalMemory& memory = mmu.memory();
    const auto put = [&](u64 frame) {
        const Page& page = image.at(frame);
        const PageBytes& bytes = page != nullptr ? *page : kZeroPage;
        if (!std::equal(bytes.begin(), bytes.end(), frame_bytes(memory, frame).begin()))
            mmu.poke_physical(PhysicalAddress(frame << kPageShift), bytes);
    };
    for (u64 frame = 0; frame < memory.frame_count(); ++frame)
        if (memory.written_since(frame, epoch_))
            put(frame);
    memory_.for_each_difference(image, put);
    memory_ = image;
    epoch_ = mmu.memory().begin_epoch();
}

} // namespace forkscope
