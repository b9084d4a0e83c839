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
    checkpoint->inputs = machine_.inputs().events().size();
    const Snapshot state = machine_.checkpoint_state();
    for (const SnapshotSection& section : state.sections()) {
        Checkpoint::Section& kept = checkpoint->state.emplace_back(
            Checkpoint::Section{section.name, section.version, section.bytes.size(), {}});
        const std::span<const u8> bytes = section.bytes;
        for (std::size_t done = 0; done < bytes.size(); done += kPageSize)
            kept.pages.push_back(
                pool_.keep(bytes.subspan(done, std::min<std::size_t>(kPageSize, bytes.size() - done))));
    }
    PhysicalMemory& memory = machine_.mmu().memory();
    for (u64 frame = 0; frame < memory.frame_count(); ++frame)
        if (memory.written_since(frame, epoch_))
            memory_.set(frame, pool_.keep(frame_bytes(memory, frame)));
    checkpoint->parts = machine_.part_states(); // before the epoch ends that observers may still be looking at
    epoch_ = memory.begin_epoch();
    checkpoint->memory = memory_;
    return checkpoint;
}

void CheckpointKeeper::put_back(const Checkpoint& checkpoint) {
    Snapshot state;
    for (const Checkpoint::Section& section : checkpoint.state) {
        SnapshotSection whole{section.name, section.version, {}};
        whole.bytes.resize(section.pages.size() * kPageSize);
        for (std::size_t i = 0; i < section.pages.size(); ++i)
            if (section.pages[i] != nullptr)
                std::memcpy(whole.bytes.data() + i * kPageSize, section.pages[i]->data(), kPageSize);
        whole.bytes.resize(section.size);
        state.add(std::move(whole));
    }
    machine_.put_back({state, checkpoint.parts, [&] { put_back_memory(checkpoint.memory); }, checkpoint.inputs});
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
