#include "devices/keyboard/keymap.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace forkscope {
namespace {

// A US keyboard as a guest's driver reads it, written down key by key.
std::string decode(const std::vector<KeyTransition>& keys) {
    static const std::map<int, std::string> kKeys = {
        {0x02, "1!"},   {0x03, "2@"},   {0x04, "3#"},      {0x05, "4$"},  {0x06, "5%"}, {0x07, "6^"}, {0x08, "7&"},
        {0x09, "8*"},   {0x0A, "9("},   {0x0B, "0)"},      {0x0C, "-_"},  {0x0D, "=+"}, {0x1A, "[{"}, {0x1B, "]}"},
        {0x27, ";:"},   {0x28, "'\""},  {0x29, "`~"},      {0x2B, "\\|"}, {0x33, ",<"}, {0x34, ".>"}, {0x35, "/?"},
        {0x39, "  "},   {0x1E, "aA"},   {0x30, "bB"},      {0x2E, "cC"},  {0x20, "dD"}, {0x12, "eE"}, {0x21, "fF"},
        {0x22, "gG"},   {0x23, "hH"},   {0x17, "iI"},      {0x24, "jJ"},  {0x25, "kK"}, {0x26, "lL"}, {0x32, "mM"},
        {0x31, "nN"},   {0x18, "oO"},   {0x19, "pP"},      {0x10, "qQ"},  {0x13, "rR"}, {0x1F, "sS"}, {0x14, "tT"},
        {0x16, "uU"},   {0x2F, "vV"},   {0x11, "wW"},      {0x2D, "xX"},  {0x15, "yY"}, {0x2C, "zZ"}, {0x1C, "\n\n"},
        {0x0F, "\t\t"}, {0x0E, "\b\b"}, {0x01, "\x1B\x1B"}};
    std::string text;
    bool shift = false, control = false;
    std::map<int, bool> down;
    for (const KeyTransition& key : keys) {
        EXPECT_EQ(key.size, 1);
        const int code = static_cast<int>(key.bytes & 0x7F);
        const bool pressed = (key.bytes & 0x80) == 0;
        EXPECT_NE(down[code], pressed) << "key " << code << " goes where it is";
        down[code] = pressed;
        if (code == 0x2A)
            shift = pressed;
        else if (code == 0x1D)
            control = pressed;
        else if (pressed)
            text += control ? static_cast<char>(kKeys.at(code)[0] & 0x1F) : kKeys.at(code)[shift ? 1 : 0];
    }
    for (const auto& [code, pressed] : down)
        EXPECT_FALSE(pressed) << "key " << code << " stays down";
    return text;
}

TEST(Keymap, TypesEveryPrintableCharacter) {
    std::string text;
    for (char letter = ' '; letter <= '~'; ++letter)
        text += letter;
    auto keys = keys_for_text(text);
    ASSERT_TRUE(keys.ok());
    EXPECT_EQ(decode(*keys), text);
}

TEST(Keymap, TypesLinesTabsAndControlLetters) {
    auto keys = keys_for_text("ls -l | cat > F\n\t\b\x03\x04\x1B");
    ASSERT_TRUE(keys.ok());
    EXPECT_EQ(decode(*keys), "ls -l | cat > F\n\t\b\x03\x04\x1B");
    EXPECT_EQ(decode(*keys_for_text("\r\x7F")), "\n\b");
    EXPECT_EQ(decode(*keys_for_text("\x01\x1A")), "\x01\x1A");
}

TEST(Keymap, NamesTheCharacterThatNoKeyTypes) {
    const auto keys = keys_for_text("caf\xC3\xA9!");
    ASSERT_FALSE(keys.ok());
    EXPECT_NE(keys.error().message.find("'\xC3\xA9' at byte 3"), std::string::npos) << keys.error().message;
    EXPECT_FALSE(keys_for_text(std::string_view("\0", 1)).ok());
    EXPECT_FALSE(keys_for_text("\x80\x80\x80\x80\x80\x80").ok());
    EXPECT_TRUE(keys_for_text("").ok());
}

} // namespace
} // namespace forkscope
