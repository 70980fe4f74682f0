package calib

import (
	"math"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// sensed is what a chunk, or several together, showed of what the outputs feel of a site.
type sensed struct {
	feeling   feeling
	sums      *moments.Sum // nil where there are none
	slot      []float64    // where they lie that have left memory
	positions int64        // of all samples and probes
	spread    variance
	why       string // what kept the gradient from a run, the first time
}

func newSensed(f feeling, in *slots) *sensed {
	return &sensed{feeling: f, sums: moments.NewSum(f.Groups, f.Order).In(in)}
}

func (s *sensed) settle() {
	if s.positions == 0 {
		s.sums = nil
	} else {
		s.sums.Settle()
	}
}

func (s *sensed) numbers() [][]float64 {
	if s.sums == nil {
		return nil
	}
	return s.sums.Numbers()
}

func (s *sensed) sum() (leaving, *[]float64) {
	if s.sums == nil {
		return nil, nil
	}
	return s.sums, &s.slot
}

// wake has settled sums, zeros where there are none.
func (s *sensed) wake() {
	if s.sums == nil {
		s.sums = moments.NewSum(s.feeling.Groups, s.feeling.Order)
		s.sums.Settle()
	}
}

func (s *sensed) join(before *sensed) {
	if before.sums != nil {
		s.wake()
		s.sums.Join(before.sums.Numbers())
	}
	s.count(before)
}

// count takes in what is said of the chunks before beside their sum.
func (s *sensed) count(before *sensed) {
	s.positions += before.positions
	if before.positions > 0 {
		s.spread.merge(&before.spread)
	}
	if before.why != "" {
		s.why = before.why
	}
}

// mean returns the moment that was summed, less what is noise off its diagonal. The sum is used up.
func (s *sensed) mean() []*linalg.Matrix {
	s.wake()
	g := s.sums.Mean(s.positions)
	for i, m := range g {
		shrink(m, s.spread.noise(i, m, s.positions))
	}
	return g
}

// signs are what decides about sensitivities without their numbers.
type signs struct {
	Positions     int64
	Why           string `json:",omitempty"`
	Finite, Moved bool   // whether all sums are finite numbers, and any is not zero
}

// signs looks at what a node of the tree has.
func (s *sensed) signs() signs {
	out := signs{Positions: s.positions, Why: s.why, Finite: true}
	for _, row := range s.numbers() {
		for _, v := range row {
			out.Finite = out.Finite && !math.IsNaN(v) && !math.IsInf(v, 0)
			out.Moved = out.Moved || v != 0
		}
	}
	return out
}

// and adds what the chunks behind show.
func (s signs) and(t signs) signs {
	if s.Why == "" {
		s.Why = t.Why
	}
	return signs{s.Positions + t.Positions, s.Why, s.Finite && t.Finite, s.Moved || t.Moved}
}
