package samples

import (
	"errors"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// read is a source that counts how often a sample is read; sample 3 cannot be.
type read struct{ times map[int]int }

func (r read) Len() int           { return 4 }
func (r read) Describe() string   { return "counted" }
func (r read) accounted() string  { return " (one is gone)" }
func (r read) knownLabels() []int { return []int{5, 6, 7, 8} }
func (r read) Sample(i int) (Sample, error) {
	if r.times[i]++; i == 3 {
		return Sample{}, errors.New("gone")
	}
	return Sample{Label: i, Inputs: map[string]tensor.Dense{"x": tensor.New(tensor.Float32, 4)}}, nil
}

func TestKept(t *testing.T) {
	src := read{map[int]int{}}
	k := Kept(src, 2*16)
	for range 3 {
		for i := range 4 {
			s, err := k.Sample(i)
			if (err != nil) != (i == 3) || err == nil && s.Label != i {
				t.Errorf("sample %d: %+v, %v", i, s, err)
			}
		}
	}
	for i, want := range []int{1, 1, 3, 3} { // two fit, and what fails is tried again
		if src.times[i] != want {
			t.Errorf("sample %d is read %d times, want %d", i, src.times[i], want)
		}
	}
	if text := Account(k); text != "counted (one is gone)" || len(Labels(k)) != 4 || k.Len() != 4 || k.Describe() != "counted" {
		t.Errorf("what is known of the source is lost: %q", text)
	}
	if Kept(nil, 1) != nil {
		t.Error("no source becomes one")
	}
}
