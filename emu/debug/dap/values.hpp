// Owns: DapValues, what a client may unfold at one stop: stacks of the guest's processes, scopes, structures, by
// number. Callers: DapAdapter. Promises: memory is read when something is unfolded; numbers hold until the machine
// moves or something is written; how many there are is bounded.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "emu/debug/debug_target.hpp"
#include "emu/symbols/inspect/call_stack.hpp"

namespace forkscope {

class DapValues {
  public:
    using Json = nlohmann::json;

    explicit DapValues(DebugTarget& target) : target_(target) {}

    // The machine is elsewhere, or is not what it was.
    void forget();

    // Of a thread of the guest; nullptr: nothing is known of it. A thread that does not run has the registers with
    // which it gave up the processor.
    const CallStack* stack_of(u32 thread);
    struct Row {
        u32 thread = 0;
        std::size_t row = 0;
    };
    // A frame's number for the client, and back.
    u32 number_of(Row row);
    std::optional<Row> row_of(u64 frame) const;

    Json scopes(const Row& row);
    struct Window {
        u64 start = 0, count = 0; // of the elements; 0: all
    };
    // What a number unfolds to; nothing: there is no such number.
    std::optional<Json> variables(u64 reference, const Window& window);
    // A value as the client shows it, with a number if it can be unfolded. `expression` names it in C.
    Json shown(const GuestValue& value, const CallStack& stack, const std::string& name, const std::string& expression);
    // What a name means within a number: a variable or a member, and its place.
    struct Found {
        GuestValue value;
        const CallStack* stack = nullptr;
    };
    std::optional<Found> find(u64 reference, const std::string& name);
    // The scope of the processor's registers.
    bool is_registers(u64 reference) const;

  private:
    struct Part {
        GuestValue value;
        std::string name, expression;
    };
    struct Locals {
        Row row;
        bool arguments = false;
    };
    struct Structure {
        GuestValue value;
        const CallStack* stack = nullptr;
        std::string expression;
    };
    enum class Table : u8 { Registers, System, Tlb, Pages };
    struct Listing {
        Table table{};
        u32 thread = 0;
    };
    using Unfoldable = std::variant<Locals, Structure, Listing>;

    u32 keep(Unfoldable what);
    std::vector<Part> parts_of(const Locals& locals);
    std::vector<Part> parts_of(const Structure& structure, const Window& window) const;
    Json listing(const Listing& listing);
    Json registers(const GuestThread& thread, bool system) const;
    Json tlb() const;
    Json pages(const GuestThread& thread) const;
    std::optional<GuestState> state_of(const GuestThread& thread) const;

    DebugTarget& target_;
    std::map<u32, std::unique_ptr<CallStack>> stacks_; // by thread
    std::vector<Row> rows_;                            // by number, from 1
    std::vector<Unfoldable> kept_;                     // by number, from 1
};

} // namespace forkscope
