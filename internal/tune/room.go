package tune

import (
	"context"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// MemoryError says that a tuning takes more memory than it may, with one sample at once.
type MemoryError struct {
	// Parameters are the numbers that would be tuned; Least is the least limit that holds the tuning, and Limit the one that there is, in bytes.
	Parameters   int
	Least, Limit int64
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("the state of %d numbers beside one sample wants a memory limit of %.4g MiB, and it is %.4g MiB", e.Parameters, float64(e.Least)/(1<<20), float64(e.Limit)/(1<<20))
}

const (
	// vectors of all parameters are held at once: the start, the weights, their gradient and its two moments, the mean of the weights, the best
	// state, and one more while a state is judged.
	vectors = 8
	// grown is how many times the values of a forward pass the runtime holds for a step: gradients come and go beside them, and its arena grows by doubling.
	grown = 2
	// loose is the part of what the program holds itself that garbage may take beside it: one in so many.
	loose = 3
	// passed is how many copies there are of what the original answers, on the way from its run to that of a step.
	passed = 3
)

// house has as many samples run at once, and runs side by side, as the memory holds beside what a tuning keeps, where the values of a run of so
// many of the largest samples take those bytes.
func (t *trainer) house(ctx context.Context, values int64, samples int) error {
	gradient := 4 * int64(t.params.size)
	state := vectors * gradient
	if t.o.Optimizer == SOAP {
		state += 4 * int64(basisNumbers(t.params.list))
	}
	state += state / loose
	answers := int64(0)
	for _, one := range t.terms {
		answers += 4 * int64(tensor.Product(one.shape)) / int64(t.told)
	}
	answers *= passed
	each := max(grown*values/int64(samples)+answers, 1)
	if least := rss.Limit(state + gradient + each); least > t.o.Memory {
		return &MemoryError{Parameters: t.params.size, Least: least, Limit: t.o.Memory}
	}
	room := rss.Room(t.o.Memory) - state
	t.teacher.free = int(min(int64(t.teacher.free), room/4/4))
	room -= 4 * int64(t.teacher.free) * (loose + 1) / loose
	// Every shape has a session of its own, which keeps what its runs needed.
	each = int64(float64(each) * (float64(t.beside-1) + t.sizes.spread()) / float64(t.beside))
	beside, most := within(room, gradient, max(each, 1), t.beside, t.shard)
	if beside == t.beside && most == t.shard {
		return nil
	}
	t.beside, t.most = beside, most
	return t.size(ctx)
}

// within lowers the runs side by side, and the samples of each, to what the memory holds: every run takes so many bytes, and more for each sample.
// One sample alone is the least. Runs of one sample are made larger before there are several of them.
func within(room, run, sample int64, beside, most int) (int, int) {
	if room >= int64(beside)*(run+int64(most)*sample) {
		return beside, most
	}
	beside = int(min(max(room/(run+int64(min(most, 2))*sample), 1), int64(beside)))
	return beside, int(min(max((room/int64(beside)-run)/sample, 1), int64(most)))
}
