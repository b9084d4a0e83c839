#include "emu/debug/target_description.hpp"

#include <algorithm>

#include "emu/base/log.hpp"

namespace forkscope {

namespace {

struct BitField {
    std::string_view name;
    u8 first = 0, last = 0;
};

// A flags type prints what is set; gdb cannot index it. A struct of bit fields is for `print $cr0.PG`.
constexpr BitField kEflags[] = {{"", 1, 1},      {"CF", 0, 0},   {"PF", 2, 2},   {"AF", 4, 4},   {"ZF", 6, 6},
                                {"SF", 7, 7},    {"TF", 8, 8},   {"IF", 9, 9},   {"DF", 10, 10}, {"OF", 11, 11},
                                {"NT", 14, 14},  {"RF", 16, 16}, {"VM", 17, 17}, {"AC", 18, 18}, {"VIF", 19, 19},
                                {"VIP", 20, 20}, {"ID", 21, 21}};
constexpr BitField kMxcsr[] = {{"IE", 0, 0},   {"DE", 1, 1},   {"ZE", 2, 2},   {"OE", 3, 3},  {"UE", 4, 4},
                               {"PE", 5, 5},   {"DAZ", 6, 6},  {"IM", 7, 7},   {"DM", 8, 8},  {"ZM", 9, 9},
                               {"OM", 10, 10}, {"UM", 11, 11}, {"PM", 12, 12}, {"FZ", 15, 15}};
constexpr BitField kCr0[] = {{"PE", 0, 0},   {"MP", 1, 1},   {"EM", 2, 2},   {"TS", 3, 3},
                             {"ET", 4, 4},   {"NE", 5, 5},   {"WP", 16, 16}, {"AM", 18, 18},
                             {"NW", 29, 29}, {"CD", 30, 30}, {"PG", 31, 31}};
constexpr BitField kCr4[] = {{"VME", 0, 0}, {"PVI", 1, 1},    {"TSD", 2, 2},         {"DE", 3, 3},
                             {"PSE", 4, 4}, {"PAE", 5, 5},    {"MCE", 6, 6},         {"PGE", 7, 7},
                             {"PCE", 8, 8}, {"OSFXSR", 9, 9}, {"OSXMMEXCPT", 10, 10}};
constexpr BitField kEfer[] = {{"NXE", 11, 11}};
constexpr BitField kDr6[] = {{"B0", 0, 0},   {"B1", 1, 1},   {"B2", 2, 2},  {"B3", 3, 3},
                             {"BD", 13, 13}, {"BS", 14, 14}, {"BT", 15, 15}};
constexpr BitField kDr7[] = {{"L0", 0, 0},     {"G0", 1, 1},    {"L1", 2, 2},     {"G1", 3, 3},    {"L2", 4, 4},
                             {"G2", 5, 5},     {"L3", 6, 6},    {"G3", 7, 7},     {"GD", 13, 13},  {"RW0", 16, 17},
                             {"LEN0", 18, 19}, {"RW1", 20, 21}, {"LEN1", 22, 23}, {"RW2", 24, 25}, {"LEN2", 26, 27},
                             {"RW3", 28, 29},  {"LEN3", 30, 31}};

std::string fields_type(std::string_view kind, std::string_view id, std::span<const BitField> fields) {
    std::string text = fmt::format("<{} id=\"{}\" size=\"4\">", kind, id);
    for (const BitField& field : fields)
        text += fmt::format("<field name=\"{}\" start=\"{}\" end=\"{}\"/>", field.name, field.first, field.last);
    return text + fmt::format("</{}>\n", kind);
}

constexpr std::string_view kVectors =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>\n";

std::string types_of(RegisterFeature feature) {
    switch (feature) {
    case RegisterFeature::Core:
        return fields_type("flags", "i386_eflags", kEflags);
    case RegisterFeature::Sse:
        return std::string(kVectors) + fields_type("flags", "i386_mxcsr", kMxcsr);
    case RegisterFeature::System:
        break;
    }
    return fields_type("struct", "i386_cr0", kCr0) + fields_type("struct", "i386_cr4", kCr4) +
           fields_type("struct", "i386_efer", kEfer) + fields_type("struct", "i386_dr6", kDr6) +
           fields_type("struct", "i386_dr7", kDr7);
}

constexpr std::string_view name_of(RegisterFeature feature) {
    switch (feature) {
    case RegisterFeature::Core:
        return "org.gnu.gdb.i386.core";
    case RegisterFeature::Sse:
        return "org.gnu.gdb.i386.sse";
    case RegisterFeature::System:
        break;
    }
    return "org.forkscope.i386.system";
}

} // namespace

std::string target_description(std::span<const GdbRegister> registers) {
    std::string text =
        "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n"
        "<architecture>i8086</architecture>\n<osabi>none</osabi>\n";
    for (const RegisterFeature feature : {RegisterFeature::Core, RegisterFeature::Sse, RegisterFeature::System}) {
        const auto in_it = [feature](const GdbRegister& row) { return row.feature == feature; };
        if (std::none_of(registers.begin(), registers.end(), in_it))
            continue;
        text += fmt::format("<feature name=\"{}\">\n", name_of(feature)) + types_of(feature);
        for (std::size_t number = 0; number < registers.size(); ++number) {
            const GdbRegister& row = registers[number];
            if (!in_it(row))
                continue;
            text += fmt::format("<reg name=\"{}\" bitsize=\"{}\" type=\"{}\" regnum=\"{}\"", row.name, row.bits,
                                row.type, number);
            text += row.group.empty() ? "/>\n" : fmt::format(" group=\"{}\"/>\n", row.group);
        }
        text += "</feature>\n";
    }
    return text + "</target>\n";
}

} // namespace forkscope
