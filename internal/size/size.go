// Package size reads and writes counts and sizes with units, which mean the same wherever they are
// written: k, M, G and T are powers of 1000, and for bytes KiB, MiB, GiB and TiB powers of 1024.
package size

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Count reads a number with a unit of counts or without one, such as 2M, 1.5k or 300, and
// returns its value and that of the unit, 1 where there is none. Capitals do not matter.
func Count(s string) (value, unit float64, err error) { return read(s, "") }

// Bytes reads a size in the same way; B may stand behind the unit, and KiB and its like are
// units too.
func Bytes(s string) (value, unit float64, err error) { return read(s, "b") }

func read(s, letter string) (value, unit float64, err error) {
	number := strings.TrimRightFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' })
	unit, known := factor(strings.ToLower(s[len(number):]), letter)
	value, err = strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !known {
		return 0, 0, fmt.Errorf("%q is no number with a known unit", s)
	}
	return value * unit, unit, nil
}

// factor is the value of a unit: a prefix, with the letter of bytes behind it or not, and with
// an i before that letter where it is binary.
func factor(word, letter string) (float64, bool) {
	prefix := strings.TrimSuffix(word, letter)
	base := 1000.0
	if binary, found := strings.CutSuffix(prefix, "i"); found && prefix != word {
		prefix, base = binary, 1024
		if prefix == "" {
			return 0, false
		}
	}
	out := 1.0
	for _, p := range []string{"", "k", "m", "g", "t"} {
		if prefix == p {
			return out, true
		}
		out *= base
	}
	return 0, false
}

// Scaled writes v with four significant digits in the largest unit that keeps
// it at or above one.
func Scaled(v, base float64, units []string) string {
	i := 0
	for i < len(units)-1 && rounded(v, i) >= base {
		v /= base
		i++
	}
	return strings.TrimSpace(strconv.FormatFloat(rounded(v, i), 'f', -1, 64) + " " + units[i])
}

// rounded rounds to what Scaled writes in unit i: whole numbers in the smallest, four
// significant digits in others, or more where they stand before the point.
func rounded(v float64, i int) float64 {
	if i == 0 || math.Abs(v) >= 1000 {
		return math.Round(v)
	}
	digits, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // its own text
	return digits
}
