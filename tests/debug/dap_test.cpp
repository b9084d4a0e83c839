// The Debug Adapter Protocol without a wire: frames in pieces, broken ones, requests that make no sense.
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "emu/debug/dap/adapter.hpp"
#include "emu/debug/dap/arguments.hpp"
#include "emu/debug/dap/framing.hpp"

namespace forkscope {
namespace {

using Json = nlohmann::json;

std::vector<std::string> messages_of(std::string_view bytes, std::size_t piece) {
    DapFrames frames;
    std::vector<std::string> found;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        frames.feed(bytes.substr(at, piece));
        for (;;) {
            auto message = frames.next();
            if (!message.ok()) {
                found.push_back("error: " + message.error().message);
                return found;
            }
            if (!*message)
                break;
            found.push_back(**message);
        }
    }
    return found;
}

DapAdapter::Host deaf() {
    return {[](const std::vector<std::string>&) { return Result<Options>(Error{"no machine here"}); },
            [] { return true; }, [] {}};
}

std::vector<Json> answers(DapAdapter& adapter) {
    while (adapter.work()) {
    }
    std::vector<Json> all;
    for (const std::string& text : messages_of(adapter.take_output(), 4096))
        all.push_back(Json::parse(text));
    return all;
}

TEST(DapFrames, ComeWholeHoweverTheyAreCut) {
    const std::string bytes = dap_frame("{}") + "content-length:  3 \r\nContent-Type: x\r\n\r\nabc" + dap_frame("");
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece)
        EXPECT_EQ(messages_of(bytes, piece), (std::vector<std::string>{"{}", "abc", ""})) << piece;
}

TEST(DapFrames, ThatAreBrokenAreErrorsAndTakeNoMemory) {
    for (const std::string head : {"Content-Length: 4194305", "Content-Length: 18446744073709551616",
                                   "Content-Length: -1", "Content-Length:", "Content-Length: 0x10",
                                   "Content-Length: 1\r\nContent-Length: 1", "Length: 4", "nonsense", ""}) {
        const auto found = messages_of(head + "\r\n\r\n{}", 7);
        ASSERT_EQ(found.size(), 1u) << head;
        EXPECT_EQ(found[0].find("error: "), 0u) << head;
    }
    const auto endless = messages_of(std::string(100000, 'x'), 1000);
    ASSERT_EQ(endless.size(), 1u);
    EXPECT_NE(endless[0].find("no head of a message ends within 4096 bytes"), std::string::npos);
}

TEST(DapAdapter, AnswersWhatItDoesNotKnow) {
    DapAdapter adapter(deaf());
    adapter.receive(R"({"seq":7,"type":"request","command":"fly"})");
    adapter.receive(R"({"seq":8,"type":"request","command":"next"})");
    adapter.receive(R"({"seq":9,"type":"request","command":"launch","arguments":{"args":["1"]}})");
    adapter.receive(R"({"seq":"x","type":"request"})");
    adapter.receive(R"({"type":"response","success":true})");
    const auto all = answers(adapter);
    ASSERT_EQ(all.size(), 4u);
    const std::string words[] = {"'fly' is not supported", "comes too early", "no machine here", "not supported"};
    for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(all[i]["success"], false);
        EXPECT_NE(all[i]["message"].get<std::string>().find(words[i]), std::string::npos) << all[i];
        EXPECT_EQ(all[i]["body"]["error"]["variables"]["why"], all[i]["message"]);
    }
    EXPECT_EQ(all[0]["request_seq"], 7);
    EXPECT_EQ(all[3]["request_seq"], 0);
}

// What is of another type is not taken for what is absent.
TEST(DapAdapter, RefusesToLaunchWithArgumentsOfAnotherType) {
    for (const std::string given : {R"("args":"--os minix")", R"("args":["--os",1])", R"("until":5)", R"("at":-1)",
                                    R"("at":1e30)", R"("at":"7")", R"("stopOnEntry":"yes")", R"("recording":true)"}) {
        DapAdapter adapter(deaf());
        adapter.receive(R"({"seq":1,"type":"request","command":"launch","arguments":{)" + given + "}}");
        const auto all = answers(adapter);
        ASSERT_EQ(all.size(), 1u);
        EXPECT_NE(all[0]["message"].get<std::string>().find("is to be"), std::string::npos) << given << all[0];
    }
}

TEST(DapAdapter, SaysOfMessagesThatTheyAreNotUnderstood) {
    DapAdapter adapter(deaf());
    const std::string deep = std::string(1 << 20, '[');
    for (const std::string& text : {std::string("{"), std::string("7"), std::string("\xff"), deep, std::string()})
        adapter.receive(text);
    const auto all = answers(adapter);
    ASSERT_EQ(all.size(), 5u);
    for (const Json& one : all) {
        EXPECT_EQ(one["event"], "output");
        EXPECT_NE(one["body"]["output"].get<std::string>().find("was not understood"), std::string::npos) << one;
    }
}

// A message with any bytes of it changed: an answer, a word, or silence, and then the next is answered.
TEST(DapAdapter, OutlivesMutatedRequests) {
    const std::string seeds[] = {
        R"({"seq":1,"type":"request","command":"initialize","arguments":{"linesStartAt1":false}})",
        R"({"seq":2,"type":"request","command":"setBreakpoints","arguments":{"breakpoints":[{"line":1e99}]}})",
        R"({"seq":3,"type":"request","command":"terminate","arguments":[[[{}]]]})"};
    Random random(12);
    for (int round = 0; round < 20000; ++round) {
        std::string text = seeds[random.below(3)];
        for (u64 changes = random.below(6); changes-- > 0;)
            text[random.below(text.size())] = static_cast<char>(random.below(256));
        DapAdapter adapter(deaf());
        adapter.receive(text);
        adapter.receive(R"({"seq":99,"type":"request","command":"initialize"})");
        const auto all = answers(adapter);
        ASSERT_FALSE(all.empty()) << text;
        EXPECT_EQ(all.back()["request_seq"], 99) << text;
    }
}

TEST(DapArguments, AreReadByTheirTypes) {
    const Json object = Json::parse(R"({"a":"x","b":5,"c":[1,"y"],"d":true,"e":1.5})");
    EXPECT_EQ(text_of(object, "a"), "x");
    EXPECT_EQ(text_of(object, "b"), "");
    EXPECT_EQ(number_of(object, "b", 1), 5);
    EXPECT_EQ(number_of(object, "e", 1), 1);
    EXPECT_EQ(texts_of(object, "c"), (std::vector<std::string>{"y"}));
    EXPECT_TRUE(list_of(object, "d").empty());
    EXPECT_TRUE(flag_of(object, "d"));
    EXPECT_TRUE(flag_of(Json(3), "d", true));
    EXPECT_EQ(address_of_reference("0xC0100000"), 0xC0100000u);
    EXPECT_EQ(address_of_reference("12"), 12u);
    for (const char* const bad : {"", "0x", "0x100000000", "-1", "12x"})
        EXPECT_FALSE(address_of_reference(bad)) << bad;
}

} // namespace
} // namespace forkscope
