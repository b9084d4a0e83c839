// why: who made what one sees at a linear address, and the way there.
#include <fmt/format.h>

#include "emu/report/stepper/step_commands.hpp"
#include "emu/report/stepper/step_words.hpp"
#include "emu/report/stepper/why_report.hpp"

namespace forkscope {

StepAnswer StepCommands::why(std::string_view rest) {
    const auto request = read_why(
        rest, [this](std::string_view word) { return given(word); }, AddressSpace(space()));
    if (!request.ok())
        return wrong(request.error().message, request.error().code);
    const auto reasons = why_.explain(request->address, request->space, request->part);
    if (!reasons.ok())
        return wrong(reasons.error().message, reasons.error().code);
    if (request->go) {
        for (const Reason& reason : *reasons)
            if (!reason.acts.empty())
                return arrived(stepper_.go_to(reason.acts.front().at));
        return wrong(why_text(*reasons), ExitCode::RuntimeError);
    }
    StepAnswer answer;
    answer.data.address("address", request->address.value).word("space", request->space.root);
    answer.data.rows("reasons", why_rows(*reasons));
    answer.text = why_text(*reasons);
    return answer;
}

} // namespace forkscope
