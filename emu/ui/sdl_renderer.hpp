// Owns: drawing ImGui's triangles with SDL's renderer.
// Callers: the window. Promises: textures of ImGui are SDL_Texture pointers.
#pragma once

#include <SDL.h>
#include <imgui.h>

namespace forkscope::ui {

// The atlas of the current context's fonts as a texture; the caller destroys it.
SDL_Texture* make_font_texture(SDL_Renderer* renderer);
void render_with_sdl(const ImDrawData& data, SDL_Renderer* renderer);

} // namespace forkscope::ui
