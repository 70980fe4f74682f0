package compress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/timing"
)

// Purpose is what a model is made for: it sets what nothing else sets of the options.
type Purpose string

const (
	// ForCPU is for ONNX Runtime on the processor of this machine, or of the table of costs: ranks and widths in its blocks, and
	// never slower than the original.
	ForCPU Purpose = "cpu"
	// ForCPUInt8 is for ONNX Runtime on a processor after its static int8 quantizer: no factors of single channels along one axis, what rounding adds is
	// counted as lost, and as int8 never slower than the original as int8.
	ForCPUInt8 Purpose = "cpu-int8"
	// ForTensorRT is for the tensor cores of a graphics card: ranks and widths in multiples of 8, and no schemes of single channels,
	// which these do not compute.
	ForTensorRT Purpose = "tensorrt"
	// ForSize is for the size of the file, whatever the model takes in time.
	ForSize Purpose = "size"
)

// Purposes lists all of them.
func Purposes() []Purpose { return []Purpose{ForCPU, ForCPUInt8, ForTensorRT, ForSize} }

// Profile is what a purpose set.
type Profile struct {
	Purpose Purpose `json:"purpose"`
	// Set says in words what it set, one thing each.
	Set []string `json:"set"`
}

// CheckPurpose refuses one that does not exist.
func (o Options) CheckPurpose() error {
	if o.For == "" {
		return nil
	}
	var names []string
	for _, p := range Purposes() {
		names = append(names, string(p))
	}
	return known("purpose", string(o.For), names)
}

// tensorCores is what ranks and widths are multiples of on them, in 16-bit types.
const tensorCores = 8

// denseMethods are those whose factors are convolutions and matrices of all channels.
func denseMethods() []string {
	return []string{"svd", "svd-in", "spatial", "spatial-wh", "tucker2"}
}

// profiled are the options with what their purpose sets, and what that is; nil for none.
func (o Options) profiled() (Options, *Profile) {
	if o.For == "" {
		return o, nil
	}
	p := &Profile{Purpose: o.For, Set: []string{}}
	switch o.For {
	case ForCPU:
		o = o.inBlocks(p)
		o = o.narrowing(p)
		o = o.bounded(p, RunTime, "never slower than the original")
	case ForCPUInt8:
		o = o.forInt8(p)
	case ForTensorRT:
		o = o.inMultiples(p, tensorCores, "as tensor cores compute them")
		if o.Costs != nil {
			o = o.bounded(p, RunTime, "never slower than the original")
		}
		if len(o.Methods) == 0 {
			o.Methods = denseMethods()
			p.set("methods %s, whose factors are no convolutions of single channels", strings.Join(o.Methods, ","))
		}
	case ForSize:
		o = o.inMultiples(p, 1, "whatever that takes in time")
		o = o.bounded(p, Bytes, "no larger than the original")
	}
	return o, p
}

// forInt8 is for what becomes int8 afterwards. A narrower layer adds nothing that would be rounded.
func (o Options) forInt8(p *Profile) Options {
	if o.RankMultiple == 0 {
		o.block = block
		p.set("ranks and widths in blocks of %d channels, also of large matrices, as int8 kernels compute them", block)
	}
	if len(o.Methods) == 0 && o.FromPlan == nil {
		o.Methods = append(denseMethods(), "cp-window") // whose factors of single channels have a fast int8 kernel, those of cp none
		if o.Source != nil {
			o.Methods = append([]string{Width}, o.Methods...)
		}
		p.set("methods %s, without convolutions of single channels along one axis", strings.Join(o.Methods, ","))
	}
	if o.eight == nil {
		o.eight = eightBits()
		p.set("what rounding weights to int8 by output channels and values between factors to uint8 adds is counted as lost")
	}
	return o
}

// set notes what was set.
func (p *Profile) set(format string, args ...any) {
	p.Set = append(p.Set, fmt.Sprintf(format, args...))
}

// inBlocks takes ranks and widths in the blocks of the processor that the table of costs is of, or else of this one.
func (o Options) inBlocks(p *Profile) Options {
	if o.RankMultiple > 0 {
		return o
	}
	channels, name := timing.Blocks()
	if o.Costs != nil && o.Costs.Processor != timing.Processor() {
		channels, name = block, o.Costs.Processor
	}
	o.block = channels
	p.set("ranks and widths in blocks of %d channels (%s), also of large matrices", channels, name)
	return o
}

// narrowing offers narrower layers beside all decompositions, where samples tell what these would lose, and where what they take in time
// is measured here: a table that was given need not have it.
func (o Options) narrowing(p *Profile) Options {
	if len(o.Methods) > 0 || o.FromPlan != nil || o.Source == nil || o.Costs != nil {
		return o
	}
	o.Methods = append(decomp.Names(), Width)
	p.set("narrower layers beside decompositions (methods %s)", strings.Join(o.Methods, ","))
	return o
}

// inMultiples takes all ranks and widths in multiples of n.
func (o Options) inMultiples(p *Profile, n int, why string) Options {
	if o.RankMultiple == 0 {
		o.RankMultiple = n
		p.set("ranks and widths in multiples of %d, %s", n, why)
	}
	return o
}

// bounded bounds a resource by what the original has of it, unless it is bounded.
func (o Options) bounded(p *Profile, r Resource, why string) Options {
	if slices.ContainsFunc(o.Targets, func(t Target) bool { return t.Resource == r }) {
		return o
	}
	o.Targets = append(slices.Clone(o.Targets), Target{Resource: r, Value: 1, Fraction: true})
	p.set("%s (%s=100%%)", why, r)
	return o
}
