package tune

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

// still is a trainer that has three weights and nothing to run.
func still() *trainer {
	d := descentOf(SOAP, 1, []int{1, 2}, []int{1})
	d.rotations.numbers[7] = 0.5
	return &trainer{
		o: Options{Epochs: 2}, params: shaped([]int{1, 2}, []int{1}), learn: testkit.Count(8), shard: 2, shards: 1, of: map[string]string{"runtime": "1"},
		weights: []float32{1, 2, 3}, descent: d, average: newAverage(0.9, []float32{4, 5, 6}),
		curve: []Point{{Held: 1}}, best: []float32{7, 8, 9}, step: 5, sum: 0.25,
	}
}

// What is written is read back, to the last bit.
func TestCheckpointRoundTrip(t *testing.T) {
	from := still()
	from.descent.first[1], from.descent.second[2] = math.MaxFloat32, 1e-40
	var file bytes.Buffer
	if err := from.write(&file); err != nil {
		t.Fatal(err)
	}
	to := still()
	to.descent.rotations.numbers[7] = 0
	to.weights, to.best, to.step, to.sum, to.curve = []float32{0, 0, 0}, nil, 0, 0, nil
	if err := to.read(&file); err != nil {
		t.Fatal(err)
	}
	a, b := from.vectors(), to.vectors()
	for i := range a {
		if !slices.Equal(*a[i].at, *b[i].at) {
			t.Errorf("%s: %v, want %v", a[i].name, *b[i].at, *a[i].at)
		}
	}
	if to.step != 5 || to.sum != 0.25 || len(to.curve) != 1 {
		t.Errorf("step %d, sum %g, curve %v", to.step, to.sum, to.curve)
	}
}

// Whatever a file holds, it is read or refused, and where it is refused nothing changes.
func FuzzCheckpoint(f *testing.F) {
	var file bytes.Buffer
	if err := still().write(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add(file.Bytes()[:60])
	f.Add([]byte(checkpointMagic + "{}\n"))
	f.Add([]byte(checkpointMagic + `{"of":{"runtime":"1"},"size":3,"vectors":["weights","weights"]}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := still()
		if err := s.read(bytes.NewReader(data)); err != nil && (!slices.Equal(s.weights, still().weights) || s.step != 5) {
			t.Errorf("refused with %v, yet changed", err)
		}
		for _, v := range s.vectors() {
			if *v.at != nil && len(*v.at) != v.size {
				t.Errorf("%s has %d numbers", v.name, len(*v.at))
			}
		}
	})
}
