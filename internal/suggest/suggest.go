// Package suggest finds the word somebody probably meant.
package suggest

import (
	"fmt"

	"github.com/agnivade/levenshtein"
)

// Nearest returns the candidate with the smallest edit distance to word, or
// false when none is close enough to be a likely slip of the fingers: more
// than a third of the letters, and more than two, would have to change.
func Nearest(word string, candidates []string) (string, bool) {
	best, distance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(word, c); d < distance {
			best, distance = c, d
		}
	}
	return best, best != ""
}

// Phrase returns ` (did you mean "x"?)` for the nearest candidate, or nothing.
func Phrase(word string, candidates []string) string {
	if c, ok := Nearest(word, candidates); ok {
		return fmt.Sprintf(" (did you mean %q?)", c)
	}
	return ""
}
