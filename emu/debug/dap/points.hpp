// Owns: DapPoints, a client's breakpoints as the stepper's: by source line, function, instruction, data, and the events
// that the client lists as exceptions (stops of fork, page faults, stores into page tables and so on).
// Callers: DapAdapter. Promises: a client's new list of a kind replaces the old one; what cannot be set says why.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "emu/session/stepper/stepper.hpp"

namespace forkscope {

class DapPoints {
  public:
    using Json = nlohmann::json;

    explicit DapPoints(Stepper& stepper) : stepper_(stepper) {}

    // What the client may choose from, for its capabilities.
    static Json filters();
    // A request's arguments; the body of its answer.
    Json set_source(const Json& arguments);
    Json set_functions(const Json& arguments);
    Json set_instructions(const Json& arguments);
    Json set_data(const Json& arguments);
    Json set_filters(const Json& arguments);
    Json lines_with_code(const Json& arguments) const;

    // Those that a move was met by, and how a client calls such a stop.
    struct Met {
        std::vector<u32> numbers;
        std::string reason;
    };
    Met met() const;

  private:
    struct Point {
        u32 number = 0; // the stepper's
        std::string reason;
        std::vector<u32> addresses; // of code; empty: not by place
    };
    struct Lines { // of a source file in one image
        const ElfImage* image = nullptr;
        std::string program; // empty: the kernel
        std::string file;
    };
    std::optional<Lines> image_with(const std::string& path) const;

    void clear(const std::string& group);
    // Sets one, or says why not: an element of the answer.
    Json add(const std::string& group, const Json& wanted, const std::string& condition, Point point);

    Stepper& stepper_;
    std::map<std::string, std::vector<Point>> groups_;
};

} // namespace forkscope
