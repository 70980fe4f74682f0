package outputs

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Positions are counted from the last one, whatever lies before them.
func TestPadding(t *testing.T) {
	const o, x = false, true
	ids := func(v ...int64) tensor.Dense { return tensor.FromInt64([]int{2, len(v) / 2}, v) }
	for name, c := range map[string]struct {
		inputs    map[string]tensor.Dense
		positions int
		want      []bool
	}{
		"no mask":            {map[string]tensor.Dense{"ids": ids(1, 2, 0, 4)}, 2, nil},
		"all are tokens":     {map[string]tensor.Dense{"ids": ids(1, 2, 3, 4), "mask": ids(1, 1, 1, 1)}, 2, nil},
		"behind":             {map[string]tensor.Dense{"mask": ids(1, 1, 0, 1, 1, 1)}, 3, []bool{o, o, x, o, o, o}},
		"before":             {map[string]tensor.Dense{"mask": ids(0, 1, 1, 1, 1, 1)}, 3, []bool{x, o, o, o, o, o}},
		"behind a cache":     {map[string]tensor.Dense{"mask": ids(0, 1, 0, 0, 1, 1)}, 2, []bool{o, x, o, o}},
		"scores of the last": {map[string]tensor.Dense{"ids": ids(1, 2, 3, 4), "mask": ids(0, 1, 1, 0)}, 1, []bool{o, x}},
		"more than the mask": {map[string]tensor.Dense{"mask": ids(1, 1, 1, 0)}, 3, []bool{x, o, o, x, o, x}},
		"ids that are none":  {map[string]tensor.Dense{"ids": ids(1, -1, 3, 4), "mask": ids(1, 1, 0, 1)}, 2, []bool{o, x, x, o}},
		"booleans":           {map[string]tensor.Dense{"mask": {Type: tensor.Bool, Shape: []int{2, 2}, Data: []byte{1, 0, 1, 1}}}, 2, []bool{o, x, o, o}},
		"floats":             {map[string]tensor.Dense{"mask": tensor.FromFloat32([]int{2, 2}, []float32{1, 1, 0, 0.5})}, 2, []bool{o, o, x, o}},
		"of another number":  {map[string]tensor.Dense{"mask": tensor.FromInt64([]int{1, 2}, []int64{0, 1})}, 2, nil},
		"of another rank":    {map[string]tensor.Dense{"mask": tensor.FromInt64([]int{2, 1, 1}, []int64{0, 1})}, 1, nil},
	} {
		if got := (Text{IDs: "ids", Mask: "mask"}).Padding(c.inputs, 2, c.positions); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A mask that cannot be read is said.
func TestUnreadableMask(t *testing.T) {
	for typ, want := range map[tensor.Type]string{tensor.Int64: "", tensor.Bool: "", tensor.Float16: "", tensor.String: `input "attention_mask" is of type string`} {
		b := testmodels.NewBuilder(1, 17, 8)
		ids := b.Input("input_ids", tensor.Int64, "N", "S")
		b.Input("attention_mask", typ, "N", "S")
		b.Node("Gather", []string{b.Random("table", -1, 1, 9, 9), ids})
		b.Output(b.Rename("logits"), tensor.Float32, "N", "S", 9)
		m := testkit.Built(t, b)
		list, err := Of(m, Options{})
		if want == "" && (err != nil || list[0].Text.Mask != "attention_mask") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v", typ, list, err)
		}
		if list, err := Of(m, Options{Kinds: map[string]Kind{"logits": Tokens}}); err != nil || list[0].Kind != Tokens {
			t.Errorf("%s: said to be tokens: %v, %v", typ, list, err)
		}
	}
}
