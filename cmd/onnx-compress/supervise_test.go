package main

import (
	"slices"
	"testing"
)

// The worker has few heaps and maps of large values, unless the user says otherwise.
func TestEnvironment(t *testing.T) {
	own := []string{"A=1", "MALLOC_ARENA_MAXIMUM=3"}
	for _, c := range []struct {
		own        []string
		processors int
		want       []string
	}{
		{own, 4, []string{own[0], own[1], "MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=131072"}},
		{own, 64, []string{own[0], own[1], "MALLOC_ARENA_MAX=16", "MALLOC_MMAP_THRESHOLD_=131072"}},
		{[]string{"MALLOC_ARENA_MAX=1"}, 4, []string{"MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=131072"}},
		{[]string{"MALLOC_MMAP_THRESHOLD_=1"}, 4, []string{"MALLOC_MMAP_THRESHOLD_=1", "MALLOC_ARENA_MAX=2"}},
	} {
		if got := environment(c.own, c.processors); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
