package tune

import (
	"context"
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

const (
	// lengths is how many of texts there are about, to each of which graphs of gradients hold alone; of a multiple of finest.
	lengths = 4
	finest  = 8
	// looked is how many texts are looked at for the one with the most padding.
	looked = 64
	// same is how far values may differ that are to be the same, as a share of the largest: sums of other lengths are rounded otherwise.
	same = 1e-3
)

// trim leaves out the padding behind texts, where the original answers as with it: padding can be most of what runs compute.
func (t *trainer) trim(ctx context.Context) error {
	first, err := t.src.Sample(t.learn[0])
	if err != nil {
		return err
	}
	longest := 0
	for _, d := range first.Inputs {
		if len(d.Shape) == 1 {
			longest = max(longest, d.Shape[0])
		}
	}
	step := (longest + lengths*finest - 1) / (lengths * finest) * finest
	short, ok := samples.Trimmed(t.src, t.inputs, max(step, finest))
	if !ok {
		return nil
	}
	most, at := 0, 0
	for _, i := range t.learn[:min(len(t.learn), looked)] {
		a, err := t.src.Sample(i)
		if err != nil {
			return err
		}
		b, err := short.Sample(i)
		if err != nil {
			return err
		}
		if saved := elementsOf(a) - elementsOf(b); saved > most {
			most, at = saved, i
		}
	}
	if most == 0 {
		return nil
	}
	session, err := t.host.NewSession(t.original)
	if err != nil {
		return fmt.Errorf("the original model: %w", err)
	}
	defer session.Close()
	var answers [2][]tensor.Dense
	for k, src := range []samples.Source{t.src, short} {
		r, err := feed.First(ctx, src, []int{at}, t.inputs, 1)
		if err != nil {
			return err
		}
		results, err := session.Run(ctx, r.Inputs, nil)
		if err != nil {
			return r.Explain(fmt.Errorf("the original model on sample %s: %w", r.Samples[0].Name, err))
		}
		defer results.Close()
		for i := range results.Len() {
			answers[k] = append(answers[k], results.Get(i))
		}
	}
	for i, long := range answers[0] {
		if !begins(long, answers[1][i]) {
			return nil
		}
	}
	t.src = short
	return nil
}

// begins tells whether a value is, about, what another one begins with along each of its axes.
func begins(long, short tensor.Dense) bool {
	if len(long.Shape) != len(short.Shape) {
		return false
	}
	for axis, n := range short.Shape {
		if n > long.Shape[axis] {
			return false
		}
	}
	a, err := long.Float64s()
	if err != nil {
		return false
	}
	b, err := short.Float64s()
	if err != nil {
		return false
	}
	largest, apart := 0., 0.
	for i, v := range b {
		place, rest, stride := 0, i, 1
		for axis := len(short.Shape) - 1; axis >= 0; axis-- {
			place += rest % short.Shape[axis] * stride
			rest /= short.Shape[axis]
			stride *= long.Shape[axis]
		}
		largest, apart = max(largest, math.Abs(a[place])), max(apart, math.Abs(a[place]-v))
	}
	return apart <= same*largest
}
