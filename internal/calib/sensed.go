package calib

import (
	"math"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// sensed is what a chunk, or several together, showed of what the outputs feel of a site.
type sensed struct {
	feeling   feeling
	sum       *moments.Sum // nil where there is none
	places    [][]float64  // where it lies or is to lie, nil for the heap
	positions int64        // of all samples and probes
	spread    variance
	why       string // what kept the gradient from a run, the first time
}

func newSensed(f feeling, in *slots) (*sensed, error) {
	places, err := in.zeros(f.Groups, f.Order*f.Order)
	return &sensed{feeling: f, places: places, sum: moments.NewSum(f.Groups, f.Order).In(places)}, err
}

func (s *sensed) settle() {
	if s.positions == 0 {
		s.sum = nil
	} else {
		s.sum.Settle()
	}
}

func (s *sensed) numbers() [][]float64 {
	if s.sum == nil {
		return nil
	}
	return s.sum.Numbers()
}

func (s *sensed) lies() [][]float64 { return s.places }

func (s *sensed) spare() (places [][]float64) {
	if s.sum == nil {
		places, s.places = s.places, nil
	}
	return places
}

// wake has a settled sum, zeros where there is none.
func (s *sensed) wake() {
	if s.sum == nil {
		s.sum = moments.NewSum(s.feeling.Groups, s.feeling.Order)
		s.sum.Settle()
	}
}

func (s *sensed) join(before *sensed) {
	switch {
	case before.sum == nil:
	case s.sum == nil:
		s.sum, s.places = before.sum, before.places
		before.places = nil
	default:
		s.sum.Join(before.sum.Numbers())
	}
	before.sum = nil
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
	g := s.sum.Mean(s.positions)
	for i, m := range g {
		shrink(m, s.spread.noise(i, m, s.positions))
	}
	s.sum = nil
	own(g, s.places)
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
