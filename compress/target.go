package compress

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

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
)

// Resources lists every resource that a target may bound.
func Resources() []Resource { return []Resource{MACs, Params, Bytes} }

// Target is an upper bound on one resource of the compressed model.
type Target struct {
	Resource Resource `json:"resource"`
	// Value is a fraction of the original in (0, 1] when Fraction is set,
	// an absolute count otherwise.
	Value    float64 `json:"value"`
	Fraction bool    `json:"fraction"`
}

// String writes the target as ParseTarget reads it.
func (t Target) String() string {
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
// T are powers of 1000, and for bytes KiB, MiB, GiB and TiB powers of 1024.
func ParseTarget(s string) (Target, error) {
	kind, value, ok := strings.Cut(s, "=")
	if !ok {
		return Target{}, fmt.Errorf("target %q: want KIND=VALUE, for example macs=0.5 or params=2M", s)
	}
	t := Target{Resource: Resource(kind)}
	if !slices.Contains(Resources(), t.Resource) {
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
	default:
		t.Value, unit, err = size.Count(value)
	}
	if err != nil || !(t.Value > 0) {
		return Target{}, fmt.Errorf("target %q: %q is not a positive number; write a fraction (0.5, 50%%) or a count (20M)", s, value)
	}
	if percent {
		t.Value /= 100
	}
	t.Fraction = percent || unit == 1 && t.Value <= 1
	switch {
	case t.Fraction && t.Value > 1:
		return Target{}, fmt.Errorf("target %q: %s is more than the whole model; want at most 100%%", s, value)
	case t.Value == 0 || math.IsInf(t.Value, 0) || !t.Fraction && t.Value <= 1:
		return Target{}, fmt.Errorf("target %q: %s is no useful count; write a fraction (0.5, 50%%) or a count (20M)", s, value)
	}
	return t, nil
}
