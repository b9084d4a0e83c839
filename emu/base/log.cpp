#include "emu/base/log.hpp"

#include <cstdio>
#include <mutex>
#include <set>

#include <spdlog/sinks/base_sink.h>

#include "emu/base/text/printable.hpp"

namespace forkscope {

namespace {

void write_to_stderr(std::string_view lines) { std::fwrite(lines.data(), 1, lines.size(), stderr); }

MessageWriter writer = write_to_stderr;

// spdlog's own logger writes to stdout, which belongs to results.
class MessageSink final : public spdlog::sinks::base_sink<std::mutex> {
  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        writer({line.data(), line.size()});
    }
    void flush_() override {}
};

spdlog::logger& logger() {
    static const auto instance = [] {
        auto logger = spdlog::default_logger();
        logger->sinks() = {std::make_shared<MessageSink>()};
        logger->set_pattern("forkscope: %v");
        return logger;
    }();
    return *instance;
}

} // namespace

void set_message_writer(MessageWriter chosen) { writer = chosen; }

void tell(const std::string& message) { writer(fmt::format("forkscope: {}\n", printable(message))); }

void log_warning_once(const std::string& key, const std::string& message) {
    static std::mutex mutex;
    static std::set<std::string> seen;
    const std::lock_guard lock(mutex);
    // A hostile guest could make up keys without end; after this many, silence is kinder.
    constexpr std::size_t kMostKeys = 1000;
    if (seen.size() < kMostKeys && seen.insert(key).second)
        logger().warn("{}", printable(message));
}

} // namespace forkscope
