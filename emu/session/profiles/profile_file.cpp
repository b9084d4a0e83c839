#include "emu/session/profiles/profile_file.hpp"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <optional>
#include <sstream>

#include <fmt/format.h>

// toml++ 3.3 takes for granted, by an assertion, what some bad texts do not have. There it throws, for good texts are
// all that may pass; assertions that are assumptions of the optimizer (NDEBUG) would not do.
struct TomlAssertion {};
[[noreturn]] static void toml_gives_up() { throw TomlAssertion(); }
#ifdef NDEBUG
#error "toml++ needs its assertions"
#endif
#define TOML_ASSERT(expression) ((expression) ? static_cast<void>(0) : toml_gives_up())
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "emu/files/read_file.hpp"
#include "emu/trace/tracepoints.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostBytes = 64 << 10;
constexpr std::size_t kMostLine = 1000;    // what a dotted key can nest
constexpr std::size_t kMostFunctions = 16; // of one stop
constexpr std::size_t kMostText = 256;

ProfilePlace place_of(const toml::source_region& region) { return {region.begin.line, region.begin.column}; }

const char* type_name(toml::node_type type) {
    switch (type) {
    case toml::node_type::table:
        return "a table";
    case toml::node_type::array:
        return "an array";
    case toml::node_type::string:
        return "text";
    case toml::node_type::boolean:
        return "true or false";
    case toml::node_type::integer:
    case toml::node_type::floating_point:
        return "a number";
    default:
        return "a date or time";
    }
}

// Remembers the first mistake; whatever is read after it does not matter.
class ProfileReader {
  public:
    explicit ProfileReader(const std::string& file) : file_(file) {}

    ForkProfile read(const toml::table& all) {
        ForkProfile profile;
        allow(all, {"system", "process", "stop"}, "a profile has system, process and stop");
        if (const toml::node* system = wanted(all, "system", {1, 1}, "name the system: system = \"xv6\""))
            profile.system = text(*system, "system");
        if (const toml::node* process = all.get("process"))
            read_process(*process, profile);
        const toml::node* stops = wanted(all, "stop", {1, 1}, "give each stop as [[stop]] (docs/fork-profiles.md)");
        if (stops != nullptr && !stops->is_array_of_tables())
            fail(place_of(stops->source()),
                 fmt::format("stop is {}; begin each stop with a line [[stop]]", type_name(stops->type())));
        else if (stops != nullptr)
            for (const toml::node& stop : *stops->as_array())
                read_stop(*stop.as_table(), place_of(stop.source()), profile);
        return profile;
    }

    const std::optional<Error>& error() const { return error_; }

  private:
    void fail(ProfilePlace place, const std::string& what) {
        if (!error_)
            error_ = Error{fmt::format("{}:{}:{}: {}", file_, place.line, place.column, what), ExitCode::Usage};
    }

    void allow(const toml::table& table, std::initializer_list<std::string_view> keys, const std::string& what_fits) {
        for (const auto& [key, value] : table)
            if (std::find(keys.begin(), keys.end(), key.str()) == keys.end())
                fail(place_of(key.source()),
                     fmt::format("unknown key '{}'; {}", key.str().substr(0, kMostText), what_fits));
    }

    const toml::node* wanted(const toml::table& table, const char* key, ProfilePlace place, const char* advice) {
        const toml::node* node = table.get(key);
        if (node == nullptr)
            fail(place, fmt::format("{} is missing; {}", key, advice));
        return node;
    }

    std::string text(const toml::node& node, const std::string& key) {
        const auto* value = node.as_string();
        const ProfilePlace place = place_of(node.source());
        if (value == nullptr)
            fail(place, fmt::format("{} is {}; give text between quotes", key, type_name(node.type())));
        else if (value->get().empty() || value->get().size() > kMostText)
            fail(place, fmt::format("{} has {} bytes; give 1 to {}", key, value->get().size(), kMostText));
        else
            return value->get();
        return {};
    }

    void read_process(const toml::node& node, ForkProfile& profile) {
        const toml::table* table = node.as_table();
        if (table == nullptr)
            return fail(place_of(node.source()),
                        fmt::format("process is {}; give a table [process] with pid and root", type_name(node.type())));
        allow(*table, {"pid", "root"}, "process has pid and root");
        const ProfilePlace place = place_of(node.source());
        if (const toml::node* pid = wanted(*table, "pid", place, "give an expression: pid = \"current->pid\"")) {
            profile.pid = text(*pid, "pid");
            profile.pid_place = place_of(pid->source());
        }
        if (const toml::node* root = table->get("root")) {
            profile.root = text(*root, "root");
            profile.root_place = place_of(root->source());
        }
    }

    void read_stop(const toml::table& table, ProfilePlace place, ForkProfile& profile) {
        ProfileStop stop;
        stop.place = place;
        allow(table, {"number", "functions", "original"}, "a stop has number, functions and original");
        const toml::node* number = wanted(table, "number", place, "say which stop it is: number = \"2b\"");
        const toml::node* functions =
            wanted(table, "functions", place, "name what begins it: functions = [\"copyuvm\"]");
        if (error_)
            return;
        stop.number = text(*number, "number");
        const TracepointInfo* info = fork_stop_numbered(stop.number);
        if (!error_ && info == nullptr)
            fail(place_of(number->source()),
                 fmt::format("there is no stop '{}'; choose one of {}", stop.number, fork_stop_numbers()));
        stop.id = info != nullptr ? info->id : 0;
        read_functions(*functions, stop);
        if (const toml::node* original = table.get("original"))
            stop.original = text(*original, "original");
        check_once(profile, stop, place_of(number->source()));
        profile.stops.push_back(std::move(stop));
    }

    void read_functions(const toml::node& node, ProfileStop& stop) {
        const toml::array* names = node.as_array();
        const ProfilePlace place = place_of(node.source());
        if (names == nullptr)
            return fail(place, fmt::format("functions is {}; give an array: functions = [\"copyuvm\"]",
                                           type_name(node.type())));
        if (names->empty() || names->size() > kMostFunctions)
            return fail(place, fmt::format("functions has {} names; give 1 to {}", names->size(), kMostFunctions));
        for (const toml::node& name : *names)
            stop.functions.push_back({text(name, "a function"), place_of(name.source())});
    }

    void check_once(const ForkProfile& profile, const ProfileStop& stop, ProfilePlace number) {
        for (const ProfileStop& other : profile.stops) {
            if (other.number == stop.number)
                fail(number, fmt::format("stop {} is given twice, first in line {}; keep one of them", stop.number,
                                         other.place.line));
            for (const ProfileFunction& theirs : other.functions)
                for (const ProfileFunction& ours : stop.functions)
                    if (ours.name == theirs.name)
                        fail(ours.place, fmt::format("'{}' begins stop {} already (line {}); keep one of them",
                                                     ours.name, other.number, theirs.place.line));
        }
    }

    const std::string& file_;
    std::optional<Error> error_;
};

// Tables nest as deep as a line can say, and arrays as toml++ allows.
std::optional<Error> too_large(std::string_view text, const std::string& file) {
    if (text.size() > kMostBytes)
        return Error{fmt::format("{}: it has {} bytes; a fork profile has at most {}", file, text.size(), kMostBytes),
                     ExitCode::Usage};
    u32 line = 1;
    for (std::size_t at = 0; at < text.size(); ++line) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        if (end - at > kMostLine)
            return Error{fmt::format("{}:{}:{}: the line has {} bytes; give at most {}", file, line, kMostLine + 1,
                                     end - at, kMostLine),
                         ExitCode::Usage};
        at = end + 1;
    }
    return std::nullopt;
}

#define PROFILE(name) extern "C" const u8 forkscope_profile_##name##_start[], forkscope_profile_##name##_end[];
#include "profiles.def"
#undef PROFILE

struct EmbeddedProfile {
    std::string_view text;
    ForkProfile profile;
};

std::map<std::string, EmbeddedProfile, std::less<>> read_embedded() {
    std::map<std::string, EmbeddedProfile, std::less<>> profiles;
    const auto add = [&](const std::string& name, const u8* start, const u8* end) {
        const std::string_view text(reinterpret_cast<const char*>(start), static_cast<std::size_t>(end - start));
        auto profile = parse_fork_profile(text, name, "guest/profiles/" + name + ".toml");
        EMU_ASSERT(profile.ok(), "a built-in fork profile is damaged: {}", profile.error().message);
        profiles.emplace(name, EmbeddedProfile{text, std::move(profile).value()});
    };
#define PROFILE(name) add(#name, forkscope_profile_##name##_start, forkscope_profile_##name##_end);
#include "profiles.def"
#undef PROFILE
    return profiles;
}

const std::map<std::string, EmbeddedProfile, std::less<>>& embedded_profiles() {
    static const auto kProfiles = read_embedded();
    return kProfiles;
}

} // namespace

Result<ForkProfile> parse_fork_profile(std::string_view text, const std::string& name, const std::string& file) {
    if (auto error = too_large(text, file))
        return *std::move(error);
    std::optional<toml::parse_result> result;
    try {
        result = toml::parse(text);
    } catch (const TomlAssertion&) {
        return Error{file + ": this is no TOML: something stands where a name is due; see docs/fork-profiles.md",
                     ExitCode::Usage};
    }
    const toml::parse_result& parsed = *result;
    if (!parsed) {
        const toml::parse_error& error = parsed.error();
        const ProfilePlace place = place_of(error.source());
        return Error{fmt::format("{}:{}:{}: this is no TOML: {}; see docs/fork-profiles.md", file, place.line,
                                 place.column, error.description()),
                     ExitCode::Usage};
    }
    ProfileReader reader(file);
    ForkProfile profile = reader.read(parsed.table());
    if (reader.error())
        return *reader.error();
    profile.name = name;
    profile.file = file;
    return profile;
}

std::vector<std::string> embedded_profile_names() {
    std::vector<std::string> names;
    for (const auto& [name, profile] : embedded_profiles())
        names.push_back(name);
    return names;
}

const ForkProfile* find_fork_profile(std::string_view name) {
    const auto found = embedded_profiles().find(name);
    return found == embedded_profiles().end() ? nullptr : &found->second.profile;
}

Result<std::string> read_fork_profile(const std::string& text) {
    if (const auto found = embedded_profiles().find(text); found != embedded_profiles().end())
        return std::string(found->second.text);
    auto bytes = read_file(text, "the fork profile", kMostBytes);
    if (!bytes.ok())
        return Error{fmt::format("--profile: {}; or name a built-in one: {}", bytes.error().message,
                                 fmt::join(embedded_profile_names(), ", ")),
                     bytes.error().code};
    return std::string(bytes->begin(), bytes->end());
}

Result<ForkProfile> open_fork_profile(const std::string& text) {
    if (const ForkProfile* profile = find_fork_profile(text))
        return *profile;
    const auto written = read_fork_profile(text);
    return written.ok() ? parse_fork_profile(*written, text, text) : written.error();
}

} // namespace forkscope
