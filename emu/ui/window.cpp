#include "emu/ui/window.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <SDL.h>
#include <backends/imgui_impl_sdl.h>

#include "emu/base/log.hpp"
#include "emu/ui/keys.hpp"
#include "emu/ui/panels/panels.hpp"
#include "emu/ui/run_control.hpp"
#include "emu/ui/sdl_renderer.hpp"

namespace forkscope {

namespace {

using namespace ui;
using ui::Command; // not the one of options

constexpr int kFramesPerSecond = 60;
constexpr int kIdleMilliseconds = 100;
constexpr Uint64 kMovingMilliseconds = 60; // between two frames on a long way
constexpr int kDebuggedMilliseconds = 5;   // a debugger's questions do not wake the window
constexpr int kFramesPerLook = 4; // while the guest runs, the panels beside the screen follow at this part of the rate

Error no_window(const char* what) {
    return Error{fmt::format("cannot open the window: {}: {}; use --headless, or set DISPLAY to a running X server",
                             what, SDL_GetError())};
}

struct WindowCloser {
    void operator()(SDL_Window* window) const { SDL_DestroyWindow(window); }
    void operator()(SDL_Renderer* renderer) const { SDL_DestroyRenderer(renderer); }
    void operator()(SDL_Texture* texture) const { SDL_DestroyTexture(texture); }
};

} // namespace

// SDL, the window and ImGui, opened and closed in order.
class Window::Host {
  public:
    Host() = default;
    ~Host() {
        if (context_ != nullptr) {
            if (connected_)
                ImGui_ImplSDL2_Shutdown();
            ImGui::DestroyContext(context_);
        }
        monitor_.reset();
        letters_.reset();
        renderer_.reset();
        window_.reset();
        SDL_QuitSubSystem(SDL_INIT_VIDEO);
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    Result<void> open() {
        if (auto opened = open_display(); !opened.ok())
            return opened;
        if (auto opened = open_window(); !opened.ok())
            return opened;
        context_ = ImGui::CreateContext();
        ImGui::SetCurrentContext(context_);
        ImGui::GetIO().IniFilename = nullptr;
        ImGui::GetIO().BackendFlags |= ImGuiBackendFlags_RendererHasVtxOffset;
        apply_style();
        fonts_ = load_fonts();
        connected_ = ImGui_ImplSDL2_InitForSDLRenderer(window_.get());
        letters_.reset(make_font_texture(renderer_.get()));
        if (!connected_ || letters_ == nullptr)
            return no_window("no texture for the letters");
        return {};
    }

    void unhide() { SDL_ShowWindow(window_.get()); }

    void begin_frame() {
        ImGui_ImplSDL2_NewFrame();
        ImGuiIO& io = ImGui::GetIO();
        scale_ = frame_scale(io.DisplaySize);
        io.DisplaySize = {io.DisplaySize.x / scale_, io.DisplaySize.y / scale_};
        if (ImGui::IsMousePosValid(&io.MousePos))
            io.MousePos = {io.MousePos.x / scale_, io.MousePos.y / scale_};
        ImGui::NewFrame();
    }

    void end_frame() const {
        ImGui::Render();
        SDL_SetRenderDrawColor(renderer_.get(), 0x12, 0x14, 0x18, 255);
        SDL_RenderClear(renderer_.get());
        SDL_RenderSetScale(renderer_.get(), scale_, scale_);
        render_with_sdl(*ImGui::GetDrawData(), renderer_.get());
        SDL_RenderPresent(renderer_.get());
    }

    ScreenTexture show(const Picture& picture) {
        int width = 0;
        int height = 0;
        if (monitor_ != nullptr)
            SDL_QueryTexture(monitor_.get(), nullptr, nullptr, &width, &height);
        if (picture.width <= 0 || picture.height <= 0)
            return {};
        if (width != picture.width || height != picture.height) {
            monitor_.reset(SDL_CreateTexture(renderer_.get(), SDL_PIXELFORMAT_RGBA32, SDL_TEXTUREACCESS_STREAMING,
                                             picture.width, picture.height));
            if (monitor_ != nullptr)
                SDL_SetTextureScaleMode(monitor_.get(), SDL_ScaleModeLinear);
        }
        if (monitor_ == nullptr)
            return {};
        SDL_UpdateTexture(monitor_.get(), nullptr, picture.pixels.data(), 4 * picture.width);
        return {monitor_.get(), picture.width, picture.height};
    }

    const Fonts& fonts() const { return fonts_; }

  private:
    static Result<void> open_display() {
        SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
        if (SDL_InitSubSystem(SDL_INIT_VIDEO) != 0)
            return no_window("no display");
        // SDL falls back to drivers that show nothing; use those only on request.
        const std::string_view driver = SDL_GetCurrentVideoDriver();
        if ((driver == "dummy" || driver == "offscreen") && SDL_getenv("SDL_VIDEODRIVER") == nullptr) {
            SDL_SetError("SDL found only its driver '%s', which shows nothing", driver.data());
            return no_window("no display");
        }
        return {};
    }

    Result<void> open_window() {
        window_.reset(SDL_CreateWindow("Forkscope", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED,
                                       static_cast<int>(kDefaultWidth), static_cast<int>(kDefaultHeight),
                                       SDL_WINDOW_RESIZABLE | SDL_WINDOW_HIDDEN));
        if (window_ == nullptr)
            return no_window("no window");
        SDL_SetWindowMinimumSize(window_.get(), 800, 480);
        renderer_.reset(SDL_CreateRenderer(window_.get(), -1, SDL_RENDERER_PRESENTVSYNC));
        if (renderer_ == nullptr)
            renderer_.reset(SDL_CreateRenderer(window_.get(), -1, SDL_RENDERER_SOFTWARE));
        if (renderer_ == nullptr)
            return no_window("no renderer");
        return {};
    }

    // Small windows show the frame reduced, those of twice the size (fine displays) enlarged by a whole number.
    static float frame_scale(ImVec2 size) {
        const float fits = std::min(size.x / kLeastWidth, size.y / kLeastHeight);
        return fits < 1 ? std::max(fits, 0.2f) : std::floor(fits);
    }

    std::unique_ptr<SDL_Window, WindowCloser> window_;
    std::unique_ptr<SDL_Renderer, WindowCloser> renderer_;
    std::unique_ptr<SDL_Texture, WindowCloser> letters_, monitor_;
    ImGuiContext* context_ = nullptr;
    bool connected_ = false;
    float scale_ = 1;
    Fonts fonts_;
};

namespace {

// Keys for the guest, and those that it must not see because they steer the machine.
class Keys {
  public:
    explicit Keys(Session& session) : session_(session) {}

    // `chosen`: a row is, and Ctrl+C copies it; `stands`: the machine does, and the guest waits for no key.
    Command press(const SDL_KeyboardEvent& key, bool in_past, bool chosen, bool stands) {
        const Command command = command_of(key.keysym);
        if (command.asked())
            return key.repeat != 0 && !may_repeat(command) ? Command{} : command;
        if (const Command own = command_of_chord(key.keysym, chosen, stands); own.asked())
            return own;
        // Esc that came too late to end a move must not start a branch.
        if (in_past && key.keysym.sym == SDLK_ESCAPE)
            return {};
        if (is_modifier(key.keysym.scancode)) // only together with what it changes: it is also the window's
            shift_.insert(key.keysym.scancode);
        else if (key_event(key.keysym.scancode, KeyMove::Press)) {
            for (const SDL_Scancode shift : std::exchange(shift_, {}))
                inject(shift);
            inject(key.keysym.scancode);
        }
        return {};
    }

    void release(SDL_Scancode key) {
        shift_.erase(key);
        if (held_.erase(key) != 0)
            let_go_.push_back(key);
    }

    // What was let go of reaches the guest in the present alone: in the past it would start a branch.
    void settle(bool in_past) {
        if (in_past)
            return;
        for (const SDL_Scancode key : std::exchange(let_go_, {}))
            if (const auto event = key_event(key, KeyMove::Release))
                session_.inject(*event);
    }

    // Another window gets the releases: a held Alt must not stay held.
    void release_all() {
        const std::set<SDL_Scancode> held = held_;
        for (const SDL_Scancode key : held)
            release(key);
    }

  private:
    static bool is_modifier(SDL_Scancode key) {
        return key == SDL_SCANCODE_LSHIFT || key == SDL_SCANCODE_RSHIFT || key == SDL_SCANCODE_LCTRL ||
               key == SDL_SCANCODE_RCTRL;
    }

    // What Ctrl makes the window's own.
    static Command command_of_chord(const SDL_Keysym& key, bool chosen, bool stands) {
        if ((key.mod & KMOD_CTRL) == 0)
            return {};
        if (key.sym == SDLK_c && chosen)
            return {.kind = (key.mod & KMOD_SHIFT) != 0 ? Command::Kind::CopyPanel : Command::Kind::Copy};
        if ((key.sym == SDLK_l || key.sym == SDLK_f) && stands)
            return {.kind = Command::Kind::Ask, .words = key.sym == SDLK_f ? "/" : ""};
        return {};
    }

    static bool may_repeat(const Command& command) {
        return command.kind == Command::Kind::Move &&
               (command.grain == Grain::Instruction || command.grain == Grain::Line);
    }

    static Command command_of(const SDL_Keysym& key) {
        const Way way = (key.mod & KMOD_SHIFT) != 0 ? Way::Backwards : Way::Forwards;
        if (key.sym == SDLK_F5)
            return {.kind = way == Way::Forwards ? Command::Kind::RunOrPause : Command::Kind::Reverse};
        for (const MoveKey& move : move_keys())
            if (move.function_key != 0 && key.sym == SDLK_F1 + move.function_key - 1)
                return move_by(move.grain, way);
        return {};
    }

    void inject(SDL_Scancode key) {
        if (const auto event = key_event(key, KeyMove::Press))
            session_.inject(*event);
        held_.insert(key);
    }

    Session& session_;
    std::set<SDL_Scancode> held_;      // that the guest knows of
    std::set<SDL_Scancode> shift_;     // that it does not
    std::vector<SDL_Scancode> let_go_; // that it is to hear of
};

bool is_function_key(SDL_Keycode key) { return key >= SDLK_F1 && key <= SDLK_F12; }

// In how many frames ImGui has taken in an event, before what follows it may come. It looks at keys once a frame, and
// would miss one that was pressed and let go between two; only two frames behind a click it says that it takes text.
u32 frames_for(const SDL_Event& event, const Command& command) {
    const SDL_Keycode key = event.key.keysym.sym;
    const bool letter = key >= ' ' && key < SDLK_DELETE; // these come as text besides
    if (event.type == SDL_MOUSEBUTTONDOWN || command.kind == Command::Kind::Ask)
        return 2;
    return event.type == SDL_KEYDOWN && !letter && ImGui::GetIO().WantTextInput ? 1 : 0;
}

// False when the window is to close. `frames`: that pass until events are looked at again.
bool handle_events(Keys& keys, RunControl& control, Touch& touch, u32& frames) {
    const auto obey = [&](const Command& command) {
        switch (command.kind) {
        case Command::Kind::Copy:
            SDL_SetClipboardText(touch.chosen_text().c_str());
            control.notice("copied: " + touch.chosen_text());
            break;
        case Command::Kind::CopyPanel:
            touch.collect();
            break;
        case Command::Kind::Ask:
            touch.ask_for_line(command.words);
            break;
        default:
            control.obey(command);
        }
    };
    frames -= std::min(frames, 1u);
    SDL_Event event;
    while (frames == 0 && SDL_PollEvent(&event) != 0) {
        Command command;
        ImGui_ImplSDL2_ProcessEvent(&event);
        switch (event.type) {
        case SDL_QUIT:
            return false;
        case SDL_KEYDOWN:
            if (event.key.keysym.sym == SDLK_ESCAPE && touch.has_choice())
                touch.let_go();
            else if (!ImGui::GetIO().WantTextInput || is_function_key(event.key.keysym.sym))
                command = keys.press(event.key, control.in_past(), touch.has_choice(), !control.running());
            obey(command);
            break;
        case SDL_MOUSEBUTTONDOWN:
            if (event.button.button == SDL_BUTTON_LEFT)
                touch.press(event.button.clicks);
            break;
        case SDL_KEYUP:
            keys.release(event.key.keysym.scancode);
            break;
        case SDL_WINDOWEVENT:
            if (event.window.event == SDL_WINDOWEVENT_FOCUS_LOST)
                keys.release_all();
            break;
        default:
            break;
        }
        frames = frames_for(event, command);
    }
    keys.settle(control.in_past());
    return true;
}

// While a move takes long: whether Esc or closing ends it. Other keys wait.
bool wants_end() {
    SDL_PumpEvents();
    std::array<SDL_Event, 64> keys;
    const int count =
        SDL_PeepEvents(keys.data(), static_cast<int>(keys.size()), SDL_PEEKEVENT, SDL_KEYDOWN, SDL_KEYDOWN);
    const bool escape = std::any_of(keys.begin(), keys.begin() + std::max(count, 0),
                                    [](const SDL_Event& key) { return key.key.keysym.sym == SDLK_ESCAPE; });
    if (escape)
        SDL_FlushEvent(SDL_KEYDOWN); // what was pressed meanwhile was not meant for what is seen then
    return escape || SDL_HasEvent(SDL_QUIT) == SDL_TRUE;
}

// The seconds since the last call; sleeps first where a frame came too early (no vertical sync).
class FrameClock {
  public:
    double next() {
        constexpr double kFrame = 1.0 / kFramesPerSecond;
        double seconds = since();
        if (seconds < kFrame) {
            SDL_Delay(static_cast<Uint32>((kFrame - seconds) * 1000));
            seconds = since();
        }
        last_ = SDL_GetPerformanceCounter();
        return seconds;
    }

  private:
    double since() const {
        return static_cast<double>(SDL_GetPerformanceCounter() - last_) /
               static_cast<double>(SDL_GetPerformanceFrequency());
    }
    Uint64 last_ = SDL_GetPerformanceCounter();
};

} // namespace

namespace {

bool debugged(Session& session) { return session.debugger() != nullptr && session.debugger()->attached(); }

} // namespace

Window::Window(std::unique_ptr<Host> host) : host_(std::move(host)) {}
Window::~Window() = default;

Result<std::unique_ptr<Window>> Window::open() {
    auto host = std::make_unique<Host>();
    if (auto opened = host->open(); !opened.ok())
        return opened.error();
    return std::unique_ptr<Window>(new Window(std::move(host)));
}

void Window::show(Session& session) {
    Host& host = *host_;
    host.unhide();
    Machine& machine = session.machine();
    RunControl control(session);
    Keys keys(session);
    FrameClock clock;
    View view;
    Touch touch;
    ScreenTexture screen;
    u32 frames = 0;   // that have to pass until events are looked at
    Uint64 shown = 0; // when the window did something last, in milliseconds
    const auto draw = [&] {
        control.describe(view);
        host.begin_frame();
        const ui::Command command = draw_frame(view, screen, host.fonts(), touch);
        host.end_frame();
        shown = SDL_GetTicks64();
        return command;
    };
    control.set_interrupted([&] {
        if (SDL_GetTicks64() < shown + kMovingMilliseconds)
            return false;
        static_cast<void>(draw());
        return wants_end();
    });
    const auto events = [&] {
        shown = SDL_GetTicks64();
        return handle_events(keys, control, touch, frames);
    };
    u64 seen = ~u64{0}, answered = 0;
    for (u64 frame = 0;; ++frame) {
        if (!control.running()) // nothing moves without input
            SDL_WaitEventTimeout(nullptr, debugged(session) ? kDebuggedMilliseconds : kIdleMilliseconds);
        if (!events())
            break;
        control.advance(clock.next());
        const bool due = !control.running() || frame % kFramesPerLook == 0;
        if (due && control.moves() != seen) {
            view = observe(session, control.choices());
            seen = control.moves();
        }
        screen = host.show(machine.vga().render(Blinking::ByTime));
        const ui::Command command = draw();
        if (command.kind == ui::Command::Kind::Ask)
            touch.ask_for_line(command.words);
        else
            control.obey(command);
        if (const std::string text = touch.take_collected(); !text.empty()) {
            SDL_SetClipboardText(text.c_str());
            control.notice("copied: all rows of the panel");
        }
        if (std::string notice = touch.take_notice(); !notice.empty())
            control.notice(std::move(notice));
        if (std::exchange(answered, control.answers()) != control.answers())
            touch.bring_to_front(PanelId::answer, Touch::Focus::Stays);
    }
}

} // namespace forkscope
