// Owns: the translator's seeded bugs, with which the tests prove that a comparison of the engines would notice them.
// Callers: the .cpp files of this folder at the marked places. Promises: outside the test build TRANSLATOR_MUTANT is
// `false`, a constant, so the program holds no trace of it.
#pragma once

#define FORKSCOPE_TRANSLATOR_MUTANT_NAMES(X)                                                                           \
    X(CrossingAccessStaysFast)                                                                                         \
    X(OtherWayNotTouched)                                                                                              \
    X(OtherPrivilegeStaysRecent)                                                                                       \
    X(OlderFlagsLieOver)                                                                                               \
    X(FlagsLostOverSlow)                                                                                               \
    X(WrongRecordExpected)                                                                                             \
    X(DeadBlockStaysLinked)                                                                                            \
    X(PageOfLinkUnchecked)                                                                                             \
    X(PageOfJumpUnchecked)                                                                                             \
    X(JumpCacheNotCleared)                                                                                             \
    X(BudgetNotRestored)                                                                                               \
    X(CountWrongAtLeave)                                                                                               \
    X(CarryLostAtInc)                                                                                                  \
    X(ShiftByZeroSetsFlags)                                                                                            \
    X(FlagsLostBetweenTurns)                                                                                           \
    X(SetWrittenBeforeFlagsAreTaken)                                                                                   \
    X(StringsGoUpwards)                                                                                                \
    X(StringsIgnoreTime)                                                                                               \
    X(StringFlagsLost)                                                                                                 \
    X(LastX87InstructionLost)                                                                                          \
    X(LastX87OperandLost)                                                                                              \
    X(X87NotTakenAgain)                                                                                                \
    X(EmptyRegistersForgotten)                                                                                         \
    X(FloatFlagsLost)                                                                                                  \
    X(PrecisionIgnored)                                                                                                \
    X(UnmaskedX87Taken)                                                                                                \
    X(BreakpointsTranslated)                                                                                           \
    X(NewBreakpointsIgnored)                                                                                           \
    X(RunLoopNotAsked)                                                                                                 \
    X(PageOfNextBlockUnchecked)                                                                                        \
    X(SlotsOfOldPrivilege)                                                                                             \
    X(TableStoreForgotten)                                                                                             \
    X(RegistersNotInPlace)                                                                                             \
    X(FetchBeforeRunLoop)

namespace forkscope {

enum class TranslatorMutant {
    None,
#define MUTANT(name) name,
    FORKSCOPE_TRANSLATOR_MUTANT_NAMES(MUTANT)
#undef MUTANT
};

} // namespace forkscope

#ifdef FORKSCOPE_TRANSLATOR_MUTANTS
namespace forkscope {
extern TranslatorMutant active_translator_mutant;
}
#define TRANSLATOR_MUTANT(name) (::forkscope::active_translator_mutant == ::forkscope::TranslatorMutant::name)
#else
#define TRANSLATOR_MUTANT(name) false
#endif
