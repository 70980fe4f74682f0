// Package suggest finds the word somebody probably meant.
package suggest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// Nearest returns the candidate with the smallest edit distance to word, capitals
// aside, or false when none is close enough to be a likely slip of the fingers: more
// than a third of the letters, and more than two, would have to change, or all of them.
func Nearest(word string, candidates []string) (string, bool) {
	lower := strings.ToLower(word)
	letters := utf8.RuneCountInString(lower)
	best, distance := "", min(max(2, letters/3)+1, letters)
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(lower, strings.ToLower(c)); d < distance {
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

// Named returns the one of the known names that a word is; the error says of what it is none, and lists them.
func Named[T ~string](what, word string, known []T) (T, error) {
	if slices.Contains(known, T(word)) {
		return T(word), nil
	}
	names := make([]string, len(known))
	for i, name := range known {
		names[i] = string(name)
	}
	return "", fmt.Errorf("unknown %s %q%s; known: %s", what, word, Phrase(word, names), strings.Join(names, ", "))
}
