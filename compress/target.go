package compress

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/size"
)

// Resource is what a budget counts.
type Resource string

const (
	// MACs are multiply-accumulate operations of one inference at batch 1,
	// over every Conv, ConvTranspose, Gemm and MatMul of the model.
	MACs Resource = "macs"
	// Params are the elements of all constant tensors of the model.
	Params Resource = "params"
	// Bytes are the size of the model file and its external weights.
	Bytes Resource = "bytes"
	// RunTime is the time of one run in nanoseconds, as a table of costs foretells it.
	RunTime Resource = "latency"
)

// Resources lists every resource that can be counted of a model. A target may bound one of them, or RunTime.
func Resources() []Resource { return []Resource{MACs, Params, Bytes} }

// Target is an upper bound on one resource of the compressed model.
type Target struct {
	Resource Resource `json:"resource"`
	// Value is a fraction of the original in (0, 1] when Fraction is set,
	// an absolute count otherwise, of nanoseconds for RunTime.
	Value    float64 `json:"value"`
	Fraction bool    `json:"fraction"`
}

// String writes the target as ParseTarget reads it.
func (t Target) String() string {
	if t.Resource == RunTime && !t.Fraction {
		return "latency=" + strconv.FormatFloat(t.Value/1e6, 'f', -1, 64) + "ms"
	}
	return string(t.Resource) + "=" + strconv.FormatFloat(t.Value, 'f', -1, 64)
}

// Limit returns the bound as a count, for a model that now has original of it.
func (t Target) Limit(original int64) float64 {
	if t.Fraction {
		return t.Value * float64(original)
	}
	return t.Value
}

// ParseTarget reads KIND=VALUE. A value up to 1, or with a percent sign, is a
// fraction of the original; a larger one is a count, with or without a unit: k, M, G and
// T are powers of 1000, and for bytes KiB, MiB, GiB and TiB powers of 1024. A time has a unit, as 12ms or 800us.
func ParseTarget(s string) (Target, error) {
	kind, value, ok := strings.Cut(s, "=")
	if !ok {
		return Target{}, fmt.Errorf("target %q: want KIND=VALUE, for example macs=0.5 or params=2M", s)
	}
	t := Target{Resource: Resource(kind)}
	if t.Resource != RunTime && !slices.Contains(Resources(), t.Resource) {
		return Target{}, unknownKind(s, kind)
	}
	var unit float64
	var err error
	number, percent := strings.CutSuffix(value, "%")
	switch {
	case percent:
		t.Value, err = strconv.ParseFloat(number, 64)
	case t.Resource == Bytes:
		t.Value, unit, err = size.Bytes(value)
	case t.Resource == RunTime:
		t.Value, unit, err = nanoseconds(value)
	default:
		t.Value, unit, err = size.Count(value)
	}
	if err != nil || !(t.Value > 0) {
		return Target{}, fmt.Errorf("target %q: %q is not a positive number; write %s", s, value, t.Resource.forms())
	}
	switch {
	case percent:
		t.Value /= 100
	case unit != 1 && t.Resource != RunTime:
		t.Value = math.Round(t.Value) // 2.3M are no 2299999.9999999995
	}
	t.Fraction = percent || unit == 1 && t.Value <= 1
	switch {
	case unit == 1 && !t.Fraction && t.Value != math.Trunc(t.Value):
		return Target{}, fmt.Errorf("target %q: %s is more than the whole model, and no count; write %s", s, value, t.Resource.forms())
	case t.Fraction && t.Value > 1:
		return Target{}, fmt.Errorf("target %q: %s is more than the whole model; want at most 100%%", s, value)
	case t.Value == 0 || math.IsInf(t.Value, 0) || !t.Fraction && t.Value <= 1:
		return Target{}, fmt.Errorf("target %q: %s is no useful count; write %s", s, value, t.Resource.forms())
	}
	return t, nil
}

// forms are the ways to write a bound of the resource.
func (r Resource) forms() string {
	if r == RunTime {
		return "a fraction (0.6, 60%) or a time (12ms, 800us)"
	}
	return "a fraction (0.5, 50%) or a count (20M)"
}

// nanoseconds reads a time with its unit, or a bare number, whose unit is 1.
func nanoseconds(s string) (v, unit float64, err error) {
	if v, err = strconv.ParseFloat(s, 64); err == nil {
		if v > 1 {
			return 0, 0, fmt.Errorf("%q has no unit", s)
		}
		return v, 1, nil
	}
	d, err := time.ParseDuration(s)
	return float64(d), float64(time.Nanosecond) + 1, err
}

// latency is the target of time among those that the options have, nil where there is none.
func (o Options) latency() *Target {
	for i := range o.Targets {
		if o.Targets[i].Resource == RunTime {
			return &o.Targets[i]
		}
	}
	return nil
}
