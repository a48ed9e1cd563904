// SPDX-License-Identifier: Apache-2.0
#include "analysis/linear_form.h"

#include <gtest/gtest.h>

namespace fovea::analysis {
namespace {

constexpr PlaneForm kQ{.known = true, .q = 1};
constexpr PlaneForm kKv{.known = true, .kv = 1};
constexpr PlaneForm kNumber{.known = true};

TEST(PlaneForm, SumsAndMultiples) {
  const PlaneForm difference = add(scale(kQ, 3), negate(scale(kKv, 3)));
  EXPECT_TRUE(difference.known);
  EXPECT_EQ(difference.q, 3);
  EXPECT_EQ(difference.kv, -3);
  EXPECT_FALSE(add(kQ, negate(kQ)).reads_plane());
  EXPECT_TRUE(add(kQ, kNumber).reads_plane());
  EXPECT_FALSE(add(kQ, PlaneForm{}).known);
}

TEST(PlaneForm, RunTimeFactors) {
  const PlaneForm twice = scale_by_unit(kQ, 7);
  EXPECT_TRUE(add(twice, negate(scale_by_unit(kKv, 7))).known);
  EXPECT_FALSE(add(twice, kKv).known);                    // 7's value is not known
  EXPECT_FALSE(add(twice, scale_by_unit(kKv, 8)).known);  // nor whether it is 8's
  EXPECT_FALSE(scale_by_unit(twice, 8).known);
  EXPECT_TRUE(add(twice, kNumber).known);
  EXPECT_EQ(scale(twice, 0).unit, -1);
  EXPECT_TRUE(scale_by_unit(kNumber, 7).known);
}

TEST(PlaneForm, FactorsThatDoNotFitAreUnknown) {
  const PlaneForm large = scale(kQ, int64_t{1} << 40);
  EXPECT_TRUE(large.known);
  EXPECT_FALSE(scale(large, int64_t{1} << 40).known);
}

LinearForm form(int64_t offset, std::initializer_list<LinearForm::Term> terms) {
  LinearForm result = LinearForm::constant(offset);
  for (const auto& [node, factor] : terms) {
    EXPECT_TRUE(result.add(LinearForm::atom(node), factor));
  }
  return result;
}

TEST(LinearForm, MergesTermsInOrder) {
  LinearForm sum = form(5, {{9, 2}, {3, 1}});
  ASSERT_TRUE(sum.add(form(1, {{3, 4}, {7, 1}}), -2));
  EXPECT_EQ(sum.offset(), 3);
  ASSERT_EQ(sum.terms().size(), 3U);
  EXPECT_EQ(sum.terms()[0].node, 3);
  EXPECT_EQ(sum.terms()[0].factor, -7);
  EXPECT_EQ(sum.terms()[1].node, 7);
  EXPECT_EQ(sum.terms()[1].factor, -2);
  EXPECT_EQ(sum.terms()[2].node, 9);
  EXPECT_EQ(sum.terms()[2].factor, 2);
}

TEST(LinearForm, CancelsTerms) {
  LinearForm sum = form(0, {{1, 3}, {2, 1}});
  ASSERT_TRUE(sum.add(form(0, {{1, 1}}), -3));
  ASSERT_EQ(sum.terms().size(), 1U);
  ASSERT_TRUE(sum.add(form(0, {{2, 1}}), -1));
  EXPECT_TRUE(sum.is_constant());
}

TEST(LinearForm, SharedTerms) {
  EXPECT_TRUE(form(0, {{1, 3}, {2, 1}}).shares_term(form(4, {{2, 9}})));
  EXPECT_FALSE(form(0, {{1, 3}, {2, 1}}).shares_term(form(4, {{3, 9}})));
  EXPECT_FALSE(form(7, {}).shares_term(form(7, {})));
}

TEST(LinearForm, RefusesWhatDoesNotFitAndStaysAsItWas) {
  LinearForm full = form(0, {{1, 1}, {2, 1}, {3, 1}, {4, 1}});
  EXPECT_FALSE(full.add(LinearForm::atom(5), 1));
  EXPECT_EQ(full.terms().size(), 4U);
  EXPECT_TRUE(full.add(LinearForm::atom(4), 1));
  LinearForm large = LinearForm::constant(int64_t{1} << 59);
  EXPECT_FALSE(large.add(large, 1));
  EXPECT_FALSE(large.add(large, int64_t{1} << 40));
  EXPECT_EQ(large.offset(), int64_t{1} << 59);
}

}  // namespace
}  // namespace fovea::analysis
