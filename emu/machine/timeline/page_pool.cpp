#include "emu/machine/timeline/page_pool.hpp"

#include <algorithm>
#include <cstring>

namespace forkscope {

namespace {

struct CountedPage {
    explicit CountedPage(std::shared_ptr<u64> of) : count(std::move(of)) { ++*count; }
    ~CountedPage() { --*count; }
    CountedPage(const CountedPage&) = delete;
    CountedPage& operator=(const CountedPage&) = delete;

    std::shared_ptr<u64> count;
    PageBytes bytes;
};

bool is(std::span<const u8> bytes, const PageBytes& page) {
    return std::memcmp(bytes.data(), page.data(), bytes.size()) == 0 &&
           (bytes.size() == kPageSize ||
            std::memcmp(page.data() + bytes.size(), kZeroPage.data(), kPageSize - bytes.size()) == 0);
}

} // namespace

Page PagePool::keep(std::span<const u8> bytes, const Page& before) {
    if (is(bytes, before != nullptr ? *before : kZeroPage))
        return before;
    if (before != nullptr && is(bytes, kZeroPage))
        return nullptr;
    const auto page = std::make_shared<CountedPage>(count_);
    std::memcpy(page->bytes.data(), bytes.data(), bytes.size());
    std::fill(page->bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size()), page->bytes.end(), u8{0});
    return {page, &page->bytes};
}

} // namespace forkscope
