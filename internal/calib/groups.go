package calib

import (
	"fmt"
	"reflect"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Options control Collect and Groups.
type Options struct {
	// Batch is how many samples run at once where the model's first axis is free;
	// default 32. It is lowered where the sites' inputs of so many samples would take more than a quarter of Memory, or with
	// Probes all that the model and its gradients compute more than an eighth. A model with a fixed first axis runs in that batch.
	Batch int
	// Threads is how many runs are worked on side by side; default 1. Fewer are, where
	// Memory does not hold as many. The sums do not depend on it.
	Threads int
	// Memory bounds what the sums and the runs' inputs and partial sums take together,
	// in bytes; default 2 GiB. What the runtime needs for itself comes on top.
	Memory int64
	// Probes is how many random directions in the outputs of each sample sensitivities are
	// estimated from; 0, the default, collects none. One is enough where there are hundreds
	// of samples: the estimate is averaged over samples and probes alike.
	Probes int
	// Seed decides the directions. Those of a sample depend on it, on the sample's number
	// in the source and on nothing else that options can change.
	Seed uint64
	// Samples is how many samples Collect is going to be given. Where it is set, a plain
	// matrix with more inputs than so many samples show it columns keeps these columns
	// (Stats.Columns); 0, the default, sums the moments of all.
	Samples int
	// Weights are what the squared change of an output, by name, counts in the loss;
	// default 1 for each, and 0 for a state. Outputs that are not of a floating-point type, and those whose
	// sizes depend on the data, never count. Shares finds weights with which all have the same share.
	Weights map[string]float64
	// Classes names the output with class scores, or is "none"; empty means to look. Kinds say what outputs are, where it is known better.
	Classes string
	Kinds   map[string]outputs.Kind
	// Backend multiplies matrices; default linalg.Gonum().
	Backend linalg.Backend
	// Progress, when set, is told after each run how many of the samples are done.
	Progress samples.Progress
}

// TooLargeError says that the second moments of one site do not fit into memory.
type TooLargeError struct {
	Site           string
	Needed, Memory int64 // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("node %q: its second moments take %s, the limit is %s; allow more memory, or leave the node as it is",
		e.Site, bytesText(e.Needed), bytesText(e.Memory))
}

func bytesText(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// InputBytes is what the inputs' statistics of a site take for so many samples: moments in
// float64, columns in float32, or counts.
func InputBytes(s *rewrite.Site, samples int) int64 {
	k := int64(s.Kernel.Cols())
	switch {
	case s.View.Kind == rewrite.TableRows:
		return 8 * k
	case wide(s, samples):
		return 4 * k * int64(samples) * int64(s.Batch) * int64(s.Geometry.In[0])
	}
	return 8 * int64(s.Kernel.Groups) * k * k
}

// sensitivityBytes is what the sensitivities of a site take in float64 under that memory limit, and its weight where they are
// pulled back through it.
func sensitivityBytes(s *rewrite.Site, memory int64) int64 {
	o := int64(s.Kernel.Rows())
	if pulled(s, memory) {
		k := int64(s.Kernel.Cols())
		return 8*k*k + 4*k*o
	}
	return 8 * int64(s.Kernel.Groups) * o * o
}

// workerBytes is about what a worker takes for its partial sum of a site, in float32,
// and for the patches it writes out. The same again covers the totals that a site is
// summed in before they become its moments. Columns that are kept are put together at the end.
func workerBytes(s *rewrite.Site, samples int) int64 { return InputBytes(s, samples) + workerSpare }

// workerSpare is for what a worker takes besides its partial sums.
const workerSpare = 8 << 20

// Groups cuts the sites, by their position, into groups whose sums fit o.Memory
// together, in order: half of it is for the sums, except that a site which needs more
// has a group to itself. A site that does not fit alone is a *TooLargeError. The groups
// do not depend on o.Threads.
func Groups(sites []rewrite.Site, o Options) ([][]int, error) {
	o = o.withDefaults()
	var groups [][]int
	var used int64
	for i := range sites {
		need, sensitivity := InputBytes(&sites[i], o.Samples), int64(0)
		if o.Probes > 0 {
			sensitivity = sensitivityBytes(&sites[i], o.Memory)
		}
		// A worker's partial sums of the two do not exist at the same time.
		if total := need + sensitivity + max(InputBytes(&sites[i], o.Samples), sensitivity) + workerSpare; total > o.Memory {
			return nil, &TooLargeError{sites[i].Name, total, o.Memory}
		}
		need += sensitivity
		extra := need // in the group that there is
		if len(groups) > 0 && sharesColumns(sites, groups[len(groups)-1], i) {
			extra = sensitivity
		}
		if len(groups) > 0 && (extra == 0 || used+extra <= o.Memory/2) {
			groups[len(groups)-1] = append(groups[len(groups)-1], i)
			used += extra
			continue
		}
		groups = append(groups, []int{i})
		used = need
	}
	return groups, nil
}

// Sweeps are the groups, by their number, that are calibrated together in one sweep: as many that follow one another as have sums, which
// lie on the disk then, of no more than twice o.Memory together and an eighth of what is free there, in bytes; or one.
func Sweeps(sites []rewrite.Site, groups [][]int, free int64, o Options) (sweeps [][]int) {
	o = o.withDefaults()
	var used int64
	most := min(2*o.Memory, free/8) // those that wait for others take several times as much
	for g, group := range groups {
		need := int64(0)
		for k, i := range group {
			if o.Probes > 0 {
				need += sensitivityBytes(&sites[i], o.Memory)
			}
			if !sharesColumns(sites, group[:k], i) {
				need += InputBytes(&sites[i], o.Samples)
			}
		}
		if used += need; len(sweeps) > 0 && used <= most {
			sweeps[len(sweeps)-1] = append(sweeps[len(sweeps)-1], g)
			continue
		}
		sweeps, used = append(sweeps, []int{g}), need
	}
	return sweeps
}

// sharesColumns tells whether site i reads the same columns as one of the group.
func sharesColumns(sites []rewrite.Site, group []int, i int) bool {
	for _, k := range group {
		if sameColumns(&sites[k], &sites[i]) {
			return true
		}
	}
	return false
}

// sameColumns tells whether two sites cut the same tensor in the same way.
func sameColumns(a, b *rewrite.Site) bool {
	return a.Input == b.Input && a.Kernel.In == b.Kernel.In && a.Kernel.Groups == b.Kernel.Groups &&
		reflect.DeepEqual(a.View, b.View)
}

// inputBytes is what the site's input takes per sample, 0 where that is not known.
func inputBytes(s *rewrite.Site) int64 {
	if !s.Located {
		return 0
	}
	channels := s.Kernel.In
	if s.View.Kind == rewrite.TableRows {
		channels = 2 // an index of 8 bytes
	}
	return valueBytes(s, channels, s.Geometry.In)
}

// outputBytes is what the site's output, or its gradient, takes per sample, 0 where that
// is not known.
func outputBytes(s *rewrite.Site) int64 {
	if !s.Located {
		return 0
	}
	return valueBytes(s, s.Kernel.Out, s.Geometry.Out)
}

func valueBytes(s *rewrite.Site, channels int, size []int) int64 {
	return 4 * int64(channels) * int64(max(s.Batch, 1)) * int64(tensor.Product(size))
}

// SumBytes is what the sums of a site take, those of its inputs and, with Probes, of its sensitivities, in bytes.
func SumBytes(s *rewrite.Site, o Options) int64 {
	o = o.withDefaults()
	n := InputBytes(s, o.Samples)
	if o.Probes > 0 {
		n += sensitivityBytes(s, o.Memory)
	}
	return n
}
