//go:build unix

package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestWithinLarge(t *testing.T) {
	const head = "| run | command | seconds | user CPU seconds | peak MiB | exit code |\n|---|---|---|---|---|---|\n"
	for rows, want := range map[string]bool{
		"| 1g-inspect | `inspect` | 0.2 | 0.0 | 26 | 0 |\n":                                 true,
		"| 1g-inspect | `inspect` | 1.2 | 0.0 | 26 | 0 |\n":                                 false,
		"| 1g | `compress --target params=0.5` | 900.0 | 100.0 | 2047 | 0 |\n":              true,
		"| layer | `x` | 1.0 | 1.0 | 9 | 0 |\n| 6g | `compress` | 1.0 | 1.0 | 2100 | 0 |\n": false,
	} {
		if err := withinLarge(head + rows); errors.Is(err, errUnmet) == want || err != nil && !errors.Is(err, errUnmet) {
			t.Errorf("%q: %v", rows, err)
		}
	}
}

// TestLargeRuns wants a bound to be that of a run which the script has.
func TestLargeRuns(t *testing.T) {
	script, err := os.ReadFile("large.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name := range largeBounds {
		if !strings.Contains(string(script), "\n"+name+" ") {
			t.Errorf("large.sh has no run %q", name)
		}
	}
}
