// Owns: FakeWiring, a machine without CPU: a bus, a clock that the test moves, the event queue, records of what left.
// Callers: the device tests. Promises: events are served in order, each at its own cycle, as the Machine does it.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "devices/device.hpp"

namespace forkscope {

class FakeWiring : public Wiring, public InterruptInput {
  public:
    explicit FakeWiring(u64 cycles_per_second = 100000000) : rate_(cycles_per_second) {}

    void add(Device& device) {
        device.number = static_cast<u32>(devices_.size());
        devices_.push_back(&device);
        device.attach(*this);
    }
    // Lines also reach this controller from now on.
    void connect(InterruptInput& controller) { controller_ = &controller; }

    void out(u16 port, u32 value, u32 size = 1) { bus_.write_port(port, size, value); }
    u32 in(u16 port, u32 size = 1) { return bus_.read_port(port, size); }

    // Serves every event due up to `cycle`, each at its time, and is at `cycle` afterwards.
    void advance_to(Cycles cycle) {
        Event event;
        while (events.next() <= cycle) {
            now_ = std::max(now_, events.next());
            events.pop_due(now_, event);
            devices_[event.owner]->on_event(event.what);
        }
        now_ = std::max(now_, cycle);
    }
    void advance(Cycles cycles) { advance_to(now_ + cycles); }
    void advance_microseconds(u64 microseconds) { advance(microseconds * rate_ / 1000000 + 1); }
    // Moves the clock without serving anything, as a long instruction does.
    void be_late(Cycles cycles) { now_ += cycles; }

    void serialize(Archive& ar) {
        ar.field("now", now_);
        ar.nested("events", events);
        ar.field("a20", a20_);
        for (Device* device : devices_)
            ar.nested(device->name(), *device);
    }
    u64 hash() {
        HashArchive archive;
        serialize(archive);
        return archive.digest();
    }
    std::vector<u8> save() {
        SaveArchive archive;
        serialize(archive);
        return archive.take();
    }
    Result<void> load(const std::vector<u8>& bytes) {
        LoadArchive archive(bytes);
        serialize(archive);
        return archive.finish();
    }

    Bus& bus() override { return bus_; }
    Tracer& tracer() override { return trace; }
    Cycles now() const override { return now_; }
    u64 cycles_per_second() const override { return rate_; }
    void schedule(Device& device, Cycles when, u32 what) override { events.schedule(when, device.number, what); }
    void cancel(Device& device, u32 what) override { events.cancel(device.number, what); }
    IrqLine irq(u8 line) override { return {this, line}; }
    void output(std::string_view channel, u8 byte) override { sent[std::string(channel)] += static_cast<char>(byte); }
    void request_exit(u32 status) override { exits.push_back(status); }
    void request_reset() override { ++resets; }
    void set_a20(bool enabled) override { a20_ = enabled; }
    bool a20() const override { return a20_; }

    void set_line(u8 line, bool level) override {
        if (level && !lines[line])
            rises[line].push_back(now_);
        lines[line] = level;
        if (controller_ != nullptr)
            controller_->set_line(line, level);
    }

    EventQueue events;
    Tracer trace;
    std::map<std::string, std::string> sent;
    std::vector<u32> exits;
    int resets = 0;
    std::array<bool, 16> lines{};
    std::array<std::vector<Cycles>, 16> rises;

  private:
    u64 rate_;
    Cycles now_ = 0;
    bool a20_ = false;
    Bus bus_;
    std::vector<Device*> devices_;
    InterruptInput* controller_ = nullptr;
};

} // namespace forkscope
