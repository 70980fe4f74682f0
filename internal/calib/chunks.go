package calib

import (
	"context"
	"sync"
	"unsafe"

	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/internal/rss"
)

// Part says which of the samples are looked at: the chunks that fall to one of so many parts.
type Part struct {
	Index int // from 0
	Of    int // 0 for all samples
}

// How many chunks there are, where there are as many blocks: at least so many, more where each has so many blocks all the same, and
// never more than that.
const (
	fewestChunks   = 16
	blocksOfAChunk = 8
	mostChunks     = 64
)

// cut says how the blocks of all samples (feed.Feed.Blocks) are cut into chunks, which are summed each for itself. It depends on
// nothing but their number.
type cut struct{ Blocks, Chunks int }

func cutInto(blocks int) cut {
	return cut{blocks, min(blocks, max(fewestChunks, min(blocks/blocksOfAChunk, mostChunks)))}
}

// of is the chunk that a block belongs to.
func (c cut) of(block int) int {
	if c.Chunks < 2 {
		return 0
	}
	return ((block+1)*c.Chunks - 1) / c.Blocks
}

// first is the first block of a chunk.
func (c cut) first(chunk int) int {
	if c.Chunks == 0 {
		return 0
	}
	return chunk * c.Blocks / c.Chunks
}

// part returns the chunks of a part, from first (included) to end (excluded).
func (c cut) part(p Part) (first, end int) {
	of := max(p.Of, 1)
	return p.Index * c.Chunks / of, (p.Index + 1) * c.Chunks / of
}

// summed is what chunks showed at one place.
type summed[T any] interface {
	// settle ends the adding of runs.
	settle()
	// join takes in what the chunks before showed, which is used up.
	join(before T)
	// spare gives back where sums were to lie that are not needed any more.
	spare() [][]float64
	// numbers are where its sums lie, none where there are none yet.
	numbers() [][]float64
	// lies are the places of sums that are not in the heap.
	lies() [][]float64
}

// pending brings together what the chunks show, in their order, along a fixed tree: the sums do not depend on which chunks somebody
// else has summed. The next chunk has begun when a run of it is added.
type pending[T summed[T]] struct {
	tree  ordered.Tree[T]
	slots *slots            // where sums lie, nil where the heap has them
	begin func() (T, error) // what a chunk begins with

	mu   sync.Mutex
	open map[int]T // what runs are at work on
	now  int       // the chunk whose runs are being added
}

// at is what a chunk shows that runs are at work on.
func (p *pending[T]) at(chunk int) (one T, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.open[chunk]
	if ok {
		return one, nil
	}
	if one, err = p.begin(); err != nil {
		return one, err
	}
	if p.open == nil {
		p.open = map[int]T{}
	}
	p.open[chunk] = one
	return one, nil
}

// reach says that a run of a chunk is to be added, in the order of the runs: those before it are complete.
func (p *pending[T]) reach(chunk int) error {
	for ; p.now < chunk; p.now++ {
		one, err := p.at(p.now) // empty where no run of it has come this far
		if err != nil {
			return err
		}
		p.mu.Lock()
		delete(p.open, p.now)
		p.mu.Unlock()
		one.settle()
		p.slots.free(one.spare())
		if err := p.tree.Put(ordered.Node[T]{Index: p.now, Value: one}, p.join); err != nil {
			return err
		}
	}
	return nil
}

func (p *pending[T]) join(a, b T) (T, error) {
	b.join(a)
	p.slots.free(a.spare())
	return b, nil
}

// forget has the sums leave memory that lie in slots.
func (p *pending[T]) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.open {
		forget(one.lies())
	}
	for _, n := range p.tree.Nodes() {
		forget(n.Value.lies())
	}
}

func forget(places [][]float64) {
	for _, v := range places {
		rss.Forget(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 8*len(v)))
	}
}

// turn has what a run of a chunk shows added in its turn.
func (p *pending[T]) turn(ctx context.Context, turns *ordered.Turns, turn, chunk int, add func()) (err error) {
	done := turns.Do(ctx, turn, func() {
		if err = p.reach(chunk); err == nil {
			add()
		}
	})
	if err == nil {
		err = done
	}
	return err
}

// slots are places of a spool for sums, which are used again. The nil slots are those of the heap.
type slots struct {
	spool *rss.Spool
	mu    sync.Mutex
	left  map[int][][]float64 // what was given back, by length
}

// zeros returns as many lists of so many zeros; nil of the heap, where sums are made when they are needed.
func (s *slots) zeros(lists, count int) (out [][]float64, err error) {
	if s == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for range lists {
		var one []float64
		if left := s.left[count]; len(left) > 0 {
			one, s.left[count] = left[len(left)-1], left[:len(left)-1]
			clear(one)
		} else if one, err = s.spool.Zeros(count); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// free takes lists back.
func (s *slots) free(lists [][]float64) {
	if s == nil || len(lists) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == nil {
		s.left = map[int][][]float64{}
	}
	for _, v := range lists {
		s.left[len(v)] = append(s.left[len(v)], v)
	}
}
