package page

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

// none stands where there is no number.
const none = "–"

// number writes a count with its noun: 1 sample, 1,024 samples.
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// grouped writes a count with its thousands apart.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// points writes a difference of shares in percentage points, with its sign.
func percentPoints(d float64) string {
	s := fmt.Sprintf("%+.2f", 100*d)
	if strings.Trim(s, "+-0.") == "" {
		return "±0 points"
	}
	return strings.Replace(s, "-", "−", 1) + " points"
}

// orElse writes a value where there is one.
func orElse[T any](v *T, write func(T) string, other string) string {
	if v == nil {
		return other
	}
	return write(*v)
}

// exact writes a share with two digits behind the point.
func exact(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// small writes a number with as many digits as say something.
func small(v float64) string { return strings.Replace(fmt.Sprintf("%.4g", v), "-", "−", 1) }

// base is a file's name without its folder.
func base(path string) string { return filepath.Base(filepath.ToSlash(path)) }

// rank writes a rank's numbers by comma.
func rank(r []int) string { return cmp.Or(report.JoinInts(r, ", "), none) }

// kernel writes a weight's shape: out×in, its window, and its groups.
func kernel(s *compress.SiteResult) string {
	text := fmt.Sprintf("%d×%d", s.Out, s.In)
	if len(s.Window) > 0 {
		text += " " + report.JoinInts(s.Window, "×")
	}
	if s.Groups > 1 {
		text += fmt.Sprintf(", %d groups", s.Groups)
	}
	return text
}

// resource is what people call a resource.
func resource(r compress.Resource) string {
	switch r {
	case compress.MACs:
		return "multiply-adds"
	case compress.Params:
		return "parameters"
	case compress.RunTime:
		return "time"
	}
	return "bytes"
}

// amount writes a need of a resource.
func amount(r compress.Resource, n int64) string {
	switch r {
	case compress.Bytes:
		return report.Bytes(n)
	case compress.RunTime:
		return report.Millis(float64(n) / 1e6)
	}
	return report.Count(n)
}

// lossName says what losses are.
func lossName(r *compress.Result) string {
	switch {
	case r.Plan.Measure == compress.OutputChange:
		return "expected squared change of the outputs"
	case r.Calibration == nil || r.Calibration.DataFree != nil:
		return "lost share of the weights, summed over the layers"
	}
	return "lost share of the layers' own outputs, summed over the layers"
}

// telling is how many samples of a class it takes to say anything about it: of so many, one
// is five points.
const telling = 20

// losers are the classes that lost accuracy, those that lost most first, as far as there are
// samples enough to tell; told is false where there are of none.
func losers(a *verify.Accuracy) (out []verify.ClassAccuracy, told bool) {
	for _, c := range a.PerClass {
		told = told || c.Samples >= telling
		if c.Samples >= telling && c.After < c.Before {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b verify.ClassAccuracy) int { return cmp.Compare(b.Before-b.After, a.Before-a.After) })
	return out, told
}

// decibels writes a signal to noise ratio in a cell.
func decibels(v float64) string {
	if math.IsInf(v, 1) {
		return "equal"
	}
	return report.Decibels(v)
}
