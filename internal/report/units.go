package report

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/size"
)

// Count writes a count as people read it: 812, 40.6 k, 40.55 M.
func Count(n int64) string {
	return size.Scaled(float64(n), 1000, []string{"", "k", "M", "G", "T", "P"})
}

// Bytes writes a size in binary units: 812 B, 1.04 MiB.
func Bytes(n int64) string {
	return size.Scaled(float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
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
