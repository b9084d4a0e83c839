// Owns: Inspection, what a subject is, in lines, and where one can go from it.
// Callers: both faces show it where a row or cell was chosen. Promises: looking changes nothing; what takes a search
// through the past is a command of the stepper's, which the face runs.
#pragma once

#include <string>
#include <vector>

#include "emu/session/session.hpp"
#include "emu/view/subject.hpp"

namespace forkscope {

struct Inspection {
    struct Offer {
        std::string what, command; // of the stepper, or of the choices of a view
    };

    std::string title;
    std::vector<std::string> lines;
    std::string why;           // a command that says who made it; empty: none
    std::vector<Offer> offers; // the first one is what a double click does

    std::string text() const; // the lines
};

Inspection inspect(const Subject& subject, Session& session);

} // namespace forkscope
