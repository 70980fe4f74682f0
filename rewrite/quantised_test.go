package rewrite_test

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestQuantisedCosts: products of ONNX Runtime with quantised weights are counted where a run has shown their sizes, and what multiplies in
// another way is never passed over in silence.
func TestQuantisedCosts(t *testing.T) {
	for op, want := range map[string]int64{
		"MatMulIntegerToFloat": 4 * 5 * 6 * 9, "DynamicQuantizeMatMul": 4 * 5 * 6 * 9, "MatMulNBits": 4 * 5 * 6 * 9, "MatMulBnb4": 4 * 5 * 6 * 9, "MatMulFpQ4": 4 * 5 * 6 * 9,
		"DynamicQuantizeLSTM": 0, "QAttention": 0, "QGemm": 0, "QLinearConv": 0, "QMoE": 0, "Gelu": -1,
	} {
		b := testmodels.NewBuilder(1, 17, 8).Import("com.microsoft", 1)
		x := b.Input("x", tensor.Float32, 4, 5, 6)
		b.Node("com.microsoft::"+op, []string{x, b.Tensor("weight", tensor.Int8, []int{6, 9}, make([]float64, 54))})
		y := b.Rename("y")
		b.Output(b.Node("Relu", []string{y}), tensor.Float32, 4, 5, 9)
		m := model(t, b)
		costs := rewrite.MeasureCosts(m, shapes.InferSeen(m, nil, map[string][]int{"y": {4, 5, 9}}))
		if counted, left := len(costs.Nodes), len(costs.Unlocated); costs.MACs != max(want, 0) || (counted == 1) != (want > 0) || (left == 1) != (want == 0) {
			t.Errorf("%s: %d MACs of %d nodes, %d nodes uncounted; wanted %d MACs", op, costs.MACs, counted, left, want)
		}
	}
}
