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
	for math.Abs(v) >= base && i < len(units)-1 {
		v /= base
		i++
	}
	number := strconv.FormatFloat(v, 'f', 0, 64)
	if i > 0 {
		number = strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strings.TrimSpace(number + " " + units[i])
}

// Percent writes a share with one digit behind the point.
func Percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// ratio writes after/before as a percentage, or a dash where there was nothing.
func ratio(after, before int64) string {
	if before == 0 {
		return "–"
	}
	return Percent(float64(after) / float64(before))
}
