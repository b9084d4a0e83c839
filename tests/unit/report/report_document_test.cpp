// The model of reports and its writers, with a report that nobody makes.
#include <gtest/gtest.h>

#include "emu/report/json_writer.hpp"
#include "emu/report/text_writer.hpp"
#include "json_judge.hpp"

namespace forkscope {
namespace {

using testing::json_fault;
using enum Column::Align;

// Four runs, each with a note on a line of its own but the third, a rule before the last.
Document inventory() {
    Document document;
    Object counts;
    counts.count("cycles", 1234567).count("flushes", 0);
    document.data.text("program", "{counts.cycles} \"sh\"\n\x01").object("counts", std::move(counts));
    Rows rows;
    for (const u64 number : {1u, 2000u, 3u, 4u}) {
        if (number == 4)
            rows.emplace_back();
        Object& row = rows.emplace_back();
        row.text("name", number == 3 ? "a name of many letters" : "short").count("cycles", number);
        row.address("place", 0x1000 * number).add("note", number == 3 ? Cell::text("") : Cell::text("seen"));
    }
    document.data.rows("runs", std::move(rows));
    document.data.add("findings", Cell::list({Cell::text("one two three four"), Cell::text("five")}));
    document.data.add("unknown", Cell()).add("below", Cell::signed_number(-3)).flag("sound", true);
    document.data.add("share", Cell::mean(7, 2)).word("entry", 0x8000000000001067);
    document.section("").blocks = {Line{{}, "Of {program}", Line::Place::Margin},
                                   Line{"inside", "{counts.cycles} cycles, {counts.flushes} flushes; {unknown}"}};
    document.section("Runs").blocks = {Table{"runs",
                                             {{.key = "name", .title = "what", .width = 8, .most = 8},
                                              {.key = "cycles", .title = "cycles", .width = 7, .align = Right},
                                              {.key = "place", .lead = "  at "},
                                              {.key = "note", .align = Below, .lead = "  by "}},
                                             4}};
    document.section("Findings").blocks = {Sentences{"findings", "none", 16}};
    return document;
}

TEST(Document, IsLaidOutAsTextLineByLine) {
    EXPECT_EQ(document_text(inventory()), "Of {counts.cycles} \"sh\"\\x0a\\x01\n"
                                          "  inside         1,234,567 cycles, 0 flushes; -\n"
                                          "\nRuns\n"
                                          "  what     cycles  at\n"
                                          "  short         1  at 00001000\n"
                                          "    by seen\n"
                                          "  short     2,000  at 007d0000\n"
                                          "    by seen\n"
                                          "  a name ~      3  at 00003000\n"
                                          "  ------------------------------------------------------------\n"
                                          "  … 1 more rows; --json has them all\n"
                                          "\nFindings\n"
                                          "  ! one two\n"
                                          "    three four\n"
                                          "  ! five\n");
}

TEST(Document, IsWholeAsJson) {
    const std::string json = document_json(inventory());
    EXPECT_EQ(json_fault(json), "");
    EXPECT_EQ(json, "{\n"
                    "  \"program\": \"{counts.cycles} \\\"sh\\\"\\n\\u0001\",\n"
                    "  \"counts\": {\n"
                    "    \"cycles\": 1234567,\n"
                    "    \"flushes\": 0\n"
                    "  },\n"
                    "  \"runs\": [\n"
                    "    {\"name\": \"short\", \"cycles\": 1, \"place\": \"0x00001000\", \"note\": \"seen\"},\n"
                    "    {\"name\": \"short\", \"cycles\": 2000, \"place\": \"0x007d0000\", \"note\": \"seen\"},\n"
                    "    {\"name\": \"a name of many letters\", \"cycles\": 3, \"place\": \"0x00003000\", "
                    "\"note\": \"\"},\n"
                    "    {},\n"
                    "    {\"name\": \"short\", \"cycles\": 4, \"place\": \"0x00004000\", \"note\": \"seen\"}\n"
                    "  ],\n"
                    "  \"findings\": [\n"
                    "    \"one two three four\",\n"
                    "    \"five\"\n"
                    "  ],\n"
                    "  \"unknown\": null,\n"
                    "  \"below\": -3,\n"
                    "  \"sound\": true,\n"
                    "  \"share\": 7,\n"
                    "  \"entry\": \"0x8000000000001067\"\n"
                    "}\n");
}

TEST(Document, SaysSoWhereAListIsEmpty) {
    Document document;
    document.data.add("findings", Cell::list({})).rows("runs", {});
    document.section("Findings").blocks = {Sentences{"findings", "none: all agree"}, Table{"runs", {{.key = "name"}}}};
    EXPECT_EQ(document_text(document), "\nFindings\n  none: all agree\n");
    EXPECT_EQ(document_json(document), "{\n  \"findings\": [],\n  \"runs\": []\n}\n");
}

TEST(Document, FindsValuesByTheirPath) {
    Document document;
    Object inner;
    inner.number("x", 5);
    document.data.object("a", std::move(inner)).add("list", Cell::list({Cell::number(7), Cell::number(8)}));
    document.shown.number("only_here", 9);
    EXPECT_EQ(document.at("a.x").value(), 5u);
    EXPECT_EQ(document.at("list.1").value(), 8u);
    EXPECT_EQ(document.at("only_here").value(), 9u);
    for (const char* path : {"a.y", "a.x.z", "list.2", "list.", "list.1x", "b", ""})
        EXPECT_EQ(document.data.find(path), nullptr) << path;
    EXPECT_DEATH(document.at("nowhere"), "names 'nowhere'");
}

TEST(JsonWriter, KeepsUtf8AndReplacesWhatIsNone) {
    Document document;
    document.data.text("name", "a\xFF\xC3\xA4\xC3(\xED\xA0\x80\xF4\x90\x80\x80\xE2\x82\xAC\xE2\x82");
    EXPECT_EQ(document_json(document),
              "{\n  \"name\": \"a\\ufffd\xC3\xA4\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\xE2\x82\xAC"
              "\\ufffd\\ufffd\"\n}\n");
}

TEST(JsonJudge, TellsGoodFromBad) {
    for (const char* good : {"{}", " [1, -0.5e+3, \"\\u00e4\\n\", null, true, {\"a\": []}] ", "0", "\"\""})
        EXPECT_EQ(json_fault(good), "") << good;
    for (const char* bad : {"", "{", "[1,]", "[1 2]", "{\"a\" 1}", "{a: 1}", "01", "1.", "\"\n\"", "\"\\x\"", "\"a",
                            "nul", "[] []", "{\"a\": }", "-", "\"\\u12g4\"", "[1}"})
        EXPECT_NE(json_fault(bad), "") << bad;
}

} // namespace
} // namespace forkscope
