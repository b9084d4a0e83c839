#include "emu/files/packing.hpp"

#include <algorithm>
#include <new>

#include <zstd.h>
#include <zstd_errors.h>

#include "emu/base/assert.hpp"

namespace forkscope {

namespace {

// Up to here the size that a frame states is believed, and memory taken for it at once.
constexpr u64 kAtOnce = u64{2} << 20;
// What one frame may make the library hold back, as a power of two. Our own level 3 asks for 21.
constexpr int kMostWindow = 23;

// A good file is never called damaged for lack of memory.
bool failed(std::size_t code) {
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        throw std::bad_alloc();
    return ZSTD_isError(code) != 0;
}

} // namespace

struct Packer::Context {
    explicit Context(int chosen) : level(chosen) {}
    ~Context() { ZSTD_freeCCtx(zstd); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    ZSTD_CCtx* zstd = ZSTD_createCCtx();
    int level;
};

Packer::Packer(int level) : context_(std::make_unique<Context>(level)) {
    if (context_->zstd == nullptr)
        throw std::bad_alloc();
}
Packer::~Packer() = default;
Packer::Packer(Packer&&) noexcept = default;
Packer& Packer::operator=(Packer&&) noexcept = default;

void Packer::append(std::vector<u8>& out, std::span<const u8> plain) {
    const std::size_t at = out.size();
    out.resize(at + ZSTD_compressBound(plain.size()));
    const std::size_t size = ZSTD_compressCCtx(context_->zstd, out.data() + at, out.size() - at, plain.data(),
                                               plain.size(), context_->level);
    EMU_ASSERT(!failed(size), "zstd: {}", ZSTD_getErrorName(size));
    out.resize(at + size);
}

struct Unpacker::Context {
    Context() = default;
    ~Context() { ZSTD_freeDCtx(zstd); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    ZSTD_DCtx* zstd = ZSTD_createDCtx();
};

Unpacker::Unpacker() : context_(std::make_unique<Context>()) {
    if (context_->zstd == nullptr)
        throw std::bad_alloc();
}
Unpacker::~Unpacker() = default;
Unpacker::Unpacker(Unpacker&&) noexcept = default;
Unpacker& Unpacker::operator=(Unpacker&&) noexcept = default;

bool Unpacker::unpack(std::span<const u8> packed, u64 plain_bytes, std::vector<u8>& plain) {
    // One frame, which says its size: that is what a Packer writes.
    if (ZSTD_getFrameContentSize(packed.data(), packed.size()) != plain_bytes ||
        ZSTD_findFrameCompressedSize(packed.data(), packed.size()) != packed.size())
        return false;
    if (plain_bytes > kAtOnce)
        return unpack_in_pieces(packed, plain_bytes, plain);
    plain.resize(plain_bytes);
    const std::size_t size =
        ZSTD_decompressDCtx(context_->zstd, plain.data(), plain.size(), packed.data(), packed.size());
    return !failed(size) && size == plain_bytes;
}

// Room is reserved at once, so that nothing is copied, and touched as bytes come out: a size that is a lie costs
// nothing.
bool Unpacker::unpack_in_pieces(std::span<const u8> packed, u64 plain_bytes, std::vector<u8>& plain) {
    ZSTD_DCtx_reset(context_->zstd, ZSTD_reset_session_only);
    if (failed(ZSTD_DCtx_setParameter(context_->zstd, ZSTD_d_windowLogMax, kMostWindow)))
        return false;
    plain.clear();
    plain.reserve(plain_bytes);
    plain.resize(kAtOnce);
    ZSTD_inBuffer in{packed.data(), packed.size(), 0};
    ZSTD_outBuffer out{plain.data(), plain.size(), 0};
    for (;;) {
        const std::size_t taken = in.pos;
        const std::size_t given = out.pos;
        const std::size_t more = ZSTD_decompressStream(context_->zstd, &out, &in);
        if (failed(more))
            return false;
        if (more == 0)
            break;
        if (out.pos == out.size && out.size < plain_bytes) {
            plain.resize(std::min(plain_bytes, u64{out.size} * 2));
            out.size = plain.size();
        } else if (in.pos == taken && out.pos == given) {
            return false; // the frame is cut short, or holds more than it says
        }
    }
    plain.resize(out.pos);
    return out.pos == plain_bytes && in.pos == packed.size();
}

} // namespace forkscope
