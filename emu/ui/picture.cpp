#include "emu/ui/picture.hpp"

#include "emu/base/log.hpp"
#include "emu/ui/panels/panels.hpp"
#include "emu/ui/png.hpp"
#include "emu/ui/rasterizer.hpp"

namespace forkscope {

namespace {

using namespace ui;

// Panels learn how long their contents are in the first frame, so the first ones are not shown.
constexpr int kFrames = 5;

// A context of its own, so that a window may be open at the same time.
class OffscreenContext {
  public:
    OffscreenContext() : before_(ImGui::GetCurrentContext()), own_(ImGui::CreateContext()) {
        ImGui::SetCurrentContext(own_);
        ImGuiIO& io = ImGui::GetIO();
        io.IniFilename = nullptr;
        io.LogFilename = nullptr;
        io.DisplaySize = {kDefaultWidth, kDefaultHeight};
        io.DeltaTime = 1.0f / 60;
        io.BackendFlags |= ImGuiBackendFlags_RendererHasVtxOffset;
        apply_style();
        fonts_ = load_fonts();
        unsigned char* pixels = nullptr;
        io.Fonts->GetTexDataAsRGBA32(&pixels, &atlas_.width, &atlas_.height);
        atlas_.pixels = reinterpret_cast<const u32*>(pixels);
        io.Fonts->SetTexID(&atlas_);
    }
    ~OffscreenContext() {
        ImGui::DestroyContext(own_);
        ImGui::SetCurrentContext(before_);
    }
    OffscreenContext(const OffscreenContext&) = delete;
    OffscreenContext& operator=(const OffscreenContext&) = delete;

    const Fonts& fonts() const { return fonts_; }

  private:
    ImGuiContext* before_;
    ImGuiContext* own_;
    Texture atlas_;
    Fonts fonts_;
};

} // namespace

Result<void> save_screenshot(Machine& machine, const ForkTracer* tracer, Symbolizer& symbols, const std::string& path) {
    const OffscreenContext context;
    View view = observe(machine, tracer, symbols);
    view.status = view.inside_fork        ? fmt::format("{}; at {}", view.tables.note, view.code.place)
                  : view.registers.halted ? fmt::format("the guest waits for an interrupt; at {}", view.code.place)
                                          : fmt::format("at {}", view.code.place);
    const Picture picture = machine.vga().render();
    Texture monitor{picture.width, picture.height, picture.pixels.data()};
    const ScreenTexture screen{&monitor, picture.width, picture.height};
    Touch touch;
    for (int i = 0; i < kFrames; ++i) {
        ImGui::NewFrame();
        static_cast<void>(draw_frame(view, screen, context.fonts(), touch));
        ImGui::Render();
    }
    Canvas canvas;
    canvas.width = static_cast<int>(kDefaultWidth);
    canvas.height = static_cast<int>(kDefaultHeight);
    rasterize(*ImGui::GetDrawData(), kBackground, canvas);
    return write_png(canvas, path);
}

} // namespace forkscope
