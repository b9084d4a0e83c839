#include "emu/terminal/face.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>

#include <fmt/format.h>

#include "emu/base/text/words.hpp"
#include "emu/report/report_text.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope::terminal {

namespace {

constexpr std::size_t kMostAnswers = 4000; // lines
constexpr double kBeat = 0.1;              // seconds between two signs of life

double host_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

// Lines of at most `width` characters; what goes on in the next one is indented there.
std::vector<Line> folded(const std::string& text, std::size_t width, Style style) {
    constexpr std::string_view kIndent = "    ";
    std::vector<Line> lines;
    std::string line;
    std::size_t used = 0;
    for (const std::string& character : cells_of(text)) {
        if (used == width) {
            lines.emplace_back(line, style);
            line = kIndent;
            used = kIndent.size();
        }
        line += character;
        ++used;
    }
    lines.emplace_back(line, style);
    return lines;
}

} // namespace

Face::Face(Session& session, Screen& screen)
    : session_(session), screen_(screen), stepper_(session), commands_(stepper_) {
    stepper_.set_interrupted([this] {
        progress();
        return screen_.interrupted();
    });
    look();
}

// Called on a long way: the picture stays as it was, the status line lives.
void Face::progress() {
    if (host_seconds() - last_progress_ < kBeat)
        return;
    last_progress_ = host_seconds();
    ++beats_;
    show();
}

void Face::look() {
    const CpuState before = scene_.view.registers.now;
    const bool moved =
        scene_.view.cycle != session_.machine().now() || scene_.view.instructions != session_.machine().instructions();
    if (moved && has_before_)
        before_ = before;
    scene_ = scene_of(session_, choices_);
    scene_.view.points = observe_points(stepper_);
    scene_.view.registers.before = before_;
    scene_.view.registers.compare = has_before_ && moved;
    has_before_ = true;
    for (PanelPlace& place : places_) {
        place.follows = place.follows || moved;
        if (moved)
            place.cursor.reset(); // what it was on may lie elsewhere now
    }
}

Layout Face::layout() const {
    const Screen::Size size = screen_.size();
    return lay_out(size.rows, size.columns, focus_, zoom_);
}

PanelText Face::text_of(PanelId panel) const {
    if (panel != PanelId::Answers)
        return panel_text(panel, scene_);
    PanelText text;
    text.lines = answers_;
    return text;
}

void Face::say(const std::string& heading, const std::string& text, Style style) {
    const Layout layout = this->layout();
    const Slot* slot = layout.slot_of(PanelId::Answers);
    const std::size_t width = slot != nullptr ? static_cast<std::size_t>(slot->rect.columns) : kLeastColumns;
    place_of(PanelId::Answers) = {answers_.size(), false, std::nullopt};
    answers_.emplace_back(heading, Style::Accent);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        for (Line& line : folded(text.substr(at, end - at), width, style))
            answers_.push_back(std::move(line));
        at = end + 1;
    }
    if (answers_.size() > kMostAnswers) {
        const std::size_t gone = answers_.size() - kMostAnswers;
        answers_.erase(answers_.begin(), answers_.begin() + static_cast<std::ptrdiff_t>(gone));
        PanelPlace& place = place_of(PanelId::Answers);
        place.top -= std::min(place.top, gone);
    }
}

void Face::take_messages() {
    if (const std::string messages = screen_.messages(); !messages.empty())
        say("!", messages, Style::Bad);
}

void Face::execute(const std::string& command) {
    if (const auto [word, rest] = first_word(command); word == "show") {
        const auto shown = choose(choices_, rest, session_);
        say("> " + command, shown.ok() ? *shown : shown.error().message, shown.ok() ? Style::Plain : Style::Bad);
        look();
        for (PanelPlace& place : places_)
            place.follows = true;
        return;
    }
    screen_.forget_interrupt();
    under_way_ = command.empty() ? "the last move again" : command;
    last_progress_ = host_seconds();
    const StepAnswer answer = commands_.execute(command);
    under_way_.clear();
    screen_.forget_interrupt();
    const bool failed = answer.code == ExitCode::Usage || answer.code == ExitCode::RuntimeError;
    if (!answer.text.empty())
        say("> " + command, answer.text, failed ? Style::Bad : Style::Plain);
    take_messages();
    quit_ = quit_ || answer.quit;
    look();
}

void Face::help() {
    std::string text;
    for (const KeyHelp& one : key_help())
        text += fmt::format("{:<18} {}\n", one.keys, one.text);
    text += "\nCommands, after ':'\n";
    for (const StepCommandHelp& one : step_command_help())
        text += fmt::format("{:<24} {}\n", one.words, one.text);
    text += "\nWhat the panels show, after ':'\n";
    for (const ChoiceHelp& one : choice_help())
        text += fmt::format("{:<32} {}\n", one.words, one.text);
    say("Keys", text, Style::Plain);
    focus_.give(PanelId::Answers);
    zoom_ = Zoom::One;
}

void Face::search(const std::string& text) {
    if (!text.empty())
        searched_ = lower(text);
    const std::vector<Line> lines = text_of(focus_.panel()).lines;
    PanelPlace& place = place_of(focus_.panel());
    for (std::size_t i = 1; i <= lines.size() && !searched_.empty(); ++i) {
        const std::size_t at = (place.top + i) % lines.size();
        if (lower(lines[at].text()).find(searched_) != std::string::npos) {
            place = {at, false, at};
            return;
        }
    }
    say("/" + searched_, fmt::format("not in the panel {}", panel_title(focus_.panel())), Style::Bad);
}

void Face::scroll(Act act) {
    const Layout layout = this->layout();
    const Slot* slot = layout.slot_of(focus_.panel());
    if (slot == nullptr)
        return;
    const std::size_t lines = text_of(focus_.panel()).lines.size();
    const auto rows = static_cast<std::size_t>(std::max(1, slot->inside().rows));
    const std::size_t last = lines > rows ? lines - rows : 0;
    PanelPlace& place = place_of(focus_.panel());
    const std::size_t page = std::max<std::size_t>(1, rows - 1);
    std::size_t top = std::min(place.top, lines);
    switch (act) {
    case Act::PageUp:
        top -= std::min(top, page);
        break;
    case Act::PageDown:
        top = std::min(top + page, std::max(top, last));
        break;
    case Act::Begin:
        top = 0;
        break;
    default:
        top = last;
        break;
    }
    place = {top, false, std::nullopt};
}

// --- The chosen line

void Face::move_cursor(Act act) {
    const Layout layout = this->layout();
    const Slot* slot = layout.slot_of(focus_.panel());
    const std::size_t lines = text_of(focus_.panel()).lines.size();
    if (slot == nullptr || lines == 0)
        return;
    const auto rows = static_cast<std::size_t>(std::max(1, slot->inside().rows));
    PanelPlace& place = place_of(focus_.panel());
    const std::size_t top = std::min(place.top, lines - 1);
    if (!place.cursor)
        place.cursor = act == Act::Down ? top : std::min(top + rows, lines) - 1;
    else if (act == Act::Down)
        place.cursor = std::min(*place.cursor + 1, lines - 1);
    else
        place.cursor = *place.cursor - std::min<std::size_t>(*place.cursor, 1);
    place.follows = false;
    place.top = std::clamp(top, *place.cursor < rows ? 0 : *place.cursor - rows + 1, *place.cursor);
}

Subject Face::chosen() {
    const PanelPlace& place = place_of(focus_.panel());
    return place.cursor ? text_of(focus_.panel()).subject_of(*place.cursor) : Subject{};
}

// What it is; the second time in a row: to the moment that made it.
void Face::choose_line() {
    const Subject subject = chosen();
    if (inspected_)
        return go_to_moment();
    if (!is_something(subject)) {
        if (place_of(focus_.panel()).cursor)
            return say("?", "this line is about nothing that one could go to", Style::Dim);
        return execute("");
    }
    const Inspection shown = inspect(subject, session_);
    const std::string moment = moment_of(subject);
    std::string text = moment.empty() ? "" : fmt::format("Enter again, to the moment that made it: {}\n", moment);
    text += shown.text();
    if (!shown.why.empty()) {
        under_way_ = "looks for who made it";
        screen_.forget_interrupt();
        text += "\n" + commands_.execute(shown.why).text;
        under_way_.clear();
        screen_.forget_interrupt();
    }
    for (const Inspection::Offer& offer : shown.offers)
        text += fmt::format("\n  :{:<36} {}", offer.command, offer.what);
    say(shown.title, text, Style::Plain);
    inspected_ = subject;
}

void Face::go_to_moment() {
    inspected_.reset();
    const std::string moment = moment_of(chosen());
    if (moment.empty())
        return say("?", "choose a line with Up and Down that a moment has made", Style::Dim);
    execute(moment);
}

void Face::copy() {
    const PanelText text = text_of(focus_.panel());
    const std::optional<std::size_t> cursor = place_of(focus_.panel()).cursor;
    std::string copied;
    for (std::size_t i = 0; i < text.lines.size(); ++i)
        if (!cursor || i == *cursor)
            copied += (copied.empty() ? "" : "\n") + text.lines[i].text();
    screen_.copy(copied);
    say("copied",
        cursor ? copied : fmt::format("{} lines of the panel {}", text.lines.size(), panel_title(focus_.panel())),
        Style::Plain);
}

void Face::obey(const KeyMeaning& meaning) {
    if (meaning.act != Act::Choose)
        inspected_.reset();
    switch (meaning.act) {
    case Act::None:
        break;
    case Act::Command:
        execute(std::string(meaning.words));
        break;
    case Act::Choose:
        choose_line();
        break;
    case Act::Go:
        go_to_moment();
        break;
    case Act::Copy:
        copy();
        break;
    case Act::Up:
    case Act::Down:
        move_cursor(meaning.act);
        break;
    case Act::Ask:
        searching_ = false;
        line_.open(":", meaning.words);
        break;
    case Act::Search:
        searching_ = true;
        line_.open("/", "");
        break;
    case Act::Help:
        help();
        break;
    case Act::Run:
        run_for_guest();
        break;
    case Act::Zoom:
        zoom_ = zoom_ == Zoom::All ? Zoom::One : Zoom::All;
        break;
    case Act::NextPanel:
        focus_.next();
        break;
    case Act::PreviousPanel:
        focus_.previous();
        break;
    case Act::Back:
        zoom_ = Zoom::All;
        place_of(focus_.panel()).cursor.reset();
        break;
    case Act::Redraw:
        screen_.redraw();
        break;
    case Act::Quit:
        quit_ = true;
        break;
    default:
        scroll(meaning.act);
        break;
    }
}

void Face::line_done() {
    if (searching_)
        search(line_.text());
    else if (!line_.text().empty())
        execute(line_.text());
}

void Face::press(const Key& key) {
    if (line_.typing() && key.name != Key::Name::Resize && key.name != Key::Name::Closed) {
        if (line_.press(key) == CommandLine::State::Done)
            line_done();
        return;
    }
    obey(meaning_of(key));
}

void Face::work() {
    constexpr int kForEver = -1;
    while (!quit_) {
        take_messages();
        show();
        press(screen_.key(kForEver));
    }
}

void Face::run_ended() {
    under_way_.clear();
    screen_.forget_interrupt();
    take_messages();
    look();
}

void Face::stand() { say("? lists keys and commands", commands_.where_text(), Style::Plain); }

void Face::run_to_stop() {
    constexpr u64 kSlicesPerSecond = 200; // simulated; a few milliseconds of the host
    under_way_ = "to the first stop";
    bool goes_on = true;
    while (goes_on && !screen_.interrupted()) {
        goes_on = session_.run_slice(session_.machine().cycles_per_second() / kSlicesPerSecond);
        if (host_seconds() - last_progress_ >= kBeat)
            scene_ = scene_of(session_, choices_);
        progress();
    }
    run_ended();
    const std::string& message = session_.outcome().message;
    const std::string why = goes_on ? "interrupted" : message.empty() ? session_.outcome().why : message;
    say("? lists keys and commands", why + "\n" + commands_.where_text(), Style::Plain);
}

// False: the person wants to stop.
bool Face::guest_key(const Key& key) {
    using Name = Key::Name;
    constexpr std::string_view kEnter = "\n", kBackspace = "\b", kTab = "\t", kEscape = "\x1b";
    std::string text;
    switch (key.name) {
    case Name::Interrupt:
        return false;
    case Name::Closed:
        quit_ = true;
        return false;
    case Name::Resize:
        screen_.redraw();
        break;
    case Name::Character:
        text = key.character;
        break;
    case Name::Enter:
        text = kEnter;
        break;
    case Name::Backspace:
        text = kBackspace;
        break;
    case Name::Tab:
        text = kTab;
        break;
    case Name::Escape:
        text = kEscape;
        break;
    default:
        break;
    }
    if (!text.empty())
        static_cast<void>(session_.type(text)); // a key that the guest's keyboard lacks does nothing
    return true;
}

void Face::run_for_guest() {
    constexpr double kMostOwed = 0.05; // seconds: who is too slow does not pile up debt
    constexpr u64 kSlicesPerSecond = 1000;
    const Cycles second = std::max<u64>(kSlicesPerSecond, session_.machine().cycles_per_second());
    const PanelId focus = focus_.panel();
    const Zoom zoom = zoom_;
    focus_.give(PanelId::Screen);
    zoom_ = Zoom::One;
    screen_.forget_interrupt();
    under_way_ = "runs; keys go to the guest, Ctrl-C stops";
    double last = host_seconds(), owed = 0, drawn = 0;
    bool goes_on = true, wanted = true;
    while (goes_on && wanted && !screen_.interrupted()) {
        const double now = host_seconds();
        owed = std::min(owed + now - last, kMostOwed);
        last = now;
        for (const double slice = 1.0 / kSlicesPerSecond; owed > slice && goes_on && host_seconds() - now < kMostOwed;
             owed -= slice)
            goes_on = session_.run_slice(second / kSlicesPerSecond);
        if (host_seconds() - drawn > kMostOwed) {
            drawn = host_seconds();
            scene_ = scene_of(session_, choices_);
            ++beats_;
            show();
        }
        constexpr int kMilliseconds = 5;
        for (Key key = screen_.key(goes_on ? kMilliseconds : 0); wanted && key.name != Key::Name::None;
             key = screen_.key(0))
            wanted = guest_key(key);
    }
    run_ended();
    focus_.give(focus);
    zoom_ = zoom;
    say("run", goes_on ? "interrupted" : session_.outcome().why, Style::Plain);
}

} // namespace forkscope::terminal
