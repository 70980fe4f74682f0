package samples

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
)

// TestShapes: what is told of a sample before it is read is what it turns out to have, beneath other sources too.
func TestShapes(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]Size{"a.png": {5, 9}, "b.jpg": {9, 5}, "c.png": {7, 7}} {
		picture(t, filepath.Join(dir, name), size.Height, size.Width, ramp)
	}
	free := spec("x", -1, 3, -1, -1)
	for name, c := range map[string]struct {
		o     SourceOptions
		input InputSpec
	}{
		"as they are":       {input: free},
		"short side":        {o: SourceOptions{Resize: Resize{Short: 4}}, input: free},
		"exact":             {o: SourceOptions{Resize: Resize{Exact: Size{6, 3}}}, input: free},
		"cropped":           {o: SourceOptions{Resize: Resize{Short: 6}, Crop: Size{4, 3}}, input: free},
		"channels last":     {o: SourceOptions{Layout: NHWC}, input: spec("x", -1, -1, -1, 3)},
		"gray without axis": {input: spec("x", -1, -1, -1)},
	} {
		src := mustOpen(t, dir, c.o, c.input)
		noted := Note(Kept(src, 1<<20))
		for i := range src.Len() {
			told, err := Shapes(noted, i)
			if err != nil {
				t.Fatal(err)
			}
			if _, read := noted.Sum(i); read {
				t.Errorf("%s: sample %d is read", name, i)
			}
			got := map[string][]int{}
			for input, d := range mustSample(t, noted, i).Inputs {
				got[input] = d.Shape
			}
			if !maps.EqualFunc(told, got, slices.Equal) {
				t.Errorf("%s: sample %d is told to be %v, and is %v", name, i, told, got)
			}
			if sum, read := noted.Sum(i); !read || sum != mustSample(t, src, i).sum() {
				t.Errorf("%s: sample %d is not noted", name, i)
			}
		}
	}
	if told, err := Shapes(fewSamples(), 3); err != nil || !slices.Equal(told["x"], []int{2}) {
		t.Errorf("of a source that tells nothing: %v, %v", told, err)
	}
}
