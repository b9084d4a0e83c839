// v86.mjs PACKAGE KERNEL SERIAL COMMAND…: runs the benchmark guest in v86 (npm's package of that name, unpacked at PACKAGE) and
// writes its serial lines to the file SERIAL, until the guest has said DONE.
import fs from "node:fs";
import path from "node:path";

const [folder, kernel, serial, ...words] = process.argv.slice(2);
const { V86 } = await import(path.join(path.resolve(folder), "build", "libv86.mjs"));
const bytes = file => new Uint8Array(fs.readFileSync(file)).buffer;
const output = fs.openSync(serial, "w");
const machine = new V86({
    wasm_path: path.join(folder, "build", "v86.wasm"),
    memory_size: 256 << 20,
    vga_memory_size: 2 << 20,
    bios: { buffer: bytes("/usr/share/seabios/bios.bin") },
    vga_bios: { buffer: bytes("/usr/share/seabios/vgabios-stdvga.bin") },
    multiboot: { buffer: bytes(kernel) },
    cmdline: ["bench.elf", ...words].join(" "),
    autostart: true,
    disable_speaker: true,
});
let line = "";
machine.add_listener("serial0-output-byte", byte => {
    line += String.fromCharCode(byte);
    if (byte !== 10) return;
    fs.writeSync(output, line);
    if (/^(DONE|PANIC)/.test(line)) process.exit(0);
    line = "";
});
