package decomp_test

import (
	"fmt"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// BenchmarkEliminate works out the order and all losses: of the hidden units of a SwiGLU of a language model of 135 M
// parameters and of BERT-base, and of the channels between two convolutions.
func BenchmarkEliminate(b *testing.B) {
	algebra, err := linalg.Open(provisiontest.Need(b, provision.OpenBLAS))
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range []decomp.Shape{
		{Out: 576, In: 1536, Groups: 1},
		{Out: 768, In: 3072, Groups: 1},
		{Out: 256, In: 256, Window: []int{3, 3}, Groups: 1},
	} {
		k, m := decaying(algebra, s, true)
		b.Run(fmt.Sprint(s), func(b *testing.B) {
			for b.Loop() {
				if _, err := decomp.Eliminate(algebra, s.In, []decomp.Reader{{Kernel: k, Metric: m, Scale: 1}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
