package tune

import (
	"math/rand/v2"
	"testing"
)

// Runs fit into the memory, unless one sample alone does not; nothing is lowered without need, nor lower than it has to be.
func TestWithin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for range 10000 {
		room, run, sample := r.Int64N(1000)+1, r.Int64N(100), r.Int64N(100)+1
		beside, most := r.IntN(8)+1, r.IntN(16)+1
		takes := func(beside, most int) int64 { return int64(beside) * (run + int64(most)*sample) }
		b, m := within(room, run, sample, beside, most)
		switch {
		case b < 1 || m < 1 || b > beside || m > most:
			t.Fatalf("%d of %d runs of %d of %d samples", b, beside, m, most)
		case takes(beside, most) <= room && (b != beside || m != most):
			t.Fatalf("%d runs of %d samples take %d of %d, and there are %d of %d", beside, most, takes(beside, most), room, b, m)
		case takes(b, m) > room && b*m > 1:
			t.Fatalf("%d runs of %d samples take %d of %d", b, m, takes(b, m), room)
		case m < most && takes(b, m+1) <= room:
			t.Fatalf("%d runs of %d samples where there is room for one more in each", b, m)
		}
	}
}
