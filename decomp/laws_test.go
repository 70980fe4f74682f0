package decomp_test

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/internal/linalg"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

func TestLaws(t *testing.T) {
	for _, m := range decomp.Methods() {
		t.Run(m.Name+"/gonum", func(t *testing.T) { decomptest.Run(t, linalg.Gonum(), m) })
		t.Run(m.Name+"/openblas", func(t *testing.T) {
			b, err := linalg.Open(provisiontest.Need(t, provision.OpenBLAS))
			if err != nil {
				t.Fatal(err)
			}
			decomptest.Run(t, b, m)
		})
	}
}

func FuzzShapes(f *testing.F) {
	f.Add(uint64(1), uint8(4), uint8(3), uint8(3), uint8(3), uint8(1), uint8(2))
	f.Add(uint64(2), uint8(1), uint8(1), uint8(1), uint8(1), uint8(7), uint8(1))
	f.Add(uint64(3), uint8(9), uint8(1), uint8(2), uint8(1), uint8(2), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, out, in, height, width, groups, axes uint8) {
		g := int(groups)%4 + 1
		s := decomp.Shape{Out: (int(out)%12 + 1) * g, In: (int(in)%8 + 1) * g, Groups: g}
		s.Window = []int{int(height)%4 + 1, int(width)%4 + 1}[:axes%3]
		for _, m := range decomp.Methods() {
			specimens := []decomptest.Specimen{decomptest.Random(seed, s)}
			if len(s.Window) == 0 {
				specimens = append(specimens, decomptest.Formed(seed, s)...)
			}
			for _, specimen := range specimens {
				decomptest.Laws(t, linalg.Gonum(), m, specimen)
			}
		}
	})
}
