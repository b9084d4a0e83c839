// Owns: LinkedList, the elements of a list in guest memory: followed by a pointer, or around a ring of links.
// Callers: expressions. Promises: ends at a null pointer, at the start, at an address that comes again, and at `most`;
// a link that cannot be read is the last element, and says so itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "emu/symbols/inspect/value_text.hpp"

namespace forkscope {

class LinkedList {
  public:
    LinkedList(const PeekMemory& memory, ValueReader& reader, u32 most)
        : memory_(memory), reader_(reader), most_(most) {}

    // The structures from `first` on; `link` is a pointer among their members.
    Result<ValueNode> follow(const Type& type, u32 first, const std::vector<std::string>& link);
    // Those whose member `link` is in the ring of `head`, which is such a link itself.
    Result<ValueNode> ring(const Type& type, u32 head, const std::vector<std::string>& link);

  private:
    ValueNode collect(const Type& type, u32 first, const std::function<u32(u32 address)>& next);
    u32 pointer_in(const GuestValue& value) const;

    const PeekMemory& memory_;
    ValueReader& reader_;
    u32 most_;
};

} // namespace forkscope
