// Owns: Face, the stepper as a person at a terminal has it: panels, keys, a line for commands, the guest's keyboard.
// Callers: Terminal, tests. Promises: only the stepper and slices of the session move the machine; a long move can be
// interrupted; whatever is pressed, at whatever size, it goes on.
#pragma once

#include <array>
#include <optional>

#include "emu/report/stepper/step_commands.hpp"
#include "emu/terminal/command_line.hpp"
#include "emu/terminal/panels.hpp"
#include "emu/terminal/screen.hpp"

namespace forkscope::terminal {

class Face {
  public:
    Face(Session& session, Screen& screen);

    // At a place in a recording: nothing runs.
    void stand();
    // Runs until the run ends or somebody interrupts it, as fast as the host can.
    void run_to_stop();
    // The same at the pace of real time, and keys go to the guest.
    void run_for_guest();
    // Until the person quits.
    void work();

    Canvas picture();

  private:
    struct PanelPlace {
        std::size_t top = 0;
        bool follows = true;               // the current line, until somebody scrolls
        std::optional<std::size_t> cursor; // the chosen line
    };

    void press(const Key& key);
    void obey(const KeyMeaning& meaning);
    void line_done();
    void execute(const std::string& command);
    void say(const std::string& heading, const std::string& text, Style style);
    void take_messages();
    void help();
    void search(const std::string& text);
    void scroll(Act act);
    void move_cursor(Act act);
    void choose_line();
    void go_to_moment();
    void copy();
    Subject chosen();
    void look();
    void show();
    void progress();
    bool guest_key(const Key& key);
    void run_ended();

    PanelText text_of(PanelId panel) const;
    PanelPlace& place_of(PanelId panel) { return places_[static_cast<std::size_t>(panel)]; }
    void draw_slot(Canvas& canvas, const Slot& slot);
    Line status() const;
    Layout layout() const;

    Session& session_;
    Screen& screen_;
    Stepper stepper_;
    StepCommands commands_;
    Choices choices_;
    std::optional<Subject> inspected_; // by the last key
    Scene scene_;
    CpuState before_{};
    bool has_before_ = false;
    Focus focus_;
    Zoom zoom_ = Zoom::All;
    std::array<PanelPlace, kPanels> places_;
    std::vector<Line> answers_;
    CommandLine line_;
    bool searching_ = false;
    std::string searched_;
    std::string under_way_; // what the machine does; empty: it stands
    std::size_t beats_ = 0;
    double last_progress_ = 0;
    bool quit_ = false;
};

} // namespace forkscope::terminal
