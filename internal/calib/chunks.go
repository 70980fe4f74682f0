package calib

import (
	"context"
	"sync"

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
	// join takes in what the chunks before showed.
	join(before T)
	// numbers are where its sums lie, none where there are none yet.
	numbers() [][]float64
	// shelve has its sums lie elsewhere, to be read only.
	shelve(numbers [][]float64)
}

// pending brings together what the chunks show, in their order, along a fixed tree: the sums do not depend on which chunks somebody
// else has summed. What waits for its other half lies in a spool, where there is one. The next chunk has begun when a run of
// it is added.
type pending[T summed[T]] struct {
	tree  ordered.Tree[T]
	spool *slots
	begin func() T // what a chunk begins with

	mu   sync.Mutex
	open map[int]T // what runs are at work on
	now  int       // the chunk whose runs are being added
}

// at is what a chunk shows that runs are at work on.
func (p *pending[T]) at(chunk int) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.open[chunk]
	if !ok {
		one = p.begin()
		if p.open == nil {
			p.open = map[int]T{}
		}
		p.open[chunk] = one
	}
	return one
}

// reach says that a run of a chunk is to be added, in the order of the runs: those before it are complete.
func (p *pending[T]) reach(chunk int) error {
	for ; p.now < chunk; p.now++ {
		p.mu.Lock()
		one, ok := p.open[p.now]
		delete(p.open, p.now)
		p.mu.Unlock()
		if !ok {
			one = p.begin() // no run of it has come this far
		}
		one.settle()
		if err := p.tree.Put(ordered.Node[T]{Index: p.now, Value: one}, p.join); err != nil {
			return err
		}
		if p.spool == nil {
			continue
		}
		nodes := p.tree.Nodes()
		kept, err := p.spool.keep(nodes[len(nodes)-1].Value.numbers())
		if err != nil {
			return err
		}
		nodes[len(nodes)-1].Value.shelve(kept)
	}
	return nil
}

func (p *pending[T]) join(a, b T) (T, error) {
	b.join(a)
	if p.spool != nil {
		p.spool.release(a.numbers())
	}
	return b, nil
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

// slots are places of a spool, which are used again.
type slots struct {
	spool *rss.Spool
	mu    sync.Mutex
	free  map[int][][]float64 // by length
}

// keep puts numbers into slots.
func (s *slots) keep(numbers [][]float64) (kept [][]float64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range numbers {
		var slot []float64
		if free := s.free[len(v)]; len(free) > 0 {
			slot, s.free[len(v)] = free[len(free)-1], free[:len(free)-1]
			err = s.spool.Replace(slot, v)
		} else {
			slot, err = s.spool.Floats(v)
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, slot)
	}
	return kept, nil
}

// release gives slots back.
func (s *slots) release(kept [][]float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == nil {
		s.free = map[int][][]float64{}
	}
	for _, v := range kept {
		s.free[len(v)] = append(s.free[len(v)], v)
	}
}
