package feed

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Shapes names the shapes of inputs, equal ones alike.
func Shapes(inputs map[string]tensor.Dense) string {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		fmt.Fprint(&key, name, inputs[name].Shape, ";")
	}
	return key.String()
}

// Pool keeps what runs are computed with that holds for the shapes of their inputs only, such as graphs of gradients, for the
// shapes seen last. Several goroutines may use it.
type Pool[T any] struct {
	most int
	end  func(*T)

	mu    sync.Mutex
	all   map[string]*pooled[T]
	clock int
}

type pooled[T any] struct {
	once  sync.Once
	err   error
	value T
	users int // that have it now
	used  int // when it was last asked for
}

// NewPool returns an empty pool of at most so many; more are held only while they are used. end releases one.
func NewPool[T any](most int, end func(*T)) *Pool[T] {
	return &Pool[T]{most: most, end: end, all: map[string]*pooled[T]{}}
}

// Get returns what there is for the shapes of a run, which build completes where it is new, and a function that gives it back.
func (p *Pool[T]) Get(r *Run, build func(*T) error) (value *T, done func(), err error) {
	key := Shapes(r.Inputs)
	p.mu.Lock()
	one, known := p.all[key]
	if !known {
		p.evict()
		one = &pooled[T]{}
		p.all[key] = one
	}
	p.clock++
	one.used = p.clock
	one.users++
	p.mu.Unlock()
	done = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		one.users--
	}
	one.once.Do(func() { one.err = build(&one.value) })
	if one.err != nil {
		done()
		return nil, nil, one.err
	}
	return &one.value, done, nil
}

// evict releases the one that was not used for longest, when there are enough of them.
func (p *Pool[T]) evict() {
	if len(p.all) < p.most {
		return
	}
	oldest := ""
	for key, one := range p.all {
		if one.users == 0 && (oldest == "" || one.used < p.all[oldest].used) {
			oldest = key
		}
	}
	if oldest != "" {
		p.end(&p.all[oldest].value)
		delete(p.all, oldest)
	}
}

// Close releases all of them.
func (p *Pool[T]) Close() {
	for _, one := range p.all {
		p.end(&one.value)
	}
}
