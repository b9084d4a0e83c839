#include "emu/base/text/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace forkscope {

namespace {

// Letters put in, left out, changed or swapped on the way from one word to the other.
std::size_t distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        next[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                next[j] = std::min(next[j], before[j - 2] + 1);
        }
        before = std::exchange(row, next);
    }
    return row[b.size()];
}

} // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& names) {
    std::string best;
    std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
    const std::size_t dashes = std::min(word.find_first_not_of('-'), word.size());
    for (const std::string& name : names) {
        const bool begun = word.size() >= dashes + 3 && name.starts_with(word);
        const std::size_t steps = begun ? 1 : distance(word, name);
        if (steps < least) {
            least = steps;
            best = name;
        }
    }
    return best;
}

} // namespace forkscope
