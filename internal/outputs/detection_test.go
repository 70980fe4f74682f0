package outputs

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestMatch holds matches to their laws: all of a scene match itself, in any order; classes tell apart; each box has one at most.
func TestMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		s := scene(r, 1+r.IntN(8), 3)
		other := slices.Clone(s)
		r.Shuffle(len(other), func(i, k int) { other[i], other[k] = other[k], other[i] })
		if n := Match(s, other); n != len(s) {
			t.Fatalf("%d of %d match themselves", n, len(s))
		}
		if n := Match(s, append(other, other...)); n != len(s) {
			t.Fatalf("twice: %d", n)
		}
		for i := range other {
			other[i].Class += 3
		}
		if n := Match(s, other); n != 0 {
			t.Fatalf("of other classes: %d", n)
		}
		a, b := s[0], s[0]
		shift := (b.Box[2] - b.Box[0]) * r.Float64()
		b.Box[0], b.Box[2] = b.Box[0]+shift, b.Box[2]+shift
		width := a.Box[2] - a.Box[0]
		want := (width - shift) / (width + shift)
		if got := Overlap(a, b); math.Abs(got-want) > 1e-9 || got != Overlap(b, a) {
			t.Fatalf("overlap %v, %v; want %v", got, Overlap(b, a), want)
		}
		if n := Match([]Detection{a}, []Detection{b}); (n == 1) != (want >= LeastOverlap) {
			t.Fatalf("overlap %v: %d match", want, n)
		}
	}
}

// TestSuppression: of boxes of one class that overlap the best stays, those of other classes stay beside it.
func TestSuppression(t *testing.T) {
	at := func(x, score float64, class int) Detection {
		return Detection{Box: [4]float64{x, 0, x + 10, 10}, Score: score, Class: class}
	}
	got := suppressed([]Detection{at(1, 0.5, 0), at(0, 0.9, 0), at(0, 0.6, 1), at(9, 0.4, 0)})
	if want := []Detection{at(0, 0.9, 0), at(0, 0.6, 1), at(9, 0.4, 0)}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestBoxCounts: a chance counts one, a box's number by the score at its place and the box's area; where nothing is known of places, nothing is said.
func TestBoxCounts(t *testing.T) {
	of := []Numbers{matrixOf([][]float64{
		{50, 60, 10, 20, 0.5, 0.125}, {30, 30, 20, 20, 0, 0}, {10, 10, 0, 0, 0.25, 1}, {9, 9, 4, 4, 0.25, 0.25}, {0, 0, 1, 1, 0, 0}, {0, 0, 1, 1, 0, 0}, {0, 0, 1, 1, 0, 0},
	}, true)}
	counts, scores := BoxCounts(listed([]tensor.Type{tensor.Float32}), of)
	if !slices.Equal(scores, []int{0}) {
		t.Fatalf("scores in %v", scores)
	}
	score, area := []float64{0.5, 0, 1, 0.25, 0, 0, 0}, []float64{200, 400, 0.36, 16, 1, 1, 1} // a box of no size by a hundredth of the largest number
	for i, got := range counts[0] {
		want := 1.
		if i/7 < 4 {
			want = score[i%7] / area[i%7]
		}
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("number %d of place %d counts %v, want %v", i/7, i%7, got, want)
		}
	}
	masks, types := caseOf("YOLOv8 with masks").write(scene(rand.New(rand.NewPCG(5, 6)), 8, 3))
	more, _ := BoxCounts(listed(types), masks)
	energy, weight := 0., 0.
	for i, c := range more[0] {
		switch number, place := i/200, i%200; {
		case number >= 4 && number < 7 && c != 1:
			t.Errorf("chance %d counts %v", number, c)
		case number >= 7:
			energy += c * masks[0].Values[i] * masks[0].Values[i]
			s := slices.Max([]float64{masks[0].Values[4*200+place], masks[0].Values[5*200+place], masks[0].Values[6*200+place]})
			weight += s
			if first := more[0][7*200]; math.Abs(c/first-s/masksScore(masks[0].Values)) > 1e-9 {
				t.Errorf("coefficient %d of place %d counts %v, not by its score", number, place, c)
			}
		}
	}
	if math.Abs(energy/weight-1) > 1e-9 {
		t.Errorf("coefficients have %v of their mean square, want 1", energy/weight)
	}
	found, types := caseOf("Ultralytics, suppressed").write(scene(rand.New(rand.NewPCG(5, 6)), 8, 3))
	if all, _ := BoxCounts(listed(types), found); len(all) != 1 || len(all[0]) != 6*8 || !(all[0][0] > 0 && all[0][3] == all[0][0]) || all[0][4] != 1 || all[0][5] != 0 {
		t.Errorf("of what was found: %v", all)
	}
	beside, types := caseOf("SSD").write(scene(rand.New(rand.NewPCG(5, 6)), 8, 3))
	if all, reads := BoxCounts(listed(types), beside); len(all) != 2 || len(all[0]) != 4*300 || all[1] != nil || !slices.Equal(reads, []int{0, 1}) || !(all[0][0] > 0 && all[0][4*299] < all[0][0]) {
		t.Errorf("boxes beside scores: %d numbers, scores in %v", len(all), reads)
	}
	logits, types := caseOf("RT-DETR").write(scene(rand.New(rand.NewPCG(5, 6)), 8, 3))
	all, _ := BoxCounts(listed(types), logits)
	if len(all) != 2 || len(all[1]) != len(logits[1].Values) {
		t.Fatalf("logits: %v", all)
	}
	for i, x := range logits[1].Values {
		s := 1 / (1 + math.Exp(-x))
		if want := max(s*(1-s), 0.05); math.Abs(all[1][i]-want*want) > 1e-12 {
			t.Errorf("a logit of %v counts %v, want %v", x, all[1][i], want*want)
		}
	}
}
