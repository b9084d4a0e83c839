#include <algorithm>
#include <deque>

#include "emu/terminal/face.hpp"
#include "tests/unit/stepper/stepped_session.hpp"

namespace forkscope::terminal {

namespace {

// Gives the keys of a list and keeps the last picture; when they are used up, the person leaves.
class MemoryScreen : public Screen {
  public:
    Size size() const override { return size_; }
    void show(const Canvas& canvas, Cursor) override {
        picture.clear();
        for (int row = 0; row < canvas.rows(); ++row)
            picture += canvas.row_text(row) + "\n";
    }
    void redraw() override {}
    Key key(int) override {
        if (keys.empty())
            return {Key::Name::Closed};
        Key next = keys.front();
        keys.pop_front();
        return next;
    }
    bool interrupted() const override { return interrupt; }
    void forget_interrupt() override {}
    std::string messages() override { return std::exchange(said, ""); }
    void copy(const std::string& text) override { copied = text; }

    void type(const std::string& text) {
        for (const std::string& character : cells_of(text))
            keys.push_back({Key::Name::Character, character});
    }
    void set_size(int rows, int columns) { size_ = {rows, columns}; }
    bool shows(const std::string& text) const { return picture.find(text) != std::string::npos; }

    std::deque<Key> keys;
    std::string picture, said, copied;
    bool interrupt = false;

  private:
    Size size_{30, 100};
};

class TerminalFace : public ::testing::Test {
  protected:
    // A face for each round of keys: it ends when they are used up.
    void press(const std::string& characters) {
        screen.type(characters);
        Face(*session, screen).work();
    }
    std::unique_ptr<Session> session = session_in_fork();
    MemoryScreen screen;
};

} // namespace

TEST_F(TerminalFace, MovesByKeysAndSaysWhere) {
    const u64 start = session->machine().instructions();
    const u64 hash = session->machine().hash();
    press("s");
    EXPECT_EQ(session->machine().instructions(), start + 1);
    press("b");
    EXPECT_EQ(session->machine().hash(), hash);
    EXPECT_TRUE(screen.shows("PAST, 1 before the present")) << screen.picture;
    EXPECT_TRUE(screen.shows("> back")) << screen.picture;
}

TEST_F(TerminalFace, LooksWithoutTouchingAtEverySize) {
    const u64 hash = session->machine().hash();
    for (const auto& [rows, columns] : {std::pair{24, 80}, {60, 200}, {1, 1}, {5, 300}, {23, 79}}) {
        screen.set_size(rows, columns);
        for (std::size_t i = 0; i < kPanels; ++i)
            for (const Key::Name name :
                 {Key::Name::Tab, Key::Name::PageDown, Key::Name::Down, Key::Name::End, Key::Name::Home, Key::Name::Up,
                  Key::Name::PageUp, Key::Name::Resize, Key::Name::Interrupt})
                screen.keys.push_back({name});
        press("z?z");
    }
    EXPECT_EQ(session->machine().hash(), hash);
}

TEST_F(TerminalFace, SearchesInThePanelWithTheKeys) {
    screen.type("/no such text");
    screen.keys.push_back({Key::Name::Enter});
    press("");
    EXPECT_TRUE(screen.shows("not in the panel Source")) << screen.picture;
    screen.type("?/FOREIGN");
    screen.keys.push_back({Key::Name::Escape});
    screen.type("/ctrl-c");
    screen.keys.push_back({Key::Name::Enter});
    press("");
    EXPECT_EQ(screen.picture.find("Ctrl-C"),
              screen.picture.find('\n') + 1 + std::string("R                  run, and type for the guest; ").size())
        << screen.picture;
}

TEST_F(TerminalFace, EndsALongMoveWhenInterrupted) {
    screen.interrupt = true;
    screen.type(":reverse until eax == 0x12345679");
    screen.keys.push_back({Key::Name::Enter});
    press("");
    EXPECT_TRUE(screen.shows("interrupted")) << screen.picture;
}

TEST_F(TerminalFace, ShowsWhatTheProgramSaysOnStderrAndGuestTextAsText) {
    screen.said = "a warning\x1b[2J\n";
    press("");
    EXPECT_TRUE(screen.shows("a warning\\x1b[2J")) << screen.picture;
}

TEST_F(TerminalFace, SaysWhatTheChosenLineIsAndGoesToItsMoment) {
    const u64 start = session->machine().instructions(), hash = session->machine().hash();
    screen.set_size(50, 160);
    const auto choose_stop = [&](int times) {
        for (int i = 0; i < 6; ++i) // from the source's panel to that of the forks
            screen.keys.push_back({Key::Name::Tab});
        screen.keys.push_back({Key::Name::Down});
        screen.keys.push_back({Key::Name::Down});
        for (int i = 0; i < times; ++i)
            screen.keys.push_back({Key::Name::Enter});
        press("");
    };
    choose_stop(1);
    EXPECT_TRUE(screen.shows("stop 0: enter")) << screen.picture;
    EXPECT_TRUE(screen.shows("to the moment that made it")) << screen.picture;
    EXPECT_EQ(session->machine().hash(), hash);
    choose_stop(2);
    EXPECT_LT(session->machine().instructions(), start) << screen.picture;
}

TEST_F(TerminalFace, CopiesTheChosenLineOrThePanel) {
    screen.keys.push_back({Key::Name::Tab});
    press("y");
    EXPECT_GT(std::count(screen.copied.begin(), screen.copied.end(), '\n'), 10) << screen.copied;
    screen.keys.push_back({Key::Name::Tab});
    screen.keys.push_back({Key::Name::Down});
    press("y");
    EXPECT_EQ(std::count(screen.copied.begin(), screen.copied.end(), '\n'), 0) << screen.copied;
    EXPECT_FALSE(screen.copied.empty());
}

TEST_F(TerminalFace, ShowsWhatItIsToldTo) {
    screen.type(":show memory fork_process");
    screen.keys.push_back({Key::Name::Enter});
    screen.keys.push_back({Key::Name::Tab});
    screen.keys.push_back({Key::Name::Tab});
    press("z");
    const u32 address = *session->symbols().address_of("fork_process") & ~15u;
    EXPECT_TRUE(screen.shows(fmt::format("{:08x} ", address))) << screen.picture;
    screen.type(":show nothing");
    screen.keys.push_back({Key::Name::Enter});
    press("");
    EXPECT_TRUE(screen.shows("choose one of")) << screen.picture;
}

} // namespace forkscope::terminal
