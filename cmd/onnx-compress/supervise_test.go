package main

import (
	"slices"
	"testing"
)

// The worker has few heaps, unless the user says how many.
func TestEnvironment(t *testing.T) {
	own := []string{"A=1", "MALLOC_ARENA_MAXIMUM=3"}
	if got, want := environment(own, 4), append(slices.Clone(own), "MALLOC_ARENA_MAX=2"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := environment(own, 64); got[2] != "MALLOC_ARENA_MAX=16" {
		t.Errorf("%q", got)
	}
	own = append(own, "MALLOC_ARENA_MAX=1")
	if got := environment(own, 4); !slices.Equal(got, own) {
		t.Errorf("%q, want %q", got, own)
	}
}
