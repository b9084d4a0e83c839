// Saving, loading and hashing a whole machine, in memory.
#include "emu/machine/machine.hpp"

namespace forkscope {

void InputLog::serialize(Archive& ar) {
    std::vector<u64> words;
    for (const InputEvent& event : events_) {
        words.push_back(static_cast<u64>(event.kind) | (u64{event.size} << 8));
        words.push_back(event.data);
        words.push_back(event.cycle);
        words.push_back(event.instructions);
    }
    ar.sequence("words", words, u64{1} << 28);
    if (!ar.loading())
        return;
    events_.clear();
    if (words.size() % 4 != 0)
        return ar.fail("an input event is cut short");
    for (std::size_t i = 0; i < words.size(); i += 4) {
        const u8 kind = static_cast<u8>(words[i]);
        if (kind > static_cast<u8>(InputKind::SerialByte))
            return ar.fail("an input event has an unknown kind");
        events_.push_back(
            {static_cast<InputKind>(kind), static_cast<u8>(words[i] >> 8), words[i + 1], words[i + 2], words[i + 3]});
    }
}

// What a snapshot holds. Configuration comes first: a snapshot fits only the machine it was taken from.
void Machine::serialize(Archive& ar) {
    u64 ram = config_.ram_bytes;
    u64 rate = config_.cycles_per_second;
    ar.field("ram_bytes", ram);
    ar.field("cycles_per_second", rate);
    if (ar.loading() && (ram != config_.ram_bytes || rate != config_.cycles_per_second))
        return ar.fail(
            fmt::format("the snapshot is of a machine with {} MB of RAM and {} cycles a second", ram >> 20, rate));
    u8 model = static_cast<u8>(config_.cpu);
    ar.field("cpu_model", model);
    if (ar.loading() && model != static_cast<u8>(config_.cpu))
        return ar.fail(model < all_models().size()
                           ? fmt::format("the snapshot is of a machine with --cpu {}", all_models()[model]->name)
                           : std::string("the snapshot is of a machine with an unknown processor"));
    u8 clock = static_cast<u8>(config_.clock);
    ar.field("clock", clock);
    if (ar.loading() && clock != static_cast<u8>(config_.clock))
        return ar.fail("the snapshot is of a machine with another --clock");
    u8 study = static_cast<u8>(config_.tlb);
    u64 seed = config_.tlb_seed;
    ar.field("tlb_study", study);
    ar.field("tlb_seed", seed);
    if (ar.loading() && (study != static_cast<u8>(config_.tlb) || seed != config_.tlb_seed))
        return ar.fail(study <= static_cast<u8>(TlbStudy::Fifo)
                           ? fmt::format("the snapshot is of a machine with --tlb {}",
                                         study_text(static_cast<TlbStudy>(study), seed))
                           : std::string("the snapshot is of a machine with an unknown TLB"));
    if (cpu_->cost_model().queues()) {
        u8 bus = static_cast<u8>(config_.bus);
        ar.field("bus", bus);
        if (ar.loading() && bus != static_cast<u8>(config_.bus))
            return ar.fail("the snapshot is of a machine with another --bus");
    }
    ar.nested("cpu", *cpu_);
    // Memory before the Mmu: loading the Mmu marks the frames that serve as page tables.
    ar.nested("memory", *memory_);
    ar.nested("mmu", *mmu_);
    ar.nested("events", events_);
    for (auto& device : devices_)
        ar.nested(device->name(), *device);
    ar.field("exit_requested", exit_requested_);
    ar.field("reset_requested", reset_requested_);
    ar.field("exit_status", exit_status_);
    if (ar.loading()) {
        forget_derived_state();
        Event probe;
        EventQueue copy = events_;
        while (copy.pop_due(kNever, probe))
            if (probe.owner >= devices_.size())
                ar.fail("an event belongs to no device");
    }
}

u64 Machine::hash() {
    HashArchive ar;
    serialize(ar);
    return ar.digest();
}

std::vector<u8> Machine::snapshot() {
    SaveArchive ar;
    serialize(ar);
    return ar.take();
}

// A snapshot that does not fit must leave the machine as it was, so the present state is kept until the end.
Result<void> Machine::restore(std::span<const u8> snapshot) {
    const std::vector<u8> before = this->snapshot();
    LoadArchive ar(snapshot);
    serialize(ar);
    const Result<void> finished = ar.finish();
    if (!finished.ok()) {
        LoadArchive back(before);
        serialize(back);
        EMU_ASSERT(back.finish().ok(), "a snapshot taken a moment ago does not load");
        return Error{"the snapshot cannot be loaded: " + finished.error().message};
    }
    return {};
}

} // namespace forkscope
