#include "emu/session/boot_modules.hpp"

#include "emu/files/read_file.hpp"

namespace forkscope {

std::vector<ModuleRequest> parse_modules(const std::string& value) {
    std::vector<ModuleRequest> modules;
    std::string text;
    const auto end_one = [&] {
        text.erase(0, text.find_first_not_of(' '));
        if (!text.empty())
            modules.push_back({text.substr(0, text.find(' ')), text});
        text.clear();
    };
    for (std::size_t i = 0; i < value.size(); ++i) {
        const bool comma = value[i] == ',';
        if (comma && (i + 1 == value.size() || value[i + 1] != ',')) {
            end_one();
            continue;
        }
        i += comma ? 1 : 0;
        text += value[i];
    }
    end_one();
    return modules;
}

Result<std::vector<BootModule>> read_modules(const std::vector<std::string>& values, u64 ram_bytes) {
    constexpr u64 kMostBytes = u64{256} << 20;
    std::vector<BootModule> modules;
    u64 total = 0;
    for (const std::string& value : values) {
        const std::vector<ModuleRequest> requests = parse_modules(value);
        if (requests.empty())
            return Error{fmt::format("--initrd '{}' names no file; give FILE, or \"FILE WORDS,FILE WORDS\"", value),
                         ExitCode::Usage};
        for (const ModuleRequest& request : requests) {
            auto bytes = read_file(request.path, "the initrd", kMostBytes);
            if (!bytes.ok())
                return bytes.error();
            total += bytes->size();
            if (total > ram_bytes / 2)
                return Error{
                    fmt::format("the initrd '{}' of {} MB does not fit beside the kernel in {} MB of RAM; give "
                                "the machine more with -m",
                                request.path, total >> 20, ram_bytes >> 20)};
            modules.push_back({request.command_line, std::move(bytes).value()});
        }
    }
    return modules;
}

} // namespace forkscope
