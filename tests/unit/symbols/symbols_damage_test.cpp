// Debug information that is damaged anywhere: fewer names, never harm. Run under the sanitizers by the debug preset.
#include "emu/symbols/line_places.hpp"
#include "symbols_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

// Everything that a stepper asks at some functions of the image.
u64 look_at(std::unique_ptr<ElfImage> image) {
    std::vector<u32> places;
    for (const Symbol& symbol : image->symbols())
        if (symbol.function)
            places.push_back(symbol.start + symbol.size / 2);
    u64 said = 0;
    Symbolizer symbols;
    symbols.add_kernel(std::move(image));
    for (std::size_t i = 0; i < places.size(); i += 61) {
        GuestState state;
        state.cs = 8;
        for (u32 number = 0; number < FrameRegisters::Count; ++number)
            state.registers.values[number] = places[i];
        state.registers.values[FrameRegisters::Esp] = 0x1000;
        state.registers.values[FrameRegisters::Ebp] = 0x1040;
        state.memory = [&](u32 address, std::span<u8> bytes) {
            for (u8& byte : bytes) {
                byte = static_cast<u8>(places[address / 4 % places.size()] >> 8 * (address & 3));
                ++address;
            }
            return address > 64;
        };
        const CallStack stack(symbols, state, 16);
        for (std::size_t row = 0; row < stack.rows().size(); ++row) {
            said += stack.text(row).size();
            for (const Variable& variable : stack.variables(stack.rows()[row]))
                said += to_json(stack.reader().read(variable.value)).size();
        }
        for (const char* text : {"*current_process", "list(&processes, struct process, link)", "frames[3]@7"})
            if (const Result<ValueNode> node = print(stack, stack.rows().front(), text); node.ok())
                said += to_text(node.value()).size();
        said += behind_prologue(*symbols.kernel(), places[i]) + ranges_of_line_at(*symbols.kernel(), places[i]).size();
    }
    return said;
}

} // namespace

TEST(SymbolsDamage, AnywhereInAKernelsFileIsBorne) {
    const auto kernel = *embedded_kernel("freebsd");
    const std::vector<u8> whole(kernel.begin(), kernel.end());
    EXPECT_GT(look_at(std::move(ElfImage::from_bytes("kernel", whole)).value()), 100'000u);
    Random random(12);
    u32 readable = 0;
    for (u32 round = 0; round < 12; ++round) {
        std::vector<u8> bytes = whole;
        constexpr std::size_t kDebug = 0x10000; // about where sections that are not loaded begin
        for (u64 count = 1 + random.below(200); count != 0; --count)
            bytes[kDebug + random.below(bytes.size() - kDebug)] =
                (random.next() & 3) != 0 ? static_cast<u8>(random.next()) : u8{0xFF};
        auto image = ElfImage::from_bytes("kernel", bytes);
        if (image.ok())
            readable += look_at(std::move(image).value()) != 0;
    }
    EXPECT_GT(readable, 6u);
}
