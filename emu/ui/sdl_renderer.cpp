#include "emu/ui/sdl_renderer.hpp"

#include <algorithm>
#include <cstddef>

namespace forkscope::ui {

SDL_Texture* make_font_texture(SDL_Renderer* renderer) {
    ImGuiIO& io = ImGui::GetIO();
    unsigned char* pixels = nullptr;
    int width = 0;
    int height = 0;
    io.Fonts->GetTexDataAsRGBA32(&pixels, &width, &height);
    SDL_Texture* texture = SDL_CreateTexture(renderer, SDL_PIXELFORMAT_RGBA32, SDL_TEXTUREACCESS_STATIC, width, height);
    if (texture != nullptr) {
        SDL_UpdateTexture(texture, nullptr, pixels, 4 * width);
        SDL_SetTextureScaleMode(texture, SDL_ScaleModeLinear); // for windows that show the frame reduced
        SDL_SetTextureBlendMode(texture, SDL_BLENDMODE_BLEND);
        io.Fonts->SetTexID(texture);
    }
    return texture;
}

static void draw_command(const ImDrawList& list, const ImDrawCmd& command, ImVec2 origin, SDL_Renderer* renderer) {
    SDL_Rect clip;
    clip.x = std::max(0, static_cast<int>(command.ClipRect.x - origin.x));
    clip.y = std::max(0, static_cast<int>(command.ClipRect.y - origin.y));
    clip.w = static_cast<int>(command.ClipRect.z - origin.x) - clip.x;
    clip.h = static_cast<int>(command.ClipRect.w - origin.y) - clip.y;
    if (clip.w <= 0 || clip.h <= 0)
        return;
    SDL_RenderSetClipRect(renderer, &clip);
    const ImDrawVert* vertices = list.VtxBuffer.Data + command.VtxOffset;
    const auto* bytes = reinterpret_cast<const char*>(vertices);
    SDL_RenderGeometryRaw(renderer, static_cast<SDL_Texture*>(command.GetTexID()),
                          reinterpret_cast<const float*>(bytes + offsetof(ImDrawVert, pos)), sizeof(ImDrawVert),
                          reinterpret_cast<const SDL_Color*>(bytes + offsetof(ImDrawVert, col)), sizeof(ImDrawVert),
                          reinterpret_cast<const float*>(bytes + offsetof(ImDrawVert, uv)), sizeof(ImDrawVert),
                          list.VtxBuffer.Size - static_cast<int>(command.VtxOffset),
                          list.IdxBuffer.Data + command.IdxOffset, static_cast<int>(command.ElemCount),
                          sizeof(ImDrawIdx));
}

void render_with_sdl(const ImDrawData& data, SDL_Renderer* renderer) {
    for (int n = 0; n < data.CmdListsCount; ++n) {
        const ImDrawList& list = *data.CmdLists[n];
        for (const ImDrawCmd& command : list.CmdBuffer)
            if (command.UserCallback == nullptr)
                draw_command(list, command, data.DisplayPos, renderer);
    }
    SDL_RenderSetClipRect(renderer, nullptr);
}

} // namespace forkscope::ui
