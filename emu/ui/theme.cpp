#include "emu/ui/theme.hpp"

namespace forkscope::ui {

namespace {

constexpr unsigned char kMono[] = {
#include "emu/ui/font/mono.inc"
};
constexpr unsigned char kMonoBold[] = {
#include "emu/ui/font/mono_bold.inc"
};

constexpr std::array<ImWchar, 13> kRanges = {0x20,   0x7E,   0xB7,   0xB7,   0xD7,   0xD7, 0x2013,
                                             0x2026, 0x2190, 0x2193, 0x258C, 0x2717, 0};

ImFont* add_font(const unsigned char* bytes, std::size_t size) {
    ImFontConfig config;
    config.FontDataOwnedByAtlas = false;
    config.OversampleH = 1;
    config.OversampleV = 1;
    config.PixelSnapH = true; // letters begin at whole pixels, so that every renderer shows the same
    return ImGui::GetIO().Fonts->AddFontFromMemoryTTF(const_cast<unsigned char*>(bytes), static_cast<int>(size),
                                                      kFontSize, &config, kRanges.data());
}

ImVec4 vector(Colour colour) { return ImGui::ColorConvertU32ToFloat4(colour); }

} // namespace

Colour colour_of(PageState state) {
    constexpr std::array<Colour, kPageStates> kColours = {kAbsent, kPrivate,     kSharedReadOnly, kSharedWritable,
                                                          kKernel, kWindowEntry, kKernel};
    return kColours[static_cast<std::size_t>(state)];
}

Colour colour_of(FaultClass fault_class) {
    switch (fault_class) {
    case FaultClass::CowCopy:
    case FaultClass::CowReuse:
    case FaultClass::KernelCopy:
        return kSharedReadOnly;
    case FaultClass::Protection:
    case FaultClass::NoMemory:
        return kBad;
    case FaultClass::DemandZero:
    case FaultClass::File:
    case FaultClass::Stack:
    case FaultClass::Resident:
        return kPrivate;
    default:
        return kDim;
    }
}

Fonts load_fonts() {
    Fonts fonts;
    fonts.regular = add_font(kMono, sizeof kMono);
    fonts.bold = add_font(kMonoBold, sizeof kMonoBold);
    return fonts;
}

void apply_style() {
    ImGui::StyleColorsDark();
    ImGuiStyle& style = ImGui::GetStyle();
    style.WindowPadding = {0, 0};
    style.WindowBorderSize = 0;
    style.ChildBorderSize = 0;
    style.ItemSpacing = {6, 0};
    style.FramePadding = {10, 5};
    style.FrameRounding = 3;
    style.ScrollbarSize = 9;
    style.ScrollbarRounding = 3;
    style.AntiAliasedLinesUseTex = false; // plain geometry: the software renderer needs no filtering
    style.Colors[ImGuiCol_WindowBg] = vector(kBackground);
    style.Colors[ImGuiCol_ChildBg] = {0, 0, 0, 0};
    style.Colors[ImGuiCol_Text] = vector(kText);
    style.Colors[ImGuiCol_TextDisabled] = vector(kDim);
    style.Colors[ImGuiCol_Button] = vector(kButton);
    style.Colors[ImGuiCol_ButtonHovered] = vector(IM_COL32(0x3A, 0x44, 0x54, 255));
    style.Colors[ImGuiCol_ButtonActive] = vector(IM_COL32(0x4A, 0x58, 0x6E, 255));
    style.Colors[ImGuiCol_PopupBg] = vector(IM_COL32(0x22, 0x26, 0x2E, 255));
    style.Colors[ImGuiCol_ScrollbarBg] = {0, 0, 0, 0};
    style.Colors[ImGuiCol_ScrollbarGrab] = vector(kBorder);
}

} // namespace forkscope::ui
