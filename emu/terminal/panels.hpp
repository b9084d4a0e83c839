// Owns: what each panel says, as styled lines. Callers: the face, tests. Promises: pure functions of a scene.
#pragma once

#include <optional>

#include "emu/terminal/layout.hpp"
#include "emu/terminal/scene.hpp"

namespace forkscope::terminal {

struct PanelText {
    std::string note; // beside the title
    std::vector<Line> lines;
    std::optional<std::size_t> current; // the line that is to be seen
    std::vector<Subject> subjects;      // of the lines, as far as they have one

    // What the line that was added last is about.
    void about(Subject subject) {
        subjects.resize(lines.size());
        subjects.back() = std::move(subject);
    }
    Subject subject_of(std::size_t line) const { return line < subjects.size() ? subjects[line] : Subject{}; }
};

// Every panel but Answers, which the face keeps.
PanelText panel_text(PanelId panel, const Scene& scene);

} // namespace forkscope::terminal
