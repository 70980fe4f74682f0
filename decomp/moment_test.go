package decomp_test

import (
	"math"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestFormsAgree wants the losses of a sample or a diagonal to be those of the matrix that it stands for.
func TestFormsAgree(t *testing.T) {
	for _, shape := range []decomp.Shape{{Out: 12, In: 40, Groups: 1}, {Out: 30, In: 9, Groups: 1}, {Out: 8, In: 30, Groups: 2}} {
		for _, s := range decomptest.Formed(3, shape) {
			full := decomp.Metric{Out: s.Metric.Out}
			for g := range shape.Groups {
				a := linalg.New(shape.Cols(), shape.Cols())
				if s.Metric.Sample != nil {
					a = linalg.Gonum().Mul(true, false, 1, s.Metric.Sample[g], s.Metric.Sample[g])
				}
				if s.Metric.Diagonal != nil {
					for i, v := range s.Metric.Diagonal[g] {
						a.Set(i, i, a.At(i, i)+v)
					}
				}
				full.In = append(full.In, a)
			}
			got, want := factor(t, s.Kernel, s.Metric), factor(t, s.Kernel, full)
			if math.Abs(got.Energy()-want.Energy()) > 1e-12*want.Energy() {
				t.Errorf("%s: energy %g, of the matrix %g", s.Name, got.Energy(), want.Energy())
			}
			for r := 1; r <= shape.FullRank(); r++ {
				a, b := loss(t, got, decomp.Rank{r}), loss(t, want, decomp.Rank{r})
				if math.Abs(a-b) > 1e-9*b+1e-14*want.Energy() {
					t.Errorf("%s, rank %d: loss %g, of the matrix %g", s.Name, r, a, b)
				}
			}
		}
	}
}

func TestFormsRefused(t *testing.T) {
	plain := decomptest.Random(1, decomp.Shape{Out: 4, In: 6, Groups: 2}).Kernel
	conv := decomptest.Random(1, decomp.Shape{Out: 4, In: 3, Window: []int{2}, Groups: 1}).Kernel
	rows := func(n, k int) *linalg.Matrix { return linalg.New(n, k) }
	nan := rows(2, 3)
	nan.Set(1, 2, math.NaN())
	for name, c := range map[string]struct {
		kernel decomp.Kernel
		metric decomp.Metric
		want   string
	}{
		"two forms":         {plain, decomp.Metric{Sample: []*linalg.Matrix{rows(2, 3), nil}, In: []*linalg.Matrix{nil, nil}}, "wanted one of the two"},
		"sample of a conv":  {conv, decomp.Metric{Sample: []*linalg.Matrix{rows(2, 6)}}, "only plain matrices"},
		"one sample":        {plain, decomp.Metric{Sample: []*linalg.Matrix{rows(2, 3)}}, "1 input second moments for the 2 groups"},
		"length of columns": {plain, decomp.Metric{Sample: []*linalg.Matrix{nil, rows(2, 4)}}, "group 1 is 2×4"},
		"no rows":           {plain, decomp.Metric{Sample: []*linalg.Matrix{nil, rows(0, 3)}}, "group 1 is 0×3"},
		"NaN":               {plain, decomp.Metric{Sample: []*linalg.Matrix{nan, nil}}, "(1, 2)"},
		"one diagonal":      {plain, decomp.Metric{Diagonal: [][]float64{{1, 1, 1}}}, "1 input second moments for the 2 groups"},
		"short diagonal":    {plain, decomp.Metric{Diagonal: [][]float64{nil, {1, 1}}}, "group 1 has 2 numbers"},
		"negative diagonal": {plain, decomp.Metric{Diagonal: [][]float64{nil, {1, -1, 1}}}, "is -1 at 1"},
		"endless diagonal":  {plain, decomp.Metric{Diagonal: [][]float64{{1, 1, math.Inf(1)}, nil}}, "is +Inf at 2"},
	} {
		if _, err := method(t, "svd").Factor(linalg.Gonum(), c.kernel, c.metric); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, wanted one that says %q", name, err, c.want)
		}
	}
}
