#include "emu/machine/timeline/page_pool.hpp"

#include <algorithm>
#include <cstring>

#include "emu/base/archive.hpp"

namespace forkscope {

Page PagePool::keep(std::span<const u8> bytes) {
    PageBytes padded;
    if (bytes.size() < kPageSize) {
        padded.fill(0);
        std::copy(bytes.begin(), bytes.end(), padded.begin());
        bytes = padded;
    }
    if (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, kPageSize - 1) == 0)
        return nullptr;
    u64 key = checksum(bytes);
    for (auto found = shelf_->pages.find(key); found != shelf_->pages.end(); found = shelf_->pages.find(++key)) {
        Page kept = found->second.lock();
        if (kept != nullptr && std::memcmp(kept->data(), bytes.data(), kPageSize) == 0)
            return kept;
    }
    auto* page = new PageBytes;
    std::memcpy(page->data(), bytes.data(), kPageSize);
    const Page kept(page, [shelf = shelf_, key](const PageBytes* done) {
        shelf->pages.erase(key);
        delete done;
    });
    shelf_->pages.emplace(key, kept);
    return kept;
}

} // namespace forkscope
