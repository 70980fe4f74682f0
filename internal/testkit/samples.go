package testkit

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// Memory is a source of given samples; S is samples.Sample, which this package cannot name: the tests of calib use it too.
type Memory[S any] []S

// Len returns the number of samples.
func (m Memory[S]) Len() int { return len(m) }

// Sample returns a sample.
func (m Memory[S]) Sample(i int) (S, error) { return m[i], nil }

// Describe says how many samples there are.
func (m Memory[S]) Describe() string { return fmt.Sprintf("%d samples in memory", len(m)) }

// Count is the list 0, …, n-1.
func Count(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// Watched is a source that notes whether it is in use after Returned was called: samples take their time.
type Watched[S any] struct {
	Memory[S]
	returned, late atomic.Bool
}

// Sample returns a sample, a while after it was asked for.
func (w *Watched[S]) Sample(i int) (S, error) {
	time.Sleep(3 * time.Millisecond)
	if w.returned.Load() {
		w.late.Store(true)
	}
	return w.Memory.Sample(i)
}

// Returned says that who was given the source has returned, and fails the test where that asks for samples all the same.
func (w *Watched[S]) Returned(t testing.TB) {
	t.Helper()
	w.returned.Store(true)
	time.Sleep(30 * time.Millisecond)
	if w.late.Load() {
		t.Error("a sample is asked for after the return")
	}
}
