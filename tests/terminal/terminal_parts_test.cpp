#include <gtest/gtest.h>

#include "emu/terminal/clipboard.hpp"
#include "emu/terminal/command_line.hpp"
#include "emu/terminal/layout.hpp"
#include "emu/terminal/panels.hpp"

namespace forkscope::terminal {

TEST(TerminalCanvas, ShowsNothingThatSteersATerminal) {
    Canvas canvas(2, 20);
    canvas.put(0, 0, 20,
               "a\x1b[2Jb\x07\xc2\x9b"
               "c");
    for (int column = 0; column < canvas.columns(); ++column) {
        const std::string& character = canvas.at(0, column).character;
        EXPECT_FALSE(character.size() == 1 && (character[0] < ' ' || character[0] == 0x7F)) << column;
        EXPECT_NE(character, "\xc2\x9b");
    }
    EXPECT_EQ(canvas.row_text(0).substr(0, 6), "a\\x1b[");
}

TEST(TerminalCanvas, GivesEachCharacterOneCell) {
    EXPECT_EQ(cells_of("a→漢│"), (std::vector<std::string>{"a", "→", "?", "│"}));
    EXPECT_EQ(cells_of("\tx").size(), 9u);
    Canvas canvas(1, 4);
    EXPECT_EQ(canvas.put(0, 2, 10, "abcdef"), 6);
    EXPECT_EQ(canvas.row_text(0), "  ab");
    canvas.put(7, -3, 5, "outside");
    EXPECT_EQ(canvas.row_text(0), "  ab");
}

TEST(TerminalLayout, CoversEveryRowAndNeverOverlaps) {
    Focus focus;
    for (const auto& [rows, columns] : {std::pair{24, 80}, {30, 100}, {39, 200}, {40, 132}, {60, 250}, {200, 80}}) {
        const Layout layout = lay_out(rows, columns, focus, Zoom::All);
        std::vector<int> owners(static_cast<std::size_t>((rows - 2) * columns), 0);
        std::size_t panels = 0;
        for (const Slot& slot : layout.slots) {
            panels += slot.panels.size();
            EXPECT_GE(slot.rect.rows, 3);
            for (int row = slot.rect.row; row < slot.rect.row + slot.rect.rows; ++row)
                for (int column = slot.rect.column; column < slot.rect.column + slot.rect.columns; ++column)
                    ++owners.at(static_cast<std::size_t>(row * columns + column));
        }
        EXPECT_EQ(panels, kPanels) << rows << " x " << columns;
        EXPECT_EQ(std::count(owners.begin(), owners.end(), 2), 0) << rows << " x " << columns;
        EXPECT_LE(std::count(owners.begin(), owners.end(), 0), 2 * (rows - 2)) << rows << " x " << columns;
    }
}

TEST(TerminalLayout, HasNoRoomBelowItsLeastSize) {
    Focus focus;
    for (const auto& [rows, columns] : {std::pair{23, 80}, {24, 79}, {1, 1}, {0, 0}})
        EXPECT_TRUE(lay_out(rows, columns, focus, Zoom::One).slots.empty());
}

TEST(TerminalLayout, BringsThePanelWithTheKeysToTheFront) {
    Focus focus;
    for (std::size_t i = 0; i < kPanels; ++i, focus.next())
        EXPECT_NE(lay_out(24, 80, focus, Zoom::All).slot_of(focus.panel()), nullptr) << panel_title(focus.panel());
    focus.give(PanelId::Tlb);
    focus.give(PanelId::Source);
    EXPECT_NE(lay_out(24, 80, focus, Zoom::All).slot_of(PanelId::Tlb), nullptr);
    EXPECT_EQ(lay_out(24, 80, focus, Zoom::One).slots.size(), 1u);
}

TEST(TerminalKeys, MeanTheCommandsOfTheStepper) {
    const auto words = [](const char* key) { return meaning_of({Key::Name::Character, key}).words; };
    EXPECT_EQ(words("s"), "step");
    EXPECT_EQ(words("L"), "back line");
    EXPECT_EQ(words("T"), "back stop");
    EXPECT_EQ(words("e"), "step entry");
    EXPECT_EQ(words("g"), "goto ");
    EXPECT_EQ(meaning_of({Key::Name::Character, "q"}).act, Act::Quit);
    EXPECT_EQ(meaning_of({Key::Name::Enter}).act, Act::Choose);
    EXPECT_EQ(meaning_of({Key::Name::Character, "ö"}).act, Act::None);
}

class TerminalCommandLine : public ::testing::Test {
  protected:
    CommandLine::State press(Key::Name name, const std::string& character = "") {
        return line.press({name, character});
    }
    void type(const std::string& text) {
        for (const std::string& character : cells_of(text))
            press(Key::Name::Character, character);
    }
    void enter(const std::string& text) {
        line.open(":", text);
        press(Key::Name::Enter);
    }
    CommandLine line;
};

TEST_F(TerminalCommandLine, EditsByWholeCharacters) {
    line.open(":", "goto ");
    type("aöb");
    press(Key::Name::Left);
    press(Key::Name::Backspace);
    EXPECT_EQ(line.text(), "goto ab");
    press(Key::Name::Home);
    press(Key::Name::Delete);
    EXPECT_EQ(line.text(), "oto ab");
    press(Key::Name::End);
    press(Key::Name::Character, "\x17");
    EXPECT_EQ(line.text(), "oto ");
    press(Key::Name::Character, "\x15");
    EXPECT_EQ(line.text(), "");
    EXPECT_EQ(press(Key::Name::Backspace), CommandLine::State::Closed);
}

TEST_F(TerminalCommandLine, RemembersWhatWasTyped) {
    enter("one");
    enter("two");
    enter("two");
    line.open(":", "");
    type("new");
    press(Key::Name::Up);
    EXPECT_EQ(line.text(), "two");
    press(Key::Name::Up);
    press(Key::Name::Up);
    EXPECT_EQ(line.text(), "one");
    press(Key::Name::Down);
    press(Key::Name::Down);
    press(Key::Name::Down);
    EXPECT_EQ(line.text(), "new");
    EXPECT_EQ(press(Key::Name::Enter), CommandLine::State::Done);
    line.open(":", "x");
    EXPECT_EQ(press(Key::Name::Escape), CommandLine::State::Closed);
}

// Where a list was dropped nobody says that there is nothing.
TEST(TerminalPanels, SayOfDroppedListsThatTheyAre) {
    const auto says = [](PanelId panel, bool trimmed, const std::string& words) {
        Scene scene;
        scene.view.tables.trimmed = scene.view.faults.trimmed = trimmed;
        const std::vector<Line> lines = panel_text(panel, scene).lines;
        return std::any_of(lines.begin(), lines.end(),
                           [&](const Line& line) { return line.text().find(words) != std::string::npos; });
    };
    for (const PanelId panel : {PanelId::Tables, PanelId::Faults}) {
        EXPECT_TRUE(says(panel, true, "list dropped to bound memory"));
        EXPECT_FALSE(says(panel, true, "none"));
        EXPECT_FALSE(says(panel, false, "dropped"));
    }
    EXPECT_TRUE(says(PanelId::Faults, false, "none yet"));
}

TEST(TerminalClipboard, IsOneControlSequenceInBase64) {
    EXPECT_EQ(clipboard_sequence(""), "\x1b]52;c;\a");
    EXPECT_EQ(clipboard_sequence("f"), "\x1b]52;c;Zg==\a");
    EXPECT_EQ(clipboard_sequence("fo"), "\x1b]52;c;Zm8=\a");
    EXPECT_EQ(clipboard_sequence("foo"), "\x1b]52;c;Zm9v\a");
    const std::string many(200'000, 'x');
    EXPECT_LT(clipboard_sequence(many).size(), 100'010u);
}

} // namespace forkscope::terminal
