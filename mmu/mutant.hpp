// Owns: the seeded bugs with which the tests prove that the comparison against the reference TLB would notice them.
// Callers: the .cpp files of this room at the marked places. Promises: outside the test build MMU_MUTANT is `false`,
// a constant, so the program holds no trace of it.
#pragma once

#define FORKSCOPE_MMU_MUTANT_NAMES(X)                                                                                  \
    X(FrontSurvivesInvlpg)                                                                                             \
    X(FrontSurvivesCr3)                                                                                                \
    X(FrontSurvivesEviction)                                                                                           \
    X(FaultKeepsEntry)                                                                                                 \
    X(FrontSurvivesLargeEviction)                                                                                      \
    X(FrontHitTouchesNothing)                                                                                          \
    X(WriteTagIgnoresDirty)                                                                                            \
    X(WriteTagIgnoresWritable)                                                                                         \
    X(WriteTagIgnoresFlags)                                                                                            \
    X(WriteTagsSurviveWpChange)                                                                                        \
    X(WriteTagsSurviveEpoch)                                                                                           \
    X(UserSharesSupervisorFront)                                                                                       \
    X(PlruEvenIfInvalidWay)                                                                                            \
    X(InvlpgResetsPlru)                                                                                                \
    X(GlobalWithoutPge)                                                                                                \
    X(Cr3DropsGlobal)                                                                                                  \
    X(PseToggleKeepsEntries)                                                                                           \
    X(InvlpgForgetsInstructionSide)                                                                                    \
    X(InvlpgForgetsPieces)                                                                                             \
    X(AccessedSetOnFault)                                                                                              \
    X(DirtyWithoutWalk)                                                                                                \
    X(FaultStraightFromTlb)                                                                                            \
    X(RefillTakesNewWay)                                                                                               \
    X(LargeEntrySurvivesSplit)                                                                                         \
    X(HighPageFirst)                                                                                                   \
    X(ReservedBitsIgnored)                                                                                             \
    X(TableRightsOnly)                                                                                                 \
    X(Pse36BitsLost)                                                                                                   \
    X(WidthBitsIgnored)                                                                                                \
    X(FetchBitWithoutNx)                                                                                               \
    X(NoExecuteIgnored)                                                                                                \
    X(PdptesReadFromMemory)                                                                                            \
    X(PdptesKeptOnCr4)                                                                                                 \
    X(LargeShiftStays)                                                                                                 \
    X(FetchFrontSurvivesDataEviction)                                                                                  \
    X(LargeFetchEntersAsPiece)                                                                                         \
    X(FifoMovesOnHit)                                                                                                  \
    X(FifoStands)                                                                                                      \
    X(RandomNotSaved)                                                                                                  \
    X(InvlpgForgetsLargeFetch)                                                                                         \
    X(SparseFlushForgets)                                                                                              \
    X(RecentSurvivesSlowTouch)                                                                                         \
    X(RecentSurvivesTouch)                                                                                             \
    X(FaultCountedTwice)                                                                                               \
    X(PlainBytesIgnoreTheirEnd)                                                                                        \
    X(TableStoreIgnoresFlags)

namespace forkscope {

enum class MmuMutant {
    None,
#define MUTANT(name) name,
    FORKSCOPE_MMU_MUTANT_NAMES(MUTANT)
#undef MUTANT
        Count
};

} // namespace forkscope

#ifdef FORKSCOPE_MMU_MUTANTS
namespace forkscope {
extern MmuMutant active_mmu_mutant;
}
#define MMU_MUTANT(name) (::forkscope::active_mmu_mutant == ::forkscope::MmuMutant::name)
#else
#define MMU_MUTANT(name) false
#endif
