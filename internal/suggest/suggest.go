// Package suggest finds the word somebody probably meant.
package suggest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// shortest is how many letters a word has in common with what it shortens, or is short for, at least.
const shortest = 3

// Nearest returns the candidate with the smallest edit distance to word, capitals
// aside, or false when none is close enough to be a likely slip of the fingers: more
// than a third of the letters, and more than two, would have to change, or all of them.
// Then it is the one that begins with word, or else the longest that word begins with.
func Nearest(word string, candidates []string) (string, bool) {
	lower := strings.ToLower(word)
	letters := utf8.RuneCountInString(lower)
	best, distance := "", min(max(2, letters/3)+1, letters)
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(lower, strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		best = kin(lower, candidates)
	}
	return best, best != ""
}

// kin is the shortest candidate that begins with a word, or else the longest that the word begins with; empty for none.
func kin(lower string, candidates []string) string {
	longer, shorter := "", ""
	for _, c := range candidates {
		switch l := strings.ToLower(c); {
		case min(utf8.RuneCountInString(l), utf8.RuneCountInString(lower)) < shortest:
		case strings.HasPrefix(l, lower) && (longer == "" || len(c) < len(longer)):
			longer = c
		case strings.HasPrefix(lower, l) && len(c) > len(shorter):
			shorter = c
		}
	}
	if longer != "" {
		return longer
	}
	return shorter
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
