package testmodels

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/tensor"
)

const record = 1 + FashionSize*FashionSize

func TestFashionFiles(t *testing.T) {
	m, err := Fashion()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	if n := len(fashionModel); n > 2<<20 {
		t.Errorf("the network takes %d bytes, over 2 MiB", n)
	}
	ops := map[string]int{}
	for _, node := range graph.Of(m).Nodes() {
		ops[node.Op()]++
	}
	if ops["Conv"] != 15 || ops["BatchNormalization"] != 15 || ops["Add"] != 6 || ops["Gemm"] != 1 {
		t.Errorf("not the network that train.py describes: %v", ops)
	}
	images := FashionImages()
	if len(images) != FashionRecords*record {
		t.Fatalf("%d bytes of images, wanted %d", len(images), FashionRecords*record)
	}
	perClass := make([]int, FashionClasses)
	for i := 0; i < len(images); i += record {
		if int(images[i]) >= FashionClasses {
			t.Fatalf("record %d has label %d", i/record, images[i])
		}
		perClass[images[i]]++
	}
	for class, n := range perClass {
		if n < 100 {
			t.Errorf("class %d has only %d images", class, n)
		}
	}
}

// The network must be worth compressing: 93 % is what the demo promises.
func TestFashionAccuracy(t *testing.T) {
	lib := orttest.Open(t)
	session, err := lib.NewSession([]byte(fashionModel), ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()

	images := FashionImages()
	right := 0
	const batch = 216
	for start := 0; start < FashionRecords; start += batch {
		pixels := make([]float32, 0, batch*(record-1))
		for i := start; i < start+batch; i++ {
			for _, p := range images[i*record+1 : (i+1)*record] {
				pixels = append(pixels, float32(p)/255)
			}
		}
		x := tensor.FromFloat32([]int{batch, 1, FashionSize, FashionSize}, pixels)
		results, err := session.Run(t.Context(), map[string]tensor.Dense{"image": x}, []string{"logits"})
		if err != nil {
			t.Fatal(err)
		}
		logits := results.Get(0).Float32s()
		for i := range batch {
			best := 0
			for class, v := range logits[i*FashionClasses : (i+1)*FashionClasses] {
				if v > logits[i*FashionClasses+best] {
					best = class
				}
			}
			if best == int(images[(start+i)*record]) {
				right++
			}
		}
		results.Close()
	}
	t.Logf("top-1: %d of %d", right, FashionRecords)
	if float64(right)/FashionRecords < 0.93 {
		t.Errorf("top-1: %d of %d", right, FashionRecords)
	}
}
