package rewrite_test

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

func BenchmarkSites(b *testing.B) {
	m := testkit.Zoo(b, "transformer")
	s := infer(m)
	for b.Loop() {
		if _, _, err := rewrite.Sites(m, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	m := testkit.Zoo(b, "cnn")
	sites, _ := linear(b, m)
	patches := patchAll(b, m, sites, 2)
	for b.Loop() {
		small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if err := small.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
