// Programs and kernels from anybody: symbols, lines and inlined calls are refused or say the same both ways.
#include "elf_maker.hpp"
#include "emu/symbols/inspect/expression.hpp"
#include "emu/symbols/symbolizer.hpp"
#include "targets.hpp"

namespace forkscope::fuzz {

namespace {

// What a name or line is asked about: whatever the file names is in there or near.
constexpr u32 kBase = 0x100000;
constexpr u32 kAddresses = 64;

// Sections by name, each as long as its first two bytes say, so that no offset needs to be found.
std::vector<u8> made(InputReader input) {
    struct Kind {
        const char* name;
        u32 type;
    };
    constexpr Kind kKinds[] = {
        {".debug_info", SHT_PROGBITS},     {".debug_abbrev", SHT_PROGBITS},   {".debug_line", SHT_PROGBITS},
        {".debug_str", SHT_PROGBITS},      {".debug_ranges", SHT_PROGBITS},   {".debug_aranges", SHT_PROGBITS},
        {".symtab", SHT_SYMTAB},           {".strtab", SHT_STRTAB},           {".debug_line_str", SHT_PROGBITS},
        {".debug_rnglists", SHT_PROGBITS}, {".debug_addr", SHT_PROGBITS},     {".debug_str_offsets", SHT_PROGBITS},
        {".eh_frame", SHT_PROGBITS},       {".debug_loclists", SHT_PROGBITS}, {".debug_loc", SHT_PROGBITS},
        {".debug_frame", SHT_PROGBITS},
    };
    ElfMaker elf;
    Elf32_Phdr segment{};
    segment.p_vaddr = kBase;
    segment.p_flags = PF_R | PF_X;
    segment.p_memsz = 4096;
    elf.add_segment(multiboot_code(), segment);
    while (!input.empty()) {
        const u8 choice = input.take<u8>();
        const Kind& kind = kKinds[choice % std::size(kKinds)];
        Elf32_Shdr fields{};
        if ((choice & 0x10) != 0)
            fields.sh_flags = SHF_COMPRESSED;
        if ((choice & 0x20) != 0)
            fields.sh_link = input.take<u8>();
        const std::span<const u8> bytes = input.part(input.take<u16>() % 1025).rest();
        elf.add_section(kind.name, kind.type, {bytes.begin(), bytes.end()}, fields);
    }
    return elf.take();
}

void check_symbols(const ElfImage& image) {
    u32 before = 0;
    for (const Symbol& symbol : image.symbols()) {
        if (symbol.start < before)
            report("symbols out of order");
        before = symbol.start;
        const Symbol* named = image.symbol_named(symbol.name);
        if (named == nullptr || named->name != symbol.name)
            report("a symbol that is not found by its name");
        const Symbol* there = image.symbol_at(symbol.start);
        if (there != nullptr &&
            (symbol.start < there->start || (there->size != 0 && symbol.start - there->start >= there->size)))
            report("a symbol for an address that it does not hold");
    }
}

void check_lines(const ElfImage& image) {
    for (u32 address = kBase; address < kBase + kAddresses; ++address) {
        if (const auto line = image.line_at(address))
            if (const auto found = image.address_of_line(line->file, line->line); !found)
                report("a line that is not found by its number");
        const auto calls = image.inlined_calls(address);
        if (calls.empty() ? !image.inlined_at(address).empty() : calls.front().function != image.inlined_at(address))
            report("two answers to what was inlined");
        for (const InlinedCall& call : calls)
            if (!call.function.empty() && !call.call.file.empty() && image.places_of(call.function).empty())
                report("an inlined function that is nowhere");
    }
}

// Stacks, variables and values of a guest that stopped in this image; memory holds anything.
void look_at_stacks(std::unique_ptr<ElfImage> image) {
    Symbolizer symbols;
    symbols.add_kernel(std::move(image));
    for (u32 address = kBase; address < kBase + kAddresses; address += 7) {
        GuestState state;
        for (u32 number = 0; number < FrameRegisters::Count; ++number)
            state.registers.values[number] = address + number;
        state.memory = [](u32 from, std::span<u8> out) {
            for (std::size_t at = 0; at < out.size(); ++at)
                out[at] = static_cast<u8>((from + at) * 37 >> 3);
            return true;
        };
        const CallStack stack(symbols, state);
        for (std::size_t row = 0; row < stack.rows().size(); ++row) {
            if (stack.text(row).empty())
                report("a row of the stack without a text");
            stack.variables(stack.rows()[row]);
        }
        for (const char* text : {"*x", "s", "list(x, s)", "sizeof(struct s)", "&main2", "x[3]@2"})
            static_cast<void>(print(stack, stack.rows().front(), text));
    }
}

} // namespace

// The first byte decides whether the rest is the file or what its sections hold.
void elf(std::span<const u8> input) {
    InputReader reader(input);
    const bool whole = (reader.take<u8>() & 1) != 0;
    const std::vector<u8> file = whole ? std::vector<u8>(reader.rest().begin(), reader.rest().end()) : made(reader);
    auto image = ElfImage::from_bytes("image", file);
    if (!image.ok())
        return;
    check_symbols(**image);
    check_lines(**image);
    for (const ElfSegment& segment : (*image)->segments())
        if (segment.data.size() > segment.memory_bytes || u64{segment.start} + segment.memory_bytes > u64{1} << 32)
            report("a segment that is larger than its place");
    look_at_stacks(std::move(image).value());
}

} // namespace forkscope::fuzz
