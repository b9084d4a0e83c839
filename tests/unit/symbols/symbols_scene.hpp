// Owns: StoppedGuest, a built-in guest stopped somewhere in its forkdemo, and the same moment for Debian's gdb:
// registers and memory in an ELF core file. Callers: tests of stacks and values. Promises: what gdb says is read off a
// core of the very bytes that we read.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <elf.h>
#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "emu/machine/images.hpp"
#include "emu/session/guest_state_of.hpp"
#include "emu/session/session.hpp"
#include "emu/symbols/inspect/expression.hpp"

namespace forkscope::testing {

inline std::string output_of(const std::string& command) {
    std::string text;
    if (FILE* pipe = popen(command.c_str(), "r"); pipe != nullptr) {
        char part[4096];
        for (std::size_t n; (n = fread(part, 1, sizeof part, pipe)) > 0;)
            text.append(part, n);
        pclose(pipe);
    }
    return text;
}

inline bool have_gdb() {
    static const bool there = std::system("gdb --version >/dev/null 2>&1") == 0;
    return there;
}

class StoppedGuest {
  public:
    StoppedGuest(const std::string& os, const std::string& until, const std::string& workload = "forkdemo --pages 2")
        : folder_(::testing::TempDir() + std::to_string(::getpid()) + "_symbols"), os_(os) {
        Options options;
        options.os = os;
        options.command = Command::Run;
        options.display = Display::None;
        options.serial = "none";
        options.machine.ram_bytes = u64{16} << 20;
        options.machine.command_line = "run=" + workload;
        options.until = until;
        options.trace_forks = true;
        auto session = Session::create(options);
        EXPECT_TRUE(session.ok()) << (session.ok() ? "" : session.error().message);
        session_ = std::move(session).value();
        EXPECT_EQ(session_->run_to_end().code, ExitCode::Ok) << session_->outcome().why;
        state_ = guest_state_of(session_->machine());
        static_cast<void>(std::system(("mkdir -p " + folder_).c_str()));
    }
    ~StoppedGuest() { static_cast<void>(std::system(("rm -rf " + folder_).c_str())); }

    Session& session() { return *session_; }
    const GuestState& state() const { return state_; }
    CallStack stack() const { return CallStack(session_->symbols(), state_); }

    // What gdb says to each command, without its "$1 = ".
    std::vector<std::string> gdb(const std::vector<std::string>& commands) {
        const std::string kernel = folder_ + "/kernel.elf";
        const std::string core = folder_ + "/core";
        if (!written_) {
            write(kernel, *embedded_kernel(os_));
            write(core, core_file());
            written_ = true;
        }
        std::ofstream script(folder_ + "/script");
        script << "set width 0\nset print elements 200\nset print entry-values no\n";
        for (const std::string& command : commands)
            script << "echo @@@\\n\n"
                   << "python\ntry:\n  gdb.execute(r'''" << command
                   << "''')\nexcept gdb.error as e:\n  print('error: ' + str(e))\nend\n";
        script << "echo @@@\\n\n";
        script.close();
        const std::string text =
            output_of("gdb -nx -batch -x " + folder_ + "/script " + kernel + " " + core + " 2>/dev/null");
        std::vector<std::string> answers;
        std::size_t at = text.find("@@@\n");
        while (at != std::string::npos) {
            const std::size_t next = text.find("@@@\n", at + 4);
            if (next == std::string::npos)
                break;
            std::string answer = text.substr(at + 4, next - at - 4);
            while (!answer.empty() && answer.back() == '\n')
                answer.pop_back();
            if (answer.starts_with("$"))
                answer = answer.substr(answer.find(" = ") + 3);
            answers.push_back(answer);
            at = next;
        }
        EXPECT_EQ(answers.size(), commands.size()) << text;
        answers.resize(commands.size());
        return answers;
    }

  private:
    static void write(const std::string& path, std::span<const u8> bytes) {
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }

    template <class T> static void put(std::vector<u8>& out, const T& value) {
        const auto* bytes = reinterpret_cast<const u8*>(&value);
        out.insert(out.end(), bytes, bytes + sizeof value);
    }

    // struct elf_prstatus of i386: 72 bytes, 17 registers, one word.
    std::vector<u8> status_note() const {
        std::vector<u8> note;
        put(note, Elf32_Nhdr{5, 144, NT_PRSTATUS});
        for (const char letter : {'C', 'O', 'R', 'E', '\0', '\0', '\0', '\0'})
            note.push_back(static_cast<u8>(letter));
        note.resize(note.size() + 72);
        using R = FrameRegisters;
        const auto value = [&](u32 number) { return *state_.registers[number]; };
        for (const u32 word :
             {value(R::Ebx), value(R::Ecx), value(R::Edx), value(R::Esi), value(R::Edi), value(R::Ebp), value(R::Eax),
              0x10u, 0x10u, 0u, 0u, ~0u, value(R::Eip), u32{state_.cs}, value(R::Eflags), value(R::Esp), 0x10u, 0u})
            put(note, word);
        return note;
    }

    std::vector<u8> core_file() const {
        struct Run {
            u32 start;
            std::vector<u8> bytes;
        };
        std::vector<Run> runs;
        std::array<u8, kPageSize> page;
        for (u32 number = 0; number < 1u << 20; ++number) {
            if (!state_.memory(number << 12, page))
                continue;
            if (runs.empty() || runs.back().start + runs.back().bytes.size() != number << 12)
                runs.push_back({number << 12, {}});
            runs.back().bytes.insert(runs.back().bytes.end(), page.begin(), page.end());
        }
        const std::vector<u8> note = status_note();
        Elf32_Ehdr head{};
        std::memcpy(head.e_ident, ELFMAG, SELFMAG);
        head.e_ident[EI_CLASS] = ELFCLASS32;
        head.e_ident[EI_DATA] = ELFDATA2LSB;
        head.e_ident[EI_VERSION] = EV_CURRENT;
        head.e_type = ET_CORE;
        head.e_machine = EM_386;
        head.e_version = EV_CURRENT;
        head.e_ehsize = sizeof head;
        head.e_phoff = sizeof head;
        head.e_phentsize = sizeof(Elf32_Phdr);
        head.e_phnum = static_cast<u16>(1 + runs.size());
        std::vector<u8> out;
        put(out, head);
        u32 at = static_cast<u32>(sizeof head + head.e_phnum * sizeof(Elf32_Phdr));
        Elf32_Phdr part{};
        part.p_type = PT_NOTE;
        part.p_offset = at;
        part.p_filesz = static_cast<u32>(note.size());
        put(out, part);
        at += part.p_filesz;
        for (const Run& run : runs) {
            part = {PT_LOAD,
                    at,
                    run.start,
                    0,
                    static_cast<u32>(run.bytes.size()),
                    static_cast<u32>(run.bytes.size()),
                    PF_R | PF_W | PF_X,
                    1};
            put(out, part);
            at += part.p_filesz;
        }
        out.insert(out.end(), note.begin(), note.end());
        for (const Run& run : runs)
            out.insert(out.end(), run.bytes.begin(), run.bytes.end());
        return out;
    }

    std::string folder_, os_;
    std::unique_ptr<Session> session_;
    GuestState state_;
    bool written_ = false;
};

} // namespace forkscope::testing
