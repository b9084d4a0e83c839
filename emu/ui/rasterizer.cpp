#include "emu/ui/rasterizer.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace forkscope::ui {

namespace {

// Inclusive left and top, exclusive right and bottom.
struct Clip {
    int left, top, right, bottom;
};

// Edges are computed on a grid of 1/16 pixel, exactly, so that triangles that share an edge neither overlap nor gape.
constexpr int kSubpixel = 16;

struct Corner {
    i64 x, y; // in 1/16 pixel
    const ImDrawVert* vertex;
};

i64 to_grid(float value) { return std::llround(static_cast<double>(value) * kSubpixel); }

i64 edge(const Corner& a, const Corner& b, i64 x, i64 y) { return (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x); }

// A pixel centre exactly on an edge belongs to the triangle whose top or left edge it is.
i64 edge_bias(const Corner& a, const Corner& b) {
    const bool top_left = (a.y == b.y && b.x > a.x) || b.y < a.y;
    return top_left ? 0 : -1;
}

u32 channel(u32 colour, int number) { return colour >> (8 * number) & 0xFF; }

u32 multiplied(u32 a, u32 b) {
    u32 product = 0;
    for (int i = 0; i < 4; ++i)
        product |= (channel(a, i) * channel(b, i) + 127) / 255 << (8 * i);
    return product;
}

void blend(u32& pixel, u32 colour) {
    const u32 alpha = channel(colour, 3);
    if (alpha == 255) {
        pixel = colour;
        return;
    }
    u32 mixed = 0xFF000000u;
    for (int i = 0; i < 3; ++i)
        mixed |= (channel(colour, i) * alpha + channel(pixel, i) * (255 - alpha) + 127) / 255 << (8 * i);
    pixel = mixed;
}

class Triangle {
  public:
    Triangle(std::array<Corner, 3> corners, const Texture* texture) : corners_(corners), texture_(texture) {
        area_ = edge(corners_[0], corners_[1], corners_[2].x, corners_[2].y);
        if (area_ < 0) {
            std::swap(corners_[1], corners_[2]);
            area_ = -area_;
        }
        const auto& v = corners_;
        flat_ = v[0].vertex->col == v[1].vertex->col && v[0].vertex->col == v[2].vertex->col;
        plain_ = same_texel(v[0], v[1]) && same_texel(v[0], v[2]);
    }

    void draw(Canvas& canvas, const Clip& clip) const {
        if (area_ == 0)
            return;
        const auto [min_x, max_x] = std::minmax({corners_[0].x, corners_[1].x, corners_[2].x});
        const auto [min_y, max_y] = std::minmax({corners_[0].y, corners_[1].y, corners_[2].y});
        const i64 left = std::max<i64>(clip.left, (min_x - kSubpixel / 2) / kSubpixel);
        const i64 right = std::min<i64>(clip.right, max_x / kSubpixel + 1);
        const i64 top = std::max<i64>(clip.top, (min_y - kSubpixel / 2) / kSubpixel);
        const i64 bottom = std::min<i64>(clip.bottom, max_y / kSubpixel + 1);
        const i64 bias0 = edge_bias(corners_[1], corners_[2]);
        const i64 bias1 = edge_bias(corners_[2], corners_[0]);
        const i64 bias2 = edge_bias(corners_[0], corners_[1]);
        for (i64 y = top; y < bottom; ++y) {
            for (i64 x = left; x < right; ++x) {
                const i64 at_x = x * kSubpixel + kSubpixel / 2;
                const i64 at_y = y * kSubpixel + kSubpixel / 2;
                const i64 w0 = edge(corners_[1], corners_[2], at_x, at_y);
                const i64 w1 = edge(corners_[2], corners_[0], at_x, at_y);
                const i64 w2 = edge(corners_[0], corners_[1], at_x, at_y);
                if (w0 + bias0 < 0 || w1 + bias1 < 0 || w2 + bias2 < 0)
                    continue;
                blend(canvas.pixels[static_cast<std::size_t>(y * canvas.width + x)], colour_at(w0, w1, w2));
            }
        }
    }

  private:
    static bool same_texel(const Corner& a, const Corner& b) {
        return a.vertex->uv.x == b.vertex->uv.x && a.vertex->uv.y == b.vertex->uv.y;
    }

    u32 texel(double u, double v) const {
        if (texture_ == nullptr || texture_->pixels == nullptr)
            return 0xFFFFFFFFu;
        const int x = std::clamp(static_cast<int>(u * texture_->width), 0, texture_->width - 1);
        const int y = std::clamp(static_cast<int>(v * texture_->height), 0, texture_->height - 1);
        return texture_->pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(texture_->width) +
                                static_cast<std::size_t>(x)];
    }

    u32 colour_at(i64 w0, i64 w1, i64 w2) const {
        const ImDrawVert& a = *corners_[0].vertex;
        const ImDrawVert& b = *corners_[1].vertex;
        const ImDrawVert& c = *corners_[2].vertex;
        u32 colour = a.col;
        if (!flat_) {
            colour = 0;
            for (int i = 0; i < 4; ++i)
                colour |=
                    static_cast<u32>(
                        (channel(a.col, i) * w0 + channel(b.col, i) * w1 + channel(c.col, i) * w2 + area_ / 2) / area_)
                    << (8 * i);
        }
        if (plain_)
            return multiplied(colour, texel(a.uv.x, a.uv.y));
        const auto mix = [&](float p, float q, float r) {
            return (static_cast<double>(p) * static_cast<double>(w0) +
                    static_cast<double>(q) * static_cast<double>(w1) +
                    static_cast<double>(r) * static_cast<double>(w2)) /
                   static_cast<double>(area_);
        };
        return multiplied(colour, texel(mix(a.uv.x, b.uv.x, c.uv.x), mix(a.uv.y, b.uv.y, c.uv.y)));
    }

    std::array<Corner, 3> corners_;
    const Texture* texture_;
    i64 area_ = 0;
    bool flat_ = false;  // one colour
    bool plain_ = false; // one texel
};

void draw_command(const ImDrawList& list, const ImDrawCmd& command, ImVec2 origin, Canvas& canvas) {
    const Clip clip{std::max(0, static_cast<int>(command.ClipRect.x - origin.x)),
                    std::max(0, static_cast<int>(command.ClipRect.y - origin.y)),
                    std::min(canvas.width, static_cast<int>(std::ceil(command.ClipRect.z - origin.x))),
                    std::min(canvas.height, static_cast<int>(std::ceil(command.ClipRect.w - origin.y)))};
    const auto* texture = static_cast<const Texture*>(command.GetTexID());
    for (unsigned i = 0; i + 2 < command.ElemCount; i += 3) {
        std::array<Corner, 3> corners{};
        for (unsigned k = 0; k < 3; ++k) {
            const auto index = list.IdxBuffer[static_cast<int>(command.IdxOffset + i + k)] + command.VtxOffset;
            const ImDrawVert& vertex = list.VtxBuffer[static_cast<int>(index)];
            corners[k] = {to_grid(vertex.pos.x - origin.x), to_grid(vertex.pos.y - origin.y), &vertex};
        }
        Triangle(corners, texture).draw(canvas, clip);
    }
}

} // namespace

void rasterize(const ImDrawData& data, u32 background, Canvas& canvas) {
    canvas.pixels.assign(static_cast<std::size_t>(canvas.width) * static_cast<std::size_t>(canvas.height), background);
    for (int n = 0; n < data.CmdListsCount; ++n) {
        const ImDrawList& list = *data.CmdLists[n];
        for (const ImDrawCmd& command : list.CmdBuffer)
            if (command.UserCallback == nullptr)
                draw_command(list, command, data.DisplayPos, canvas);
    }
}

} // namespace forkscope::ui
