package ordered

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// However many work on them and however long each takes, turns are done in order, and one at a time.
func TestTurns(t *testing.T) {
	const n = 500
	for _, workers := range []int{1, 2, 7, n} {
		var turns Turns
		var next atomic.Int64
		var got []int // which the race detector watches
		var wait sync.WaitGroup
		for w := range workers {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			wait.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					for range r.IntN(20) {
						runtime.Gosched()
					}
					if err := turns.Do(t.Context(), i, func() { got = append(got, i) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		if len(got) != n || !slices.IsSorted(got) {
			t.Errorf("%d workers: the order is %v", workers, got)
		}
	}
}

// When the context ends, those who wait for a turn that does not come go, and nothing is done out of order.
func TestTurnsEnd(t *testing.T) {
	var turns Turns
	ctx, cancel := context.WithCancel(t.Context())
	var done []int
	var wait sync.WaitGroup
	for i := 1; i < 20; i++ { // number 0 never comes
		wait.Go(func() {
			if err := turns.Do(ctx, i, func() { done = append(done, i) }); !errors.Is(err, context.Canceled) {
				t.Errorf("turn %d: %v", i, err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	cancel()
	wait.Wait()
	if err := turns.Do(ctx, 0, func() { done = append(done, 0) }); !errors.Is(err, context.Canceled) || len(done) > 0 {
		t.Errorf("after the end: %v, done %v", err, done)
	}
}
