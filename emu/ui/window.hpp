// Owns: the emulator's window (SDL2 and Dear ImGui): screen, registers, code, page tables, TLB, faults.
// Callers: cli. Promises: looks through const views; the machine moves only through the session; keys become input
// events; closing the window ends show() and nothing else.
#pragma once

#include <memory>

#include "emu/session/session.hpp"

namespace forkscope {

class Window {
  public:
    // All that can fail is done here, before a machine exists; the window is not seen yet. Error: why there can be
    // none, with what to do.
    static Result<std::unique_ptr<Window>> open();
    ~Window();
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

    // Shows the session's machine and its fork tracer until the window is closed.
    void show(Session& session);

  private:
    class Host;
    explicit Window(std::unique_ptr<Host> host);

    std::unique_ptr<Host> host_;
};

} // namespace forkscope
