package verify

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
)

// TestChanges: of the samples with another top class those that moved most are kept, and
// those of the class that lost most, however little they moved.
func TestChanges(t *testing.T) {
	s := newSums([]output{{Output: outputs.Output{Weight: 1}}}, 2)
	run := &runSums{outputs: []outputSums{{samples: 1}}, shapes: make([][]int, 1), classes: 3}
	add := func(name string, label int, moved float64, before, after int) {
		run.examples = append(run.examples, example{
			name: name, label: label, parts: []energy{{moved * moved, 1}}, finite: true, scored: true, before: before, after: after,
		})
	}
	for i := range 6 {
		add(fmt.Sprint("wide ", i), 0, 0.9-0.1*float64(i), 1, 2) // wrong before and after
		add(fmt.Sprint("lost ", i), 1, 0.01+0.001*float64(i), 1, 0)
		add(fmt.Sprint("same ", i), 2, 0.5, 2, 2)
	}
	add("NaN", -1, 0.02, 1, -1)
	s.add(run)
	s.weigh()
	var names []string
	for _, e := range s.changes() {
		names = append(names, e.name)
	}
	if want := []string{"wide 0", "wide 1", "lost 5", "lost 4"}; !slices.Equal(names, want) {
		t.Errorf("changes %q, want %q", names, want)
	}
	if s.agree != 6 || s.worst() != 1 {
		t.Errorf("%d agree, the worst class is %d", s.agree, s.worst())
	}
}
