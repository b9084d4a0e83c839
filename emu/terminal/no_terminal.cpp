// Where the program was built without ncurses.
#include "emu/terminal/terminal.hpp"

namespace forkscope {

Result<std::unique_ptr<Terminal>> Terminal::open() {
    return Error{"this program was built without ncurses, and has no terminal face; install libncurses-dev and build "
                 "again, or use --display none"};
}

Result<void> Terminal::show(Session&, First) { return open().error(); }

} // namespace forkscope
