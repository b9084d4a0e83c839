// Owns: the seeded bugs with which the tests prove that the comparison against the reference TLB would notice them.
// Callers: the .cpp files of this room at the marked places. Promises: outside the test build MMU_MUTANT is `false`,
// a constant, so the program holds no trace of it.
#pragma once

namespace forkscope {

enum class MmuMutant {
    None,
    FrontSurvivesInvlpg,
    FrontSurvivesCr3,
    FrontSurvivesEviction,
    FaultKeepsEntry,
    FrontSurvivesLargeEviction,
    FrontHitTouchesNothing,
    WriteTagIgnoresDirty,
    WriteTagIgnoresWritable,
    WriteTagIgnoresFlags,
    WriteTagsSurviveWpChange,
    WriteTagsSurviveEpoch,
    UserSharesSupervisorFront,
    PlruEvenIfInvalidWay,
    InvlpgResetsPlru,
    GlobalWithoutPge,
    Cr3DropsGlobal,
    PseToggleKeepsEntries,
    InvlpgForgetsInstructionSide,
    InvlpgForgetsPieces,
    AccessedSetOnFault,
    DirtyWithoutWalk,
    FaultStraightFromTlb,
    RefillTakesNewWay,
    LargeEntrySurvivesSplit,
    HighPageFirst,
    ReservedBitsIgnored,
    TableRightsOnly,
    Pse36BitsLost,
    WidthBitsIgnored,
    FetchBitWithoutNx,
    NoExecuteIgnored,
    PdptesReadFromMemory,
    PdptesKeptOnCr4,
    LargeShiftStays,
    FetchFrontSurvivesDataEviction,
    LargeFetchEntersAsPiece,
    FifoMovesOnHit,
    FifoStands,
    RandomNotSaved,
    InvlpgForgetsLargeFetch,
    SparseFlushForgets,
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
