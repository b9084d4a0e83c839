"""Kernel images made by hand: one that is right in every field, and what the tests bend from it."""

import struct

PAGE = 4096
LOAD_ADDRESS = 0x100000
MULTIBOOT_MAGIC = 0x1BADB002
CODE_ADDRESS = LOAD_ADDRESS + 64  # behind the multiboot header

# cli; lidt [six zero bytes behind this code]; ud2: no handler for #UD, none for #GP, none for #DF.
TRIPLE_FAULT = bytes.fromhex("fa 0f011d") + struct.pack("<I", CODE_ADDRESS + 16) + bytes.fromhex("0f0b")
# jmp to itself.
ENDLESS_LOOP = bytes.fromhex("ebfe")


def multiboot_header(flags=0, magic=MULTIBOOT_MAGIC, checksum=None, addresses=()):
    if checksum is None:
        checksum = -(magic + flags) & 0xFFFFFFFF
    return struct.pack("<III", magic, flags, checksum) + struct.pack(f"<{len(addresses)}I", *addresses)


def elf(code=ENDLESS_LOOP, header=None, **fields):
    """A multiboot ELF32 executable with one segment. `fields` replace fields of the ELF and program header by name."""
    body = (multiboot_header() if header is None else header).ljust(64, b"\0") + code.ljust(64, b"\0")
    value = {
        "class_": 1, "data": 1, "type": 2, "machine": 3, "entry": CODE_ADDRESS, "phoff": 52, "phentsize": 32,
        "phnum": 1, "p_type": 1, "p_offset": PAGE, "p_vaddr": LOAD_ADDRESS, "p_paddr": LOAD_ADDRESS,
        "p_filesz": len(body), "p_memsz": len(body), "shoff": 0, "shnum": 0, "shstrndx": 0,
    }
    assert set(fields) <= set(value), fields
    value.update(fields)
    v = value
    ident = b"\x7fELF" + bytes([v["class_"], v["data"], 1]) + bytes(9)
    elf_header = ident + struct.pack("<HHIIIIIHHHHHH", v["type"], v["machine"], 1, v["entry"], v["phoff"], v["shoff"], 0, 52,
                                     v["phentsize"], v["phnum"], 40, v["shnum"], v["shstrndx"])
    program_header = struct.pack("<IIIIIIII", v["p_type"], v["p_offset"], v["p_vaddr"], v["p_paddr"], v["p_filesz"],
                                 v["p_memsz"], 7, PAGE)
    return (elf_header + program_header).ljust(PAGE, b"\0") + body


def elf_with_symbol(name=b"main"):
    """elf() with a symbol table that holds one name, of its code."""
    image = elf()
    names = b"\0" + name + b"\0"
    symbols = bytes(16) + struct.pack("<IIIBBH", 1, CODE_ADDRESS, 2, 0x12, 0, 1)
    section = lambda kind, at, size, link, entry: struct.pack("<IIIIIIIIII", 0, kind, 0, 0, at, size, link, 1, 1, entry)
    symbols_at, names_at = len(image), len(image) + len(symbols)
    sections = (bytes(40) + section(2, symbols_at, len(symbols), 2, 16) + section(3, names_at, len(names), 0, 0))
    whole = bytearray(image + symbols + names + sections)
    struct.pack_into("<I", whole, 32, names_at + len(names))
    struct.pack_into("<HH", whole, 48, 3, 2)
    return bytes(whole)


def elf64():
    """The header of a 64-bit x86 executable, and a program header."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, LOAD_ADDRESS, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, PAGE, LOAD_ADDRESS, LOAD_ADDRESS, 128, 128, PAGE)
    return (header + segment).ljust(PAGE, b"\0") + multiboot_header().ljust(128, b"\0")


def flat(addresses, flags=1 << 16):
    """An image that is no ELF, placed by the five addresses of its multiboot header (the a.out kludge)."""
    return multiboot_header(flags, addresses=addresses).ljust(64, b"\0") + ENDLESS_LOOP.ljust(64, b"\0")
