// The transcendental instructions: everything but the last place of the result as on this host, and the result itself
// within the documented accuracy (SDM 1, 8.3.10: below 1 unit in the last place) of MPFR's.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>
#ifdef FORKSCOPE_HAS_MPFR
#include <mpfr.h>
#endif

#include "x87_host.hpp"

namespace forkscope::test {
namespace {

[[maybe_unused]] bool is_long_run() { return std::getenv("FORKSCOPE_LONG") != nullptr; }

template <class Visit> void for_every_function(Visit visit) {
    for (u16 form = 1; form < form_count(); ++form)
        if (form_at(form).cost == CostClass::FloatFunction)
            visit(X87Instruction(form, 0));
}

#ifdef FORKSCOPE_HAS_HOST_X87

// How far apart two numbers are in units of the last place; huge if they are not neighbours at all.
u64 places_apart(const Float80& a, const Float80& b) {
    if (a == b)
        return 0;
    if (a.sign() != b.sign())
        return ~u64{0};
    const auto position = [](const Float80& number) {
        return u128{static_cast<u32>(number.exponent())} << 63 | (number.significand & ~(u64{1} << 63));
    };
    const u128 difference = position(a) > position(b) ? position(a) - position(b) : position(b) - position(a);
    return difference > 1000 ? 1000 : static_cast<u64>(difference);
}

struct Agreement {
    u64 cases = 0;
    u64 equal = 0;     // in everything
    u64 same = 0;      // the same results, but C1 shows another rounding
    u64 close = 0;     // results one place apart
    u64 different = 0; // otherwise
};

// Takes the liberties that the manual leaves (SDM 1, 8.3.10: less than one unit in the last place): two results that
// keep to it are at most one place apart; and C1 says how the processor's own was rounded.
bool is_close(const X87Machine& mine, const X87Machine& theirs) {
    if (mine.x87.top != theirs.x87.top || mine.x87.occupied != theirs.x87.occupied ||
        ((mine.x87.status ^ theirs.x87.status) & ~kX87C1) != 0)
        return false;
    for (u32 i = 0; i < 8; ++i)
        if (places_apart(mine.x87.registers[i], theirs.x87.registers[i]) > 1)
            return false;
    return true;
}

TEST(X87Transcendental, DiffersFromTheHostAtMostInTheLastPlace) {
    const u64 rounds = is_long_run() ? 400 : 8;
    X87Ours ours;
    for_every_function([&](const X87Instruction& instruction) {
        const X87Host host(instruction);
        Random random(instruction.decoded().form);
        Agreement agreement;
        for (u64 i = 0; i < rounds * kMatrixCells; ++i) {
            const X87Machine start = machine_in_cell(random, instruction, i);
            X87Machine mine = start;
            X87Machine theirs = start;
            ours.run(instruction, mine);
            host.run(theirs);
            ++agreement.cases;
            if (is_close(mine, theirs))
                ++(mine.x87.registers != theirs.x87.registers ? agreement.close
                   : mine.x87.status != theirs.x87.status     ? agreement.same
                                                              : agreement.equal);
            else if (++agreement.different <= 3)
                ADD_FAILURE() << instruction.text() << "\n  from " << describe(start) << "\n  ours " << describe(mine)
                              << "\n  host " << describe(theirs);
        }
        std::printf("%-8s %llu cases: %llu equal, %llu but for C1, %llu one place apart, %llu different\n",
                    instruction.text().c_str(), static_cast<unsigned long long>(agreement.cases),
                    static_cast<unsigned long long>(agreement.equal), static_cast<unsigned long long>(agreement.same),
                    static_cast<unsigned long long>(agreement.close),
                    static_cast<unsigned long long>(agreement.different));
        EXPECT_EQ(agreement.different, 0u) << instruction.text();
        EXPECT_GT(agreement.equal + agreement.same, agreement.cases / 2) << instruction.text();
    });
}

#endif

#ifdef FORKSCOPE_HAS_MPFR

class Real {
  public:
    Real() { mpfr_init2(value_, 320); }
    explicit Real(const Float80& number) : Real() {
        mpfr_set_ui_2exp(value_, number.significand, std::max(number.exponent(), 1) - Float80::kBias - 63, MPFR_RNDN);
        if (number.sign())
            mpfr_neg(value_, value_, MPFR_RNDN);
    }
    ~Real() { mpfr_clear(value_); }
    Real(const Real&) = delete;
    Real& operator=(const Real&) = delete;
    mpfr_ptr get() { return value_; }

  private:
    mpfr_t value_;
};

// What the quotient of the angle by the 66-bit pi/2 of the x87 (SDM 1, 8.3.8) leaves, and the quotient's low bits.
u32 reduce(Real& angle) {
    Real half_pi;
    Real multiple;
    mpfr_set_ui_2exp(half_pi.get(), 0x243F6A8885A308D3, -65, MPFR_RNDN);
    mpfr_add_ui(half_pi.get(), half_pi.get(), 1, MPFR_RNDN);
    mpfr_add_d(half_pi.get(), half_pi.get(), 0.5, MPFR_RNDN); // 3 * 2^64 of its units
    mpfr_div(multiple.get(), angle.get(), half_pi.get(), MPFR_RNDN);
    mpfr_rint(multiple.get(), multiple.get(), MPFR_RNDN);
    Real low;
    mpfr_fmod(low.get(), multiple.get(), Real(float_from_integer(4)).get(), MPFR_RNDN);
    mpfr_mul(multiple.get(), multiple.get(), half_pi.get(), MPFR_RNDN);
    mpfr_sub(angle.get(), angle.get(), multiple.get(), MPFR_RNDN);
    return static_cast<u32>(mpfr_get_si(low.get(), MPFR_RNDN)) & 3;
}

void sine(Real& out, const Float80& a, u32 quarter) {
    Real angle(a);
    const u32 quadrant = reduce(angle) + quarter;
    (quadrant % 2 == 0 ? mpfr_sin : mpfr_cos)(out.get(), angle.get(), MPFR_RNDN);
    if ((quadrant & 2) != 0)
        mpfr_neg(out.get(), out.get(), MPFR_RNDN);
}

struct Function {
    const char* name;
    i32 least, most; // unbiased exponents of the argument
    bool positive;
    Float80 (*ours)(FloatContext&, Float80 x, Float80 y);
    void (*exact)(Real& out, const Float80& x, const Float80& y);
};

const Function kFunctions[] = {
    {"f2xm1", -70, -1, false, [](FloatContext& c, Float80 x, Float80) { return float_exp2_minus_1(c, x); },
     [](Real& out, const Float80& x, const Float80&) {
         Real ln_2;
         mpfr_const_log2(ln_2.get(), MPFR_RNDN);
         mpfr_mul(out.get(), Real(x).get(), ln_2.get(), MPFR_RNDN);
         mpfr_expm1(out.get(), out.get(), MPFR_RNDN);
     }},
    {"fyl2x", -200, 200, true, [](FloatContext& c, Float80 x, Float80 y) { return float_y_log2(c, y, x); },
     [](Real& out, const Float80& x, const Float80& y) {
         mpfr_log2(out.get(), Real(x).get(), MPFR_RNDN);
         mpfr_mul(out.get(), out.get(), Real(y).get(), MPFR_RNDN);
     }},
    {"fyl2x near 1", -1, 0, true, [](FloatContext& c, Float80 x, Float80 y) { return float_y_log2(c, y, x); },
     [](Real& out, const Float80& x, const Float80& y) {
         mpfr_log2(out.get(), Real(x).get(), MPFR_RNDN);
         mpfr_mul(out.get(), out.get(), Real(y).get(), MPFR_RNDN);
     }},
    {"fyl2xp1", -70, -2, false, [](FloatContext& c, Float80 x, Float80 y) { return float_y_log2_plus_1(c, y, x); },
     [](Real& out, const Float80& x, const Float80& y) {
         Real ln_2;
         mpfr_const_log2(ln_2.get(), MPFR_RNDN);
         mpfr_log1p(out.get(), Real(x).get(), MPFR_RNDN);
         mpfr_div(out.get(), out.get(), ln_2.get(), MPFR_RNDN);
         mpfr_mul(out.get(), out.get(), Real(y).get(), MPFR_RNDN);
     }},
    {"fpatan", -30, 30, false, [](FloatContext& c, Float80 x, Float80 y) { return float_arctangent(c, y, x); },
     [](Real& out, const Float80& x, const Float80& y) {
         mpfr_atan2(out.get(), Real(y).get(), Real(x).get(), MPFR_RNDN);
     }},
    {"fsin", -70, 62, false, [](FloatContext& c, Float80 x, Float80) { return float_sine(c, x).first; },
     [](Real& out, const Float80& x, const Float80&) { sine(out, x, 0); }},
    {"fcos", -70, 62, false, [](FloatContext& c, Float80 x, Float80) { return float_cosine(c, x).first; },
     [](Real& out, const Float80& x, const Float80&) { sine(out, x, 1); }},
    {"fptan", -70, 62, false, [](FloatContext& c, Float80 x, Float80) { return float_tangent(c, x).first; },
     [](Real& out, const Float80& x, const Float80&) {
         Real cosine;
         sine(out, x, 0);
         sine(cosine, x, 1);
         mpfr_div(out.get(), out.get(), cosine.get(), MPFR_RNDN);
     }},
};

// |ours - exact| in units of ours' last place.
double error_in_places(const Float80& ours, Real& exact) {
    mpfr_sub(exact.get(), exact.get(), Real(ours).get(), MPFR_RNDN);
    mpfr_mul_2si(exact.get(), exact.get(), Float80::kBias + 63 - std::max(ours.exponent(), 1), MPFR_RNDN);
    return std::fabs(mpfr_get_d(exact.get(), MPFR_RNDA));
}

Float80 random_in(Random& random, i32 least, i32 most, bool positive) {
    const u64 span = static_cast<u64>(most - least + 1);
    Float80 number = random_float(random, OperandClass::Normal);
    number = Float80::make(!positive && number.sign(), static_cast<u32>(Float80::kBias + least), number.significand);
    number.sign_exponent += random.below(span);
    if (random.chance(2))
        number.significand |= random.next();
    return number;
}

TEST(X87Transcendental, LiesWithinTheDocumentedAccuracyOfMpfr) {
    const u64 count = is_long_run() ? 200'000 : 8'000;
    for (const Function& function : kFunctions) {
        Random random(11);
        double worst[2] = {}; // to nearest, other roundings
        for (u64 i = 0; i < count; ++i) {
            FloatContext context;
            context.rounding = static_cast<Rounding>(i % 8 < 4 ? 0 : i % 4);
            const Float80 x = random_in(random, function.least, function.most, function.positive);
            const Float80 y = random_in(random, -30, 30, false);
            const Float80 ours = function.ours(context, x, y);
            Real exact;
            function.exact(exact, x, y);
            if (mpfr_zero_p(exact.get()) != 0)
                continue; // log2(1)
            double& most = worst[context.rounding == Rounding::Nearest ? 0 : 1];
            const double error = error_in_places(ours, exact);
            if (error > most)
                most = error;
            if (error > 1) // rounded to one side it may be just below 1, which a double cannot tell from 1
                ADD_FAILURE() << function.name << " of " << describe(x) << " and " << describe(y) << " gives "
                              << describe(ours) << ", " << error << " places off";
        }
        std::printf("%-12s %llu cases: at most %.6f places off to nearest, %.6f otherwise\n", function.name,
                    static_cast<unsigned long long>(count), worst[0], worst[1]);
        EXPECT_LT(worst[0], 0.5001) << function.name;
    }
}

#endif

} // namespace
} // namespace forkscope::test
