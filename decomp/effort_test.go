package decomp_test

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Less effort loses more where a method searches, and more effort hardly ever; where there is a closed form, all are one.
func TestEffort(t *testing.T) {
	shape := decomp.Shape{Out: 24, In: 16, Groups: 1, Window: []int{3, 3}}
	lost := map[string][]float64{}
	for _, e := range decomp.Efforts() {
		for _, m := range e.Methods() {
			sum := 0.0
			for seed := range uint64(2) {
				k := decomptest.Random(seed, shape)
				s, err := m.Factor(linalg.Gonum(), k.Kernel, k.Metric)
				if err != nil {
					t.Fatal(err)
				}
				ranks := m.Ranks(shape, 1)
				loss, err := s.Loss(ranks[len(ranks)/2])
				if err != nil {
					t.Fatal(err)
				}
				sum += loss / s.Energy()
			}
			lost[m.Name] = append(lost[m.Name], sum)
		}
	}
	for name, v := range lost {
		quick, normal, thorough := v[0], v[1], v[2]
		switch name {
		case "svd":
			if quick != normal || normal != thorough {
				t.Errorf("%s loses %v of the energies by efforts %v", name, v, decomp.Efforts())
			}
		case "svd-in", "spatial", "spatial-wh", "cp", "cp-window":
			if quick <= normal {
				t.Errorf("%s loses %v of the energies by efforts %v, want more with the first", name, v, decomp.Efforts())
			}
		}
		const close = 1.005
		if normal > close*quick || thorough > close*normal {
			t.Errorf("%s loses %v of the energies by efforts %v, want no more with more", name, v, decomp.Efforts())
		}
	}
}
