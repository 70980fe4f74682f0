package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Count writes a count as people read it: 812, 40.6 k, 40.55 M.
func Count(n int64) string {
	return scaled(float64(n), 1000, []string{"", "k", "M", "G", "T", "P"})
}

// Bytes writes a size in binary units: 812 B, 1.04 MiB.
func Bytes(n int64) string {
	return scaled(float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
}

// scaled writes v with four significant digits in the largest unit that keeps
// it at or above one.
func scaled(v, base float64, units []string) string {
	i := 0
	for i < len(units)-1 && rounded(v, i) >= base {
		v /= base
		i++
	}
	return strings.TrimSpace(strconv.FormatFloat(rounded(v, i), 'f', -1, 64) + " " + units[i])
}

// rounded rounds to what scaled writes in unit i: whole numbers in the smallest, four
// significant digits in others, or more where they stand before the point.
func rounded(v float64, i int) float64 {
	if i == 0 || math.Abs(v) >= 1000 {
		return math.Round(v)
	}
	digits, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // its own text
	return digits
}

// number writes a count with the noun that it counts, in the right number.
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Percent writes a share with one digit behind the point.
func Percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// Ratio writes after/before as a percentage, or a dash where there was nothing.
func Ratio(after, before int64) string {
	if before == 0 {
		return none
	}
	return Percent(float64(after) / float64(before))
}
