package calib

import (
	"bytes"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestPullback: under a memory limit that G of a wide matrix is a good part of, what is summed is WᵀGW; shrinking aside it is the
// same, whatever the number of threads, and the sites beside it have their own G as ever.
func TestPullback(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 3, 6)
	h := b.Node("MatMul", []string{x, b.Weight("first", 6, 6, 12)})
	b.Node("MatMul", []string{h, b.Weight("head", 12, 12, 900)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 3, 900)
	m := testkit.Built(t, b)
	src := random(40, "x", tensor.Float32, 3, 6)
	sites := sitetest.Sites(t, m, src[0])
	if large, small := int64(1<<30), int64(64<<20); pulled(&sites[1], large) || !pulled(&sites[1], small) || pulled(&sites[0], small) {
		t.Fatal("the wrong sites have their sensitivities pulled back")
	}
	dense := sensitivities(t, m, src, Options{Probes: 1, Seed: 3, Memory: 1 << 30})
	through := sensitivities(t, m, src, Options{Probes: 1, Seed: 3, Memory: 64 << 20, Threads: 3})
	if through[1].G != nil || through[1].Pullback == nil || through[0].G == nil || through[0].Pullback != nil || !through[1].Sensitive() {
		t.Fatal("the sensitivities have the wrong forms")
	}
	if d := worst(through[0].G[0], dense[0].G[0]); !(d <= 1e-6) {
		t.Errorf("G of the site before differs by %.2g", d)
	}
	// The directions that G and WᵀGW are made of are the same, so that the gradient of the site before, the head's own at its
	// inputs, has the moment WᵀGW too.
	if d := worst(through[1].Pullback[0], through[0].G[0]); !(d <= 1e-6) {
		t.Errorf("WᵀGW differs from what the site before feels by %.2g", d)
	}
	var file bytes.Buffer
	if _, err := through[1].WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	back, err := ReadStats(&file)
	if err != nil || back.G != nil || worst(back.Pullback[0], through[1].Pullback[0]) != 0 {
		t.Errorf("read back: %v", err)
	}
	one := sensitivities(t, m, src, Options{Probes: 1, Seed: 3, Memory: 64 << 20})
	if worst(one[1].Pullback[0], through[1].Pullback[0]) != 0 {
		t.Error("the number of threads changes the moment")
	}
}

// TestPullbackByPerturbing measures what no gradient tells: WᵀGW of G = g·I.
func TestPullbackByPerturbing(t *testing.T) {
	m := chain(t, "N", 900, nil)
	src := random(4, "x", tensor.Float32, 6)
	sites := sitetest.Sites(t, m, src[0])
	s := newSensor(&sites[1], 64<<20, 0)
	got, err := s.through.scaled(linalg.Gonum(), 2)
	if err != nil {
		t.Fatal(err)
	}
	w := matrix(t, m, "second")
	if d := worst(got, linalg.Gonum().Mul(false, true, 2, w, w)); !(d <= 1e-12) {
		t.Errorf("WᵀW differs by %.2g", d)
	}
}
